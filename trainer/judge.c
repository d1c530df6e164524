/* judge.c: what a single figure hides: segments that fail, what a trivial rule would reach, distributions that moved between the parts. */
#include "evaluation.h"

#include "alloc.h"
#include "design.h"
#include "expr.h"
#include "figures.h"
#include "values.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(sv_error *error)
{
    return sv_error_set(error, SV_E_MEMORY, "evaluate: out of memory");
}

/* The part that judges: test, or what there is. */
static sv_part judging_part(const sv_dataset *dataset)
{
    return dataset->counts[SV_PART_TEST] ? SV_PART_TEST : dataset->counts[SV_PART_VALIDATION] ? SV_PART_VALIDATION : SV_PART_TRAIN;
}

/* ---- the columns that judgement needs ---- */

static const char *nearest_column(const char *name, const sv_table *table)
{
    const char **names = sv_array(table->n_columns + 1, sizeof *names);
    for (size_t c = 0; names && c < table->n_columns; c++)
        names[c] = table->columns[c].name;
    const char *near = names ? sv_nearest_name(name, names, table->n_columns) : NULL;
    sv_free(names);
    return near;
}

int sv_evaluate_check(const sv_config *config, const sv_table *table, sv_error *error)
{
    const char *baseline = config->evaluate.baseline, *near = NULL;
    int at = baseline ? sv_table_find(table, baseline) : -1, code = 0;
    size_t feature = 0; /* found out when the model is there */
    while (baseline && feature < config->features.count && strcmp(config->features.items[feature].key, baseline) != 0)
        feature++;
    if (baseline && feature == config->features.count && (at < 0 || table->columns[at].levels)) {
        near = at < 0 ? nearest_column(baseline, table) : NULL;
        code = sv_config_fail(error, config, "evaluate.baseline", at < 0 ? "no column '%.100s'" : "expected a column of numbers, '%.100s' holds text", baseline);
    }
    for (size_t k = 0; k < config->evaluate.segments.count && !code; k++) {
        const sv_entry *segment = &config->evaluate.segments.items[k];
        at = sv_table_find(table, segment->value);
        if (at >= 0 && (table->columns[at].levels || table->columns[at].store == SV_STORE_I8)) continue;
        near = at < 0 ? nearest_column(segment->value, table) : NULL;
        code = sv_config_fail_at(error, config, "evaluate.segments", segment, at < 0 ? "no column '%.100s'" : "expected a column of text or of small whole numbers, got '%.100s'", segment->value);
    }
    if (near) sv_error_hint(error, "did you mean '%s'?", near);
    return code;
}

/* ---- segments ---- */

enum { MAX_SEGMENTS = 200 };

/* The judging part's rows, those of one code behind those of the one before: of code k they are rows[begins[k]] … rows[begins[k + 1] - 1]. */
typedef struct grouping {
    uint32_t *rows;
    size_t *begins; /* (n_codes + 1) */
    size_t n_codes;
} grouping;

static size_t code_of(const sv_column *column, size_t row)
{
    double code;
    sv_design_widen(&code, column->data, column->store, row, 1);
    return (size_t)(code + (column->levels ? 0 : 128));
}

static int group_rows(grouping *g, const sv_judging *judging, const sv_column *column, sv_part part)
{
    const sv_dataset *d = judging->dataset;
    *g = (grouping){.n_codes = column->levels ? sv_levels_count(column->levels) : 256};
    g->rows = sv_array(d->counts[part] + 1, sizeof *g->rows);
    g->begins = sv_calloc(g->n_codes + 2, sizeof *g->begins);
    if (!g->rows || !g->begins || d->table.n_rows > UINT32_MAX) return SV_E_MEMORY;
    for (int place = 0; place < 2; place++) {
        for (size_t i = 0; i < d->table.n_rows; i++) {
            if (d->parts[i] != part || isnan(judging->predictions[i])) continue;
            size_t code = code_of(column, i);
            if (place) g->rows[g->begins[code + 1]++] = (uint32_t)i;
            else if (code + 2 <= g->n_codes) g->begins[code + 2]++;
        }
        for (size_t k = 2; !place && k <= g->n_codes; k++)
            g->begins[k] += g->begins[k - 1];
    }
    return 0;
}

