/* log_model.c: a folder with an MLmodel becomes a LoggedModel (MLflow 3) or a folder below the run (2.x). The order of calls: PROTOCOL 6. */
#include "alloc.h"
#include "capabilities.h"
#include "client.h"
#include "client_error.h"
#include "endpoints.h"
#include "file.h"
#include "json_text.h"
#include "memory_file.h"
#include "mlmodel.h"
#include "object.h"
#include "registry.h"
#include "tree.h"
#include "validate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CREATES = 4, PARAMS_A_CALL = 100, UPLOAD_THREADS = 4 };

/* What is known of the model while it is being logged. */
struct logging {
    mlf_client *client;
    const mlf_model_home *home;
    const mlf_model_options *options;
    const char *folder, *name;
    char *model_id, *artifact_uri; /* model_id NULL: a 2.x server */
    int is_ready;                  /* as it was found: its files are there */
};

/* Takes id and address out of {"model": {"info": …}}. */
static int keep_model(struct logging *l, const json_t *model, mlf_error *error)
{
    const json_t *info = json_object_get(model, "info");
    const char *id = json_string_value(json_object_get(info, "model_id")), *uri = json_string_value(json_object_get(info, "artifact_uri"));
    if (!id || !uri || mlf_check_model_id(id, NULL))
        return mlf_error_set(error, MLF_E_REPLY, "logged-models: the answer names no model_id or artifact_uri");
    const char *status = json_string_value(json_object_get(info, "status"));
    l->is_ready = status && !strcmp(status, "LOGGED_MODEL_READY");
    l->model_id = sv_strdup(id);
    l->artifact_uri = sv_strdup(uri);
    return l->model_id && l->artifact_uri ? 0 : mlf_error_memory(error);
}

/* The model that carries our key: an earlier attempt may have made it though its answer never came. */
static int find_by_key(struct logging *l, mlf_error *error)
{
    char filter[200];
    snprintf(filter, sizeof filter, "tags.`" MLF_TAG_KEY "` = '%s'", l->home->key);
    json_t *arguments = json_pack("{s:[s], s:s, s:i}", "experiment_ids", l->home->experiment_id, "filter", filter, "max_results", 1), *reply = NULL;
    int code = arguments ? mlf_endpoint_call(&reply, l->client, EP(logged_models_search), arguments, error) : mlf_error_memory(error);
    const json_t *model = json_array_get(json_object_get(reply, "models"), 0);
    if (!code && model)
        code = keep_model(l, model, error);
    json_decref(reply);
    return code;
}

static int create_once(struct logging *l, mlf_error *error)
{
    const mlf_model_options *options = l->options;
    size_t n_params = options->n_params < PARAMS_A_CALL ? options->n_params : PARAMS_A_CALL;
    json_t *tags = mlf_json_append(mlf_json_pairs(options->tags, options->n_tags), json_pack("{s:s, s:s}", "key", MLF_TAG_KEY, "value", l->home->key));
    json_t *params = mlf_json_pairs(options->params, n_params), *reply = NULL;
    json_t *arguments = json_pack("{s:s, s:s, s:s*, s:s, s:o, s:o}", "experiment_id", l->home->experiment_id, "name", l->name, "model_type",
                                  options->model_type, "source_run_id", l->home->run_id, "params", params, "tags", tags);
    int code = arguments ? mlf_endpoint_call(&reply, l->client, EP(logged_models_create), arguments, error) : mlf_error_memory(error);
    if (!code)
        code = keep_model(l, json_object_get(reply, "model"), error);
    json_decref(reply);
    return code;
}

/* Makes the model once, whatever the network does. MLF_E_UNSUPPORTED on a 2.x server. */
static int create_model(struct logging *l, mlf_error *error)
{
    mlf_error last = MLF_ERROR_INIT;
    int code = l->home->may_exist ? find_by_key(l, &last) : 0;
    for (int attempt = 0; !code && !l->model_id; attempt++) {
        code = create_once(l, &last);
        if (!code || !mlf_error_is_ambiguous(code, &last) || attempt >= MAX_CREATES)
            break;
        last = (mlf_error)MLF_ERROR_INIT;
        code = find_by_key(l, &last);
    }
    if (code && error && !error->code)
        *error = last;
    return code;
}

