/* monitor.c: see monitor.h. */
#include "monitor.h"

#include "alloc.h"
#include "clock.h"
#include "json_out.h"

#include <math.h>
#include <stdatomic.h>

#define N_PARTS 12          /* the window slides by a twelfth */
#define ROWS_OF_A_BLOCK 16  /* counted, evenly spread */
#define MAX_BINS 256

/* One input or output: its bins lie at `first` in every part. */
typedef struct track {
    const char *name;
    int input; /* -1: the first output */
    size_t first, n_bins;
    const sv_histogram *histogram; /* numbers: n_edges + 1 bins, then one for missing */
    uint16_t *bin_of_code;         /* texts: (n_codes) */
    size_t n_codes;
    double *expected; /* (n_bins): share in training */
} track;

typedef struct part {
    _Alignas(64) atomic_long stamp; /* which stretch of time it counts */
    atomic_ulong rows;
    atomic_uint *counts; /* (n_bins of all tracks) */
} part;

struct sv_monitor {
    size_t n_tracks, n_bins;
    track *tracks;
    unsigned n_workers;
    part *parts; /* (n_workers, N_PARTS) */
    long part_seconds;
};

static void free_track(track *t)
{
    sv_free(t->bin_of_code);
    sv_free(t->expected);
}

void sv_monitor_free(sv_monitor *monitor)
{
    if (!monitor)
        return;
    for (size_t t = 0; monitor->tracks && t < monitor->n_tracks; t++)
        free_track(&monitor->tracks[t]);
    for (size_t p = 0; monitor->parts && p < (size_t)monitor->n_workers * N_PARTS; p++)
        sv_free(monitor->parts[p].counts);
    sv_free(monitor->tracks);
    sv_free(monitor->parts);
    sv_free(monitor);
}

static void normalise(double *expected, size_t n)
{
    double sum = 0;
    for (size_t b = 0; b < n; b++)
        sum += expected[b] += 0.5;
    for (size_t b = 0; b < n; b++)
        expected[b] /= sum;
}

static int track_number(track *t, const sv_histogram *histogram, uint64_t n_missing)
{
    t->histogram = histogram;
    t->n_bins = histogram->n_edges + 2;
    t->expected = sv_calloc(t->n_bins, sizeof *t->expected);
    if (!t->expected)
        return SV_E_MEMORY;
    for (size_t b = 0; b <= histogram->n_edges; b++)
        t->expected[b] = (double)histogram->counts[b];
    t->expected[t->n_bins - 1] = (double)n_missing;
    normalise(t->expected, t->n_bins);
    return 0;
}

/* The profile's levels are bins of their own; every other text is the last bin. */
static int track_text(track *t, const sv_served *served, size_t input, const sv_profile_value *value)
{
    const sv_levels *levels = sv_features_levels(served->features, (int)input);
    size_t n_levels = value->n_levels < MAX_BINS - 1 ? value->n_levels : MAX_BINS - 1;
    t->n_codes = levels ? sv_levels_count(levels) : 0;
    t->n_bins = n_levels + 1;
    t->expected = sv_calloc(t->n_bins, sizeof *t->expected);
    t->bin_of_code = sv_calloc(t->n_codes + 1, sizeof *t->bin_of_code);
    if (!t->expected || !t->bin_of_code)
        return SV_E_MEMORY;
    for (size_t code = 0; code < t->n_codes; code++)
        t->bin_of_code[code] = (uint16_t)n_levels;
    for (size_t b = 0; b < n_levels; b++) {
        int32_t code = sv_levels_find(levels, value->levels[b], strlen(value->levels[b]));
        if (code >= 0) {
            t->bin_of_code[code] = (uint16_t)b;
            t->expected[b] = (double)value->level_counts[b];
        } else {
            t->expected[n_levels] += (double)value->level_counts[b]; /* the model cannot tell it from other texts */
        }
    }
    t->expected[n_levels] += (double)value->n_other;
    normalise(t->expected, t->n_bins);
    return 0;
}

