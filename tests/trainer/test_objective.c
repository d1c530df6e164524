/* The pass over the rows against the naive loop: every loss, narrow and wide columns, factors with dropped levels, masks, weights, offsets. */
#include "alloc.h"
#include "design_block.h"
#include "kernel.h"
#include "objective.h"
#include "prng.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { N = 9000, NUMBERS = 6, FACTORS = 4 };

typedef struct world {
    sv_design *design;
    int8_t tiny[N];
    int32_t wide[N];
    double real[NUMBERS][N], target[N], weights[N], offsets[N], class_weights[3];
    uint8_t codes[FACTORS][N], parts[N];
} world;

static const size_t levels[FACTORS] = {12, 3, 40, 2};

static world *build(int n_classes, int weighted)
{
    world *w = sv_calloc(1, sizeof *w);
    sv_prng prng;
    sv_prng_seed(&prng, 7);
    sv_error error = SV_ERROR_INIT;
    cr_assert_eq(sv_design_new(&w->design, N, NUMBERS, FACTORS, &error), 0);
    sv_design *d = w->design;
    for (size_t i = 0; i < N; i++) {
        w->tiny[i] = (int8_t)(sv_prng_below(&prng, 200) - 100);
        w->wide[i] = (int32_t)sv_prng_below(&prng, 100000) - 5000;
        for (int j = 2; j < NUMBERS; j++)
            w->real[j][i] = sv_prng_uniform(&prng) < 0.05 && j == 4 ? NAN : 50 + sv_prng_normal(&prng);
        for (int f = 0; f < FACTORS; f++)
            w->codes[f][i] = (uint8_t)sv_prng_below(&prng, levels[f]);
        w->target[i] = n_classes ? (double)sv_prng_below(&prng, (uint64_t)n_classes) : floor(5 * sv_prng_uniform(&prng));
        w->parts[i] = sv_prng_uniform(&prng) < 0.3;
        w->weights[i] = sv_prng_below(&prng, 3) * 0.75;
        w->offsets[i] = sv_prng_normal(&prng) / 10;
        if (w->parts[i]) w->target[i] = n_classes ? 0 : NAN;
    }
    for (int j = 0; j < NUMBERS; j++)
        d->numbers[j] = (sv_design_number){.data = w->real[j], .store = SV_STORE_F64, .fill = 49, .centre = 50, .scale = 1.5, .may_be_nan = j == 4};
    d->numbers[0] = (sv_design_number){.data = w->tiny, .store = SV_STORE_I8, .centre = 0.5, .scale = 57};
    d->numbers[1] = (sv_design_number){.data = w->wide, .store = SV_STORE_I32, .centre = 45000, .scale = 28000};
    d->numbers[3].centre = 4; /* so near, for its scale, that it is read in place */
    for (size_t f = 0; f < FACTORS; f++) {
        int32_t slots[40];
        for (size_t c = 0; c < levels[f]; c++)
            slots[c] = (int32_t)c - (f != 1); /* the first level of all but one is dropped */
        d->factors[f].codes = w->codes[f];
        d->factors[f].store = SV_STORE_CODE8;
        cr_assert_eq(sv_design_set_slots(d, f, slots, levels[f], levels[f] - (f != 1), &error), 0);
    }
    d->target = w->target;
    d->target_store = SV_STORE_F64;
    d->n_classes = (size_t)n_classes;
    d->parts = w->parts;
    if (weighted) {
        w->class_weights[0] = 1;
        w->class_weights[1] = 2.5;
        w->class_weights[2] = 0.25;
        d->weights = w->weights;
        d->offsets = w->offsets;
        if (n_classes) d->class_weights = w->class_weights;
    }
    cr_assert_eq(sv_design_finish(d, NULL, &error), 0, "%s", error.message);
    return w;
}

static void encode(const world *w, size_t i, double *x)
{
    const sv_design *d = w->design;
    memset(x, 0, d->n_weights * sizeof *x);
    for (size_t j = 0; j < NUMBERS; j++) {
        double v;
        sv_design_widen(&v, d->numbers[j].data, d->numbers[j].store, i, 1);
        x[j] = ((isnan(v) ? d->numbers[j].fill : v) - d->numbers[j].centre) / d->numbers[j].scale;
    }
    for (size_t f = 0; f < FACTORS; f++) {
        int32_t slot = d->factors[f].slots[w->codes[f][i]];
        if (slot >= 0) x[d->factors[f].first + (size_t)slot] = 1;
    }
    x[d->n_weights - 1] = 1;
}

