/* expr_print.c: a tree as text again, fully parenthesised, so that a tree changed by a panel can be stored. */
#include "expr.h"
#include "number.h"

#include <string.h>

static const char *const binary_signs[SV_N_OPS] = {
    [SV_OP_ADD] = " + ", [SV_OP_SUB] = " - ", [SV_OP_MUL] = " * ", [SV_OP_DIV] = " / ", [SV_OP_LT] = " < ", [SV_OP_LE] = " <= ",
    [SV_OP_GT] = " > ", [SV_OP_GE] = " >= ", [SV_OP_EQ] = " == ", [SV_OP_NE] = " != ", [SV_OP_AND] = " and ", [SV_OP_OR] = " or "};

static const char *const function_names[SV_N_OPS] = {
    [SV_OP_NEG] = "-", [SV_OP_IF] = "if", [SV_OP_MIN] = "min", [SV_OP_MAX] = "max", [SV_OP_CLIP] = "clip",
    [SV_OP_ABS] = "abs", [SV_OP_FLOOR] = "floor", [SV_OP_SQRT] = "sqrt", [SV_OP_LOG] = "log", [SV_OP_LOG1P] = "log1p", [SV_OP_EXP] = "exp",
    [SV_OP_POW] = "pow", [SV_OP_IS_MISSING] = "is_missing", [SV_OP_COALESCE] = "coalesce", [SV_OP_BIN] = "bin", [SV_OP_MONTH] = "month",
    [SV_OP_WEEKDAY] = "weekday", [SV_OP_DAYS_BETWEEN] = "days_between", [SV_OP_LAG] = "lag", [SV_OP_LEAD] = "lead",
    [SV_OP_ROLLING_MEAN] = "rolling_mean", [SV_OP_ROLLING_SUM] = "rolling_sum"};

static int print_number(sv_buffer *text, double number)
{
    char digits[SV_NUMBER_SIZE];
    sv_format_double(digits, number);
    return sv_buffer_text(text, number != number ? "missing" : digits);
}

static int print_text(sv_buffer *text, const char *content)
{
    static const char special[] = "\"\\\n\t", letters[] = "\"\\nt";
    int code = sv_buffer_byte(text, '"');
    for (; *content && !code; content++) {
        const char *found = strchr(special, *content);
        if (found)
            code = sv_buffer_byte(text, '\\');
        code = code ? code : sv_buffer_byte(text, found ? letters[found - special] : *content);
    }
    return code ? code : sv_buffer_byte(text, '"');
}

static int print_arguments(sv_buffer *text, const sv_node *node, uint32_t first, const char *between)
{
    int code = sv_buffer_byte(text, '(');
    for (uint32_t i = first; i < node->n_args && !code; i++) {
        if (i > first)
            code = sv_buffer_text(text, between);
        code = code ? code : sv_expr_print(text, node->args[i]);
    }
    return code ? code : sv_buffer_byte(text, ')');
}

int sv_expr_print(sv_buffer *text, const sv_node *node)
{
    int code;
    switch (node->op) {
    case SV_OP_NUMBER:
        return print_number(text, node->number);
    case SV_OP_TEXT:
        return print_text(text, node->text);
    case SV_OP_NAME:
        return sv_buffer_format(text, "`%s`", node->text);
    case SV_OP_IN:
        code = sv_buffer_byte(text, '(');
        code = code ? code : sv_expr_print(text, node->args[0]);
        code = code ? code : sv_buffer_text(text, " in ");
        code = code ? code : print_arguments(text, node, 1, ", ");
        return code ? code : sv_buffer_byte(text, ')');
    case SV_OP_NOT:
        code = sv_buffer_text(text, "(not ");
        code = code ? code : print_arguments(text, node, 0, ", ");
        return code ? code : sv_buffer_byte(text, ')');
    default:
        if (binary_signs[node->op])
            return print_arguments(text, node, 0, binary_signs[node->op]);
        code = sv_buffer_text(text, function_names[node->op]);
        return code ? code : print_arguments(text, node, 0, ", ");
    }
}
