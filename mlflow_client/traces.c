/* Traces and their assessments (MLflow 3). */
#include "client_error.h"
#include "endpoints.h"
#include "iterator.h"
#include "object.h"
#include "validate.h"

enum { TRACES_PAGE = 100 };

int mlf_traces_log(mlf_object **trace, mlf_client *client, const mlf_object *trace_info, mlf_error *error)
{
    json_t *reply, *arguments = json_pack("{s:{s:O}}", "trace", "trace_info", mlf_object_json(trace_info));
    int code = mlf_endpoint_call(&reply, client, EP(traces_create), arguments, error);
    json_t *info = json_incref(mlf_json_at(reply, "trace.trace_info"));
    json_decref(reply);
    if (trace)
        *trace = mlf_object_of(info);
    else
        json_decref(info);
    return code;
}

int mlf_traces_get(mlf_object **trace, mlf_client *client, const char *trace_id, mlf_error *error)
{
    return mlf_endpoint_object(trace, client, EP(traces_get_info), json_pack("{s:s}", "trace_id", trace_id),
                               "trace.trace_info", error);
}

int mlf_traces_search(mlf_iterator **out, mlf_client *client, const mlf_query *query, mlf_error *error)
{
    json_t *arguments = mlf_query_arguments(query, NULL, 0), *locations = json_array();
    for (size_t i = 0; locations && query && i < query->n_experiment_ids; i++) {
        json_t *location = json_pack("{s:s, s:{s:s}}", "type", "MLFLOW_EXPERIMENT", "mlflow_experiment",
                                     "experiment_id", query->experiment_ids[i]);
        if (!location || json_array_append_new(locations, location)) {
            json_decref(locations);
            locations = NULL;
        }
    }
    if (arguments && (!locations || json_object_set(arguments, "locations", locations))) {
        json_decref(arguments);
        arguments = NULL;
    }
    json_decref(locations);
    return mlf_iterator_new(out, client, EP(traces_search), arguments, TRACES_PAGE, error);
}

int mlf_traces_set_tag(mlf_client *client, const char *trace_id, const char *key, const char *value, mlf_error *error)
{
    int code = mlf_check_text("trace tag value", value ? value : "", MLF_MAX_TAG_VALUE, error);
    if (code) return code;
    json_t *arguments = json_pack("{s:s, s:s, s:s}", "trace_id", trace_id, "key", key, "value", value ? value : "");
    return mlf_endpoint_call(NULL, client, EP(traces_set_tag), arguments, error);
}

int mlf_traces_delete_tag(mlf_client *client, const char *trace_id, const char *key, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(traces_delete_tag),
                             json_pack("{s:s, s:s}", "trace_id", trace_id, "key", key), error);
}

int mlf_traces_delete(mlf_client *client, const char *experiment_id, const char *trace_id, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:[s]}", "experiment_id", experiment_id, "request_ids", trace_id);
    return mlf_endpoint_call(NULL, client, EP(traces_delete), arguments, error);
}

int mlf_traces_link_to_run(mlf_client *client, const char *trace_id, const char *run_id, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(traces_link_to_run),
                             json_pack("{s:[s], s:s}", "trace_ids", trace_id, "run_id", run_id), error);
}

/* ---- assessments ---- */

int mlf_assessments_create(mlf_object **out, mlf_client *client, const char *trace_id, const mlf_object *assessment,
                           mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:O}", "trace_id", trace_id, "assessment", mlf_object_json(assessment));
    return mlf_endpoint_object(out, client, EP(assessments_create), arguments, "assessment", error);
}

int mlf_assessments_get(mlf_object **out, mlf_client *client, const char *trace_id, const char *assessment_id,
                        mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:s}", "trace_id", trace_id, "assessment_id", assessment_id);
    return mlf_endpoint_object(out, client, EP(assessments_get), arguments, "assessment", error);
}

int mlf_assessments_update(mlf_client *client, const char *trace_id, const char *assessment_id,
                           const mlf_object *assessment, const char *update_mask, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:s, s:O, s:s}", "trace_id", trace_id, "assessment_id", assessment_id,
                                  "assessment", mlf_object_json(assessment), "update_mask", update_mask);
    return mlf_endpoint_call(NULL, client, EP(assessments_update), arguments, error);
}

int mlf_assessments_delete(mlf_client *client, const char *trace_id, const char *assessment_id, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:s}", "trace_id", trace_id, "assessment_id", assessment_id);
    return mlf_endpoint_call(NULL, client, EP(assessments_delete), arguments, error);
}
