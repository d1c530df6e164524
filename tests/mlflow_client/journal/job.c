/* job.c: a small job that logs, for the tests that kill it, cut its network or take its disk away.

       job sync [DIR]      sends what waits; prints `sync CODE journals sent waiting busy points operations refused`
       job [--experiment NAME] [--steps N] [--pause-us N] [--runs N] [--threads N] [--params N] [--model FOLDER NAME] [--series] [--nested] [--no-end] [--announce]
       --record FILE logs what its lines say instead, their words apart by tabs, numbers as strtod() and strtoll() take them: metric KEY VALUE STEP; metrics STEP KEY VALUE …;
         series KEY STEP VALUE …; param KEY VALUE; tag KEY VALUE; input NAME DIGEST SOURCE-TYPE SOURCE SCHEMA PROFILE CONTEXT
       --fail-allocation K fails allocation K, once, in whatever thread: a refused call is then no failure of the job; prints `allocation failed` when K was reached

   Every run logs metrics "loss" and "acc" for the steps 0 … N-1, params p0 …, and a tag. Prints `run ID KEY` for each, `step N` as it goes with --announce (each
   line says that this step and those before it were logged), and at the end `end CODE MESSAGE`. Exit 0 also when the server was away: that is no failure. */
#include "alloc.h"
#include "mlflow_client.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    const char *experiment, *model, *name, *record;
    long steps, pause_us, runs, threads, params, fail_allocation;
    int series, nested, no_end, announce;
} options = {.steps = 100, .runs = 1, .threads = 1, .params = 3, .fail_allocation = -1};

static const struct { const char *name; long *value; } numbers[] = {
    {"--steps", &options.steps}, {"--pause-us", &options.pause_us}, {"--runs", &options.runs}, {"--threads", &options.threads}, {"--params", &options.params},
    {"--fail-allocation", &options.fail_allocation},
};
static const struct { const char *name; int *value; } flags[] = {{"--series", &options.series}, {"--nested", &options.nested}, {"--no-end", &options.no_end}, {"--announce", &options.announce}};

static void read_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++)
            if (!strcmp(argv[i], numbers[n].name) && i + 1 < argc)
                *numbers[n].value = atol(argv[i + 1]);
        for (size_t n = 0; n < sizeof flags / sizeof *flags; n++)
            if (!strcmp(argv[i], flags[n].name))
                *flags[n].value = 1;
        if (!strcmp(argv[i], "--experiment") && i + 1 < argc)
            options.experiment = argv[i + 1];
        if (!strcmp(argv[i], "--record") && i + 1 < argc)
            options.record = argv[i + 1];
        if (!strcmp(argv[i], "--model") && i + 2 < argc) {
            options.model = argv[i + 1];
            options.name = argv[i + 2];
        }
    }
}

static void fail(const char *what, int code)
{
    if (options.fail_allocation >= 0)
        return;
    printf("failed %s %s\n", what, mlf_code_name(code));
    exit(1);
}

/* A text, the folder's MLmodel as an artifact, the folder as a logged model, registered with the alias "champion". */
static void log_model(mlf_run *run)
{
    mlf_error error = MLF_ERROR_INIT;
    mlf_register_options about = MLF_REGISTER_OPTIONS_INIT;
    char path[4096], *uri = NULL, *version = NULL;
    about.alias = "champion";
    snprintf(path, sizeof path, "%s/MLmodel", options.model);
    if (mlf_run_log_text(run, "hello\n", 6, "notes/hello.txt", &error) || mlf_run_log_artifact(run, path, "raw", &error) || mlf_run_log_model(&uri, run, options.model, NULL, &error) ||
        mlf_model_register(&version, run, uri, options.name, &about, &error))
        fail(error.message, error.code);
    mlf_free(uri);
    mlf_free(version);
}

typedef struct part { mlf_run *run; long first; } part;

static void *log_part(void *argument)
{
    const part *mine = argument;
    for (long step = mine->first; step < options.steps; step += options.threads) {
        int code = mlf_run_log_metric(mine->run, "loss", 1.0 / (double)(step + 1), step);
        if (!code)
            code = mlf_run_log_metric(mine->run, "acc", (double)step / 7, step);
        if (code)
            fail("metric", code);
        if (options.announce && !code)
            printf("step %ld\n", step);
        if (options.announce)
            fflush(stdout);
        if (options.pause_us)
            usleep((useconds_t)options.pause_us);
    }
    return NULL;
}

static void log_series(mlf_run *run)
{
    size_t n = (size_t)options.steps;
    int64_t *steps = malloc(n * sizeof *steps);
    double *loss = malloc(n * sizeof *loss), *acc = malloc(n * sizeof *acc);
    for (size_t i = 0; i < n; i++) {
        steps[i] = (int64_t)i;
        loss[i] = 1.0 / (double)(i + 1);
        acc[i] = (double)i / 7;
    }
    int code = mlf_run_log_series(run, "loss", steps, loss, n);
    if (!code)
        code = mlf_run_log_series(run, "acc", steps, acc, n);
    if (code)
        fail("series", code);
    free(steps);
    free(loss);
    free(acc);
}

enum { MOST_WORDS = 64 };

