/* figures.c: figures of binary predictions from cells. */
#include "figures.h"

#include "alloc.h"
#include "prng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const sv_figure_names[SV_FIGURES] = {
    [SV_FIGURE_ACCURACY] = "accuracy", [SV_FIGURE_BALANCED_ACCURACY] = "balanced_accuracy", [SV_FIGURE_LOG_LOSS] = "log_loss", [SV_FIGURE_BRIER] = "brier",
    [SV_FIGURE_ROC_AUC] = "roc_auc", [SV_FIGURE_PR_AUC] = "pr_auc", [SV_FIGURE_F1] = "f1", [SV_FIGURE_MCC] = "mcc", [SV_FIGURE_KS] = "ks",
    [SV_FIGURE_ECE] = "ece", [SV_FIGURE_PRECISION] = "precision", [SV_FIGURE_RECALL] = "recall",
};

/* ---- ranking: least significant digit first, 11 bits at a time ---- */

typedef struct keyed {
    uint64_t key;
    uint32_t row;
} keyed;

/* A number as an integer of the same order; NaN lowest. */
static uint64_t key_of(double x)
{
    uint64_t bits;
    if (isnan(x)) return 0;
    x += 0.0; /* -0 is 0 */
    memcpy(&bits, &x, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

int sv_rank(uint32_t *order, const double *score, size_t n)
{
    enum { BITS = 11, SIZE = 1 << BITS, PASSES = 6 };
    keyed *items = sv_array(2 * n + 1, sizeof *items), *from = items, *to = items ? items + n : NULL;
    size_t(*counts)[SIZE] = sv_calloc(PASSES, sizeof *counts);
    if (!items || !counts || n > UINT32_MAX) {
        sv_free(items);
        sv_free(counts);
        return SV_E_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        from[i] = (keyed){key_of(score[i]), (uint32_t)i};
        for (int pass = 0; pass < PASSES; pass++)
            counts[pass][from[i].key >> (pass * BITS) & (SIZE - 1)]++;
    }
    for (int pass = 0; pass < PASSES; pass++) {
        size_t *count = counts[pass], sum = 0;
        if (n && count[from[0].key >> (pass * BITS) & (SIZE - 1)] == n) continue; /* all alike in this digit */
        for (size_t d = 0; d < SIZE; d++) {
            size_t here = count[d];
            count[d] = sum;
            sum += here;
        }
        for (size_t i = 0; i < n; i++)
            to[count[from[i].key >> (pass * BITS) & (SIZE - 1)]++] = from[i];
        keyed *swap = from;
        from = to;
        to = swap;
    }
    for (size_t i = 0; i < n; i++)
        order[i] = from[i].row;
    sv_free(items);
    sv_free(counts);
    return 0;
}

static double number_of(uint64_t key)
{
    double x;
    uint64_t bits = key >> 63 ? key & ~(UINT64_C(1) << 63) : ~key;
    if (key == 0) return NAN;
    memcpy(&x, &bits, sizeof x);
    return x;
}

int sv_sort(double *values, size_t n)
{
    enum { BITS = 11, SIZE = 1 << BITS, PASSES = 6 };
    uint64_t *keys = sv_array(2 * n + 1, sizeof *keys), *from = keys, *to = keys ? keys + n : NULL, differ = 0;
    size_t count[SIZE];
    if (!keys) return SV_E_MEMORY;
    for (size_t i = 0; i < n; i++) {
        from[i] = key_of(values[i]);
        differ |= from[i] ^ from[0];
    }
    for (int shift = 0; shift < PASSES * BITS; shift += BITS) {
        size_t sum = 0;
        if (!(differ >> shift & (SIZE - 1))) continue; /* all alike in this digit */
        memset(count, 0, sizeof count);
        for (size_t i = 0; i < n; i++)
            count[from[i] >> shift & (SIZE - 1)]++;
        for (size_t d = 0; d < SIZE; d++) {
            size_t here = count[d];
            count[d] = sum;
            sum += here;
        }
        for (size_t i = 0; i < n; i++)
            to[count[from[i] >> shift & (SIZE - 1)]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    for (size_t i = 0; i < n; i++)
        values[i] = number_of(from[i]);
    sv_free(keys);
    return 0;
}

/* ---- cells ---- */

void sv_cells_free(sv_cells *cells)
{
    if (cells) sv_free(cells->cells);
}

int sv_cells_copy(sv_cells *out, const sv_cells *cells)
{
    *out = *cells;
    out->cells = sv_array(cells->n ? cells->n : 1, sizeof *out->cells);
    if (!out->cells) return SV_E_MEMORY;
    if (cells->n) memcpy(out->cells, cells->cells, cells->n * sizeof *out->cells);
    return 0;
}

static void add_cell(sv_cell *to, const sv_cell *from)
{
    double n = from->positives + from->negatives, all = to->positives + to->negatives + n, share = all > 0 ? n / all : 0;
    to->p += share * (from->p - to->p);
    to->loss_positive += share * (from->loss_positive - to->loss_positive);
    to->loss_negative += share * (from->loss_negative - to->loss_negative);
    to->square_positive += share * (from->square_positive - to->square_positive);
    to->square_negative += share * (from->square_negative - to->square_negative);
    to->positives += from->positives;
    to->negatives += from->negatives;
}

int sv_cells_merge(sv_cells *out, const sv_cells *cells, size_t by)
{
    *out = (sv_cells){.positives = cells->positives, .negatives = cells->negatives, .cells = sv_calloc(cells->n + 1, sizeof *out->cells)};
    if (!out->cells) return SV_E_MEMORY;
    for (size_t k = 0, within = 0; k < cells->n; k++) {
        within = within == by || k == cells->first_predicted ? 0 : within;
        out->n += within++ == 0;
        add_cell(&out->cells[out->n - 1], &cells->cells[k]);
        if (k + 1 == cells->first_predicted) out->first_predicted = out->n;
    }
    return 0;
}

/* Walks down the probabilities: ranks, precision by recall, the largest distance of the two curves. */
static void figures_by_rank(double *f, const sv_cells *cells)
{
    double up = 0, down = 0, area = 0, precision = 0, distance = 0, P = cells->positives, N = cells->negatives;
    for (size_t k = cells->n; k-- > 0;) {
        const sv_cell *cell = &cells->cells[k];
        area += cell->negatives * (up + cell->positives / 2);
        up += cell->positives;
        down += cell->negatives;
        if (cell->positives > 0) precision += cell->positives * up / (up + down);
        distance = fmax(distance, fabs(up / P - down / N));
    }
    f[SV_FIGURE_ROC_AUC] = area / P / N;
    f[SV_FIGURE_PR_AUC] = precision / P;
    f[SV_FIGURE_KS] = P > 0 && N > 0 ? distance : NAN;
}

static void figures_by_label(double *f, const sv_cells *cells)
{
    double tp = 0, fp = 0, P = cells->positives, N = cells->negatives;
    for (size_t k = cells->first_predicted; k < cells->n; k++) {
        tp += cells->cells[k].positives;
        fp += cells->cells[k].negatives;
    }
    double fn = P - tp, tn = N - fp, spread = sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn));
    f[SV_FIGURE_ACCURACY] = (tp + tn) / (P + N);
    f[SV_FIGURE_BALANCED_ACCURACY] = (tp / P + tn / N) / 2;
    f[SV_FIGURE_PRECISION] = tp + fp > 0 ? tp / (tp + fp) : 0;
    f[SV_FIGURE_RECALL] = tp / P;
    f[SV_FIGURE_F1] = 2 * tp + fp + fn > 0 ? 2 * tp / (2 * tp + fp + fn) : 0;
    f[SV_FIGURE_MCC] = spread > 0 ? (tp * tn - fp * fn) / spread : 0;
}

static void figures_by_probability(double *f, const sv_cells *cells)
{
    double loss = 0, square = 0, n = cells->positives + cells->negatives, bins[10][3] = {{0}}, gap = 0;
    for (size_t k = 0; k < cells->n; k++) {
        const sv_cell *cell = &cells->cells[k];
        double rows = cell->positives + cell->negatives;
        int bin = cell->p >= 1 ? 9 : (int)(10 * cell->p);
        loss += cell->positives * cell->loss_positive + cell->negatives * cell->loss_negative;
        square += cell->positives * cell->square_positive + cell->negatives * cell->square_negative;
        bins[bin][0] += rows * cell->p;
        bins[bin][1] += cell->positives;
        bins[bin][2] += rows;
    }
    for (int b = 0; b < 10; b++)
        gap += fabs(bins[b][0] - bins[b][1]);
    f[SV_FIGURE_LOG_LOSS] = loss / n;
    f[SV_FIGURE_BRIER] = square / n;
    f[SV_FIGURE_ECE] = gap / n;
}

void sv_cells_figures(double figures[SV_FIGURES], const sv_cells *cells)
{
    figures_by_rank(figures, cells);
    figures_by_label(figures, cells);
    figures_by_probability(figures, cells);
}

void sv_cells_confusion(uint64_t confusion[2][2], const sv_cells *cells)
{
    memset(confusion, 0, 4 * sizeof(uint64_t));
    for (size_t k = 0; k < cells->n; k++) {
        confusion[1][k >= cells->first_predicted] += (uint64_t)cells->cells[k].positives;
        confusion[0][k >= cells->first_predicted] += (uint64_t)cells->cells[k].negatives;
    }
}

/* ---- the bootstrap ---- */

/* A draw of mean 0 and deviation 1, nearly normal: eight random bytes added up. What the figures add up over many cells is normal to the last digit that counts. */
static inline double normal(sv_prng *prng)
{
    uint64_t bytes = sv_prng_next(prng), pairs = (bytes & UINT64_C(0x00ff00ff00ff00ff)) + (bytes >> 8 & UINT64_C(0x00ff00ff00ff00ff));
    double sum = (double)(int64_t)(pairs * UINT64_C(0x0001000100010001) >> 48);
    return (sum - 1020) * 0.0047841745446450; /* 1 / sqrt(8 (2^16 - 1) / 12) */
}

/* One binomial draw of n rows. Small means are counted out; large ones, where the normal curve is as good, are drawn from it. */
static inline double binomial(sv_prng *prng, double n, const sv_chance *chance)
{
    double mean = n * chance->p;
    if (mean > 20) {
        double draw = floor(mean + sqrt(mean * chance->q) * normal(prng) + 0.5);
        return draw < 0 ? 0 : draw > n ? n : draw;
    }
    if (!(mean > 0)) return 0;
    double u = sv_prng_uniform(prng), term = exp(n * chance->log_q), count = 0; /* inversion */
    while (u > term && count < n) {
        u -= term;
        count++;
        term *= chance->odds * (n - count + 1) / count;
        if (term < 1e-300) break;
    }
    return count;
}

/* Of `left` rows those that fall into the cell. */
static inline double draw_share(sv_prng *prng, double left, const sv_chance *chance)
{
    if (left <= 0) return 0;
    return chance->turned ? left - binomial(prng, left, chance) : binomial(prng, left, chance);
}

/* The chance that a row which fell into no cell before falls into one with `mine` of the `mass` that is left. */
static sv_chance chance_of(double mine, double mass)
{
    double p = mass <= 0 ? 0 : mine >= mass ? 1 : mine / mass;
    int turned = p > 0.5;
    p = turned ? 1 - p : p;
    return (sv_chance){.p = p, .q = 1 - p, .log_q = log1p(-p), .odds = p / (1 - p), .turned = turned};
}

int sv_chances_new(sv_chance (**out)[2], const sv_cells *cells)
{
    double mass[2] = {cells->positives, cells->negatives};
    *out = sv_array(cells->n + 1, sizeof **out);
    if (!*out) return SV_E_MEMORY;
    for (size_t k = 0; k < cells->n; k++) {
        (*out)[k][0] = chance_of(cells->cells[k].positives, mass[0]);
        (*out)[k][1] = chance_of(cells->cells[k].negatives, mass[1]);
        mass[0] -= cells->cells[k].positives;
        mass[1] -= cells->cells[k].negatives;
    }
    return 0;
}

/* Rows of a class fall into cells multinomially: one conditional binomial after the other. */
void sv_cells_resample(sv_cells *out, const sv_cells *cells, const sv_chance (*chances)[2], uint64_t seed, uint64_t replicate)
{
    sv_prng prng;
    double up = cells->positives, down = cells->negatives;
    sv_prng_seed(&prng, sv_mix64(seed) ^ sv_mix64(replicate + 1));
    for (size_t k = 0; k < cells->n; k++) {
        double positives = draw_share(&prng, up, &chances[k][0]), negatives = draw_share(&prng, down, &chances[k][1]);
        out->cells[k].positives = positives;
        out->cells[k].negatives = negatives;
        up -= positives;
        down -= negatives;
    }
}

void sv_interval(double *values, size_t n, double confidence, double *low, double *high)
{
    *low = *high = NAN;
    for (size_t i = 0; i < n; i++)
        if (isnan(values[i])) return;
    if (!n) return;
    if (sv_sort(values, n)) return;
    double tail = (1 - confidence) / 2, at = tail * (double)(n - 1);
    size_t i = (size_t)at, j = n - 1 - i;
    double part = at - (double)i;
    *low = values[i] + (i + 1 < n ? part * (values[i + 1] - values[i]) : 0);
    *high = values[j] - (j > 0 ? part * (values[j] - values[j - 1]) : 0);
}
