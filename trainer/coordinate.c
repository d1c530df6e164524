/* coordinate.c: l1 and elastic net, by coordinate descent on the Newton model of the smooth part (Friedman, Hastie, Tibshirani 2010; Lee, Sun, Saunders 2014).

       v = argmin  g.(v - w) + (v - w).H(v - w)/2 + l1 |v without intercept|_1,   then w <- w + s (v - w), s halved until f falls

   H is formed once an iteration (for softmax each class's own block), so a sweep costs p^2 and no pass over the rows.
   Stopping rule: solver.h's certificate with the minimal-norm subgradient. The duality gap (Fenchel) is measured at the end: the dual point is
   the residual, shrunk until no feature's correlation with it exceeds l1 where there is no l2 to pay for that. */
#include "search.h"

#include "alloc.h"

#include <math.h>
#include <string.h>

enum { MAX_SWEEPS = 5000, MAX_WEIGHTS = 4096 };

static double shrink(double x, double by)
{
    return x > by ? x - by : x < -by ? x + by : 0;
}

/* One score's model. v in: w; out: the minimiser. q is (p) scratch: H (v - w). */
static void sweep_until_flat(const double *hessian, const double *g, double *v, double *q, size_t p, double l1, double flat)
{
    memset(q, 0, p * sizeof *q);
    for (int sweep = 0; sweep < MAX_SWEEPS; sweep++) {
        double moved = 0;
        for (size_t j = 0; j < p; j++) {
            const double *row = hessian + j * p;
            double a = row[j];
            if (!(a > 0)) continue;
            double next = shrink(v[j] - (g[j] + q[j]) / a, j + 1 < p ? l1 / a : 0), change = next - v[j];
            if (change == 0) continue;
            v[j] = next;
            for (size_t i = 0; i < p; i++)
                q[i] += change * row[i];
            moved = fmax(moved, fabs(change) * a);
        }
        if (moved <= flat) return;
    }
}

/* Halves the step until f + l1 |w| falls by a tenth of a thousandth of what the model promised. */
static int line(sv_search *search, const double *v, double *trial, double *trial_gradient, double *hessian, double *step, sv_error *error)
{
    size_t n = search->n;
    double l1 = search->options->l1, promised = l1 * (sv_search_absolute_sum(search, v) - sv_search_absolute_sum(search, search->w));
    for (size_t i = 0; i < n; i++)
        promised += search->gradient[i] * (v[i] - search->w[i]);
    for (*step = 1; *step > 1e-12; *step /= 2) {
        double smooth = INFINITY, value;
        for (size_t i = 0; i < n; i++)
            trial[i] = *step == 1 ? v[i] : search->w[i] + *step * (v[i] - search->w[i]);
        int rc = sv_objective_value(search->objective, trial, &smooth, trial_gradient, hessian, NULL);
        if (rc && rc != SV_E_NUMERIC) return sv_error_set(error, rc, "training: the rows could not be read again");
        value = rc ? INFINITY : smooth + l1 * sv_search_absolute_sum(search, trial);
        if (value <= search->value + 1e-4 * *step * promised || value <= search->value + 1e-13 * fabs(search->value)) {
            memcpy(search->w, trial, n * sizeof *trial);
            memcpy(search->gradient, trial_gradient, n * sizeof *trial_gradient);
            search->value = value;
            return 0;
        }
    }
    *step = 0;
    return 0;
}

/* ---- the duality gap ---- */

static double plogp(double p)
{
    return p > 0 ? p * log(p) : 0;
}

