/* request_metrics.c: see request_metrics.h. */
#include "request_metrics.h"

#include "alloc.h"
#include "error.h"

#include <stdatomic.h>

#define N_BUCKETS 20
#define N_SCORES 20 /* [0, 1] in twentieths */

static const char *const route_names[SV_N_ROUTES] = {"other",   "/",       "health", "/predict", "/invocations", "/v2/infer",
                                                     "/explain", "/metrics", "docs",  "/ui",      "/feedback",   "admin"};
static const int statuses[] = {200, 204, 303, 307, 400, 401, 403, 404, 405, 408, 409, 413, 414, 415, 417, 422, 429, 431, 500, 501, 503, 505};
#define N_STATUSES (sizeof statuses / sizeof *statuses)
static const int64_t bounds_ns[N_BUCKETS] = {2000,    5000,    10000,   20000,    50000,    100000,   200000,    500000,    1000000,   2000000,
                                             5000000, 10000000, 20000000, 50000000, 100000000, 200000000, 500000000, 1000000000, 2000000000, 5000000000};

typedef struct counts {
    _Alignas(64) atomic_ulong requests[SV_N_ROUTES][N_STATUSES + 1];
    atomic_ulong latency[SV_N_ROUTES][N_BUCKETS + 1];
    atomic_ulong latency_sum_ns[SV_N_ROUTES];
    atomic_ulong rows, begun, ended, refused[N_STATUSES + 1];
    atomic_ulong scores[N_SCORES];
    atomic_ulong feedback[SV_LEDGER_TOLD + 1];
} counts;

struct sv_metrics {
    unsigned n_workers;
    counts *workers; /* (n_workers) */
    atomic_ulong reloads, reloads_refused;
};

int sv_metrics_new(sv_metrics **out, unsigned n_workers)
{
    sv_metrics *metrics = sv_calloc(1, sizeof *metrics);
    if (metrics)
        metrics->workers = sv_aligned(64, n_workers * sizeof *metrics->workers);
    if (!metrics || !metrics->workers) {
        sv_metrics_free(metrics);
        return SV_E_MEMORY;
    }
    __builtin_memset(metrics->workers, 0, n_workers * sizeof *metrics->workers);
    metrics->n_workers = n_workers;
    *out = metrics;
    return 0;
}

void sv_metrics_free(sv_metrics *metrics)
{
    if (metrics)
        sv_free(metrics->workers);
    sv_free(metrics);
}

/* One writer a counter: a plain add, made visible without a locked instruction. */
static inline void add(atomic_ulong *counter, unsigned long more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more, memory_order_relaxed);
}

static size_t status_index(int status)
{
    size_t i = 0;
    while (i < N_STATUSES && statuses[i] != status)
        i++;
    return i;
}

void sv_metrics_begin(sv_metrics *metrics, unsigned worker)
{
    add(&metrics->workers[worker].begun, 1);
}

void sv_metrics_end(sv_metrics *metrics, unsigned worker, sv_route route, int status, int64_t nanoseconds, size_t n_rows)
{
    counts *mine = &metrics->workers[worker];
    int bucket = 0;
    while (bucket < N_BUCKETS && nanoseconds > bounds_ns[bucket])
        bucket++;
    add(&mine->requests[route][status_index(status)], 1);
    add(&mine->latency[route][bucket], 1);
    add(&mine->latency_sum_ns[route], (unsigned long)nanoseconds);
    add(&mine->rows, n_rows);
    add(&mine->ended, 1);
}

void sv_metrics_refused(sv_metrics *metrics, unsigned worker, int status)
{
    add(&metrics->workers[worker].refused[status_index(status)], 1);
}

void sv_metrics_score(sv_metrics *metrics, unsigned worker, const double *probabilities, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double p = probabilities[i];
        if (p >= 0 && p <= 1)
            add(&metrics->workers[worker].scores[p < 1 ? (size_t)(p * N_SCORES) : N_SCORES - 1], 1);
    }
}

void sv_metrics_feedback(sv_metrics *metrics, unsigned worker, sv_ledger_found found)
{
    add(&metrics->workers[worker].feedback[found], 1);
}

void sv_metrics_reload(sv_metrics *metrics, int accepted)
{
    atomic_fetch_add(accepted ? &metrics->reloads : &metrics->reloads_refused, 1);
}

/* ---- writing ---- */

static unsigned long total(const sv_metrics *metrics, size_t offset)
{
    unsigned long sum = 0;
    for (unsigned w = 0; w < metrics->n_workers; w++) {
        const char *base = (const char *)&metrics->workers[w];
        sum += atomic_load_explicit((const atomic_ulong *)(const void *)(base + offset), memory_order_relaxed);
    }
    return sum;
}

#define TOTAL(metrics, field) total(metrics, offsetof(counts, field))

static void write_status(sv_buffer *text, size_t index)
{
    if (index < N_STATUSES)
        sv_buffer_format(text, "status=\"%d\"", statuses[index]);
    else
        sv_buffer_text(text, "status=\"other\"");
}

