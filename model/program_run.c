/* program_run.c: the arithmetic: one loop over a block's rows for each step, plain enough for the compiler to vectorise. A row's result does not depend on
   where in a block it stands. Missing is NaN: it propagates; a comparison with it is 0, != is 1. */
#include "program.h"

#include <math.h>

#define TWO(formula)                                                                                                   \
    for (size_t i = 0; i < n; i++) {                                                                                   \
        double x = a[i], y = b[i];                                                                                     \
        out[i] = (formula);                                                                                            \
    }                                                                                                                  \
    break

#define ONE(formula)                                                                                                   \
    for (size_t i = 0; i < n; i++) {                                                                                   \
        double x = a[i];                                                                                               \
        out[i] = (formula);                                                                                            \
    }                                                                                                                  \
    break

static void count_edges(double *restrict out, const double *restrict a, size_t n, const double *edges, size_t n_edges)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] != a[i] ? a[i] : 0;
    for (size_t k = 0; k < n_edges; k++) {
        double edge = edges[k];
        for (size_t i = 0; i < n; i++)
            out[i] += edge <= a[i] ? 1 : 0;
    }
}

/* Codes beyond the table (a hashed unknown text) and -1 are no members. */
static void look_up(double *restrict out, const int32_t *restrict codes, size_t n, const unsigned char *table, uint32_t n_table)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)codes[i] + 1;
        out[i] = table[at <= n_table ? at : 0];
    }
}

static void compare_texts(double *restrict out, const int32_t *restrict a, const int32_t *restrict b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] == b[i] ? 1.0 : 0.0;
}

static void choose_texts(int32_t *restrict out, const double *restrict condition, const int32_t *restrict a, const int32_t *restrict b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = condition[i] != 0 ? a[i] : b[i];
}

static void run_step(const sv_step *step, double *restrict out, const double *restrict a, const double *restrict b, const double *restrict c,
                     size_t n, const double *list)
{
    switch (step->op) {
    case SV_STEP_ADD:
        TWO(x + y);
    case SV_STEP_SUB:
        TWO(x - y);
    case SV_STEP_MUL:
        TWO(x * y);
    case SV_STEP_DIV:
        TWO(x / y);
    case SV_STEP_POW:
        TWO(pow(x, y));
    case SV_STEP_MIN:
        TWO(y < x ? y : x);
    case SV_STEP_MAX:
        TWO(x < y ? y : x);
    case SV_STEP_LT:
        TWO(x < y ? 1.0 : 0.0);
    case SV_STEP_LE:
        TWO(x <= y ? 1.0 : 0.0);
    case SV_STEP_EQ:
        TWO(x == y ? 1.0 : 0.0);
    case SV_STEP_NE:
        TWO(x != y ? 1.0 : 0.0);
    case SV_STEP_AND:
        TWO(x * y);
    case SV_STEP_OR:
        TWO(x < y ? y : x);
    case SV_STEP_NOT:
        ONE(1.0 - x);
    case SV_STEP_TRUTH:
        ONE(fabs(x) > 0 ? 1.0 : 0.0);
    case SV_STEP_NEG:
        ONE(-x);
    case SV_STEP_ABS:
        ONE(fabs(x));
    case SV_STEP_FLOOR:
        ONE(floor(x));
    case SV_STEP_SQRT:
        ONE(sqrt(x));
    case SV_STEP_LOG:
        ONE(log(x));
    case SV_STEP_LOG1P:
        ONE(log1p(x));
    case SV_STEP_EXP:
        ONE(exp(x));
    case SV_STEP_IS_NAN:
        ONE(x != x ? 1.0 : 0.0);
    case SV_STEP_WHERE:
        for (size_t i = 0; i < n; i++)
            out[i] = a[i] != 0 ? b[i] : c[i];
        break;
    case SV_STEP_BIN:
        count_edges(out, a, n, list + step->list, step->n_list);
        break;
    case SV_STEP_COLUMN:
    case SV_STEP_CONSTANT:
    case SV_STEP_TEXT:
    case SV_STEP_SAME_TEXT:
    case SV_STEP_CHOOSE_TEXT:
    case SV_STEP_IN:
    case SV_N_STEP_OPS:
        break;
    }
}

void sv_program_run(const sv_program *program, void *const *at, size_t n_rows)
{
    for (size_t i = 0; i < program->n_steps; i++) {
        const sv_step *step = &program->steps[i];
        if (step->op == SV_STEP_COLUMN || sv_step_is_constant(step->op))
            continue;
        if (step->op == SV_STEP_IN)
            look_up(at[i], at[step->a], n_rows, step->table, step->n_table);
        else if (step->op == SV_STEP_SAME_TEXT)
            compare_texts(at[i], at[step->a], at[step->b], n_rows);
        else if (step->op == SV_STEP_CHOOSE_TEXT)
            choose_texts(at[i], at[step->a], at[step->b], at[step->c], n_rows);
        else
            run_step(step, at[i], at[step->a], step->b >= 0 ? at[step->b] : NULL, step->c >= 0 ? at[step->c] : NULL, n_rows, program->list);
    }
}
