/* expr.h: text of a feature -> tree, by one grammar for training, serving and ONNX. Leaves out: what names mean (feature.h), arithmetic (program.h).

       expression := a or b | a and b | not a | a < b (also <= > >= == !=) | a in ("x", "y") | a not in (1, 2) | a + b | a - b | a * b | a / b | -a
                   | name | `any name` | 12.5e3 | "text" | 'text' | true | false | missing | (a) | function(a, …)

   A comparison is 1 or 0; with a missing number it is 0 (!= is 1). Arithmetic with a missing number is missing. In and, or, not and if a number is
   true when it is neither 0 nor missing. Functions: the table in expr.c; `sv_expr_functions` lists them. */
#ifndef SV_EXPR_H
#define SV_EXPR_H

#include "buffer.h"
#include "error.h"

#include <stddef.h>
#include <stdint.h>

#define SV_EXPR_LENGTH_MAX 8192 /* bytes of one expression */
#define SV_EXPR_NODES_MAX 2048
#define SV_EXPR_DEPTH_MAX 200 /* of the tree: parentheses, and terms of one sum */

/* What a node's value is. A truth value is the number 1 or 0; a date is the number of days since 1970, but is not mixed with numbers. */
typedef enum sv_kind { SV_KIND_NUMBER, SV_KIND_TEXT, SV_KIND_DATE } sv_kind;

typedef enum sv_op {
    SV_OP_NUMBER, /* number */
    SV_OP_TEXT,   /* text */
    SV_OP_NAME,   /* text; after resolution `value` is its id in the features */
    SV_OP_ADD, SV_OP_SUB, SV_OP_MUL, SV_OP_DIV, SV_OP_NEG,
    SV_OP_LT, SV_OP_LE, SV_OP_GT, SV_OP_GE, SV_OP_EQ, SV_OP_NE,
    SV_OP_AND, SV_OP_OR, SV_OP_NOT,
    SV_OP_IN,     /* args: the value, then the constants */
    SV_OP_IF, SV_OP_MIN, SV_OP_MAX, SV_OP_CLIP, SV_OP_ABS, SV_OP_FLOOR, SV_OP_SQRT, SV_OP_LOG, SV_OP_LOG1P, SV_OP_EXP, SV_OP_POW,
    SV_OP_IS_MISSING, SV_OP_COALESCE,
    SV_OP_BIN,    /* args: the number, then ascending constants; the count of those <= the number */
    SV_OP_MONTH, SV_OP_WEEKDAY, SV_OP_DAYS_BETWEEN,
    SV_OP_LAG, SV_OP_LEAD, SV_OP_ROLLING_MEAN, SV_OP_ROLLING_SUM, /* panels alone; (expression, constant whole number of periods) */
    SV_N_OPS
} sv_op;

#define SV_OP_IS_PANEL(op) ((op) >= SV_OP_LAG && (op) <= SV_OP_ROLLING_SUM)

/* A tree of an expression; read it freely, change it through sv_expr_replace alone. Lives as long as its sv_expr. */
typedef struct sv_node sv_node;
struct sv_node {
    sv_op op;
    sv_kind kind;            /* known once resolved */
    uint32_t offset, length; /* where it stands in the text, bytes */
    uint32_t depth;          /* 1 for a leaf */
    uint32_t n_args;
    sv_node **args; /* (n_args) */
    double number;
    const char *text; /* NUL-terminated, holds no NUL */
    int value;        /* SV_OP_NAME: id once resolved, else -1 */
    int step;   /* the features\' own: what it was compiled to, else -1 */
};

typedef struct sv_expr sv_expr;

/* Where an error lies, for a caret under it; length 0: at the end. */
typedef struct sv_place {
    size_t offset, length; /* bytes of the expression's text */
} sv_place;

/* Parses text[0..length). SV_E_CONFIG with *place (may be NULL) set where it is wrong, SV_E_LIMIT, SV_E_MEMORY. New: the caller's. Any thread. */
int sv_expr_parse(sv_expr **out, const char *text, size_t length, sv_place *place, sv_error *error);
void sv_expr_free(sv_expr *expr); /* accepts NULL */

sv_node *sv_expr_root(sv_expr *expr);
const char *sv_expr_text(const sv_expr *expr); /* as given, NUL-terminated; borrowed */

/* The innermost panel call (lag, lead, rolling_*) that holds no other one, leftmost first; NULL when none is left. The trainer's panel computes its
   first argument over the sorted groups (its text is sv_expr_text + args[0]->offset, args[0]->length), shifts it, stores it as a column, and replaces
   the call by that column's name, until NULL comes. */
sv_node *sv_expr_panel_call(sv_expr *expr);

/* Makes node a name. Copies name; 0 or SV_E_MEMORY. */
int sv_expr_replace(sv_expr *expr, sv_node *node, const char *name);
int sv_expr_is_changed(const sv_expr *expr); /* 1 once something was replaced: sv_expr_text no longer says what the tree is */

/* Appends the tree as text that parses to the same tree. 0, SV_E_MEMORY or SV_E_LIMIT. */
int sv_expr_print(sv_buffer *text, const sv_node *node);

/* Calls visit for every node, children first. Stops at the first non-zero answer and returns it. */
int sv_expr_walk(const sv_node *node, int (*visit)(void *context, const sv_node *node), void *context);

/* One row a function of the language: for --help, the reference and did-you-mean. NULL beyond the end. */
const char *sv_expr_function_help(size_t i); /* "clip(x, low, high)\tx kept within [low, high]" */

/* Which of names[0..n) is nearest to a misspelt one (Damerau-Levenshtein, at most a third of its letters wrong); NULL when none is near. */
const char *sv_nearest_name(const char *wrong, const char *const *names, size_t n);

#endif
