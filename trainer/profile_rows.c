#include "profile_rows.h"
#include "alloc.h"
#include "schema.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DECILES = 9, SAMPLE_MAX = 20000 };

static int out_of_memory(sv_error *error)
{
    return sv_error_set(error, SV_E_MEMORY, "profile: out of memory");
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Edges at the deciles of a sorted sample, each once; counts over all values. Values that are not finite count nowhere. */
static int make_histogram(sv_histogram *h, const double *sorted, size_t n_sorted, const double *values, const uint8_t *parts, size_t n)
{
    h->edges = sv_array(DECILES, sizeof *h->edges);
    h->counts = sv_calloc(DECILES + 1, sizeof *h->counts);
    if (!h->edges || !h->counts)
        return SV_E_MEMORY;
    for (size_t d = 1; d <= DECILES && n_sorted; d++) {
        double edge = sorted[d * n_sorted / (DECILES + 1)];
        if (!h->n_edges || edge > h->edges[h->n_edges - 1])
            h->edges[h->n_edges++] = edge;
    }
    for (size_t i = 0; i < n; i++) {
        size_t bin = 0;
        if (parts[i] != SV_PART_TRAIN || !isfinite(values[i]))
            continue;
        for (size_t e = 0; e < h->n_edges; e++)
            bin += values[i] >= h->edges[e];
        h->counts[bin]++;
    }
    return 0;
}

/* Every so many of the training rows' finite values, at most SAMPLE_MAX, ascending: *n of them; sv_free(). */
static double *take_sample(size_t *n, const double *values, const uint8_t *parts, size_t n_rows)
{
    double *sorted = sv_array(SAMPLE_MAX + 1, sizeof *sorted);
    size_t stride = n_rows / SAMPLE_MAX + 1;
    *n = 0;
    for (size_t i = 0, seen = 0; sorted && i < n_rows; i++)
        if (parts[i] == SV_PART_TRAIN && isfinite(values[i]) && seen++ % stride == 0)
            sorted[(*n)++] = values[i];
    if (sorted)
        qsort(sorted, *n, sizeof *sorted, ascending);
    return sorted;
}

static int profile_number(sv_profile_value *out, const double *values, const uint8_t *parts, size_t n_rows)
{
    size_t n = 0, n_sorted;
    double sum = 0, squares = 0;
    *out = (sv_profile_value){.name = out->name, .is_whole = 1, .min = NAN, .max = NAN, .mean = NAN, .deviation = NAN, .median = NAN};
    for (size_t i = 0; i < n_rows; i++) {
        if (parts[i] != SV_PART_TRAIN)
            continue;
        if (!isfinite(values[i])) {
            out->n_missing++;
            continue;
        }
        out->is_whole &= values[i] == floor(values[i]);
        out->min = n && out->min < values[i] ? out->min : values[i];
        out->max = n && out->max > values[i] ? out->max : values[i];
        sum += values[i];
        n++;
    }
    double mean = n ? sum / (double)n : NAN;
    for (size_t i = 0; i < n_rows; i++)
        if (parts[i] == SV_PART_TRAIN && isfinite(values[i]))
            squares += (values[i] - mean) * (values[i] - mean);
    double *sorted = take_sample(&n_sorted, values, parts, n_rows);
    if (!sorted)
        return SV_E_MEMORY;
    if (n) {
        out->mean = mean;
        out->deviation = sqrt(squares / (double)n);
        out->median = (sorted[(n_sorted - 1) / 2] + sorted[n_sorted / 2]) / 2;
    }
    int code = make_histogram(&out->histogram, sorted, n_sorted, values, parts, n_rows);
    sv_free(sorted);
    return code;
}

typedef struct level_count {
    uint64_t count;
    uint32_t code;
} level_count;

static int most_frequent_first(const void *a, const void *b)
{
    const level_count *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count ? 1 : -1) : (x->code > y->code) - (x->code < y->code);
}

