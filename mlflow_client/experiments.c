/* Experiments. */
#include "alloc.h"
#include "client_error.h"
#include "endpoints.h"
#include "iterator.h"
#include "object.h"
#include "settings.h"
#include "validate.h"

#include <string.h>

int mlf_experiments_create(char **id, mlf_client *client, const char *name, const char *artifact_location,
                           const mlf_pair *tags, size_t n_tags, mlf_error *error)
{
    *id = NULL;
    if (!name || !*name) return mlf_error_set(error, MLF_E_ARGUMENT, "experiment name: must not be empty");
    int code = mlf_check_text("experiment name", name, MLF_MAX_EXPERIMENT_NAME, error);
    for (size_t i = 0; !code && i < n_tags; i++)
        code = mlf_check_key("experiment tag", tags[i].key, error);
    if (code) return code;
    json_t *arguments = json_pack("{s:s, s:s*}", "name", name, "artifact_location", artifact_location);
    if (arguments && n_tags && json_object_set_new(arguments, "tags", mlf_json_pairs(tags, n_tags))) {
        json_decref(arguments);
        arguments = NULL;
    }
    return mlf_endpoint_text(id, client, EP(experiments_create), arguments, "experiment_id", error);
}

int mlf_experiments_get(mlf_object **experiment, mlf_client *client, const char *id, mlf_error *error)
{
    return mlf_endpoint_object(experiment, client, EP(experiments_get), json_pack("{s:s}", "experiment_id", id),
                               "experiment", error);
}

int mlf_experiments_get_by_name(mlf_object **experiment, mlf_client *client, const char *name, mlf_error *error)
{
    return mlf_endpoint_object(experiment, client, EP(experiments_get_by_name),
                               json_pack("{s:s}", "experiment_name", name), "experiment", error);
}

int mlf_experiments_search(mlf_iterator **out, mlf_client *client, const mlf_query *query, mlf_error *error)
{
    return mlf_iterator_new(out, client, EP(experiments_search), mlf_query_arguments(query, "view_type", 0), 1000,
                            error);
}

int mlf_experiments_rename(mlf_client *client, const char *id, const char *new_name, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(experiments_update),
                             json_pack("{s:s, s:s}", "experiment_id", id, "new_name", new_name), error);
}

int mlf_experiments_delete(mlf_client *client, const char *id, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(experiments_delete), json_pack("{s:s}", "experiment_id", id), error);
}

int mlf_experiments_restore(mlf_client *client, const char *id, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(experiments_restore), json_pack("{s:s}", "experiment_id", id), error);
}

int mlf_experiments_set_tag(mlf_client *client, const char *id, const char *key, const char *value, mlf_error *error)
{
    int code = mlf_check_key("experiment tag", key, error);
    if (!code && value) code = mlf_check_text("experiment tag value", value, MLF_MAX_EXPERIMENT_TAG_VALUE, error);
    if (code) return code;
    json_t *arguments = json_pack("{s:s, s:s, s:s}", "experiment_id", id, "key", key, "value", value ? value : "");
    return mlf_endpoint_call(NULL, client, EP(experiments_set_experiment_tag), arguments, error);
}

int mlf_experiments_delete_tag(mlf_client *client, const char *id, const char *key, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(experiments_delete_experiment_tag),
                             json_pack("{s:s, s:s}", "experiment_id", id, "key", key), error);
}

/* ---- the one to log to ---- */

/* The id of the active experiment of that name; MLF_E_NOT_FOUND when there is none, MLF_E_STATE when it was deleted. */
static int find(char **id, mlf_client *client, const char *name, mlf_error *error)
{
    mlf_object *experiment;
    int code = mlf_experiments_get_by_name(&experiment, client, name, error);
    if (code) return code;
    const char *found = mlf_object_string(experiment, "experiment_id"),
               *stage = mlf_object_string(experiment, "lifecycle_stage");
    if (!found)
        code = mlf_error_set(error, MLF_E_REPLY, "experiment \"%.200s\": the answer has no experiment_id", name);
    else if (stage && !strcmp(stage, "deleted"))
        code = mlf_error_set(error, MLF_E_STATE,
                             "experiment \"%.200s\" (%s) is deleted: restore it (`mlflowc experiments restore %s`) or "
                             "choose another name",
                             name, found, found);
    else if (!(*id = sv_strdup(found)))
        code = mlf_error_memory(error);
    mlf_object_free(experiment);
    return code;
}

/* Two programs may make it at the same moment, and an answer may get lost: whoever made it, it is looked for again. */
static int find_or_make(char **id, mlf_client *client, const char *name, mlf_error *error)
{
    mlf_error first = MLF_ERROR_INIT, second = MLF_ERROR_INIT;
    int code = find(id, client, name, &first);
    if (code == MLF_E_NOT_FOUND) {
        code = mlf_experiments_create(id, client, name, NULL, NULL, 0, &second);
        if (code == MLF_E_EXISTS || mlf_error_is_retriable(&second)) return find(id, client, name, error);
        if (error && error->code == MLF_OK) *error = second;
    } else if (code && error && error->code == MLF_OK) {
        *error = first;
    }
    return code;
}

int mlf_experiment_ensure(char **id, mlf_client *client, const char *name, mlf_error *error)
{
    const char *named = name ? name : mlf_env("MLFLOW_EXPERIMENT_NAME"),
               *asked = name ? NULL : mlf_env("MLFLOW_EXPERIMENT_ID");
    *id = NULL;
    if (!named) {
        *id = sv_strdup(asked ? asked : "0");
        return *id ? MLF_OK : mlf_error_memory(error);
    }
    int code = find_or_make(id, client, named, error);
    if (!code && asked && strcmp(asked, *id) != 0) {
        code = mlf_error_set(error, MLF_E_ARGUMENT,
                             "MLFLOW_EXPERIMENT_NAME \"%.200s\" is experiment %s, but MLFLOW_EXPERIMENT_ID says %.80s",
                             named, *id, asked);
        mlf_free(*id);
        *id = NULL;
    }
    return code;
}
