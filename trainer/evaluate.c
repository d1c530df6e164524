/* evaluate.c: each part's figures and their bootstrap intervals. */
#include "evaluation.h"

#include "alloc.h"
#include "design.h"
#include "figures.h"
#include "prng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CELLS = 256, GROUPS = 1024, GATHER_ROWS = 1 << 16, DRAWN_CELLS = 64, SEGMENT_STREAM = 1000 };

static int out_of_memory(sv_error *error)
{
    return sv_error_set(error, SV_E_MEMORY, "evaluate: out of memory");
}

/* ---- rows of each part with a prediction, as keys ---- */

typedef struct gathering {
    const sv_judging *judging;
    uint64_t *keys;
    size_t (*places)[SV_PARTS]; /* (n_tasks) counts, then where the task's next key goes */
} gathering;

static size_t gather_end(const gathering *g, size_t task)
{
    size_t n_rows = g->judging->dataset->table.n_rows;
    return (task + 1) * GATHER_ROWS < n_rows ? (task + 1) * GATHER_ROWS : n_rows;
}

static void count_task(void *context, size_t task, size_t worker)
{
    const gathering *g = context;
    (void)worker;
    for (size_t i = task * GATHER_ROWS; i < gather_end(g, task); i++)
        g->places[task][g->judging->dataset->parts[i]] += !isnan(g->judging->predictions[i]);
}

static void gather_task(void *context, size_t task, size_t worker)
{
    const gathering *g = context;
    (void)worker;
    for (size_t i = task * GATHER_ROWS; i < gather_end(g, task); i++) {
        size_t part = g->judging->dataset->parts[i];
        double p = g->judging->predictions[i];
        if (part < SV_PART_NONE && !isnan(p)) g->keys[g->places[task][part]++] = sv_ranking_key(p, sv_judging_target(g->judging, i) != 0);
    }
}

int sv_gather_keys(sv_keys *out, const sv_judging *judging, sv_error *error)
{
    size_t n_tasks = (judging->dataset->table.n_rows + GATHER_ROWS - 1) / GATHER_ROWS, sum = 0;
    gathering g = {judging, NULL, sv_calloc(n_tasks + 1, sizeof *g.places)};
    *out = (sv_keys){0};
    if (!g.places) return out_of_memory(error);
    sv_team_run(judging->team, n_tasks, count_task, &g);
    for (size_t part = 0; part < SV_PART_NONE; part++) {
        out->begins[part] = sum;
        for (size_t t = 0; t < n_tasks; t++) {
            size_t here = g.places[t][part];
            g.places[t][part] = sum;
            sum += here;
        }
        out->counts[part] = sum - out->begins[part];
    }
    g.keys = out->keys = sv_array(sum + 1, sizeof *g.keys);
    if (g.keys) sv_team_run(judging->team, n_tasks, gather_task, &g);
    sv_free(g.places);
    return g.keys ? 0 : out_of_memory(error);
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
    sv_chance (*chances)[2]; /* (cells->n) */
    sv_cells *copies;  /* (team size) */
    uint64_t seed;
    size_t n;
    double confidence;
    double *figures;   // (SV_FIGURES, n)
    double shifts[SV_FIGURES]; /* of the exact figures against those of the cells */
    double *low, *high; /* (SV_FIGURES) */
} replicates;

static void replicate_task(void *context, size_t task, size_t worker)
{
    const replicates *r = context;
    double figures[SV_FIGURES];
    sv_cells_resample(&r->copies[worker], r->cells, (const sv_chance(*)[2])r->chances, r->seed, task);
    sv_cells_figures(figures, &r->copies[worker]);
    for (int f = 0; f < SV_FIGURES; f++)
        r->figures[(size_t)f * r->n + task] = figures[f];
}

static void interval_task(void *context, size_t f, size_t worker)
{
    const replicates *r = context;
    (void)worker;
    sv_interval(r->figures + f * r->n, r->n, r->confidence, &r->low[f], &r->high[f]);
    r->low[f] += r->shifts[f];
    r->high[f] += r->shifts[f];
}

