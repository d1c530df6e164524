/* onnx_term.c: encoders as operators. Plain terms (number, missing, ordinal) go through one matrix: impute, centre, scale, multiply. One-hot terms are an
   index (LabelEncoder, or a count) and Gather in their weight table, whose last row of zeros stands for "no column". A refused text's index lies
   outside the table, which the runtime reports. */
#include "alloc.h"
#include "onnx_emit.h"

#include <string.h>

static const int64_t refused = (int64_t)1 << 40;

static int is_plain(const sv_term *term)
{
    return term->encoder == SV_ENCODER_NUMBER || term->encoder == SV_ENCODER_MISSING || term->encoder == SV_ENCODER_ORDINAL;
}

/* LabelEncoder over the term's categories. */
static int emit_lookup(sv_emitter *e, const sv_term *term, int64_t none)
{
    size_t n = sv_levels_count(term->categories);
    sv_onnx_text *keys = sv_arena_zero(&e->graph.arena, n, sizeof *keys);
    int64_t *values = sv_arena_zero(&e->graph.arena, n, sizeof *values);
    if (!keys || !values) {
        e->graph.code = SV_E_MEMORY;
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        keys[i].bytes = sv_levels_text(term->categories, i, &keys[i].length);
        values[i] = !term->columns ? (int64_t)i : term->columns[i] >= 0 ? term->columns[i] : none;
    }
    int64_t unknown = term->unknown == SV_UNKNOWN_ERROR ? refused : term->unknown == SV_UNKNOWN_COLUMN ? term->unknown_column : none;
    sv_onnx_attribute attributes[] = {{.name = "keys_strings", .texts = keys, .n = n},
                                      {.name = "values_int64s", .ints = values, .n = n},
                                      {.name = "default_int64", .i = unknown}};
    int text = sv_emit_value(e, term->value);
    return sv_onnx_node(&e->graph, "ml:LabelEncoder", -1, &text, 1, attributes, 3);
}

static int fill_missing(sv_onnx_graph *g, int x, double fill)
{
    return sv_onnx_three(g, "Where", sv_onnx_one(g, "IsNaN", x), sv_onnx_scalar(g, fill), x);
}

/* ---- plain terms: one matrix */

/* Position as a number; unknown: missing, so that fill takes its place (refused: fill is NaN there). */
static int emit_ordinal(sv_emitter *e, const sv_term *term)
{
    sv_onnx_graph *g = &e->graph;
    int position = sv_onnx_cast(g, emit_lookup(e, term, -1), SV_ONNX_DOUBLE);
    int known = sv_onnx_two(g, "LessOrEqual", position, sv_onnx_scalar(g, (double)sv_levels_count(term->categories)));
    int seen = sv_onnx_three(g, "Where", known, position, sv_onnx_scalar(g, __builtin_nan("")));
    double unknown = term->unknown == SV_UNKNOWN_ERROR ? __builtin_nan("") : term->fill;
    return sv_onnx_three(g, "Where", sv_onnx_two(g, "Less", seen, sv_onnx_scalar(g, 0)), sv_onnx_scalar(g, unknown), seen);
}

static int emit_raw(sv_emitter *e, const sv_term *term)
{
    if (term->encoder == SV_ENCODER_ORDINAL)
        return emit_ordinal(e, term);
    int x = sv_emit_value(e, term->value);
    return term->encoder == SV_ENCODER_MISSING ? sv_onnx_cast(&e->graph, sv_onnx_one(&e->graph, "IsNaN", x), SV_ONNX_DOUBLE) : x;
}

