/* evaluate.c: each part's figures and their bootstrap intervals. */
#include "evaluation.h"

#include "alloc.h"
#include "design.h"
#include "figures.h"
#include "prng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BOOTSTRAP_CELLS = 128, GROUPS = 1024 };

int sv_gather_part(double **p, uint8_t **y, size_t *n, const sv_judging *judging, sv_part part, sv_error *error)
{
    size_t n_rows = judging->dataset->table.n_rows, kept = 0;
    *p = sv_array(n_rows ? n_rows : 1, sizeof **p);
    *y = sv_array(n_rows ? n_rows : 1, sizeof **y);
    *n = 0;
    if (!*p || !*y) {
        sv_free(*p);
        sv_free(*y);
        *p = NULL;
        *y = NULL;
        return sv_error_set(error, SV_E_MEMORY, "evaluate: out of memory for %zu rows", n_rows);
    }
    for (size_t i = 0; i < n_rows; i++) {
        if (judging->dataset->parts[i] != part || isnan(judging->predictions[i])) continue;
        (*p)[kept] = judging->predictions[i];
        (*y)[kept++] = judging->targets[i] != 0;
    }
    *n = kept;
    return 0;
}

static void add_metric(sv_part_evaluation *out, const char *name, double value, double low, double high)
{
    sv_metric *metric = &out->metrics[out->n_metrics++];
    *metric = (sv_metric){.value = value, .low = low, .high = high};
    snprintf(metric->name, sizeof metric->name, "%s", name);
}

/* ---- binary ---- */

typedef struct replicates {
    const sv_cells *cells;
    sv_cells *copies;  /* (team size) */
    uint64_t seed;
    size_t n;
    double *figures;   // (SV_FIGURES, n)
} replicates;

static void replicate_task(void *context, size_t task, size_t worker)
{
    const replicates *r = context;
    double figures[SV_FIGURES];
    sv_cells_resample(&r->copies[worker], r->cells, r->seed, task);
    sv_cells_figures(figures, &r->copies[worker]);
    for (int f = 0; f < SV_FIGURES; f++)
        r->figures[(size_t)f * r->n + task] = figures[f];
}

static int binary_intervals(double low[SV_FIGURES], double high[SV_FIGURES], const sv_judging *judging, const double *p, const uint8_t *y, size_t n, sv_part part, sv_error *error)
{
    size_t n_workers = sv_team_size(judging->team);
    sv_cells cells = {0};
    replicates r = {.cells = &cells, .copies = sv_calloc(n_workers, sizeof(sv_cells)), .seed = (uint64_t)judging->config->evaluate.seed + (uint64_t)part, .n = (size_t)judging->config->evaluate.bootstrap};
    r.figures = sv_array(SV_FIGURES * r.n, sizeof(double));
    int rc = r.copies && r.figures ? sv_cells_new(&cells, p, y, n, sv_pipeline_threshold(judging->pipeline), BOOTSTRAP_CELLS) : SV_E_MEMORY;
    for (size_t w = 0; !rc && w < n_workers; w++)
        rc = sv_cells_copy(&r.copies[w], &cells);
    if (!rc) sv_team_run(judging->team, r.n, replicate_task, &r);
    for (int f = 0; !rc && f < SV_FIGURES; f++)
        sv_interval(r.figures + (size_t)f * r.n, r.n, judging->config->evaluate.confidence, &low[f], &high[f]);
    for (size_t w = 0; r.copies && w < n_workers; w++)
        sv_cells_free(&r.copies[w]);
    sv_free(r.copies);
    sv_free(r.figures);
    sv_cells_free(&cells);
    return rc ? sv_error_set(error, rc, "evaluate: out of memory") : 0;
}

static int judge_binary(sv_part_evaluation *out, const sv_judging *judging, sv_error *error)
{
    double *p, figures[SV_FIGURES], low[SV_FIGURES], high[SV_FIGURES];
    uint8_t *y;
    size_t n;
    sv_cells cells = {0};
    int rc = sv_gather_part(&p, &y, &n, judging, out->part, error);
    for (int f = 0; f < SV_FIGURES; f++)
        low[f] = high[f] = NAN;
    if (!rc && sv_cells_new(&cells, p, y, n, sv_pipeline_threshold(judging->pipeline), 0)) rc = sv_error_set(error, SV_E_MEMORY, "evaluate: out of memory");
    if (!rc && n > 0 && judging->config->evaluate.bootstrap > 0) rc = binary_intervals(low, high, judging, p, y, n, out->part, error);
    if (!rc && n > 0) {
        sv_cells_figures(figures, &cells);
        sv_cells_confusion(out->confusion, &cells);
        out->n_rows = n;
        out->n_positive = (size_t)cells.positives;
        add_metric(out, "rows", (double)n, NAN, NAN);
        for (int f = 0; f < SV_FIGURES; f++)
            add_metric(out, sv_figure_names[f], figures[f], low[f], high[f]);
    }
    sv_cells_free(&cells);
    sv_free(p);
    sv_free(y);
    return rc;
}

