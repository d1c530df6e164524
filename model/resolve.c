/* resolve.c: from a tree to steps: what names mean, which types go together, and the few rewritings that the language has (min of many, clip, coalesce, in).
   Leaves out: the order in which features are resolved (feature.c). */
#include "alloc.h"
#include "date.h"
#include "feature_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int resolve(sv_resolver *r, sv_node *node);

__attribute__((format(printf, 3, 4))) static int fail(sv_resolver *r, const sv_node *node, const char *format, ...)
{
    if (r->code)
        return r->code;
    char message[512];
    va_list values;
    va_start(values, format);
    vsnprintf(message, sizeof message, format, values);
    va_end(values);
    if (r->place)
        *r->place = (sv_place){node->offset, node->length};
    return r->code = sv_error_set(r->error, SV_E_CONFIG, "%s", message);
}

static const char *kind_name(sv_kind kind)
{
    return (const char *const[]){"a number", "a text", "a date"}[kind];
}

static int fail_unknown_name(sv_resolver *r, const sv_node *node)
{
    const sv_levels *levels = r->features->names;
    size_t n = sv_levels_count(levels);
    const char **names = sv_array(n, sizeof *names);
    int code = fail(r, node, "there is no column or feature `%.100s`", node->text);
    if (!names)
        return code;
    for (size_t i = 0; i < n; i++)
        names[i] = sv_levels_text(levels, i, NULL);
    const char *near = sv_nearest_name(node->text, names, n);
    if (near)
        sv_error_hint(r->error, "did you mean %s?", near);
    else if (n)
        sv_error_hint(r->error, "a text stands in quotes: \"%.60s\"", node->text);
    sv_free(names);
    return code;
}

static int resolve_name(sv_resolver *r, sv_node *node)
{
    static const sv_kind kinds[] = {[SV_LONG] = SV_KIND_NUMBER, [SV_DOUBLE] = SV_KIND_NUMBER, [SV_STRING] = SV_KIND_TEXT,
                                    [SV_BOOLEAN] = SV_KIND_NUMBER, [SV_DATE] = SV_KIND_DATE};
    node->value = sv_features_lookup(r->features, node->text, strlen(node->text));
    if (node->value < 0)
        return fail_unknown_name(r, node);
    size_t n_columns = r->features->n_columns;
    if ((size_t)node->value < n_columns) {
        node->kind = kinds[r->features->columns[node->value].type];
        return sv_program_column(&r->features->program, node->value);
    }
    const sv_derived *derived = &r->features->derived[(size_t)node->value - n_columns];
    node->kind = derived->kind;
    return derived->step;
}

/* A text's step: of constants too, whose code is of the shared texts. */
static int resolve_text(sv_resolver *r, sv_node *node)
{
    if (node->op == SV_OP_TEXT && node->step < 0) {
        int32_t code = sv_levels_add(r->features->texts, node->text, strlen(node->text));
        node->kind = SV_KIND_TEXT;
        node->step = code < 0 ? code : sv_program_text(&r->features->program, code);
    }
    int step = resolve(r, node);
    if (step >= 0 && node->kind != SV_KIND_TEXT)
        return fail(r, node, "expected %s, got %s", kind_name(SV_KIND_TEXT), kind_name(node->kind));
    return step;
}

/* What looks like a date in a file is a text until it is declared. */
static void hint_at_dates(sv_resolver *r, const sv_node *node)
{
    if (node->kind == SV_KIND_TEXT)
        sv_error_hint(r->error, "a column that holds dates must be declared one, as in `columns: {%.60s: date}`", node->op == SV_OP_NAME ? node->text : "NAME");
}

/* A node's step, its kind being as wanted. */
static int resolve_as(sv_resolver *r, sv_node *node, sv_kind wanted)
{
    if (node->op == SV_OP_TEXT && wanted == SV_KIND_DATE) {
        double days;
        if (sv_date_parse(node->text, strlen(node->text), &days))
            return fail(r, node, "expected a date like \"2024-12-31\", got \"%.40s\"", node->text);
        node->kind = SV_KIND_DATE;
        return sv_program_constant(&r->features->program, days);
    }
    if (wanted == SV_KIND_TEXT)
        return resolve_text(r, node);
    if (node->op == SV_OP_TEXT && wanted == SV_KIND_NUMBER)
        return fail(r, node, "expected a number, got a text");
    int step = resolve(r, node), code = step;
    if (step >= 0 && node->kind != wanted)
        code = fail(r, node, "expected %s, got %s", kind_name(wanted), kind_name(node->kind));
    if (step >= 0 && code < 0 && wanted == SV_KIND_DATE)
        hint_at_dates(r, node);
    return code;
}

