/* report_plots.c: curves come from cells of equal probability and bars by probability that the evaluation left (ranking.h). */
#include "report_plots.h"

#include "alloc.h"
#include "design.h"
#include "figures.h"
#include "plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CURVE_POINTS = 512, BARS = SV_RANKING_BARS, COEFFICIENTS = 24 };

static const char *const part_keys[] = {"train", "validation", "test"};

/* The part that judges: the last that has rows. */
static sv_part judging_part(const sv_report *report)
{
    return report->evaluation->n_parts ? report->evaluation->parts[report->evaluation->n_parts - 1].part : SV_PART_TRAIN;
}

static int is_binary(const sv_report *report)
{
    return report->evaluation && report->evaluation->n_parts && sv_pipeline_task(report->pipeline) == SV_TASK_BINARY;
}

static const sv_ranked *judging_rows(const sv_report *report)
{
    return &report->evaluation->parts[report->evaluation->n_parts - 1].ranked;
}

/* ---- curves by falling probability ---- */

typedef struct curve {
    double x[CURVE_POINTS], y[CURVE_POINTS];
    size_t n;
} curve;

typedef enum curve_kind { CURVE_ROC, CURVE_PR, CURVE_GAIN } curve_kind;

static void trace(curve *c, const sv_cells *cells, curve_kind kind)
{
    double up = 0, down = 0, P = cells->positives, N = cells->negatives;
    c->n = 0;
    if (kind != CURVE_PR) c->x[c->n] = c->y[c->n] = 0, c->n++;
    for (size_t k = cells->n; k-- > 0 && c->n < sizeof c->x / sizeof *c->x;) {
        up += cells->cells[k].positives;
        down += cells->cells[k].negatives;
        c->x[c->n] = kind == CURVE_ROC ? down / N : kind == CURVE_PR ? up / P : (up + down) / (P + N);
        c->y[c->n++] = kind == CURVE_PR ? up / (up + down) : up / P;
    }
}

static int draw_curves(sv_buffer *svg, const sv_report *report, curve_kind kind)
{
    static const char *const titles[] = {"ROC curve", "Precision and recall", "Cumulative gain"};
    static const char *const names[][2] = {{"false positive rate", "true positive rate"}, {"recall", "precision"}, {"share of rows, most probable first", "share of positives found"}};
    static const char *const figures[] = {"roc_auc", "pr_auc", "ks"};
    sv_plot plot = SV_PLOT(svg, 0, 1, 0, 1);
    double diagonal[] = {0, 1};
    if (!is_binary(report)) return 1;
    curve *c = sv_malloc(sizeof *c);
    if (!c) return SV_E_MEMORY;
    sv_plot_begin(&plot, titles[kind], names[kind][0], names[kind][1], 1);
    if (kind != CURVE_PR) sv_plot_line(&plot, diagonal, diagonal, 2, SV_SERIES_QUIET);
    for (size_t k = 0; k < report->evaluation->n_parts; k++) {
        sv_part part = report->evaluation->parts[k].part;
        char key[64];
        trace(c, &report->evaluation->parts[k].ranked.cells, kind);
        sv_plot_line(&plot, c->x, c->y, c->n, (sv_series)part);
        if (kind == CURVE_GAIN) snprintf(key, sizeof key, "%s", part_keys[part]);
        else snprintf(key, sizeof key, "%s %.4f", part_keys[part], sv_evaluation_metric(report->evaluation, part, figures[kind]));
        sv_plot_key(&plot, key, (sv_series)part);
    }
    sv_plot_end(&plot);
    sv_free(c);
    return plot.failed ? SV_E_MEMORY : 0;
}

static int draw_roc(sv_buffer *svg, const sv_report *report) { return draw_curves(svg, report, CURVE_ROC); }
static int draw_pr(sv_buffer *svg, const sv_report *report) { return draw_curves(svg, report, CURVE_PR); }
static int draw_lift(sv_buffer *svg, const sv_report *report) { return draw_curves(svg, report, CURVE_GAIN); }

/* ---- reliability: ten bins of equal width, Wilson's 95% interval of the rate ---- */

static void wilson(double hits, double n, double *low, double *high)
{
    double z = 1.96, p = hits / n, middle = (p + z * z / (2 * n)) / (1 + z * z / n), half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    *low = middle - half;
    *high = middle + half;
}

