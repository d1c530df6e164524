/* program.h: expressions made flat: steps over block registers, each the result of a few earlier ones. Equal steps are made once. The evaluator runs
   them and model.onnx is written from them, op by op, so both compute the same thing. Private to model/. */
#ifndef SV_PROGRAM_H
#define SV_PROGRAM_H

#include "error.h"
#include "table.h"

#include <stddef.h>
#include <stdint.h>

#define SV_STEPS_MAX 16384

/* Truth values are the numbers 1 and 0. */
typedef enum sv_step_op {
    SV_STEP_COLUMN,   /* raw column `column`; a text's codes, else doubles */
    SV_STEP_CONSTANT, /* number */
    SV_STEP_TEXT,     /* a constant text: its code, `number`, in the features' shared levels */
    SV_STEP_ADD, SV_STEP_SUB, SV_STEP_MUL, SV_STEP_DIV, SV_STEP_POW,
    SV_STEP_MIN, /* b < a ? b : a */
    SV_STEP_MAX, /* a < b ? b : a */
    SV_STEP_LT, SV_STEP_LE, SV_STEP_EQ, SV_STEP_NE,
    SV_STEP_SAME_TEXT, /* of two texts' codes */
    SV_STEP_AND, SV_STEP_OR, /* of truth values */
    SV_STEP_NOT,             /* of a truth value */
    SV_STEP_TRUTH,           /* neither 0 nor missing */
    SV_STEP_NEG, SV_STEP_ABS, SV_STEP_FLOOR, SV_STEP_SQRT, SV_STEP_LOG, SV_STEP_LOG1P, SV_STEP_EXP,
    SV_STEP_IS_NAN,
    SV_STEP_WHERE, /* a (a truth value) ? b : c */
    SV_STEP_CHOOSE_TEXT, /* the same of texts' codes */
    SV_STEP_BIN,   /* how many of the list's numbers are <= a; missing stays missing */
    SV_STEP_IN,    /* text a's code is among the list's */
    SV_N_STEP_OPS
} sv_step_op;

typedef struct sv_step {
    sv_step_op op;
    int a, b, c; /* earlier steps, or -1 */
    int column;  /* SV_STEP_COLUMN, else -1 */
    double number;
    size_t list, n_list;  /* SV_STEP_BIN, SV_STEP_IN: into the program's list */
    unsigned char *table; /* SV_STEP_IN: (n_levels + 1) by code + 1; made by sv_program_finish */
    uint32_t n_table;
    int slot; /* register; -1 for columns and constants, numbers or texts, which have their own places */
} sv_step;

typedef struct sv_program {
    sv_step *steps; /* (n_steps) */
    size_t n_steps, steps_capacity;
    double *list; /* (n_list) edges and codes of BIN and IN */
    size_t n_list, list_capacity;
    int *buckets, *next; /* steps by hash, for finding equal ones */
    int n_slots;         /* registers; known after sv_program_finish */
} sv_program;

int sv_program_init(sv_program *program); /* 0 or SV_E_MEMORY */
void sv_program_free(sv_program *program);

/* Each returns the step's index, an equal earlier one where there is one, or SV_E_MEMORY or SV_E_LIMIT. Constant operands are computed at once.
   Negative operands are passed on, so that calls may be nested. */
int sv_program_column(sv_program *program, int column);
int sv_program_constant(sv_program *program, double number);
int sv_program_text(sv_program *program, int32_t code);
int sv_program_step(sv_program *program, sv_step_op op, int a, int b, int c);
int sv_program_list_step(sv_program *program, sv_step_op op, int a, const double *list, size_t n_list);
int sv_program_month(sv_program *program, int days);   /* 1 … 12 of days since 1970 */
int sv_program_weekday(sv_program *program, int days); /* Monday 0 … Sunday 6 */

/* Assigns registers; results (n of them) stay readable to the end of a run. levels[c] is column c's, or NULL; texts: those that other texts' codes are of.
   0 or SV_E_MEMORY. */
int sv_program_finish(sv_program *program, const int *results, size_t n, sv_levels *const *levels, const sv_levels *texts);
int sv_step_is_constant(sv_step_op op); /* a number or a text */

/* Runs all steps over n_rows rows. at[i] is step i's register: columns' set by the caller before, constants' filled, others (SV_BLOCK_ROWS) each. */
void sv_program_run(const sv_program *program, void *const *at, size_t n_rows);

#endif