static int profile_text(sv_profile_value *out, const sv_column *column, const uint8_t *parts, size_t n_rows)
{
    size_t n = sv_levels_count(column->levels), length;
    level_count *counts = sv_calloc(n + 1, sizeof *counts);
    out->is_text = 1;
    out->min = out->max = out->mean = out->deviation = out->median = NAN;
    out->levels = sv_calloc(SV_PROFILE_LEVELS, sizeof *out->levels);
    out->level_counts = sv_calloc(SV_PROFILE_LEVELS, sizeof *out->level_counts);
    int code = counts && out->levels && out->level_counts ? 0 : SV_E_MEMORY;
    for (size_t i = 0; i < n && !code; i++)
        counts[i].code = (uint32_t)i;
    for (size_t row = 0; row < n_rows && !code; row += SV_BLOCK_ROWS) {
        int32_t codes[SV_BLOCK_ROWS];
        size_t m = n_rows - row < SV_BLOCK_ROWS ? n_rows - row : SV_BLOCK_ROWS;
        sv_column_widen(column, row, m, codes);
        for (size_t i = 0; i < m; i++)
            counts[codes[i]].count += parts[row + i] == SV_PART_TRAIN;
    }
    if (!code)
        qsort(counts, n, sizeof *counts, most_frequent_first);
    for (size_t i = 0; i < n && !code && counts[i].count; i++) {
        const char *text = sv_levels_text(column->levels, counts[i].code, &length);
        if (!length) {
            out->n_missing = counts[i].count;
        } else if (out->n_levels == SV_PROFILE_LEVELS) {
            out->n_other += counts[i].count;
        } else {
            if (!(out->levels[out->n_levels] = sv_strdup(text)))
                code = SV_E_MEMORY;
            else
                out->level_counts[out->n_levels++] = counts[i].count;
        }
    }
    sv_free(counts);
    return code;
}

/* Codes of a text feature, row by row: (n_rows), new. */
static int text_codes(uint32_t **out, const sv_features *features, int value, const sv_table *table, sv_error *error)
{
    sv_binding *binding;
    sv_evaluator *evaluator = NULL;
    int code = sv_binding_new(&binding, features, table, error);
    *out = NULL;
    if (code)
        return code;
    uint32_t *codes = sv_array(table->n_rows + 1, sizeof *codes);
    char *scratch = sv_aligned(64, sv_binding_scratch_size(binding) + 64);
    if (!codes || !scratch || sv_evaluator_new(&evaluator, features))
        code = out_of_memory(error);
    for (size_t row = 0; row < table->n_rows && !code; row += SV_BLOCK_ROWS) {
        sv_block block;
        size_t n = table->n_rows - row < SV_BLOCK_ROWS ? table->n_rows - row : SV_BLOCK_ROWS;
        sv_binding_block(binding, row, n, scratch, &block);
        sv_evaluator_run(evaluator, &block);
        memcpy(codes + row, sv_evaluator_value(evaluator, value), n * sizeof *codes);
    }
    sv_evaluator_free(evaluator);
    sv_free(scratch);
    sv_binding_free(binding);
    if (code)
        sv_free(codes);
    else
        *out = codes;
    return code;
}

static int profile_text_feature(sv_profile_value *out, const sv_training *t, const sv_features *features, int value, sv_error *error)
{
    uint32_t *codes;
    int code = text_codes(&codes, features, value, &t->dataset.table, error);
    if (code)
        return code;
    sv_column column = {.type = SV_STRING, .store = SV_STORE_CODE32, .data = codes, .levels = (sv_levels *)(uintptr_t)sv_features_levels(features, value)};
    code = profile_text(out, &column, t->dataset.parts, t->dataset.table.n_rows) ? out_of_memory(error) : 0;
    sv_free(codes);
    return code;
}

