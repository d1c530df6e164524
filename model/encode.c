/* encode.c: what each encoder computes, over a run of rows of the evaluator's last block. A term has a dense part (numbers), an index part (which of its
   one-hot columns is set), or, as a pair, both. */
#include "alloc.h"
#include "pipeline_private.h"

#include <math.h>
#include <string.h>

/* x, or fill when missing, centred and scaled. In this order of operations, as model.onnx has them. */
static void encode_number(const sv_term *term, const double *restrict x, size_t n, double *restrict out)
{
    double fill = term->fill, mean = term->mean[0], scale = term->scale[0];
    for (size_t i = 0; i < n; i++)
        out[i] = ((x[i] != x[i] ? fill : x[i]) - mean) / scale;
}

static void encode_missing(const sv_term *term, const double *restrict x, size_t n, double *restrict out)
{
    double mean = term->mean[0], scale = term->scale[0];
    for (size_t i = 0; i < n; i++)
        out[i] = ((x[i] != x[i] ? 1.0 : 0.0) - mean) / scale;
}

static size_t map_position(int32_t code)
{
    return (size_t)((code < -1 ? -1 : code) + 1);
}

/* The position of the text; of an unknown one the fill, or, where unknown texts are refused, NaN. */
static void encode_ordinal(const sv_term *term, const int32_t *restrict codes, size_t n, double *restrict out)
{
    double mean = term->mean[0], scale = term->scale[0];
    for (size_t i = 0; i < n; i++) {
        int32_t position = term->map[map_position(codes[i])];
        out[i] = ((position >= 0 ? position : position == -1 ? term->fill : NAN) - mean) / scale;
    }
}

static double cube_above(double x, double knot)
{
    double d = x - knot;
    d = d < 0 ? 0 : d;
    return d * d * d;
}

/* Column 0 is x on [0, 1]; column k+1 is d_k - d_{K-2}, d_k = ((x - t_k)+^3 - (x - t_{K-1})+^3) / (t_{K-1} - t_k): ESL (5.4), (5.5), for K knots t. */
static void encode_spline(const sv_term *term, size_t j, const double *restrict values, size_t n, double *restrict out)
{
    size_t last = term->n_points - 1;
    double low = term->points[0], range = term->points[last] - low, mean = term->mean[j], scale = term->scale[j];
    double end = 1, before = (term->points[last - 1] - low) / range, knot = j ? (term->points[j - 1] - low) / range : 0;
    for (size_t i = 0; i < n; i++) {
        double x = ((values[i] != values[i] ? term->fill : values[i]) - low) / range, encoded = x;
        if (j) {
            double tail = cube_above(x, end);
            encoded = (cube_above(x, knot) - tail) / (end - knot) - (cube_above(x, before) - tail) / (end - before);
        }
        out[i] = (encoded - mean) / scale;
    }
}

static void multiply_dense(const sv_pipeline *pipeline, const sv_term *term, const sv_evaluator *evaluator, size_t j, size_t first, size_t n,
                           double *out)
{
    const sv_plan *left = &pipeline->plans[term->left], *right = &pipeline->plans[term->right];
    if (!left->n_dense || !right->n_dense) {
        sv_term_dense(pipeline, (size_t)(left->n_dense ? term->left : term->right), evaluator, j, first, n, out);
        return;
    }
    double other[SV_BLOCK_ROWS];
    sv_term_dense(pipeline, (size_t)term->left, evaluator, j / right->n_dense, first, n, out);
    sv_term_dense(pipeline, (size_t)term->right, evaluator, j % right->n_dense, first, n, other);
    for (size_t i = 0; i < n; i++)
        out[i] *= other[i];
}

void sv_term_dense(const sv_pipeline *pipeline, size_t index, const sv_evaluator *evaluator, size_t j, size_t first, size_t n, double *out)
{
    const sv_term *term = &pipeline->terms[index];
    const void *values = term->value >= 0 ? sv_evaluator_value(evaluator, term->value) : NULL;
    switch (term->encoder) {
    case SV_ENCODER_NUMBER:
        encode_number(term, (const double *)values + first, n, out);
        break;
    case SV_ENCODER_MISSING:
        encode_missing(term, (const double *)values + first, n, out);
        break;
    case SV_ENCODER_ORDINAL:
        encode_ordinal(term, (const int32_t *)values + first, n, out);
        break;
    case SV_ENCODER_SPLINE:
        encode_spline(term, j, (const double *)values + first, n, out);
        break;
    case SV_ENCODER_PAIR:
        multiply_dense(pipeline, term, evaluator, j, first, n, out);
        break;
    case SV_ENCODER_CATEGORY:
    case SV_ENCODER_HASH:
    case SV_ENCODER_BINS:
        break;
    }
}