static void write_requests(const sv_metrics *metrics, sv_buffer *text)
{
    sv_buffer_text(text, "# HELP solvent_requests_total Requests answered, by route and status.\n# TYPE solvent_requests_total counter\n");
    for (size_t route = 0; route < SV_N_ROUTES; route++)
        for (size_t s = 0; s <= N_STATUSES; s++) {
            unsigned long n = total(metrics, offsetof(counts, requests) + (route * (N_STATUSES + 1) + s) * sizeof(atomic_ulong));
            if (n == 0)
                continue;
            sv_buffer_format(text, "solvent_requests_total{route=\"%s\",", route_names[route]);
            write_status(text, s);
            sv_buffer_format(text, "} %lu\n", n);
        }
    sv_buffer_text(text, "# HELP solvent_refused_total Connections and requests refused before they reached a route, by status.\n# TYPE solvent_refused_total counter\n");
    for (size_t s = 0; s <= N_STATUSES; s++) {
        unsigned long n = total(metrics, offsetof(counts, refused) + s * sizeof(atomic_ulong));
        if (n == 0)
            continue;
        sv_buffer_text(text, "solvent_refused_total{");
        write_status(text, s);
        sv_buffer_format(text, "} %lu\n", n);
    }
}

static void write_latency(const sv_metrics *metrics, sv_buffer *text)
{
    sv_buffer_text(text, "# HELP solvent_request_seconds Time from a whole request to its answer.\n# TYPE solvent_request_seconds histogram\n");
    for (size_t route = 0; route < SV_N_ROUTES; route++) {
        unsigned long each[N_BUCKETS + 1], all = 0;
        for (size_t b = 0; b <= N_BUCKETS; b++)
            all += each[b] = total(metrics, offsetof(counts, latency) + (route * (N_BUCKETS + 1) + b) * sizeof(atomic_ulong));
        if (all == 0)
            continue;
        unsigned long below = 0;
        for (size_t b = 0; b < N_BUCKETS; b++)
            sv_buffer_format(text, "solvent_request_seconds_bucket{route=\"%s\",le=\"%g\"} %lu\n", route_names[route], (double)bounds_ns[b] * 1e-9, below += each[b]);
        sv_buffer_format(text, "solvent_request_seconds_bucket{route=\"%s\",le=\"+Inf\"} %lu\n", route_names[route], all);
        sv_buffer_format(text, "solvent_request_seconds_sum{route=\"%s\"} %.9g\n", route_names[route],
                         (double)total(metrics, offsetof(counts, latency_sum_ns) + route * sizeof(atomic_ulong)) * 1e-9);
        sv_buffer_format(text, "solvent_request_seconds_count{route=\"%s\"} %lu\n", route_names[route], all);
    }
}

static void write_scores(const sv_metrics *metrics, sv_buffer *text)
{
    unsigned long below = 0;
    sv_buffer_text(text, "# HELP solvent_prediction Predicted probabilities.\n# TYPE solvent_prediction histogram\n");
    for (size_t b = 0; b < N_SCORES; b++) {
        below += total(metrics, offsetof(counts, scores) + b * sizeof(atomic_ulong));
        sv_buffer_format(text, "solvent_prediction_bucket{le=\"%g\"} %lu\n", (double)(b + 1) / N_SCORES, below);
    }
    sv_buffer_format(text, "solvent_prediction_bucket{le=\"+Inf\"} %lu\nsolvent_prediction_count %lu\n", below, below);
}

static void write_feedback(const sv_metrics *metrics, sv_buffer *text)
{
    static const char *const outcomes[] = {[SV_LEDGER_UNKNOWN] = "unknown", [SV_LEDGER_FOUND] = "taken", [SV_LEDGER_TOLD] = "duplicate"};
    sv_buffer_text(text, "# HELP solvent_feedback_total Labels that came, by what became of them.\n# TYPE solvent_feedback_total counter\n");
    for (size_t f = 0; f <= SV_LEDGER_TOLD; f++)
        sv_buffer_format(text, "solvent_feedback_total{outcome=\"%s\"} %lu\n", outcomes[f], total(metrics, offsetof(counts, feedback) + f * sizeof(atomic_ulong)));
}

static void write_one(sv_buffer *text, const char *name, const char *type, const char *help, unsigned long value)
{
    sv_buffer_format(text, "# HELP %s %s\n# TYPE %s %s\n%s %lu\n", name, help, name, type, name, value);
}

int sv_metrics_write(const sv_metrics *metrics, sv_buffer *text)
{
    unsigned long ended = TOTAL(metrics, ended), begun = TOTAL(metrics, begun);
    write_requests(metrics, text);
    write_latency(metrics, text);
    write_scores(metrics, text);
    write_feedback(metrics, text);
    write_one(text, "solvent_rows_total", "counter", "Rows scored.", TOTAL(metrics, rows));
    write_one(text, "solvent_requests_in_flight", "gauge", "Requests being answered now.", begun > ended ? begun - ended : 0);
    write_one(text, "solvent_reloads_total", "counter", "Versions taken since the start.", atomic_load(&metrics->reloads));
    write_one(text, "solvent_reloads_refused_total", "counter", "Versions that were refused since the start.", atomic_load(&metrics->reloads_refused));
    return 0;
}