/* Parameters beyond the first hundred. */
static int send_more_params(struct logging *l, mlf_error *error)
{
    int code = 0;
    for (size_t at = PARAMS_A_CALL; !code && at < l->options->n_params; at += PARAMS_A_CALL) {
        size_t end = at + PARAMS_A_CALL < l->options->n_params ? at + PARAMS_A_CALL : l->options->n_params;
        json_t *arguments = json_pack("{s:s, s:o}", "model_id", l->model_id, "params", mlf_json_pairs(l->options->params + at, end - at));
        code = arguments ? mlf_endpoint_call(NULL, l->client, EP(logged_models_log_params), arguments, error) : mlf_error_memory(error);
    }
    return code;
}

/* ---- files ---- */

static int read_mlmodel(sv_buffer *text, const char *folder, mlf_error *error)
{
    sv_error read = SV_ERROR_INIT;
    char *path = mlf_uri_join(folder, "MLmodel");
    int code = path ? 0 : mlf_error_memory(error);
    if (!code && access(path, F_OK) && (errno == ENOENT || errno == ENOTDIR))
        code = mlf_error_set(error, MLF_E_ARGUMENT, "a model's folder needs an MLmodel file: %s: %s", path, strerror(errno));
    if (!code && sv_file_read(text, path, MLF_MLMODEL_MAX_BYTES, &read))
        code = mlf_error_from_base(error, &read);
    if (!code && memchr(text->data ? text->data : "", '\0', text->size))
        code = mlf_error_set(error, MLF_E_ARGUMENT, "%s: holds a NUL byte", path);
    sv_free(path);
    return code;
}

int mlf_model_folder_check(const char *folder, mlf_error *error)
{
    sv_buffer text = SV_BUFFER_INIT(MLF_MLMODEL_MAX_BYTES);
    int code = read_mlmodel(&text, folder, error);
    sv_buffer_free(&text);
    return code;
}

/* Everything but MLmodel, then MLmodel with the lines that say where it now is: who finds it finds the others. */
static int upload_files(struct logging *l, mlf_error *error)
{
    sv_buffer text = SV_BUFFER_INIT(MLF_MLMODEL_MAX_BYTES), stamped = SV_BUFFER_INIT(2 * MLF_MLMODEL_MAX_BYTES);
    const mlf_mlmodel_place place = {l->model_id ? l->artifact_uri : l->name, l->home->run_id, l->model_id};
    mlf_store *store = NULL;
    int fd = -1, code = read_mlmodel(&text, l->folder, error);
    if (!code && mlf_mlmodel_stamp(&stamped, text.data ? text.data : "", &place))
        code = mlf_error_memory(error);
    if (!code)
        code = mlf_store_open(&store, l->client, l->artifact_uri, error);
    if (!code)
        code = mlf_tree_upload(store, l->folder, "", "MLmodel", UPLOAD_THREADS, error);
    if (!code)
        code = mlf_memory_file(&fd, stamped.data, stamped.size, error);
    if (!code)
        code = store->ops->put(store, "MLmodel", fd, (int64_t)stamped.size, error);
    if (fd >= 0)
        close(fd);
    mlf_store_close(store);
    sv_buffer_free(&text);
    sv_buffer_free(&stamped);
    return code;
}

static int prepare(struct logging *l, mlf_error *error)
{
    const mlf_model_options *options = l->options;
    if (options->prepare && options->prepare(options->context, l->folder, l->model_id, l->artifact_uri, l->home->run_id))
        return mlf_error_set(error, MLF_E_ARGUMENT, "%.300s: the caller's prepare() refused", l->folder);
    return 0;
}

/* ---- MLflow 3 ---- */

static int finalize(struct logging *l, const char *status, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:s}", "model_id", l->model_id, "status", status);
    int code = arguments ? mlf_endpoint_call(NULL, l->client, EP(logged_models_finalize), arguments, error) : mlf_error_memory(error);
    return code;
}

/* 1 when the run already names the model as an output, 0 when not, or a negative code. */
static int is_linked(struct logging *l, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s}", "run_id", l->home->run_id), *reply = NULL;
    int code = arguments ? mlf_endpoint_call(&reply, l->client, EP(runs_get), arguments, error) : mlf_error_memory(error), found = 0;
    const json_t *outputs = json_object_get(json_object_get(json_object_get(reply, "run"), "outputs"), "model_outputs");
    for (size_t i = 0; i < json_array_size(outputs) && !found; i++) {
        const char *id = json_string_value(json_object_get(json_array_get(outputs, i), "model_id"));
        found = id && !strcmp(id, l->model_id);
    }
    json_decref(reply);
    return code ? code : found;
}

