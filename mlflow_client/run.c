/* run.c: a run as the caller sees it. Everything goes through the journal (journal/hub.h); nothing but mlf_run_create(), mlf_run_end() waits for the network. */
#include "run.h"

#include "alloc.h"
#include "client_error.h"
#include "clock.h"
#include "hub.h"
#include "log.h"
#include "replay.h"
#include "run_context.h"
#include "system_metrics.h"
#include "validate.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { START_TIMEOUT_MS = 10000, START_PATIENCE_MS = 3000 };

static const char *const status_names[] = {"RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"};

/* ---- what the room may ask ---- */

int mlf_run_check(const mlf_run *run, mlf_error *error)
{
    if (!run)
        return mlf_error_set(error, MLF_E_ARGUMENT, "run: expected one, got NULL");
    if (run->fork_generation != mlf_fork_generation)
        return mlf_error_set(error, MLF_E_STATE, "run %s belongs to the parent process: a forked child makes its own client", run->folder.key);
    if (atomic_load_explicit(&run->ended, memory_order_relaxed))
        return mlf_error_set(error, MLF_E_STATE, "run %s has ended", run->folder.key);
    return MLF_OK;
}

int mlf_run_op(mlf_run *run, mlf_op_kind kind, const json_t *payload, mlf_error *error)
{
    int code = mlf_run_check(run, error);
    return code ? code : mlf_hub_op(run, (int)kind, payload, error);
}

int mlf_run_call_begin(mlf_run *run, mlf_op_kind kind, const json_t *payload, mlf_error *error)
{
    return run->folder.path ? mlf_calls_begin(&run->folder.calls, run->folder.path, (int)kind, payload, error) : MLF_OK;
}

int mlf_run_call_end(mlf_run *run, const char *key, int kept)
{
    int over = run->folder.path && (!kept || mlf_hub_settle(run));
    if (over)
        mlf_calls_end(&run->folder.calls, run->folder.path, key);
    return over;
}

void mlf_run_hold(mlf_run *run)
{
    mlf_hub_hold(run, 1);
}

void mlf_run_release(mlf_run *run)
{
    mlf_hub_hold(run, -1);
}

int mlf_run_is_online(const mlf_run *run)
{
    return run->hub->sending && run->sender.known && !run->sender.failures && !run->sender.halted;
}

const char *mlf_run_folder(const mlf_run *run)
{
    return run->folder.path;
}

const char *mlf_run_key(const mlf_run *run)
{
    return run->folder.key;
}

mlf_client *mlf_run_client(const mlf_run *run)
{
    return run->hub->client;
}

int mlf_run_made(mlf_run *run, const char *key, char *id, size_t size)
{
    return mlf_folder_id(&run->folder, key, id, size);
}

const char *mlf_run_id(const mlf_run *run)
{
    return atomic_load_explicit(&run->sender.known, memory_order_acquire) ? run->sender.replay.run_id : *run->continued ? run->continued : run->folder.key;
}

const char *mlf_run_experiment_id(const mlf_run *run)
{
    return atomic_load_explicit(&run->sender.known, memory_order_acquire) ? run->sender.replay.experiment_id : "";
}

/* ---- beginning ---- */

/* MLFLOW_RUN_ID, or MLFLOW_RUN_KEY for a run that no server knows yet, is for the first run of a process. The key has a name of its own: MLflow's client
   for Python ends with an error at an id that its server does not know. */
static const char *run_id_from_environment(void)
{
    static atomic_int used;
    const char *run_id = mlf_env("MLFLOW_RUN_ID");
    if (!run_id)
        run_id = mlf_env("MLFLOW_RUN_KEY");
    return run_id && !atomic_exchange(&used, 1) ? run_id : NULL;
}

static int put_experiment(json_t *payload, const char *name)
{
    const char *id = name ? NULL : mlf_env("MLFLOW_EXPERIMENT_ID");
    if (!name)
        name = mlf_env("MLFLOW_EXPERIMENT_NAME");
    return name ? json_object_set_new(payload, "experiment", json_string(name)) : json_object_set_new(payload, "experiment_id", json_string(id ? id : "0"));
}

static int check_options(const mlf_run_options *options, const char *run_id, mlf_error *error)
{
    if (options->version != MLF_ABI_VERSION)
        return mlf_error_set(error, MLF_E_ARGUMENT, "run options: expected version %d (begin from MLF_RUN_OPTIONS_INIT), got %d", MLF_ABI_VERSION, options->version);
    int code = run_id ? mlf_check_run_id(run_id, error) : MLF_OK;
    if (!code && options->parent_run_id)
        code = mlf_check_run_id(options->parent_run_id, error);
    if (!code && options->experiment)
        code = mlf_check_text("experiment", options->experiment, MLF_MAX_EXPERIMENT_NAME, error);
    if (!code && options->name)
        code = mlf_check_text("run name", options->name, MLF_MAX_KEY, error);
    return code;
}