/* ---- other tasks: figures are ratios of sums; groups of rows are what is drawn anew ---- */

enum { SUM_ROWS, SUM_Y, SUM_Y2, SUM_ERROR2, SUM_ABSOLUTE, SUM_LOSS, SUM_HITS, SUMS };

static void row_sums(double s[SUMS], const sv_judging *judging, size_t i)
{
    size_t n_rows = judging->dataset->table.n_rows, n_classes = sv_pipeline_n_scores(judging->pipeline);
    double y = judging->targets[i], p = judging->predictions[i];
    s[SUM_ROWS] = 1;
    if (sv_pipeline_task(judging->pipeline) == SV_TASK_MULTINOMIAL) {
        size_t best = 0;
        for (size_t k = 1; k < n_classes; k++)
            if (judging->predictions[k * n_rows + i] > judging->predictions[best * n_rows + i]) best = k;
        s[SUM_LOSS] = -log(fmax(judging->predictions[(size_t)y * n_rows + i], 2.220446049250313e-16));
        s[SUM_HITS] = best == (size_t)y;
        return;
    }
    s[SUM_Y] = y;
    s[SUM_Y2] = y * y;
    s[SUM_ERROR2] = (y - p) * (y - p);
    s[SUM_ABSOLUTE] = fabs(y - p);
    s[SUM_LOSS] = sv_pipeline_task(judging->pipeline) == SV_TASK_POISSON ? 2 * ((y > 0 ? y * log(y / p) : 0) - (y - p)) : 0;
}

typedef struct sum_ratio {
    const char *name;
    double (*of)(const double s[SUMS]);
} sum_ratio;

static double accuracy_of(const double s[SUMS]) { return s[SUM_HITS] / s[SUM_ROWS]; }
static double loss_of(const double s[SUMS]) { return s[SUM_LOSS] / s[SUM_ROWS]; }
static double rmse_of(const double s[SUMS]) { return sqrt(s[SUM_ERROR2] / s[SUM_ROWS]); }
static double mae_of(const double s[SUMS]) { return s[SUM_ABSOLUTE] / s[SUM_ROWS]; }
static double r2_of(const double s[SUMS]) { return 1 - s[SUM_ERROR2] / (s[SUM_Y2] - s[SUM_Y] * s[SUM_Y] / s[SUM_ROWS]); }

static const sum_ratio multinomial_ratios[] = {{"accuracy", accuracy_of}, {"log_loss", loss_of}, {NULL, NULL}};
static const sum_ratio linear_ratios[] = {{"rmse", rmse_of}, {"mae", mae_of}, {"r2", r2_of}, {NULL, NULL}};
static const sum_ratio poisson_ratios[] = {{"rmse", rmse_of}, {"mae", mae_of}, {"r2", r2_of}, {"deviance", loss_of}, {NULL, NULL}};

static const sum_ratio *ratios_of(sv_task task)
{
    return task == SV_TASK_MULTINOMIAL ? multinomial_ratios : task == SV_TASK_POISSON ? poisson_ratios : linear_ratios;
}

/* Draws as many groups as there are, with replacement: a bootstrap of rows for ratios whose rows were dealt out to the groups in turn. */
static int ratio_interval(double *low, double *high, const sum_ratio *ratio, const sv_judging *judging, const double (*groups)[SUMS], size_t n_groups, sv_part part)
{
    size_t n = (size_t)judging->config->evaluate.bootstrap;
    double *values = sv_array(n ? n : 1, sizeof *values);
    sv_prng prng;
    if (!values) return SV_E_MEMORY;
    sv_prng_seed(&prng, sv_mix64((uint64_t)judging->config->evaluate.seed) ^ (uint64_t)part);
    for (size_t r = 0; r < n; r++) {
        double total[SUMS] = {0};
        for (size_t g = 0; g < n_groups; g++) {
            const double *drawn = groups[sv_prng_below(&prng, n_groups)];
            for (int s = 0; s < SUMS; s++)
                total[s] += drawn[s];
        }
        values[r] = ratio->of(total);
    }
    sv_interval(values, n, judging->config->evaluate.confidence, low, high);
    sv_free(values);
    return 0;
}

/* Mean of the classes' recalls: scikit-learn's balanced accuracy. */
static double balanced_accuracy(const sv_judging *judging, sv_part part)
{
    size_t n_classes = sv_pipeline_n_scores(judging->pipeline), present = 0;
    double(*counts)[2] = sv_calloc(n_classes, sizeof *counts), sum = 0;
    if (!counts) return NAN;
    for (size_t i = 0; i < judging->dataset->table.n_rows; i++) {
        double s[SUMS] = {0};
        if (judging->dataset->parts[i] != part || isnan(judging->predictions[i])) continue;
        row_sums(s, judging, i);
        counts[(size_t)judging->targets[i]][0]++;
        counts[(size_t)judging->targets[i]][1] += s[SUM_HITS];
    }
    for (size_t k = 0; k < n_classes; k++)
        if (counts[k][0] > 0) {
            sum += counts[k][1] / counts[k][0];
            present++;
        }
    sv_free(counts);
    return present ? sum / (double)present : NAN;
}