static int make_tracks(sv_monitor *monitor, const sv_served *served)
{
    const sv_profile *profile = served->package.profile;
    monitor->tracks = sv_calloc(served->n_inputs + 1, sizeof *monitor->tracks);
    if (!monitor->tracks)
        return SV_E_MEMORY;
    for (size_t i = 0; i <= served->n_inputs; i++) {
        int is_output = i == served->n_inputs;
        const sv_profile_value *value = is_output ? NULL : sv_profile_find(profile, served->inputs[i].name.text);
        track *t = &monitor->tracks[monitor->n_tracks];
        const sv_histogram *histogram = is_output ? &profile->score : value && !value->is_text ? &value->histogram : NULL;
        int is_text = value && value->is_text && served->inputs[i].type == SV_STRING;
        if (!(histogram && histogram->counts && histogram->n_edges) && !is_text)
            continue;
        t->name = is_output ? served->outputs[0].name.text : served->inputs[i].name.text;
        t->input = is_output ? -1 : (int)i;
        t->first = monitor->n_bins;
        int code = is_text ? track_text(t, served, i, value) : track_number(t, histogram, is_output ? 0 : value->n_missing);
        monitor->n_tracks++;
        if (code)
            return code;
        monitor->n_bins += t->n_bins;
    }
    return 0;
}

int sv_monitor_new(sv_monitor **out, const sv_served *served, unsigned n_workers, long window_seconds)
{
    *out = NULL;
    if (!served->package.profile)
        return 0;
    sv_monitor *monitor = sv_calloc(1, sizeof *monitor);
    if (!monitor)
        return SV_E_MEMORY;
    monitor->n_workers = n_workers;
    monitor->part_seconds = window_seconds >= N_PARTS ? window_seconds / N_PARTS : 1;
    int code = make_tracks(monitor, served);
    monitor->parts = sv_aligned(64, (size_t)n_workers * N_PARTS * sizeof *monitor->parts);
    if (!monitor->parts)
        code = SV_E_MEMORY;
    else
        memset(monitor->parts, 0, (size_t)n_workers * N_PARTS * sizeof *monitor->parts);
    for (size_t p = 0; !code && p < (size_t)n_workers * N_PARTS; p++)
        if (!(monitor->parts[p].counts = sv_calloc(monitor->n_bins + 1, sizeof(atomic_uint))))
            code = SV_E_MEMORY;
    if (code) {
        sv_monitor_free(monitor);
        return code;
    }
    *out = monitor;
    return 0;
}