int sv_judge_intervals(double low[SV_FIGURES], double high[SV_FIGURES], const sv_judging *judging, const sv_ranked *ranked, uint64_t stream)
{
    size_t n_workers = sv_team_size(judging->team);
    sv_cells cells = {0};
    replicates r = {.cells = &cells, .seed = (uint64_t)judging->config->evaluate.seed + stream, .n = (size_t)judging->config->evaluate.bootstrap,
                    .confidence = judging->config->evaluate.confidence, .low = low, .high = high};
    for (int f = 0; f < SV_FIGURES; f++)
        low[f] = high[f] = NAN;
    if (!r.n) return 0;
    r.copies = sv_calloc(n_workers, sizeof(sv_cells));
    r.figures = sv_array(SV_FIGURES * r.n, sizeof(double));
    int rc = r.copies && r.figures ? sv_cells_merge(&cells, &ranked->cells, (ranked->cells.n + DRAWN_CELLS - 1) / DRAWN_CELLS) : SV_E_MEMORY;
    if (!rc) rc = sv_chances_new(&r.chances, &cells);
    for (size_t w = 0; !rc && w < n_workers; w++)
        rc = sv_cells_copy(&r.copies[w], &cells);
    if (!rc) {
        sv_cells_figures(r.shifts, &cells);
        for (int f = 0; f < SV_FIGURES; f++)
            r.shifts[f] = ranked->figures[f] - r.shifts[f];
        sv_team_run(judging->team, r.n, replicate_task, &r);
        sv_team_run(judging->team, SV_FIGURES, interval_task, &r);
    }
    for (size_t w = 0; r.copies && w < n_workers; w++)
        sv_cells_free(&r.copies[w]);
    sv_free(r.copies);
    sv_free(r.chances);
    sv_free(r.figures);
    sv_cells_free(&cells);
    return rc;
}

static int judge_binary(sv_part_evaluation *out, const sv_judging *judging, const sv_keys *keys, sv_error *error)
{
    double low[SV_FIGURES], high[SV_FIGURES];
    size_t n = keys->counts[out->part];
    uint64_t *own = keys->keys + keys->begins[out->part];
    if (n == 0) return 0;
    int rc = sv_ranking_sort(own, n, judging->team);
    if (!rc) rc = sv_ranking_judge(&out->ranked, own, n, sv_pipeline_threshold(judging->pipeline), CELLS, judging->team);
    if (!rc) rc = sv_judge_intervals(low, high, judging, &out->ranked, (uint64_t)out->part);
    if (rc) return out_of_memory(error);
    out->n_rows = n;
    out->n_positive = (size_t)out->ranked.cells.positives;
    memcpy(out->confusion, out->ranked.confusion, sizeof out->confusion);
    add_metric(out, "rows", (double)n, NAN, NAN);
    for (int f = 0; f < SV_FIGURES; f++)
        add_metric(out, sv_figure_names[f], out->ranked.figures[f], low[f], high[f]);
    return 0;
}

/* ---- other tasks: figures are ratios of sums; groups of rows are what is drawn anew ---- */

enum { SUM_ROWS, SUM_Y, SUM_Y2, SUM_ERROR2, SUM_ABSOLUTE, SUM_LOSS, SUM_HITS, SUMS };

