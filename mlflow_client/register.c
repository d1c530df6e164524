/* register.c: a model gets a name, a version, tags and an alias in the registry (PROTOCOL 7). */
#include "alloc.h"
#include "client.h"
#include "client_error.h"
#include "endpoints.h"
#include "folder.h"
#include "log.h"
#include "object.h"
#include "record.h"
#include "registry.h"
#include "validate.h"

#include <stdio.h>
#include <string.h>

enum { MAX_CREATES = 4 };

/* One that is there already is as good, also where an attempt made it whose answer was lost. */
static int ensure_name(mlf_client *client, const char *name, const char *description, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:s*}", "name", name, "description", description);
    mlf_error made = MLF_ERROR_INIT;
    int code = arguments ? MLF_OK : mlf_error_memory(&made);
    for (int attempt = 0, again = !code; again && attempt < 2; attempt++) {
        made = (mlf_error)MLF_ERROR_INIT;
        code = mlf_endpoint_call(NULL, client, EP(registered_models_create), json_incref(arguments), &made);
        again = code && mlf_error_is_ambiguous(code, &made);
    }
    json_decref(arguments);
    if (code == MLF_E_EXISTS)
        return 0;
    if (code && error && !error->code)
        *error = made;
    return code;
}

/* Copies {"version": "3"} out; a number is read too. */
static int keep_version(char **version, const json_t *model_version, mlf_error *error)
{
    const json_t *value = json_object_get(model_version, "version");
    char text[24];
    if (json_is_integer(value))
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
    const char *found = json_is_integer(value) ? text : json_string_value(value);
    if (!found || mlf_check_version(found, NULL))
        return mlf_error_set(error, MLF_E_REPLY, "model-versions: the answer names no version");
    *version = sv_strdup(found);
    return *version ? 0 : mlf_error_memory(error);
}

/* The version that carries our key, if an earlier attempt made it. */
static int find_by_key(char **version, mlf_client *client, const char *name, const char *key, mlf_error *error)
{
    sv_buffer filter = SV_BUFFER_INIT(4096);
    if (strchr(name, '\'') || sv_buffer_format(&filter, "name = '%s' AND tags.`" MLF_TAG_KEY "` = '%s'", name, key)) {
        sv_buffer_clear(&filter);
        if (sv_buffer_format(&filter, "tags.`" MLF_TAG_KEY "` = '%s'", key))
            return mlf_error_memory(error);
    }
    json_t *arguments = json_pack("{s:s, s:i}", "filter", filter.data, "max_results", 1), *reply = NULL;
    int code = arguments ? mlf_endpoint_call(&reply, client, EP(model_versions_search), arguments, error) : mlf_error_memory(error);
    const json_t *found = json_array_get(json_object_get(reply, "model_versions"), 0);
    if (!code && found)
        code = keep_version(version, found, error);
    json_decref(reply);
    sv_buffer_free(&filter);
    return code;
}

/* What a version is made from: the model's id where it has one, else the files' address in the run. */
static json_t *version_arguments(const mlf_model_info *model, const char *name, const char *run_id, const char *key, const mlf_register_options *options)
{
    char by_id[300];
    snprintf(by_id, sizeof by_id, "models:/%.280s", model->model_id ? model->model_id : "");
    json_t *tags = mlf_json_append(mlf_json_pairs(options->tags, options->n_tags), json_pack("{s:s, s:s}", "key", MLF_TAG_KEY, "value", key));
    return json_pack("{s:s, s:s, s:s*, s:s*, s:s*, s:o}", "name", name, "source", model->model_id ? by_id : model->artifact_uri, "run_id",
                     model->run_id ? model->run_id : run_id, "model_id", model->model_id, "description", options->description, "tags", tags);
}

/* Makes one version, whatever the network does. */
static int make_version(char **version, mlf_client *client, const mlf_model_home *home, const mlf_model_info *model, const char *name, const mlf_register_options *options, mlf_error *error)
{
    mlf_error last = MLF_ERROR_INIT;
    json_t *arguments = version_arguments(model, name, home->run_id, home->key, options), *reply = NULL;
    int code = arguments ? 0 : mlf_error_memory(&last);
    if (!code && home->may_exist)
        code = find_by_key(version, client, name, home->key, &last);
    for (int attempt = 0; !code && !*version; attempt++) {
        code = mlf_endpoint_call(&reply, client, EP(model_versions_create), json_incref(arguments), &last);
        if (!code)
            code = keep_version(version, json_object_get(reply, "model_version"), &last);
        json_decref(reply);
        reply = NULL;
        if (!code || !mlf_error_is_ambiguous(code, &last) || attempt >= MAX_CREATES)
            break;
        last = (mlf_error)MLF_ERROR_INIT;
        code = find_by_key(version, client, name, home->key, &last);
    }
    json_decref(arguments);
    if (code && error && !error->code)
        *error = last;
    return code;
}