static int draw_reliability(sv_buffer *svg, const sv_report *report)
{
    sv_plot plot = SV_PLOT(svg, 0, 1, 0, 1);
    double bins[10][3] = {{0}}, diagonal[] = {0, 1}, low, high;
    if (!is_binary(report)) return 1;
    for (size_t b = 0; b < BARS; b++) {
        const sv_bar *bar = &judging_rows(report)->bars[b];
        bins[b / 4][0] += bar->p;
        bins[b / 4][1] += bar->positives;
        bins[b / 4][2] += bar->positives + bar->negatives;
    }
    sv_plot_begin(&plot, "Reliability", "predicted probability", "observed rate", 1);
    sv_plot_line(&plot, diagonal, diagonal, 2, SV_SERIES_QUIET);
    for (int b = 0; b < 10; b++) {
        if (bins[b][2] == 0) continue;
        wilson(bins[b][1], bins[b][2], &low, &high);
        sv_plot_point(&plot, bins[b][0] / bins[b][2], bins[b][1] / bins[b][2], NAN, NAN, low, high, SV_SERIES_A);
    }
    sv_plot_key(&plot, part_keys[judging_part(report)], SV_SERIES_A);
    sv_plot_end(&plot);
    return plot.failed ? SV_E_MEMORY : 0;
}

static int draw_scores(sv_buffer *svg, const sv_report *report)
{
    double bars[BARS][2], top = 0;
    if (!is_binary(report)) return 1;
    const sv_ranked *rows = judging_rows(report);
    for (int b = 0; b < BARS; b++) {
        bars[b][0] = rows->bars[b].negatives / fmax(rows->cells.negatives, 1);
        bars[b][1] = rows->bars[b].positives / fmax(rows->cells.positives, 1);
    }
    for (int b = 0; b < BARS; b++)
        top = fmax(top, fmax(bars[b][0], bars[b][1]));
    sv_plot plot = SV_PLOT(svg, 0, 1, 0, top);
    double line[2] = {report->evaluation->threshold, report->evaluation->threshold}, ends[2] = {0, top};
    sv_plot_begin(&plot, "Scores by class", "predicted probability", "share of the class", 1);
    for (int b = 0; b < BARS; b++) {
        sv_plot_bar(&plot, (double)b / BARS, (b + 1.0) / BARS, bars[b][0], SV_SERIES_B);
        sv_plot_bar(&plot, (double)b / BARS, (b + 1.0) / BARS, bars[b][1], SV_SERIES_A);
    }
    sv_plot_line(&plot, line, ends, 2, SV_SERIES_QUIET);
    sv_plot_key(&plot, "positive", SV_SERIES_A);
    sv_plot_key(&plot, "negative", SV_SERIES_B);
    sv_plot_key(&plot, "threshold", SV_SERIES_QUIET);
    sv_plot_end(&plot);
    return plot.failed ? SV_E_MEMORY : 0;
}

static int draw_cost(sv_buffer *svg, const sv_report *report)
{
    const sv_evaluation *e = report->evaluation;
    double top = 0;
    if (!is_binary(report) || e->n_costs < 2) return 1;
    double *x = sv_array(2 * e->n_costs, sizeof *x), *y = x ? x + e->n_costs : NULL;
    if (!x) return SV_E_MEMORY;
    for (size_t k = 0; k < e->n_costs; k++) {
        x[k] = e->costs[k].threshold;
        y[k] = e->costs[k].cost;
        top = fmax(top, y[k]);
    }
    sv_plot plot = SV_PLOT(svg, 0, 1, 0, top);
    double line[2] = {e->threshold, e->threshold}, ends[2] = {0, top};
    sv_plot_begin(&plot, "Expected cost by threshold", "threshold", "cost a row", 1);
    sv_plot_line(&plot, line, ends, 2, SV_SERIES_QUIET);
    sv_plot_line(&plot, x, y, e->n_costs, SV_SERIES_A);
    sv_plot_key(&plot, "cost", SV_SERIES_A);
    sv_plot_key(&plot, "threshold in use", SV_SERIES_QUIET);
    sv_plot_end(&plot);
    sv_free(x);
    return plot.failed ? SV_E_MEMORY : 0;
}

/* ---- the fit ---- */

static int by_size(const void *a, const void *b)
{
    double x = fabs((*(const sv_coefficient *const *)a)->weight), y = fabs((*(const sv_coefficient *const *)b)->weight);
    return (x < y) - (x > y);
}