static int judge_segment(sv_segment *segment, const sv_judging *judging, const uint32_t *rows, size_t n, uint64_t stream)
{
    double target = 0, predicted = 0;
    int binary = sv_pipeline_task(judging->pipeline) == SV_TASK_BINARY;
    segment->n_rows = n;
    for (size_t i = 0; i < n; i++) {
        target += sv_judging_target(judging, rows[i]);
        predicted += judging->predictions[rows[i]];
        segment->n_positive += binary && sv_judging_target(judging, rows[i]) != 0;
    }
    segment->rate = target / (double)n;
    segment->predicted = predicted / (double)n;
    return sv_judge_rows(&segment->metric, &segment->low, &segment->high, judging, rows, n, stream);
}

static void name_segment(sv_segment *segment, const sv_column *column, size_t code)
{
    snprintf(segment->column, sizeof segment->column, "%s", column->name);
    if (column->levels) snprintf(segment->level, sizeof segment->level, "%s", sv_levels_text(column->levels, code, NULL));
    else snprintf(segment->level, sizeof segment->level, "%d", (int)code - 128);
}

static int segment_column(sv_evaluation *out, const sv_judging *judging, const sv_column *column, double whole, sv_error *error)
{
    int larger_is_better = sv_pipeline_task(judging->pipeline) == SV_TASK_BINARY || sv_pipeline_task(judging->pipeline) == SV_TASK_MULTINOMIAL;
    grouping g;
    int rc = group_rows(&g, judging, column, judging_part(judging->dataset));
    for (size_t code = 0; !rc && code < g.n_codes && out->n_segments < MAX_SEGMENTS; code++) {
        size_t n = g.begins[code + 1] - g.begins[code];
        sv_segment segment = {0};
        if (n < SV_SEGMENT_LEAST_ROWS) continue;
        sv_segment *more = sv_realloc(out->segments, (out->n_segments + 1) * sizeof *more);
        if (more) out->segments = more;
        rc = more ? judge_segment(&segment, judging, g.rows + g.begins[code], n, out->n_segments) : SV_E_MEMORY;
        name_segment(&segment, column, code);
        segment.fails = larger_is_better ? segment.high < whole : segment.low > whole;
        if (!rc) out->segments[out->n_segments++] = segment;
    }
    sv_free(g.rows);
    sv_free(g.begins);
    return rc ? no_memory(error) : 0;
}

int sv_judge_segments(sv_evaluation *out, const sv_judging *judging, sv_error *error)
{
    const sv_entries *names = &judging->config->evaluate.segments;
    const sv_table *table = &judging->dataset->table;
    sv_task task = sv_pipeline_task(judging->pipeline);
    double whole = sv_evaluation_metric(out, judging_part(judging->dataset), task == SV_TASK_BINARY ? "roc_auc" : task == SV_TASK_MULTINOMIAL ? "accuracy" : "rmse");
    int rc = 0;
    for (size_t k = 0; !rc && k < names->count; k++) {
        int at = sv_table_find(table, names->items[k].value);
        if (at >= 0) rc = segment_column(out, judging, &table->columns[at], whole, error);
    }
    return rc;
}

/* ---- baselines ---- */

static int add_baseline(sv_evaluation *out, const char *name, sv_part part, double accuracy, double loss)
{
    sv_baseline *more = sv_realloc(out->baselines, (out->n_baselines + 1) * sizeof *more);
    if (!more) return SV_E_MEMORY;
    out->baselines = more;
    more[out->n_baselines] = (sv_baseline){.part = part, .accuracy = accuracy, .log_loss = loss};
    snprintf(more[out->n_baselines++].name, sizeof more->name, "%s", name);
    return 0;
}

