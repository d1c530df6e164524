/* resolve.c: what a model URI stands for, down to the store that holds its files (PROTOCOL 9.2). */
#include "alloc.h"
#include "client.h"
#include "client_error.h"
#include "endpoints.h"
#include "uri.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_HOPS = 4 }; /* a version whose source is a run's path, whose … */

static int follow(mlf_model_info *info, mlf_client *client, const char *uri, int hops, mlf_error *error);

/* Replaces *field by a copy of text. NULL or empty text: left as it is. */
static int set(char **field, const char *text, mlf_error *error)
{
    if (!text || !*text)
        return 0;
    char *copy = sv_strdup(text);
    if (!copy)
        return mlf_error_memory(error);
    sv_free(*field);
    *field = copy;
    return 0;
}

static int append_path(char **field, const char *path, mlf_error *error)
{
    if (!path || !*path)
        return 0;
    char *joined = mlf_uri_join(*field, path);
    if (!joined)
        return mlf_error_memory(error);
    sv_free(*field);
    *field = joined;
    return 0;
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* Only digits. */
static int is_number(const char *text)
{
    return *text && strspn(text, "0123456789") == strlen(text);
}

static int is_model_id(const char *text, size_t length)
{
    return length == 34 && !strncmp(text, "m-", 2) && strspn(text + 2, "0123456789abcdef") >= 32;
}

/* ---- logged models ---- */

static int follow_model_id(mlf_model_info *info, mlf_client *client, const char *id, mlf_error *error)
{
    json_t *reply = NULL, *arguments;
    if (strlen(id) > 256 || strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(id))
        return mlf_error_set(error, MLF_E_ARGUMENT, "models:/%.200s: expected a model id, name/version, name/stage or name@alias", id);
    arguments = json_pack("{s:s}", "model_id", id);
    int code = arguments ? mlf_endpoint_call(&reply, client, EP(logged_models_get), arguments, error) : mlf_error_memory(error);
    const json_t *about = json_object_get(json_object_get(reply, "model"), "info");
    const char *where = text_of(about, "artifact_uri");
    if (!code && !where)
        code = mlf_error_set(error, MLF_E_REPLY, "model %s: the answer names no artifact_uri", id);
    if (!code)
        code = set(&info->model_id, id, error);
    if (!code && !info->run_id)
        code = set(&info->run_id, text_of(about, "source_run_id"), error);
    if (!code)
        code = set(&info->artifact_uri, where, error);
    json_decref(reply);
    return code;
}

/* The newest LoggedModel of that name that the run made; *id stays NULL when there is none (or no such endpoint: MLflow 2). */
static int find_by_name(char **id, mlf_client *client, const char *experiment_id, const char *run_id, const char *name, mlf_error *error)
{
    char filter[1200];
    if (!*name || strpbrk(name, ":.%\"'") || strlen(name) > 500)
        return 0; /* no name that a LoggedModel can have */
    snprintf(filter, sizeof filter, "name = '%s' AND source_run_id = '%s'", name, run_id);
    json_t *arguments = json_pack("{s:[s], s:s, s:i, s:[{s:s, s:b}]}", "experiment_ids", experiment_id, "filter", filter, "max_results", 1,
                                  "order_by", "field_name", "creation_timestamp", "ascending", 0);
    json_t *reply = NULL;
    mlf_error looked = MLF_ERROR_INIT;
    int code = arguments ? mlf_endpoint_call(&reply, client, EP(logged_models_search), arguments, &looked) : mlf_error_memory(&looked);
    const char *found = text_of(json_object_get(json_array_get(json_object_get(reply, "models"), 0), "info"), "model_id");
    if (!code && found)
        code = set(id, found, &looked);
    json_decref(reply);
    if (code == MLF_E_UNSUPPORTED)
        return 0;
    if (code && error && !error->code)
        *error = looked;
    return code;
}

/* ---- runs:/ID/path ---- */

static int follow_run(mlf_model_info *info, mlf_client *client, const char *run_id, const char *path, mlf_error *error)
{
    char *model_id = NULL, *first = sv_strndup(path, strcspn(path, "/"));
    json_t *arguments = first ? json_pack("{s:s}", "run_id", run_id) : NULL, *reply = NULL;
    int code = arguments ? mlf_endpoint_call(&reply, client, EP(runs_get), arguments, error) : mlf_error_memory(error);
    const json_t *about = json_object_get(json_object_get(reply, "run"), "info");
    const char *root = text_of(about, "artifact_uri"), *experiment_id = text_of(about, "experiment_id");
    if (!code && (!root || !experiment_id))
        code = mlf_error_set(error, MLF_E_REPLY, "runs_get: the answer names no artifact_uri");
    if (!code)
        code = set(&info->run_id, run_id, error);
    if (!code)
        code = find_by_name(&model_id, client, experiment_id, run_id, first, error);
    if (!code && model_id) {
        code = follow_model_id(info, client, model_id, error);
        path += strcspn(path, "/");
    } else if (!code)
        code = set(&info->artifact_uri, root, error);
    if (!code)
        code = append_path(&info->artifact_uri, path, error);
    json_decref(reply);
    sv_free(model_id);
    sv_free(first);
    return code;
}

static int follow_runs_uri(mlf_model_info *info, mlf_client *client, const char *uri, mlf_error *error)
{
    const char *rest = uri + strlen("runs:") + strspn(uri + strlen("runs:"), "/");
    size_t length = strcspn(rest, "/");
    char run_id[257];
    if (strncmp(uri, "runs:/", 6) || !strncmp(uri, "runs://", 7) || !length || length >= sizeof run_id)
        return mlf_error_set(error, MLF_E_ARGUMENT, "%.300s: expected runs:/RUN_ID or runs:/RUN_ID/path", uri);
    memcpy(run_id, rest, length);
    run_id[length] = '\0';
    if (strspn(run_id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != length)
        return mlf_error_set(error, MLF_E_ARGUMENT, "%.300s: '%s' is no run id", uri, run_id);
    rest += length;
    return follow_run(info, client, run_id, rest + strspn(rest, "/"), error);
}

/* ---- registered versions ---- */

/* Reads the version's description, run and source, then where its files are. */
static int follow_version(mlf_model_info *info, mlf_client *client, int hops, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:s}", "name", info->name, "version", info->version), *about = NULL, *where = NULL;
    int code = arguments ? mlf_endpoint_call(&about, client, EP(model_versions_get), json_incref(arguments), error) : mlf_error_memory(error);
    const json_t *version = json_object_get(about, "model_version");
    if (!code)
        code = mlf_endpoint_call(&where, client, EP(model_versions_get_download_uri), json_incref(arguments), error);
    const char *uri = text_of(where, "artifact_uri"), *source = text_of(version, "source");
    if (!code && (!uri || !*uri))
        code = mlf_error_set(error, MLF_E_REPLY, "version %.60s of %.200s: the server names no address of its files", info->version, info->name);
    if (!code)
        code = set(&info->run_id, text_of(version, "run_id"), error);
    if (!code)
        code = set(&info->description, text_of(version, "description"), error);
    if (!code && source && !strncmp(source, "models:/", 8) && is_model_id(source + 8, strlen(source + 8)))
        code = set(&info->model_id, source + 8, error);
    if (!code)
        code = follow(info, client, uri, hops + 1, error);
    json_decref(arguments);
    json_decref(about);
    json_decref(where);
    return code;
}

static int version_of_alias(mlf_model_info *info, mlf_client *client, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:s}", "name", info->name, "alias", info->alias), *reply = NULL;
    int code = arguments ? mlf_endpoint_call(&reply, client, EP(registered_models_get_alias), arguments, error) : mlf_error_memory(error);
    if (code && error && !strcmp(error->error_code, "INVALID_PARAMETER_VALUE"))
        code = error->code = MLF_E_NOT_FOUND; /* a missing alias is a 400 */
    const char *version = text_of(json_object_get(reply, "model_version"), "version");
    if (!code)
        code = version ? set(&info->version, version, error)
                       : mlf_error_set(error, MLF_E_REPLY, "models:/%.200s@%.200s: the answer names no version", info->name, info->alias);
    json_decref(reply);
    return code;
}

