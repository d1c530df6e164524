/* expr.c: the grammar of expr.h as a recursive descent, one function a level. */
#include "expr.h"

#include "alloc.h"
#include "arena.h"
#include "expr_token.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct sv_expr {
    sv_arena arena; // nodes and texts
    char *text;
    size_t length;
    sv_node *root;
    int changed; // the tree is no longer what text says
};

enum { MANY = 1000 };

typedef struct function {
    const char *name;
    sv_op op;
    uint32_t min_args, max_args;
    const char *help;
} function;

static const function functions[] = {
    {"if", SV_OP_IF, 3, 3, "if(condition, a, b)\ta when the condition is true, else b"},
    {"min", SV_OP_MIN, 2, MANY, "min(a, b, ...)\tthe least; b when b < a, else a"},
    {"max", SV_OP_MAX, 2, MANY, "max(a, b, ...)\tthe largest; b when a < b, else a"},
    {"clip", SV_OP_CLIP, 3, 3, "clip(x, low, high)\tmin(max(x, low), high)"},
    {"abs", SV_OP_ABS, 1, 1, "abs(x)\tthe magnitude"},
    {"floor", SV_OP_FLOOR, 1, 1, "floor(x)\tthe largest whole number that is not above x"},
    {"sqrt", SV_OP_SQRT, 1, 1, "sqrt(x)\tthe square root; of a negative number: missing"},
    {"log", SV_OP_LOG, 1, 1, "log(x)\tthe natural logarithm; of a negative number: missing"},
    {"log1p", SV_OP_LOG1P, 1, 1, "log1p(x)\tlog(1 + x)"},
    {"exp", SV_OP_EXP, 1, 1, "exp(x)\te to the power x"},
    {"pow", SV_OP_POW, 2, 2, "pow(x, y)\tx to the power y"},
    {"is_missing", SV_OP_IS_MISSING, 1, 1, "is_missing(x)\t1 when x is missing (a text: empty), else 0"},
    {"coalesce", SV_OP_COALESCE, 2, MANY, "coalesce(a, b, ...)\tthe first that is not missing"},
    {"bin", SV_OP_BIN, 2, MANY, "bin(x, [e1, e2, ...])\thow many of the ascending edges are <= x"},
    {"month", SV_OP_MONTH, 1, 1, "month(d)\tthe month of a date, 1 to 12"},
    {"weekday", SV_OP_WEEKDAY, 1, 1, "weekday(d)\tthe day of the week of a date, Monday 0 to Sunday 6"},
    {"days_between", SV_OP_DAYS_BETWEEN, 2, 2, "days_between(a, b)\tdays from date a to date b"},
    {"lag", SV_OP_LAG, 1, 2, "lag(x, n)\tpanels: x of n periods before (n: 1)"},
    {"lead", SV_OP_LEAD, 1, 2, "lead(x, n)\tpanels: x of n periods later (n: 1); for targets alone"},
    {"rolling_mean", SV_OP_ROLLING_MEAN, 2, 2, "rolling_mean(x, n)\tpanels: the mean of x over this period and the n - 1 before"},
    {"rolling_sum", SV_OP_ROLLING_SUM, 2, 2, "rolling_sum(x, n)\tpanels: the sum of x over this period and the n - 1 before"},
};
enum { N_FUNCTIONS = sizeof functions / sizeof *functions };

typedef struct parser {
    sv_expr *expr;
    sv_token token; // the one looked at
    size_t n_nodes, nesting;
    sv_place *place;
    sv_error *error;
    int code; // first error
} parser;

static sv_node *parse_or(parser *p);

__attribute__((format(printf, 5, 6))) static sv_node *fail(parser *p, int code, size_t offset, size_t length, const char *format, ...)
{
    if (p->code)
        return NULL;
    char message[256];
    va_list values;
    va_start(values, format);
    vsnprintf(message, sizeof message, format, values);
    va_end(values);
    p->code = code;
    if (p->place)
        *p->place = (sv_place){offset, length};
    sv_error_set(p->error, code, "%s", message);
    return NULL;
}

