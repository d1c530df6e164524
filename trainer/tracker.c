#include "tracker.h"
#include "alloc.h"
#include "buffer.h"
#include "clock.h"
#include "interrupt.h"
#include "log.h"
#include "schema.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAM_MAX = 5000, KEY_MAX = 250 };

/* How far the making of the run has come. */
enum { RUN_BEGINS, RUN_READY, RUN_REFUSED };

struct sv_tracker {
    pthread_t thread;
    int has_thread;
    atomic_int state; /* RUN_… */
    mlf_client *client;
    int owns_client;
    mlf_run *run;
    mlf_error failure; /* of the thread */
    char *experiment, *name, *parent, *description;
    mlf_pair *tags; /* (n_tags) with their texts in pool */
    size_t n_tags;
    int offline;
    sv_fit_step *steps; /* (n_steps), of which n_sent are logged */
    size_t n_steps, n_sent, capacity;
    int64_t spent_ns; /* sv_tracker_seconds */
    int version_waits; /* 1: asked for, but only the journal has it */
    char *model_uri, *version, *model_id, *address;
};

static int from_mlflow(sv_error *error, const char *what, const mlf_error *inner)
{
    int code = inner->code == MLF_E_MEMORY ? SV_E_MEMORY : inner->code == MLF_E_IO ? SV_E_IO : inner->code == MLF_E_ARGUMENT ? SV_E_CONFIG : SV_E_NETWORK;
    sv_error_set(error, code, "%s: %s%s%s", what, inner->message[0] ? inner->message : mlf_code_name(inner->code), inner->error_code[0] ? " " : "", inner->error_code);
    if (inner->code == MLF_E_CONNECT || inner->code == MLF_E_TIMEOUT)
        sv_error_hint(error, "is the tracking server up? MLFLOW_TRACKING_URI names it; --offline keeps the run for `mlflowc sync`");
    return code;
}

/* ---- beginning ---- */

/* Asks nobody yet: what the settings say is wrong, or not, at once. */
static int make_client(sv_tracker *t, const sv_config *config, sv_error *error)
{
    mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
    mlf_error inner = MLF_ERROR_INIT;
    options.tracking_uri = config->tracking.uri;
    options.offline = t->offline ? 1 : -1;
    if (t->client)
        return 0;
    t->owns_client = !mlf_client_new(&t->client, &options, &inner);
    if (t->owns_client) {
        sv_interrupt_stops(t->client);
        return 0;
    }
    if (inner.code == MLF_E_ARGUMENT && config->tracking.uri)
        return sv_config_fail(error, config, "tracking.uri", "%s", inner.message);
    int code = from_mlflow(error, "tracking", &inner);
    if (inner.code == MLF_E_ARGUMENT)
        sv_error_hint(error, "MLFLOW_TRACKING_URI names the server; --no-tracking trains without one");
    return code;
}

static int make_run(sv_tracker *t)
{
    mlf_run_options options = MLF_RUN_OPTIONS_INIT;
    options.experiment = t->experiment;
    options.name = t->name;
    options.parent_run_id = t->parent;
    options.description = t->description;
    options.tags = t->tags;
    options.n_tags = t->n_tags;
    options.source_name = "solvent";
    return mlf_run_create(&t->run, t->client, &options, &t->failure);
}

static void *begin_run(void *context)
{
    sv_tracker *t = context;
    atomic_store(&t->state, make_run(t) ? RUN_REFUSED : RUN_READY);
    return NULL;
}

static int copy_tags(sv_tracker *t, const sv_config *config)
{
    size_t bytes = config->tags.count * sizeof(mlf_pair) + 1;
    for (size_t i = 0; i < config->tags.count; i++)
        bytes += strlen(config->tags.items[i].key) + strlen(config->tags.items[i].value) + 2;
    if (!(t->tags = sv_malloc(bytes)))
        return SV_E_MEMORY;
    char *at = (char *)(t->tags + config->tags.count);
    for (size_t i = 0; i < config->tags.count; i++) {
        const char *texts[2] = {config->tags.items[i].key, config->tags.items[i].value};
        char *copies[2];
        for (int k = 0; k < 2; k++) {
            size_t length = strlen(texts[k]) + 1;
            copies[k] = memcpy(at, texts[k], length);
            at += length;
        }
        t->tags[t->n_tags++] = (mlf_pair){copies[0], copies[1]};
    }
    return 0;
}