/* The matrix of all plain terms, encoded: [N, F]. */
static void emit_matrix(sv_emitter *e)
{
    const sv_pipeline *p = e->pipeline;
    sv_onnx_graph *g = &e->graph;
    int *columns = sv_array(p->n_terms, sizeof *columns), n = 0;
    double *constants = sv_array(3 * p->n_terms, sizeof *constants);
    e->matrix = -1;
    if (!columns || !constants)
        g->code = SV_E_MEMORY;
    for (size_t t = 0; t < p->n_terms && !g->code; t++) {
        const sv_term *term = &p->terms[t];
        e->matrix_column[t] = is_plain(term) ? n : -1;
        if (!is_plain(term))
            continue;
        columns[n] = sv_onnx_reshape(g, emit_raw(e, term), 1);
        constants[n] = term->encoder == SV_ENCODER_NUMBER ? term->fill : 0;
        constants[p->n_terms + (size_t)n] = term->mean[0];
        constants[2 * p->n_terms + (size_t)n++] = term->scale[0];
    }
    if (n && !g->code) {
        size_t F = (size_t)n;
        int X = sv_onnx_join(g, "Concat", columns, F, 1), missing = sv_onnx_one(g, "IsNaN", X);
        /* An ordinal's refusal is NaN and must stay so: it has no fill of its own here. */
        for (size_t t = 0; t < p->n_terms; t++)
            if (p->terms[t].encoder == SV_ENCODER_ORDINAL)
                constants[e->matrix_column[t]] = __builtin_nan("");
        int filled = sv_onnx_three(g, "Where", missing, sv_onnx_doubles(g, constants, F, 0, 1), X);
        int centred = sv_onnx_two(g, "Sub", filled, sv_onnx_doubles(g, constants + p->n_terms, F, 0, 1));
        e->matrix = sv_onnx_two(g, "Div", centred, sv_onnx_doubles(g, constants + 2 * p->n_terms, F, 0, 1));
    }
    sv_free(columns);
    sv_free(constants);
}

static int emit_matrix_score(sv_emitter *e)
{
    const sv_pipeline *p = e->pipeline;
    size_t K = p->n_scores, F = 0;
    double *weights = sv_array(p->n_terms * K, sizeof *weights);
    if (!weights) {
        e->graph.code = SV_E_MEMORY;
        return 0;
    }
    for (size_t t = 0; t < p->n_terms; t++)
        if (e->matrix_column[t] >= 0) {
            for (size_t k = 0; k < K; k++)
                weights[F * K + k] = p->terms[t].shadow ? 0 : p->terms[t].weights[k];
            F++;
        }
    int score = sv_onnx_two(&e->graph, "MatMul", e->matrix, sv_onnx_doubles(&e->graph, weights, F, K, 2));
    sv_free(weights);
    return score;
}

/* ---- dense parts, one column at a time: [N] */

static int cube_above(sv_onnx_graph *g, int x, double knot)
{
    int zero = sv_onnx_scalar(g, 0), d = sv_onnx_two(g, "Sub", x, sv_onnx_scalar(g, knot));
    d = sv_onnx_three(g, "Where", sv_onnx_two(g, "Less", d, zero), zero, d);
    return sv_onnx_two(g, "Mul", sv_onnx_two(g, "Mul", d, d), d);
}

/* encode.c's encode_spline. */
static int emit_spline(sv_emitter *e, const sv_term *term, size_t j)
{
    sv_onnx_graph *g = &e->graph;
    size_t last = term->n_points - 1;
    double low = term->points[0], range = term->points[last] - low, before = (term->points[last - 1] - low) / range;
    int x = sv_onnx_two(g, "Sub", fill_missing(g, sv_emit_value(e, term->value), term->fill), sv_onnx_scalar(g, low));
    x = sv_onnx_two(g, "Div", x, sv_onnx_scalar(g, range));
    if (j) {
        double knot = (term->points[j - 1] - low) / range;
        int tail = cube_above(g, x, 1);
        int first = sv_onnx_two(g, "Div", sv_onnx_two(g, "Sub", cube_above(g, x, knot), tail), sv_onnx_scalar(g, 1 - knot));
        int second = sv_onnx_two(g, "Div", sv_onnx_two(g, "Sub", cube_above(g, x, before), tail), sv_onnx_scalar(g, 1 - before));
        x = sv_onnx_two(g, "Sub", first, second);
    }
    return sv_onnx_two(g, "Div", sv_onnx_two(g, "Sub", x, sv_onnx_scalar(g, term->mean[j])), sv_onnx_scalar(g, term->scale[j]));
}