static void row_sums(double s[SUMS], const sv_judging *judging, size_t i)
{
    size_t n_rows = judging->dataset->table.n_rows, n_classes = sv_pipeline_n_scores(judging->pipeline);
    double y = sv_judging_target(judging, i), p = judging->predictions[i];
    s[SUM_ROWS] = 1;
    if (sv_pipeline_task(judging->pipeline) == SV_TASK_MULTINOMIAL) {
        size_t best = 0;
        for (size_t k = 1; k < n_classes; k++)
            if (judging->predictions[k * n_rows + i] > judging->predictions[best * n_rows + i]) best = k;
        s[SUM_LOSS] = -log(fmax(judging->predictions[(size_t)y * n_rows + i], 2.220446049250313e-16));
        s[SUM_HITS] = best == (size_t)y;
        return;
    }
    s[SUM_Y] = y - judging->centre;
    s[SUM_Y2] = s[SUM_Y] * s[SUM_Y];
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
static int ratio_interval(double *low, double *high, const sum_ratio *ratio, const sv_judging *judging, const double (*groups)[SUMS], size_t n_groups, uint64_t stream)
{
    size_t n = (size_t)judging->config->evaluate.bootstrap;
    double *values = sv_array(n ? n : 1, sizeof *values);
    sv_prng prng;
    if (!values) return SV_E_MEMORY;
    sv_prng_seed(&prng, sv_mix64((uint64_t)judging->config->evaluate.seed) ^ stream);
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
        counts[(size_t)sv_judging_target(judging, i)][0]++;
        counts[(size_t)sv_judging_target(judging, i)][1] += s[SUM_HITS];
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
        if (judging->config->evaluate.bootstrap > 0) rc = ratio_interval(&low, &high, ratio, judging, (const double(*)[SUMS])groups, n_groups, (uint64_t)out->part);
        add_metric(out, ratio->name, ratio->of(total), low, high);
    }
    if (!rc && out->n_rows && task == SV_TASK_MULTINOMIAL) add_metric(out, "balanced_accuracy", balanced_accuracy(judging, out->part), NAN, NAN);
    sv_free(groups);
    return rc ? sv_error_set(error, rc, "evaluate: out of memory") : 0;
}

/* ---- some rows ---- */

static int judge_binary_rows(double *value, double *low, double *high, const sv_judging *judging, const uint32_t *rows, size_t n, uint64_t stream)
{
    double lows[SV_FIGURES], highs[SV_FIGURES];
    uint64_t *keys = sv_array(n + 1, sizeof *keys);
    sv_ranked ranked = {0};
    int rc = keys ? 0 : SV_E_MEMORY;
    for (size_t i = 0; !rc && i < n; i++)
        keys[i] = sv_ranking_key(judging->predictions[rows[i]], sv_judging_target(judging, rows[i]) != 0);
    if (!rc) rc = sv_ranking_sort(keys, n, judging->team);
    if (!rc) rc = sv_ranking_judge(&ranked, keys, n, sv_pipeline_threshold(judging->pipeline), DRAWN_CELLS, judging->team);
    if (!rc) rc = sv_judge_intervals(lows, highs, judging, &ranked, stream);
    if (!rc) {
        *low = lows[SV_FIGURE_ROC_AUC];
        *high = highs[SV_FIGURE_ROC_AUC];
    }
    *value = ranked.figures[SV_FIGURE_ROC_AUC];
    sv_ranked_free(&ranked);
    sv_free(keys);
    return rc;
}

int sv_judge_rows(double *value, double *low, double *high, const sv_judging *judging, const uint32_t *rows, size_t n, uint64_t stream)
{
    sv_task task = sv_pipeline_task(judging->pipeline);
    double total[SUMS] = {0};
    size_t n_groups = n < DRAWN_CELLS ? n : DRAWN_CELLS;
    *low = *high = NAN;
    stream += SEGMENT_STREAM;
    if (task == SV_TASK_BINARY) return judge_binary_rows(value, low, high, judging, rows, n, stream);
    double(*groups)[SUMS] = sv_calloc(DRAWN_CELLS, sizeof *groups);
    if (!groups) return SV_E_MEMORY;
    for (size_t i = 0; i < n; i++) {
        double s[SUMS] = {0};
        row_sums(s, judging, rows[i]);
        for (int k = 0; k < SUMS; k++) {
            groups[i % DRAWN_CELLS][k] += s[k];
            total[k] += s[k];
        }
    }
    const sum_ratio *ratio = ratios_of(task); /* the first: accuracy, rmse */
    int rc = judging->config->evaluate.bootstrap > 0 ? ratio_interval(low, high, ratio, judging, (const double(*)[SUMS])groups, n_groups, stream) : 0;
    *value = ratio->of(total);
    sv_free(groups);
    return rc;
}