static int resolve_number(sv_resolver *r, sv_node *node)
{
    return resolve_as(r, node, SV_KIND_NUMBER);
}

static int is_truth_value(const sv_program *program, int step)
{
    const sv_step *s = &program->steps[step];
    switch (s->op) {
    case SV_STEP_LT:
    case SV_STEP_LE:
    case SV_STEP_EQ:
    case SV_STEP_NE:
    case SV_STEP_SAME_TEXT:
    case SV_STEP_AND:
    case SV_STEP_OR:
    case SV_STEP_NOT:
    case SV_STEP_TRUTH:
    case SV_STEP_IS_NAN:
    case SV_STEP_IN:
        return 1;
    case SV_STEP_CONSTANT:
        return s->number == 0 || s->number == 1;
    default:
        return 0;
    }
}

static int resolve_truth(sv_resolver *r, sv_node *node)
{
    int step = resolve_number(r, node);
    if (step < 0 || is_truth_value(&r->features->program, step))
        return step;
    return sv_program_step(&r->features->program, SV_STEP_TRUTH, step, -1, -1);
}

static int resolve_two(sv_resolver *r, sv_node *node, sv_step_op op, int truth)
{
    int a = truth ? resolve_truth(r, node->args[0]) : resolve_number(r, node->args[0]);
    int b = a < 0 ? a : truth ? resolve_truth(r, node->args[1]) : resolve_number(r, node->args[1]);
    return sv_program_step(&r->features->program, op, a, b, -1);
}