/* Sum over rows of weight * (u offset - conjugate(u)), u = shrunk times the loss's slope at the row's score. */
static int dual_rows(const sv_search *search, const double *scores, double shrunk, double *sum)
{
    const sv_design *design = sv_objective_design(search->objective);
    sv_loss loss = sv_objective_loss(search->objective);
    size_t n = design->n_rows, k_classes = search->n_scores;
    *sum = 0;
    for (size_t i = 0; i < n; i++) {
        double y, weight, top = -INFINITY, total = 0, z = scores[i];
        sv_design_row_weights(&weight, design, i, 1);
        if (!(weight > 0)) continue;
        sv_design_widen(&y, design->target, design->target_store, i, 1);
        double offset = design->offsets ? design->offsets[i] : 0, q = 0;
        if (loss == SV_LOSS_LOGISTIC) {
            q = y + shrunk * ((z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z))) - y);
            *sum += weight * ((q - y) * offset - plogp(q) - plogp(1 - q));
        } else if (loss == SV_LOSS_POISSON) {
            q = y + shrunk * (exp(z) - y);
            *sum += weight * ((q - y) * offset - plogp(q) + q);
        } else if (loss == SV_LOSS_SQUARED) {
            q = shrunk * (z - y);
            *sum += weight * (q * offset - q * q / 2 - q * y);
        } else {
            for (size_t k = 0; k < k_classes; k++)
                top = fmax(top, scores[k * n + i]);
            for (size_t k = 0; k < k_classes; k++)
                total += exp(scores[k * n + i] - top);
            for (size_t k = 0; k < k_classes; k++) {
                double own = y == (double)k ? 1 : 0;
                q = own + shrunk * (exp(scores[k * n + i] - top) / total - own);
                *sum += weight * ((q - own) * offset - plogp(q));
            }
        }
    }
    return 0;
}

static int measure_gap(sv_search *search, sv_error *error)
{
    const sv_solver_options *options = search->options;
    double *scores = sv_array(sv_objective_design(search->objective)->n_rows * search->n_scores, sizeof *scores);
    double worst = 0, penalty = 0, rows;
    if (!scores) return sv_error_set(error, SV_E_MEMORY, "training: out of memory for the duality gap");
    int rc = sv_objective_predict(search->objective, search->w, scores, error);
    for (size_t i = 0; i < search->n; i++)
        if (i % search->n_weights != search->n_weights - 1) worst = fmax(worst, fabs(search->gradient[i] - options->l2 * search->w[i]));
    double shrunk = options->l2 == 0 && worst > options->l1 ? options->l1 / worst : 1;
    for (size_t i = 0; options->l2 > 0 && i < search->n; i++)
        if (i % search->n_weights != search->n_weights - 1) {
            double beyond = fmax(fabs(search->gradient[i] - options->l2 * search->w[i]) - options->l1, 0);
            penalty += beyond * beyond / (2 * options->l2);
        }
    if (!rc) rc = dual_rows(search, scores, shrunk, &rows);
    if (!rc) search->duality_gap = search->value - (options->c * rows - penalty);
    sv_free(scores);
    return rc;
}

int sv_coordinate_descent(sv_search *search, sv_error *error)
{
    size_t n = search->n, p = search->n_weights, squares = search->n_scores * p * p;
    double l1 = search->options->l1, flat = 0.01 * search->options->tolerance * search->total;
    if (p > MAX_WEIGHTS)
        return sv_error_set(error, SV_E_LIMIT, "train.solver: coordinate descent forms a Hessian: expected at most %d weights, got %zu", MAX_WEIGHTS, p);
    int resumed, rc = 0;
    double *block = sv_search_array(3 * n + 2 * p + 2 * squares);
    if (!block) return sv_error_set(error, SV_E_MEMORY, "training: out of memory for a Hessian of %zu weights", p);
    double *v = block, *trial = v + n, *trial_gradient = trial + n, *q = trial_gradient + n, *hessian = q + 2 * p;
    rc = sv_search_resume(search, &resumed, error);
    if (!rc) rc = sv_objective_value(search->objective, search->w, &search->value, search->gradient, hessian, error);
    search->value += l1 * sv_search_absolute_sum(search, search->w);
    while (!rc && search->iteration < search->options->max_iter && !sv_search_converged(search)) {
        double step;
        memcpy(v, search->w, n * sizeof *v);
        for (size_t k = 0; k < search->n_scores; k++)
            sweep_until_flat(hessian + k * p * p, search->gradient + k * p, v + k * p, q, p, l1, flat);
        rc = line(search, v, trial, trial_gradient, hessian, &step, error);
        if (rc || step == 0) break;
        search->iteration++;
        rc = sv_search_report(search, step, error);
    }
    if (rc >= 0) rc = measure_gap(search, error);
    sv_free(block);
    return rc < 0 ? rc : 0;
}