/* Repeating it for the same model is refused by the server, so after any failure the run is looked at. */
static int link_to_run(struct logging *l, mlf_error *error)
{
    int code = 0, linked = l->home->may_exist ? is_linked(l, error) : 0;
    mlf_error last = MLF_ERROR_INIT;
    for (int attempt = 0; !linked && attempt < MAX_CREATES; attempt++) {
        json_t *arguments = json_pack("{s:s, s:[{s:s, s:i}]}", "run_id", l->home->run_id, "models", "model_id", l->model_id, "step", 0);
        last = (mlf_error)MLF_ERROR_INIT;
        code = arguments ? mlf_endpoint_call(NULL, l->client, EP(runs_log_outputs), arguments, &last) : mlf_error_memory(&last);
        if (!code)
            return 0;
        linked = is_linked(l, error);
        if (!linked && !mlf_error_is_ambiguous(code, &last))
            break;
    }
    if (linked < 0)
        return linked;
    if (!linked && error && !error->code)
        *error = last;
    return linked ? 0 : code;
}

/* The final figures under the model's id: that puts them on its page too. They are the points that the run has, to the millisecond, so that each stands once there. */
static int send_metrics(struct logging *l, mlf_error *error)
{
    int code = 0;
    for (size_t at = 0; !code && at < l->options->n_metrics; at += MLF_MAX_BATCH_METRICS) {
        json_t *metrics = json_array();
        for (size_t i = at; i < l->options->n_metrics && i < at + MLF_MAX_BATCH_METRICS; i++)
            metrics = mlf_json_append(metrics, json_pack("{s:s, s:o, s:I, s:I, s:s}", "key", l->options->metric_keys[i], "value",
                                                     mlf_json_double(l->home->points[i].value), "timestamp", (json_int_t)l->home->points[i].timestamp_ms, "step",
                                                     (json_int_t)l->home->points[i].step, "model_id", l->model_id));
        json_t *arguments = json_pack("{s:s, s:o}", "run_id", l->home->run_id, "metrics", metrics);
        code = arguments ? mlf_endpoint_call(NULL, l->client, EP(runs_log_batch), arguments, error) : mlf_error_memory(error);
    }
    return code;
}

static int log_to_3(struct logging *l, mlf_error *error)
{
    int code = send_more_params(l, error);
    if (!code)
        code = prepare(l, error);
    if (!code)
        code = upload_files(l, error);
    if (code) {
        finalize(l, "LOGGED_MODEL_UPLOAD_FAILED", NULL);
        return code;
    }
    code = finalize(l, "LOGGED_MODEL_READY", error);
    if (!code)
        code = link_to_run(l, error);
    return code ? code : send_metrics(l, error);
}

/* ---- MLflow 2 ---- */

/* What the 2.x pages show of the model: the run's history of logged models. Loading works without it. */
static int tell_history(struct logging *l, mlf_error *error)
{
    sv_buffer text = SV_BUFFER_INIT(MLF_MLMODEL_MAX_BYTES), model_json = SV_BUFFER_INIT(0);
    char when[40];
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S.000000", gmtime_r(&now, &utc));
    int code = read_mlmodel(&text, l->folder, error);
    json_t *model = code ? NULL : json_pack("{s:s, s:s, s:s, s:s, s:o}", "run_id", l->home->run_id, "artifact_path", l->name, "utc_time_created", when, "model_uuid",
                                            l->home->key, "flavors", mlf_mlmodel_flavors(text.data ? text.data : ""));
    json_t *arguments = mlf_json_text(&model_json, model) ? NULL : json_pack("{s:s, s:s}", "run_id", l->home->run_id, "model_json", model_json.data);
    if (!code)
        code = arguments ? mlf_endpoint_call(NULL, l->client, EP(runs_log_model), arguments, error) : mlf_error_memory(error);
    json_decref(model);
    sv_buffer_free(&model_json);
    sv_buffer_free(&text);
    return code;
}

static int log_to_2(struct logging *l, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s}", "run_id", l->home->run_id), *reply = NULL;
    int code = arguments ? mlf_endpoint_call(&reply, l->client, EP(runs_get), arguments, error) : mlf_error_memory(error);
    const char *root = json_string_value(json_object_get(json_object_get(json_object_get(reply, "run"), "info"), "artifact_uri"));
    if (!code && !root)
        code = mlf_error_set(error, MLF_E_REPLY, "runs_get: the answer names no artifact_uri");
    if (!code && !(l->artifact_uri = mlf_uri_join(root, l->name)))
        code = mlf_error_memory(error);
    if (!code)
        code = prepare(l, error);
    if (!code)
        code = upload_files(l, error);
    if (!code)
        code = tell_history(l, error);
    json_decref(reply);
    return code;
}