/* a + b and a - b, of numbers, or date ± days, or date - date in days. */
static int resolve_sum(sv_resolver *r, sv_node *node)
{
    sv_step_op op = node->op == SV_OP_ADD ? SV_STEP_ADD : SV_STEP_SUB;
    int a = resolve(r, node->args[0]), b = a < 0 ? a : resolve(r, node->args[1]);
    if (b < 0)
        return b;
    sv_kind left = node->args[0]->kind, right = node->args[1]->kind;
    if (left == SV_KIND_DATE && right == SV_KIND_NUMBER)
        node->kind = SV_KIND_DATE;
    else if (left != right || left == SV_KIND_TEXT || (left == SV_KIND_DATE && op == SV_STEP_ADD))
        return fail(r, node, "%s and %s cannot be %s", kind_name(left), kind_name(right), op == SV_STEP_ADD ? "added" : "subtracted");
    return sv_program_step(&r->features->program, op, a, b, -1);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Is text step `value` one of the constants? Their codes are of the levels that the value's are of, which get those that they lack. */
static int in_constants(sv_resolver *r, const sv_node *value, int step, sv_node *const *members, size_t n)
{
    sv_levels *levels = value->value >= 0 ? sv_features_own_levels(r->features, value->value) : r->features->texts;
    double *codes = sv_array(n, sizeof *codes);
    int code = codes ? 0 : SV_E_MEMORY;
    size_t n_codes = 0, unique = 0;
    for (size_t i = 0; i < n && !code; i++) {
        if (members[i]->op != SV_OP_TEXT)
            continue;
        int32_t level = sv_levels_add(levels, members[i]->text, strlen(members[i]->text));
        codes[n_codes++] = level;
        code = level < 0 ? level : 0;
    }
    if (!code) {
        qsort(codes, n_codes, sizeof *codes, compare_doubles);
        for (size_t i = 0; i < n_codes; i++)
            if (!unique || codes[unique - 1] != codes[i])
                codes[unique++] = codes[i];
        code = sv_program_list_step(&r->features->program, SV_STEP_IN, step, codes, unique);
    }
    sv_free(codes);
    return code;
}

/* Is the text one of the members? All constants at once, then the others one by one. */
static int text_in(sv_resolver *r, sv_node *value, sv_node *const *members, size_t n)
{
    int step = resolve_text(r, value), any = -1;
    for (size_t i = 0; i < n && step >= 0; i++)
        if (members[i]->op == SV_OP_TEXT) {
            any = in_constants(r, value, step, members, n);
            if (any < 0)
                return any;
            break;
        }
    for (size_t i = 0; i < n && step >= 0; i++) {
        if (members[i]->op == SV_OP_TEXT)
            continue;
        int same = sv_program_step(&r->features->program, SV_STEP_SAME_TEXT, step, resolve_text(r, members[i]), -1);
        any = any < 0 || same < 0 ? same : sv_program_step(&r->features->program, SV_STEP_OR, any, same, -1);
        if (any < 0)
            return any;
    }
    return step < 0 ? step : any;
}

/* A text in quotes where it says nothing: alone, or compared with another one. */
static int fail_text(sv_resolver *r, sv_node *node)
{
    return fail(r, node, "a text in quotes can only be compared with a text column or feature, by == or != or in, or chosen by if() or coalesce()");
}

/* constant, value: one of them may be a date in quotes. */
static int fail_order(sv_resolver *r, const sv_node *node, const sv_node *constant, const sv_node *value)
{
    double days;
    int code = fail(r, node, "texts are compared by == and != alone, they have no order");
    if (constant->op == SV_OP_TEXT && !sv_date_parse(constant->text, strlen(constant->text), &days))
        hint_at_dates(r, value);
    return code;
}

static int resolve_text_comparison(sv_resolver *r, sv_node *node, sv_kind left, sv_kind right)
{
    sv_node *value = node->args[node->args[0]->op == SV_OP_TEXT], *other = node->args[node->args[0]->op != SV_OP_TEXT];
    if (left != right)
        return fail(r, node, "%s is compared with %s", kind_name(SV_KIND_TEXT), kind_name(left == SV_KIND_TEXT ? right : left));
    if (node->op != SV_OP_EQ && node->op != SV_OP_NE)
        return fail_order(r, node, value->op == SV_OP_TEXT ? value : other, value->op == SV_OP_TEXT ? other : value);
    if (value->op == SV_OP_TEXT)
        return fail_text(r, node);
    int step = text_in(r, value, &other, 1);
    return node->op == SV_OP_NE ? sv_program_step(&r->features->program, SV_STEP_NOT, step, -1, -1) : step;
}

/* The kind of a comparison's or coalesce's side before its other side is known: a constant text may yet be a date. */
static int kind_of(sv_resolver *r, sv_node *node, sv_kind *kind)
{
    if (node->op == SV_OP_TEXT) {
        *kind = SV_KIND_TEXT;
        return 0;
    }
    int step = resolve(r, node);
    *kind = node->kind;
    return step < 0 ? step : 0;
}

static int resolve_comparison(sv_resolver *r, sv_node *node)
{
    static const struct {
        sv_step_op op;
        int swap;
    } steps[] = {[SV_OP_LT] = {SV_STEP_LT, 0}, [SV_OP_LE] = {SV_STEP_LE, 0}, [SV_OP_GT] = {SV_STEP_LT, 1},
                 [SV_OP_GE] = {SV_STEP_LE, 1}, [SV_OP_EQ] = {SV_STEP_EQ, 0}, [SV_OP_NE] = {SV_STEP_NE, 0}};
    sv_kind left, right;
    int code = kind_of(r, node->args[0], &left);
    code = code ? code : kind_of(r, node->args[1], &right);
    if (code)
        return code;
    int date = left == SV_KIND_DATE || right == SV_KIND_DATE;
    if (!date && (left == SV_KIND_TEXT || right == SV_KIND_TEXT))
        return resolve_text_comparison(r, node, left, right);
    sv_kind wanted = date ? SV_KIND_DATE : SV_KIND_NUMBER;
    int a = resolve_as(r, node->args[0], wanted), b = a < 0 ? a : resolve_as(r, node->args[1], wanted);
    int swap = steps[node->op].swap;
    return b < 0 ? b : sv_program_step(&r->features->program, steps[node->op].op, swap ? b : a, swap ? a : b, -1);
}

static int resolve_in(sv_resolver *r, sv_node *node)
{
    sv_kind kind;
    int code = kind_of(r, node->args[0], &kind), any = -1;
    if (code)
        return code;
    if (kind == SV_KIND_TEXT)
        return node->args[0]->op == SV_OP_TEXT ? fail_text(r, node) : text_in(r, node->args[0], node->args + 1, node->n_args - 1);
    int value = resolve(r, node->args[0]);
    for (uint32_t i = 1; i < node->n_args && !r->code; i++) {
        int member = resolve_as(r, node->args[i], kind);
        int same = sv_program_step(&r->features->program, SV_STEP_EQ, value, member, -1);
        any = i == 1 ? same : sv_program_step(&r->features->program, SV_STEP_OR, any, same, -1);
        if (any < 0)
            return any;
    }
    return any;
}

static int is_empty_text(sv_resolver *r, const sv_node *value, int step)
{
    return in_constants(r, value, step, (sv_node *[]){&(sv_node){.op = SV_OP_TEXT, .text = ""}}, 1);
}

static int resolve_is_missing(sv_resolver *r, sv_node *node)
{
    int step = resolve(r, node->args[0]);
    if (step < 0 || node->args[0]->kind != SV_KIND_TEXT)
        return sv_program_step(&r->features->program, SV_STEP_IS_NAN, step, -1, -1);
    return is_empty_text(r, node->args[0], step);
}

/* The kind that all of them have: the first one's that is no text in quotes, which may be a date. */
static int common_kind(sv_resolver *r, sv_node *const *nodes, size_t n, sv_kind *kind)
{
    *kind = SV_KIND_TEXT;
    for (size_t i = 0; i < n; i++)
        if (nodes[i]->op != SV_OP_TEXT)
            return kind_of(r, nodes[i], kind);
    return 0;
}

/* All arguments of one kind; folded from the left by op. */
static int resolve_fold(sv_resolver *r, sv_node *node, sv_step_op op)
{
    sv_kind kind;
    int code = common_kind(r, node->args, node->n_args, &kind);
    if (code)
        return code;
    if (kind == SV_KIND_TEXT)
        return fail(r, node->args[0], "expected a number, got a text");
    int all = resolve_as(r, node->args[0], kind);
    for (uint32_t i = 1; i < node->n_args && all >= 0; i++)
        all = sv_program_step(&r->features->program, op, all, resolve_as(r, node->args[i], kind), -1);
    node->kind = kind;
    return all;
}

/* The later one where all before are missing. */
static int resolve_coalesce(sv_resolver *r, sv_node *node)
{
    sv_program *program = &r->features->program;
    sv_kind kind;
    int code = common_kind(r, node->args, node->n_args, &kind);
    if (code)
        return code;
    int all = resolve_as(r, node->args[0], kind), is_text = kind == SV_KIND_TEXT;
    for (uint32_t i = 1; i < node->n_args && all >= 0; i++) {
        int next = resolve_as(r, node->args[i], kind), absent;
        if (next < 0)
            return next;
        absent = is_text ? is_empty_text(r, node, all) : sv_program_step(program, SV_STEP_IS_NAN, all, -1, -1);
        all = sv_program_step(program, is_text ? SV_STEP_CHOOSE_TEXT : SV_STEP_WHERE, absent, next, all);
    }
    node->kind = kind;
    return all;
}

static int resolve_clip(sv_resolver *r, sv_node *node)
{
    int x = resolve_number(r, node->args[0]), low = x < 0 ? x : resolve_number(r, node->args[1]);
    int high = low < 0 ? low : resolve_number(r, node->args[2]);
    return sv_program_step(&r->features->program, SV_STEP_MIN, sv_program_step(&r->features->program, SV_STEP_MAX, x, low, -1), high, -1);
}

static int resolve_if(sv_resolver *r, sv_node *node)
{
    int condition = resolve_truth(r, node->args[0]), code = condition < 0 ? condition : common_kind(r, node->args + 1, 2, &node->kind);
    int a = code ? code : resolve_as(r, node->args[1], node->kind), b = a < 0 ? a : resolve_as(r, node->args[2], node->kind);
    return sv_program_step(&r->features->program, node->kind == SV_KIND_TEXT ? SV_STEP_CHOOSE_TEXT : SV_STEP_WHERE, condition, a, b);
}

static int resolve_bin(sv_resolver *r, sv_node *node)
{
    int x = resolve_number(r, node->args[0]);
    double *edges = x < 0 ? NULL : sv_array(node->n_args, sizeof *edges);
    if (!edges)
        return x < 0 ? x : SV_E_MEMORY;
    for (uint32_t i = 1; i < node->n_args && !r->code; i++) {
        sv_node *edge = node->args[i];
        edges[i - 1] = edge->number;
        if (edge->op != SV_OP_NUMBER || edge->number != edge->number)
            fail(r, edge, "the edges of bin() are numbers");
        else if (i > 1 && !(edges[i - 2] < edges[i - 1]))
            fail(r, edge, "the edges of bin() ascend");
    }
    int step = r->code ? r->code : sv_program_list_step(&r->features->program, SV_STEP_BIN, x, edges, node->n_args - 1);
    sv_free(edges);
    return step;
}

static int resolve_date_part(sv_resolver *r, sv_node *node)
{
    int days = resolve_as(r, node->args[0], SV_KIND_DATE);
    if (days < 0)
        return days;
    return node->op == SV_OP_MONTH ? sv_program_month(&r->features->program, days) : sv_program_weekday(&r->features->program, days);
}

static int resolve_days_between(sv_resolver *r, sv_node *node)
{
    int from = resolve_as(r, node->args[0], SV_KIND_DATE), to = from < 0 ? from : resolve_as(r, node->args[1], SV_KIND_DATE);
    return sv_program_step(&r->features->program, SV_STEP_SUB, to, from, -1);
}

static int resolve_one(sv_resolver *r, sv_node *node, sv_step_op op)
{
    return sv_program_step(&r->features->program, op, resolve_number(r, node->args[0]), -1, -1);
}

static int resolve_new(sv_resolver *r, sv_node *node)
{
    node->kind = SV_KIND_NUMBER;
    switch (node->op) {
    case SV_OP_NUMBER:
        return sv_program_constant(&r->features->program, node->number);
    case SV_OP_TEXT:
        return fail_text(r, node);
    case SV_OP_NAME:
        return resolve_name(r, node);
    case SV_OP_ADD:
    case SV_OP_SUB:
        return resolve_sum(r, node);
    case SV_OP_MUL:
        return resolve_two(r, node, SV_STEP_MUL, 0);
    case SV_OP_DIV:
        return resolve_two(r, node, SV_STEP_DIV, 0);
    case SV_OP_POW:
        return resolve_two(r, node, SV_STEP_POW, 0);
    case SV_OP_AND:
        return resolve_two(r, node, SV_STEP_AND, 1);
    case SV_OP_OR:
        return resolve_two(r, node, SV_STEP_OR, 1);
    case SV_OP_NOT:
        return sv_program_step(&r->features->program, SV_STEP_NOT, resolve_truth(r, node->args[0]), -1, -1);
    case SV_OP_NEG:
        return resolve_one(r, node, SV_STEP_NEG);
    case SV_OP_ABS:
        return resolve_one(r, node, SV_STEP_ABS);
    case SV_OP_FLOOR:
        return resolve_one(r, node, SV_STEP_FLOOR);
    case SV_OP_SQRT:
        return resolve_one(r, node, SV_STEP_SQRT);
    case SV_OP_LOG:
        return resolve_one(r, node, SV_STEP_LOG);
    case SV_OP_LOG1P:
        return resolve_one(r, node, SV_STEP_LOG1P);
    case SV_OP_EXP:
        return resolve_one(r, node, SV_STEP_EXP);
    case SV_OP_LT:
    case SV_OP_LE:
    case SV_OP_GT:
    case SV_OP_GE:
    case SV_OP_EQ:
    case SV_OP_NE:
        return resolve_comparison(r, node);
    case SV_OP_IN:
        return resolve_in(r, node);
    case SV_OP_IF:
        return resolve_if(r, node);
    case SV_OP_MIN:
        return resolve_fold(r, node, SV_STEP_MIN);
    case SV_OP_MAX:
        return resolve_fold(r, node, SV_STEP_MAX);
    case SV_OP_CLIP:
        return resolve_clip(r, node);
    case SV_OP_IS_MISSING:
        return resolve_is_missing(r, node);
    case SV_OP_COALESCE:
        return resolve_coalesce(r, node);
    case SV_OP_BIN:
        return resolve_bin(r, node);
    case SV_OP_MONTH:
    case SV_OP_WEEKDAY:
        return resolve_date_part(r, node);
    case SV_OP_DAYS_BETWEEN:
        return resolve_days_between(r, node);
    case SV_OP_LAG:
    case SV_OP_LEAD:
    case SV_OP_ROLLING_MEAN:
    case SV_OP_ROLLING_SUM:
    case SV_N_OPS:
        break;
    }
    return fail(r, node, "lag, lead and rolling functions look at other periods, which only a panel's expressions may");
}

/* A node asked for twice (for its kind, then for its step) is made once. */
static int resolve(sv_resolver *r, sv_node *node)
{
    if (node->step < 0)
        node->step = resolve_new(r, node);
    return node->step;
}

int sv_resolve(sv_resolver *r, sv_derived *derived)
{
    sv_node *root = sv_expr_root(derived->expr);
    int step = resolve(r, root);
    if (step >= 0) {
        derived->step = step;
        derived->kind = root->kind;
    } else if (step == SV_E_LIMIT)
        sv_error_set(r->error, step, "the features are too large: more than %d steps", SV_STEPS_MAX);
    else
        sv_error_set(r->error, step, "out of memory");
    return step;
}