/* What the targets of each part add up to: rows, sum, sum of squares; with classes, the rows of each. */
typedef struct target_sums {
    double n[SV_PARTS], sum[SV_PARTS], squares[SV_PARTS];
    double *classes; // (SV_PARTS, n_classes)
    size_t n_classes;
} target_sums;

static void add_targets(target_sums *s, const sv_judging *judging)
{
    const sv_dataset *d = judging->dataset;
    for (size_t i = 0; i < d->table.n_rows; i++) {
        size_t part = d->parts[i];
        double y = part < SV_PART_NONE ? sv_judging_target(judging, i) : 0;
        if (s->n_classes) {
            s->classes[part * s->n_classes + (size_t)y]++;
            continue;
        }
        s->n[part]++;
        s->sum[part] += y;
    }
    double mean = s->n[SV_PART_TRAIN] > 0 ? s->sum[SV_PART_TRAIN] / s->n[SV_PART_TRAIN] : 0;
    for (size_t i = 0; !s->n_classes && i < d->table.n_rows; i++)
        if (d->parts[i] < SV_PART_NONE) s->squares[d->parts[i]] += (sv_judging_target(judging, i) - mean) * (sv_judging_target(judging, i) - mean);
}

/* The training rows' mean, or their most frequent class, said of every row. */
static int constant_baseline(sv_evaluation *out, const target_sums *s, sv_part part)
{
    const double *train = s->classes + SV_PART_TRAIN * s->n_classes, *here = s->classes + (size_t)part * s->n_classes;
    double n = 0, n_train = 0, loss = 0;
    size_t best = 0;
    if (!s->n_classes) return s->n[part] > 0 ? add_baseline(out, "mean", part, NAN, sqrt(s->squares[part] / s->n[part])) : 0;
    for (size_t k = 0; k < s->n_classes; k++) {
        n += here[k];
        n_train += train[k];
        best = train[k] > train[best] ? k : best;
    }
    for (size_t k = 0; k < s->n_classes; k++)
        if (here[k] > 0) loss -= here[k] * log(fmax(train[k] / n_train, 2.220446049250313e-16));
    return n > 0 ? add_baseline(out, "majority", part, here[best] / n, loss / n) : 0;
}

/* A number that a naive forecast would go by: for a binary target 1 where it is above 0, else it is the answer itself. */
static int last_value_baseline(sv_evaluation *out, const sv_judging *judging, const sv_value_column *column, sv_part part)
{
    int binary = sv_pipeline_task(judging->pipeline) == SV_TASK_BINARY;
    double n = 0, hits = 0, squares = 0, value;
    for (size_t i = 0; i < judging->dataset->table.n_rows; i++) {
        if (judging->dataset->parts[i] != part) continue;
        sv_design_widen(&value, column->data, column->store, i, 1);
        if (isnan(value)) continue;
        double target = sv_judging_target(judging, i);
        hits += (value > 0) == (target != 0);
        squares += (value - target) * (value - target);
        n++;
    }
    return n > 0 ? add_baseline(out, "last value", part, binary ? hits / n : NAN, binary ? NAN : sqrt(squares / n)) : 0;
}

/* evaluate.baseline: a column of the model, or a feature of it. */
static int find_baseline(sv_values *out, const sv_judging *judging, sv_error *error)
{
    const char *name = judging->config->evaluate.baseline;
    const sv_features *features = sv_pipeline_features(judging->pipeline);
    const sv_table *table = &judging->dataset->table;
    int id = sv_features_find(features, name, strlen(name)), at = sv_table_find(table, name);
    if (at >= 0 && !table->columns[at].levels) {
        *out = (sv_values){.n = 1, .columns = sv_calloc(1, sizeof *out->columns)};
        if (!out->columns) return no_memory(error);
        out->columns[0] = (sv_value_column){.store = table->columns[at].store, .data = table->columns[at].data};
        return 0;
    }
    if (at >= 0 || id < 0 || sv_features_kind(features, id) == SV_KIND_TEXT)
        return sv_error_set(error, SV_E_CONFIG, "evaluate.baseline: expected a numeric column, or a feature that the model uses, got %s", name);
    return sv_values_new(out, features, table, &id, 1, judging->team, error);
}

