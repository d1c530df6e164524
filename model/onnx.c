/* onnx.c: a pipeline as an ONNX model: one input a raw column, one rank-1 output a result. The head is here; terms and features have files of their own. */
#include "alloc.h"
#include "package_json.h"
#include "onnx_emit.h"
#include "package.h"

#include <string.h>

/* ---- head */

/* 1 / (1 + exp(-z)) in these four operators: the runtime's own Sigmoid loses digits where z is negative. */
static int emit_sigmoid(sv_onnx_graph *g, int z, int out)
{
    int one = sv_onnx_scalar(g, 1), e = sv_onnx_one(g, "Exp", sv_onnx_one(g, "Neg", z));
    int inputs[] = {one, sv_onnx_two(g, "Add", one, e)};
    return sv_onnx_node(g, "Div", out, inputs, 2, NULL, 0);
}

static int emit_isotonic(sv_onnx_graph *g, const sv_calibration *c, int score, int out)
{
    int low = sv_onnx_scalar(g, c->x[0]), high = sv_onnx_scalar(g, c->x[c->n - 1]);
    int s = sv_onnx_three(g, "Where", sv_onnx_two(g, "Less", score, low), low, score);
    s = sv_onnx_three(g, "Where", sv_onnx_two(g, "Less", high, s), high, s);
    int piece = sv_emit_count(g, s, c->x, c->n);
    int from = sv_onnx_two(g, "Gather", sv_onnx_doubles(g, c->piece_x, c->n + 1, 0, 1), piece);
    int base = sv_onnx_two(g, "Gather", sv_onnx_doubles(g, c->piece_y, c->n + 1, 0, 1), piece);
    int slope = sv_onnx_two(g, "Gather", sv_onnx_doubles(g, c->piece_slope, c->n + 1, 0, 1), piece);
    int inputs[] = {base, sv_onnx_two(g, "Mul", sv_onnx_two(g, "Sub", s, from), slope)};
    return sv_onnx_node(g, "Add", out, inputs, 2, NULL, 0);
}

static void emit_binary(sv_emitter *e, int scores)
{
    sv_onnx_graph *g = &e->graph;
    const sv_calibration *c = &e->pipeline->calibration;
    int p = sv_onnx_output(g, e->pipeline->outputs[0], SV_ONNX_DOUBLE), label = sv_onnx_output(g, e->pipeline->outputs[1], SV_ONNX_INT64);
    int z = sv_onnx_reshape(g, scores, 0);
    if (c->kind == SV_CALIBRATION_ISOTONIC)
        emit_isotonic(g, c, z, p);
    else {
        if (c->kind == SV_CALIBRATION_PLATT)
            z = sv_onnx_two(g, "Add", sv_onnx_two(g, "Mul", sv_onnx_scalar(g, c->slope), z), sv_onnx_scalar(g, c->offset));
        emit_sigmoid(g, z, p);
    }
    int above = sv_onnx_two(g, "GreaterOrEqual", p, sv_onnx_scalar(g, e->pipeline->threshold));
    sv_onnx_node(g, "Cast", label, &above, 1, &(sv_onnx_attribute){.name = "to", .i = SV_ONNX_INT64}, 1);
}

static void emit_multinomial(sv_emitter *e, int scores)
{
    sv_onnx_graph *g = &e->graph;
    size_t K = e->pipeline->n_scores;
    sv_onnx_text *classes = sv_arena_zero(&g->arena, K, sizeof *classes);
    if (!classes) {
        g->code = SV_E_MEMORY;
        return;
    }
    for (size_t k = 0; k < K; k++)
        classes[k] = (sv_onnx_text){e->pipeline->classes[k], strlen(e->pipeline->classes[k])};
    int prediction = sv_onnx_output(g, e->pipeline->outputs[0], SV_ONNX_TEXT);
    sv_onnx_attribute argmax[] = {{.name = "axis", .i = 1}, {.name = "keepdims", .i = 0}}, axis = {.name = "axis", .i = 1};
    int best = sv_onnx_node(g, "ArgMax", -1, &scores, 1, argmax, 2);
    sv_onnx_node(g, "Gather", prediction, (const int[]){sv_onnx_texts(g, classes, K), best}, 2, NULL, 0);
    int P = sv_onnx_node(g, "Softmax", -1, &scores, 1, &axis, 1);
    for (size_t k = 0; k < K && !g->code; k++) {
        int out = sv_onnx_output(g, e->pipeline->outputs[1 + k], SV_ONNX_DOUBLE), which = sv_onnx_integer(g, (int64_t)k);
        sv_onnx_node(g, "Gather", out, (const int[]){P, which}, 2, &axis, 1);
    }
}

void sv_emit_head(sv_emitter *e, int scores)
{
    sv_onnx_graph *g = &e->graph;
    if (e->pipeline->task == SV_TASK_BINARY)
        emit_binary(e, scores);
    else if (e->pipeline->task == SV_TASK_MULTINOMIAL)
        emit_multinomial(e, scores);
    else {
        int out = sv_onnx_output(g, e->pipeline->outputs[0], SV_ONNX_DOUBLE), poisson = e->pipeline->task == SV_TASK_POISSON;
        int shape = sv_onnx_ints(g, (const int64_t[]){-1}, 1, 1), raw = poisson ? sv_onnx_two(g, "Reshape", scores, shape) : scores;
        sv_onnx_node(g, poisson ? "Exp" : "Reshape", out, (const int[]){raw, shape}, poisson ? 1 : 2, NULL, 0);
    }
}

