/* evaluator.c: a thread's registers, and how a table's columns become blocks. */
#include "alloc.h"
#include "feature_private.h"

#include <math.h>
#include <string.h>

struct sv_evaluator {
    const sv_features *features;
    void **at;         // (n_steps): each step's register
    double *registers; // (n_slots + n_constants, SV_BLOCK_ROWS)
    const void *const *columns; // of the last block
};

/* Points steps at registers, and fills those of constants once. */
static void place_registers(sv_evaluator *evaluator)
{
    const sv_program *program = &evaluator->features->program;
    double *constant = evaluator->registers + (size_t)program->n_slots * SV_BLOCK_ROWS;
    for (size_t i = 0; i < program->n_steps; i++) {
        const sv_step *step = &program->steps[i];
        evaluator->at[i] = NULL;
        if (sv_step_is_constant(step->op)) {
            for (size_t k = 0; k < SV_BLOCK_ROWS; k++)
                if (step->op == SV_STEP_TEXT)
                    ((int32_t *)(void *)constant)[k] = (int32_t)step->number;
                else
                    constant[k] = step->number;
            evaluator->at[i] = constant;
            constant += SV_BLOCK_ROWS;
        } else if (step->op != SV_STEP_COLUMN)
            evaluator->at[i] = evaluator->registers + (size_t)step->slot * SV_BLOCK_ROWS;
    }
}

int sv_evaluator_new(sv_evaluator **out, const sv_features *features)
{
    const sv_program *program = &features->program;
    size_t n_registers = (size_t)program->n_slots;
    for (size_t i = 0; i < program->n_steps; i++)
        n_registers += sv_step_is_constant(program->steps[i].op);
    sv_evaluator *evaluator = sv_calloc(1, sizeof *evaluator);
    *out = evaluator;
    if (!evaluator)
        return SV_E_MEMORY;
    evaluator->features = features;
    evaluator->at = sv_array(program->n_steps, sizeof *evaluator->at);
    evaluator->registers = sv_aligned(64, n_registers * SV_BLOCK_ROWS * sizeof(double));
    if (!evaluator->at || !evaluator->registers) {
        sv_evaluator_free(evaluator);
        *out = NULL;
        return SV_E_MEMORY;
    }
    place_registers(evaluator);
    return 0;
}

void sv_evaluator_free(sv_evaluator *evaluator)
{
    if (!evaluator)
        return;
    sv_free(evaluator->at);
    sv_free(evaluator->registers);
    sv_free(evaluator);
}

void sv_evaluator_run(sv_evaluator *evaluator, const sv_block *block)
{
    const sv_program *program = &evaluator->features->program;
    evaluator->columns = block->columns;
    for (size_t i = 0; i < program->n_steps; i++)
        if (program->steps[i].op == SV_STEP_COLUMN)
            evaluator->at[i] = (void *)(uintptr_t)block->columns[program->steps[i].column];
    sv_program_run(program, evaluator->at, block->n_rows);
}

const void *sv_evaluator_value(const sv_evaluator *evaluator, int value)
{
    size_t id = (size_t)value, n = evaluator->features->n_columns;
    return id < n ? evaluator->columns[id] : evaluator->at[evaluator->features->derived[id - n].step];
}

/* ---- from a table */

typedef struct bound_column {
    const sv_column *column; // NULL: absent, all missing
    int32_t *map;             // the table's code -> the features' code; NULL: the same
    int is_text;
    int32_t absent_code; // of "" when absent
} bound_column;

struct sv_binding {
    size_t n_columns;
    bound_column *columns; // (n_columns)
};

void sv_binding_free(sv_binding *binding)
{
    if (!binding)
        return;
    for (size_t i = 0; binding->columns && i < binding->n_columns; i++)
        sv_free(binding->columns[i].map);
    sv_free(binding->columns);
    sv_free(binding);
}