static size_t bin_of_number(const sv_histogram *histogram, double x)
{
    if (isnan(x))
        return histogram->n_edges + 1;
    size_t low = 0, high = histogram->n_edges; /* the count of edges <= x */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (histogram->edges[middle] <= x)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void count(atomic_uint *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* The part that counts now; begun anew when its time has come round again. */
static part *current_part(sv_monitor *monitor, unsigned worker)
{
    long stretch = (long)(sv_monotonic_ns() / 1000000000) / monitor->part_seconds + 1;
    part *p = &monitor->parts[(size_t)worker * N_PARTS + (size_t)(stretch % N_PARTS)];
    if (atomic_load_explicit(&p->stamp, memory_order_relaxed) != stretch) {
        for (size_t b = 0; b < monitor->n_bins; b++)
            atomic_store_explicit(&p->counts[b], 0, memory_order_relaxed);
        atomic_store_explicit(&p->rows, 0, memory_order_relaxed);
        atomic_store_explicit(&p->stamp, stretch, memory_order_release);
    }
    return p;
}

void sv_monitor_rows(sv_monitor *monitor, unsigned worker, const sv_block *block, const double *outputs)
{
    if (!monitor)
        return;
    part *p = current_part(monitor, worker);
    size_t step = block->n_rows / ROWS_OF_A_BLOCK + 1, n = 0;
    for (size_t row = 0; row < block->n_rows; row += step, n++)
        for (size_t i = 0; i < monitor->n_tracks; i++) {
            const track *t = &monitor->tracks[i];
            size_t bin;
            if (t->bin_of_code) {
                int32_t code = ((const int32_t *)block->columns[t->input])[row];
                bin = code >= 0 && (size_t)code < t->n_codes ? t->bin_of_code[code] : t->n_bins - 1;
            } else {
                bin = bin_of_number(t->histogram, t->input < 0 ? outputs[row] : ((const double *)block->columns[t->input])[row]);
            }
            count(&p->counts[t->first + bin]);
        }
    atomic_store_explicit(&p->rows, atomic_load_explicit(&p->rows, memory_order_relaxed) + n, memory_order_relaxed);
}

size_t sv_monitor_size(const sv_monitor *monitor)
{
    return monitor ? monitor->n_tracks : 0;
}

static int is_recent(const sv_monitor *monitor, const part *p)
{
    long now = (long)(sv_monotonic_ns() / 1000000000) / monitor->part_seconds + 1;
    long stamp = atomic_load_explicit(&p->stamp, memory_order_acquire);
    return stamp && now - stamp < N_PARTS;
}

static double stability_index(const track *t, const double *live, double total)
{
    double psi = 0;
    for (size_t b = 0; b < t->n_bins; b++) {
        double share = (live[b] + 0.5) / (total + 0.5 * (double)t->n_bins);
        psi += (share - t->expected[b]) * log(share / t->expected[b]);
    }
    return psi;
}

unsigned long sv_monitor_read(const sv_monitor *monitor, const sv_drift_rule *rule, sv_drift *drifts)
{
    unsigned long rows = 0;
    if (!monitor)
        return 0;
    for (size_t p = 0; p < (size_t)monitor->n_workers * N_PARTS; p++)
        if (is_recent(monitor, &monitor->parts[p]))
            rows += atomic_load_explicit(&monitor->parts[p].rows, memory_order_relaxed);
    for (size_t i = 0; i < monitor->n_tracks; i++) {
        const track *t = &monitor->tracks[i];
        double live[SV_PROFILE_EDGES_MAX + 2] = {0}, total = 0;
        for (size_t p = 0; p < (size_t)monitor->n_workers * N_PARTS; p++)
            for (size_t b = 0; is_recent(monitor, &monitor->parts[p]) && b < t->n_bins; b++)
                live[b] += atomic_load_explicit(&monitor->parts[p].counts[t->first + b], memory_order_relaxed);
        for (size_t b = 0; b < t->n_bins; b++)
            total += live[b];
        drifts[i] = (sv_drift){t->name, rows >= rule->min_rows && total > 0 ? stability_index(t, live, total) : NAN};
    }
    return rows;
}

static int is_noticed(const sv_drift_rule *rule, const sv_drift *drift)
{
    return drift->psi >= rule->threshold; /* never of NaN */
}

size_t sv_drift_noticed(const sv_drift_rule *rule, const sv_drift *drifts, size_t n)
{
    size_t noticed = 0;
    for (size_t i = 0; i < n; i++)
        noticed += (size_t)is_noticed(rule, &drifts[i]);
    return noticed;
}

int sv_monitor_write(const sv_monitor *monitor, const sv_drift_rule *rule, sv_buffer *json)
{
    size_t n = sv_monitor_size(monitor);
    sv_drift *drifts = sv_calloc(n + 1, sizeof *drifts);
    if (!drifts)
        return SV_E_MEMORY;
    unsigned long rows = sv_monitor_read(monitor, rule, drifts);
    sv_buffer_format(json, "{\"rows\":%lu,\"min_rows\":%lu,\"window_seconds\":%ld,\"threshold\":%g,\"noticed\":%s,\"features\":[", rows, rule->min_rows,
                     monitor ? monitor->part_seconds * N_PARTS : 0, rule->threshold, sv_drift_noticed(rule, drifts, n) ? "true" : "false");
    for (size_t i = 0; i < n; i++) {
        sv_buffer_text(json, i ? ",{\"name\":" : "{\"name\":");
        sv_json_write_text(json, sv_span_of(drifts[i].name));
        sv_buffer_text(json, ",\"psi\":");
        sv_json_write_double(json, drifts[i].psi);
        sv_buffer_format(json, ",\"noticed\":%s}", is_noticed(rule, &drifts[i]) ? "true" : "false");
    }
    sv_free(drifts);
    return sv_buffer_text(json, "]}");
}