/* ---- inputs */

/* A column that may be absent has no integers or truth values for "missing", so it is fed as doubles; a date is fed as days. */
static sv_onnx_type input_type(const sv_raw *column)
{
    if (column->type == SV_STRING)
        return SV_ONNX_TEXT;
    if (column->optional || column->type == SV_DOUBLE || column->type == SV_DATE)
        return SV_ONNX_DOUBLE;
    return column->type == SV_LONG ? SV_ONNX_INT64 : SV_ONNX_BOOL;
}

/* A lone column arrives as [N, 1]; numbers are doubles from here on. */
static void emit_inputs(sv_emitter *e)
{
    const sv_features *features = e->pipeline->features;
    int lone = features->n_columns == 1;
    for (size_t c = 0; c < features->n_columns && !e->graph.code; c++) {
        sv_onnx_type type = input_type(&features->columns[c]);
        int value = sv_onnx_input(&e->graph, features->columns[c].name, type, lone);
        if (lone)
            value = sv_onnx_reshape(&e->graph, value, 0);
        if (type == SV_ONNX_INT64 || type == SV_ONNX_BOOL)
            value = sv_onnx_cast(&e->graph, value, SV_ONNX_DOUBLE);
        e->columns[c] = value;
    }
}

/* A prefix that no column and no output begins with. */
static int choose_prefix(const sv_pipeline *p, char *prefix, size_t size)
{
    for (size_t n = 1; n < size; n++) {
        int taken = 0;
        memset(prefix, '/', n);
        prefix[n] = '\0';
        for (size_t c = 0; c < p->features->n_columns; c++)
            taken |= !strncmp(p->features->columns[c].name, prefix, n);
        for (size_t o = 0; o < p->n_outputs; o++)
            taken |= !strncmp(p->outputs[o], prefix, n);
        if (!taken)
            return 0;
    }
    return SV_E_LIMIT;
}

/* What the Python loader needs to know and the graph cannot say: columns that are dates, columns that may be absent. */
static int describe_inputs(sv_buffer *json, const sv_features *features)
{
    int code = sv_buffer_text(json, "{");
    for (size_t c = 0; c < features->n_columns && !code; c++) {
        const sv_raw *column = &features->columns[c];
        if (column->type != SV_DATE && !column->optional)
            continue;
        code = json->size > 1 ? sv_buffer_text(json, ", ") : 0;
        code = code ? code : sv_json_text(json, column->name);
        code = code ? code : sv_buffer_format(json, ": \"%s%s\"", column->optional ? "optional " : "", sv_type_name(column->type));
    }
    return code ? code : sv_buffer_text(json, "}");
}

static int emit_model(sv_emitter *e, sv_buffer *bytes, const char *pipeline_sha256)
{
    sv_buffer columns = SV_BUFFER_INIT(0);
    emit_inputs(e);
    sv_emit_steps(e);
    int scores = e->graph.code ? 0 : sv_emit_scores(e);
    if (!e->graph.code)
        sv_emit_head(e, scores);
    int code = e->graph.code ? e->graph.code : describe_inputs(&columns, e->pipeline->features);
    const char *keys[] = {"columns", "pipeline_sha256"}, *values[] = {columns.data, pipeline_sha256};
    code = code ? code : sv_onnx_finish(&e->graph, bytes, keys, values, pipeline_sha256 ? 2 : 1);
    sv_buffer_free(&columns);
    return code;
}

int sv_pipeline_write_onnx(sv_buffer *bytes, const sv_pipeline *pipeline, const char *pipeline_sha256, sv_error *error)
{
    char prefix[SV_NAME_MAX + 2];
    sv_emitter e = {.pipeline = pipeline, .matrix = -1};
    if (!pipeline->finished)
        return sv_error_set(error, SV_E_CONFIG, "the pipeline is not finished");
    if (!pipeline->features->n_columns || choose_prefix(pipeline, prefix, sizeof prefix))
        return sv_error_set(error, SV_E_CONFIG, "a model without columns has no ONNX form");
    sv_onnx_begin(&e.graph, prefix);
    e.columns = sv_calloc(pipeline->features->n_columns, sizeof(int));
    e.steps = sv_calloc(pipeline->features->program.n_steps, sizeof(int));
    e.matrix_column = sv_calloc(pipeline->n_terms, sizeof(int));
    int code = e.columns && e.steps && e.matrix_column ? emit_model(&e, bytes, pipeline_sha256) : SV_E_MEMORY;
    sv_onnx_free(&e.graph);
    sv_free(e.columns);
    sv_free(e.steps);
    sv_free(e.matrix_column);
    return code ? sv_error_set(error, code, "model.onnx could not be made: %s", code == SV_E_MEMORY ? "out of memory" : "too large") : 0;
}