static int copy_text(char **out, const char *text)
{
    *out = sv_strdup(text);
    return text && !*out ? SV_E_MEMORY : 0;
}

static void free_tracker(sv_tracker *t)
{
    if (t->owns_client) {
        sv_interrupt_stops(NULL);
        mlf_client_free(t->client);
    }
    sv_free(t->experiment);
    sv_free(t->name);
    sv_free(t->parent);
    sv_free(t->description);
    sv_free(t->tags);
    sv_free(t->steps);
    mlf_free(t->model_uri);
    mlf_free(t->version);
    sv_free(t->model_id);
    sv_free(t->address);
    sv_free(t);
}

int sv_tracker_begin(sv_tracker **out, const sv_config *config, const sv_tracker_options *options, sv_error *error)
{
    int64_t began = sv_monotonic_ns();
    *out = NULL;
    if (!config->tracking.enabled)
        return 0;
    sv_tracker *t = sv_calloc(1, sizeof *t);
    if (!t)
        return sv_error_set(error, SV_E_MEMORY, "tracking: out of memory");
    t->offline = options->offline;
    t->client = options->client;
    if (copy_text(&t->experiment, config->experiment) || copy_text(&t->name, options->run_name ? options->run_name : config->run_name) ||
        copy_text(&t->parent, options->parent_run_id) || copy_text(&t->description, config->description) || copy_tags(t, config)) {
        free_tracker(t);
        return sv_error_set(error, SV_E_MEMORY, "tracking: out of memory");
    }
    int code = make_client(t, config, error);
    if (code) {
        free_tracker(t);
        return code;
    }
    t->has_thread = !pthread_create(&t->thread, NULL, begin_run, t);
    if (!t->has_thread)
        begin_run(t);
    t->spent_ns = sv_monotonic_ns() - began;
    *out = t;
    return 0;
}

static int refusal(const sv_tracker *t, sv_error *error)
{
    return atomic_load(&t->state) == RUN_REFUSED ? from_mlflow(error, "tracking", &t->failure) : 0;
}

int sv_tracker_join(sv_tracker *t, sv_error *error)
{
    if (!t)
        return 0;
    if (t->has_thread)
        pthread_join(t->thread, NULL);
    t->has_thread = 0;
    return refusal(t, error);
}

int sv_tracker_check(sv_tracker *t, sv_error *error)
{
    return t ? refusal(t, error) : 0;
}

double sv_tracker_seconds(const sv_tracker *t)
{
    return t ? (double)t->spent_ns / 1e9 : 0;
}

/* ---- steps ---- */

static void send_steps(sv_tracker *t)
{
    static const char *const keys[] = {"train.objective", "train.loss", "train.gradient_norm", "train.step_size", "validation.loss"};
    for (; t->n_sent < t->n_steps; t->n_sent++) {
        const sv_fit_step *step = &t->steps[t->n_sent];
        double values[] = {step->objective, step->loss, step->gradient_norm, step->step, step->validation_loss};
        size_t n = isnan(step->validation_loss) ? 4 : 5;
        mlf_run_log_metrics(t->run, keys, values, n, step->iteration);
    }
}

static int make_room(sv_tracker *t)
{
    if (t->n_steps < t->capacity)
        return 0;
    size_t capacity = t->capacity ? t->capacity * 2 : 64;
    sv_fit_step *steps = sv_realloc(t->steps, capacity * sizeof *steps);
    if (!steps)
        return SV_E_MEMORY;
    t->steps = steps;
    t->capacity = capacity;
    return 0;
}

void sv_tracker_step(sv_tracker *t, const sv_fit_step *step)
{
    int64_t began = sv_monotonic_ns();
    if (!t || make_room(t))
        return;
    t->steps[t->n_steps++] = *step;
    if (atomic_load(&t->state) == RUN_READY)
        send_steps(t);
    t->spent_ns += sv_monotonic_ns() - began;
}

/* ---- what is logged once ---- */

/* MLflow takes letters, digits, _ - . blank : / in keys. */
static void make_key(char out[KEY_MAX + 1], const char *key)
{
    size_t n = 0;
    for (; *key && n < KEY_MAX; key++)
        out[n++] = isalnum((unsigned char)*key) || (unsigned char)*key >= 0x80 || strchr("_-. ", *key) ? *key : '_';
    while (n && ((unsigned char)out[n - 1] & 0xc0) == 0x80 && *key) /* not in the middle of a character */
        n--;
    out[n] = '\0';
}