static int judge_ratios(sv_part_evaluation *out, const sv_judging *judging, sv_error *error)
{
    double(*groups)[SUMS] = sv_calloc(GROUPS, sizeof *groups), total[SUMS] = {0};
    sv_task task = sv_pipeline_task(judging->pipeline);
    int rc = groups ? 0 : SV_E_MEMORY;
    for (size_t i = 0; !rc && i < judging->dataset->table.n_rows; i++) {
        double s[SUMS] = {0};
        if (judging->dataset->parts[i] != out->part || isnan(judging->predictions[i])) continue;
        row_sums(s, judging, i);
        for (int k = 0; k < SUMS; k++)
            groups[out->n_rows % GROUPS][k] += s[k];
        out->n_rows++;
    }
    size_t n_groups = out->n_rows < GROUPS ? out->n_rows : GROUPS;
    for (size_t g = 0; g < n_groups; g++)
        for (int k = 0; k < SUMS; k++)
            total[k] += groups[g][k];
    if (!rc && out->n_rows) add_metric(out, "rows", (double)out->n_rows, NAN, NAN);
    for (const sum_ratio *ratio = ratios_of(task); !rc && out->n_rows && ratio->name; ratio++) {
        double low = NAN, high = NAN;
        if (judging->config->evaluate.bootstrap > 0) rc = ratio_interval(&low, &high, ratio, judging, (const double(*)[SUMS])groups, n_groups, out->part);
        add_metric(out, ratio->name, ratio->of(total), low, high);
    }
    if (!rc && out->n_rows && task == SV_TASK_MULTINOMIAL) add_metric(out, "balanced_accuracy", balanced_accuracy(judging, out->part), NAN, NAN);
    sv_free(groups);
    return rc ? sv_error_set(error, rc, "evaluate: out of memory") : 0;
}

/* ---- all ---- */

int sv_evaluate(sv_evaluation *out, const sv_pipeline *pipeline, const sv_dataset *dataset, const sv_config *config, sv_team *team, sv_error *error)
{
    sv_judging judging = {pipeline, dataset, config, team, NULL, NULL};
    size_t n_rows = dataset->table.n_rows;
    int binary = sv_pipeline_task(pipeline) == SV_TASK_BINARY;
    *out = (sv_evaluation){.threshold = sv_pipeline_threshold(pipeline), .n_rows = n_rows, .n_outputs = sv_pipeline_task(pipeline) == SV_TASK_MULTINOMIAL ? sv_pipeline_n_scores(pipeline) : 1};
    double *targets = sv_array(n_rows ? n_rows : 1, sizeof *targets);
    int rc = targets ? 0 : sv_error_set(error, SV_E_MEMORY, "evaluate: out of memory for %zu rows", n_rows);
    if (!rc) sv_design_widen(targets, dataset->target.data, dataset->target.store, 0, n_rows);
    if (!rc) rc = sv_predict_table(&out->predictions, pipeline, &dataset->table, team, error);
    judging.predictions = out->predictions;
    judging.targets = targets;
    for (sv_part part = SV_PART_TRAIN; !rc && part <= SV_PART_TEST; part++) {
        sv_part_evaluation *here = &out->parts[out->n_parts];
        *here = (sv_part_evaluation){.part = part};
        rc = binary ? judge_binary(here, &judging, error) : judge_ratios(here, &judging, error);
        out->n_parts += here->n_rows > 0;
    }
    if (!rc) rc = sv_judge_segments(out, &judging, error);
    if (!rc) rc = sv_judge_baselines(out, &judging, error);
    if (!rc) rc = sv_judge_shifts(out, &judging, error);
    if (!rc && binary) rc = sv_judge_costs(out, &judging, error);
    sv_free(targets);
    if (rc) {
        sv_evaluation_free(out);
        *out = (sv_evaluation){0};
    }
    return rc;
}

void sv_evaluation_free(sv_evaluation *evaluation)
{
    if (!evaluation) return;
    sv_free(evaluation->segments);
    sv_free(evaluation->baselines);
    sv_free(evaluation->shifts);
    sv_free(evaluation->costs);
    sv_free(evaluation->predictions);
}

double sv_evaluation_metric(const sv_evaluation *evaluation, sv_part part, const char *name)
{
    for (size_t k = 0; k < evaluation->n_parts; k++)
        for (size_t m = 0; evaluation->parts[k].part == part && m < evaluation->parts[k].n_metrics; m++)
            if (!strcmp(evaluation->parts[k].metrics[m].name, name)) return evaluation->parts[k].metrics[m].value;
    return NAN;
}