/* "expected X, got Y", pointing at the token looked at. */
static sv_node *fail_expected(parser *p, const char *expected)
{
    const sv_token *token = &p->token;
    if (p->code)
        return NULL;
    if (token->kind == SV_TOKEN_END)
        return fail(p, SV_E_CONFIG, token->offset, 0, "expected %s, got the end of the expression", expected);
    if (token->kind != SV_TOKEN_WRONG)
        return fail(p, SV_E_CONFIG, token->offset, token->length, "expected %s, got '%.*s'", expected,
                    (int)(token->length < 60 ? token->length : 60), p->expr->text + token->offset);
    fail(p, SV_E_CONFIG, token->offset, token->length, "%s", token->why);
    if (token->hint)
        sv_error_hint(p->error, "%s", token->hint);
    return NULL;
}

static void advance(parser *p)
{
    sv_token_next(&p->token, p->expr->text, p->expr->length, p->token.offset + p->token.length);
}

static int is_word(const parser *p, const char *word)
{
    return p->token.kind == SV_TOKEN_NAME && p->token.length == strlen(word) && !memcmp(p->expr->text + p->token.offset, word, p->token.length);
}

static int is_sign(const parser *p, const char *sign)
{
    return p->token.kind == SV_TOKEN_SIGN && p->token.length == strlen(sign) && !memcmp(p->expr->text + p->token.offset, sign, p->token.length);
}

static int accept(parser *p, const char *word_or_sign)
{
    if (!is_word(p, word_or_sign) && !is_sign(p, word_or_sign))
        return 0;
    advance(p);
    return 1;
}

/* A node over args[0..n); where it stands runs from `offset` to the end of the last argument, or to the token looked at. */
static sv_node *make(parser *p, sv_op op, size_t offset, size_t end, sv_node *const *args, uint32_t n)
{
    if (p->code)
        return NULL;
    if (++p->n_nodes > SV_EXPR_NODES_MAX)
        return fail(p, SV_E_LIMIT, offset, end - offset, "the expression has too many parts");
    sv_node *node = sv_arena_zero(&p->expr->arena, 1, sizeof *node);
    sv_node **copy = n && node ? sv_arena_alloc(&p->expr->arena, n * sizeof *copy) : NULL;
    if (!node || (n && !copy))
        return fail(p, SV_E_MEMORY, offset, 0, "out of memory");
    *node = (sv_node){.op = op, .offset = (uint32_t)offset, .length = (uint32_t)(end - offset), .depth = 1, .n_args = n, .args = copy, .value = -1, .step = -1};
    for (uint32_t i = 0; i < n; i++) {
        copy[i] = args[i];
        if (args[i]->depth >= node->depth)
            node->depth = args[i]->depth + 1;
    }
    if (node->depth > SV_EXPR_DEPTH_MAX)
        return fail(p, SV_E_LIMIT, offset, end - offset, "the expression is nested too deeply");
    return node;
}

static sv_node *make_two(parser *p, sv_op op, sv_node *a, sv_node *b)
{
    return a && b ? make(p, op, a->offset, b->offset + b->length, (sv_node *[]){a, b}, 2) : NULL;
}

static sv_node *make_number(parser *p, size_t offset, size_t end, double number)
{
    sv_node *node = make(p, SV_OP_NUMBER, offset, end, NULL, 0);
    if (node)
        node->number = number;
    return node;
}

static sv_node *make_text(parser *p)
{
    sv_token token = p->token;
    char *text = sv_arena_alloc(&p->expr->arena, token.length);
    size_t bad = token.offset;
    if (!text)
        return fail(p, SV_E_MEMORY, token.offset, 0, "out of memory");
    if (sv_token_unescape(text, p->expr->text, &token, &bad) < 0)
        return fail(p, SV_E_CONFIG, bad, 2, "a backslash stands before \" ' \\ n or t alone");
    advance(p);
    sv_node *node = make(p, SV_OP_TEXT, token.offset, token.offset + token.length, NULL, 0);
    if (node)
        node->text = text;
    return node;
}

