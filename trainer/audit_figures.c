#include "audit_figures.h"
#include "alloc.h"
#include "figures.h"

#include <math.h>
#include <string.h>

enum { BINS = 20, SHIFT_BINS = 10, TARGET_BINS = 10, LEVELS_MAX = 20000, IDENTIFIER_ROWS = 20 };

/* The training rows' values that are not missing, in order, and the AUC of them for a target of two classes. */
typedef struct ordered {
    double *values;
    size_t n;
    double auc; /* NaN for other targets, and where a class is absent */
} ordered;

/* Two sorted halves into one; equal values of both count half. */
static void merge(ordered *out, const double *up, size_t n_up, const double *down, size_t n_down)
{
    double area = 0;
    for (size_t i = 0, j = 0; i < n_up || j < n_down;) {
        double least = j == n_down || (i < n_up && up[i] < down[j]) ? up[i] : down[j];
        size_t first_up = i, first_down = j;
        for (; i < n_up && up[i] == least; i++)
            out->values[out->n++] = least;
        for (; j < n_down && down[j] == least; j++)
            out->values[out->n++] = least;
        area += (double)(i - first_up) * ((double)first_down + (double)(j - first_down) / 2);
    }
    out->auc = n_up && n_down ? area / (double)n_up / (double)n_down : NAN;
}

/* Out of memory: none, and no AUC. The values are the caller's (sv_free). */
static ordered order_training(const double *values, const sv_audit_input *in)
{
    ordered out = {.values = sv_array(in->n + 1, sizeof *out.values), .auc = NAN};
    double *halves = sv_array(in->n + 1, sizeof *halves);
    size_t n_up = 0, n_down = 0, is_binary = in->target_type == SV_BOOLEAN;
    for (size_t i = 0; out.values && halves && i < in->n; i++) {
        if (in->parts[i] != SV_PART_TRAIN || isnan(values[i]))
            continue;
        if (is_binary && in->target[i] != 0)
            halves[n_up++] = values[i] + 0.0; /* -0 is 0 */
        else
            halves[in->n - ++n_down] = values[i] + 0.0;
    }
    double *down = halves ? halves + in->n - n_down : NULL;
    if (out.values && halves && !sv_sort(halves, n_up) && !sv_sort(down, n_down))
        merge(&out, halves, n_up, down, n_down);
    sv_free(halves);
    return out;
}

/* Distinct quantiles of the finite values into edges; how many. */
static size_t quantiles(double *edges, size_t n_bins, const ordered *all)
{
    const double *sorted = all->values;
    size_t m = all->n, n_edges = 0;
    while (m && isinf(sorted[m - 1]) && sorted[m - 1] > 0)
        m--;
    for (; m && isinf(sorted[0]); m--)
        sorted++;
    for (size_t b = 1; b < n_bins && m; b++) {
        double edge = sorted[b * m / n_bins];
        if (edge > sorted[0] && (!n_edges || edge > edges[n_edges - 1]))
            edges[n_edges++] = edge;
    }
    return n_edges;
}

/* 0 for a missing value, then 1 …: the count of edges that are not above it. */
static size_t bin_of(double value, const double *edges, size_t n_edges)
{
    size_t bin = 1;
    if (isnan(value))
        return 0;
    for (size_t e = 0; e < n_edges; e++)
        bin += value >= edges[e];
    return bin;
}

/* The cell of a value: a text's code, or a quantile bin. */
static size_t cell_of(const sv_audit_input *in, size_t i, const double *edges, size_t n_edges)
{
    return in->is_text ? (size_t)(in->values[i] + 1) : bin_of(in->values[i], edges, n_edges);
}

static size_t count_cells(const sv_audit_input *in, size_t n_edges)
{
    double most = 0;
    for (size_t i = 0; in->is_text && i < in->n; i++)
        most = in->values[i] > most ? in->values[i] : most;
    return in->is_text ? (size_t)most + 2 : n_edges + 2;
}

static double entropy(const double *counts, size_t n, double total, size_t *occupied)
{
    double sum = 0;
    *occupied = 0;
    for (size_t i = 0; i < n; i++)
        if (counts[i] > 0) {
            sum -= counts[i] / total * log(counts[i] / total);
            (*occupied)++;
        }
    return sum;
}

