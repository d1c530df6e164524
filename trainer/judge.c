/* judge.c: what a single figure hides: segments that fail, what a trivial rule would reach, distributions that moved between the parts. */
#include "evaluation.h"

#include "alloc.h"
#include "design.h"
#include "figures.h"

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

/* ---- segments ---- */

enum { MAX_SEGMENTS = 200, SEGMENT_LEAST_ROWS = 30 };

/* Rows of the judging part whose code in the column is `code`; the area and its standard error (Hanley, McNeil 1982) for binary, else mean and its error. */
static void judge_segment(sv_segment *segment, const sv_judging *judging, const sv_column *column, sv_part part, double code, double *p, uint8_t *y)
{
    size_t n = 0;
    double codes[1], sum = 0, squares = 0, target = 0, predicted = 0;
    int binary = sv_pipeline_task(judging->pipeline) == SV_TASK_BINARY, multinomial = sv_pipeline_task(judging->pipeline) == SV_TASK_MULTINOMIAL;
    size_t n_rows = judging->dataset->table.n_rows;
    for (size_t i = 0; i < n_rows; i++) {
        double prediction = judging->predictions[i], error = judging->targets[i] - prediction;
        if (judging->dataset->parts[i] != part || isnan(prediction)) continue;
        sv_design_widen(codes, column->data, column->store, i, 1);
        if (codes[0] != code) continue;
        size_t best = 0;
        for (size_t k = 1; multinomial && k < sv_pipeline_n_scores(judging->pipeline); k++)
            if (judging->predictions[k * n_rows + i] > judging->predictions[best * n_rows + i]) best = k;
        double value = multinomial ? best == (size_t)judging->targets[i] : error * error;
        p[n] = prediction;
        y[n++] = judging->targets[i] != 0;
        sum += value;
        squares += value * value;
        target += judging->targets[i];
        predicted += prediction;
        segment->n_positive += binary && judging->targets[i] != 0;
    }
    segment->n_rows = n;
    segment->rate = target / (double)n;
    segment->predicted = predicted / (double)n;
    if (binary) {
        double a = sv_roc_auc(p, y, n), up = (double)segment->n_positive, down = (double)n - up, q1 = a / (2 - a), q2 = 2 * a * a / (1 + a);
        double error = sqrt((a * (1 - a) + (up - 1) * (q1 - a * a) + (down - 1) * (q2 - a * a)) / (up * down));
        segment->metric = a;
        segment->low = a - 1.96 * error;
        segment->high = fmin(a + 1.96 * error, 1);
        return;
    }
    double mean = sum / (double)n, error = sqrt(fmax(squares / (double)n - mean * mean, 0) / (double)n);
    segment->metric = multinomial ? mean : sqrt(mean);
    segment->low = multinomial ? mean - 1.96 * error : sqrt(fmax(mean - 1.96 * error, 0));
    segment->high = multinomial ? mean + 1.96 * error : sqrt(mean + 1.96 * error);
}

static void name_segment(sv_segment *segment, const sv_column *column, double code)
{
    snprintf(segment->column, sizeof segment->column, "%s", column->name);
    if (column->levels) snprintf(segment->level, sizeof segment->level, "%s", sv_levels_text(column->levels, (size_t)code, NULL));
    else snprintf(segment->level, sizeof segment->level, "%g", code);
}

static int segment_column(sv_evaluation *out, const sv_judging *judging, const sv_column *column, double whole, double *p, uint8_t *y, sv_error *error)
{
    size_t n_levels = column->levels ? sv_levels_count(column->levels) : 256;
    sv_part part = judging_part(judging->dataset);
    int larger_is_better = sv_pipeline_task(judging->pipeline) == SV_TASK_BINARY || sv_pipeline_task(judging->pipeline) == SV_TASK_MULTINOMIAL;
    for (size_t code = 0; code < n_levels && out->n_segments < MAX_SEGMENTS; code++) {
        double value = (double)code - (column->levels ? 0 : 128);
        sv_segment segment = {0};
        judge_segment(&segment, judging, column, part, value, p, y);
        if (segment.n_rows < SEGMENT_LEAST_ROWS) continue;
        sv_segment *more = sv_realloc(out->segments, (out->n_segments + 1) * sizeof *more);
        if (!more) return no_memory(error);
        name_segment(&segment, column, value);
        segment.fails = larger_is_better ? segment.high < whole : segment.low > whole;
        out->segments = more;
        out->segments[out->n_segments++] = segment;
    }
    return 0;
}

