/* onnx_step.c: a program's steps as operators. Truth values stay the doubles 1 and 0: and is Mul, or is Max, not is 1 - x. */
#include "alloc.h"
#include "onnx_emit.h"

int sv_emit_value(sv_emitter *e, int value)
{
    const sv_features *features = e->pipeline->features;
    if ((size_t)value < features->n_columns)
        return e->columns[value];
    return e->steps[features->derived[(size_t)value - features->n_columns].step];
}

int sv_emit_count(sv_onnx_graph *g, int values, const double *points, size_t n)
{
    int column = sv_onnx_reshape(g, values, 1);
    int above = sv_onnx_two(g, "GreaterOrEqual", column, sv_onnx_doubles(g, points, n, 0, 1));
    int ones = sv_onnx_cast(g, above, SV_ONNX_INT64);
    int inputs[] = {ones, sv_onnx_ints(g, (const int64_t[]){1}, 1, 1)};
    return sv_onnx_node(g, "ReduceSum", -1, inputs, 2, &(sv_onnx_attribute){.name = "keepdims", .i = 0}, 1);
}

static int as_double(sv_onnx_graph *g, int a)
{
    return sv_onnx_cast(g, a, SV_ONNX_DOUBLE);
}

static int compare(sv_onnx_graph *g, const char *op, int a, int b)
{
    return as_double(g, sv_onnx_two(g, op, a, b));
}

/* No operator: with u = 1 + x, log(u) x / (u - 1), which makes up for the rounding of u (Kahan); above 1 the rounding does no harm, and infinity stays. */
static int emit_log1p(sv_onnx_graph *g, int x)
{
    int one = sv_onnx_scalar(g, 1), u = sv_onnx_two(g, "Add", one, x), rest = sv_onnx_two(g, "Sub", u, one), log = sv_onnx_one(g, "Log", u);
    int mended = sv_onnx_two(g, "Mul", log, sv_onnx_two(g, "Div", x, rest));
    int small = sv_onnx_three(g, "Where", sv_onnx_two(g, "Equal", rest, sv_onnx_scalar(g, 0)), x, mended);
    return sv_onnx_three(g, "Where", sv_onnx_two(g, "Greater", x, one), log, small);
}

static int emit_bin(sv_onnx_graph *g, int x, const double *edges, size_t n)
{
    int count = as_double(g, sv_emit_count(g, x, edges, n));
    return sv_onnx_three(g, "Where", sv_onnx_one(g, "IsNaN", x), x, count);
}

static int emit_in(sv_emitter *e, const sv_step *step)
{
    const sv_features *features = e->pipeline->features;
    const sv_program *program = &features->program;
    int column = program->steps[step->a].column;
    const sv_levels *levels = column >= 0 ? features->columns[column].levels : features->texts;
    sv_onnx_text *keys = sv_arena_zero(&e->graph.arena, step->n_list, sizeof *keys);
    int64_t *ones = sv_arena_zero(&e->graph.arena, step->n_list, sizeof *ones);
    if (!keys || !ones) {
        e->graph.code = SV_E_MEMORY;
        return 0;
    }
    for (size_t i = 0; i < step->n_list; i++) {
        keys[i].bytes = sv_levels_text(levels, (size_t)program->list[step->list + i], &keys[i].length);
        ones[i] = 1;
    }
    sv_onnx_attribute attributes[] = {{.name = "keys_strings", .texts = keys, .n = step->n_list},
                                      {.name = "values_int64s", .ints = ones, .n = step->n_list},
                                      {.name = "default_int64", .i = 0}};
    return as_double(&e->graph, sv_onnx_node(&e->graph, "ml:LabelEncoder", -1, &e->steps[step->a], 1, attributes, 3));
}

/* Of one element, which goes with every row. */
static int emit_text(sv_emitter *e, const sv_step *step)
{
    sv_onnx_text text;
    text.bytes = sv_levels_text(e->pipeline->features->texts, (size_t)step->number, &text.length);
    return sv_onnx_texts(&e->graph, &text, 1);
}