/* Mutual information of cells and target classes over the training rows, as a share of the target's entropy. NaN where there is none to speak of: texts of
   which hardly one comes again (*is_identifier) "tell" any target. */
static double information(int *is_identifier, const sv_audit_input *in, const double *edges, size_t n_edges)
{
    double target_edges[TARGET_BINS], total = 0, result = NAN;
    ordered targets = in->target_type == SV_DOUBLE ? order_training(in->target, in) : (ordered){0};
    size_t n_target_edges = quantiles(target_edges, TARGET_BINS, &targets), n_classes = n_target_edges + 2;
    sv_free(targets.values);
    for (size_t i = 0; i < in->n && in->target_type != SV_DOUBLE; i++)
        n_classes = (size_t)in->target[i] + 1 > n_classes ? (size_t)in->target[i] + 1 : n_classes;
    size_t n_cells = count_cells(in, n_edges), used_cells, used_classes, used_joint;
    if (n_cells > LEVELS_MAX)
        return NAN;
    double *joint = sv_calloc(n_cells * n_classes, sizeof *joint), *cells = sv_calloc(n_cells, sizeof *cells), *classes = sv_calloc(n_classes, sizeof *classes);
    for (size_t i = 0; joint && cells && classes && i < in->n; i++) {
        if (in->parts[i] != SV_PART_TRAIN)
            continue;
        size_t cell = cell_of(in, i, edges, n_edges);
        size_t class_index = in->target_type == SV_DOUBLE ? bin_of(in->target[i], target_edges, n_target_edges) : (size_t)in->target[i];
        joint[cell * n_classes + class_index]++;
        cells[cell]++;
        classes[class_index]++;
        total++;
    }
    if (joint && cells && classes && total > 0) {
        double h_cells = entropy(cells, n_cells, total, &used_cells), h_classes = entropy(classes, n_classes, total, &used_classes);
        double h_joint = entropy(joint, n_cells * n_classes, total, &used_joint);
        double correction = ((double)used_cells + (double)used_classes - (double)used_joint - 1) / (2 * total); /* Miller 1955 */
        result = h_classes > 0 ? (h_cells + h_classes - h_joint + correction) / h_classes : NAN;
        result = result < 0 ? 0 : result > 1 ? 1 : result;
        *is_identifier = in->is_text && total >= IDENTIFIER_ROWS && (double)used_cells > total / 2;
        if (*is_identifier)
            result = NAN;
    }
    sv_free(joint);
    sv_free(cells);
    sv_free(classes);
    return result;
}

/* A text as a number: the target's rate in the other half of its rows, so that a text of one row tells nothing. */
static int rates(double *out, const sv_audit_input *in)
{
    size_t n_cells = count_cells(in, 0);
    double *sums = sv_calloc(2 * n_cells, sizeof *sums), *counts = sv_calloc(2 * n_cells, sizeof *counts), all = 0, n = 0;
    int failed = !sums || !counts;
    for (size_t i = 0; !failed && i < in->n; i++) {
        if (in->parts[i] != SV_PART_TRAIN)
            continue;
        size_t cell = 2 * (size_t)(in->values[i] + 1) + (i & 1);
        sums[cell] += in->target[i];
        counts[cell]++;
        all += in->target[i];
        n++;
    }
    for (size_t i = 0; !failed && i < in->n; i++) {
        size_t other = 2 * (size_t)(in->values[i] + 1) + !(i & 1);
        out[i] = (sums[other] + all / n) / (counts[other] + 1);
    }
    sv_free(sums);
    sv_free(counts);
    return failed ? SV_E_MEMORY : 0;
}

static double correlation(const double *scores, const sv_audit_input *in)
{
    double n = 0, x = 0, y = 0, xx = 0, yy = 0, xy = 0;
    for (int pass = 0; pass < 2; pass++) /* means, then products about them */
        for (size_t i = 0; i < in->n; i++) {
            if (in->parts[i] != SV_PART_TRAIN || !isfinite(scores[i]))
                continue;
            if (pass) {
                xx += (scores[i] - x / n) * (scores[i] - x / n);
                yy += (in->target[i] - y / n) * (in->target[i] - y / n);
                xy += (scores[i] - x / n) * (in->target[i] - y / n);
                continue;
            }
            n++;
            x += scores[i];
            y += in->target[i];
        }
    return xx > 0 && yy > 0 ? fabs(xy) / sqrt(xx * yy) : NAN;
}