/* The newest version of the stage, or of all when stage is NULL ("latest"). */
static int version_of_stage(mlf_model_info *info, mlf_client *client, const char *stage, mlf_error *error)
{
    json_t *arguments = stage ? json_pack("{s:s, s:[s]}", "name", info->name, "stages", stage) : json_pack("{s:s}", "name", info->name), *reply = NULL;
    int code = arguments ? mlf_endpoint_call(&reply, client, EP(registered_models_get_latest_versions), arguments, error) : mlf_error_memory(error);
    const json_t *versions = json_object_get(reply, "model_versions");
    long long best = 0;
    char text[24];
    for (size_t i = 0; !code && i < json_array_size(versions); i++) {
        const char *version = text_of(json_array_get(versions, i), "version");
        long long number = 0;
        if (version && strlen(version) < 18 && sscanf(version, "%lld", &number) == 1 && number > best)
            best = number;
    }
    if (!code && !best)
        code = mlf_error_set(error, MLF_E_NOT_FOUND, "models:/%.200s: no version%s%.60s", info->name, stage ? " in stage " : "", stage ? stage : "");
    snprintf(text, sizeof text, "%lld", best);
    if (!code)
        code = set(&info->version, text, error);
    json_decref(reply);
    return code;
}

/* Splits models:/A[@alias][/B][/path] and asks for what A and B name. */
static int follow_models_uri(mlf_model_info *info, mlf_client *client, const char *uri, int hops, mlf_error *error)
{
    if (strncmp(uri, "models:/", 8) || uri[8] == '/' || !uri[8])
        return mlf_error_set(error, MLF_E_ARGUMENT, "%.300s: expected models:/name@alias, models:/name/version, models:/name/stage or models:/m-…", uri);
    char *name = sv_strdup(uri + 8);
    if (!name)
        return mlf_error_memory(error);
    char *second = strchr(name, '/'), *path = NULL, *alias = NULL;
    if (second)
        *second++ = '\0';
    size_t second_length = second ? strcspn(second, "/") : 0;
    int by_id = !second || !second_length || (is_model_id(name, strlen(name)) && strspn(second, "0123456789") != second_length), code = 0;
    if ((alias = strchr(name, '@'))) {
        *alias++ = '\0';
        path = second;
        code = set(&info->name, name, error);
        if (!code && !*alias)
            code = mlf_error_set(error, MLF_E_ARGUMENT, "%.300s: no alias after the '@'", uri);
        if (!code)
            code = set(&info->alias, alias, error);
        if (!code)
            code = version_of_alias(info, client, error);
    } else if (by_id) {
        path = second;
        code = follow_model_id(info, client, name, error);
    } else {
        path = second[second_length] ? second + second_length + 1 : NULL;
        second[second_length] = '\0';
        code = set(&info->name, name, error);
        if (!code && is_number(second))
            code = set(&info->version, second, error);
        else if (!code)
            code = version_of_stage(info, client, strcasecmp(second, "latest") ? second : NULL, error);
    }
    if (!code && info->name && (alias || !by_id))
        code = follow_version(info, client, hops, error);
    if (!code)
        code = append_path(&info->artifact_uri, path, error);
    sv_free(name);
    return code;
}