int sv_judge_baselines(sv_evaluation *out, const sv_judging *judging, sv_error *error)
{
    sv_task task = sv_pipeline_task(judging->pipeline);
    sv_values baseline = {0};
    target_sums sums = {.n_classes = task == SV_TASK_BINARY ? 2 : task == SV_TASK_MULTINOMIAL ? sv_pipeline_n_scores(judging->pipeline) : 0};
    int rc = judging->config->evaluate.baseline ? find_baseline(&baseline, judging, error) : 0;
    sums.classes = sv_calloc(SV_PARTS * (sums.n_classes + 1), sizeof *sums.classes);
    if (!rc && !sums.classes) rc = no_memory(error);
    if (!rc) add_targets(&sums, judging);
    for (size_t k = 0; !rc && k < out->n_parts; k++) {
        sv_part part = out->parts[k].part;
        if (constant_baseline(out, &sums, part) || (baseline.n && task != SV_TASK_MULTINOMIAL && last_value_baseline(out, judging, baseline.columns, part))) rc = no_memory(error);
    }
    sv_free(sums.classes);
    sv_values_free(&baseline);
    return rc;
}

/* ---- shifts ---- */

enum { SHIFT_ROWS = 20000 }; /* of each part: a shift that they do not show is none */

typedef struct shift_job {
    const sv_judging *judging;
    sv_shift *shifts;
    uint32_t *rows[2]; /* (n[side]) of the part before and the part after */
    size_t n[2];
} shift_job;

static int sample_part(shift_job *job, int side, sv_part part)
{
    const sv_dataset *d = job->judging->dataset;
    size_t stride = d->counts[part] / SHIFT_ROWS + 1, n_rows = d->table.n_rows;
    uint32_t *rows = job->rows[side] = sv_array(n_rows / stride + 1, sizeof *rows);
    if (!rows || n_rows > UINT32_MAX) return SV_E_MEMORY;
    for (size_t i = 0; i < n_rows; i += stride)
        if (d->parts[i] == part) rows[job->n[side]++] = (uint32_t)i;
    return 0;
}

/* The sample's present values, sorted. */
static int sorted_values(double **out, size_t *n, const shift_job *job, int side, const void *data, sv_store store)
{
    *n = 0;
    *out = sv_array(job->n[side] + 1, sizeof **out);
    if (!*out) return SV_E_MEMORY;
    sv_design_gather(*out, data, store, job->rows[side], job->n[side]);
    for (size_t k = 0; k < job->n[side]; k++) {
        (*out)[*n] = (*out)[k];
        *n += !isnan((*out)[k]);
    }
    return sv_sort(*out, *n);
}

/* The share of sorted values <= x. */
static double share_up_to(const double *sorted, size_t n, double x)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (sorted[middle] <= x) low = middle + 1;
        else high = middle;
    }
    return (double)low / (double)n;
}

static double kolmogorov_smirnov(const double *a, size_t n_a, const double *b, size_t n_b)
{
    double top = 0;
    for (size_t i = 0, j = 0; i < n_a && j < n_b;) {
        double x = a[i] < b[j] ? a[i] : b[j];
        while (i < n_a && a[i] <= x) i++;
        while (j < n_b && b[j] <= x) j++;
        top = fmax(top, fabs((double)i / (double)n_a - (double)j / (double)n_b));
    }
    return top;
}