/* Sum over the cells of (test - train) * log(test / train) of their shares; half a row is added to each cell. */
static double psi(const sv_audit_input *in, const double *edges, size_t n_edges)
{
    double n[2] = {0}, sum = 0;
    size_t n_cells = count_cells(in, n_edges);
    double *counts = n_cells > 1000 ? NULL : sv_calloc(2 * n_cells, sizeof *counts);
    for (size_t i = 0; counts && i < in->n; i++) {
        if (in->parts[i] != SV_PART_TRAIN && in->parts[i] != SV_PART_TEST)
            continue;
        int side = in->parts[i] == SV_PART_TEST;
        counts[2 * cell_of(in, i, edges, n_edges) + (size_t)side]++;
        n[side]++;
    }
    for (size_t c = 0; counts && c < n_cells; c++) {
        double train = (counts[2 * c] + 0.5) / (n[0] + 0.5 * (double)n_cells), test = (counts[2 * c + 1] + 0.5) / (n[1] + 0.5 * (double)n_cells);
        if (counts[2 * c] + counts[2 * c + 1] > 0)
            sum += (test - train) * log(test / train);
    }
    int said = counts && n[0] >= 200 && n[1] >= 200;
    sv_free(counts);
    return said ? sum : NAN;
}

/* Values within 0 … 1 whose sum in each quantile bin is the count of 1s there, as far as chance allows, and that differ enough to mean something. */
static int is_probability(const sv_audit_input *in, const double *edges, size_t n_edges)
{
    double said[BINS + 1] = {0}, came[BINS + 1] = {0}, variance[BINS + 1] = {0}, n = 0, chi = 0;
    if (in->target_type != SV_BOOLEAN || in->is_text || n_edges < BINS / 2)
        return 0;
    for (size_t i = 0; i < in->n; i++) {
        double p = in->values[i];
        if (in->parts[i] != SV_PART_TRAIN || isnan(p))
            continue;
        if (!(p >= 0 && p <= 1))
            return 0;
        size_t bin = bin_of(p, edges, n_edges);
        said[bin] += p;
        came[bin] += in->target[i] != 0;
        variance[bin] += p * (1 - p);
        n++;
    }
    for (size_t bin = 1; bin <= n_edges + 1; bin++)
        chi += (came[bin] - said[bin]) * (came[bin] - said[bin]) / (variance[bin] > 0 ? variance[bin] : 1e-9);
    double degrees = (double)n_edges + 1; /* of chi-square, whose deviation is sqrt(2 degrees) */
    return n >= 500 && edges[n_edges - 1] - edges[0] > 0.2 && chi < degrees + 3 * sqrt(2 * degrees);
}

void sv_audit_figures(sv_audit_feature *feature, const sv_audit_input *in)
{
    double edges[BINS], shift_edges[SHIFT_BINS], *encoded = NULL;
    const double *scores = in->values;
    feature->auc = feature->information = feature->psi = NAN;
    if (in->is_text && in->target_type != SV_STRING) {
        encoded = sv_array(in->n + 1, sizeof *encoded);
        if (!encoded || rates(encoded, in)) {
            sv_free(encoded);
            return;
        }
        scores = encoded;
    }
    ordered all = order_training(scores, in);
    size_t n_edges = in->is_text ? 0 : quantiles(edges, BINS, &all), n_shift_edges = in->is_text ? 0 : quantiles(shift_edges, SHIFT_BINS, &all);
    if (in->target_type == SV_BOOLEAN)
        feature->auc = all.auc < 0.5 ? 1 - all.auc : all.auc;
    else if (in->target_type == SV_DOUBLE)
        feature->auc = correlation(scores, in);
    feature->is_probability = is_probability(in, edges, n_edges);
    feature->information = information(&feature->is_identifier, in, edges, n_edges);
    feature->psi = psi(in, shift_edges, n_shift_edges);
    sv_free(all.values);
    sv_free(encoded);
}
