/* The registry: registered models, their versions, aliases and stages. Registering what a run logged: register.c. */
#include "client_error.h"
#include "endpoints.h"
#include "iterator.h"
#include "object.h"
#include "validate.h"

enum { REGISTRY_PAGE = 100, VERSIONS_PAGE = 1000 };

/* ---- registered models ---- */

int mlf_registered_models_create(mlf_object **model, mlf_client *client, const char *name, const char *description,
                                 const mlf_pair *tags, size_t n_tags, mlf_error *error)
{
    int code = mlf_check_registered_name(name, error);
    if (code) return code;
    json_t *arguments =
        json_pack("{s:s, s:s*, s:o}", "name", name, "description", description, "tags", mlf_json_pairs(tags, n_tags));
    mlf_object *made;
    code = mlf_endpoint_object(&made, client, EP(registered_models_create), arguments, "registered_model", error);
    if (model)
        *model = made;
    else
        mlf_object_free(made);
    return code;
}

int mlf_registered_models_get(mlf_object **model, mlf_client *client, const char *name, mlf_error *error)
{
    return mlf_endpoint_object(model, client, EP(registered_models_get), json_pack("{s:s}", "name", name),
                               "registered_model", error);
}

int mlf_registered_models_search(mlf_iterator **out, mlf_client *client, const mlf_query *query, mlf_error *error)
{
    return mlf_iterator_new(out, client, EP(registered_models_search), mlf_query_arguments(query, NULL, 0),
                            REGISTRY_PAGE, error);
}

int mlf_registered_models_rename(mlf_client *client, const char *name, const char *new_name, mlf_error *error)
{
    int code = mlf_check_registered_name(new_name, error);
    if (code) return code;
    return mlf_endpoint_call(NULL, client, EP(registered_models_rename),
                             json_pack("{s:s, s:s}", "name", name, "new_name", new_name), error);
}

int mlf_registered_models_describe(mlf_client *client, const char *name, const char *description, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(registered_models_update),
                             json_pack("{s:s, s:s}", "name", name, "description", description), error);
}

int mlf_registered_models_delete(mlf_client *client, const char *name, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(registered_models_delete), json_pack("{s:s}", "name", name), error);
}

static int check_tag(const char *key, const char *value, mlf_error *error)
{
    int code = mlf_check_key("tag", key, error);
    return code || !value ? code : mlf_check_text("tag value", value, MLF_MAX_REGISTRY_TAG_VALUE, error);
}

int mlf_registered_models_set_tag(mlf_client *client, const char *name, const char *key, const char *value,
                                  mlf_error *error)
{
    int code = check_tag(key, value, error);
    if (code) return code;
    json_t *arguments = json_pack("{s:s, s:s, s:s}", "name", name, "key", key, "value", value ? value : "");
    return mlf_endpoint_call(NULL, client, EP(registered_models_set_tag), arguments, error);
}

int mlf_registered_models_delete_tag(mlf_client *client, const char *name, const char *key, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(registered_models_delete_tag),
                             json_pack("{s:s, s:s}", "name", name, "key", key), error);
}

int mlf_registered_models_latest(mlf_iterator **out, mlf_client *client, const char *name, const char *stage,
                                 mlf_error *error)
{
    json_t *arguments =
        stage ? json_pack("{s:s, s:[s]}", "name", name, "stages", stage) : json_pack("{s:s}", "name", name);
    return mlf_iterator_new(out, client, EP(registered_models_get_latest_versions), arguments, 0, error);
}

/* ---- aliases ---- */

int mlf_aliases_get(mlf_object **version, mlf_client *client, const char *name, const char *alias, mlf_error *error)
{
    mlf_error answer = MLF_ERROR_INIT;
    json_t *arguments = json_pack("{s:s, s:s}", "name", name, "alias", alias);
    int code =
        mlf_endpoint_object(version, client, EP(registered_models_get_alias), arguments, "model_version", &answer);
    if (code == MLF_E_SERVER && answer.http_status == 400)
        code = answer.code = MLF_E_NOT_FOUND; /* the server calls a missing alias an invalid value */
    if (code && error && error->code == MLF_OK) *error = answer;
    return code;
}

int mlf_aliases_delete(mlf_client *client, const char *name, const char *alias, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(registered_models_delete_alias),
                             json_pack("{s:s, s:s}", "name", name, "alias", alias), error);
}

/* ---- versions ---- */

int mlf_model_versions_create(char **version, mlf_client *client, const char *name, const char *source,
                              const char *run_id, const char *model_id, const char *description, const mlf_pair *tags,
                              size_t n_tags, mlf_error *error)
{
    int code = mlf_check_registered_name(name, error);
    *version = NULL;
    if (code) return code;
    json_t *arguments =
        json_pack("{s:s, s:s, s:s*, s:s*, s:s*, s:o}", "name", name, "source", source, "run_id", run_id, "model_id",
                  model_id, "description", description, "tags", mlf_json_pairs(tags, n_tags));
    return mlf_endpoint_text(version, client, EP(model_versions_create), arguments, "model_version.version", error);
}

static json_t *version_of(const char *name, const char *version)
{
    return json_pack("{s:s, s:s}", "name", name, "version", version);
}

int mlf_model_versions_get(mlf_object **out, mlf_client *client, const char *name, const char *version,
                           mlf_error *error)
{
    return mlf_endpoint_object(out, client, EP(model_versions_get), version_of(name, version), "model_version", error);
}

int mlf_model_versions_search(mlf_iterator **out, mlf_client *client, const mlf_query *query, mlf_error *error)
{
    return mlf_iterator_new(out, client, EP(model_versions_search), mlf_query_arguments(query, NULL, 0), VERSIONS_PAGE,
                            error);
}

int mlf_model_versions_describe(mlf_client *client, const char *name, const char *version, const char *description,
                                mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:s, s:s}", "name", name, "version", version, "description", description);
    return mlf_endpoint_call(NULL, client, EP(model_versions_update), arguments, error);
}

int mlf_model_versions_delete(mlf_client *client, const char *name, const char *version, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(model_versions_delete), version_of(name, version), error);
}

int mlf_model_versions_set_stage(mlf_client *client, const char *name, const char *version, const char *stage,
                                 int archive_others, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:s, s:s, s:b}", "name", name, "version", version, "stage", stage,
                                  "archive_existing_versions", archive_others);
    return mlf_endpoint_call(NULL, client, EP(model_versions_transition_stage), arguments, error);
}

int mlf_model_versions_download_uri(char **uri, mlf_client *client, const char *name, const char *version,
                                    mlf_error *error)
{
    return mlf_endpoint_text(uri, client, EP(model_versions_get_download_uri), version_of(name, version),
                             "artifact_uri", error);
}

int mlf_model_versions_set_tag(mlf_client *client, const char *name, const char *version, const char *key,
                               const char *value, mlf_error *error)
{
    int code = check_tag(key, value, error);
    if (code) return code;
    json_t *arguments =
        json_pack("{s:s, s:s, s:s, s:s}", "name", name, "version", version, "key", key, "value", value ? value : "");
    return mlf_endpoint_call(NULL, client, EP(model_versions_set_tag), arguments, error);
}

int mlf_model_versions_delete_tag(mlf_client *client, const char *name, const char *version, const char *key,
                                  mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:s, s:s}", "name", name, "version", version, "key", key);
    return mlf_endpoint_call(NULL, client, EP(model_versions_delete_tag), arguments, error);
}