static int map_levels(bound_column *bound, const sv_levels *from, const sv_features *features, int column)
{
    size_t n = sv_levels_count(from), length;
    int32_t *map = sv_array(n, sizeof *map);
    int same = 1;
    if (!map)
        return SV_E_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const char *text = sv_levels_text(from, i, &length);
        map[i] = sv_features_code(features, column, text, length);
        same &= map[i] == (int32_t)i;
    }
    if (same)
        sv_free(map);
    else
        bound->map = map;
    return 0;
}

static int type_fits(sv_type wanted, sv_type got)
{
    return wanted == got || (wanted == SV_DOUBLE && (got == SV_LONG || got == SV_BOOLEAN)) || (wanted == SV_LONG && got == SV_BOOLEAN);
}

static int bind_column(bound_column *bound, const sv_features *features, int column, const sv_table *table, sv_error *error)
{
    const sv_raw *raw = &features->columns[column];
    int at = sv_table_find(table, raw->name);
    bound->is_text = raw->type == SV_STRING;
    if (at < 0 && !raw->optional)
        return sv_error_set(error, SV_E_INPUT, "the table lacks the column %s", raw->name);
    if (at < 0) {
        bound->absent_code = bound->is_text ? sv_features_code(features, column, "", 0) : 0;
        return 0;
    }
    bound->column = &table->columns[at];
    if (!type_fits(raw->type, bound->column->type))
        return sv_error_set(error, SV_E_INPUT, "column %s: expected %s, got %s", raw->name, sv_type_name(raw->type), sv_type_name(bound->column->type));
    if (bound->is_text && map_levels(bound, bound->column->levels, features, column))
        return sv_error_set(error, SV_E_MEMORY, "out of memory");
    return 0;
}

int sv_binding_new(sv_binding **out, const sv_features *features, const sv_table *table, sv_error *error)
{
    sv_binding *binding = sv_calloc(1, sizeof *binding);
    *out = NULL;
    if (binding)
        binding->columns = sv_calloc(features->n_columns, sizeof *binding->columns);
    if (!binding || !binding->columns) {
        sv_free(binding);
        return sv_error_set(error, SV_E_MEMORY, "out of memory");
    }
    binding->n_columns = features->n_columns;
    int code = 0;
    for (size_t i = 0; i < features->n_columns && !code; i++)
        code = bind_column(&binding->columns[i], features, (int)i, table, error);
    if (code)
        sv_binding_free(binding);
    else
        *out = binding;
    return code;
}

static size_t pointers_size(const sv_binding *binding)
{
    return (binding->n_columns * sizeof(void *) + 63) / 64 * 64;
}

size_t sv_binding_scratch_size(const sv_binding *binding)
{
    return pointers_size(binding) + binding->n_columns * SV_BLOCK_ROWS * sizeof(double);
}

static void fill_absent(const bound_column *bound, size_t n_rows, void *out)
{
    for (size_t i = 0; i < n_rows; i++)
        if (bound->is_text)
            ((int32_t *)out)[i] = bound->absent_code;
        else
            ((double *)out)[i] = NAN;
}

void sv_binding_block(const sv_binding *binding, size_t first, size_t n_rows, void *scratch, sv_block *block)
{
    const void **pointers = scratch;
    char *values = (char *)scratch + pointers_size(binding);
    for (size_t c = 0; c < binding->n_columns; c++, values += SV_BLOCK_ROWS * sizeof(double)) {
        const bound_column *bound = &binding->columns[c];
        pointers[c] = values;
        if (!bound->column) {
            fill_absent(bound, n_rows, values);
            continue;
        }
        sv_column_widen(bound->column, first, n_rows, values);
        int32_t *codes = (int32_t *)(void *)values;
        for (size_t i = 0; bound->map && i < n_rows; i++)
            codes[i] = bound->map[codes[i]];
    }
    *block = (sv_block){n_rows, pointers};
}
