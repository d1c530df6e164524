/* mlflowc runs, metrics, params: synchronous, one request a command; what logs goes to the journal where that has to wait. */
#include "alloc.h"
#include "client_error.h"
#include "clock.h"
#include "endpoints.h"
#include "hub.h"
#include "json_text.h"
#include "mlflowc.h"
#include "mlflowc_query.h"
#include "number.h"
#include "registry.h"
#include "run.h"
#include "validate.h"

#include <string.h>

static const mlc_column run_columns[] = {{"RUN", "info.run_id"},
                                         {"NAME", "info.run_name"},
                                         {"STATUS", "info.status"},
                                         {"STARTED", "info.start_time~"},
                                         {"USER", "data.tags@mlflow.user"}};

int mlc_runs_list(mlc *m)
{
    mlc_query query;
    mlf_iterator *iterator = NULL;
    mlc_column columns[MLC_MAX_COLUMNS];
    char texts[MLC_MAX_COLUMNS][160];
    size_t n = mlc_columns(m, run_columns, sizeof run_columns / sizeof *run_columns, columns, texts);
    int code = mlc_query_experiments(m, &query);
    if (!code) code = mlf_runs_search(&iterator, m->client, &query.query, &m->error);
    mlc_query_free(&query);
    return mlc_print_search(m, code, iterator, columns, n);
}

int mlc_runs_get(mlc *m)
{
    mlf_object *run = NULL;
    int code = mlf_runs_get(&run, m->client, m->arguments[0], &m->error);
    return mlc_print_object(m, code, run);
}

/* A run that neither the server nor the disk has is none: its key would stand for nothing. */
static int check_kept(mlc *m, mlf_run *run)
{
    if (mlf_run_is_online(run) || !mlf_stream_is_refusing(&run->folder.stream)) return MLF_OK;
    return mlf_error_set(&m->error, MLF_E_IO, "the run is not begun: no server has it, and no journal can be written in %.600s", m->client->settings.journal_dir);
}

/* The id of --parent in run_id ("" without one): a run that the server knows, or one that waits here. */
static int read_parent(mlc *m, char run_id[MLC_RUN_SIZE])
{
    const char *given = mlc_option_value(m, "parent");
    mlf_object *found = NULL;
    mlf_error error = MLF_ERROR_INIT;
    snprintf(run_id, MLC_RUN_SIZE, "%s", given ? given : "");
    if (!given || mlc_is_away(m)) return MLF_OK;
    mlc_know_run(m, run_id);
    int code = mlf_runs_get(&found, m->client, run_id, &error);
    mlf_object_free(found);
    if (!code || mlf_is_for_later(code, &error) || mlc_waits_here(m, run_id)) return MLF_OK;
    m->error = error;
    mlf_error_prefix(&m->error, "--parent: ");
    return code;
}

int mlc_runs_create(mlc *m)
{
    char parent[MLC_RUN_SIZE];
    mlf_run_options options = MLF_RUN_OPTIONS_INIT;
    mlf_pair *tags;
    size_t n_tags;
    mlf_run *run = NULL;
    int code = mlc_option_pairs(m, "tag", &tags, &n_tags);
    if (code) return code;
    options.experiment = mlc_option_value(m, "experiment");
    options.name = mlc_option_value(m, "name");
    options.description = mlc_option_value(m, "description");
    code = read_parent(m, parent);
    options.parent_run_id = *parent ? parent : NULL;
    options.source_name = "mlflowc";
    options.tags = tags;
    options.n_tags = n_tags;
    options.system_metrics = 0;
    if (!code) code = mlf_run_create(&run, m->client, &options, &m->error);
    if (!code) code = check_kept(m, run);
    if (!code) mlc_print_fact(m, "run_id", mlf_run_id(run));
    mlf_run_free(run);
    sv_free(tags);
    return code;
}

typedef struct ending {
    const char *status;
    int64_t end_time_ms;
} ending;

static int send_end(mlc *m, const char *run_id, void *what, mlf_error *error)
{
    const ending *e = what;
    return mlf_runs_update(m->client, run_id, e->status, e->end_time_ms, NULL, error);
}

static int keep_end(mlc *m, mlf_run *run, void *what)
{
    const ending *e = what;
    json_t *payload = json_pack("{s:s, s:I}", "status", e->status, "end_time", (json_int_t)e->end_time_ms);
    int code = payload ? mlf_run_op(run, MLF_OP_RUN_END, payload, &m->error) : mlf_error_memory(&m->error);
    json_decref(payload);
    return code;
}

