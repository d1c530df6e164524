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

/* s ascending. */
static int fit_isotonic(sv_pipeline *pipeline, const double *s, const uint8_t *y, size_t n, sv_error *error)
{
    pool *pools = sv_array(n + 1, sizeof *pools);
    size_t m = 0;
    if (!pools) return sv_error_set(error, SV_E_MEMORY, "calibrate: out of memory");
    for (size_t i = 0; i < n;) {
        pool next = {.low = s[i], .high = s[i]};
        for (; i < n && s[i] == next.low; i++) { /* equal scores are one point */
            next.sum += y[i];
            next.weight++;
        }
        while (m > 0 && pools[m - 1].sum * next.weight >= next.sum * pools[m - 1].weight) {
            next.low = pools[--m].low;
            next.sum += pools[m].sum;
            next.weight += pools[m].weight;
        }
        pools[m++] = next;
    }
    int rc = set_pools(pipeline, pools, m, error);
    sv_free(pools);
    return rc;
}

/* ---- thresholds ---- */

void sv_best_threshold(double *threshold, const uint64_t *keys, size_t n, double cost_false_positive, double cost_false_negative, sv_cost_point *curve, size_t n_curve)
{
    double fp = 0, fn = 0, best = INFINITY, below = 0;
    size_t c = 0;
    *threshold = 0.5;
    for (size_t i = 0; i < n; i++)
        fp += !(keys[i] & 1);
    for (size_t i = 0;;) { /* predicted 1: rows i and up */
        double above = i < n ? sv_ranking_p(keys[i]) : 1, cost = (cost_false_positive * fp + cost_false_negative * fn) / (double)n;
        double middle = i == 0 ? above / 2 : i == n ? (below + 1) / 2 : below + (above - below) / 2;
        if (!(middle > below)) middle = above; /* neighbours in the last place */
        if (cost < best || (cost == best && fabs(middle - 0.5) < fabs(*threshold - 0.5))) {
            best = cost;
            *threshold = middle;
        }
        for (; curve && c < n_curve && (i == n || (double)c / (double)(n_curve - 1) <= above); c++)
            curve[c] = (sv_cost_point){(double)c / (double)(n_curve - 1), cost};
        if (i == n) return;
        for (uint64_t p = keys[i] >> 1; i < n && keys[i] >> 1 == p; i++) {
            fp -= !(keys[i] & 1);
            fn += keys[i] & 1;
        }
        below = above;
    }
}

sv_part sv_choosing_part(const sv_dataset *dataset)
{
    return dataset->counts[SV_PART_VALIDATION] ? SV_PART_VALIDATION : SV_PART_TRAIN;
}

int sv_judge_costs(sv_evaluation *out, const sv_judging *judging, const sv_keys *keys, sv_error *error)
{
    enum { POINTS = 201 };
    sv_part part = sv_choosing_part(judging->dataset);
    double best;
    if (!keys->counts[part]) return 0;
    if (!(out->costs = sv_calloc(POINTS, sizeof *out->costs))) return sv_error_set(error, SV_E_MEMORY, "evaluate: out of memory");
    out->n_costs = POINTS;
    sv_best_threshold(&best, keys->keys + keys->begins[part], keys->counts[part], judging->config->evaluate.cost_false_positive, judging->config->evaluate.cost_false_negative,
                      out->costs, POINTS);
    return 0;
}

/* The rows that choose, with their predictions, sorted by them. *own lies in *keys. */
static int gather(sv_keys *keys, uint64_t **own, size_t *n, const sv_pipeline *pipeline, const sv_dataset *dataset, const sv_config *config, sv_team *team, sv_error *error)
{
    double *predictions;
    sv_judging judging = {.pipeline = pipeline, .dataset = dataset, .config = config, .team = team};
    int rc = sv_predict_table(&predictions, pipeline, &dataset->table, team, error);
    if (rc) return rc;
    judging.predictions = predictions;
    rc = sv_gather_keys(keys, &judging, error);
    sv_free(predictions);
    if (rc) return rc;
    *own = keys->keys + keys->begins[sv_choosing_part(dataset)];
    *n = keys->counts[sv_choosing_part(dataset)];
    rc = sv_ranking_sort(*own, *n, team);
    if (rc) sv_free(keys->keys);
    return rc ? sv_error_set(error, rc, "calibrate: out of memory") : 0;
}

static int calibrate(sv_pipeline *pipeline, const sv_dataset *dataset, const sv_config *config, sv_team *team, sv_error *error)
{
    sv_keys keys;
    uint64_t *own;
    size_t n;
    sv_pipeline_set_uncalibrated(pipeline);
    int rc = sv_pipeline_finish(pipeline, error);
    if (!rc) rc = gather(&keys, &own, &n, pipeline, dataset, config, team, error);
    if (rc) return rc;
    double *scores = sv_array(n + 1, sizeof *scores);
    uint8_t *labels = sv_array(n + 1, 1);
    for (size_t i = 0; scores && labels && i < n; i++) {
        scores[i] = logit(fmin(fmax(sv_ranking_p(own[i]), 1e-300), 1 - 1e-16));
        labels[i] = own[i] & 1;
    }
    if (!scores || !labels) rc = sv_error_set(error, SV_E_MEMORY, "calibrate: out of memory");
    else if (n > 1) rc = config->evaluate.calibration == SV_CALIBRATION_PLATT ? fit_platt(pipeline, scores, labels, n, error) : fit_isotonic(pipeline, scores, labels, n, error);
    sv_free(scores);
    sv_free(labels);
    sv_free(keys.keys);
    return rc ? rc : sv_pipeline_finish(pipeline, error);
}

int sv_calibrate(sv_pipeline *pipeline, const sv_dataset *dataset, const sv_config *config, sv_team *team, sv_error *error)
{
    sv_keys keys;
    uint64_t *own;
    double threshold;
    size_t n;
    int rc = 0;
    if (sv_pipeline_task(pipeline) != SV_TASK_BINARY) return 0;
    if (config->evaluate.calibration != SV_CALIBRATION_NONE) rc = calibrate(pipeline, dataset, config, team, error);
    if (rc || config->evaluate.threshold_rule != SV_THRESHOLD_COSTS) return rc;
    rc = gather(&keys, &own, &n, pipeline, dataset, config, team, error);
    if (rc) return rc;
    if (n > 0) {
        sv_best_threshold(&threshold, own, n, config->evaluate.cost_false_positive, config->evaluate.cost_false_negative, NULL, 0);
        sv_pipeline_set_threshold(pipeline, fmin(fmax(threshold, 1e-12), 1));
        rc = sv_pipeline_finish(pipeline, error);
    }
    sv_free(keys.keys);
    return rc;
}
