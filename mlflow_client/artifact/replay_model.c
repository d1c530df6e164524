/* replay_model.c: what waited in a journal (waiting.h) goes to the server: artifacts, models, versions, aliases. Each may be repeated. */
#include "alloc.h"
#include "client.h"
#include "client_error.h"
#include "endpoints.h"
#include "inside.h"
#include "registry.h"
#include "replay.h"
#include "tree.h"
#include "validate.h"
#include "waiting.h"

#include "file.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_ITEMS = 100000 };

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static int damaged(const char *what, mlf_error *error)
{
    return mlf_error_set(error, MLF_E_INTEGRITY, "the journal's record of %s is damaged", what);
}

/* ---- artifacts ---- */

static int run_store(mlf_store **out, const mlf_replay *replay, mlf_error *error)
{
    char uri[MLF_RUN_ID_SIZE + 16];
    mlf_model_info *info = NULL;
    snprintf(uri, sizeof uri, "runs:/%s", replay->run_id);
    int code = mlf_model_resolve(&info, replay->client, uri, error);
    if (!code)
        code = mlf_store_open(out, replay->client, info->artifact_uri, error);
    mlf_model_info_free(info);
    return code;
}

/* Why an operation that a kill cut off cannot be finished (cut_off.c). */
static int check_whole(const json_t *payload, mlf_error *error)
{
    const char *why = text_of(payload, "why");
    return why ? mlf_error_set(error, MLF_E_INTEGRITY, "%.800s", why) : MLF_OK;
}