/* ---- all ---- */

/* The mean of the targets. */
static double find_centre(const sv_judging *judging)
{
    double mean = 0, n = 0;
    for (size_t i = 0; i < judging->dataset->table.n_rows; i++)
        if (judging->dataset->parts[i] < SV_PART_NONE) mean += (sv_judging_target(judging, i) - mean) / ++n;
    return mean;
}

static void name_fitted(sv_part_evaluation *out, const sv_judging *judging)
{
    const sv_config *c = judging->config;
    int chooses = out->part == sv_choosing_part(judging->dataset) && sv_pipeline_task(judging->pipeline) == SV_TASK_BINARY;
    const struct { int is; const char *what; } choices[] = {{chooses && c->evaluate.calibration != SV_CALIBRATION_NONE, "calibration"},
                                                            {chooses && c->evaluate.threshold_rule == SV_THRESHOLD_COSTS, "threshold"},
                                                            {out->part == SV_PART_VALIDATION && c->train.patience > 0, "early stopping"},
                                                            {out->part == SV_PART_VALIDATION && c->sweep.won, "settings"}};
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
        if (choices[i].is) snprintf(out->fitted + strlen(out->fitted), sizeof out->fitted - strlen(out->fitted), "%s%s", *out->fitted ? ", " : "", choices[i].what);
}

static int judge_parts(sv_evaluation *out, const sv_judging *judging, sv_error *error)
{
    int binary = sv_pipeline_task(judging->pipeline) == SV_TASK_BINARY;
    sv_keys keys = {0};
    int rc = binary ? sv_gather_keys(&keys, judging, error) : 0;
    for (sv_part part = SV_PART_TRAIN; !rc && part <= SV_PART_TEST; part++) {
        sv_part_evaluation *here = &out->parts[out->n_parts];
        *here = (sv_part_evaluation){.part = part};
        rc = binary ? judge_binary(here, judging, &keys, error) : judge_ratios(here, judging, error);
        name_fitted(here, judging);
        out->n_parts += here->n_rows > 0;
    }
    if (!rc && binary) rc = sv_judge_costs(out, judging, &keys, error);
    sv_free(keys.keys);
    return rc;
}

int sv_evaluate(sv_evaluation *out, const sv_pipeline *pipeline, const sv_dataset *dataset, const sv_config *config, sv_team *team, sv_error *error)
{
    sv_judging judging = {.pipeline = pipeline, .dataset = dataset, .config = config, .team = team};
    *out = (sv_evaluation){.threshold = sv_pipeline_threshold(pipeline), .n_rows = dataset->table.n_rows,
                           .n_outputs = sv_pipeline_task(pipeline) == SV_TASK_MULTINOMIAL ? sv_pipeline_n_scores(pipeline) : 1};
    int rc = sv_predict_table(&out->predictions, pipeline, &dataset->table, team, error);
    judging.predictions = out->predictions;
    if (sv_pipeline_task(pipeline) == SV_TASK_LINEAR || sv_pipeline_task(pipeline) == SV_TASK_POISSON) judging.centre = find_centre(&judging);
    if (!rc) rc = judge_parts(out, &judging, error);
    if (!rc) rc = sv_judge_segments(out, &judging, error);
    if (!rc) rc = sv_judge_baselines(out, &judging, error);
    if (!rc) rc = sv_judge_shifts(out, &judging, error);
    if (rc) {
        sv_evaluation_free(out);
        *out = (sv_evaluation){0};
    }
    return rc;
}

void sv_evaluation_free(sv_evaluation *evaluation)
{
    if (!evaluation) return;
    for (size_t p = 0; p < evaluation->n_parts; p++)
        sv_ranked_free(&evaluation->parts[p].ranked);
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