static int log_words(mlf_run *run, char **words, size_t n)
{
    const char *keys[MOST_WORDS];
    double values[MOST_WORDS];
    int64_t steps[MOST_WORDS];
    size_t pairs = n > 2 ? (n - 2) / 2 : 0;
    int series = !strcmp(words[0], "series");
    for (size_t i = 0; i < pairs; i++) {
        keys[i] = words[2 + 2 * i];
        steps[i] = strtoll(words[2 + 2 * i], NULL, 10);
        values[i] = strtod(words[3 + 2 * i], NULL);
    }
    if (series || !strcmp(words[0], "metrics"))
        return series ? mlf_run_log_series(run, words[1], steps, values, pairs) : mlf_run_log_metrics(run, keys, values, pairs, strtoll(words[1], NULL, 10));
    if (!strcmp(words[0], "metric"))
        return mlf_run_log_metric(run, words[1], strtod(words[2], NULL), strtoll(words[3], NULL, 10));
    if (!strcmp(words[0], "param"))
        return mlf_run_log_param(run, words[1], words[2], NULL);
    if (!strcmp(words[0], "tag"))
        return mlf_run_set_tag(run, words[1], words[2], NULL);
    return mlf_run_log_input(run, &(mlf_dataset){.name = words[1], .digest = words[2], .source_type = words[3], .source = words[4], .schema = words[5], .profile = words[6], .context = words[7]}, NULL);
}

static void log_record(mlf_run *run)
{
    char *line = NULL;
    size_t size = 0;
    FILE *file = fopen(options.record, "r");
    while (file && getline(&line, &size, file) > 0) {
        char *words[MOST_WORDS], *rest = line;
        size_t n = 0;
        line[strcspn(line, "\n")] = '\0';
        while (n < MOST_WORDS && (words[n] = strsep(&rest, "\t")))
            n++;
        int code = log_words(run, words, n);
        if (code)
            fail(line, code);
    }
    if (file)
        fclose(file);
    free(line);
}

static void log_all(mlf_run *run)
{
    mlf_error error = MLF_ERROR_INIT;
    if (options.record) {
        log_record(run);
        return;
    }
    for (long i = 0; i < options.params; i++) {
        char key[32], value[32];
        snprintf(key, sizeof key, "p%ld", i);
        snprintf(value, sizeof value, "%ld", i * i);
        if (mlf_run_log_param(run, key, value, &error))
            fail(error.message, error.code);
    }
    if (mlf_run_set_tag(run, "stage", "begun", &error))
        fail(error.message, error.code);
    if (options.model)
        log_model(run);
    if (options.series) {
        log_series(run);
        return;
    }
    pthread_t threads[64];
    part parts[64];
    for (long t = 0; t < options.threads && t < 64; t++) {
        parts[t] = (part){run, t};
        pthread_create(&threads[t], NULL, log_part, &parts[t]);
    }
    for (long t = 0; t < options.threads && t < 64; t++)
        pthread_join(threads[t], NULL);
}

/* --nested: each run but the first is a child of the first. */
static char parent[300];

static void do_run(mlf_client *client)
{
    mlf_error error = MLF_ERROR_INIT;
    mlf_run *run = NULL;
    mlf_run_options about = MLF_RUN_OPTIONS_INIT;
    about.experiment = options.experiment;
    about.parent_run_id = options.nested && *parent ? parent : NULL;
    int created = mlf_run_create(&run, client, &about, &error);
    if (created && options.fail_allocation >= 0)
        return;
    if (created) {
        printf("failed create %s %s\n", mlf_code_name(error.code), error.message);
        exit(1);
    }
    if (!*parent)
        snprintf(parent, sizeof parent, "%s", mlf_run_id(run));
    printf("run %s\n", mlf_run_id(run));
    fflush(stdout);
    log_all(run);
    if (options.no_end)
        return;
    mlf_run_set_tag(run, "stage", "done", &error);
    mlf_error end = MLF_ERROR_INIT;
    int code = mlf_run_end(run, MLF_FINISHED, &end);
    printf("end %s %s\n", mlf_code_name(code), end.message);
    fflush(stdout);
}

static int sync_all(mlf_client *client, const char *dir)
{
    mlf_error error = MLF_ERROR_INIT;
    mlf_sync_report report;
    mlf_sync_options about = MLF_SYNC_OPTIONS_INIT;
    about.timeout_ms = 30000;
    int code = mlf_sync(client, &dir, dir ? 1 : 0, &about, &report, &error);
    printf("sync %s %llu %llu %llu %llu %llu %llu %llu %s\n", mlf_code_name(code), (unsigned long long)report.journals, (unsigned long long)report.sent, (unsigned long long)report.waiting,
           (unsigned long long)report.busy, (unsigned long long)report.points, (unsigned long long)report.operations, (unsigned long long)report.refused, error.message);
    return code != 0;
}

int main(int argc, char **argv)
{
    mlf_error error = MLF_ERROR_INIT;
    mlf_client *client = NULL;
    read_options(argc, argv);
    mlf_client_options about = MLF_CLIENT_OPTIONS_INIT;
    int syncs = argc > 1 && !strcmp(argv[1], "sync");
    if (syncs) /* said outright: the journals were recorded for the bad network in front of that server */
        about.tracking_uri = getenv("MLFLOW_TRACKING_URI");
    if (mlf_client_new(&client, &about, &error)) {
        printf("failed client %s\n", error.message);
        return 1;
    }
    int status = 0;
    unsigned long before = sv_alloc_count();
    if (options.fail_allocation >= 0)
        json_set_alloc_funcs(sv_malloc, sv_free); /* jansson's count, too */
    sv_alloc_fail_after(options.fail_allocation, 1);
    if (syncs)
        status = sync_all(client, argc > 2 && *argv[2] != '-' ? argv[2] : NULL);
    else
        for (long i = 0; i < options.runs; i++)
            do_run(client);
    if (options.fail_allocation >= 0 && sv_alloc_count() - before > (unsigned long)options.fail_allocation)
        printf("allocation failed\n");
    sv_alloc_fail_after(-1, 0);
    mlf_client_free(client);
    return status;
}
