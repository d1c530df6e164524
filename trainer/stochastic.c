/* stochastic.c: minibatches on the mean objective F = f / (c * sum of weights).

       sgd   w <- w - r_t (F_B'(w) + m v)                                        (Robbins, Monro 1951)
       adam  w <- w - r_t mean / (sqrt(variance) + 1e-8), means corrected        (Kingma, Ba 2015: 0.9, 0.999)

   A batch is batch_size neighbouring rows; batches are visited in an order shuffled anew, from the seed, each epoch. r_t is constant, r / (1 + t) by epochs,
   or a half cosine from r to 0 over max_iter epochs. One iteration is one epoch. Stopping rule: solver.h's certificate on all rows after an epoch. */
#include "search.h"

#include "alloc.h"
#include "prng.h"

#include <math.h>
#include <string.h>

static double rate_at(const sv_solver_options *options, double base, double epoch)
{
    switch (options->schedule) {
    case SV_SCHEDULE_INVERSE: return base / (1 + epoch);
    case SV_SCHEDULE_COSINE: return base * 0.5 * (1 + cos(3.14159265358979323846 * fmin(epoch / (double)options->max_iter, 1)));
    case SV_SCHEDULE_CONSTANT: break;
    }
    return base;
}

typedef struct walk {
    double *gradient, *mean, *variance; // (n): of the batch; velocity (sgd) or first moment; second moment
    double time[1];                     /* batches seen */
} walk;

static void step_sgd(sv_search *search, walk *k, double rate)
{
    for (size_t i = 0; i < search->n; i++) {
        k->mean[i] = search->options->momentum * k->mean[i] + k->gradient[i];
        search->w[i] -= rate * k->mean[i];
    }
}

static void step_adam(sv_search *search, walk *k, double rate)
{
    double first = 1 - pow(0.9, k->time[0]), second = 1 - pow(0.999, k->time[0]);
    for (size_t i = 0; i < search->n; i++) {
        k->mean[i] = 0.9 * k->mean[i] + 0.1 * k->gradient[i];
        k->variance[i] = 0.999 * k->variance[i] + 0.001 * k->gradient[i] * k->gradient[i];
        search->w[i] -= rate * (k->mean[i] / first) / (sqrt(k->variance[i] / second) + 1e-8);
    }
}

static int epoch(sv_search *search, walk *k, uint32_t *order, size_t n_batches, size_t rows, double base, double *rate, sv_error *error)
{
    sv_prng prng;
    for (size_t i = 0; i < n_batches; i++)
        order[i] = (uint32_t)i;
    sv_prng_seed(&prng, (uint64_t)search->options->seed ^ sv_mix64((uint64_t)search->iteration));
    sv_prng_shuffle(&prng, order, n_batches);
    for (size_t b = 0; b < n_batches; b++) {
        int rc = sv_objective_batch(search->objective, search->w, order[b] * rows, rows, k->gradient, error);
        if (rc == 1) continue; /* no row of it counts */
        if (rc) return rc;
        k->time[0] += 1;
        *rate = rate_at(search->options, base, (double)search->iteration + (double)b / (double)n_batches);
        if (search->options->solver == SV_SOLVER_ADAM) step_adam(search, k, *rate);
        else step_sgd(search, k, *rate);
    }
    return 0;
}

int sv_stochastic(sv_search *search, sv_error *error)
{
    size_t n = search->n, n_rows = sv_objective_design(search->objective)->n_rows;
    size_t rows = search->options->batch_size > 0 ? (size_t)search->options->batch_size : 256, n_batches = n_rows / rows + (n_rows % rows > 0);
    double base = search->options->learning_rate > 0 ? search->options->learning_rate : 0.01, rate = base;
    double *block = sv_search_array(3 * n);
    uint32_t *order = sv_array(n_batches, sizeof *order);
    walk k = {.gradient = block, .mean = block + n, .variance = block + 2 * n};
    int resumed, rc = block && order ? 0 : sv_error_set(error, SV_E_MEMORY, "training: out of memory");
    sv_search_keep(search, k.mean, 2 * n);
    sv_search_keep(search, k.time, 1);
    if (!rc) rc = sv_search_resume(search, &resumed, error);
    if (!rc) rc = sv_objective_value(search->objective, search->w, &search->value, search->gradient, NULL, error);
    while (!rc && search->iteration < search->options->max_iter && !sv_search_converged(search)) {
        rc = epoch(search, &k, order, n_batches, rows, base, &rate, error);
        if (!rc) rc = sv_objective_value(search->objective, search->w, &search->value, search->gradient, NULL, error);
        if (rc) break;
        search->iteration++;
        rc = sv_search_report(search, rate, error);
    }
    sv_free(block);
    sv_free(order);
    return rc < 0 ? rc : 0;
}