static sv_node *make_name(parser *p, const sv_token *token)
{
    size_t quote = token->kind == SV_TOKEN_QUOTED;
    char *text = sv_arena_strndup(&p->expr->arena, p->expr->text + token->offset + quote, token->length - 2 * quote);
    if (!text)
        return fail(p, SV_E_MEMORY, token->offset, 0, "out of memory");
    sv_node *node = make(p, SV_OP_NAME, token->offset, token->offset + token->length, NULL, 0);
    if (node)
        node->text = text;
    return node;
}

/* Appends parsed items to args until the closing sign; a list in brackets counts as its items. 0, or -1 after an error. */
static int parse_items(parser *p, const char *close, sv_node **args, uint32_t *n)
{
    if (accept(p, close))
        return 0;
    do {
        if (*n >= MANY) {
            fail(p, SV_E_LIMIT, p->token.offset, p->token.length, "too many arguments");
            return -1;
        }
        if (accept(p, "[")) {
            if (!strcmp(close, "]")) {
                fail(p, SV_E_CONFIG, p->token.offset, p->token.length, "a list inside a list");
                return -1;
            }
            if (parse_items(p, "]", args, n))
                return -1;
        } else if (!(args[(*n)++] = parse_or(p)))
            return -1;
    } while (accept(p, ","));
    if (accept(p, close))
        return 0;
    fail_expected(p, !strcmp(close, "]") ? "',' or ']'" : "',' or ')'");
    return -1;
}

/* The end of the token before the one looked at: where a call's closing parenthesis stood. */
static size_t end_of_last(const parser *p)
{
    size_t at = p->token.offset;
    while (at > 0 && strchr(" \t\r\n", p->expr->text[at - 1]))
        at--;
    return at;
}

static const function *find_function(parser *p, const sv_token *name)
{
    const char *names[N_FUNCTIONS];
    char wrong[64];
    for (size_t i = 0; i < N_FUNCTIONS; i++) {
        names[i] = functions[i].name;
        if (strlen(names[i]) == name->length && !memcmp(names[i], p->expr->text + name->offset, name->length))
            return &functions[i];
    }
    size_t length = name->length < sizeof wrong ? name->length : sizeof wrong - 1;
    memcpy(wrong, p->expr->text + name->offset, length);
    wrong[length] = '\0';
    const char *near = sv_nearest_name(wrong, names, N_FUNCTIONS);
    fail(p, SV_E_CONFIG, name->offset, name->length, "there is no function %s()", wrong);
    if (near)
        sv_error_hint(p->error, "did you mean %s()?", near);
    return NULL;
}

/* name(…), the name being read and the parenthesis looked at. */
static sv_node *parse_call(parser *p, const sv_token *name)
{
    const function *f = find_function(p, name);
    sv_node **args = f ? sv_array(MANY, sizeof *args) : NULL, *node = NULL;
    uint32_t n = 0;
    advance(p);
    if (f && !args)
        fail(p, SV_E_MEMORY, name->offset, 0, "out of memory");
    else if (f && !parse_items(p, ")", args, &n)) {
        if (n < f->min_args || n > f->max_args)
            fail(p, SV_E_CONFIG, name->offset, end_of_last(p) - name->offset, "expected %.*s, got %u argument%s", (int)strcspn(f->help, "\t"),
                 f->help, n, n == 1 ? "" : "s");
        else
            node = make(p, f->op, name->offset, end_of_last(p), args, n);
    }
    sv_free(args);
    return node;
}

static sv_node *parse_name(parser *p)
{
    static const struct {
        const char *word;
        double number;
    } constants[] = {{"true", 1}, {"false", 0}, {"missing", __builtin_nan("")}};
    static const char *const reserved[] = {"and", "or", "not", "in"};
    sv_token token = p->token;
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (accept(p, constants[i].word))
            return make_number(p, token.offset, token.offset + token.length, constants[i].number);
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (is_word(p, reserved[i]))
            return fail_expected(p, "a value");
    advance(p);
    return token.kind == SV_TOKEN_NAME && is_sign(p, "(") ? parse_call(p, &token) : make_name(p, &token);
}