int mlc_runs_end(mlc *m)
{
    const char *status = mlc_option_value(m, "status");
    ending e = {status ? status : "FINISHED", sv_epoch_ms()};
    if (strcmp(e.status, "FINISHED") && strcmp(e.status, "FAILED") && strcmp(e.status, "KILLED"))
        return mlf_error_set(&m->error, MLF_E_ARGUMENT, "--status: expected FINISHED, FAILED or KILLED, got \"%.80s\"", e.status);
    return mlc_send_or_keep(m, m->arguments[0], &(mlc_deed){send_end, keep_end, &e});
}

int mlc_runs_rename(mlc *m)
{
    return mlf_runs_update(m->client, m->arguments[0], NULL, 0, m->arguments[1], &m->error);
}

int mlc_runs_delete(mlc *m)
{
    int code = MLF_OK;
    for (int i = 0; !code && i < m->n_arguments; i++)
        code = mlf_runs_delete(m->client, m->arguments[i], &m->error);
    return code;
}

int mlc_runs_restore(mlc *m)
{
    int code = MLF_OK;
    for (int i = 0; !code && i < m->n_arguments; i++)
        code = mlf_runs_restore(m->client, m->arguments[i], &m->error);
    return code;
}

typedef struct pairs {
    mlf_pair *items;
    size_t n;
} pairs;

static int send_tags(mlc *m, const char *run_id, void *what, mlf_error *error)
{
    const pairs *tags = what;
    int code = MLF_OK;
    for (size_t i = 0; !code && i < tags->n; i++)
        code = mlf_runs_set_tag(m->client, run_id, tags->items[i].key, tags->items[i].value, error);
    return code;
}

static int keep_tags(mlc *m, mlf_run *run, void *what)
{
    const pairs *tags = what;
    int code = MLF_OK;
    for (size_t i = 0; !code && i < tags->n; i++)
        code = mlf_run_set_tag(run, tags->items[i].key, tags->items[i].value, &m->error);
    return code;
}

int mlc_runs_tag(mlc *m)
{
    pairs tags = {NULL, (size_t)m->n_arguments - 1};
    tags.items = sv_calloc(tags.n, sizeof *tags.items);
    int code = tags.items ? mlc_pairs(m, m->arguments + 1, tags.n, tags.items) : mlf_error_memory(&m->error);
    if (!code) code = mlc_send_or_keep(m, m->arguments[0], &(mlc_deed){send_tags, keep_tags, &tags});
    sv_free(tags.items);
    return code;
}

/* ---- datasets ---- */

static int send_input(mlc *m, const char *run_id, void *what, mlf_error *error)
{
    return mlf_runs_log_input(m->client, run_id, what, error);
}

static int keep_input(mlc *m, mlf_run *run, void *what)
{
    return mlf_run_log_input(run, what, &m->error);
}

/* What MLflow calls a source by: {"uri": …} with its scheme as the type, "local" for a path; JSON is taken as it is. *text: sv_free. */
static int source_of(mlc *m, char **text, char type[16])
{
    const char *given = mlc_option_value(m, "source"), *colon = given ? strstr(given, "://") : NULL;
    snprintf(type, 16, "%.*s", colon && colon - given < 16 ? (int)(colon - given) : 5, colon && colon - given < 16 ? given : "local");
    if (!strcmp(type, "https")) type[4] = '\0';
    *text = NULL;
    if (!given) return MLF_OK;
    json_t *source = NULL;
    if (*given == '{') mlf_json_parse(&source, given, strlen(given), 1, NULL);
    if (*given == '{' && !source) return mlf_error_set(&m->error, MLF_E_ARGUMENT, "--source: begins as JSON, and is none: %.200s", given);
    if (!source) source = json_pack("{s:s}", strcmp(type, "http") ? "uri" : "url", given);
    sv_buffer out = SV_BUFFER_INIT(0);
    int code = !source ? mlf_error_set(&m->error, MLF_E_ARGUMENT, "--source: no valid UTF-8")
               : mlf_json_text(&out, source) || !(*text = sv_buffer_take(&out)) ? mlf_error_memory(&m->error) : MLF_OK;
    sv_buffer_free(&out);
    json_decref(source);
    return code;
}

int mlc_runs_input(mlc *m)
{
    mlf_dataset dataset = {.name = m->arguments[1], .digest = m->arguments[2], .context = mlc_option_value(m, "context")};
    char *source, type[16];
    int code = source_of(m, &source, type);
    const char *given = mlc_option_value(m, "source-type");
    dataset.source_type = given ? given : type;
    dataset.source = source;
    if (!code) code = mlc_send_or_keep(m, m->arguments[0], &(mlc_deed){send_input, keep_input, &dataset});
    sv_free(source);
    return code;
}

