/* version_stats.c: see version_stats.h. */
#include "version_stats.h"

#include "alloc.h"
#include "error.h"
#include "json_out.h"
#include "prometheus.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

typedef struct counts {
    _Alignas(64) atomic_ulong by_class[6]; /* requests by the first digit of their status */
    atomic_ulong rows, nanoseconds;
} counts;

struct sv_version_stats {
    char *model;
    char version[80];
    sv_task task;
    uint32_t serial; /* 0: free; higher ones began later */
    int n_users;     /* places that answer with it */
    counts *workers; /* (n_workers) */
    sv_live_figures live;
};

struct sv_versions {
    pthread_mutex_t lock; /* names, serials, users, live figures */
    unsigned n_workers;
    uint32_t last_serial;
    sv_version_stats all[SV_VERSIONS_MAX];
};

int sv_versions_new(sv_versions **out, unsigned n_workers)
{
    sv_versions *versions = sv_calloc(1, sizeof *versions);
    if (!versions)
        return SV_E_MEMORY;
    pthread_mutex_init(&versions->lock, NULL);
    versions->n_workers = n_workers;
    *out = versions;
    return 0;
}

void sv_versions_free(sv_versions *versions)
{
    if (!versions)
        return;
    for (size_t v = 0; v < SV_VERSIONS_MAX; v++) {
        sv_free(versions->all[v].model);
        sv_free(versions->all[v].workers);
    }
    pthread_mutex_destroy(&versions->lock);
    sv_free(versions);
}

/* The one of that name, else a free one, else the oldest that no place uses; NULL: none. */
static sv_version_stats *find(sv_versions *versions, const char *model, const char *version)
{
    sv_version_stats *best = NULL;
    for (size_t v = 0; v < SV_VERSIONS_MAX; v++) {
        sv_version_stats *stats = &versions->all[v];
        if (stats->serial && strcmp(stats->model, model) == 0 && strcmp(stats->version, version) == 0)
            return stats;
        if (stats->n_users == 0 && (!best || stats->serial < best->serial))
            best = stats;
    }
    return best;
}

/* Begins anew what find() gave. */
static int begin(sv_versions *versions, sv_version_stats *stats, const char *model, const char *version)
{
    char *name = sv_strdup(model);
    if (!stats->workers)
        stats->workers = sv_aligned(64, versions->n_workers * sizeof *stats->workers);
    if (!name || !stats->workers) {
        sv_free(name);
        return -1;
    }
    memset(stats->workers, 0, versions->n_workers * sizeof *stats->workers);
    sv_free(stats->model);
    stats->model = name;
    stats->live = (sv_live_figures){0};
    snprintf(stats->version, sizeof stats->version, "%s", version);
    stats->serial = ++versions->last_serial;
    return 0;
}

sv_version_stats *sv_versions_take(sv_versions *versions, const char *model, const char *version, sv_task task)
{
    pthread_mutex_lock(&versions->lock);
    version = version ? version : "";
    sv_version_stats *stats = find(versions, model, version);
    int is_known = stats && stats->serial && strcmp(stats->model, model) == 0 && strcmp(stats->version, version) == 0;
    if (stats && !is_known && begin(versions, stats, model, version))
        stats = NULL;
    if (stats) {
        stats->task = task;
        stats->n_users++;
    }
    pthread_mutex_unlock(&versions->lock);
    return stats;
}

void sv_versions_release(sv_versions *versions, sv_version_stats *stats)
{
    if (!stats)
        return;
    pthread_mutex_lock(&versions->lock);
    stats->n_users--;
    pthread_mutex_unlock(&versions->lock);
}

static inline void add(atomic_ulong *counter, unsigned long more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more, memory_order_relaxed);
}

void sv_version_count(sv_version_stats *stats, unsigned worker, int status, size_t n_rows, int64_t nanoseconds)
{
    if (!stats)
        return;
    counts *mine = &stats->workers[worker];
    add(&mine->by_class[status / 100 % 6], 1);
    add(&mine->rows, n_rows);
    add(&mine->nanoseconds, (unsigned long)nanoseconds);
}

const char *sv_version_text(const sv_version_stats *stats)
{
    return stats->version;
}

uint32_t sv_version_serial(const sv_version_stats *stats)
{
    return stats ? stats->serial : 0;
}

void sv_versions_tell(sv_versions *versions, uint32_t serial, const sv_tapped *prediction, double truth)
{
    pthread_mutex_lock(&versions->lock);
    for (size_t v = 0; serial && v < SV_VERSIONS_MAX; v++)
        if (versions->all[v].serial == serial)
            sv_live_add(&versions->all[v].live, versions->all[v].task, prediction, truth);
    pthread_mutex_unlock(&versions->lock);
}

void sv_versions_live(sv_versions *versions, const sv_version_stats *stats, sv_live_figures *out)
{
    pthread_mutex_lock(&versions->lock);
    *out = stats ? stats->live : (sv_live_figures){0};
    pthread_mutex_unlock(&versions->lock);
}

/* ---- writing ---- */

static int is_of(const sv_version_stats *stats, const char *const *models, size_t n_models)
{
    for (size_t m = 0; m < n_models; m++)
        if (models[m] && stats->serial && strcmp(stats->model, models[m]) == 0)
            return 1;
    return 0;
}

