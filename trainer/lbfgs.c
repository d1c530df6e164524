/* lbfgs.c: limited-memory BFGS (Nocedal, Wright, Numerical Optimization, algorithm 7.5), whose first guess of the inverse Hessian is the factor that
   search->factor holds, the diagonal where there is none. With a factor from a sample of the rows each pass wins about one digit.
   Stopping rule: solver.h's certificate, measured on all rows. */
#include "search.h"

#include "alloc.h"

#include <math.h>
#include <string.h>

enum { MEMORY = 10 };

typedef struct history {
    double *s, *y;         // (MEMORY, n): steps and changes of the gradient
    double rho[MEMORY];
    double count[1];       /* pairs seen; a double, so that a checkpoint holds it like the others */
} history;

static void two_loops(const sv_search *search, const history *past, double *direction)
{
    size_t n = search->n, seen = (size_t)past->count[0], kept = seen < MEMORY ? seen : MEMORY;
    double alpha[MEMORY];
    for (size_t i = 0; i < n; i++)
        direction[i] = -search->gradient[i];
    for (size_t m = 0; m < kept; m++) {
        size_t at = (seen - 1 - m) % MEMORY;
        alpha[at] = past->rho[at] * sv_dot(past->s + at * n, direction, n);
        for (size_t i = 0; i < n; i++)
            direction[i] -= alpha[at] * past->y[at * n + i];
    }
    sv_search_precondition(search, direction);
    for (size_t m = kept; m-- > 0;) {
        size_t at = (seen - 1 - m) % MEMORY;
        double beta = past->rho[at] * sv_dot(past->y + at * n, direction, n);
        for (size_t i = 0; i < n; i++)
            direction[i] += (alpha[at] - beta) * past->s[at * n + i];
    }
}

/* Keeps the pair when it has positive curvature: a convex f gives nothing else but rounding. */
static void remember(history *past, const double *old_w, const double *old_gradient, const sv_search *search)
{
    size_t n = search->n, at = (size_t)past->count[0] % MEMORY;
    double *s = past->s + at * n, *y = past->y + at * n;
    for (size_t i = 0; i < n; i++) {
        s[i] = search->w[i] - old_w[i];
        y[i] = search->gradient[i] - old_gradient[i];
    }
    double curvature = sv_dot(s, y, n);
    if (!(curvature > 1e-14 * sqrt(sv_dot(s, s, n) * sv_dot(y, y, n)))) return;
    past->rho[at] = 1 / curvature;
    past->count[0] += 1;
}

static int first_metric(sv_search *search, sv_error *error)
{
    if (search->factor || search->diagonal) return 0;
    search->diagonal = sv_search_array(search->n);
    if (!search->diagonal) return sv_error_set(error, SV_E_MEMORY, "training: out of memory");
    int rc = sv_objective_diagonal(search->objective, search->w, search->diagonal, error);
    for (size_t i = 0; i < search->n; i++)
        if (!(search->diagonal[i] > 0)) search->diagonal[i] = 1;
    return rc;
}

int sv_lbfgs(sv_search *search, sv_error *error)
{
    size_t n = search->n;
    history past = {0};
    double *block = sv_search_array(5 * n + 2 * MEMORY * n);
    double *direction = block, *old_w = block + n, *old_gradient = old_w + n, *trial = old_gradient + n, *trial_gradient = trial + n;
    int resumed, rc = block ? 0 : sv_error_set(error, SV_E_MEMORY, "training: out of memory");
    past.s = trial_gradient + n;
    past.y = past.s + MEMORY * n;
    if (!rc) rc = first_metric(search, error);
    sv_search_keep(search, past.s, 2 * MEMORY * n);
    sv_search_keep(search, past.rho, MEMORY);
    sv_search_keep(search, past.count, 1);
    if (!rc && search->diagonal) sv_search_keep(search, search->diagonal, n);
    if (!rc) rc = sv_search_resume(search, &resumed, error);
    if (!rc && !(past.count[0] >= 0 && past.count[0] < 1e15)) rc = sv_error_set(error, SV_E_INPUT, "checkpoint: not one of this solver");
    if (!rc) rc = sv_objective_value(search->objective, search->w, &search->value, search->gradient, NULL, error);
    while (!rc && search->iteration < search->options->max_iter && !sv_search_converged(search)) {
        double step = 1;
        two_loops(search, &past, direction);
        memcpy(old_w, search->w, n * sizeof *old_w);
        memcpy(old_gradient, search->gradient, n * sizeof *old_gradient);
        rc = sv_search_line(search, direction, &step, trial, trial_gradient, NULL, error);
        if (rc) break;
        if (step == 0) {
            if (past.count[0] == 0) break; /* f cannot be lowered in this arithmetic */
            past.count[0] = 0;             /* the memory may be what is wrong */
            continue;
        }
        remember(&past, old_w, old_gradient, search);
        search->iteration++;
        rc = sv_search_report(search, step, error);
    }
    sv_free(block);
    return rc < 0 ? rc : 0;
}