/* ---- either ---- */

static int model_uri_of(char **model_uri, const struct logging *l, mlf_error *error)
{
    sv_buffer uri = SV_BUFFER_INIT(2048);
    int bad = l->model_id ? sv_buffer_format(&uri, "models:/%s", l->model_id) : sv_buffer_format(&uri, "runs:/%s/%s", l->home->run_id, l->name);
    *model_uri = bad ? NULL : sv_buffer_take(&uri);
    sv_buffer_free(&uri);
    return *model_uri ? 0 : mlf_error_memory(error);
}

/* Logged models are not supported, says an answer (*made). Of a 2.x server that is so (*has 0, code 0); of a newer one it was a proxy's answer: the failure stays, and passes. */
static int settle_kind(int *has, mlf_client *client, mlf_error *made)
{
    mlf_error unknown = MLF_ERROR_INIT;
    int code = mlf_has_logged_models(has, client, &unknown);
    if (code)
        *made = unknown;
    return code || *has ? made->code : MLF_OK;
}

/* The folder of the run's model with that key, in what the run remembers of its models (MLflow 2): *name (sv_free); NULL: none. */
static int find_in_history(char **name, const struct logging *l, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s}", "run_id", l->home->run_id), *reply = NULL, *history = NULL, *tag;
    size_t i;
    int code = arguments ? mlf_endpoint_call(&reply, l->client, EP(runs_get), arguments, error) : mlf_error_memory(error);
    json_array_foreach(json_object_get(json_object_get(json_object_get(reply, "run"), "data"), "tags"), i, tag) {
        const char *key = json_string_value(json_object_get(tag, "key")), *text = json_string_value(json_object_get(tag, "value"));
        if (key && text && !history && !strcmp(key, "mlflow.log-model.history"))
            mlf_json_parse(&history, text, strlen(text), 0, NULL);
    }
    json_array_foreach(history, i, tag) {
        const char *uuid = json_string_value(json_object_get(tag, "model_uuid")), *path = json_string_value(json_object_get(tag, "artifact_path"));
        if (!code && uuid && path && !*name && !strcmp(uuid, l->home->key))
            code = (*name = sv_strdup(path)) ? 0 : mlf_error_memory(error);
    }
    json_decref(reply);
    json_decref(history);
    return code;
}

int mlf_find_model(char **model_uri, mlf_client *client, const mlf_model_home *home, mlf_error *error)
{
    struct logging l = {.client = client, .home = home};
    mlf_error looked = MLF_ERROR_INIT;
    char *name = NULL;
    *model_uri = NULL;
    int has = 1, code = find_by_key(&l, &looked);
    if (code == MLF_E_UNSUPPORTED)
        code = settle_kind(&has, client, &looked);
    if (code && error && !error->code)
        *error = looked;
    if (!code && !has)
        code = find_in_history(&name, &l, error);
    l.name = name;
    if (!code && (name || l.is_ready))
        code = model_uri_of(model_uri, &l, error);
    sv_free(name);
    sv_free(l.model_id);
    sv_free(l.artifact_uri);
    return code;
}

int mlf_log_model_now(char **model_uri, mlf_client *client, const mlf_model_home *home, const char *folder, const mlf_model_options *options, mlf_error *error)
{
    const mlf_model_options nothing = MLF_MODEL_OPTIONS_INIT;
    struct logging l = {.client = client, .home = home, .options = options ? options : &nothing, .folder = folder};
    l.name = l.options->name ? l.options->name : "model";
    *model_uri = NULL;
    int code = mlf_check_logged_model_name(l.name, error);
    if (code)
        return code;
    mlf_error made = MLF_ERROR_INIT;
    int has = 1;
    code = create_model(&l, &made);
    if (code == MLF_E_UNSUPPORTED)
        code = settle_kind(&has, client, &made);
    if (!code)
        code = has ? log_to_3(&l, error) : log_to_2(&l, error);
    else if (error && !error->code)
        *error = made;
    if (!code)
        code = model_uri_of(model_uri, &l, error);
    sv_free(l.model_id);
    sv_free(l.artifact_uri);
    return mlf_error_of_repeatable(code, error);
}
