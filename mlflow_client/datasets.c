/* Evaluation datasets (MLflow 3.4). A run's input datasets: mlf_run_log_input(). */
#include "alloc.h"
#include "client_error.h"
#include "endpoints.h"
#include "iterator.h"
#include "json_text.h"
#include "object.h"

#include <stdlib.h>
#include <string.h>

enum { DATASETS_PAGE = 100, RECORDS_PAGE = 1000 };

/* An array of texts; new reference. */
static json_t *texts(const char *const *items, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        if (json_array_append_new(list, json_string(items[i]))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

int mlf_datasets_create(char **id, mlf_client *client, const char *name, const char *const *experiment_ids,
                        size_t n_experiment_ids, mlf_error *error)
{
    json_t *arguments =
        json_pack("{s:s, s:o}", "name", name, "experiment_ids", texts(experiment_ids, n_experiment_ids));
    return mlf_endpoint_text(id, client, EP(datasets_create), arguments, "dataset.dataset_id", error);
}

int mlf_datasets_get(mlf_object **dataset, mlf_client *client, const char *id, mlf_error *error)
{
    return mlf_endpoint_object(dataset, client, EP(datasets_get), json_pack("{s:s}", "dataset_id", id), "dataset",
                               error);
}

int mlf_datasets_delete(mlf_client *client, const char *id, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(datasets_delete), json_pack("{s:s}", "dataset_id", id), error);
}

int mlf_datasets_search(mlf_iterator **out, mlf_client *client, const mlf_query *query, mlf_error *error)
{
    json_t *arguments = mlf_query_arguments(query, NULL, query && query->n_experiment_ids),
           *filter = json_object_get(arguments, "filter");
    if (filter) { /* this search alone calls it filter_string */
        json_object_set(arguments, "filter_string", filter);
        json_object_del(arguments, "filter");
    }
    return mlf_iterator_new(out, client, EP(datasets_search), arguments, DATASETS_PAGE, error);
}

/* MLflow wants these as JSON text inside the JSON body. */
static json_t *as_text(const json_t *json)
{
    sv_buffer text = SV_BUFFER_INIT(0);
    json_t *string = mlf_json_text(&text, json) ? NULL : json_stringn(text.data, text.size);
    sv_buffer_free(&text);
    return string;
}

int mlf_datasets_upsert_records(mlf_client *client, const char *id, const mlf_object *records, mlf_error *error)
{
    json_t *list = json_object_get(mlf_object_json(records), "records");
    if (!json_is_array(list))
        return mlf_error_set(error, MLF_E_ARGUMENT, "records: expected an object with a list \"records\"");
    return mlf_endpoint_call(NULL, client, EP(datasets_upsert_records),
                             json_pack("{s:s, s:o}", "dataset_id", id, "records", as_text(list)), error);
}

int mlf_datasets_records(mlf_object **page, mlf_client *client, const char *id, const char *page_token,
                         mlf_error *error)
{
    json_t *reply,
        *arguments = json_pack("{s:s, s:i, s:s*}", "dataset_id", id, "max_results", RECORDS_PAGE, "page_token", page_token);
    int code = mlf_endpoint_call(&reply, client, EP(datasets_list_records), arguments, error);
    *page = NULL;
    if (code) return code;
    const char *text = json_string_value(json_object_get(reply, "records"));
    json_t *list = NULL;
    int parsed = mlf_json_parse(&list, text ? text : "[]", text ? strlen(text) : 2, 0, NULL);
    if (parsed == SV_E_MEMORY) {
        code = mlf_error_memory(error);
    } else if (json_is_array(list) && !json_object_set(reply, "records", list)) {
        *page = mlf_object_of(reply);
        reply = NULL;
    } else {
        code = mlf_error_set(error, MLF_E_REPLY, "datasets_list_records: \"records\" holds no JSON list");
    }
    json_decref(list);
    json_decref(reply);
    return code;
}

int mlf_datasets_list_records(mlf_iterator **out, mlf_client *client, const char *id, mlf_error *error)
{
    return mlf_iterator_new(out, client, EP(datasets_list_records), json_pack("{s:s}", "dataset_id", id), RECORDS_PAGE,
                            error);
}

int mlf_datasets_set_tag(mlf_client *client, const char *id, const char *key, const char *value, mlf_error *error)
{
    json_t *tags = json_pack("{s:s}", key, value ? value : "");
    json_t *arguments = tags ? json_pack("{s:s, s:o}", "dataset_id", id, "tags", as_text(tags)) : NULL;
    json_decref(tags);
    return mlf_endpoint_call(NULL, client, EP(datasets_set_tags), arguments, error);
}

int mlf_datasets_delete_tag(mlf_client *client, const char *id, const char *key, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(datasets_delete_tag),
                             json_pack("{s:s, s:s}", "dataset_id", id, "key", key), error);
}

int mlf_datasets_link(mlf_client *client, const char *id, const char *experiment_id, int is_linked, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:[s]}", "dataset_id", id, "experiment_ids", experiment_id);
    return mlf_endpoint_call(NULL, client, is_linked ? EP(datasets_add_experiments) : EP(datasets_remove_experiments),
                             arguments, error);
}