void sv_versions_write_live(sv_versions *versions, const char *const *models, size_t n_models, sv_buffer *json)
{
    pthread_mutex_lock(&versions->lock);
    int further = 0;
    for (uint32_t below = UINT32_MAX;;) {
        const sv_version_stats *next = NULL;
        for (size_t v = 0; v < SV_VERSIONS_MAX; v++) {
            const sv_version_stats *stats = &versions->all[v];
            if (stats->live.labels && stats->serial < below && is_of(stats, models, n_models) && (!next || stats->serial > next->serial))
                next = stats;
        }
        if (!next)
            break;
        below = next->serial;
        sv_buffer_text(json, further++ ? ",{\"model\":" : "{\"model\":");
        sv_json_write_text(json, sv_span_of(next->model));
        sv_buffer_text(json, ",\"version\":");
        sv_json_write_text(json, sv_span_of(next->version));
        sv_buffer_text(json, ",");
        sv_live_write(&next->live, next->task, json);
        sv_buffer_text(json, "}");
    }
    pthread_mutex_unlock(&versions->lock);
}


static unsigned long total(const sv_versions *versions, const sv_version_stats *stats, size_t offset)
{
    unsigned long sum = 0;
    for (unsigned w = 0; w < versions->n_workers; w++)
        sum += atomic_load_explicit((const atomic_ulong *)(const void *)((const char *)&stats->workers[w] + offset), memory_order_relaxed);
    return sum;
}

static void write_name(sv_buffer *text, const char *metric, const sv_version_stats *stats)
{
    sv_buffer_format(text, "%s{", metric);
    sv_prometheus_label(text, "model", stats->model);
    sv_prometheus_label(text, ",version", stats->version);
}

static void write_requests(sv_versions *versions, sv_buffer *text)
{
    sv_prometheus_head(text, "solvent_version_requests_total", "counter", "Scoring requests answered, by version and class of status.");
    for (size_t v = 0; v < SV_VERSIONS_MAX; v++)
        for (size_t c = 2; versions->all[v].serial && c < 6; c++) {
            unsigned long n = total(versions, &versions->all[v], offsetof(counts, by_class) + c * sizeof(atomic_ulong));
            if (n == 0)
                continue;
            write_name(text, "solvent_version_requests_total", &versions->all[v]);
            sv_buffer_format(text, ",status=\"%zuxx\"} %lu\n", c, n);
        }
}

static void write_totals(sv_versions *versions, sv_buffer *text, const char *metric, const char *help, size_t offset, double scale)
{
    sv_prometheus_head(text, metric, "counter", help);
    for (size_t v = 0; v < SV_VERSIONS_MAX; v++) {
        if (!versions->all[v].serial)
            continue;
        write_name(text, metric, &versions->all[v]);
        sv_buffer_format(text, "} %.15g\n", (double)total(versions, &versions->all[v], offset) * scale);
    }
}

static void write_labels(const sv_versions *versions, sv_buffer *text)
{
    sv_prometheus_head(text, "solvent_feedback_labels_total", "counter", "Labels taken, by the version that predicted.");
    for (size_t v = 0; v < SV_VERSIONS_MAX; v++) {
        if (!versions->all[v].live.labels)
            continue;
        write_name(text, "solvent_feedback_labels_total", &versions->all[v]);
        sv_buffer_format(text, "} %lu\n", versions->all[v].live.labels);
    }
}

static void write_live(const sv_versions *versions, sv_buffer *text, size_t m)
{
    char metric[60] = "";
    for (size_t v = 0; v < SV_VERSIONS_MAX; v++) {
        sv_live_metric metrics[SV_N_LIVE_METRICS];
        sv_live_metrics(&versions->all[v].live, versions->all[v].task, metrics);
        if (!versions->all[v].live.labels || isnan(metrics[m].value))
            continue;
        if (!*metric) {
            snprintf(metric, sizeof metric, "solvent_live_%s", metrics[m].name);
            sv_prometheus_head(text, metric, "gauge", metrics[m].help);
        }
        write_name(text, metric, &versions->all[v]);
        sv_buffer_format(text, "} %.17g\n", metrics[m].value);
    }
}

/* what: 0 rows, 1 mean prediction, 2 share that was true. */
static void write_calibration(const sv_versions *versions, sv_buffer *text, const char *metric, const char *help, int what)
{
    sv_prometheus_head(text, metric, "gauge", help);
    for (size_t v = 0; v < SV_VERSIONS_MAX; v++)
        for (size_t b = 0; b < SV_CALIBRATION_BINS; b++) {
            const struct sv_calibration_bin *bin = &versions->all[v].live.bins[b];
            if (bin->rows == 0)
                continue;
            write_name(text, metric, &versions->all[v]);
            sv_buffer_format(text, ",bin=\"%g-%g\"} %.17g\n", (double)b / SV_CALIBRATION_BINS, (double)(b + 1) / SV_CALIBRATION_BINS,
                             what == 0 ? (double)bin->rows : (what == 1 ? bin->predicted : bin->observed) / (double)bin->rows);
        }
}

void sv_versions_write(sv_versions *versions, sv_buffer *text)
{
    pthread_mutex_lock(&versions->lock);
    write_requests(versions, text);
    write_totals(versions, text, "solvent_version_rows_total", "Rows scored, by version.", offsetof(counts, rows), 1);
    write_totals(versions, text, "solvent_version_seconds_total", "Time spent on scoring requests, by version.", offsetof(counts, nanoseconds), 1e-9);
    write_labels(versions, text);
    for (size_t m = 0; m < SV_N_LIVE_METRICS; m++)
        write_live(versions, text, m);
    write_calibration(versions, text, "solvent_live_calibration_rows", "Labelled predictions, by bin of the probability.", 0);
    write_calibration(versions, text, "solvent_live_calibration_predicted", "Mean probability of the bin.", 1);
    write_calibration(versions, text, "solvent_live_calibration_observed", "Share of the bin that was true.", 2);
    pthread_mutex_unlock(&versions->lock);
}
