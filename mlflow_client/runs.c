/* Runs as the server has them. What a program logs goes through run.c and the journal instead. */
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

/* max_results is always sent: servers 3.3 to 3.8 answer an empty page without it, 2.x ignore it and send everything. */
int mlf_metrics_history(mlf_iterator **out, mlf_client *client, const char *run_id, const char *key, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:s}", "run_id", run_id, "metric_key", key);
    return mlf_iterator_new(out, client, EP(metrics_get_history), arguments, HISTORY_PAGE, error);
}
