#include "drift.h"
#include "alloc.h"
#include "design.h"
#include "values.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct drift_job {
    sv_drift *drift;
    const sv_profile *profile;
    const sv_dataset *dataset;
    const double *predictions;
    const sv_profile_value **profiles; /* (values.n) */
    sv_values values;
    int failed;
} drift_job;

static int out_of_memory(sv_error *error)
{
    return sv_error_set(error, SV_E_MEMORY, "drift: out of memory");
}

/* then, now: rows by bin. in_order: the bins are those of a number, but for the last, the missing. */
static void compare(sv_drift_value *out, const double *then, const double *now, size_t n_bins, int in_order)
{
    double all[2] = {0}, up[2] = {0};
    out->psi = out->ks = 0;
    for (size_t b = 0; b < n_bins; b++) {
        all[0] += then[b];
        all[1] += now[b];
    }
    if (all[0] == 0 || all[1] == 0) {
        out->psi = out->ks = NAN;
        return;
    }
    for (size_t b = 0; b < n_bins; b++) {
        double spread = 0.5 * (double)n_bins, p = (then[b] + 0.5) / (all[0] + spread), q = (now[b] + 0.5) / (all[1] + spread);
        if (then[b] + now[b] > 0)
            out->psi += (q - p) * log(q / p);
        up[0] += then[b] / all[0];
        up[1] += now[b] / all[1];
        if (in_order)
            out->ks = fmax(out->ks, fabs(up[0] - up[1]));
        else
            out->ks += fabs(then[b] / all[0] - now[b] / all[1]) / 2;
    }
}

static size_t bin_of(const sv_histogram *h, double value)
{
    size_t bin = 0;
    if (!isfinite(value))
        return h->n_edges + 1;
    while (bin < h->n_edges && value >= h->edges[bin])
        bin++;
    return bin;
}

static int compare_numbers(sv_drift_value *out, const sv_histogram *h, uint64_t n_missing, const sv_dataset *d, const void *data, sv_store store)
{
    size_t n_bins = h->n_edges + 2;
    double *then = sv_calloc(2 * n_bins, sizeof *then), *now = then ? then + n_bins : NULL, block[512];
    if (!then)
        return SV_E_MEMORY;
    for (size_t first = 0; first < d->table.n_rows; first += 512) {
        size_t n = d->table.n_rows - first < 512 ? d->table.n_rows - first : 512;
        sv_design_widen(block, data, store, first, n);
        for (size_t i = 0; i < n; i++)
            if (d->parts[first + i] < SV_PART_NONE)
                now[bin_of(h, block[i])]++;
    }
    for (size_t b = 0; b <= h->n_edges; b++)
        then[b] = (double)h->counts[b];
    then[n_bins - 1] = (double)n_missing;
    compare(out, then, now, n_bins, 1);
    sv_free(then);
    return 0;
}

/* Where the profile counts a text: its level, behind them all others, behind those the missing ones. */
static size_t level_of(const sv_profile_value *profile, const char *text)
{
    size_t k = 0;
    if (!*text)
        return profile->n_levels + 1;
    while (k < profile->n_levels && strcmp(profile->levels[k], text) != 0)
        k++;
    return k;
}

static int compare_texts(sv_drift_value *out, const sv_profile_value *profile, const sv_dataset *d, const sv_value_column *column, const sv_levels *levels)
{
    size_t n_bins = profile->n_levels + 2, n_codes = levels ? sv_levels_count(levels) : 0;
    double *then = sv_calloc(2 * n_bins, sizeof *then), *now = then ? then + n_bins : NULL, code;
    size_t *places = sv_array(n_codes + 1, sizeof *places);
    int failed = !then || !places;
    for (size_t k = 0; !failed && k < n_codes; k++)
        places[k] = level_of(profile, sv_levels_text(levels, k, NULL));
    for (size_t i = 0; !failed && i < d->table.n_rows; i++) {
        sv_design_widen(&code, column->data, column->store, i, 1);
        if (d->parts[i] < SV_PART_NONE)
            now[code < (double)n_codes ? places[(size_t)code] : profile->n_levels]++;
    }
    for (size_t k = 0; !failed && k < profile->n_levels; k++)
        then[k] = (double)profile->level_counts[k];
    if (!failed) {
        then[profile->n_levels] = (double)profile->n_other;
        then[profile->n_levels + 1] = (double)profile->n_missing;
        compare(out, then, now, n_bins, 0);
    }
    sv_free(then);
    sv_free(places);
    return failed ? SV_E_MEMORY : 0;
}

