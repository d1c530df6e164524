#include "replay.h"

#include "client.h"
#include "client_error.h"
#include "clock.h"
#include "endpoints.h"
#include "json_text.h"
#include "object.h"
#include "reply.h"
#include "retry.h"
#include "transport.h"
#include "url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static int bad_payload(const char *op, mlf_error *error)
{
    return mlf_error_set(error, MLF_E_INTEGRITY, "journal: an operation '%s' without what it needs", op);
}

int mlf_replay_call(json_t **reply, const mlf_replay *replay, const mlf_endpoint *endpoint, const json_t *arguments, mlf_error *error)
{
    sv_buffer url = SV_BUFFER_INIT(65536), body = SV_BUFFER_INIT(0);
    mlf_http_reply http = MLF_HTTP_REPLY_INIT;
    int get = !strcmp(endpoint->method, "GET");
    *reply = NULL;
    int code = sv_buffer_text(&url, endpoint->path) || (!get && mlf_json_text(&body, arguments)) ? mlf_error_memory(error) : MLF_OK;
    if (!code && get)
        code = mlf_url_query(&url, arguments, error);
    if (!code) {
        /* What is not idempotent is not sent again by the transport on its own: a connection that broke may have delivered it. */
        mlf_http_call call = {.method = endpoint->method, .url = url.data, .flags = endpoint->flags & MLF_EP_ONCE ? MLF_HTTP_ONCE : 0, .body = body.data, .body_bytes = (int64_t)body.size, .timeout_ms = replay->timeout_ms, .max_retries = -1, .cancel = replay->cancel};
        code = mlf_http(replay->client, &call, &http, error);
        if (code && error && call.flags & MLF_HTTP_ONCE) /* the sender looks for it before it tries again */
            error->retriable = error->retriable || mlf_retry_status(http.status, 0, error->error_code, http.body.data);
    }
    if (!code)
        code = mlf_reply_json(reply, http.body.data, http.body.size, error);
    mlf_http_reply_free(&http);
    sv_buffer_free(&url);
    sv_buffer_free(&body);
    return code;
}

/* Calls and frees the arguments, which may be NULL when memory is out. */
static int call(json_t **reply, const mlf_replay *replay, const mlf_endpoint *endpoint, json_t *arguments, mlf_error *error)
{
    int code = arguments ? mlf_replay_call(reply, replay, endpoint, arguments, error) : mlf_error_memory(error);
    json_decref(arguments);
    return code;
}

static int call_only(const mlf_replay *replay, const mlf_endpoint *endpoint, json_t *arguments, mlf_error *error)
{
    json_t *reply = NULL;
    int code = call(&reply, replay, endpoint, arguments, error);
    json_decref(reply);
    return code;
}

/* ---- experiments ---- */

static int take_experiment_id(mlf_replay *replay, const char *id, const char *name, mlf_error *error)
{
    if (!*id || strlen(id) >= sizeof replay->experiment_id)
        return mlf_error_set_retriable(error, MLF_E_REPLY, "experiment '%.100s': the answer holds no experiment_id", name);
    snprintf(replay->experiment_id, sizeof replay->experiment_id, "%s", id);
    return MLF_OK;
}

static int get_experiment(mlf_replay *replay, const char *name, mlf_error *error)
{
    json_t *reply = NULL;
    int code = call(&reply, replay, EP(experiments_get_by_name), json_pack("{s:s}", "experiment_name", name), error);
    const json_t *found = json_object_get(reply, "experiment");
    if (!code && !strcmp(text_of(found, "lifecycle_stage"), "deleted"))
        code = mlf_error_set(error, MLF_E_STATE, "experiment '%.200s' is deleted: restore it or choose another name", name);
    if (!code)
        code = take_experiment_id(replay, text_of(found, "experiment_id"), name, error);
    json_decref(reply);
    return code;
}

/* Somebody else may make it at the same moment: then it is there. */
static int ensure_experiment(mlf_replay *replay, const char *name, mlf_error *error)
{
    mlf_error first = MLF_ERROR_INIT;
    int code = get_experiment(replay, name, &first);
    if (code != MLF_E_NOT_FOUND) {
        if (code && error && !error->code)
            *error = first;
        return code;
    }
    json_t *reply = NULL;
    mlf_error second = MLF_ERROR_INIT;
    code = call(&reply, replay, EP(experiments_create), json_pack("{s:s}", "name", name), &second);
    if (!code)
        code = take_experiment_id(replay, text_of(reply, "experiment_id"), name, error);
    else if (code == MLF_E_EXISTS)
        code = get_experiment(replay, name, error);
    else if (error && !error->code)
        *error = second;
    json_decref(reply);
    return code;
}

