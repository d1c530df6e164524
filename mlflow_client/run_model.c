/* run_model.c: a run's models and their versions: made by the call itself while the server answers (noted in the journal while it lasts, cut_off.h), else written into
   the journal, which makes them later. */
#include "alloc.h"
#include "client.h"
#include "client_error.h"
#include "clock.h"
#include "cut_off.h"
#include "hub.h"
#include "registry.h"
#include "run.h"
#include "validate.h"
#include "waiting.h"

#include <math.h>
#include <string.h>

int mlf_is_for_later(int code, const mlf_error *error)
{
    return code && (error->retriable || code == MLF_E_CONNECT || code == MLF_E_TIMEOUT);
}

/* ---- models ---- */

static int keep_model(char **model_uri, mlf_run *run, const char *key, const char *folder, const mlf_metric_point *points, const mlf_model_options *options, mlf_error *error)
{
    sv_buffer uri = SV_BUFFER_INIT(256);
    char *file = NULL;
    int code = 0;
    if (options->prepare && options->prepare(options->context, folder, NULL, NULL, mlf_run_id(run)))
        code = mlf_error_set(error, MLF_E_ARGUMENT, "%.300s: the caller's prepare() refused", folder);
    if (!code)
        code = mlf_model_folder_check(folder, error);
    if (!code)
        code = mlf_waiting_copy(&file, mlf_run_folder(run), folder, NULL, error);
    json_t *payload = code ? NULL : mlf_waiting_model(key, file, points, options);
    if (!code)
        code = payload ? mlf_run_op(run, MLF_OP_MODEL, payload, error) : mlf_error_memory(error);
    if (!code && (sv_buffer_format(&uri, MLF_JOURNAL_URI "%s", key) || !(*model_uri = sv_buffer_take(&uri))))
        code = mlf_error_memory(error);
    json_decref(payload);
    sv_buffer_free(&uri);
    sv_free(file);
    return code;
}

static int check_model(const mlf_model_options *options, mlf_error *error)
{
    int code = mlf_check_logged_model_name(options->name ? options->name : "model", error);
    for (size_t i = 0; !code && i < options->n_params; i++)
        if (!(code = mlf_check_key("param", options->params[i].key, error)) && options->params[i].value)
            code = mlf_check_text("param", options->params[i].value, MLF_MAX_PARAM_VALUE, error);
    for (size_t i = 0; !code && i < options->n_tags; i++)
        if (!(code = mlf_check_key("tag", options->tags[i].key, error)) && options->tags[i].value)
            code = mlf_check_text("tag", options->tags[i].value, MLF_MAX_TAG_VALUE, error);
    for (size_t i = 0; !code && i < options->n_metrics; i++)
        code = mlf_check_key("metric", options->metric_keys[i], error);
    return code;
}

/* The model's metrics as points: the one that the run logged where it is that value, so that the server has it once, else one of now. *points: sv_free. */
static int find_points(mlf_metric_point **points, mlf_run *run, const mlf_model_options *options, mlf_error *error)
{
    int64_t now_ms = sv_epoch_ms();
    *points = sv_calloc(options->n_metrics + 1, sizeof **points);
    if (!*points)
        return mlf_error_memory(error);
    for (size_t i = 0; i < options->n_metrics; i++) {
        mlf_metric_point logged;
        double value = options->metric_values[i];
        int same = mlf_hub_last(run, options->metric_keys[i], &logged) && (logged.value == value || (isnan(logged.value) && isnan(value)));
        (*points)[i] = same ? logged : (mlf_metric_point){value, now_ms, 0};
    }
    return 0;
}

/* The model as the call brings it to the server itself. */
typedef struct model_call {
    mlf_run *run;
    const mlf_model_options *options; /* the caller's */
    json_t *payload;                  /* NULL: not begun */
} model_call;

/* The files are there once the caller's prepare() has made them. */
static int prepare_and_note(void *context, const char *folder, const char *model_id, const char *artifact_uri, const char *run_id)
{
    model_call *call = context;
    int refused = call->options->prepare(call->options->context, folder, model_id, artifact_uri, run_id);
    if (!refused && !mlf_cut_off_keep(call->payload, call->run, "folder", folder, NULL))
        mlf_run_call_begin(call->run, MLF_OP_MODEL, call->payload, NULL);
    return refused;
}