static sv_node *parse_primary(parser *p)
{
    sv_token token = p->token;
    switch (token.kind) {
    case SV_TOKEN_NUMBER:
        advance(p);
        return make_number(p, token.offset, token.offset + token.length, token.number);
    case SV_TOKEN_TEXT:
        return make_text(p);
    case SV_TOKEN_NAME:
    case SV_TOKEN_QUOTED:
        return parse_name(p);
    default:
        break;
    }
    if (!accept(p, "("))
        return fail_expected(p, "a value");
    sv_node *node = parse_or(p);
    if (node && !accept(p, ")"))
        return fail_expected(p, "')'");
    return node;
}

/* -a; a minus before a number is part of the number. */
static sv_node *parse_unary(parser *p)
{
    size_t offset = p->token.offset;
    if (accept(p, "+"))
        return fail(p, SV_E_CONFIG, offset, 1, "a plus sign has no left side");
    if (!accept(p, "-"))
        return parse_primary(p);
    if (++p->nesting > SV_EXPR_DEPTH_MAX)
        return fail(p, SV_E_LIMIT, offset, 1, "the expression is nested too deeply");
    sv_node *a = parse_unary(p);
    p->nesting--;
    if (a && a->op == SV_OP_NUMBER && a->number == a->number) {
        a->number = -a->number;
        a->length += (uint32_t)(a->offset - offset);
        a->offset = (uint32_t)offset;
        return a;
    }
    return a ? make(p, SV_OP_NEG, offset, a->offset + a->length, &a, 1) : NULL;
}

static sv_node *parse_product(parser *p)
{
    sv_node *a = parse_unary(p);
    while (a && (is_sign(p, "*") || is_sign(p, "/"))) {
        sv_op op = is_sign(p, "*") ? SV_OP_MUL : SV_OP_DIV;
        advance(p);
        a = make_two(p, op, a, parse_unary(p));
    }
    return a;
}

static sv_node *parse_sum(parser *p)
{
    sv_node *a = parse_product(p);
    while (a && (is_sign(p, "+") || is_sign(p, "-"))) {
        sv_op op = is_sign(p, "+") ? SV_OP_ADD : SV_OP_SUB;
        advance(p);
        a = make_two(p, op, a, parse_product(p));
    }
    return a;
}

/* value in (…), the value parsed and `in` read. */
static sv_node *parse_members(parser *p, sv_node *value)
{
    const char *close = is_sign(p, "[") ? "]" : ")";
    if (!accept(p, "[") && !accept(p, "("))
        return fail_expected(p, "'(' and the members");
    sv_node **args = sv_array(MANY + 1, sizeof *args), *node = NULL;
    uint32_t n = 0;
    if (!args)
        return fail(p, SV_E_MEMORY, p->token.offset, 0, "out of memory");
    args[0] = value;
    if (!parse_items(p, close, args + 1, &n))
        node = n ? make(p, SV_OP_IN, value->offset, end_of_last(p), args, n + 1)
                 : fail(p, SV_E_CONFIG, value->offset, end_of_last(p) - value->offset, "`in` an empty list");
    sv_free(args);
    return node;
}

static int comparison_op(const parser *p, sv_op *op)
{
    static const struct {
        const char *sign;
        sv_op op;
    } signs[] = {{"<", SV_OP_LT}, {"<=", SV_OP_LE}, {">", SV_OP_GT}, {">=", SV_OP_GE}, {"==", SV_OP_EQ}, {"!=", SV_OP_NE}};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (is_sign(p, signs[i].sign)) {
            *op = signs[i].op;
            return 1;
        }
    return 0;
}

static sv_node *parse_comparison(parser *p)
{
    sv_node *a = parse_sum(p);
    sv_op op;
    if (!a)
        return NULL;
    if (accept(p, "in"))
        return parse_members(p, a);
    if (accept(p, "not")) {
        if (!accept(p, "in"))
            return fail_expected(p, "'in' after 'not'");
        sv_node *in = parse_members(p, a);
        return in ? make(p, SV_OP_NOT, in->offset, in->offset + in->length, &in, 1) : NULL;
    }
    if (!comparison_op(p, &op))
        return a;
    advance(p);
    a = make_two(p, op, a, parse_sum(p));
    if (a && comparison_op(p, &op)) {
        fail(p, SV_E_CONFIG, p->token.offset, p->token.length, "comparisons cannot be chained");
        sv_error_hint(p->error, "write `a < b and b < c`");
        return NULL;
    }
    return a;
}