static int profile_value(sv_profile_value *out, const sv_training *t, const sv_features *features, int value, sv_error *error)
{
    const sv_table *table = &t->dataset.table;
    const char *name = sv_features_name(features, value);
    int column = sv_table_find(table, name), code;
    if (!(out->name = sv_strdup(name)))
        return out_of_memory(error);
    if (sv_features_kind(features, value) == SV_KIND_TEXT) {
        if (column < 0)
            return profile_text_feature(out, t, features, value, error);
        code = profile_text(out, &table->columns[column], t->dataset.parts, table->n_rows);
        return code ? out_of_memory(error) : 0;
    }
    double *values = NULL;
    if (column >= 0 && (values = sv_array(table->n_rows + SV_BLOCK_ROWS, sizeof *values)))
        for (size_t row = 0; row < table->n_rows; row += SV_BLOCK_ROWS)
            sv_column_widen(&table->columns[column], row, table->n_rows - row < SV_BLOCK_ROWS ? table->n_rows - row : SV_BLOCK_ROWS, values + row);
    else if (column < 0 && (code = sv_schema_compute(&values, features, name, table, NULL, error)))
        return code;
    code = values ? profile_number(out, values, t->dataset.parts, table->n_rows) : SV_E_MEMORY;
    sv_free(values);
    return code ? out_of_memory(error) : 0;
}

static int profile_score(sv_profile *out, const sv_training *t)
{
    size_t n;
    double *sorted = take_sample(&n, t->evaluation.predictions, t->dataset.parts, t->evaluation.n_rows);
    int code = sorted ? make_histogram(&out->score, sorted, n, t->evaluation.predictions, t->dataset.parts, t->evaluation.n_rows) : SV_E_MEMORY;
    sv_free(sorted);
    return code;
}

static int profile_metrics(sv_profile *out, const sv_evaluation *e)
{
    size_t n = 0;
    for (size_t p = 0; p < e->n_parts; p++)
        n += e->parts[p].n_metrics;
    if (!(out->metrics = sv_calloc(n + 1, sizeof *out->metrics)))
        return SV_E_MEMORY;
    for (size_t p = 0; p < e->n_parts; p++)
        for (size_t m = 0; m < e->parts[p].n_metrics; m++) {
            char name[96];
            snprintf(name, sizeof name, "%s.%s", sv_part_name(e->parts[p].part), e->parts[p].metrics[m].name);
            if (isnan(e->parts[p].metrics[m].value))
                continue;
            if (!(out->metrics[out->n_metrics].name = sv_strdup(name)))
                return SV_E_MEMORY;
            out->metrics[out->n_metrics++].value = e->parts[p].metrics[m].value;
        }
    return 0;
}

static double label_rate(const sv_dataset *d)
{
    double sum = 0;
    if (d->target.type == SV_STRING)
        return NAN;
    for (size_t i = 0; i < d->table.n_rows; i++)
        if (d->parts[i] == SV_PART_TRAIN)
            sum += d->target.store == SV_STORE_I8 ? ((const int8_t *)d->target.data)[i] : ((const double *)d->target.data)[i];
    return sum / (double)d->counts[SV_PART_TRAIN];
}

typedef struct profiling {
    sv_profile *profile;
    const sv_training *training;
    sv_error *errors; /* (n_values + 1) */
} profiling;

/* One value; behind the last of them the score. */
static void profile_one(void *context, size_t i, size_t worker)
{
    profiling *p = context;
    const sv_features *features = sv_pipeline_features(p->training->pipeline);
    (void)worker;
    if (i < p->profile->n_values)
        profile_value(&p->profile->values[i], p->training, features, (int)i, &p->errors[i]);
    else if (profile_score(p->profile, p->training))
        out_of_memory(&p->errors[i]);
}

int sv_profile_rows(sv_profile *out, const sv_training *t, sv_error *error)
{
    size_t n = sv_features_n_values(sv_pipeline_features(t->pipeline));
    *out = (sv_profile){.n_rows = t->dataset.counts[SV_PART_TRAIN], .label_rate = label_rate(&t->dataset)};
    profiling p = {.profile = out, .training = t, .errors = sv_calloc(n + 1, sizeof *p.errors)};
    int code = p.errors && (out->values = sv_calloc(n + 1, sizeof *out->values)) ? 0 : out_of_memory(error);
    if (!code) {
        out->n_values = n;
        sv_team_run(t->team, n + 1, profile_one, &p);
    }
    for (size_t i = 0; i <= n && !code; i++)
        if ((code = p.errors[i].code))
            *error = p.errors[i];
    if (!code && profile_metrics(out, &t->evaluation))
        code = out_of_memory(error);
    sv_free(p.errors);
    return code;
}