static int follow(mlf_model_info *info, mlf_client *client, const char *uri, int hops, mlf_error *error)
{
    if (hops > MAX_HOPS)
        return mlf_error_set(error, MLF_E_REPLY, "%.300s: leads from one URI to the next without end", uri);
    if (!strncasecmp(uri, "models:", 7))
        return follow_models_uri(info, client, uri, hops, error);
    if (!strncasecmp(uri, "runs:", 5))
        return follow_runs_uri(info, client, uri, error);
    return set(&info->artifact_uri, uri, error);
}

int mlf_model_resolve(mlf_model_info **out, mlf_client *client, const char *uri, mlf_error *error)
{
    mlf_uri parsed = MLF_URI_INIT;
    *out = NULL;
    int code = mlf_uri_parse(&parsed, uri, error), is_remote = !code && *parsed.scheme;
    mlf_uri_free(&parsed);
    if (!code && is_remote && !client && (!strncasecmp(uri, "models:", 7) || !strncasecmp(uri, "runs:", 5)))
        code = mlf_error_set(error, MLF_E_ARGUMENT, "%.300s: needs a tracking server (MLFLOW_TRACKING_URI)", uri);
    if (code)
        return code;
    mlf_model_info *info = sv_calloc(1, sizeof *info);
    code = info ? set(&info->uri, uri, error) : mlf_error_memory(error);
    if (!code)
        code = follow(info, client, uri, 0, error);
    if (code)
        mlf_model_info_free(info);
    else
        *out = info;
    return code;
}

void mlf_model_info_free(mlf_model_info *info)
{
    if (!info)
        return;
    char *const fields[] = {info->uri, info->name, info->version, info->alias, info->run_id, info->model_id, info->artifact_uri, info->description};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        sv_free(fields[i]);
    sv_free(info);
}
