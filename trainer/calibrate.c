/* calibrate.c: probabilities that mean what they say, and the threshold that costs least; both fitted on the validation rows.

       Platt      minimise -sum t log p + (1 - t) log(1 - p), p = 1 / (1 + exp(-(a s + b))), targets (n1 + 1)/(n1 + 2) and 1/(n0 + 2) (Platt 1999), by Newton
       isotonic   the non-decreasing step function of least squares, by pooling adjacent violators (Ayer et al. 1955), joined by straight lines
       threshold  least (c_fp false positives + c_fn false negatives) / rows over all predictions */
#include "evaluation.h"

#include "alloc.h"
#include "design.h"
#include "figures.h"

#include <math.h>
#include <string.h>

static double logit(double p)
{
    return log(p) - log1p(-p);
}

/* The uncalibrated score of each gathered probability. */
static void to_scores(double *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = logit(fmin(fmax(p[i], 1e-300), 1 - 1e-16));
}

static double platt_loss(const double *s, const uint8_t *y, size_t n, const double t[2], double a, double b)
{
    double loss = 0;
    for (size_t i = 0; i < n; i++) {
        double z = a * s[i] + b;
        loss += fmax(z, 0) - t[y[i]] * z + log1p(exp(-fabs(z)));
    }
    return loss;
}

static int fit_platt(sv_pipeline *pipeline, const double *s, const uint8_t *y, size_t n, sv_error *error)
{
    double up = 0, a = 1, b = 0;
    for (size_t i = 0; i < n; i++)
        up += y[i];
    double t[2] = {1 / ((double)n - up + 2), (up + 1) / (up + 2)}, loss = platt_loss(s, y, n, t, a, b);
    for (int round = 0; round < 100; round++) {
        double ga = 0, gb = 0, haa = 1e-12, hab = 0, hbb = 1e-12, step = 1;
        for (size_t i = 0; i < n; i++) {
            double z = a * s[i] + b, p = z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z)), r = p - t[y[i]], h = p * (1 - p);
            ga += r * s[i];
            gb += r;
            haa += h * s[i] * s[i];
            hab += h * s[i];
            hbb += h;
        }
        double determinant = haa * hbb - hab * hab;
        if (!(determinant > 0) || fmax(fabs(ga), fabs(gb)) < 1e-10 * (double)n) break;
        double da = -(hbb * ga - hab * gb) / determinant, db = -(haa * gb - hab * ga) / determinant, next;
        while ((next = platt_loss(s, y, n, t, a + step * da, b + step * db)) > loss && step > 1e-10)
            step /= 2;
        if (step <= 1e-10) break;
        a += step * da;
        b += step * db;
        loss = next;
    }
    return sv_pipeline_set_platt(pipeline, a, b, error);
}

typedef struct pool {
    double low, high, sum, weight; /* scores from low to high */
} pool;

/* Points at both ends of every pool, so that inside a pool the answer is level and between two pools it climbs. */
static int set_pools(sv_pipeline *pipeline, const pool *pools, size_t n, sv_error *error)
{
    double *x = sv_array(2 * n + 2, sizeof *x), *y = sv_array(2 * n + 2, sizeof *y);
    size_t m = 0;
    int rc = x && y ? 0 : sv_error_set(error, SV_E_MEMORY, "calibrate: out of memory");
    for (size_t k = 0; !rc && k < n; k++) {
        double level = pools[k].sum / pools[k].weight, ends[2] = {pools[k].low, pools[k].high};
        for (int e = 0; e < 2; e++)
            if (m == 0 || ends[e] > x[m - 1]) {
                x[m] = ends[e];
                y[m++] = fmin(fmax(level, 0), 1);
            }
    }
    if (!rc) rc = sv_pipeline_set_isotonic(pipeline, x, y, m, error);
    sv_free(x);
    sv_free(y);
    return rc;
}

static int fit_isotonic(sv_pipeline *pipeline, const double *s, const uint8_t *y, size_t n, sv_error *error)
{
    uint32_t *order = sv_array(n + 1, sizeof *order);
    pool *pools = sv_array(n + 1, sizeof *pools);
    size_t m = 0;
    int rc = order && pools && !sv_rank(order, s, n) ? 0 : sv_error_set(error, SV_E_MEMORY, "calibrate: out of memory");
    for (size_t i = 0; !rc && i < n;) {
        pool next = {.low = s[order[i]], .high = s[order[i]]};
        for (; i < n && s[order[i]] == next.low; i++) { /* equal scores are one point */
            next.sum += y[order[i]];
            next.weight++;
        }
        while (m > 0 && pools[m - 1].sum * next.weight >= next.sum * pools[m - 1].weight) {
            next.low = pools[--m].low;
            next.sum += pools[m].sum;
            next.weight += pools[m].weight;
        }
        pools[m++] = next;
    }
    if (!rc) rc = set_pools(pipeline, pools, m, error);
    sv_free(order);
    sv_free(pools);
    return rc;
}

/* ---- thresholds ---- */