/* Sum over bins of (q - p) log(q / p), bins at the deciles of a; an empty bin counts as half a row. */
static double stability_index(const double *a, size_t n_a, const double *b, size_t n_b)
{
    double sum = 0, before_a = 0, before_b = 0;
    for (int bin = 1; bin <= 10; bin++) {
        double edge = a[(size_t)((double)(n_a - 1) * bin / 10)];
        double up_a = bin == 10 ? 1 : share_up_to(a, n_a, edge), up_b = bin == 10 ? 1 : share_up_to(b, n_b, edge);
        double p = up_a - before_a, q = up_b - before_b;
        before_a = up_a;
        before_b = up_b;
        if (p <= 0 && q <= 0) continue;
        p = fmax(p, 0.5 / (double)n_a);
        q = fmax(q, 0.5 / (double)n_b);
        sum += (q - p) * log(q / p);
    }
    return sum;
}

/* Text: the index over levels instead of bins, half the sum of differences instead of Kolmogorov-Smirnov. */
static void shift_levels(sv_shift *shift, const shift_job *job, const sv_column *column)
{
    size_t n_levels = sv_levels_count(column->levels);
    double(*counts)[2] = sv_calloc(n_levels, sizeof *counts), n[2] = {(double)job->n[0], (double)job->n[1]}, codes[256];
    for (int side = 0; counts && side < 2; side++)
        for (size_t first = 0; first < job->n[side]; first += 256) {
            size_t some = job->n[side] - first < 256 ? job->n[side] - first : 256;
            sv_design_gather(codes, column->data, column->store, job->rows[side] + first, some);
            for (size_t k = 0; k < some; k++)
                counts[(size_t)codes[k]][side]++;
        }
    for (size_t k = 0; counts && k < n_levels; k++) {
        if (counts[k][0] + counts[k][1] == 0) continue;
        double p = fmax(counts[k][0], 0.5) / n[0], q = fmax(counts[k][1], 0.5) / n[1];
        shift->psi += (q - p) * log(q / p);
        shift->ks += fabs(counts[k][0] / n[0] - counts[k][1] / n[1]) / 2;
    }
    sv_free(counts);
}

static void shift_task(void *context, size_t task, size_t worker)
{
    const shift_job *job = context;
    const sv_table *table = &job->judging->dataset->table;
    const sv_column *column = task < table->n_columns ? &table->columns[task] : NULL;
    sv_shift *shift = &job->shifts[task];
    double *a = NULL, *b = NULL;
    size_t n_a, n_b;
    (void)worker;
    snprintf(shift->name, sizeof shift->name, "%s", column ? column->name : "score");
    if (column && column->levels) {
        shift_levels(shift, job, column);
        return;
    }
    const void *data = column ? column->data : job->judging->predictions;
    sv_store store = column ? column->store : SV_STORE_F64;
    if (!sorted_values(&a, &n_a, job, 0, data, store) && !sorted_values(&b, &n_b, job, 1, data, store) && n_a && n_b) {
        shift->psi = stability_index(a, n_a, b, n_b);
        shift->ks = kolmogorov_smirnov(a, n_a, b, n_b);
    } else shift->psi = shift->ks = NAN;
    sv_free(a);
    sv_free(b);
}

int sv_judge_shifts(sv_evaluation *out, const sv_judging *judging, sv_error *error)
{
    size_t n_columns = judging->dataset->table.n_columns;
    sv_part to = judging_part(judging->dataset);
    shift_job job = {.judging = judging};
    if (!judging->dataset->counts[SV_PART_TRAIN] || to == SV_PART_TRAIN) return 0;
    job.shifts = out->shifts = sv_calloc(n_columns + 1, sizeof *out->shifts);
    int rc = job.shifts && !sample_part(&job, 0, SV_PART_TRAIN) && !sample_part(&job, 1, to) ? 0 : no_memory(error);
    out->n_shifts = rc ? 0 : n_columns + 1;
    for (size_t k = 0; k < out->n_shifts; k++) {
        out->shifts[k].from = SV_PART_TRAIN;
        out->shifts[k].to = to;
    }
    if (!rc) sv_team_run(judging->team, out->n_shifts, shift_task, &job);
    sv_free(job.rows[0]);
    sv_free(job.rows[1]);
    return rc;
}