int sv_tracker_param(sv_tracker *t, const char *key, const char *value, sv_error *error)
{
    char name[KEY_MAX + 1], cut[PARAM_MAX + 4];
    mlf_error inner = MLF_ERROR_INIT;
    if (!t)
        return 0;
    make_key(name, key);
    if (strlen(value) > PARAM_MAX) {
        size_t n = PARAM_MAX;
        while (n && ((unsigned char)value[n] & 0xc0) == 0x80)
            n--;
        snprintf(cut, sizeof cut, "%.*s…", (int)n, value);
        value = cut;
    }
    return mlf_run_log_param(t->run, name, value, &inner) ? from_mlflow(error, name, &inner) : 0;
}

int sv_tracker_tag(sv_tracker *t, const char *key, const char *value, sv_error *error)
{
    mlf_error inner = MLF_ERROR_INIT;
    return t && mlf_run_set_tag(t->run, key, value, &inner) ? from_mlflow(error, key, &inner) : 0;
}

int sv_tracker_metric(sv_tracker *t, const char *key, double value, int64_t step)
{
    char name[KEY_MAX + 1];
    if (!t)
        return 0;
    make_key(name, key);
    return mlf_run_log_metric(t->run, name, value, step) ? SV_E_NETWORK : 0;
}

typedef struct param_visit {
    sv_tracker *tracker;
    sv_error *error;
} param_visit;

static int log_setting(void *context, const char *key, const char *value)
{
    const param_visit *v = context;
    return sv_tracker_param(v->tracker, key, value, v->error);
}

int sv_tracker_settings(sv_tracker *t, const sv_config *config, sv_error *error)
{
    param_visit visit = {t, error};
    if (!t)
        return 0;
    send_steps(t);
    int code = sv_config_each(config, log_setting, &visit);
    char *text = NULL;
    size_t size = 0;
    FILE *file = code ? NULL : open_memstream(&text, &size);
    if (file) {
        sv_config_print(config, file);
        fclose(file);
        code = sv_tracker_text(t, text, size, "config.yaml", error);
    }
    free(text);
    return code;
}

int sv_tracker_text(sv_tracker *t, const char *text, size_t length, const char *file, sv_error *error)
{
    mlf_error inner = MLF_ERROR_INIT;
    return t && mlf_run_log_text(t->run, text, length, file, &inner) ? from_mlflow(error, file, &inner) : 0;
}

int sv_tracker_folder(sv_tracker *t, const char *folder, const char *artifact_path, sv_error *error)
{
    mlf_error inner = MLF_ERROR_INIT;
    return t && mlf_run_log_artifact(t->run, folder, artifact_path, &inner) ? from_mlflow(error, folder, &inner) : 0;
}

/* MLflow's schema of the table: {"mlflow_colspec": [{"type", "name", "required"}]}. */
static char *schema_text(const sv_table *table)
{
    json_t *columns = json_array(), *whole = json_pack("{s:o}", "mlflow_colspec", columns);
    for (size_t c = 0; c < table->n_columns && c < 1000; c++) {
        const char *type = table->columns[c].type == SV_DATE ? "datetime" : sv_type_name(table->columns[c].type);
        json_array_append_new(columns, json_pack("{s:s,s:s,s:b}", "type", type, "name", table->columns[c].name, "required",
                                                      !sv_schema_may_be_missing(&table->columns[c], table->n_rows)));
    }
    char *text = json_dumps(whole, 0);
    json_decref(whole);
    return text;
}