/* The journal's first operation. */
static json_t *first_payload(mlf_run *run, const mlf_run_options *options, const char *run_id, mlf_error *error)
{
    json_t *payload = json_object(), *tags = run_id ? NULL : mlf_run_context(run->hub->client, options, error);
    int bad = !payload || put_experiment(payload, options->experiment) || (!run_id && !tags);
    if (run_id)
        bad = bad || json_object_set_new(payload, "run_id", json_string(run_id)) || (options->keep_status && json_object_set_new(payload, "as_is", json_true()));
    else
        bad = bad || json_object_set_new(payload, "key", json_string(run->folder.key)) || json_object_set_new(payload, "start_time", json_integer(sv_epoch_ms())) ||
              json_object_set(payload, "user", json_object_get(tags, "mlflow.user")) || json_object_set(payload, "tags", tags) ||
              (options->name && json_object_set_new(payload, "name", json_string(options->name)));
    json_decref(tags);
    if (!bad)
        return payload;
    json_decref(payload);
    mlf_error_memory(error); /* unless a tag was wrong, which it says already */
    return NULL;
}

/* It goes on with a run that is still in the journal it began in: of the program that started this one, for instance. */
static int is_early(const mlf_run *run)
{
    return run->sender.failure.code == MLF_E_NOT_FOUND && mlf_may_be_key(run->continued);
}

/* The server is asked at once, so that the run has its id; when it does not answer, the journal has it. */
static int begin_on_server(mlf_run *run, mlf_error *error)
{
    int64_t began = sv_monotonic_ns();
    mlf_work work = MLF_WORK_NONE;
    run->sender.replay.timeout_ms = START_TIMEOUT_MS;
    do {
        if (work == MLF_WORK_PAUSE)
            nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL);
        work = mlf_sender_work(&run->sender);
    } while (work == MLF_WORK_PAUSE && run->sender.failure.http_status && sv_monotonic_ns() - began < START_PATIENCE_MS * INT64_C(1000000));
    run->sender.replay.timeout_ms = 0;
    if (work == MLF_WORK_HALT && is_early(run)) {
        sv_log(SV_LOG_WARN, "%.300s: what is logged waits in the journal %s", run->sender.failure.message, run->folder.path ? run->folder.path : run->folder.key);
        return MLF_OK;
    }
    if (work == MLF_WORK_HALT) {
        mlf_sender_failure(&run->sender, error);
        return error && error->code ? error->code : MLF_E_SERVER;
    }
    if (work == MLF_WORK_PAUSE)
        sv_log(SV_LOG_WARN, "the tracking server does not answer (%.300s): the run begins in the journal%s%s and is sent when it does", run->sender.failure.message,
               run->folder.path ? " " : "", run->folder.path ? run->folder.path : "");
    return MLF_OK;
}

static int write_first(mlf_run *run, int kind, const json_t *payload, mlf_error *error)
{
    int code = mlf_hub_op(run, kind, payload, error);
    if (code)
        return code;
    if (mlf_stream_append(&run->folder.stream, run->pending.data, run->pending.size))
        return mlf_error_memory(error);
    sv_buffer_clear(&run->pending);
    return MLF_OK;
}

static int begin(mlf_run *run, const mlf_run_options *options, mlf_error *error)
{
    mlf_client *client = run->hub->client;
    const char *run_id = options->run_id ? options->run_id : run_id_from_environment();
    char key[MLF_JOURNAL_KEY + 1];
    int code = check_options(options, run_id, error);
    if (!code)
        code = mlf_journal_key(key, error);
    if (!code)
        code = mlf_folder_create(&run->folder, client->settings.journal_dir, key, error);
    if (!code && *client->settings.tracking_uri)
        code = mlf_folder_set_id(&run->folder, MLF_FOLDER_SERVER, client->settings.tracking_uri, error);
    if (!code)
        code = mlf_sender_init(&run->sender, client, &run->folder, 1, &run->hub->cancel, error);
    json_t *payload = code ? NULL : first_payload(run, options, run_id, error);
    if (!code && !payload)
        code = MLF_E_ARGUMENT;
    if (!code && run_id)
        snprintf(run->continued, sizeof run->continued, "%s", run_id);
    if (!code && run_id && run->hub->sending)
        mlf_sync_cut_off(client, run_id);
    if (!code)
        code = write_first(run, run_id ? MLF_OP_RUN_CONTINUE : MLF_OP_RUN_CREATE, payload, error);
    json_decref(payload);
    return code || !run->hub->sending ? code : begin_on_server(run, error);
}

