/* newton.c: Newton's method, for generalised linear models iteratively reweighted least squares (McCullagh, Nelder 1989, 2.5).

       w <- w - s H^-1 g,   H by one pass over the rows, factored by Cholesky; s = 1, halved until f falls (Armijo 1966)

   For softmax H holds the second derivatives between the classes too, all weights in one matrix. Stopping rule: solver.h's certificate. sv_sample_start does the same on a growing sample of the rows (Bollapragada, Byrd, Nocedal 2019): far from the
   optimum a few thousand rows tell the direction as well as a few million. */
#include "search.h"

#include "alloc.h"
#include "cholesky.h"

#include <math.h>
#include <string.h>

/* A softmax does not change when all scores move alike: where no penalty holds a weight, its Hessian has no curvature along (1, …, 1). Any will do there, the
   gradient having no part in that direction; without it only rounding would decide how far the step goes. */
static void hold_common_shifts(const sv_search *search, double *hessian)
{
    size_t p = search->n_weights, classes = search->n_scores;
    for (size_t j = search->options->l2 > 0 ? p - 1 : 0; j < p; j++) {
        double mean = 0;
        for (size_t k = 0; k < classes; k++)
            mean += hessian[(k * p + j) * search->n + k * p + j] / (double)classes;
        for (size_t a = 0; a < classes; a++)
            for (size_t b = 0; b < classes; b++)
                hessian[(a * p + j) * search->n + b * p + j] += mean / (double)classes;
    }
}

static int refactor(sv_search *search, double *hessian, sv_error *error)
{
    size_t side = search->n / search->n_blocks;
    if (search->n_blocks < search->n_scores) hold_common_shifts(search, hessian);
    for (size_t k = 0; k < search->n_blocks; k++)
        if (isnan(sv_cholesky_ridged(search->factor + k * side * side, hessian + k * side * side, side)))
            return sv_error_set(error, SV_E_NUMERIC, "training: the Hessian is not positive definite");
    return 0;
}

int sv_newton(sv_search *search, sv_error *error)
{
    size_t n = search->n, squares = n * (n / search->n_blocks);
    double *block = sv_search_array(3 * n + squares), *direction = block, *trial = block + n, *trial_gradient = trial + n, *hessian = trial_gradient + n;
    if (!search->factor) search->factor = sv_search_array(squares);
    int rc = block && search->factor ? 0 : sv_error_set(error, SV_E_MEMORY, "training: out of memory for a Hessian of %zu weights", n / search->n_blocks);
    int resumed;
    if (!rc) rc = sv_search_resume(search, &resumed, error);
    if (!rc) rc = sv_objective_value(search->objective, search->w, &search->value, search->gradient, hessian, error);
    while (!rc && search->iteration < search->options->max_iter) {
        double step = 1;
        rc = refactor(search, hessian, error);
        if (rc || sv_search_converged(search)) break;
        for (size_t i = 0; i < n; i++)
            direction[i] = -search->gradient[i];
        sv_search_precondition(search, direction);
        int last = search->iteration + 1 >= search->options->max_iter; /* no one will ask for that Hessian */
        rc = sv_search_line(search, direction, &step, trial, trial_gradient, last ? NULL : hessian, error);
        if (rc || step == 0) break;
        search->iteration++;
        rc = sv_search_report(search, step, error);
    }
    sv_free(block);
    return rc < 0 ? rc : 0;
}

enum { SAMPLE_ROWS = 2048, SAMPLE_GROWTH = 8, SAMPLE_LEAST = 24, SAMPLE_SHARE = 2, SAMPLE_WORTH = 16, MAX_SAMPLE_ROWS = 1 << 17, MAX_FACTORED = 2048 };

/* Newton on a sample, from search->w; a few iterations, only as near as the sample's own error is worth. */
static int sample_round(sv_search *search, size_t stride, int64_t rounds, double tolerance, sv_error *error)
{
    sv_solver_options options = {.l2 = search->options->l2, .tolerance = tolerance, .max_iter = rounds};
    sv_objective *sample = NULL;
    int rc = sv_objective_sample(&sample, search->objective, stride, error);
    if (!rc && sv_objective_total(sample) > 0) {
        sv_search inner = *search;
        inner.objective = sample;
        inner.options = &options;
        inner.validation = NULL;
        inner.iteration = 0;
        inner.n_state = 0;
        rc = sv_newton(&inner, error);
        search->factor = inner.factor;
        search->sampled += sv_objective_products(sample);
    }
    sv_objective_free(sample);
    return rc;
}

/* The squared length of each row of the factor is the diagonal of what was factored. */
static double factored_diagonal(const sv_search *search, size_t i)
{
    size_t side = search->n / search->n_blocks;
    return sv_dot(search->factor + i * side, search->factor + i * side, i % side + 1);
}

/* 1 when some weight's curvature rests on too few rows of the sample (a rare level, perhaps met by none). */
static int is_thin(const sv_search *search, size_t sample_rows)
{
    size_t p = search->n_weights;
    for (size_t i = 0; i < search->n; i++) {
        double intercepts = factored_diagonal(search, i - i % p + p - 1);
        if (i % p != p - 1 && factored_diagonal(search, i) - search->options->l2 < 20 / (double)sample_rows * intercepts) return 1;
    }
    return 0;
}

/* Scales the factor so that its Hessian has the diagonal that all rows give. */
static int mend_diagonal(sv_search *search, sv_error *error)
{
    size_t side = search->n / search->n_blocks;
    double *diagonal = sv_search_array(search->n);
    int rc = diagonal ? sv_objective_diagonal(search->objective, search->w, diagonal, error) : sv_error_set(error, SV_E_MEMORY, "training: out of memory");
    for (size_t i = 0; !rc && i < search->n; i++) {
        double *row = search->factor + i * side, scale = sqrt(diagonal[i] / factored_diagonal(search, i));
        for (size_t j = 0; scale > 0 && isfinite(scale) && j <= i % side; j++)
            row[j] *= scale;
    }
    sv_free(diagonal);
    return rc;
}

/* A larger sample is worth its Hessians, rows times the square of the weights, where they cost no more than some readings of all rows. */
static int is_worth(const sv_search *search, size_t rows, size_t n_rows)
{
    return rows <= MAX_SAMPLE_ROWS && rows * search->n_weights <= SAMPLE_WORTH * n_rows;
}

int sv_sample_start(sv_search *search, sv_error *error)
{
    size_t n_rows = sv_objective_design(search->objective)->n_rows, least = SAMPLE_LEAST * search->n_weights * search->n_scores;
    size_t rows = SAMPLE_ROWS > least ? SAMPLE_ROWS : least;
    if (search->n_weights > MAX_FACTORED || n_rows < SAMPLE_SHARE * rows) return 0;
    int rc = 0;
    for (int round = 0; !rc && n_rows >= SAMPLE_SHARE * rows && (round == 0 || is_worth(search, rows, n_rows)); round++, rows *= SAMPLE_GROWTH)
        rc = sample_round(search, n_rows / rows, round ? 2 : 6, 0.1 / sqrt((double)rows), error);
    return !rc && search->factor && is_thin(search, rows / SAMPLE_GROWTH) ? mend_diagonal(search, error) : rc;
}