int sv_tracker_dataset(sv_tracker *t, const sv_dataset *dataset, const sv_config *config, sv_error *error)
{
    char digest[24], sizes[64];
    mlf_error inner = MLF_ERROR_INIT;
    if (!t)
        return 0;
    const char *source = sv_config_shown(config, config->data.source.items[0].value), *slash = strrchr(source, '/');
    json_t *where = json_pack("{s:s}", "uri", source), *profile = json_pack("{s:I,s:I}", "num_rows", (json_int_t)dataset->table.n_rows, "num_elements",
                                                                          (json_int_t)(dataset->table.n_rows * dataset->table.n_columns));
    char *where_text = json_dumps(where, 0), *profile_text = json_dumps(profile, 0), *schema = schema_text(&dataset->table);
    snprintf(digest, sizeof digest, "%016" PRIx64, dataset->digest);
    char name[200];
    snprintf(name, sizeof name, "%.190s", slash && slash[1] ? slash + 1 : source);
    mlf_dataset input = {.name = name, .digest = digest, .source_type = strstr(source, "://") ? "http" : "local", .source = where_text, .schema = schema, .profile = profile_text,
                         .context = "training"};
    int code = mlf_run_log_input(t->run, &input, &inner) ? from_mlflow(error, "dataset", &inner) : 0;
    json_decref(where);
    json_decref(profile);
    free(where_text);
    free(profile_text);
    free(schema);
    for (int part = 0; part < 3 && !code; part++) {
        char key[32];
        snprintf(key, sizeof key, "rows.%s", sv_part_name((sv_part)part));
        snprintf(sizes, sizeof sizes, "%zu", dataset->counts[part]);
        code = sv_tracker_param(t, key, sizes, error);
    }
    return code;
}

int sv_tracker_evaluation(sv_tracker *t, const sv_evaluation *evaluation)
{
    int code = 0;
    for (size_t p = 0; t && p < evaluation->n_parts; p++) {
        const sv_part_evaluation *part = &evaluation->parts[p];
        for (size_t m = 0; m < part->n_metrics && !code; m++) {
            char key[96];
            const sv_metric *metric = &part->metrics[m];
            snprintf(key, sizeof key, "%s.%s", sv_part_name(part->part), metric->name);
            if (!isnan(metric->value))
                code = sv_tracker_metric(t, key, metric->value, 0);
            if (isnan(metric->low) || isnan(metric->high) || code)
                continue;
            snprintf(key, sizeof key, "%s.%s.low", sv_part_name(part->part), metric->name);
            sv_tracker_metric(t, key, metric->low, 0);
            snprintf(key, sizeof key, "%s.%s.high", sv_part_name(part->part), metric->name);
            code = sv_tracker_metric(t, key, metric->high, 0);
        }
    }
    return code;
}

/* ---- the model ---- */

enum { MODEL_METRICS_MAX = 96 };

int sv_tracker_model(sv_tracker *t, const char *folder, const sv_config *config, const sv_evaluation *evaluation, sv_error *error)
{
    mlf_model_options options = MLF_MODEL_OPTIONS_INIT;
    mlf_error inner = MLF_ERROR_INIT;
    char names[MODEL_METRICS_MAX][96];
    const char *keys[MODEL_METRICS_MAX];
    double values[MODEL_METRICS_MAX];
    char c[32], solver[32];
    if (!t)
        return 0;
    for (size_t p = 0; p < evaluation->n_parts; p++)
        for (size_t m = 0; m < evaluation->parts[p].n_metrics && options.n_metrics < MODEL_METRICS_MAX; m++) {
            size_t at = options.n_metrics;
            if (isnan(evaluation->parts[p].metrics[m].value))
                continue;
            snprintf(names[at], sizeof names[at], "%s.%s", sv_part_name(evaluation->parts[p].part), evaluation->parts[p].metrics[m].name);
            keys[at] = names[at];
            values[at] = evaluation->parts[p].metrics[m].value;
            options.n_metrics++;
        }
    snprintf(c, sizeof c, "%.17g", config->train.c);
    snprintf(solver, sizeof solver, "%s", sv_config_word("train.solver", (int)config->train.solver));
    const mlf_pair params[] = {{"train.model", sv_config_word("train.model", (int)config->train.model)}, {"train.c", c}, {"train.solver", solver}};
    options.params = params;
    options.n_params = sizeof params / sizeof *params;
    options.model_type = "linear";
    options.metric_keys = keys;
    options.metric_values = values;
    if (mlf_run_log_model(&t->model_uri, t->run, folder, &options, &inner))
        return from_mlflow(error, "model", &inner);
    if (t->model_uri && !strncmp(t->model_uri, "models:/m-", 10))
        t->model_id = sv_strdup(t->model_uri + 8);
    return 0;
}

/* Of the registered model as a whole, when it is made. */
static int describe_model(sv_buffer *text, const sv_config *config)
{
    if (config->description)
        return sv_buffer_text(text, config->description);
    return sv_buffer_format(text, "A %s model of `%s`, trained by Solvent in the experiment %s. Each version's description is its card.",
                            sv_config_word("train.model", (int)config->train.model), config->target.name, config->experiment ? config->experiment : "of the environment");
}