int sv_best_threshold(double *threshold, const double *p, const uint8_t *y, size_t n, double cost_false_positive, double cost_false_negative, sv_cost_point *curve, size_t n_curve)
{
    sv_cells cells;
    if (sv_cells_new(&cells, p, y, n, 2, 0)) return SV_E_MEMORY;
    double fp = cells.negatives, fn = 0, best = INFINITY;
    size_t c = 0;
    *threshold = 0.5;
    for (size_t k = 0; k <= cells.n; k++) { /* predicted 1: cells k and up */
        double below = k ? cells.cells[k - 1].p : 0, above = k < cells.n ? cells.cells[k].p : 1, cost = (cost_false_positive * fp + cost_false_negative * fn) / (double)n;
        double middle = k == 0 ? above / 2 : k == cells.n ? (below + 1) / 2 : below + (above - below) / 2;
        if (!(middle > below)) middle = above; /* neighbours in the last place */
        if (cost < best || (cost == best && fabs(middle - 0.5) < fabs(*threshold - 0.5))) {
            best = cost;
            *threshold = middle;
        }
        for (; curve && c < n_curve && (k == cells.n || (double)c / (double)(n_curve - 1) <= above); c++)
            curve[c] = (sv_cost_point){(double)c / (double)(n_curve - 1), cost};
        if (k < cells.n) {
            fp -= cells.cells[k].negatives;
            fn += cells.cells[k].positives;
        }
    }
    sv_cells_free(&cells);
    return 0;
}

static sv_part choosing_part(const sv_dataset *dataset)
{
    return dataset->counts[SV_PART_VALIDATION] ? SV_PART_VALIDATION : SV_PART_TRAIN;
}

int sv_judge_costs(sv_evaluation *out, const sv_judging *judging, sv_error *error)
{
    enum { POINTS = 201 };
    double *p, best;
    uint8_t *y;
    size_t n;
    int rc = sv_gather_part(&p, &y, &n, judging, choosing_part(judging->dataset), error);
    if (!rc && n > 0) {
        out->costs = sv_calloc(POINTS, sizeof *out->costs);
        out->n_costs = out->costs ? POINTS : 0;
        if (!out->costs || sv_best_threshold(&best, p, y, n, judging->config->evaluate.cost_false_positive, judging->config->evaluate.cost_false_negative, out->costs, POINTS))
            rc = sv_error_set(error, SV_E_MEMORY, "evaluate: out of memory");
    }
    sv_free(p);
    sv_free(y);
    return rc;
}

/* Predictions of the rows that choose. */
static int gather(double **p, uint8_t **y, size_t *n, const sv_pipeline *pipeline, const sv_dataset *dataset, const sv_config *config, sv_team *team, sv_error *error)
{
    double *predictions = NULL, *targets = sv_array(dataset->table.n_rows + 1, sizeof *targets);
    sv_judging judging = {pipeline, dataset, config, team, NULL, targets};
    *p = NULL;
    *y = NULL;
    int rc = targets ? 0 : sv_error_set(error, SV_E_MEMORY, "calibrate: out of memory");
    if (!rc) sv_design_widen(targets, dataset->target.data, dataset->target.store, 0, dataset->table.n_rows);
    if (!rc) rc = sv_predict_table(&predictions, pipeline, &dataset->table, team, error);
    judging.predictions = predictions;
    if (!rc) rc = sv_gather_part(p, y, n, &judging, choosing_part(dataset), error);
    sv_free(predictions);
    sv_free(targets);
    return rc;
}

int sv_calibrate(sv_pipeline *pipeline, const sv_dataset *dataset, const sv_config *config, sv_team *team, sv_error *error)
{
    double *p, threshold;
    uint8_t *y;
    size_t n;
    int rc = 0;
    if (sv_pipeline_task(pipeline) != SV_TASK_BINARY) return 0;
    if (config->evaluate.calibration != SV_CALIBRATION_NONE) {
        sv_pipeline_set_uncalibrated(pipeline);
        rc = sv_pipeline_finish(pipeline, error);
        if (!rc) rc = gather(&p, &y, &n, pipeline, dataset, config, team, error);
        if (rc) return rc;
        to_scores(p, n);
        if (n > 1) rc = config->evaluate.calibration == SV_CALIBRATION_PLATT ? fit_platt(pipeline, p, y, n, error) : fit_isotonic(pipeline, p, y, n, error);
        sv_free(p);
        sv_free(y);
        if (!rc) rc = sv_pipeline_finish(pipeline, error);
    }
    if (rc || config->evaluate.threshold_rule != SV_THRESHOLD_COSTS) return rc;
    rc = gather(&p, &y, &n, pipeline, dataset, config, team, error);
    if (rc) return rc;
    if (n > 0 && sv_best_threshold(&threshold, p, y, n, config->evaluate.cost_false_positive, config->evaluate.cost_false_negative, NULL, 0))
        rc = sv_error_set(error, SV_E_MEMORY, "calibrate: out of memory");
    if (!rc && n > 0) {
        sv_pipeline_set_threshold(pipeline, fmin(fmax(threshold, 1e-12), 1));
        rc = sv_pipeline_finish(pipeline, error);
    }
    sv_free(p);
    sv_free(y);
    return rc;
}
