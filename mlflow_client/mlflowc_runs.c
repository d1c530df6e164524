/* mlflowc runs, metrics, params: synchronous, one request a command. */
#include "alloc.h"
#include "client_error.h"
#include "clock.h"
#include "endpoints.h"
#include "folder.h"
#include "hub.h"
#include "json_text.h"
#include "log.h"
#include "mlflowc.h"
#include "mlflowc_query.h"
#include "number.h"
#include "replay.h"
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

int mlc_runs_create(mlc *m)
{
    mlf_run_options options = MLF_RUN_OPTIONS_INIT;
    mlf_pair *tags;
    size_t n_tags;
    mlf_run *run = NULL;
    int code = mlc_option_pairs(m, "tag", &tags, &n_tags);
    if (code) return code;
    options.experiment = mlc_option_value(m, "experiment");
    options.name = mlc_option_value(m, "name");
    options.description = mlc_option_value(m, "description");
    options.parent_run_id = mlc_option_value(m, "parent");
    options.source_name = "mlflowc";
    options.tags = tags;
    options.n_tags = n_tags;
    options.system_metrics = 0;
    code = mlf_run_create(&run, m->client, &options, &m->error);
    if (!code) mlc_print_fact(m, "run_id", mlf_run_id(run));
    mlf_run_free(run);
    sv_free(tags);
    return code;
}

int mlc_runs_end(mlc *m)
{
    const char *status = mlc_option_value(m, "status");
    return mlf_runs_update(m->client, m->arguments[0], status ? status : "FINISHED", sv_epoch_ms(), NULL, &m->error);
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

int mlc_runs_tag(mlc *m)
{
    int code = MLF_OK;
    for (int i = 1; !code && i < m->n_arguments; i++) {
        mlf_pair tag;
        code = mlc_pairs(m, &m->arguments[i], 1, &tag);
        if (!code) code = mlf_runs_set_tag(m->client, m->arguments[0], tag.key, tag.value, &m->error);
    }
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

void mlc_know_run(mlc *m, char *text)
{
    char run_id[MLF_RUN_ID_SIZE];
    if (mlf_replay_find(run_id, m->client, text, NULL) > 0 && strlen(run_id) == strlen(text)) strcpy(text, run_id);
}

/* ---- the same into the journal ---- */

/* The journal of a run that itself waits here: its experiment's name (sv_free; NULL: none given) and 1; 0 when there is none. */
static int find_waiting(const mlc *m, const char *run_id, char **experiment)
{
    mlf_journal *journal = NULL;
    mlf_journal_record record;
    sv_buffer path = SV_BUFFER_INIT(0);
    int found = mlf_is_journal_key(run_id) && !sv_buffer_format(&path, "%s/%s", m->client->settings.journal_dir, run_id) &&
                !mlf_journal_open(&journal, path.data, NULL);
    *experiment = NULL;
    if (found && !mlf_journal_next(journal, &record, NULL) && record.json) {
        json_t *first;
        mlf_json_parse(&first, record.json, strlen(record.json), 0, NULL);
        *experiment = sv_strdup(json_string_value(json_object_get(first, "experiment")));
        json_decref(first);
    }
    mlf_journal_close(journal);
    sv_buffer_free(&path);
    return found;
}

static int journal_item(mlc *m, mlf_run *run, const json_t *item)
{
    const char *key = json_string_value(json_object_get(item, "key"));
    int64_t step = json_integer_value(json_object_get(item, "step"));
    mlf_point point = {.run = run, .timestamp_ms = json_integer_value(json_object_get(item, "timestamp")), .step = step};
    if (!json_object_get(item, "step"))
        return mlf_run_log_param(run, key, json_string_value(json_object_get(item, "value")), &m->error);
    /* With its own time: the server may have taken it although its answer never came, and the same point twice is one. */
    point.key = mlf_keys_get(&run->hub->keys, key, &m->error);
    if (!point.key) return m->error.code;
    if (mlf_json_to_double(json_object_get(item, "value"), &point.value) || mlf_hub_log(run->hub, &point))
        return mlf_error_set(&m->error, MLF_E_IO, "metric %.100s: the journal does not take it", key);
    return MLF_OK;
}

/* Adds to the run without a server, for a later sync. */
static int keep_items(mlc *m, const json_t *items, const char *experiment)
{
    mlf_client_options client_options = MLF_CLIENT_OPTIONS_INIT;
    mlf_run_options options = MLF_RUN_OPTIONS_INIT;
    mlf_client *client = NULL;
    mlf_run *run = NULL;
    client_options.offline = 1;
    client_options.tracking_uri = m->client->settings.server_is_asked ? m->client->settings.tracking_uri : NULL;
    options.run_id = m->arguments[0];
    options.experiment = experiment;
    options.keep_status = 1;
    options.system_metrics = 0;
    int code = mlf_client_new(&client, &client_options, &m->error);
    if (!code) code = mlf_run_create(&run, client, &options, &m->error);
    for (size_t i = 0; !code && i < json_array_size(items); i++)
        code = journal_item(m, run, json_array_get(items, i));
    mlf_run_free(run);
    mlf_client_free(client);
    return code;
}

/* Sends the batch, which it frees, or keeps it where that has to wait. */
static int send_or_keep(mlc *m, const char *list, json_t *items)
{
    const mlf_settings *settings = &m->client->settings;
    int away = settings->offline || !*settings->tracking_uri, code = MLF_OK;
    mlf_error sent = MLF_ERROR_INIT;
    char *experiment;
    int waits = find_waiting(m, m->arguments[0], &experiment);
    if (!away && !waits) {
        mlc_know_run(m, m->arguments[0]);
        code = mlf_endpoint_call(NULL, m->client, EP(runs_log_batch),
                                 json_pack("{s:s, s:O}", "run_id", m->arguments[0], list, items), &sent);
        away = code == MLF_E_CONNECT || code == MLF_E_TIMEOUT || (code && mlf_error_is_retriable(&sent));
    }
    if (away || waits) {
        code = keep_items(m, items, experiment);
        if (!code)
            sv_say("mlflowc: %s%skept in the journal for `mlflowc sync`", sent.message, *sent.message ? ": " : "");
    } else {
        m->error = sent;
    }
    sv_free(experiment);
    json_decref(items);
    return code;
}

/* All arguments behind the run as one batch of list ("metrics" or "params"). */
static int log_batch(mlc *m, const char *list, json_t *(*item_of)(mlc *m, char *text, long step))
{
    long step;
    int code = mlc_option_number(m, "step", 0, INT64_MIN, &step);
    json_t *items = json_array();
    for (int i = 1; !code && i < m->n_arguments; i++) {
        json_t *item = item_of(m, m->arguments[i], step);
        if (!item) code = m->error.code ? m->error.code : mlf_error_memory(&m->error);
        if (item && json_array_append_new(items, item)) code = mlf_error_memory(&m->error);
    }
    if (code) {
        json_decref(items);
        return code;
    }
    return send_or_keep(m, list, items);
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
    return mlc_print_search(m, code, iterator, columns, 3);
}
