/* monitor_run.c: see monitor_run.h. */
#include "monitor_run.h"

#include "alloc.h"
#include "clock.h"
#include "log.h"
#include "mlflow_client.h"
#include "periodic.h"

#include <math.h>
#include <stdio.h>

#define KEY_MAX 250
#define SEND_AT_END_MS 2000

#define MODEL_TAG "solvent.monitored_model"
#define VERSION_TAG "solvent.monitored_version"

/* What a place's version is called, and its run. */
typedef struct watched {
    char model[256], version[80];
    mlf_run *run; /* NULL: none yet */
} watched;

/* The figures of one place at one moment: free of the version, which may be replaced meanwhile. */
typedef struct figures {
    char model[256], version[80], run_id[80], model_id[80];
    unsigned long rows;
    size_t n_drifts, n_noticed;
    char (*names)[KEY_MAX + 1]; /* (n_drifts) */
    sv_drift *drifts;           /* (n_drifts); their names are not to be used */
    sv_live_figures live;
    sv_task task;
} figures;

struct sv_monitor_run {
    sv_service *service;
    unsigned worker;
    mlf_client *client;
    watched places[SV_MODELS_MAX];
    int is_failing; /* the last attempt to begin a run failed, which was said */
    sv_periodic *thread;
};

/* ---- taking the figures ---- */

/* MLflow takes letters, digits and _-. /: in a key. */
static void write_key(char key[KEY_MAX + 1], const char *prefix, const char *name)
{
    size_t n = (size_t)snprintf(key, KEY_MAX + 1, "%s%s", prefix, name);
    n = n > KEY_MAX ? KEY_MAX : n;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)key[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("_-. ", c)))
            key[i] = '_';
    }
}

static void copy_names(figures *f, const sv_service *service, size_t slot, const sv_served *served)
{
    const sv_identity *identity = &served->identity;
    snprintf(f->model, sizeof f->model, "%s", identity->name ? identity->name : service->slots[slot].key);
    if (identity->version)
        snprintf(f->version, sizeof f->version, "%s", identity->version);
    else /* a folder has no version: what its pipeline.json holds tells it apart */
        snprintf(f->version, sizeof f->version, "sha256-%.12s", served->package.sha256 ? served->package.sha256 : "");
    snprintf(f->run_id, sizeof f->run_id, "%s", identity->run_id ? identity->run_id : "");
    snprintf(f->model_id, sizeof f->model_id, "%s", identity->model_id ? identity->model_id : "");
}

/* 0: there is something to log. */
static int take_figures(sv_monitor_run *monitor, size_t slot, figures *f)
{
    sv_service *service = monitor->service;
    sv_drift_rule rule = sv_service_drift_rule(service);
    *f = (figures){0};
    sv_worker_enter(&service->workers[monitor->worker]);
    const sv_served *served = atomic_load(&service->slots[slot].current);
    size_t n = served ? sv_monitor_size(served->monitor) : 0;
    if (served) {
        copy_names(f, service, slot, served);
        f->task = sv_pipeline_task(served->pipeline);
        sv_versions_live(service->versions, served->stats, &f->live);
        f->drifts = sv_calloc(n + 1, sizeof *f->drifts);
        f->names = sv_calloc(n + 1, sizeof *f->names);
    }
    if (f->drifts && f->names && n) {
        f->rows = sv_monitor_read(served->monitor, &rule, f->drifts);
        f->n_noticed = sv_drift_noticed(&rule, f->drifts, n);
        f->n_drifts = n;
        for (size_t i = 0; i < n; i++)
            write_key(f->names[i], "drift.psi.", f->drifts[i].name);
    }
    sv_worker_leave(&service->workers[monitor->worker]);
    return f->drifts && f->names && (f->rows || f->live.labels) ? 0 : -1;
}

static void free_figures(figures *f)
{
    sv_free(f->drifts);
    sv_free(f->names);
}

/* ---- the run ---- */

static int write_filter(char *filter, size_t size, const figures *f)
{
    char quote = strchr(f->model, '\'') ? '"' : '\'';
    if (strchr(f->model, quote))
        return -1;
    int n = snprintf(filter, size, "tags.`" MODEL_TAG "` = %c%s%c AND tags.`" VERSION_TAG "` = '%s'", quote, f->model, quote, f->version);
    return n > 0 && (size_t)n < size ? 0 : -1;
}

/* The id of the version's run, the oldest one; "" when there is none or the server cannot be asked. */
static void find_run(sv_monitor_run *monitor, const figures *f, char run_id[64])
{
    char filter[600], *experiment = NULL;
    const char *order = "attributes.start_time ASC";
    mlf_iterator *runs = NULL;
    const mlf_object *run = NULL;
    *run_id = 0;
    if (write_filter(filter, sizeof filter, f) || mlf_experiment_ensure(&experiment, monitor->client, monitor->service->config->monitor_experiment, NULL))
        return;
    mlf_query query = MLF_QUERY_INIT;
    query.filter = filter;
    query.order_by = &order;
    query.n_order_by = 1;
    query.experiment_ids = (const char *const *)&experiment;
    query.n_experiment_ids = 1;
    query.page_size = 1;
    if (mlf_runs_search(&runs, monitor->client, &query, NULL) == 0 && mlf_iterator_next(&run, runs, NULL) == 0) {
        const char *found = mlf_object_string(run, "info.run_id");
        snprintf(run_id, 64, "%s", found ? found : "");
    }
    mlf_iterator_free(runs);
    mlf_free(experiment);
}