/* One loss's value, slope and curvature for class k, straight from its definition. */
static void naive_loss(sv_loss loss, const double *z, size_t K, size_t k, double y, double *value, double *slope, double *curvature)
{
    double sum = 0;
    for (size_t c = 0; c < K; c++)
        sum += exp(z[c]);
    switch (loss) {
    case SV_LOSS_LOGISTIC: {
        double p = 1 / (1 + exp(-z[0]));
        *value = log(1 + exp(z[0])) - y * z[0];
        *slope = p - y;
        *curvature = p * (1 - p);
        break;
    }
    case SV_LOSS_SQUARED: *value = (y - z[0]) * (y - z[0]) / 2; *slope = z[0] - y; *curvature = 1; break;
    case SV_LOSS_POISSON: *value = exp(z[0]) - y * z[0]; *slope = exp(z[0]) - y; *curvature = exp(z[0]); break;
    case SV_LOSS_SOFTMAX:
        *value = log(sum) - z[(size_t)y];
        *slope = exp(z[k]) / sum - (y == (double)k);
        *curvature = exp(z[k]) / sum * (1 - exp(z[k]) / sum);
        break;
    }
}

static double naive(const world *w, sv_loss loss, size_t K, double c, double l2, const double *weights, double *g, double *H)
{
    const sv_design *d = w->design;
    size_t p = d->n_weights;
    double total = 0, x[128], z[3];
    memset(g, 0, K * p * sizeof *g);
    memset(H, 0, K * p * p * sizeof *H);
    for (size_t i = 0; i < N; i++) {
        if (w->parts[i]) continue;
        double weight = (d->weights ? w->weights[i] : 1) * (d->class_weights ? w->class_weights[(size_t)w->target[i]] : 1), value = 0, slope, curvature;
        encode(w, i, x);
        for (size_t k = 0; k < K; k++) {
            z[k] = d->offsets ? w->offsets[i] : 0;
            for (size_t j = 0; j < p; j++)
                z[k] += weights[k * p + j] * x[j];
        }
        for (size_t k = 0; k < K; k++) {
            naive_loss(loss, z, K, k, w->target[i], &value, &slope, &curvature);
            for (size_t a = 0; a < p; a++) {
                g[k * p + a] += c * weight * slope * x[a];
                for (size_t b = 0; x[a] != 0 && b < p; b++)
                    H[(k * p + a) * p + b] += c * weight * curvature * x[a] * x[b];
            }
        }
        total += c * weight * value;
    }
    for (size_t k = 0; k < K; k++)
        for (size_t j = 0; j + 1 < p; j++) {
            total += l2 / 2 * weights[k * p + j] * weights[k * p + j];
            g[k * p + j] += l2 * weights[k * p + j];
            H[(k * p + j) * p + j] += l2;
        }
    return total;
}

static void close_enough(const double *a, const double *b, size_t n, const char *what)
{
    double top = 0;
    for (size_t i = 0; i < n; i++)
        top = fmax(top, fabs(b[i]));
    for (size_t i = 0; i < n; i++)
        cr_assert(fabs(a[i] - b[i]) <= 1e-10 * top, "%s[%zu]: expected %.17g, got %.17g", what, i, b[i], a[i]);
}

static void compare(sv_loss loss, size_t K, int n_classes, int weighted)
{
    world *w = build(n_classes, weighted);
    sv_error error = SV_ERROR_INIT;
    sv_team *team = NULL;
    sv_objective *objective = NULL;
    size_t p = w->design->n_weights;
    double *weights = sv_calloc(K * p, sizeof(double)), *g = sv_calloc(2 * K * p, sizeof(double)), *H = sv_calloc(2 * K * p * p, sizeof(double)), value;
    for (size_t i = 0; i < K * p; i++)
        weights[i] = 0.1 * sin((double)i);
    cr_assert_eq(sv_team_new(&team, 2, &error), 0);
    cr_assert_eq(sv_objective_new(&objective, w->design, loss, 0.7, 1.3, team, NULL, &error), 0);
    cr_assert_eq(sv_objective_value(objective, weights, &value, g, H, &error), 0, "%s", error.message);
    double expected = naive(w, loss, K, 0.7, 1.3, weights, g + K * p, H + K * p * p);
    cr_assert(fabs(value - expected) <= 1e-12 * fabs(expected), "value: expected %.17g, got %.17g", expected, value);
    close_enough(g, g + K * p, K * p, "gradient");
    close_enough(H, H + K * p * p, K * p * p, "hessian");
    double *diagonal = sv_calloc(2 * K * p, sizeof(double));
    cr_assert_eq(sv_objective_diagonal(objective, weights, diagonal, &error), 0);
    for (size_t i = 0; i < K * p; i++)
        diagonal[K * p + i] = H[K * p * p + i * p + i % p];
    close_enough(diagonal, diagonal + K * p, K * p, "diagonal");
    sv_objective_free(objective);
    sv_team_free(team);
    sv_design_free(w->design);
    sv_free(diagonal);
    sv_free(weights);
    sv_free(g);
    sv_free(H);
    sv_free(w);
}