/* ---- the run ---- */

/* Steals experiment_ids, which may be NULL when memory is out. */
static int search_key(json_t **reply, const mlf_replay *replay, json_t *experiment_ids, const char *key, const char *view, mlf_error *error)
{
    char filter[128];
    snprintf(filter, sizeof filter, "tags.`" MLF_TAG_KEY "` = '%s'", key);
    return call(reply, replay, EP(runs_search),
                json_pack("{s:o, s:s, s:s, s:i}", "experiment_ids", experiment_ids, "filter", filter, "run_view_type", view, "max_results", 100), error);
}

static const char *run_at(const json_t *reply, size_t i)
{
    return text_of(json_object_get(json_array_get(json_object_get(reply, "runs"), i), "info"), "run_id");
}

/* The run that carries this client-made key in one of the experiments, one that is not deleted before one that is: 1 found (run_id and experiment_id
   are set), 0 none, negative mlf_code. Steals experiment_ids. */
static int find_in(mlf_replay *replay, json_t *experiment_ids, const char *key, mlf_error *error)
{
    static const char *const views[] = {"ACTIVE_ONLY", "DELETED_ONLY"};
    int found = 0;
    for (int i = 0; !found && i < 2; i++) {
        json_t *reply = NULL;
        found = search_key(&reply, replay, json_incref(experiment_ids), key, views[i], error);
        const char *id = run_at(reply, 0);
        if (!found && *id && strlen(id) < sizeof replay->run_id) {
            snprintf(replay->run_id, sizeof replay->run_id, "%s", id);
            found = take_experiment_id(replay, text_of(json_object_get(json_array_get(json_object_get(reply, "runs"), 0), "info"), "experiment_id"), key, error);
            found = found ? found : 1;
        }
        json_decref(reply);
    }
    json_decref(experiment_ids);
    return found;
}

static int find_by_key(mlf_replay *replay, const char *key, mlf_error *error)
{
    return find_in(replay, json_pack("[s]", replay->experiment_id), key, error);
}

enum { EXPERIMENTS_AT_ONCE = 500, EXPERIMENT_PAGES = 100 }; /* SQLite takes 999 values in a query */

/* One page of the experiments, the newest first: their ids, and the token of the next page or "". */
static int list_experiments(json_t **ids, sv_buffer *token, const mlf_replay *replay, mlf_error *error)
{
    json_t *reply = NULL, *experiment;
    size_t i;
    json_t *arguments = json_pack("{s:i, s:s}", "max_results", EXPERIMENTS_AT_ONCE, "view_type", "ACTIVE_ONLY");
    if (token->size && arguments && json_object_set_new(arguments, "page_token", json_string(token->data))) {
        json_decref(arguments);
        arguments = NULL;
    }
    *ids = NULL;
    int code = call(&reply, replay, EP(experiments_search), arguments, error);
    if (!code) {
        *ids = json_array();
        json_array_foreach(json_object_get(reply, "experiments"), i, experiment)
            *ids = mlf_json_append(*ids, json_incref(json_object_get(experiment, "experiment_id")));
        sv_buffer_clear(token);
        code = !*ids || sv_buffer_text(token, text_of(reply, "next_page_token")) ? mlf_error_memory(error) : MLF_OK;
    }
    json_decref(reply);
    return code;
}

/* As find_by_key(), in every experiment: for a run of which nothing but its key is known. */
static int find_anywhere(mlf_replay *replay, const char *key, mlf_error *error)
{
    sv_buffer token = SV_BUFFER_INIT(65536);
    int found = 0, more = 1;
    for (int page = 0; !found && more && page < EXPERIMENT_PAGES; page++) {
        json_t *ids;
        found = list_experiments(&ids, &token, replay, error);
        if (!found && json_array_size(ids))
            found = find_in(replay, json_incref(ids), key, error);
        more = token.size > 0;
        json_decref(ids);
    }
    sv_buffer_free(&token);
    return found;
}