int mlc_runs_untag(mlc *m)
{
    int code = MLF_OK;
    for (int i = 1; !code && i < m->n_arguments; i++)
        code = mlf_runs_delete_tag(m->client, m->arguments[0], m->arguments[i], &m->error);
    return code;
}

/* ---- metrics and params ---- */

/* One "KEY=VALUE" as a point; NULL when it is none, with the reason in m->error. */
static json_t *point_of(mlc *m, char *text, long step)
{
    mlf_pair pair;
    double value;
    if (mlc_pairs(m, &text, 1, &pair) || mlf_check_key("metric", pair.key, &m->error)) return NULL;
    if (sv_parse_double(pair.value, strlen(pair.value), &value)) {
        mlf_error_set(&m->error, MLF_E_ARGUMENT, "metric %.100s: expected a number, got \"%.100s\"", pair.key,
                      pair.value);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:I, s:I}", "key", pair.key, "value", mlf_json_double(value), "timestamp",
                     (json_int_t)sv_epoch_ms(), "step", (json_int_t)step);
}

static json_t *param_of(mlc *m, char *text, long step)
{
    mlf_pair pair;
    if (mlc_pairs(m, &text, 1, &pair) || mlf_check_key("param", pair.key, &m->error) ||
        mlf_check_text("param value", pair.value, MLF_MAX_PARAM_VALUE, &m->error))
        return NULL;
    return json_pack("{s:s, s:s}", "key", pair.key, "value", pair.value);
}

/* ---- to the server, or into the journal ---- */

typedef struct batch {
    const char *list; /* "metrics" or "params" */
    json_t *items;
} batch;

static int send_items(mlc *m, const char *run_id, void *what, mlf_error *error)
{
    const batch *b = what;
    return mlf_endpoint_call(NULL, m->client, EP(runs_log_batch), json_pack("{s:s, s:O}", "run_id", run_id, b->list, b->items), error);
}

static int keep_item(mlc *m, mlf_run *run, const json_t *item)
{
    const char *key = json_string_value(json_object_get(item, "key"));
    mlf_point point = {.run = run,
                       .timestamp_ms = json_integer_value(json_object_get(item, "timestamp")),
                       .step = json_integer_value(json_object_get(item, "step"))};
    if (!json_object_get(item, "step"))
        return mlf_run_log_param(run, key, json_string_value(json_object_get(item, "value")), &m->error);
    /* With its own time: the server may have taken it although its answer never came, and the same point twice is one. */
    point.key = mlf_keys_get(&run->hub->keys, key, &m->error);
    if (!point.key) return m->error.code;
    if (mlf_json_to_double(json_object_get(item, "value"), &point.value) || mlf_hub_log(run->hub, &point))
        return mlf_error_set(&m->error, MLF_E_IO, "metric %.100s: the journal does not take it", key);
    return MLF_OK;
}

static int keep_items(mlc *m, mlf_run *run, void *what)
{
    const batch *b = what;
    int code = MLF_OK;
    for (size_t i = 0; !code && i < json_array_size(b->items); i++)
        code = keep_item(m, run, json_array_get(b->items, i));
    return code;
}

/* All arguments behind the run as one batch of list ("metrics" or "params"). */
static int log_batch(mlc *m, const char *list, json_t *(*item_of)(mlc *m, char *text, long step))
{
    long step;
    int code = mlc_option_number(m, "step", 0, INT64_MIN, &step);
    batch b = {list, json_array()};
    for (int i = 1; !code && i < m->n_arguments; i++) {
        json_t *item = item_of(m, m->arguments[i], step);
        if (!item) code = m->error.code ? m->error.code : mlf_error_memory(&m->error);
        if (item && json_array_append_new(b.items, item)) code = mlf_error_memory(&m->error);
    }
    if (!code) code = mlc_send_or_keep(m, m->arguments[0], &(mlc_deed){send_items, keep_items, &b});
    json_decref(b.items);
    return code;
}

int mlc_metrics_log(mlc *m)
{
    return log_batch(m, "metrics", point_of);
}

int mlc_params_log(mlc *m)
{
    return log_batch(m, "params", param_of);
}

int mlc_metrics_history(mlc *m)
{
    static const mlc_column columns[] = {{"STEP", "step"}, {"VALUE", "value"}, {"TIME", "timestamp~"}};
    mlf_iterator *iterator = NULL;
    int code = mlf_metrics_history(&iterator, m->client, m->arguments[0], m->arguments[1], &m->error);
    return mlc_print_all(m, code, iterator, columns, 3);
}
