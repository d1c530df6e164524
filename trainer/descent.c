/* descent.c: full-batch gradient descent on the mean objective F = f / (c * sum of weights).

       gd        w <- w - s F'(w) + m (w - w before)                     (Polyak 1964), s fixed or halved until F falls (Armijo 1966)
       nesterov  v = w + b (w - w before), w <- v - s F'(v), b by t      (Nesterov 1983; FISTA's t: Beck, Teboulle 2009), restarted where F
                 rises (O'Donoghue, Candes 2015)

   A learning rate of 0 means one over the largest curvature at the start. Stopping rule: solver.h's certificate (no Hessian is at hand). */
#include "search.h"

#include "alloc.h"

#include <math.h>
#include <string.h>

/* One over the largest eigenvalue of F'' at w, by power iteration with gradient differences: no Hessian is formed. */
static int safe_rate(sv_search *search, double *rate, double *v, double *trial, double *gradient, sv_error *error)
{
    size_t n = search->n;
    double norm = 0, curvature = 0, value;
    for (size_t i = 0; i < n; i++)
        v[i] = 1 + 0.1 * (double)(i % 7);
    for (int round = 0; round < 12; round++) {
        norm = sqrt(sv_dot(v, v, n));
        for (size_t i = 0; i < n; i++)
            trial[i] = search->w[i] + 1e-4 * v[i] / norm;
        int rc = sv_objective_value(search->objective, trial, &value, gradient, NULL, error);
        if (rc) return rc;
        for (size_t i = 0; i < n; i++)
            v[i] = (gradient[i] - search->gradient[i]) / (1e-4 * search->total);
        curvature = sqrt(sv_dot(v, v, n));
        if (!(curvature > 0)) break;
    }
    *rate = curvature > 0 ? 0.9 / curvature : 1;
    return 0;
}

typedef struct descent {
    double *block, *before, *velocity, *trial, *gradient; // (n) each; before: w one iteration ago
    double state[2];                                      /* learning rate, Nesterov's t */
} descent;

static int begin(sv_search *search, descent *d, sv_error *error)
{
    size_t n = search->n;
    int resumed, rc = 0;
    d->block = sv_search_array(4 * n);
    if (!d->block) return sv_error_set(error, SV_E_MEMORY, "training: out of memory");
    d->before = d->block;
    d->velocity = d->block + n;
    d->trial = d->block + 2 * n;
    d->gradient = d->block + 3 * n;
    rc = sv_objective_value(search->objective, search->w, &search->value, search->gradient, NULL, error);
    d->state[0] = search->options->learning_rate;
    d->state[1] = 1;
    if (!rc && d->state[0] <= 0) rc = safe_rate(search, &d->state[0], d->velocity, d->trial, d->gradient, error);
    memcpy(d->before, search->w, n * sizeof(double));
    sv_search_keep(search, d->before, n);
    sv_search_keep(search, d->state, 2);
    if (!rc) rc = sv_search_resume(search, &resumed, error);
    if (!rc && resumed) rc = sv_objective_value(search->objective, search->w, &search->value, search->gradient, NULL, error);
    return rc;
}

/* Takes trial as the new w. */
static void move(sv_search *search, descent *d, double value)
{
    memcpy(d->before, search->w, search->n * sizeof(double));
    memcpy(search->w, d->trial, search->n * sizeof(double));
    memcpy(search->gradient, d->gradient, search->n * sizeof(double));
    search->value = value;
}

/* Tries one step; halves the rate, without momentum, until F falls enough. *step 0: it cannot fall any more. */
static int descend(sv_search *search, descent *d, double *step, sv_error *error)
{
    size_t n = search->n;
    double momentum = search->options->momentum, squares = sv_dot(search->gradient, search->gradient, n) / search->total, value;
    int backtrack = search->options->step == SV_STEP_BACKTRACKING;
    if (backtrack) d->state[0] *= 1.25;
    for (int tries = 0; tries < 60; tries++) {
        for (size_t i = 0; i < n; i++)
            d->trial[i] = search->w[i] - d->state[0] * search->gradient[i] / search->total + momentum * (search->w[i] - d->before[i]);
        int rc = sv_objective_value(search->objective, d->trial, &value, d->gradient, NULL, backtrack ? NULL : error);
        if (rc && (!backtrack || rc != SV_E_NUMERIC)) return rc;
        double rounding = 1e-14 * fabs(search->value); /* where f can no longer tell, the gradient must */
        int falls = !rc && (value <= search->value - 1e-4 * d->state[0] * squares ||
                            (fabs(value - search->value) <= rounding && sv_dot(d->gradient, d->gradient, n) < sv_dot(search->gradient, search->gradient, n)));
        if (!backtrack || falls) {
            move(search, d, value);
            *step = d->state[0];
            return 0;
        }
        if (momentum > 0) momentum = 0;
        else d->state[0] /= 2;
    }
    *step = 0;
    return 0;
}

int sv_gradient_descent(sv_search *search, sv_error *error)
{
    descent d = {0};
    int rc = begin(search, &d, error);
    while (!rc && search->iteration < search->options->max_iter && !sv_search_converged(search)) {
        double step;
        rc = descend(search, &d, &step, error);
        if (rc || step == 0) break;
        search->iteration++;
        rc = sv_search_report(search, step, error);
    }
    sv_free(d.block);
    return rc < 0 ? rc : 0;
}

int sv_nesterov(sv_search *search, sv_error *error)
{
    descent d = {0};
    size_t n = search->n;
    int rc = begin(search, &d, error);
    while (!rc && search->iteration < search->options->max_iter && !sv_search_converged(search)) {
        double t = d.state[1], next = (1 + sqrt(1 + 4 * t * t)) / 2, value, at;
        for (size_t i = 0; i < n; i++)
            d.velocity[i] = search->w[i] + (t - 1) / next * (search->w[i] - d.before[i]);
        rc = sv_objective_value(search->objective, d.velocity, &at, d.gradient, NULL, NULL);
        for (size_t i = 0; i < n; i++)
            d.trial[i] = d.velocity[i] - d.state[0] * d.gradient[i] / search->total;
        if (!rc) rc = sv_objective_value(search->objective, d.trial, &value, d.gradient, NULL, NULL);
        if (rc && rc != SV_E_NUMERIC) rc = sv_error_set(error, rc, "training: the rows could not be read again");
        else if (rc) { /* a step so long that the loss overflowed */
            value = INFINITY;
            rc = 0;
        }
        if (rc) break;
        int rises = value > search->value + 1e-14 * fabs(search->value);
        if (rises && t == 1) { /* without momentum only too long a step can raise f */
            d.state[0] /= 2;
            if (d.state[0] < 1e-300) break;
            continue;
        }
        d.state[1] = rises ? 1 : next;
        if (!rises) move(search, &d, value);
        search->iteration++;
        rc = sv_search_report(search, d.state[0], error);
    }
    sv_free(d.block);
    return rc < 0 ? rc : 0;
}