int mlf_replay_find(char run_id[MLF_RUN_ID_SIZE], mlf_client *client, const char *key, mlf_error *error)
{
    mlf_replay replay = {.client = client};
    int found = mlf_may_be_key(key) ? find_anywhere(&replay, key, error) : 0;
    if (found > 0)
        memcpy(run_id, replay.run_id, MLF_RUN_ID_SIZE);
    return found;
}

/* As its creation left it. A run with data is somebody's: of a copy of this journal that is synced elsewhere, for one. */
static int is_bare(const json_t *run)
{
    const json_t *data = json_object_get(run, "data");
    return !strcmp(text_of(json_object_get(run, "info"), "status"), "RUNNING") && !json_array_size(json_object_get(data, "metrics")) && !json_array_size(json_object_get(data, "params"));
}

/* A create whose answer was lost may still have been under way on the server when it was looked for: the empty run it made in the end goes again. */
static int remove_doubles(mlf_replay *replay, const char *key, mlf_error *error)
{
    json_t *reply = NULL;
    int code = search_key(&reply, replay, json_pack("[s]", replay->experiment_id), key, "ACTIVE_ONLY", error);
    for (size_t i = 0; !code && *run_at(reply, i); i++)
        if (strcmp(run_at(reply, i), replay->run_id) && is_bare(json_array_get(json_object_get(reply, "runs"), i)))
            code = call_only(replay, EP(runs_delete), json_pack("{s:s}", "run_id", run_at(reply, i)), error);
    json_decref(reply);
    return code;
}

/* Of a create that may have been made twice. */
enum {
    DOUBT_MS = 5000,    /* how long the server may take over the one whose connection was lost, */
    ATTEMPT_MS = 600000 /* which was at the latest so long after it was begun */
};

/* In ids.json: when a create was last begun, and since when (0: long ago) the server may be at one that was given up. */
#define BEGUN "creating"
#define DOUBTFUL "doubtful"

static int put_moment(mlf_replay *replay, const char *key, int64_t moment_ms, mlf_error *error)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)moment_ms);
    return mlf_folder_put_id(replay->folder, key, text, error);
}

static int64_t moment_of(const mlf_replay *replay, const char *key)
{
    char text[24] = "0";
    mlf_folder_id(replay->folder, key, text, sizeof text);
    return strtoll(text, NULL, 10);
}

int mlf_replay_settle(mlf_replay *replay, mlf_error *error)
{
    char text[24];
    if (!*replay->run_id || !mlf_folder_id(replay->folder, DOUBTFUL, text, sizeof text))
        return MLF_OK;
    int64_t now = sv_epoch_ms(), moment = moment_of(replay, DOUBTFUL);
    for (int64_t left = moment > now ? DOUBT_MS : moment > 0 ? moment + DOUBT_MS - now : 0; left > 0 && !(replay->cancel && atomic_load(replay->cancel)); left -= 50)
        nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL);
    return remove_doubles(replay, replay->folder->key, error);
}

/* A parent that was itself begun offline is named by its key; by now the server knows it under its own id. Its tags are the payload's own, changed. */
static int resolve_parent(mlf_replay *replay, const json_t *payload, mlf_error *error)
{
    json_t *tags = json_object_get(payload, "tags");
    const char *parent = text_of(tags, "mlflow.parentRunId");
    mlf_replay other = *replay;
    if (!mlf_may_be_key(parent))
        return MLF_OK;
    int found = find_by_key(&other, parent, error);
    if (found > 0 && json_object_set_new(tags, "mlflow.parentRunId", json_string(other.run_id)))
        return mlf_error_memory(error);
    return found < 0 ? found : MLF_OK;
}

static json_t *tags_of(const json_t *payload)
{
    json_t *list = json_array();
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(payload, "tags"), key, value)
        list = mlf_json_append(list, json_pack("{s:s, s:O}", "key", key, "value", value));
    return mlf_json_append(list, json_pack("{s:s, s:O}", "key", MLF_TAG_KEY, "value", json_object_get(payload, "key")));
}

