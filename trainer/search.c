/* search.c: the certificate, the line search, reporting and checkpoints. */
#include "search.h"

#include "alloc.h"
#include "buffer.h"
#include "cholesky.h"
#include "file.h"
#include "ranks.h"

#include <math.h>
#include <string.h>

double *sv_search_array(size_t count)
{
    return sv_calloc(count, sizeof(double));
}

double sv_dot(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static double largest(const double *x, size_t n)
{
    double top = 0;
    for (size_t i = 0; i < n; i++)
        top = fabs(x[i]) > top ? fabs(x[i]) : top;
    return top;
}

/* The subgradient of f + l1 |w|_1 nearest to 0. */
static double subgradient(const sv_search *search, size_t i)
{
    double g = search->gradient[i], l1 = search->options->l1;
    if (l1 == 0 || i % search->n_weights == search->n_weights - 1) return g;
    if (search->w[i] > 0) return g + l1;
    if (search->w[i] < 0) return g - l1;
    return fabs(g) <= l1 ? 0 : g > 0 ? g - l1 : g + l1;
}

double sv_search_gradient_norm(const sv_search *search)
{
    double top = 0;
    for (size_t i = 0; i < search->n; i++)
        top = fmax(top, fabs(subgradient(search, i)));
    return top / search->total;
}

double sv_search_absolute_sum(const sv_search *search, const double *w)
{
    double sum = 0;
    for (size_t i = 0; i < search->n; i++)
        if (i % search->n_weights != search->n_weights - 1) sum += fabs(w[i]);
    return sum;
}

void sv_search_precondition(const sv_search *search, double *x)
{
    size_t side = search->n / search->n_blocks;
    if (search->factor)
        for (size_t k = 0; k < search->n_blocks; k++)
            sv_cholesky_solve(search->factor + k * side * side, side, x + k * side);
    else if (search->diagonal)
        for (size_t i = 0; i < search->n; i++)
            x[i] /= search->diagonal[i];
}

int sv_search_converged(sv_search *search)
{
    double tolerance = search->options->tolerance;
    if (search->factor && search->options->l1 == 0) {
        double *error = sv_search_array(search->n);
        if (!error) return 0;
        memcpy(error, search->gradient, search->n * sizeof *error);
        sv_search_precondition(search, error);
        search->weight_error = largest(error, search->n);
        sv_free(error);
        if (!(search->weight_error <= tolerance * fmax(1, largest(search->w, search->n)))) return 0;
    }
    return sv_search_gradient_norm(search) <= tolerance;
}

/* ---- checkpoints: "SVCHECK2", counts, the fingerprint, then the numbers as they lie in memory ---- */

enum { MAX_FOREIGN = 64 << 20 }; /* bytes that a checkpoint of another training may be larger and still be read and named */

static const char magic[8] = {'S', 'V', 'C', 'H', 'E', 'C', 'K', '2'};

void sv_search_keep(sv_search *search, double *data, size_t count)
{
    if (search->n_state < sizeof search->state / sizeof *search->state) {
        search->state[search->n_state].data = data;
        search->state[search->n_state++].count = count;
    }
}

static size_t state_doubles(const sv_search *search)
{
    size_t count = search->n;
    for (size_t i = 0; i < search->n_state; i++)
        count += search->state[i].count;
    return count;
}

static int save(const sv_search *search, sv_error *error)
{
    sv_buffer bytes = SV_BUFFER_INIT(0);
    int64_t head[2] = {search->iteration, (int64_t)state_doubles(search)};
    int rc = sv_buffer_append(&bytes, magic, sizeof magic);
    if (!rc) rc = sv_buffer_append(&bytes, head, sizeof head);
    if (!rc) rc = sv_buffer_append(&bytes, search->fingerprint, sizeof search->fingerprint);
    if (!rc) rc = sv_buffer_append(&bytes, search->w, search->n * sizeof(double));
    for (size_t i = 0; !rc && i < search->n_state; i++)
        rc = sv_buffer_append(&bytes, search->state[i].data, search->state[i].count * sizeof(double));
    rc = rc ? sv_error_set(error, rc, "checkpoint: out of memory") : sv_file_write(search->options->checkpoint, bytes.data, bytes.size, error);
    sv_buffer_free(&bytes);
    return rc;
}

/* Is it one of this training? Said before its size, which the other data or settings may explain. */
static int check_fingerprint(const sv_search *search, const char *path, const void *fingerprint, sv_error *error)
{
    uint64_t there[SV_FINGERPRINT_WORDS];
    sv_buffer differences = SV_BUFFER_INIT(1000);
    memcpy(there, fingerprint, sizeof there);
    int rc = sv_fingerprint_differences(&differences, there, search->fingerprint);
    if (rc) rc = sv_error_set(error, rc, "checkpoint: out of memory");
    else if (differences.size) {
        rc = sv_error_set(error, SV_E_INPUT, "%s: a checkpoint of another training, which differs in %s", path, differences.data);
        sv_error_hint(error, "a checkpoint goes on with the same data, features, encoders, objective and solver only; train.max_iter and train.tolerance may be others");
    }
    sv_buffer_free(&differences);
    return rc;
}

static int check_checkpoint(const sv_search *search, const char *path, const sv_buffer *bytes, size_t count, sv_error *error)
{
    size_t begin = sizeof magic + 2 * sizeof(int64_t), expected = begin + sizeof search->fingerprint + count * sizeof(double);
    int rc = 0;
    if (bytes->size >= begin + sizeof search->fingerprint && !memcmp(bytes->data, magic, sizeof magic)) rc = check_fingerprint(search, path, bytes->data + begin, error);
    if (rc || (bytes->size == expected && !memcmp(bytes->data, magic, sizeof magic))) return rc;
    rc = sv_error_set(error, SV_E_INPUT, "%s: expected a checkpoint of %zu bytes of this model and solver, got %zu bytes", path, expected, bytes->size);
    sv_error_hint(error, "a checkpoint goes on with the same data, features, encoders and solver, and the same version of solvent only");
    return rc;
}

int sv_search_resume(sv_search *search, int *resumed, sv_error *error)
{
    const char *path = search->options->resume;
    sv_buffer bytes = SV_BUFFER_INIT(0);
    int64_t head[2];
    *resumed = 0;
    if (!path) return 0;
    size_t count = state_doubles(search);
    int rc = sv_file_read(&bytes, path, count * sizeof(double) + MAX_FOREIGN, error);
    if (!rc) rc = check_checkpoint(search, path, &bytes, count, error);
    if (!rc) {
        const char *at = bytes.data + sizeof magic;
        memcpy(head, at, sizeof head);
        at += sizeof head + sizeof search->fingerprint;
        memcpy(search->w, at, search->n * sizeof(double));
        at += search->n * sizeof(double);
        for (size_t i = 0; i < search->n_state; at += search->state[i++].count * sizeof(double))
            memcpy(search->state[i].data, at, search->state[i].count * sizeof(double));
        search->iteration = head[0];
        if (head[0] < 0 || head[1] != (int64_t)count) rc = sv_error_set(error, SV_E_INPUT, "%s: not a checkpoint of this model and solver", path);
        for (size_t i = 0; !rc && i < search->n; i++)
            if (!isfinite(search->w[i])) rc = sv_error_set(error, SV_E_INPUT, "%s: weight %zu is not finite", path, i);
        *resumed = !rc;
    }
    sv_buffer_free(&bytes);
    return rc;
}

/* ---- reporting ---- */

static int judge_validation(sv_search *search, double *loss, sv_error *error)
{
    double value;
    int rc = sv_objective_value(search->validation, search->w, &value, NULL, NULL, error);
    if (rc) return rc;
    *loss = value / sv_objective_total(search->validation);
    if (search->iteration <= 1 || *loss < search->best_validation) {
        search->best_validation = *loss;
        search->since_best = 0;
        memcpy(search->best_w, search->w, search->n * sizeof *search->w);
        return 0;
    }
    return ++search->since_best >= (double)search->options->patience;
}

int sv_search_report(sv_search *search, double step, sv_error *error)
{
    const sv_solver_options *options = search->options;
    sv_fit_step now = {.iteration = search->iteration, .objective = search->value, .loss = search->value / search->total,
                       .gradient_norm = sv_search_gradient_norm(search), .step = step, .validation_loss = NAN};
    int stop = search->validation ? judge_validation(search, &now.validation_loss, error) : 0;
    if (stop < 0) return stop;
    int asked_to_end = options->watch && options->watch(options->watch_context, &now);
    if (sv_ranks_rank() == 0 && options->checkpoint && options->checkpoint_every > 0 && (asked_to_end || search->iteration % options->checkpoint_every == 0)) {
        int rc = save(search, error);
        if (rc) return rc;
    }
    if (asked_to_end)
        return sv_error_set(error, SV_E_INTERRUPTED, "training: interrupted in iteration %lld", (long long)search->iteration);
    return stop;
}

/* ---- the line search ---- */

/* Armijo's rule, or, when f has reached the rounding of its own sum, a slope that fell (approximate Wolfe conditions: Hager, Zhang 2005). */
static int good_enough(double value, double trial, double step, double slope, double trial_slope)
{
    if (trial <= value + 1e-4 * step * slope && trial < value) return 1;
    return trial <= value + 1e-12 * fabs(value) && fabs(trial_slope) <= 0.9 * fabs(slope);
}

int sv_search_line(sv_search *search, const double *direction, double *step, double *trial_w, double *trial_gradient, double *hessian, sv_error *error)
{
    double slope = sv_dot(search->gradient, direction, search->n);
    for (int tries = 0; tries < 40; tries++) {
        double trial = INFINITY, trial_slope = INFINITY;
        for (size_t i = 0; i < search->n; i++)
            trial_w[i] = search->w[i] + *step * direction[i];
        int rc = sv_objective_value(search->objective, trial_w, &trial, trial_gradient, hessian, NULL);
        if (rc && rc != SV_E_NUMERIC) return sv_error_set(error, rc, "training: the rows could not be read again");
        if (rc) trial = INFINITY; /* a step so long that the loss overflowed */
        else trial_slope = sv_dot(trial_gradient, direction, search->n);
        if (good_enough(search->value, trial, *step, slope, trial_slope)) {
            memcpy(search->w, trial_w, search->n * sizeof *trial_w);
            memcpy(search->gradient, trial_gradient, search->n * sizeof *trial_gradient);
            search->value = trial;
            return 0;
        }
        double parabola = -0.5 * slope * *step * *step / (trial - search->value - slope * *step);
        *step = isfinite(parabola) ? fmin(fmax(parabola, 0.1 * *step), 0.5 * *step) : 0.1 * *step;
    }
    *step = 0;
    return 0;
}
