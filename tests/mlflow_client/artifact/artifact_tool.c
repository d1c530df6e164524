/* artifact_tool.c: the artifact functions as a command, for the Python tests beside it. Prints one line a result; an error goes to standard error as
   "MLF_E_…: message" with exit 1. ARTIFACT_TOOL_MAX: max_bytes of `fetch`; ARTIFACT_TOOL_STOPPED: its client is stopped. Peak resident memory goes to standard error as "peak_kb N" when ARTIFACT_TOOL_PEAK is set. */
#include "mlflow_client.h"
#include "registry.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { CHUNK_BYTES = 128 << 10 };

static int list(mlf_client *client, char **argv, mlf_error *error)
{
    mlf_artifact *items = NULL;
    size_t count = 0;
    int code = mlf_artifacts_list(&items, &count, client, argv[0], error);
    for (size_t i = 0; i < count; i++)
        printf("%s%s %lld\n", items[i].path, items[i].is_dir ? "/" : "", (long long)items[i].size_bytes);
    mlf_artifacts_free(items, count);
    return code;
}

static int resolve(mlf_client *client, char **argv, mlf_error *error)
{
    mlf_model_info *info = NULL;
    int code = mlf_model_resolve(&info, client, argv[0], error);
    if (!code)
        printf("name=%s version=%s alias=%s run=%s model=%s uri=%s\n", info->name ? info->name : "", info->version ? info->version : "",
               info->alias ? info->alias : "", info->run_id ? info->run_id : "", info->model_id ? info->model_id : "", info->artifact_uri);
    mlf_model_info_free(info);
    return code;
}

static int download(mlf_client *client, char **argv, mlf_error *error)
{
    return mlf_artifacts_download(client, argv[0], argv[1], error);
}

static void count(void *context, int64_t bytes)
{
    atomic_fetch_add((_Atomic int64_t *)context, bytes);
}

/* One way or the other, with what the progress callback was told on standard output. */
static int move_counted(mlf_client *client, char **argv, int up, mlf_error *error)
{
    _Atomic int64_t told = 0;
    mlf_transfer_options options = MLF_TRANSFER_OPTIONS_INIT;
    options.progress = count;
    options.context = &told;
    options.max_bytes = getenv("ARTIFACT_TOOL_MAX") ? atoll(getenv("ARTIFACT_TOOL_MAX")) : 0;
    if (getenv("ARTIFACT_TOOL_STOPPED"))
        mlf_client_stop(client);
    int code = (up ? mlf_artifacts_upload : mlf_artifacts_fetch)(client, argv[0], argv[1], &options, error);
    printf("%lld\n", (long long)told);
    return code;
}

static int fetch(mlf_client *client, char **argv, mlf_error *error)
{
    return move_counted(client, argv, 0, error);
}

static int upload(mlf_client *client, char **argv, mlf_error *error)
{
    return move_counted(client, argv, 1, error);
}

static int delete (mlf_client *client, char **argv, mlf_error *error)
{
    return mlf_artifacts_delete(client, argv[0], error);
}

/* Copies a URI to standard output. */
static int cat(mlf_client *client, char **argv, mlf_error *error)
{
    static char chunk[CHUNK_BYTES];
    mlf_source *source = NULL;
    size_t got = 1;
    int code = mlf_source_open(&source, client, argv[0], error);
    while (!code && got) {
        code = mlf_source_read(source, chunk, sizeof chunk, &got, error);
        fwrite(chunk, 1, got, stdout);
    }
    mlf_source_close(source);
    return code;
}

/* Standard input to a URI; with a second argument, aborts after that many bytes. */
static int put(mlf_client *client, char **argv, mlf_error *error)
{
    static char chunk[CHUNK_BYTES];
    mlf_sink *sink = NULL;
    long long limit = argv[1] ? atoll(argv[1]) : -1, sent = 0;
    int code = mlf_sink_open(&sink, client, argv[0], error);
    for (size_t got; !code && (got = fread(chunk, 1, sizeof chunk, stdin)) && (limit < 0 || sent < limit); sent += (long long)got)
        code = mlf_sink_write(sink, chunk, got, error);
    if (!code && limit < 0)
        return mlf_sink_commit(sink, error);
    mlf_sink_abort(sink);
    return code;
}

/* EXPERIMENT RUN KEY FOLDER [again]: what mlf_run_log_model() does. */
static int log_model(mlf_client *client, char **argv, mlf_error *error)
{
    const mlf_pair params[] = {{"c", "1.0"}}, tags[] = {{"team", "a"}};
    const char *const keys[] = {"auc"};
    const double values[] = {0.75};
    const mlf_metric_point points[] = {{0.75, 1795457721141, 0}};
    const mlf_model_home home = {argv[1], argv[0], argv[2], points, argv[4] != NULL};
    mlf_model_options options = MLF_MODEL_OPTIONS_INIT;
    options.model_type = "linear";
    options.params = params;
    options.tags = tags;
    options.metric_keys = keys;
    options.metric_values = values;
    options.n_params = options.n_tags = options.n_metrics = 1;
    char *uri = NULL;
    int code = mlf_log_model_now(&uri, client, &home, argv[3], &options, error);
    if (!code)
        puts(uri);
    mlf_free(uri);
    return code;
}