static int send_model(char **uri, model_call *call, const mlf_model_home *home, const char *folder, mlf_error *error)
{
    mlf_model_options options = *call->options;
    call->payload = mlf_waiting_model(home->key, NULL, home->points, &options);
    int code = call->payload ? MLF_OK : mlf_error_memory(error);
    if (!code && !options.prepare)
        code = mlf_cut_off_keep(call->payload, call->run, "folder", folder, error);
    if (!code)
        code = mlf_cut_off_begin(call->run, MLF_OP_MODEL, call->payload, error);
    if (code) {
        mlf_cut_off_drop(call->run, call->payload);
        call->payload = NULL;
        return code;
    }
    if (options.prepare) {
        options.prepare = prepare_and_note;
        options.context = call;
    }
    return mlf_log_model_now(uri, mlf_run_client(call->run), home, folder, &options, error);
}

int mlf_run_log_model(char **model_uri, mlf_run *run, const char *folder, const mlf_model_options *options, mlf_error *error)
{
    const mlf_model_options nothing = MLF_MODEL_OPTIONS_INIT;
    char key[MLF_JOURNAL_KEY + 1], *uri = NULL;
    mlf_error sent = MLF_ERROR_INIT;
    *model_uri = NULL;
    if (!options)
        options = &nothing;
    mlf_metric_point *points = NULL;
    int code = mlf_run_check(run, error);
    if (!code)
        code = check_model(options, error);
    if (!code)
        code = mlf_journal_key(key, error);
    if (!code)
        code = find_points(&points, run, options, error);
    if (code)
        return code;
    model_call call = {run, options, NULL};
    mlf_run_hold(run);
    if (mlf_run_is_online(run)) {
        const mlf_model_home home = {mlf_run_id(run), mlf_run_experiment_id(run), key, points, 0};
        code = send_model(&uri, &call, &home, folder, &sent);
    }
    int later = !uri && (!code || mlf_is_for_later(code, &sent));
    if (later)
        code = keep_model(&uri, run, key, folder, points, options, error);
    else if (code && error && !error->code)
        *error = sent;
    mlf_cut_off_end(run, call.payload, later);
    mlf_run_release(run);
    sv_free(points);
    *model_uri = uri;
    return code;
}

/* ---- versions ---- */

/* 1: a "journal:/KEY" that is still to be sent; 0: any other, or what the journal's sending has made of it, in known; MLF_E_STATE: the server refused it. */
static int is_waiting(mlf_run *run, const char **model_uri, char *known, size_t size, mlf_error *error)
{
    size_t prefix = strlen(MLF_JOURNAL_URI);
    if (strncmp(*model_uri, MLF_JOURNAL_URI, prefix))
        return 0;
    if (!mlf_run_made(run, *model_uri + prefix, known, size))
        return 1;
    if (!strcmp(known, MLF_MODEL_REFUSED))
        return mlf_error_set(error, MLF_E_STATE, "%.200s: the model it stands for was refused", *model_uri);
    *model_uri = known;
    return 0;
}

int mlf_model_register(char **version, mlf_run *run, const char *model_uri, const char *name, const mlf_register_options *options, mlf_error *error)
{
    const mlf_register_options nothing = MLF_REGISTER_OPTIONS_INIT;
    char key[MLF_JOURNAL_KEY + 1], known[1024], *made = NULL;
    mlf_error sent = MLF_ERROR_INIT;
    if (version)
        *version = NULL;
    if (!options)
        options = &nothing;
    int code = mlf_run_check(run, error);
    if (!code)
        code = mlf_register_check(name, options, error);
    if (!code)
        code = mlf_journal_key(key, error);
    int waits = code ? code : is_waiting(run, &model_uri, known, sizeof known, error);
    if (waits < 0)
        return waits;
    json_t *payload = mlf_waiting_register(key, model_uri, name, options);
    if (!payload)
        return mlf_error_set(error, MLF_E_ARGUMENT, "%.200s: a text is no UTF-8", name);
    int sends = !waits && mlf_run_is_online(run);
    if (sends && (code = mlf_cut_off_begin(run, MLF_OP_REGISTER, payload, error))) {
        mlf_cut_off_drop(run, payload);
        return code;
    }
    mlf_run_hold(run);
    if (sends) {
        const mlf_model_home home = {mlf_run_id(run), mlf_run_experiment_id(run), key, NULL, 0};
        code = mlf_register_now(&made, mlf_run_client(run), &home, model_uri, name, options, &sent);
    }
    int later = !made && (!code || mlf_is_for_later(code, &sent));
    if (later)
        code = mlf_run_op(run, MLF_OP_REGISTER, payload, error);
    else if (code && error && !error->code)
        *error = sent;
    if (sends)
        mlf_cut_off_end(run, payload, later);
    else
        json_decref(payload);
    mlf_run_release(run);
    if (version)
        *version = made;
    else
        sv_free(made);
    return code;
}
