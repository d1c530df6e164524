/* Runs as the server has them. What a program logs goes through run.c and the journal instead. */
#include "client_error.h"
#include "endpoints.h"
#include "iterator.h"
#include "object.h"
#include "validate.h"

enum { HISTORY_PAGE = 25000, RUNS_PAGE = 1000 };

int mlf_runs_get(mlf_object **run, mlf_client *client, const char *run_id, mlf_error *error)
{
    return mlf_endpoint_object(run, client, EP(runs_get), json_pack("{s:s}", "run_id", run_id), "run", error);
}

int mlf_runs_search(mlf_iterator **out, mlf_client *client, const mlf_query *query, mlf_error *error)
{
    static const mlf_query all = MLF_QUERY_INIT;
    return mlf_iterator_new(out, client, EP(runs_search), mlf_query_arguments(query ? query : &all, "run_view_type", 1),
                            RUNS_PAGE, error);
}

int mlf_runs_update(mlf_client *client, const char *run_id, const char *status, int64_t end_time_ms, const char *name,
                    mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:s*, s:s*}", "run_id", run_id, "status", status, "run_name", name);
    if (arguments && end_time_ms && json_object_set_new(arguments, "end_time", json_integer(end_time_ms))) {
        json_decref(arguments);
        arguments = NULL;
    }
    return mlf_endpoint_call(NULL, client, EP(runs_update), arguments, error);
}

int mlf_runs_delete(mlf_client *client, const char *run_id, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(runs_delete), json_pack("{s:s}", "run_id", run_id), error);
}

int mlf_runs_restore(mlf_client *client, const char *run_id, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(runs_restore), json_pack("{s:s}", "run_id", run_id), error);
}

int mlf_runs_set_tag(mlf_client *client, const char *run_id, const char *key, const char *value, mlf_error *error)
{
    int code = mlf_check_key("tag", key, error);
    if (!code && value) code = mlf_check_text("tag value", value, MLF_MAX_TAG_VALUE, error);
    if (code) return code;
    json_t *arguments = json_pack("{s:s, s:s, s:s}", "run_id", run_id, "key", key, "value", value ? value : "");
    return mlf_endpoint_call(NULL, client, EP(runs_set_tag), arguments, error);
}

int mlf_runs_delete_tag(mlf_client *client, const char *run_id, const char *key, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(runs_delete_tag), json_pack("{s:s, s:s}", "run_id", run_id, "key", key),
                             error);
}

int mlf_runs_log_input(mlf_client *client, const char *run_id, const mlf_dataset *dataset, mlf_error *error)
{
    if (!dataset || !dataset->name || !dataset->digest)
        return mlf_error_set(error, MLF_E_ARGUMENT, "dataset: expected a name and a digest");
    json_t *about = json_pack("{s:s, s:s, s:s, s:s, s:s*, s:s*}", "name", dataset->name, "digest", dataset->digest,
                              "source_type", dataset->source_type ? dataset->source_type : "local", "source",
                              dataset->source ? dataset->source : "{}", "schema", dataset->schema, "profile",
                              dataset->profile);
    json_t *tags = dataset->context
                       ? json_pack("[{s:s, s:s}]", "key", "mlflow.data.context", "value", dataset->context)
                       : json_array();
    json_t *arguments = json_pack("{s:s, s:[{s:o, s:o}]}", "run_id", run_id, "datasets", "tags", tags, "dataset", about);
    return mlf_endpoint_call(NULL, client, EP(runs_log_inputs), arguments, error);
}

int mlf_runs_log_outputs(mlf_client *client, const char *run_id, const char *const *model_ids, size_t n_models,
                         int64_t step, mlf_error *error)
{
    json_t *models = json_array();
    for (size_t i = 0; i < n_models; i++)
        models = mlf_json_append(models, json_pack("{s:s, s:I}", "model_id", model_ids[i], "step", (json_int_t)step));
    return mlf_endpoint_call(NULL, client, EP(runs_log_outputs),
                             json_pack("{s:s, s:o}", "run_id", run_id, "models", models), error);
}

/* max_results is always sent: servers 3.3 to 3.8 answer an empty page without it, 2.x ignore it and send everything. */
int mlf_metrics_history(mlf_iterator **out, mlf_client *client, const char *run_id, const char *key, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:s}", "run_id", run_id, "metric_key", key);
    return mlf_iterator_new(out, client, EP(metrics_get_history), arguments, HISTORY_PAGE, error);
}