int sv_tracker_register(sv_tracker *t, const sv_config *config, const sv_tracker_release *release, sv_error *error)
{
    sv_buffer about = SV_BUFFER_INIT(0);
    mlf_register_options options = MLF_REGISTER_OPTIONS_INIT;
    mlf_error inner = MLF_ERROR_INIT;
    if (!t || !t->model_uri)
        return 0;
    mlf_pair *tags = sv_array(config->registry.tags.count + 1, sizeof *tags);
    if (!tags || describe_model(&about, config)) {
        sv_free(tags);
        sv_buffer_free(&about);
        return sv_error_set(error, SV_E_MEMORY, "register: out of memory");
    }
    if (release->audit)
        tags[options.n_tags++] = (mlf_pair){"solvent.audit", release->audit};
    for (size_t i = 0; i < config->registry.tags.count; i++)
        tags[options.n_tags++] = (mlf_pair){config->registry.tags.items[i].key, config->registry.tags.items[i].value};
    options.tags = tags;
    options.description = config->registry.description ? config->registry.description : release->card;
    options.model_description = about.data;
    options.alias = release->alias;
    int code = mlf_model_register(&t->version, t->run, t->model_uri, config->name, &options, &inner) ? from_mlflow(error, "register", &inner) : 0;
    t->version_waits = !code && !t->version;
    sv_free(tags);
    sv_buffer_free(&about);
    return code;
}

const char *sv_tracker_run_id(const sv_tracker *t)
{
    return t && t->run ? mlf_run_id(t->run) : NULL;
}

const char *sv_tracker_model_id(const sv_tracker *t)
{
    return t ? t->model_id : NULL;
}

const char *sv_tracker_version(const sv_tracker *t)
{
    return t ? t->version : NULL;
}

int sv_tracker_is_waiting(const sv_tracker *t)
{
    return t && t->model_uri && !strncmp(t->model_uri, "journal:", 8);
}

mlf_client *sv_tracker_client(sv_tracker *t)
{
    return t ? t->client : NULL;
}

mlf_run *sv_tracker_run(sv_tracker *t)
{
    return t ? t->run : NULL;
}

const char *sv_tracker_address(sv_tracker *t)
{
    if (!t || !t->run || !*mlf_run_experiment_id(t->run))
        return NULL;
    if (!t->address) {
        sv_buffer text = SV_BUFFER_INIT(4096);
        sv_buffer_format(&text, "%s/#/experiments/%s/runs/%s", mlf_client_tracking_uri(t->client), mlf_run_experiment_id(t->run), mlf_run_id(t->run));
        t->address = sv_buffer_take(&text);
    }
    return t->address;
}

/* The server was away: nothing is lost, so nothing has failed. */
static int is_weather(const mlf_error *inner)
{
    return inner->code == MLF_E_CONNECT || inner->code == MLF_E_TIMEOUT || mlf_error_is_retriable(inner);
}

int sv_tracker_end(sv_tracker *t, const sv_error *failure, int *waits, sv_error *error)
{
    mlf_error inner = MLF_ERROR_INIT;
    if (!t)
        return 0;
    int code = sv_tracker_join(t, error);
    if (waits)
        *waits = !code && !sv_tracker_address(t);
    if (!code) {
        send_steps(t);
        if (failure)
            mlf_run_set_tag(t->run, "solvent.failure", failure->message, NULL);
        mlf_status status = !failure ? MLF_FINISHED : failure->code == SV_E_INTERRUPTED ? MLF_KILLED : MLF_FAILED;
        int ended = mlf_run_end(t->run, status, &inner);
        if (ended && !failure && sv_interrupted())
            code = sv_error_set(error, SV_E_INTERRUPTED, "interrupted while the tracking server was waited for; `mlflowc sync` sends what waits in the journal");
        else if (ended && (is_weather(&inner) || sv_interrupted())) {
            if (waits)
                *waits = 1;
            sv_log(SV_LOG_WARN, "%s%s", inner.message, t->version_waits ? "; the registered version waits with it" : "");
        } else if (ended)
            code = from_mlflow(error, "ending the run", &inner);
    }
    free_tracker(t);
    return code;
}