static int emit_step(sv_emitter *e, const sv_step *step)
{
    sv_onnx_graph *g = &e->graph;
    int a = step->a >= 0 ? e->steps[step->a] : -1, b = step->b >= 0 ? e->steps[step->b] : -1, c = step->c >= 0 ? e->steps[step->c] : -1;
    switch (step->op) {
    case SV_STEP_COLUMN:
        return e->columns[step->column];
    case SV_STEP_CONSTANT:
        return sv_onnx_scalar(g, step->number);
    case SV_STEP_TEXT:
        return emit_text(e, step);
    case SV_STEP_ADD:
        return sv_onnx_two(g, "Add", a, b);
    case SV_STEP_SUB:
        return sv_onnx_two(g, "Sub", a, b);
    case SV_STEP_MUL:
    case SV_STEP_AND:
        return sv_onnx_two(g, "Mul", a, b);
    case SV_STEP_DIV:
        return sv_onnx_two(g, "Div", a, b);
    case SV_STEP_POW:
        return sv_onnx_two(g, "Pow", a, b);
    case SV_STEP_MIN:
        return sv_onnx_three(g, "Where", sv_onnx_two(g, "Less", b, a), b, a);
    case SV_STEP_MAX:
        return sv_onnx_three(g, "Where", sv_onnx_two(g, "Less", a, b), b, a);
    case SV_STEP_OR:
        return sv_onnx_two(g, "Max", a, b);
    case SV_STEP_LT:
        return compare(g, "Less", a, b);
    case SV_STEP_LE:
        return compare(g, "LessOrEqual", a, b);
    case SV_STEP_EQ:
        return compare(g, "Equal", a, b);
    case SV_STEP_SAME_TEXT:
        g->compares_texts = 1;
        return compare(g, "Equal", a, b);
    case SV_STEP_NE:
        return as_double(g, sv_onnx_one(g, "Not", sv_onnx_two(g, "Equal", a, b)));
    case SV_STEP_NOT:
        return sv_onnx_two(g, "Sub", sv_onnx_scalar(g, 1), a);
    case SV_STEP_TRUTH:
        return compare(g, "Greater", sv_onnx_one(g, "Abs", a), sv_onnx_scalar(g, 0));
    case SV_STEP_NEG:
        return sv_onnx_one(g, "Neg", a);
    case SV_STEP_ABS:
        return sv_onnx_one(g, "Abs", a);
    case SV_STEP_FLOOR:
        return sv_onnx_one(g, "Floor", a);
    case SV_STEP_SQRT:
        return sv_onnx_one(g, "Sqrt", a);
    case SV_STEP_LOG:
        return sv_onnx_one(g, "Log", a);
    case SV_STEP_LOG1P:
        return emit_log1p(g, a);
    case SV_STEP_EXP:
        return sv_onnx_one(g, "Exp", a);
    case SV_STEP_IS_NAN:
        return as_double(g, sv_onnx_one(g, "IsNaN", a));
    case SV_STEP_WHERE:
    case SV_STEP_CHOOSE_TEXT:
        return sv_onnx_three(g, "Where", sv_onnx_cast(g, a, SV_ONNX_BOOL), b, c);
    case SV_STEP_BIN:
        return emit_bin(g, a, e->pipeline->features->program.list + step->list, step->n_list);
    case SV_STEP_IN:
        return emit_in(e, step);
    case SV_N_STEP_OPS:
        break;
    }
    return 0;
}

/* A feature that is the same for all rows, as [N]. */
static int spread(sv_emitter *e, int scalar)
{
    return sv_onnx_two(&e->graph, "Expand", scalar, sv_onnx_one(&e->graph, "Shape", e->columns[0]));
}

static void mark_needed(sv_emitter *e)
{
    const sv_features *features = e->pipeline->features;
    for (size_t t = 0; t < e->pipeline->n_terms; t++) {
        int value = e->pipeline->terms[t].value;
        if (value >= (int)features->n_columns)
            e->steps[features->derived[(size_t)value - features->n_columns].step] = 0;
    }
    for (size_t i = features->program.n_steps; i-- > 0;) {
        const sv_step *step = &features->program.steps[i];
        for (int k = 0; k < 3 && e->steps[i] >= 0; k++) {
            int operand = (const int[]){step->a, step->b, step->c}[k];
            if (operand >= 0)
                e->steps[operand] = 0;
        }
    }
}

void sv_emit_steps(sv_emitter *e)
{
    const sv_features *features = e->pipeline->features;
    for (size_t i = 0; i < features->program.n_steps; i++)
        e->steps[i] = -1;
    mark_needed(e);
    for (size_t i = 0; i < features->program.n_steps && !e->graph.code; i++)
        if (e->steps[i] >= 0)
            e->steps[i] = emit_step(e, &features->program.steps[i]);
    for (size_t d = 0; d < features->n_derived && !e->graph.code; d++) {
        int step = features->derived[d].step;
        if (e->steps[step] >= 0 && sv_step_is_constant(features->program.steps[step].op))
            e->steps[step] = spread(e, e->steps[step]);
    }
}