Test(objective, logistic_is_the_naive_loop) { compare(SV_LOSS_LOGISTIC, 1, 2, 0); }
Test(objective, logistic_with_weights_and_offsets) { compare(SV_LOSS_LOGISTIC, 1, 2, 1); }
Test(objective, softmax) { compare(SV_LOSS_SOFTMAX, 3, 3, 0); }
Test(objective, softmax_with_weights_and_offsets) { compare(SV_LOSS_SOFTMAX, 3, 3, 1); }
Test(objective, squared) { compare(SV_LOSS_SQUARED, 1, 0, 1); }
Test(objective, poisson) { compare(SV_LOSS_POISSON, 1, 0, 1); }

/* The second derivatives between all scores, (K p, K p), straight from their definition. */
static void naive_joined(const world *w, size_t K, double c, double l2, const double *weights, double *H)
{
    const sv_design *d = w->design;
    size_t p = d->n_weights, n = K * p;
    double x[128], z[3];
    for (size_t i = 0; i < N; i++) {
        double weight = w->parts[i] ? 0 : c * w->weights[i] * w->class_weights[(size_t)w->target[i]], sum = 0;
        encode(w, i, x);
        for (size_t k = 0; k < K; k++) {
            z[k] = w->offsets[i];
            for (size_t j = 0; j < p; j++)
                z[k] += weights[k * p + j] * x[j];
            sum += exp(z[k]);
        }
        for (size_t r = 0; weight > 0 && r < n; r++)
            for (size_t s = 0; x[r % p] != 0 && s < n; s++) {
                double p_r = exp(z[r / p]) / sum, p_s = exp(z[s / p]) / sum;
                H[r * n + s] += weight * (r / p == s / p ? p_r * (1 - p_r) : -p_r * p_s) * x[r % p] * x[s % p];
            }
    }
    for (size_t r = 0; r < n; r++)
        if (r % p != p - 1) H[r * n + r] += l2;
}

Test(objective, joined_scores_have_one_hessian)
{
    enum { K = 3 };
    world *w = build(K, 1);
    sv_error error = SV_ERROR_INIT;
    sv_team *team = NULL;
    sv_objective *objective = NULL, *sample = NULL;
    size_t n = K * w->design->n_weights;
    double *weights = sv_calloc(2 * n, sizeof(double)), *H = sv_calloc(2 * n * n, sizeof(double)), value;
    for (size_t i = 0; i < n; i++)
        weights[i] = 0.1 * sin((double)i);
    cr_assert_eq(sv_team_new(&team, 2, &error), 0);
    cr_assert_eq(sv_objective_new(&objective, w->design, SV_LOSS_SOFTMAX, 0.7, 1.3, team, NULL, &error), 0);
    cr_assert_eq(sv_objective_blocks(objective), K);
    cr_assert_eq(sv_objective_join_scores(objective, &error), 0);
    cr_assert_eq(sv_objective_blocks(objective), 1);
    cr_assert_eq(sv_objective_value(objective, weights, &value, weights + n, H, &error), 0, "%s", error.message);
    naive_joined(w, K, 0.7, 1.3, weights, H + n * n);
    close_enough(H, H + n * n, n * n, "hessian");
    cr_assert_eq(sv_objective_sample(&sample, objective, 3, &error), 0);
    cr_assert_eq(sv_objective_blocks(sample), 1);
    sv_objective_free(sample);
    sv_objective_free(objective);
    sv_team_free(team);
    sv_design_free(w->design);
    sv_free(weights);
    sv_free(H);
    sv_free(w);
}