/* RUN KEY URI NAME ALIAS [again]: what mlf_model_register() does. */
static int register_model(mlf_client *client, char **argv, mlf_error *error)
{
    const mlf_pair tags[] = {{"stage", "test"}};
    const mlf_model_home home = {argv[0], NULL, argv[1], NULL, argv[5] != NULL};
    mlf_register_options options = MLF_REGISTER_OPTIONS_INIT;
    options.description = "a *model*";
    options.tags = tags;
    options.n_tags = 1;
    options.alias = argv[4];
    char *version = NULL;
    int code = mlf_register_now(&version, client, &home, argv[2], argv[3], &options, error);
    if (!code)
        puts(version);
    mlf_free(version);
    return code;
}

/* URI MODEL: a run that registers what another named, logs a point and ends. */
static int register_in_run(mlf_client *client, char **argv, mlf_error *error)
{
    mlf_run *run = NULL;
    int code = mlf_run_create(&run, client, NULL, error);
    if (!code)
        code = mlf_model_register(NULL, run, argv[0], argv[1], NULL, error);
    if (!code)
        code = mlf_run_log_metric(run, "behind", 1, 0);
    printf("%s\n", run ? mlf_run_id(run) : "");
    int ended = mlf_run_end(run, code ? MLF_FAILED : MLF_FINISHED, error);
    return code ? code : ended;
}

/* What a program may do once its model has an id: writes it into the folder. */
static int write_id(void *context, const char *folder, const char *model_id, const char *artifact_uri, const char *run_id)
{
    char path[4096];
    (void)context, (void)artifact_uri, (void)run_id;
    snprintf(path, sizeof path, "%s/prepared.txt", folder);
    FILE *file = fopen(path, "w");
    int bad = !file || fputs(model_id ? model_id : "unknown", file) < 0;
    return (file ? fclose(file) : 0) || bad;
}

/* FOLDER MODEL: a whole run: a folder and a text as artifacts, a model registered as MODEL with the alias champion (ARTIFACT_TOOL_FLUSH: once the server has what
   came before, or has refused it), then waits for the server. ARTIFACT_TOOL_JOB: the run's tag "job"; ARTIFACT_TOOL_PREPARE: the model's folder gets a file on the way;
   ARTIFACT_TOOL_PARAMS: so many params first. */
static int run_all(mlf_client *client, char **argv, mlf_error *error)
{
    mlf_run *run = NULL;
    char *uri = NULL, *version = NULL;
    mlf_register_options options = MLF_REGISTER_OPTIONS_INIT;
    options.alias = "champion";
    const mlf_pair job = {"job", getenv("ARTIFACT_TOOL_JOB")};
    mlf_run_options about = MLF_RUN_OPTIONS_INIT;
    mlf_model_options model = MLF_MODEL_OPTIONS_INIT;
    about.tags = &job;
    about.n_tags = job.value != NULL;
    model.prepare = getenv("ARTIFACT_TOOL_PREPARE") ? write_id : NULL;
    int code = mlf_run_create(&run, client, &about, error), params = getenv("ARTIFACT_TOOL_PARAMS") ? atoi(getenv("ARTIFACT_TOOL_PARAMS")) : 0;
    for (int i = 0; !code && i < params; i++) {
        char key[32];
        snprintf(key, sizeof key, "p%d", i);
        code = mlf_run_log_param(run, key, "a value of some length", error);
    }
    if (params)
        mlf_flush(client, -1, NULL);
    if (!code)
        code = mlf_run_log_artifact(run, argv[0], "all/of/it", error);
    if (!code)
        code = mlf_run_log_text(run, "hello\n", 6, "notes/hello.txt", error);
    if (!code)
        code = mlf_run_log_model(&uri, run, argv[0], &model, error);
    if (getenv("ARTIFACT_TOOL_FLUSH"))
        mlf_flush(client, -1, NULL);
    if (!code)
        code = mlf_model_register(&version, run, uri, argv[1], &options, error);
    printf("run=%s model=%s version=%s\n", run ? mlf_run_id(run) : "", uri ? uri : "", version ? version : "");
    int ended = mlf_run_end(run, code ? MLF_FAILED : MLF_FINISHED, error);
    mlf_free(uri);
    mlf_free(version);
    return code ? code : ended;
}

static const struct {
    const char *name;
    int arguments;
    int (*run)(mlf_client *client, char **argv, mlf_error *error);
} COMMANDS[] = {
    {"list", 1, list},
    {"resolve", 1, resolve},
    {"download", 2, download},
    {"fetch", 2, fetch},
    {"upload", 2, upload},
    {"delete", 1, delete},
    {"cat", 1, cat},
    {"put", 1, put},
    {"run", 2, run_all},
    {"run-register", 2, register_in_run},
    {"log-model", 4, log_model},
    {"register", 5, register_model},
};

int main(int argc, char **argv)
{
    mlf_error error = MLF_ERROR_INIT;
    mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
    mlf_client *client = NULL;
    int code = getenv("MLFLOW_TRACKING_URI") ? mlf_client_new(&client, &options, &error) : 0, known = 0;
    for (size_t i = 0; !code && argc > 1 && i < sizeof COMMANDS / sizeof *COMMANDS; i++)
        if (!strcmp(argv[1], COMMANDS[i].name) && argc >= COMMANDS[i].arguments + 2) {
            known = 1;
            code = COMMANDS[i].run(client, argv + 2, &error);
        }
    mlf_client_free(client);
    if (code || !known)
        fprintf(stderr, "%s: %s\n", known || code ? mlf_code_name(code) : "usage", error.message);
    struct rusage usage;
    if (getenv("ARTIFACT_TOOL_PEAK") && !getrusage(RUSAGE_SELF, &usage))
        fprintf(stderr, "peak_kb %ld\n", usage.ru_maxrss);
    return code || !known;
}