static void compare_task(void *context, size_t k, size_t worker)
{
    drift_job *j = context;
    sv_drift_value *out = &j->drift->values[k];
    int code;
    (void)worker;
    if (k == j->values.n) {
        snprintf(out->name, sizeof out->name, "score");
        code = compare_numbers(out, &j->profile->score, 0, j->dataset, j->predictions, SV_STORE_F64);
    } else {
        const sv_value_column *column = &j->values.columns[k];
        const char *name = sv_features_name(j->values.features, column->id);
        int at = column->owned ? -1 : sv_table_find(&j->dataset->table, name);
        snprintf(out->name, sizeof out->name, "%s", name);
        if (j->profiles[k]->is_text)
            code = compare_texts(out, j->profiles[k], j->dataset, column, at < 0 ? sv_features_levels(j->values.features, column->id) : j->dataset->table.columns[at].levels);
        else
            code = compare_numbers(out, &j->profiles[k]->histogram, j->profiles[k]->n_missing, j->dataset, column->data, column->store);
    }
    if (code)
        j->failed = 1;
}

static double label_rate(const sv_dataset *d)
{
    double sum = 0, n = 0, value;
    for (size_t i = 0; i < d->table.n_rows; i++) {
        if (d->parts[i] >= SV_PART_NONE)
            continue;
        sv_design_widen(&value, d->target.data, d->target.store, i, 1);
        sum += value;
        n++;
    }
    return sum / n;
}

static int compare_figures(sv_drift *out, const sv_profile *profile, const sv_dataset *dataset, const sv_evaluation *evaluation)
{
    if (!(out->figures = sv_calloc(profile->n_metrics + 1, sizeof *out->figures)))
        return SV_E_MEMORY;
    if (dataset->target.type != SV_STRING && !isnan(profile->label_rate))
        out->figures[out->n_figures++] = (sv_drift_figure){"label_rate", profile->label_rate, label_rate(dataset)};
    for (size_t m = 0; m < profile->n_metrics; m++) {
        const char *name = profile->metrics[m].name, *dot = strchr(name, '.');
        for (sv_part part = SV_PART_TRAIN; dot && part <= SV_PART_TEST; part++) {
            if (strncmp(name, sv_part_name(part), (size_t)(dot - name)) != 0 || sv_part_name(part)[dot - name])
                continue;
            double now = sv_evaluation_metric(evaluation, part, dot + 1);
            sv_drift_figure *figure = &out->figures[out->n_figures];
            if (isnan(now) || !strcmp(dot + 1, "rows"))
                continue;
            snprintf(figure->name, sizeof figure->name, "%s", name);
            figure->then = profile->metrics[m].value;
            figure->now = now;
            out->n_figures++;
        }
    }
    return 0;
}

int sv_drift_measure(sv_drift *out, const sv_profile *profile, const sv_pipeline *pipeline, const sv_dataset *dataset, const sv_evaluation *evaluation, sv_team *team,
                     sv_error *error)
{
    const sv_features *features = sv_pipeline_features(pipeline);
    drift_job j = {.drift = out, .profile = profile, .dataset = dataset, .predictions = evaluation->predictions};
    size_t n = 0;
    *out = (sv_drift){0};
    int *ids = sv_array(profile->n_values + 1, sizeof *ids), code = 0;
    j.profiles = sv_array(profile->n_values + 1, sizeof *j.profiles);
    out->values = sv_calloc(profile->n_values + 1, sizeof *out->values);
    if (!ids || !j.profiles || !out->values)
        code = out_of_memory(error);
    for (size_t k = 0; k < profile->n_values && !code; k++) {
        int id = sv_features_find(features, profile->values[k].name, strlen(profile->values[k].name));
        if (id < 0 || (sv_features_kind(features, id) == SV_KIND_TEXT) != profile->values[k].is_text)
            continue;
        j.profiles[n] = &profile->values[k];
        ids[n++] = id;
    }
    if (!code && !(code = sv_values_new(&j.values, features, &dataset->table, ids, n, team, error))) {
        out->n_values = n + 1;
        sv_team_run(team, n + 1, compare_task, &j);
        if (j.failed || compare_figures(out, profile, dataset, evaluation))
            code = out_of_memory(error);
        sv_values_free(&j.values);
    }
    sv_free(ids);
    sv_free(j.profiles);
    if (code)
        sv_drift_free(out);
    return code;
}

void sv_drift_free(sv_drift *drift)
{
    if (!drift)
        return;
    sv_free(drift->values);
    sv_free(drift->figures);
    *drift = (sv_drift){0};
}