int mlf_replay_artifact(mlf_replay *replay, const json_t *payload, mlf_error *error)
{
    if (check_whole(payload, error))
        return MLF_E_INTEGRITY;
    const char *target = text_of(payload, "path"), *expected = text_of(payload, "sha256");
    char sha256[65];
    int64_t size_bytes = 0;
    mlf_store *store = NULL;
    char *path;
    int fd = -1, code = mlf_waiting_path(&path, replay->folder->path, text_of(payload, "file"), error);
    if (!code && (!target || !expected))
        code = damaged("an artifact", error);
    if (!code)
        code = mlf_waiting_digest(sha256, &size_bytes, path, error);
    if (!code && strcmp(sha256, expected))
        code = mlf_error_set(error, MLF_E_INTEGRITY, "%.600s: the copy that waited for the server has changed", path);
    if (!code && (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        code = mlf_error_set(error, MLF_E_IO, "%.600s: cannot be read: %s", path, strerror(errno));
    if (!code)
        code = run_store(&store, replay, error);
    if (!code)
        code = store->ops->put(store, target, fd, size_bytes, error);
    if (fd >= 0)
        close(fd);
    mlf_store_close(store);
    sv_free(path);
    return code;
}

/* ---- pairs out of JSON ---- */

/* [[key, value], …] as an array of mlf_pair that borrows from the JSON; the array is the caller's (sv_free). */
static int read_pairs(mlf_pair **out, size_t *n, const json_t *list, mlf_error *error)
{
    *n = json_array_size(list);
    *out = *n <= MAX_ITEMS ? sv_calloc(*n + 1, sizeof **out) : NULL;
    if (!*out)
        return mlf_error_memory(error);
    for (size_t i = 0; i < *n; i++) {
        (*out)[i].key = json_string_value(json_array_get(json_array_get(list, i), 0));
        (*out)[i].value = json_string_value(json_array_get(json_array_get(list, i), 1));
        if (!(*out)[i].key)
            return damaged("a pair", error);
    }
    return 0;
}

/* [[key, value, time, step], …]. */
static int read_metrics(const char ***keys, mlf_metric_point **points, size_t *n, const json_t *list, mlf_error *error)
{
    *n = json_array_size(list);
    *keys = *n <= MAX_ITEMS ? sv_calloc(*n + 1, sizeof **keys) : NULL;
    *points = *keys ? sv_calloc(*n + 1, sizeof **points) : NULL;
    if (!*points)
        return mlf_error_memory(error);
    for (size_t i = 0; i < *n; i++) {
        const json_t *metric = json_array_get(list, i), *time = json_array_get(metric, 2), *step = json_array_get(metric, 3);
        (*keys)[i] = json_string_value(json_array_get(metric, 0));
        if (!(*keys)[i] || mlf_json_to_double(json_array_get(metric, 1), &(*points)[i].value) || !json_is_integer(time) || !json_is_integer(step))
            return damaged("a metric", error);
        (*points)[i].timestamp_ms = json_integer_value(time);
        (*points)[i].step = json_integer_value(step);
    }
    return 0;
}

/* ---- models ---- */

int mlf_replay_model(mlf_replay *replay, const json_t *payload, mlf_error *error)
{
    char known[1024], *uri = NULL;
    const char *key = text_of(payload, "key");
    if (!key || !mlf_is_journal_key(key))
        return damaged("a model", error);
    if (mlf_folder_id(replay->folder, key, known, sizeof known))
        return 0;
    if (check_whole(payload, error))
        return MLF_E_INTEGRITY;
    mlf_model_options options = MLF_MODEL_OPTIONS_INIT;
    mlf_pair *params = NULL, *tags = NULL;
    const char **metric_keys = NULL;
    mlf_metric_point *points = NULL;
    mlf_model_home home = {replay->run_id, replay->experiment_id, key, NULL, 1};
    options.name = text_of(payload, "name");
    options.model_type = text_of(payload, "model_type");
    char *folder;
    int code = mlf_waiting_path(&folder, replay->folder->path, text_of(payload, "folder"), error);
    if (!code)
        code = read_pairs(&params, &options.n_params, json_object_get(payload, "params"), error);
    if (!code)
        code = read_pairs(&tags, &options.n_tags, json_object_get(payload, "tags"), error);
    if (!code)
        code = read_metrics(&metric_keys, &points, &options.n_metrics, json_object_get(payload, "metrics"), error);
    options.params = params;
    options.tags = tags;
    options.metric_keys = metric_keys;
    home.points = points;
    if (!code)
        code = mlf_log_model_now(&uri, replay->client, &home, folder, &options, error);
    if (!code)
        code = mlf_folder_set_id(replay->folder, key, uri, error);
    sv_free(params);
    sv_free(tags);
    sv_free(metric_keys);
    sv_free(points);
    sv_free(folder);
    sv_free(uri);
    return code;
}

/* The copy, whose path the refused record names, stays under the same path below refused/. No link is followed: a journal that somebody else left could reach files of
   ours by one. */
static void keep_copy(const mlf_folder *folder, const char *file)
{
    mlf_error error = MLF_ERROR_INIT;
    int from = folder->path ? open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int is_there = from >= 0 && (!mkdirat(from, "refused", 0700) || errno == EEXIST);
    int to = is_there ? openat(from, "refused", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (to < 0)
        mlf_error_set(&error, MLF_E_IO, "refused: %s", strerror(errno));
    else
        mlf_inside_move(from, to, file, &error);
    if (error.code)
        sv_log(SV_LOG_WARN, "%s: '%.300s' cannot be kept for later: %s", folder->key, file, error.message);
    if (to >= 0)
        close(to);
    if (from >= 0)
        close(from);
}

void mlf_replay_refused(mlf_replay *replay, int kind, const json_t *payload)
{
    const char *copy = text_of(payload, kind == MLF_OP_MODEL ? "folder" : "file"), *key = text_of(payload, "key");
    if ((kind == MLF_OP_MODEL || kind == MLF_OP_ARTIFACT) && copy)
        keep_copy(replay->folder, copy);
    if (kind == MLF_OP_MODEL && key && mlf_is_journal_key(key))
        mlf_folder_set_id(replay->folder, key, MLF_MODEL_REFUSED, NULL);
}

/* May another journal beside this one still bring the model? 1: it may, also where one cannot be read now; 0; MLF_E_MEMORY, MLF_E_IO. */
static int is_held(const mlf_replay *replay, const char *key, mlf_error *error)
{
    const char *own = replay->folder->path, *slash = own ? strrchr(own, '/') : NULL;
    char **paths = NULL, *dir = slash ? sv_strndup(own, (size_t)(slash - own)) : NULL;
    int code = slash && !dir ? mlf_error_memory(error) : mlf_journal_list(&paths, replay->client, dir, error), held = 0;
    for (size_t i = 0; !code && !held && paths[i]; i++) {
        int holds = own && !strcmp(paths[i], own) ? 0 : mlf_waiting_holds_model(paths[i], key, NULL);
        held = holds == 1 || (holds < 0 && holds != MLF_E_NOT_FOUND); /* not found: sent meanwhile */
    }
    mlf_free(paths);
    sv_free(dir);
    return code ? code : held;
}

/* What "journal:/KEY" became: made by this journal, or by one that was sent before it. */
static int logged_source(sv_buffer *out, mlf_replay *replay, const char *key, mlf_error *error)
{
    char known[1024], *uri = NULL;
    int made = mlf_folder_id(replay->folder, key, known, sizeof known);
    if (made && !strcmp(known, MLF_MODEL_REFUSED))
        return mlf_error_set(error, MLF_E_INTEGRITY, MLF_JOURNAL_URI "%.100s: the model it stands for was refused", key);
    if (made)
        return sv_buffer_text(out, known) ? mlf_error_memory(error) : 0;
    const mlf_model_home home = {replay->run_id, replay->experiment_id, key, NULL, 1};
    int is_key = mlf_is_journal_key(key), code = is_key ? mlf_find_model(&uri, replay->client, &home, error) : 0;
    int held = is_key && !code && !uri ? is_held(replay, key, error) : 0;
    if (held < 0)
        code = held;
    if (is_key && !code && !uri && !held) /* its journal may have been sent between the two looks */
        code = mlf_find_model(&uri, replay->client, &home, error);
    if (!code && !uri)
        code = mlf_error_set(error, held ? MLF_E_STATE : MLF_E_INTEGRITY, MLF_JOURNAL_URI "%.100s: the model it stands for was not logged%s", key,
                             held ? " yet" : ", and no journal here holds it");
    if (!code && sv_buffer_text(out, uri))
        code = mlf_error_memory(error);
    sv_free(uri);
    return code;
}

/* What a version's source is called on the server: "journal:/KEY", and "runs:/KEY/path" of a run that was begun offline; anything else stays as it is. */
static int real_source(sv_buffer *out, mlf_replay *replay, const char *source, mlf_error *error)
{
    size_t prefix = strlen(MLF_JOURNAL_URI);
    char key[MLF_JOURNAL_KEY + 1], run_id[MLF_RUN_ID_SIZE];
    if (!strncmp(source, MLF_JOURNAL_URI, prefix))
        return logged_source(out, replay, source + prefix, error);
    if (!strncmp(source, "runs:/", 6) && strcspn(source + 6, "/") == MLF_JOURNAL_KEY) {
        snprintf(key, sizeof key, "%.*s", MLF_JOURNAL_KEY, source + 6);
        int found = strcmp(key, replay->run_id) ? mlf_replay_find(run_id, replay->client, key, error) : 0;
        if (found)
            return found < 0 ? found : sv_buffer_format(out, "runs:/%s%s", run_id, source + 6 + MLF_JOURNAL_KEY) ? mlf_error_memory(error) : 0;
    }
    return sv_buffer_text(out, source) ? mlf_error_memory(error) : 0;
}

/* When the run began by the clock of who logged it; 0: not to be told. */
static json_int_t start_of_run(const mlf_replay *replay, const char *run_id)
{
    mlf_error ignored = MLF_ERROR_INIT;
    json_t *arguments = run_id && *run_id ? json_pack("{s:s}", "run_id", run_id) : NULL, *reply = NULL;
    json_int_t start = 0;
    if (arguments && !mlf_endpoint_call(&reply, replay->client, EP(runs_get), arguments, &ignored))
        start = json_integer_value(json_object_get(json_object_get(json_object_get(reply, "run"), "info"), "start_time"));
    json_decref(reply);
    return start;
}

/* A journal may be sent long after its run: an alias that names the version of a run begun later stays where it is. What cannot be told holds up nothing. */
static int is_overtaken(const mlf_replay *replay, const char *name, const char *alias, const char *version)
{
    mlf_error ignored = MLF_ERROR_INIT;
    json_t *arguments = json_pack("{s:s, s:s}", "name", name, "alias", alias), *reply = NULL;
    int overtaken = 0;
    if (arguments && !mlf_endpoint_call(&reply, replay->client, EP(registered_models_get_alias), arguments, &ignored)) {
        const json_t *now = json_object_get(reply, "model_version");
        const char *run_id = text_of(now, "run_id");
        if (run_id && strcmp(run_id, replay->run_id)) {
            json_int_t own = start_of_run(replay, replay->run_id);
            overtaken = own && start_of_run(replay, run_id) > own;
        } else if (run_id && text_of(now, "version")) { /* the run was gone on with since */
            overtaken = strtoll(text_of(now, "version"), NULL, 10) > strtoll(version, NULL, 10);
        }
        if (overtaken)
            sv_log(SV_LOG_WARN, "the alias %.255s of %.255s stays at version %.32s, which is newer than what this journal has of run %.64s", alias, name, text_of(now, "version"), replay->run_id);
    }
    json_decref(reply);
    return overtaken;
}

int mlf_replay_register(mlf_replay *replay, const json_t *payload, mlf_error *error)
{
    sv_buffer source = SV_BUFFER_INIT(4096);
    char known[64], *version = NULL;
    const char *key = text_of(payload, "key"), *asked = text_of(payload, "source"), *name = text_of(payload, "name");
    if (!key || !mlf_is_journal_key(key) || !asked || !name)
        return damaged("a version", error);
    if (mlf_folder_id(replay->folder, key, known, sizeof known))
        return 0;
    const mlf_model_home home = {replay->run_id, replay->experiment_id, key, NULL, 1};
    mlf_register_options options = MLF_REGISTER_OPTIONS_INIT;
    mlf_pair *tags = NULL;
    options.description = text_of(payload, "description");
    options.model_description = text_of(payload, "model_description");
    const char *alias = text_of(payload, "alias");
    int code = real_source(&source, replay, asked, error);
    if (!code)
        code = read_pairs(&tags, &options.n_tags, json_object_get(payload, "tags"), error);
    options.tags = tags;
    if (!code)
        code = mlf_register_now(&version, replay->client, &home, source.data ? source.data : "", name, &options, error);
    if (code == MLF_E_NOT_FOUND && error && !error->http_status) /* the server has the name, and nothing under it: no later try finds more */
        code = error->code = MLF_E_INTEGRITY;
    if (!code && alias && !is_overtaken(replay, name, alias, version))
        code = mlf_alias_set_now(replay->client, name, alias, version, error);
    if (!code)
        code = mlf_folder_set_id(replay->folder, key, version, error);
    sv_free(tags);
    sv_free(version);
    sv_buffer_free(&source);
    return code;
}

/* {name, alias, version}: version is decimal, or the key of a version registered by this journal. */
int mlf_replay_alias(mlf_replay *replay, const json_t *payload, mlf_error *error)
{
    char known[64];
    const char *name = text_of(payload, "name"), *alias = text_of(payload, "alias"), *version = text_of(payload, "version");
    if (!name || !alias || !version)
        return damaged("an alias", error);
    if (mlf_is_journal_key(version)) {
        if (!mlf_folder_id(replay->folder, version, known, sizeof known))
            return mlf_error_set(error, MLF_E_STATE, "alias %.100s of %.200s: the version it should name was not registered", alias, name);
        version = known;
    }
    return mlf_alias_set_now(replay->client, name, alias, version, error);
}