static sv_node *parse_not(parser *p)
{
    size_t offset = p->token.offset;
    if (!accept(p, "not"))
        return parse_comparison(p);
    if (++p->nesting > SV_EXPR_DEPTH_MAX)
        return fail(p, SV_E_LIMIT, offset, 3, "the expression is nested too deeply");
    sv_node *a = parse_not(p);
    p->nesting--;
    return a ? make(p, SV_OP_NOT, offset, a->offset + a->length, &a, 1) : NULL;
}

static sv_node *parse_and(parser *p)
{
    sv_node *a = parse_not(p);
    while (a && accept(p, "and"))
        a = make_two(p, SV_OP_AND, a, parse_not(p));
    return a;
}

static sv_node *parse_or(parser *p)
{
    if (++p->nesting > SV_EXPR_DEPTH_MAX)
        return fail(p, SV_E_LIMIT, p->token.offset, p->token.length, "the expression is nested too deeply");
    sv_node *a = parse_and(p);
    while (a && accept(p, "or"))
        a = make_two(p, SV_OP_OR, a, parse_and(p));
    p->nesting--;
    return a;
}

static int parse_whole(sv_expr *expr, sv_place *place, sv_error *error)
{
    parser p = {.expr = expr, .place = place, .error = error};
    advance(&p);
    expr->root = parse_or(&p);
    if (expr->root && p.token.kind != SV_TOKEN_END)
        fail_expected(&p, "an operator or the end");
    return p.code;
}

int sv_expr_parse(sv_expr **out, const char *text, size_t length, sv_place *place, sv_error *error)
{
    *out = NULL;
    if (place)
        *place = (sv_place){0, 0};
    if (length > SV_EXPR_LENGTH_MAX)
        return sv_error_set(error, SV_E_LIMIT, "an expression of %zu bytes; at most %d", length, SV_EXPR_LENGTH_MAX);
    sv_expr *expr = sv_calloc(1, sizeof *expr);
    if (!expr || !(expr->text = sv_strndup(text, length))) {
        sv_free(expr);
        return sv_error_set(error, SV_E_MEMORY, "out of memory");
    }
    expr->length = length;
    int code = parse_whole(expr, place, error);
    if (code) {
        sv_expr_free(expr);
        return code;
    }
    *out = expr;
    return 0;
}

void sv_expr_free(sv_expr *expr)
{
    if (!expr)
        return;
    sv_arena_free(&expr->arena);
    sv_free(expr->text);
    sv_free(expr);
}

sv_node *sv_expr_root(sv_expr *expr)
{
    return expr->root;
}

const char *sv_expr_text(const sv_expr *expr)
{
    return expr->text;
}

int sv_expr_is_changed(const sv_expr *expr)
{
    return expr->changed;
}

static sv_node *find_panel_call(sv_node *node)
{
    for (uint32_t i = 0; i < node->n_args; i++) {
        sv_node *found = find_panel_call(node->args[i]);
        if (found)
            return found;
    }
    return SV_OP_IS_PANEL(node->op) ? node : NULL;
}

sv_node *sv_expr_panel_call(sv_expr *expr)
{
    return find_panel_call(expr->root);
}

int sv_expr_replace(sv_expr *expr, sv_node *node, const char *name)
{
    char *copy = sv_arena_strdup(&expr->arena, name);
    if (!copy)
        return SV_E_MEMORY;
    expr->changed = 1;
    node->op = SV_OP_NAME;
    node->text = copy;
    node->n_args = 0;
    node->depth = 1;
    return 0;
}

int sv_expr_walk(const sv_node *node, int (*visit)(void *context, const sv_node *node), void *context)
{
    for (uint32_t i = 0; i < node->n_args; i++) {
        int answer = sv_expr_walk(node->args[i], visit, context);
        if (answer)
            return answer;
    }
    return visit(context, node);
}

const char *sv_expr_function_help(size_t i)
{
    return i < N_FUNCTIONS ? functions[i].help : NULL;
}