static int draw_coefficients(sv_buffer *svg, const sv_report *report)
{
    size_t n = 0, shown;
    double low = 0, high = 0;
    if (!report->fit || !report->fit->n_coefficients) return 1;
    const sv_coefficient **sorted = sv_array(report->fit->n_coefficients, sizeof *sorted);
    if (!sorted) return SV_E_MEMORY;
    for (size_t k = 0; k < report->fit->n_coefficients; k++)
        if (!strstr(report->fit->coefficients[k].name, "(intercept)")) sorted[n++] = &report->fit->coefficients[k];
    qsort(sorted, n, sizeof *sorted, by_size);
    shown = n < COEFFICIENTS ? n : COEFFICIENTS;
    for (size_t k = 0; k < shown; k++) {
        low = fmin(low, fmin(sorted[k]->weight, isnan(sorted[k]->low) ? 0 : sorted[k]->low));
        high = fmax(high, fmax(sorted[k]->weight, isnan(sorted[k]->high) ? 0 : sorted[k]->high));
    }
    sv_plot plot = SV_PLOT(svg, low, high, 0, (double)shown);
    plot.left = 190;
    plot.height = 100 + 18 * (int)shown;
    double zero[2] = {0, 0}, ends[2] = {0, (double)shown};
    sv_plot_begin(&plot, "Coefficients (encoded features)", "weight", "", 0);
    sv_plot_line(&plot, zero, ends, 2, SV_SERIES_QUIET);
    for (size_t k = 0; k < shown; k++) {
        double y = (double)shown - (double)k - 0.5;
        char label[32];
        snprintf(label, sizeof label, "%.28s", sorted[k]->name);
        sv_plot_label_y(&plot, y, label);
        sv_plot_point(&plot, sorted[k]->weight, y, sorted[k]->low, sorted[k]->high, NAN, NAN, SV_SERIES_A);
    }
    sv_plot_end(&plot);
    sv_free(sorted);
    return plot.failed ? SV_E_MEMORY : 0;
}

static int draw_loss(sv_buffer *svg, const sv_report *report)
{
    size_t n = report->n_steps;
    double low = INFINITY, high = -INFINITY;
    int validation = 0;
    if (n < 2) return 1;
    double *x = sv_array(3 * n, sizeof *x);
    if (!x) return SV_E_MEMORY;
    for (size_t k = 0; k < n; k++) {
        x[k] = (double)report->steps[k].iteration;
        x[n + k] = report->steps[k].loss;
        x[2 * n + k] = report->steps[k].validation_loss;
        validation |= !isnan(x[2 * n + k]);
        low = fmin(low, fmin(x[n + k], isnan(x[2 * n + k]) ? INFINITY : x[2 * n + k]));
        high = fmax(high, fmax(x[n + k], isnan(x[2 * n + k]) ? -INFINITY : x[2 * n + k]));
    }
    double pad = 0.05 * (high - low);
    sv_plot plot = SV_PLOT(svg, x[0], x[n - 1], low - pad, high + pad);
    plot.left = 86;
    sv_plot_begin(&plot, "Loss by iteration", "iteration", "mean loss", 1);
    sv_plot_line(&plot, x, x + n, n, SV_SERIES_A);
    sv_plot_key(&plot, "train", SV_SERIES_A);
    if (validation) sv_plot_line(&plot, x, x + 2 * n, n, SV_SERIES_B);
    if (validation) sv_plot_key(&plot, "validation", SV_SERIES_B);
    sv_plot_end(&plot);
    sv_free(x);
    return plot.failed ? SV_E_MEMORY : 0;
}

/* ---- numbers as targets: predicted against actual ---- */

static int draw_predicted(sv_buffer *svg, const sv_report *report)
{
    sv_task task = sv_pipeline_task(report->pipeline);
    double low = INFINITY, high = -INFINITY, y;
    if (!report->evaluation || !report->dataset || (task != SV_TASK_LINEAR && task != SV_TASK_POISSON)) return 1;
    const double *p = report->evaluation->predictions;
    size_t n_rows = report->dataset->table.n_rows, seen = 0, stride = report->dataset->counts[judging_part(report)] / 600 + 1;
    for (int draw = 0; draw < 2; draw++) {
        sv_plot plot = SV_PLOT(svg, low, high, low, high);
        if (draw) sv_plot_begin(&plot, "Predicted and actual", "predicted", "actual", 1);
        double ends[2] = {low, high};
        if (draw) sv_plot_line(&plot, ends, ends, 2, SV_SERIES_QUIET);
        seen = 0;
        for (size_t i = 0; i < n_rows; i++) {
            if (report->dataset->parts[i] != judging_part(report) || isnan(p[i]) || seen++ % stride) continue;
            sv_design_widen(&y, report->dataset->target.data, report->dataset->target.store, i, 1);
            low = fmin(low, fmin(y, p[i]));
            high = fmax(high, fmax(y, p[i]));
            if (draw) sv_plot_point(&plot, p[i], y, NAN, NAN, NAN, NAN, SV_SERIES_A);
        }
        if (!draw && !(high > low)) return 1;
        if (draw) sv_plot_end(&plot);
        if (plot.failed) return SV_E_MEMORY;
    }
    return 0;
}

const sv_report_plot sv_report_plots[] = {
    {"roc", draw_roc}, {"pr", draw_pr}, {"reliability", draw_reliability}, {"scores", draw_scores}, {"cost", draw_cost}, {"lift", draw_lift},
    {"predicted", draw_predicted}, {"loss", draw_loss}, {"coefficients", draw_coefficients},
};
const size_t sv_n_report_plots = sizeof sv_report_plots / sizeof *sv_report_plots;