/* The sample is the rows of one run in every three: the naive loop over them alone, weighing as much as all rows do. */
Test(objective, a_sample_stands_for_all_rows)
{
    enum { STRIDE = 3 };
    world *w = build(2, 1);
    sv_error error = SV_ERROR_INIT;
    sv_team *team = NULL;
    sv_objective *whole = NULL, *sample = NULL;
    size_t p = w->design->n_weights;
    double weights[128], g[128], expected_g[128], *H = sv_calloc(2 * p * p, sizeof(double)), value, before = sv_design_total_weight(w->design, NULL);
    uint8_t chosen[N] = {0};
    for (size_t i = 0; i < p; i++)
        weights[i] = 0.1 * sin((double)i);
    cr_assert_eq(sv_team_new(&team, 2, &error), 0);
    cr_assert_eq(sv_objective_new(&whole, w->design, SV_LOSS_LOGISTIC, 0.7, 1.3, team, NULL, &error), 0);
    cr_assert_eq(sv_objective_sample(&sample, whole, STRIDE, &error), 0);
    cr_assert_eq(sv_objective_value(sample, weights, &value, g, H, &error), 0, "%s", error.message);
    for (size_t group = 0; group < N / SV_RUN_ROWS / STRIDE; group++)
        memset(chosen + (group * STRIDE + sv_mix64(group) % STRIDE) * SV_RUN_ROWS, 1, SV_RUN_ROWS);
    for (size_t i = 0; i < N; i++)
        w->parts[i] |= !chosen[i];
    double c = 0.7 * before / sv_design_total_weight(w->design, NULL), expected = naive(w, SV_LOSS_LOGISTIC, 1, c, 1.3, weights, expected_g, H + p * p);
    cr_assert(fabs(value - expected) <= 1e-12 * fabs(expected), "value: expected %.17g, got %.17g", expected, value);
    cr_assert_float_eq(sv_objective_total(sample), sv_objective_total(whole), 0);
    close_enough(g, expected_g, p, "gradient");
    close_enough(H, H + p * p, p * p, "hessian");
    sv_objective_free(sample);
    sv_objective_free(whole);
    sv_team_free(team);
    sv_design_free(w->design);
    sv_free(H);
    sv_free(w);
}

Test(objective, any_number_of_threads_gives_the_same_bits)
{
    world *w = build(2, 0);
    sv_error error = SV_ERROR_INIT;
    size_t p = w->design->n_weights;
    double first[128] = {0}, g[128], *H = sv_calloc(2 * p * p, sizeof(double)), weights[128], values[2];
    for (size_t i = 0; i < p; i++)
        weights[i] = 0.1 * sin((double)i);
    for (size_t threads = 1; threads <= 4; threads++) {
        sv_team *team = NULL;
        sv_objective *objective = NULL;
        cr_assert_eq(sv_team_new(&team, threads, &error), 0);
        cr_assert_eq(sv_objective_new(&objective, w->design, SV_LOSS_LOGISTIC, 1, 1, team, NULL, &error), 0);
        cr_assert_eq(sv_objective_value(objective, weights, &values[threads > 1], threads > 1 ? g : first, H + (threads > 1) * p * p, &error), 0);
        cr_assert(threads == 1 || (!memcmp(g, first, p * sizeof *g) && !memcmp(values, values + 1, sizeof *values) && !memcmp(H, H + p * p, p * p * sizeof *H)));
        sv_objective_free(objective);
        sv_team_free(team);
    }
    sv_free(H);
    sv_design_free(w->design);
    sv_free(w);
}

Test(kernel, exp_is_within_two_units_of_the_last_place)
{
    sv_prng prng;
    double x[64], y[64];
    sv_prng_seed(&prng, 3);
    for (int round = 0; round < 2000; round++) {
        for (int i = 0; i < 64; i++)
            x[i] = 1400 * sv_prng_uniform(&prng) - 700;
        sv_kernel_exp(y, x, 64);
        for (int i = 0; i < 64; i++)
            cr_assert(fabs(y[i] / exp(x[i]) - 1) < 4.5e-16, "exp(%.17g): expected %.17g, got %.17g", x[i], exp(x[i]), y[i]);
    }
    double ends[8] = {-1000, -INFINITY, 0, 709, 0, 0, 0, 0}, out[8];
    sv_kernel_exp(out, ends, 8);
    cr_assert(out[0] < 1e-300 && out[1] < 1e-300 && out[2] == 1 && isfinite(out[3]));
}