int sv_judge_segments(sv_evaluation *out, const sv_judging *judging, sv_error *error)
{
    const sv_entries *names = &judging->config->evaluate.segments;
    const sv_table *table = &judging->dataset->table;
    sv_task task = sv_pipeline_task(judging->pipeline);
    double whole = sv_evaluation_metric(out, judging_part(judging->dataset), task == SV_TASK_BINARY ? "roc_auc" : task == SV_TASK_MULTINOMIAL ? "accuracy" : "rmse");
    if (!names->count) return 0;
    double *p = sv_array(table->n_rows + 1, sizeof *p);
    uint8_t *y = sv_array(table->n_rows + 1, sizeof *y);
    int rc = p && y ? 0 : no_memory(error);
    for (size_t k = 0; !rc && k < names->count; k++) {
        int at = sv_table_find(table, names->items[k].value);
        if (at < 0 || (!table->columns[at].levels && table->columns[at].store != SV_STORE_I8)) {
            rc = sv_error_set(error, SV_E_CONFIG, "evaluate.segments: expected a column of text or small whole numbers, got %s", names->items[k].value);
            break;
        }
        rc = segment_column(out, judging, &table->columns[at], whole, p, y, error);
    }
    sv_free(p);
    sv_free(y);
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

/* The training rows' mean, or their most frequent class, said of every row. */
static int constant_baseline(sv_evaluation *out, const sv_judging *judging, sv_part part)
{
    sv_task task = sv_pipeline_task(judging->pipeline);
    size_t n_rows = judging->dataset->table.n_rows, n_classes = task == SV_TASK_BINARY ? 2 : task == SV_TASK_MULTINOMIAL ? sv_pipeline_n_scores(judging->pipeline) : 1, best = 0;
    double *counts = sv_calloc(n_classes, sizeof *counts), n_train = 0, sum = 0, n = 0, hits = 0, loss = 0;
    if (!counts) return SV_E_MEMORY;
    for (size_t i = 0; i < n_rows; i++) {
        if (judging->dataset->parts[i] != SV_PART_TRAIN) continue;
        if (n_classes > 1) counts[(size_t)judging->targets[i]]++;
        sum += judging->targets[i];
        n_train++;
    }
    for (size_t k = 1; k < n_classes; k++)
        best = counts[k] > counts[best] ? k : best;
    for (size_t i = 0; i < n_rows; i++) {
        if (judging->dataset->parts[i] != part) continue;
        double y = judging->targets[i], miss = y - sum / n_train;
        hits += n_classes > 1 && (size_t)y == best;
        loss += n_classes > 1 ? -log(fmax(counts[(size_t)y] / n_train, 2.220446049250313e-16)) : miss * miss;
        n++;
    }
    sv_free(counts);
    if (n == 0) return 0;
    return n_classes > 1 ? add_baseline(out, "majority", part, hits / n, loss / n) : add_baseline(out, "mean", part, NAN, sqrt(loss / n));
}

/* A column's value as the answer: for a binary target 1 where it is above 0. */
static int last_value_baseline(sv_evaluation *out, const sv_judging *judging, const sv_column *column, sv_part part)
{
    int binary = sv_pipeline_task(judging->pipeline) == SV_TASK_BINARY;
    double n = 0, hits = 0, squares = 0, value;
    for (size_t i = 0; i < judging->dataset->table.n_rows; i++) {
        if (judging->dataset->parts[i] != part) continue;
        sv_design_widen(&value, column->data, column->store, i, 1);
        if (isnan(value)) continue;
        hits += (value > 0) == (judging->targets[i] != 0);
        squares += (value - judging->targets[i]) * (value - judging->targets[i]);
        n++;
    }
    return n > 0 ? add_baseline(out, "last value", part, binary ? hits / n : NAN, binary ? NAN : sqrt(squares / n)) : 0;
}

int sv_judge_baselines(sv_evaluation *out, const sv_judging *judging, sv_error *error)
{
    const char *name = judging->config->evaluate.baseline;
    int at = name ? sv_table_find(&judging->dataset->table, name) : -1;
    if (name && (at < 0 || judging->dataset->table.columns[at].levels))
        return sv_error_set(error, SV_E_CONFIG, "evaluate.baseline: expected a numeric column, got %s", name);
    for (size_t k = 0; k < out->n_parts; k++) {
        if (constant_baseline(out, judging, out->parts[k].part)) return no_memory(error);
        if (at >= 0 && sv_pipeline_task(judging->pipeline) != SV_TASK_MULTINOMIAL && last_value_baseline(out, judging, &judging->dataset->table.columns[at], out->parts[k].part))
            return no_memory(error);
    }
    return 0;
}

/* ---- shifts ---- */

/* Present values of a part, sorted. */
static int sorted_part(double **out, size_t *n, const sv_judging *judging, const void *data, sv_store store, sv_part part)
{
    size_t n_rows = judging->dataset->table.n_rows;
    double value;
    *n = 0;
    *out = sv_array(judging->dataset->counts[part] + 1, sizeof **out);
    if (!*out) return SV_E_MEMORY;
    size_t stride = judging->dataset->counts[part] / 50000 + 1, seen = 0; /* a shift that fifty thousand rows do not show is none */
    for (size_t i = 0; i < n_rows; i++) {
        if (judging->dataset->parts[i] != part || seen++ % stride) continue;
        sv_design_widen(&value, data, store, i, 1);
        if (!isnan(value)) (*out)[(*n)++] = value;
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

typedef struct shift_job {
    const sv_judging *judging;
    sv_shift *shifts;
    int failed;
} shift_job;

static const sv_column *column_of(const sv_judging *judging, size_t k)
{
    return &judging->dataset->table.columns[k];
}

/* Text: the index over levels instead of bins, half the sum of differences instead of Kolmogorov-Smirnov. */
static void shift_levels(sv_shift *shift, const sv_judging *judging, const sv_column *column)
{
    size_t n_levels = sv_levels_count(column->levels);
    double(*counts)[2] = sv_calloc(n_levels, sizeof *counts), n[2] = {0}, code;
    for (size_t i = 0; counts && i < judging->dataset->table.n_rows; i++) {
        sv_part part = (sv_part)judging->dataset->parts[i];
        if (part != shift->from && part != shift->to) continue;
        sv_design_widen(&code, column->data, column->store, i, 1);
        counts[(size_t)code][part == shift->to]++;
        n[part == shift->to]++;
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
    const sv_judging *judging = job->judging;
    sv_shift *shift = &job->shifts[task];
    double *a = NULL, *b = NULL;
    size_t n_a, n_b, n_columns = judging->dataset->table.n_columns;
    const sv_column *column = task < n_columns ? column_of(judging, task) : NULL;
    (void)worker;
    snprintf(shift->name, sizeof shift->name, "%s", column ? column->name : "score");
    if (column && column->levels) {
        shift_levels(shift, judging, column);
        return;
    }
    const void *data = column ? column->data : judging->predictions;
    sv_store store = column ? column->store : SV_STORE_F64;
    if (!sorted_part(&a, &n_a, judging, data, store, shift->from) && !sorted_part(&b, &n_b, judging, data, store, shift->to) && n_a && n_b) {
        shift->psi = stability_index(a, n_a, b, n_b);
        shift->ks = kolmogorov_smirnov(a, n_a, b, n_b);
    } else shift->psi = shift->ks = NAN;
    sv_free(a);
    sv_free(b);
}

int sv_judge_shifts(sv_evaluation *out, const sv_judging *judging, sv_error *error)
{
    size_t n_columns = judging->dataset->table.n_columns;
    shift_job job = {.judging = judging};
    if (!judging->dataset->counts[SV_PART_TRAIN] || judging_part(judging->dataset) == SV_PART_TRAIN) return 0;
    job.shifts = out->shifts = sv_calloc(n_columns + 1, sizeof *out->shifts);
    if (!out->shifts) return no_memory(error);
    out->n_shifts = n_columns + 1;
    for (size_t k = 0; k < out->n_shifts; k++) {
        out->shifts[k].from = SV_PART_TRAIN;
        out->shifts[k].to = judging_part(judging->dataset);
    }
    sv_team_run(judging->team, out->n_shifts, shift_task, &job);
    return 0;
}