/* Not adopted by the hub: nobody else knows it. */
static void abandon(mlf_run *run)
{
    mlf_sender_free(&run->sender);
    mlf_folder_remove(&run->folder, NULL);
    sv_buffer_free(&run->pending);
    sv_free(run);
}

int mlf_run_create(mlf_run **out, mlf_client *client, const mlf_run_options *options, mlf_error *error)
{
    static const mlf_run_options usual = MLF_RUN_OPTIONS_INIT;
    mlf_error local = MLF_ERROR_INIT;
    *out = NULL;
    mlf_hub *hub = mlf_hub_of(client, error);
    if (!hub)
        return error && error->code ? error->code : MLF_E_STATE;
    mlf_run *run = sv_calloc(1, sizeof *run);
    if (!run)
        return mlf_error_memory(error);
    run->hub = hub;
    run->pending.max = run->writing.max = MLF_HUB_PENDING;
    run->fork_generation = mlf_fork_generation;
    if (!options)
        options = &usual;
    int code = begin(run, options, &local);
    if (code) {
        if (error && !error->code)
            *error = local;
        abandon(run);
        return local.code ? local.code : code;
    }
    mlf_hub_adopt(hub, run);
    code = mlf_sampler_start(&run->sampler, run, options->system_metrics, error);
    if (code)
        mlf_run_free(run);
    else
        *out = run;
    return code;
}

/* ---- logging ---- */

static inline int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline int may_log(const mlf_run *run)
{
    return run->fork_generation == mlf_fork_generation && !atomic_load_explicit(&run->ended, memory_order_relaxed);
}

/* Why a key was not taken; said once a run, for programs that do not look at the code. Not inline: an mlf_error is large, and the callers are in a hurry. */
static __attribute__((noinline)) int why_not(mlf_run *run, const char *key)
{
    mlf_error error = MLF_ERROR_INIT;
    if (mlf_keys_get(&run->hub->keys, key, &error))
        return MLF_E_MEMORY;
    if (error.code == MLF_E_ARGUMENT && !atomic_exchange(&run->warned_of_key, 1))
        sv_log(SV_LOG_WARN, "run %s: %s; not logged (said once a run)", mlf_run_id(run), error.message);
    return error.code;
}

int mlf_metric_key_check(const char *key, mlf_error *error)
{
    return mlf_check_key("metric", key, error);
}

int mlf_run_log_metric(mlf_run *run, const char *key, double value, int64_t step)
{
    if (!run || !key)
        return MLF_E_ARGUMENT;
    if (!may_log(run))
        return MLF_E_STATE;
    const mlf_point point = {run, mlf_keys_get(&run->hub->keys, key, NULL), value, now_ms(), step};
    return point.key ? mlf_hub_log(run->hub, &point) : why_not(run, key);
}

int mlf_run_log_metrics(mlf_run *run, const char *const *keys, const double *values, size_t n, int64_t step)
{
    int64_t timestamp_ms = now_ms();
    if (!run || !keys || !values)
        return MLF_E_ARGUMENT;
    if (!may_log(run))
        return MLF_E_STATE;
    for (size_t i = 0; i < n; i++)
        if (!keys[i] || !mlf_keys_get(&run->hub->keys, keys[i], NULL))
            return keys[i] ? why_not(run, keys[i]) : MLF_E_ARGUMENT;
    int code = MLF_OK;
    for (size_t i = 0; !code && i < n; i++)
        code = mlf_hub_log(run->hub, &(mlf_point){run, mlf_keys_get(&run->hub->keys, keys[i], NULL), values[i], timestamp_ms, step});
    return code;
}

int mlf_run_log_series(mlf_run *run, const char *key, const int64_t *steps, const double *values, size_t n)
{
    if (!run || !key || !steps || !values)
        return MLF_E_ARGUMENT;
    if (!may_log(run))
        return MLF_E_STATE;
    mlf_point point = {.run = run, .key = mlf_keys_get(&run->hub->keys, key, NULL), .timestamp_ms = now_ms()};
    int code = point.key ? MLF_OK : why_not(run, key);
    for (size_t i = 0; !code && i < n; i++) {
        point.value = values[i];
        point.step = steps[i];
        code = mlf_hub_log(run->hub, &point);
    }
    return code;
}

