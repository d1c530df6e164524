/* Logged models (MLflow 3). Logging a whole folder as one: mlf_run_log_model(). */
#include "client_error.h"
#include "endpoints.h"
#include "iterator.h"
#include "object.h"
#include "validate.h"

#include <string.h>
#include <strings.h>

enum { MODELS_PAGE = 50 };

int mlf_logged_models_create(mlf_object **model, mlf_client *client, const char *experiment_id, const char *name,
                             const char *model_type, const char *source_run_id, const mlf_pair *params, size_t n_params,
                             const mlf_pair *tags, size_t n_tags, mlf_error *error)
{
    *model = NULL;
    int code = name ? mlf_check_logged_model_name(name, error) : MLF_OK;
    if (code) return code;
    json_t *arguments = json_pack("{s:s, s:s*, s:s*, s:s*, s:o, s:o}", "experiment_id", experiment_id, "name", name,
                                  "model_type", model_type, "source_run_id", source_run_id, "params",
                                  mlf_json_pairs(params, n_params), "tags", mlf_json_pairs(tags, n_tags));
    return mlf_endpoint_object(model, client, EP(logged_models_create), arguments, "model", error);
}

int mlf_logged_models_finalize(mlf_client *client, const char *model_id, int is_ready, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:s}", "model_id", model_id, "status",
                                  is_ready ? "LOGGED_MODEL_READY" : "LOGGED_MODEL_UPLOAD_FAILED");
    return mlf_endpoint_call(NULL, client, EP(logged_models_finalize), arguments, error);
}

int mlf_logged_models_get(mlf_object **model, mlf_client *client, const char *model_id, mlf_error *error)
{
    return mlf_endpoint_object(model, client, EP(logged_models_get), json_pack("{s:s}", "model_id", model_id), "model",
                               error);
}

/* This search alone wants its order as objects: "metrics.loss DESC" becomes {"field_name", "ascending"}. */
static json_t *order_objects(const mlf_query *query)
{
    json_t *list = json_array();
    for (size_t i = 0; list && query && i < query->n_order_by; i++) {
        const char *text = query->order_by[i];
        size_t length = strlen(text), name = strcspn(text, " ");
        int descending = length > 5 && !strcasecmp(text + length - 5, " DESC");
        json_t *field = json_pack("{s:s%, s:b}", "field_name", text, name, "ascending", !descending);
        if (!field || json_array_append_new(list, field)) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

int mlf_logged_models_search(mlf_iterator **out, mlf_client *client, const mlf_query *query, mlf_error *error)
{
    static const mlf_query all = MLF_QUERY_INIT;
    json_t *arguments = mlf_query_arguments(query ? query : &all, NULL, 1), *order = order_objects(query);
    if (arguments && (!order || json_object_set(arguments, "order_by", order))) {
        json_decref(arguments);
        arguments = NULL;
    }
    json_decref(order);
    return mlf_iterator_new(out, client, EP(logged_models_search), arguments, MODELS_PAGE, error);
}

int mlf_logged_models_delete(mlf_client *client, const char *model_id, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(logged_models_delete), json_pack("{s:s}", "model_id", model_id), error);
}

int mlf_logged_models_log_params(mlf_client *client, const char *model_id, const mlf_pair *params, size_t n_params,
                                 mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:o}", "model_id", model_id, "params", mlf_json_pairs(params, n_params));
    return mlf_endpoint_call(NULL, client, EP(logged_models_log_params), arguments, error);
}

int mlf_logged_models_set_tag(mlf_client *client, const char *model_id, const char *key, const char *value,
                              mlf_error *error)
{
    int code = mlf_check_key("tag", key, error);
    if (code) return code;
    json_t *arguments =
        json_pack("{s:s, s:[{s:s, s:s}]}", "model_id", model_id, "tags", "key", key, "value", value ? value : "");
    return mlf_endpoint_call(NULL, client, EP(logged_models_set_tags), arguments, error);
}

int mlf_logged_models_delete_tag(mlf_client *client, const char *model_id, const char *key, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(logged_models_delete_tag),
                             json_pack("{s:s, s:s}", "model_id", model_id, "tag_key", key), error);
}