static int emit_dense(sv_emitter *e, size_t t, size_t j)
{
    const sv_term *term = &e->pipeline->terms[t];
    if (e->matrix_column[t] >= 0) {
        int inputs[] = {e->matrix, sv_onnx_integer(&e->graph, e->matrix_column[t])};
        return sv_onnx_node(&e->graph, "Gather", -1, inputs, 2, &(sv_onnx_attribute){.name = "axis", .i = 1}, 1);
    }
    if (term->encoder == SV_ENCODER_SPLINE)
        return emit_spline(e, term, j);
    size_t left = (size_t)term->left, right = (size_t)term->right;
    size_t n_left = e->pipeline->plans[left].n_dense, n_right = e->pipeline->plans[right].n_dense;
    if (n_left && n_right)
        return sv_onnx_two(&e->graph, "Mul", emit_dense(e, left, j / n_right), emit_dense(e, right, j % n_right));
    return emit_dense(e, n_left ? left : right, j);
}

/* ---- index parts: INT64 [N], n_index where there is no column */

static int emit_bins(sv_emitter *e, const sv_term *term, int64_t none)
{
    sv_onnx_graph *g = &e->graph;
    int raw = sv_emit_value(e, term->value), x = term->fill == term->fill ? fill_missing(g, raw, term->fill) : raw;
    int index = sv_emit_count(g, x, term->points, term->n_points);
    if (term->drop_first) {
        int less = sv_onnx_two(g, "Sub", index, sv_onnx_integer(g, 1));
        index = sv_onnx_three(g, "Where", sv_onnx_two(g, "Less", less, sv_onnx_integer(g, 0)), sv_onnx_integer(g, none), less);
    }
    if (term->fill != term->fill)
        index = sv_onnx_three(g, "Where", sv_onnx_one(g, "IsNaN", raw), sv_onnx_integer(g, refused), index);
    return index;
}

/* The low 30 bits of the runtime's own MurmurHash3, modulo the width. */
static int emit_hash(sv_emitter *e, const sv_term *term)
{
    sv_onnx_graph *g = &e->graph;
    int text = sv_emit_value(e, term->value);
    sv_onnx_attribute attributes[] = {{.name = "positive", .i = 1}, {.name = "seed", .i = 0}};
    int hash = sv_onnx_cast(g, sv_onnx_node(g, "ms:MurmurHash3", -1, &text, 1, attributes, 2), SV_ONNX_INT64);
    int low = sv_onnx_two(g, "Mod", hash, sv_onnx_integer(g, 1 << 30));
    return sv_onnx_two(g, "Mod", low, sv_onnx_integer(g, (int64_t)term->width));
}

static int emit_index(sv_emitter *e, size_t t);

/* left * n_right + right; where one has no column or is refused, so it is for the pair. */
static int emit_pair_index(sv_emitter *e, const sv_term *term)
{
    sv_onnx_graph *g = &e->graph;
    size_t left = (size_t)term->left, right = (size_t)term->right;
    int64_t n_left = (int64_t)e->pipeline->plans[left].n_index, n_right = (int64_t)e->pipeline->plans[right].n_index;
    if (!n_left || !n_right)
        return emit_index(e, n_left ? left : right);
    int l = emit_index(e, left), r = emit_index(e, right);
    int none = sv_onnx_integer(g, n_left * n_right), outside = sv_onnx_integer(g, refused);
    int joint = sv_onnx_two(g, "Add", sv_onnx_two(g, "Mul", l, sv_onnx_integer(g, n_right)), r);
    joint = sv_onnx_three(g, "Where", sv_onnx_two(g, "Equal", l, sv_onnx_integer(g, n_left)), none, joint);
    joint = sv_onnx_three(g, "Where", sv_onnx_two(g, "Equal", r, sv_onnx_integer(g, n_right)), none, joint);
    joint = sv_onnx_three(g, "Where", sv_onnx_two(g, "Equal", l, outside), outside, joint);
    return sv_onnx_three(g, "Where", sv_onnx_two(g, "Equal", r, outside), outside, joint);
}