/* Longer values are cut as the server would, or refused when MLFLOW_TRUNCATE_LONG_VALUES says so. */
static int log_pair(mlf_run *run, mlf_op_kind kind, const char *key, const char *value, size_t most, mlf_error *error)
{
    const char *what = kind == MLF_OP_PARAM ? "param" : "tag";
    int code = mlf_run_check(run, error);
    if (!code && (!key || !value))
        code = mlf_error_set(error, MLF_E_ARGUMENT, "%s: expected a key and a value, got NULL", what);
    if (!code)
        code = mlf_check_key(what, key, error);
    if (code)
        return code;
    int cut = run->hub->client->settings.truncate_long_values && mlf_text_length(value) != SIZE_MAX;
    size_t length = cut ? mlf_text_cut(value, most) : strlen(value);
    char *copy = sv_strndup(value, length);
    code = copy ? mlf_check_text(what, copy, most, error) : mlf_error_memory(error);
    if (!code) {
        json_t *payload = json_pack("{s:s, s:s}", "key", key, "value", copy);
        code = mlf_hub_op(run, (int)kind, payload, error);
        json_decref(payload);
    }
    sv_free(copy);
    return code;
}

int mlf_run_log_param(mlf_run *run, const char *key, const char *value, mlf_error *error)
{
    return log_pair(run, MLF_OP_PARAM, key, value, MLF_MAX_PARAM_VALUE, error);
}

int mlf_run_set_tag(mlf_run *run, const char *key, const char *value, mlf_error *error)
{
    return log_pair(run, MLF_OP_TAG, key, value, MLF_MAX_TAG_VALUE, error);
}

int mlf_run_log_input(mlf_run *run, const mlf_dataset *dataset, mlf_error *error)
{
    int code = mlf_run_check(run, error);
    if (code)
        return code;
    if (!dataset || !dataset->name || !dataset->digest)
        return mlf_error_set(error, MLF_E_ARGUMENT, "dataset: expected a name and a digest");
    const struct { const char *name, *value; size_t most; } fields[] = {
        {"name", dataset->name, MLF_MAX_DATASET_NAME},       {"digest", dataset->digest, MLF_MAX_DATASET_DIGEST}, {"source_type", dataset->source_type ? dataset->source_type : "local", MLF_MAX_DATASET_NAME},
        {"source", dataset->source ? dataset->source : "{}", MLF_MAX_DATASET_SOURCE}, {"schema", dataset->schema, MLF_MAX_DATASET_SCHEMA}, {"profile", dataset->profile, MLF_MAX_DATASET_PROFILE},
        {"context", dataset->context, MLF_MAX_INPUT_TAG_VALUE},
    };
    json_t *payload = json_object();
    for (size_t i = 0; !code && i < sizeof fields / sizeof *fields; i++) {
        if (!fields[i].value)
            continue;
        code = mlf_check_text(fields[i].name, fields[i].value, fields[i].most, error);
        if (!code && json_object_set_new(payload, fields[i].name, json_string(fields[i].value)))
            code = mlf_error_memory(error);
    }
    if (!code)
        code = mlf_hub_op(run, MLF_OP_INPUT, payload, error);
    json_decref(payload);
    return code;
}

/* ---- ending ---- */

int mlf_run_end(mlf_run *run, mlf_status status, mlf_error *error)
{
    if (!run)
        return MLF_OK;
    int code = mlf_run_check(run, error);
    if (code)
        return code;
    if ((unsigned)status >= sizeof status_names / sizeof *status_names)
        return mlf_error_set(error, MLF_E_ARGUMENT, "run status: expected MLF_RUNNING to MLF_KILLED, got %d", (int)status);
    mlf_sampler_stop(run->sampler);
    atomic_store(&run->ended, 1);
    json_t *payload = json_pack("{s:s, s:I}", "status", status_names[status], "end_time", (json_int_t)sv_epoch_ms());
    mlf_error unwritten = MLF_ERROR_INIT;
    code = mlf_hub_op(run, MLF_OP_RUN_END, payload, &unwritten);
    json_decref(payload);
    int unsent = mlf_hub_flush(run->hub, run, -1, error);
    if (code && !unsent && error && !error->code)
        *error = unwritten;
    code = unsent ? unsent : code;
    uint64_t refused = mlf_sender_refused(&run->sender);
    if (!code && refused)
        code = mlf_error_set(error, MLF_E_SERVER, "run %s: the server refused %llu of the things logged, kept in refused-%s.jsonl beside the journals", mlf_run_id(run),
                             (unsigned long long)refused, run->folder.key);
    else if (code == MLF_E_IO)
        mlf_error_prefix(error, "run %s: ", mlf_run_id(run));
    else if (code && run->folder.path)
        mlf_error_prefix(error, "run %s waits in %s for `mlflowc sync`: ", mlf_run_id(run), run->folder.path);
    mlf_hub_detach(run);
    return code;
}

void mlf_run_free(mlf_run *run)
{
    if (!run || run->fork_generation != mlf_fork_generation)
        return;
    mlf_sampler_stop(run->sampler);
    atomic_store(&run->ended, 1);
    mlf_hub_detach(run);
}