static int create_run(mlf_replay *replay, const json_t *payload, mlf_error *error)
{
    json_t *reply = NULL;
    json_t *arguments = json_pack("{s:s, s:O, s:o}", "experiment_id", replay->experiment_id, "start_time", json_object_get(payload, "start_time"), "tags", tags_of(payload));
    int bad = arguments && json_object_get(payload, "name") && json_object_set(arguments, "run_name", json_object_get(payload, "name"));
    bad = bad || (arguments && json_object_get(payload, "user") && json_object_set(arguments, "user_id", json_object_get(payload, "user")));
    if (bad) {
        json_decref(arguments);
        return mlf_error_memory(error);
    }
    int code = call(&reply, replay, EP(runs_create), arguments, error);
    const char *id = text_of(json_object_get(json_object_get(reply, "run"), "info"), "run_id");
    if (!code && (!*id || strlen(id) >= sizeof replay->run_id))
        code = mlf_error_set_retriable(error, MLF_E_REPLY, "runs/create: the answer holds no run_id");
    if (!code)
        snprintf(replay->run_id, sizeof replay->run_id, "%s", id);
    json_decref(reply);
    return code;
}

static int place_in_experiment(mlf_replay *replay, const json_t *payload, mlf_error *error)
{
    const char *id = text_of(payload, "experiment_id"), *name = text_of(payload, "experiment");
    return *id ? take_experiment_id(replay, id, id, error) : *name ? ensure_experiment(replay, name, error) : take_experiment_id(replay, "0", "0", error);
}

static int note_run(mlf_replay *replay, const char *key, mlf_error *error)
{
    int code = mlf_folder_put_id(replay->folder, "experiment", replay->experiment_id, error);
    return code ? code : mlf_folder_set_id(replay->folder, key, replay->run_id, error);
}

/* Written down before it is sent: who comes after a kill knows that the server may be at it. */
static int note_creation(mlf_replay *replay, mlf_error *error)
{
    int code = put_moment(replay, BEGUN, sv_epoch_ms(), error);
    return code ? code : mlf_folder_set_id(replay->folder, "experiment", replay->experiment_id, error);
}

/* An earlier attempt, whose answer nobody had, ended just now at the latest. Without one there is no doubt: another run of this key is of a copy of the journal. */
static int note_doubt(mlf_replay *replay, int64_t begun_ms, mlf_error *error)
{
    if (!begun_ms)
        return MLF_OK;
    int64_t now = sv_epoch_ms();
    return put_moment(replay, DOUBTFUL, now - begun_ms < ATTEMPT_MS ? now : 0, error);
}

static int replay_create(mlf_replay *replay, const json_t *payload, mlf_error *error)
{
    const char *key = text_of(payload, "key");
    if (!mlf_is_journal_key(key) || !json_is_integer(json_object_get(payload, "start_time")))
        return bad_payload("create", error);
    int64_t begun_ms = moment_of(replay, BEGUN);
    int code = place_in_experiment(replay, payload, error);
    int found = code || !replay->maybe_done ? 0 : find_by_key(replay, key, error);
    if (!code && !found)
        code = resolve_parent(replay, payload, error);
    if (!code && !found)
        code = note_creation(replay, error);
    if (!code)
        code = found > 0 ? MLF_OK : found < 0 ? found : create_run(replay, payload, error);
    if (!code && replay->maybe_done)
        code = note_doubt(replay, begun_ms, error);
    return code ? code : note_run(replay, key, error);
}

static int read_run(mlf_replay *replay, const char *run_id, mlf_error *error)
{
    json_t *reply = NULL;
    int code = call(&reply, replay, EP(runs_get), json_pack("{s:s}", "run_id", run_id), error);
    const json_t *info = json_object_get(json_object_get(reply, "run"), "info");
    if (!code && !strcmp(text_of(info, "lifecycle_stage"), "deleted"))
        code = mlf_error_set(error, MLF_E_STATE, "run %s is deleted: restore it to log to it", run_id);
    if (!code)
        code = take_experiment_id(replay, text_of(info, "experiment_id"), run_id, error);
    if (!code)
        snprintf(replay->run_id, sizeof replay->run_id, "%s", run_id);
    json_decref(reply);
    return code;
}

/* Of a run whose id somebody wrote into ids.json, since the record of its creation is damaged. */
static int find_experiment(mlf_replay *replay, mlf_error *error)
{
    char run_id[MLF_RUN_ID_SIZE];
    snprintf(run_id, sizeof run_id, "%s", replay->run_id);
    return read_run(replay, run_id, error);
}