static int emit_index(sv_emitter *e, size_t t)
{
    const sv_term *term = &e->pipeline->terms[t];
    int64_t none = (int64_t)e->pipeline->plans[t].n_index;
    switch (term->encoder) {
    case SV_ENCODER_CATEGORY:
        return emit_lookup(e, term, none);
    case SV_ENCODER_HASH:
        return emit_hash(e, term);
    case SV_ENCODER_BINS:
        return emit_bins(e, term, none);
    default:
        return emit_pair_index(e, term);
    }
}

/* ---- scores of other terms: [N, K] */

/* The weights of dense part j: [n_index + 1, K], the last row zero. */
static int emit_table(sv_emitter *e, const sv_plan *plan, size_t j)
{
    size_t K = e->pipeline->n_scores, rows = plan->n_index + 1;
    double *table = sv_calloc(rows * K, sizeof *table);
    if (!table) {
        e->graph.code = SV_E_MEMORY;
        return 0;
    }
    memcpy(table, plan->table + (j * (plan->n_index + 2) + 2) * K, plan->n_index * K * sizeof *table);
    int value = sv_onnx_doubles(&e->graph, table, rows, K, 2);
    sv_free(table);
    return value;
}

static int emit_indexed_score(sv_emitter *e, size_t t)
{
    const sv_plan *plan = &e->pipeline->plans[t];
    sv_onnx_graph *g = &e->graph;
    int index = emit_index(e, t), score = -1;
    for (size_t j = 0; j < (plan->n_dense ? plan->n_dense : 1) && !g->code; j++) {
        int part = sv_onnx_two(g, "Gather", emit_table(e, plan, j), index);
        if (plan->n_dense)
            part = sv_onnx_two(g, "Mul", sv_onnx_reshape(g, emit_dense(e, t, j), 1), part);
        score = score < 0 ? part : sv_onnx_two(g, "Add", score, part);
    }
    return score;
}

/* Splines and pairs of numbers: their columns side by side, times the weights. */
static int emit_dense_score(sv_emitter *e, size_t t)
{
    const sv_plan *plan = &e->pipeline->plans[t];
    sv_onnx_graph *g = &e->graph;
    int *columns = sv_array(plan->n_dense, sizeof *columns), score = 0;
    if (!columns)
        g->code = SV_E_MEMORY;
    for (size_t j = 0; j < plan->n_dense && !g->code; j++)
        columns[j] = sv_onnx_reshape(g, emit_dense(e, t, j), 1);
    if (!g->code) {
        int side_by_side = sv_onnx_join(g, "Concat", columns, plan->n_dense, 1);
        score = sv_onnx_two(g, "MatMul", side_by_side, sv_onnx_doubles(g, plan->table, plan->n_dense, e->pipeline->n_scores, 2));
    }
    sv_free(columns);
    return score;
}

/* Of a model without terms: zeros, [N, 1]. */
static int emit_no_terms(sv_emitter *e)
{
    sv_onnx_graph *g = &e->graph;
    int rows = sv_onnx_two(g, "Expand", sv_onnx_scalar(g, 0), sv_onnx_one(g, "Shape", e->columns[0]));
    return sv_onnx_reshape(g, rows, 1);
}

int sv_emit_scores(sv_emitter *e)
{
    const sv_pipeline *p = e->pipeline;
    int *parts = sv_array(p->n_terms + 1, sizeof *parts);
    size_t n = 0;
    if (!parts) {
        e->graph.code = SV_E_MEMORY;
        return 0;
    }
    emit_matrix(e);
    if (e->matrix >= 0)
        parts[n++] = emit_matrix_score(e);
    for (size_t t = 0; t < p->n_terms && !e->graph.code; t++)
        if (e->matrix_column[t] < 0 && !p->terms[t].shadow)
            parts[n++] = p->plans[t].n_index ? emit_indexed_score(e, t) : emit_dense_score(e, t);
    if (!n && !e->graph.code)
        parts[n++] = emit_no_terms(e);
    int sum = e->graph.code ? 0 : sv_onnx_join(&e->graph, "Sum", parts, n, -1);
    sv_free(parts);
    return sv_onnx_two(&e->graph, "Add", sum, sv_onnx_doubles(&e->graph, p->intercept, p->n_scores, 0, 1));
}