static void index_by_map(const sv_term *term, const int32_t *restrict codes, size_t n, int32_t *restrict out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = term->map[map_position(codes[i])];
    if (term->encoder == SV_ENCODER_HASH)
        for (size_t i = 0; i < n; i++)
            if (codes[i] < -1)
                out[i] = (-2 - codes[i]) % (int32_t)term->width;
}

/* How many points are <= x; one less when the first bin has no column. A missing x without fill is refused. */
static void index_by_bin(const sv_term *term, const double *restrict values, size_t n, int32_t *restrict out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = -term->drop_first;
    for (size_t k = 0; k < term->n_points; k++) {
        double point = term->points[k];
        for (size_t i = 0; i < n; i++)
            out[i] += point <= (values[i] != values[i] ? term->fill : values[i]);
    }
    for (size_t i = 0; i < n && term->fill != term->fill; i++)
        if (values[i] != values[i])
            out[i] = -2;
}

/* -2 (refused) and -1 (no column) win over whatever the other side says. */
static void combine_indices(const sv_pipeline *pipeline, const sv_term *term, const sv_evaluator *evaluator, size_t first, size_t n, int32_t *out)
{
    const sv_plan *left = &pipeline->plans[term->left], *right = &pipeline->plans[term->right];
    if (!left->n_index || !right->n_index) {
        sv_term_index(pipeline, (size_t)(left->n_index ? term->left : term->right), evaluator, first, n, out);
        return;
    }
    int32_t other[SV_BLOCK_ROWS], width = (int32_t)right->n_index;
    sv_term_index(pipeline, (size_t)term->left, evaluator, first, n, out);
    sv_term_index(pipeline, (size_t)term->right, evaluator, first, n, other);
    for (size_t i = 0; i < n; i++) {
        int32_t least = out[i] < other[i] ? out[i] : other[i];
        out[i] = least < 0 ? least : out[i] * width + other[i];
    }
}

void sv_term_index(const sv_pipeline *pipeline, size_t index, const sv_evaluator *evaluator, size_t first, size_t n, int32_t *out)
{
    const sv_term *term = &pipeline->terms[index];
    const void *values = term->value >= 0 ? sv_evaluator_value(evaluator, term->value) : NULL;
    if (term->encoder == SV_ENCODER_PAIR)
        combine_indices(pipeline, term, evaluator, first, n, out);
    else if (term->encoder == SV_ENCODER_BINS)
        index_by_bin(term, (const double *)values + first, n, out);
    else
        index_by_map(term, (const int32_t *)values + first, n, out);
}

void sv_pipeline_encode(const sv_pipeline *pipeline, size_t index, const sv_evaluator *evaluator, size_t n_rows, double *out)
{
    const sv_plan *plan = &pipeline->plans[index];
    double dense[SV_BLOCK_ROWS];
    int32_t at[SV_BLOCK_ROWS];
    memset(out, 0, pipeline->terms[index].width * n_rows * sizeof *out);
    if (plan->n_index)
        sv_term_index(pipeline, index, evaluator, 0, n_rows, at);
    for (size_t j = 0; j < (plan->n_dense ? plan->n_dense : 1); j++) {
        if (plan->n_dense)
            sv_term_dense(pipeline, index, evaluator, j, 0, n_rows, plan->n_index ? dense : out + j * n_rows);
        for (size_t i = 0; i < n_rows && plan->n_index; i++) {
            if (at[i] >= 0)
                out[(j * plan->dense_stride + (size_t)at[i] * plan->index_stride) * n_rows + i] = plan->n_dense ? dense[i] : 1;
            for (size_t w = 0; at[i] == -2 && w < pipeline->terms[index].width; w++)
                out[w * n_rows + i] = NAN;
        }
    }
}