/* run_id may be the key of a run that was itself made offline: by now the server knows it under its own id. Who goes on with it need not know its
   experiment. */
static int replay_continue(mlf_replay *replay, const json_t *payload, mlf_error *error)
{
    mlf_error unknown = MLF_ERROR_INIT;
    const char *run_id = text_of(payload, "run_id");
    if (!*run_id || strlen(run_id) >= sizeof replay->run_id)
        return bad_payload("continue", error);
    int code = read_run(replay, run_id, &unknown);
    if (code == MLF_E_NOT_FOUND && mlf_is_journal_key(run_id)) {
        code = place_in_experiment(replay, payload, error);
        int found = code ? 0 : find_by_key(replay, run_id, error);
        if (!code && !found)
            found = find_anywhere(replay, run_id, error);
        if (!code && found <= 0)
            code = found < 0 ? found : mlf_error_set(error, MLF_E_NOT_FOUND, "run %s is not on the server: sync the journal it began in first", run_id);
    } else if (code && error && !error->code) {
        *error = unknown;
    }
    if (!code && !json_is_true(json_object_get(payload, "as_is")))
        code = call_only(replay, EP(runs_update), json_pack("{s:s, s:s}", "run_id", replay->run_id, "status", "RUNNING"), error);
    return code ? code : note_run(replay, replay->folder->key, error);
}

static int replay_end(mlf_replay *replay, const json_t *payload, mlf_error *error)
{
    if (!json_object_get(payload, "status") || !json_object_get(payload, "end_time"))
        return bad_payload("end", error);
    int code = mlf_replay_settle(replay, error);
    return code ? code : call_only(replay, EP(runs_update),
                     json_pack("{s:s, s:O, s:O}", "run_id", replay->run_id, "status", json_object_get(payload, "status"), "end_time", json_object_get(payload, "end_time")), error);
}

static int replay_input(mlf_replay *replay, const json_t *payload, mlf_error *error)
{
    static const char *const fields[] = {"name", "digest", "source_type", "source", "schema", "profile"};
    json_t *dataset = json_object(), *tags = json_array();
    int bad = 0;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        bad |= json_object_get(payload, fields[i]) && json_object_set(dataset, fields[i], json_object_get(payload, fields[i]));
    if (json_object_get(payload, "context"))
        tags = mlf_json_append(tags, json_pack("{s:s, s:O}", "key", "mlflow.data.context", "value", json_object_get(payload, "context")));
    if (bad || !dataset || !tags) {
        json_decref(dataset);
        json_decref(tags);
        return mlf_error_memory(error);
    }
    return call_only(replay, EP(runs_log_inputs), json_pack("{s:s, s:[{s:o, s:o}]}", "run_id", replay->run_id, "datasets", "tags", tags, "dataset", dataset), error);
}

/* Params and tags travel in batches (batch.h), not here. */
static int (*const functions[MLF_OP_KINDS])(mlf_replay *, const json_t *, mlf_error *) = {
    [MLF_OP_RUN_CREATE] = replay_create,
    [MLF_OP_RUN_CONTINUE] = replay_continue,
    [MLF_OP_RUN_END] = replay_end,
    [MLF_OP_INPUT] = replay_input,
    [MLF_OP_ARTIFACT] = mlf_replay_artifact,
    [MLF_OP_MODEL] = mlf_replay_model,
    [MLF_OP_REGISTER] = mlf_replay_register,
    [MLF_OP_ALIAS] = mlf_replay_alias,
};

int mlf_replay_op(mlf_replay *replay, int kind, const json_t *payload, mlf_error *error)
{
    if (kind <= 0 || kind >= MLF_OP_KINDS || !functions[kind])
        return mlf_error_set(error, MLF_E_STATE, "journal: written by a newer version, which must send it: an operation of kind %d (%s)", kind, mlf_op_name(kind));
    if (!*replay->run_id && kind != MLF_OP_RUN_CREATE && kind != MLF_OP_RUN_CONTINUE && kind != MLF_OP_ALIAS)
        return bad_payload(mlf_op_name(kind), error);
    int code = *replay->run_id && !*replay->experiment_id ? find_experiment(replay, error) : MLF_OK;
    return code ? code : functions[kind](replay, payload, error);
}