static int check_alias(const char *name, const char *alias, const char *version, mlf_error *error)
{
    int code = mlf_check_registered_name(name, error);
    if (!code)
        code = mlf_check_alias(alias, error);
    return code ? code : mlf_check_version(version, error);
}

int mlf_alias_set_now(mlf_client *client, const char *name, const char *alias, const char *version, mlf_error *error)
{
    int code = check_alias(name, alias, version, error);
    if (code)
        return code;
    json_t *arguments = json_pack("{s:s, s:s, s:s}", "name", name, "alias", alias, "version", version);
    if (!arguments)
        return mlf_error_memory(error);
    mlf_error sent = MLF_ERROR_INIT;
    code = mlf_endpoint_call(NULL, client, EP(registered_models_set_alias), json_incref(arguments), &sent);
    /* Where two clients make the alias at the same moment the server inserts it twice, and the database refuses one of them; now it is there to change. */
    if (code && !strcmp(sent.error_code, "BAD_REQUEST") && strstr(sent.message, "registered_model_aliases")) {
        sent = (mlf_error)MLF_ERROR_INIT;
        code = mlf_endpoint_call(NULL, client, EP(registered_models_set_alias), json_incref(arguments), &sent);
    }
    json_decref(arguments);
    if (code && error && !error->code)
        *error = sent;
    return code;
}

int mlf_alias_set(mlf_client *client, const char *name, const char *alias, const char *version, mlf_error *error)
{
    const mlf_settings *settings = &client->settings;
    int away = settings->offline || !*settings->tracking_uri, code = check_alias(name, alias, version, error);
    mlf_error sent = MLF_ERROR_INIT;
    if (code)
        return code;
    if (!away)
        code = mlf_alias_set_now(client, name, alias, version, &sent);
    if (!away && !mlf_is_for_later(code, &sent)) {
        if (code && error && !error->code)
            *error = sent;
        return code;
    }
    json_t *payload = json_pack("{s:s, s:s, s:s}", "name", name, "alias", alias, "version", version);
    code = payload ? mlf_folder_keep(settings->journal_dir, settings->tracking_uri, MLF_OP_ALIAS, payload, error) : mlf_error_memory(error);
    json_decref(payload);
    if (!code && !away)
        sv_log(SV_LOG_WARN, "the server does not answer (%.300s): the alias %s of %s waits in the journal for `mlflowc sync`", sent.message, alias, name);
    return code;
}

int mlf_register_check(const char *name, const mlf_register_options *options, mlf_error *error)
{
    int code = mlf_check_registered_name(name, error);
    if (!code && options->alias)
        code = mlf_check_alias(options->alias, error);
    if (!code && options->description)
        code = mlf_check_text("description", options->description, MLF_MAX_REGISTRY_TAG_VALUE, error);
    if (!code && options->model_description)
        code = mlf_check_text("model_description", options->model_description, MLF_MAX_REGISTRY_TAG_VALUE, error);
    for (size_t i = 0; !code && i < options->n_tags; i++) {
        code = mlf_check_key("tag", options->tags[i].key, error);
        if (!code && options->tags[i].value)
            code = mlf_check_text("tag", options->tags[i].value, MLF_MAX_REGISTRY_TAG_VALUE, error);
    }
    return code;
}

int mlf_register_now(char **version, mlf_client *client, const mlf_model_home *home, const char *model_uri, const char *name, const mlf_register_options *options, mlf_error *error)
{
    const mlf_register_options nothing = MLF_REGISTER_OPTIONS_INIT;
    mlf_model_info *model = NULL;
    *version = NULL;
    if (!options)
        options = &nothing;
    int code = mlf_register_check(name, options, error);
    if (!code)
        code = mlf_model_resolve(&model, client, model_uri, error);
    if (!code)
        code = ensure_name(client, name, options->model_description, error);
    if (!code)
        code = make_version(version, client, home, model, name, options, error);
    if (!code && options->alias)
        code = mlf_alias_set_now(client, name, options->alias, *version, error);
    if (code)
        mlf_error_prefix(error, "registering %.200s: ", name);
    if (code) {
        sv_free(*version);
        *version = NULL;
    }
    mlf_model_info_free(model);
    return mlf_error_of_repeatable(code, error);
}