static int begin_run(sv_monitor_run *monitor, watched *place, const figures *f)
{
    char found[64], name[400];
    mlf_error why = MLF_ERROR_INIT;
    mlf_run_options options = MLF_RUN_OPTIONS_INIT;
    const mlf_pair tags[] = {{MODEL_TAG, f->model}, {VERSION_TAG, f->version}, {"solvent.monitored_run_id", f->run_id}, {"solvent.monitored_model_id", f->model_id}};
    find_run(monitor, f, found);
    snprintf(name, sizeof name, "monitor %s %s", f->model, f->version);
    options.experiment = monitor->service->config->monitor_experiment;
    options.run_id = *found ? found : NULL;
    options.name = name;
    options.tags = tags;
    options.n_tags = *f->model_id ? 4 : *f->run_id ? 3 : 2;
    options.source_name = "solvent-serve";
    options.system_metrics = 0;
    if (mlf_run_create(&place->run, monitor->client, &options, &why)) {
        if (!monitor->is_failing)
            sv_log(SV_LOG_ERROR, "monitor: no run for %s version %s, tried again every %ld s: %s", f->model, f->version, monitor->service->config->monitor_every_seconds, why.message);
        monitor->is_failing = 1;
        return -1;
    }
    monitor->is_failing = 0;
    snprintf(place->model, sizeof place->model, "%s", f->model);
    snprintf(place->version, sizeof place->version, "%s", f->version);
    sv_log(SV_LOG_INFO, "monitor: %s version %s is logged to run %s%s", f->model, f->version, mlf_run_id(place->run), *found ? ", which goes on" : "");
    return 0;
}

/* The place's run for that version; another version's run has ended. */
static mlf_run *run_of(sv_monitor_run *monitor, watched *place, const figures *f)
{
    mlf_error why = MLF_ERROR_INIT;
    if (place->run && (strcmp(place->version, f->version) != 0 || strcmp(place->model, f->model) != 0)) {
        if (mlf_run_end(place->run, MLF_FINISHED, &why))
            sv_log(SV_LOG_WARN, "monitor: %s", why.message);
        place->run = NULL;
    }
    return place->run || begin_run(monitor, place, f) == 0 ? place->run : NULL;
}

static void log_figures(mlf_run *run, const figures *f, int64_t step)
{
    sv_live_metric metrics[SV_N_LIVE_METRICS];
    char key[KEY_MAX + 1];
    mlf_run_log_metric(run, "drift.rows", (double)f->rows, step);
    mlf_run_log_metric(run, "drift.noticed", (double)f->n_noticed, step);
    for (size_t i = 0; i < f->n_drifts; i++)
        if (!isnan(f->drifts[i].psi))
            mlf_run_log_metric(run, f->names[i], f->drifts[i].psi, step);
    if (f->live.labels == 0)
        return;
    mlf_run_log_metric(run, "live.labels", (double)f->live.labels, step);
    sv_live_metrics(&f->live, f->task, metrics);
    for (size_t m = 0; m < SV_N_LIVE_METRICS; m++) {
        write_key(key, "live.", metrics[m].name);
        if (!isnan(metrics[m].value))
            mlf_run_log_metric(run, key, metrics[m].value, step);
    }
}

/* ---- the thread ---- */

/* At the end no run is begun. */
static void look_at_all(void *argument, int is_last)
{
    sv_monitor_run *monitor = argument;
    int64_t step = sv_epoch_ms() / 1000; /* so that a restart goes on where the last one stopped */
    for (size_t slot = 0; slot < monitor->service->n_slots; slot++) {
        figures f = {0};
        mlf_run *run = (!is_last || monitor->places[slot].run) && take_figures(monitor, slot, &f) == 0 ? run_of(monitor, &monitor->places[slot], &f) : NULL;
        if (run)
            log_figures(run, &f, step);
        free_figures(&f);
    }
}

int sv_monitor_run_start(sv_monitor_run **out, sv_service *service, unsigned worker, sv_error *error)
{
    sv_monitor_run *monitor = sv_calloc(1, sizeof *monitor);
    if (!monitor)
        return sv_error_set(error, SV_E_MEMORY, "monitor: out of memory");
    monitor->service = service;
    monitor->worker = worker;
    mlf_error why = MLF_ERROR_INIT;
    mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
    options.user_agent = "solvent-serve";
    options.max_retries = 1;
    options.deadline_ms = 15000;
    if (mlf_client_new(&monitor->client, &options, &why)) {
        sv_free(monitor);
        return sv_error_set(error, SV_E_CONFIG, "monitor: %s", why.message);
    }
    int code = sv_periodic_start(&monitor->thread, "monitor", service->config->monitor_every_seconds * INT64_C(1000), 0, look_at_all, monitor, error);
    if (code) {
        mlf_client_free(monitor->client);
        sv_free(monitor);
        return code;
    }
    *out = monitor;
    return 0;
}

void sv_monitor_run_stop(sv_monitor_run *monitor)
{
    if (!monitor)
        return;
    if (sv_periodic_stop(monitor->thread, SEND_AT_END_MS)) { /* it waits for the server */
        mlf_client_stop(monitor->client);
        sv_periodic_stop(monitor->thread, -1);
    }
    mlf_error why = MLF_ERROR_INIT;
    if (mlf_flush(monitor->client, SEND_AT_END_MS, &why))
        sv_log(SV_LOG_WARN, "monitor: %s; `mlflowc sync` sends it", why.message);
    mlf_client_stop(monitor->client);
    for (size_t slot = 0; slot < SV_MODELS_MAX; slot++)
        mlf_run_free(monitor->places[slot].run);
    mlf_client_free(monitor->client);
    sv_free(monitor);
}
