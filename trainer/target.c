/* target.c: what is to be predicted, from a condition, an expression or a column. */
#include "alloc.h"
#include "dataset.h"
#include "number.h"
#include "schema.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES_MAX = 1024 };
static const char target_name[] = "(target)";

static int out_of_memory(sv_error *error)
{
    return sv_error_set(error, SV_E_MEMORY, "target: out of memory");
}

/* ---- by expression ---- */

static int asks_for_missing(void *context, const sv_node *node)
{
    (void)context;
    return node->op == SV_OP_IS_MISSING || node->op == SV_OP_COALESCE;
}

/* Rows where a column that the target reads is missing have no target, unless the expression itself deals with missing values. */
static int mark_unknown(uint8_t *parts, const sv_features *features, const sv_table *table)
{
    for (size_t d = 0; d < sv_features_n_derived(features); d++)
        if (sv_expr_walk(sv_expr_root((sv_expr *)(uintptr_t)sv_features_expr(features, d)), asks_for_missing, NULL))
            return 0;
    for (size_t c = 0; c < sv_features_n_columns(features); c++) {
        const sv_column *column = &table->columns[sv_table_find(table, sv_features_name(features, (int)c))];
        const double *values = column->data;
        for (size_t row = 0; column->store == SV_STORE_F64 && row < table->n_rows; row++)
            if (isnan(values[row]))
                parts[row] = SV_PART_NONE;
        int32_t nothing = column->levels ? sv_levels_find(column->levels, "", 0) : -1, code;
        for (size_t row = 0; nothing >= 0 && row < table->n_rows; row++) {
            sv_column_widen(column, row, 1, &code);
            if (code == nothing)
                parts[row] = SV_PART_NONE;
        }
    }
    return 0;
}

static int compute(double **values, uint8_t *parts, const char *key, const char *text, const sv_config *config, const sv_table *table, sv_team *team, sv_error *error)
{
    sv_features *features;
    int code = sv_schema_build_one(&features, target_name, key, text, config, table, error);
    if (code)
        return code;
    sv_error inner = SV_ERROR_INIT;
    code = sv_schema_compute(values, features, target_name, table, team, &inner);
    if (code)
        code = inner.code == SV_E_CONFIG ? sv_config_fail(error, config, key, "%s", inner.message) : sv_error_set(error, inner.code, "%s", inner.message);
    else
        code = mark_unknown(parts, features, table);
    sv_features_free(features);
    return code;
}

static int make_flags(sv_column *target, const double *values, const uint8_t *parts, size_t n_rows, const char *key, const sv_config *config, sv_error *error)
{
    int8_t *flags = sv_array(n_rows + 1, 1);
    if (!flags)
        return out_of_memory(error);
    *target = (sv_column){.type = SV_BOOLEAN, .store = SV_STORE_I8, .data = flags};
    for (size_t row = 0; row < n_rows; row++) {
        flags[row] = values[row] == 1;
        if (parts[row] != SV_PART_NONE && values[row] != 0 && values[row] != 1) {
            char number[SV_NUMBER_SIZE];
            sv_format_double(number, values[row]);
            return sv_config_fail(error, config, key, "row %zu: expected 0 or 1, got %s", row + 1, number);
        }
    }
    return 0;
}

static int make_numbers(sv_column *target, double *values, uint8_t *parts, size_t n_rows, const char *key, const sv_config *config, sv_error *error)
{
    *target = (sv_column){.type = SV_DOUBLE, .store = SV_STORE_F64, .data = values};
    for (size_t row = 0; row < n_rows; row++) {
        if (parts[row] == SV_PART_NONE)
            continue;
        if (isnan(values[row]))
            parts[row] = SV_PART_NONE;
        else if (isinf(values[row]))
            return sv_config_fail(error, config, key, "row %zu: expected a finite number, got %sinfinity", row + 1, values[row] < 0 ? "-" : "");
        else if (config->train.model == SV_MODEL_POISSON && values[row] < 0)
            return sv_config_fail(error, config, key, "row %zu: expected a count >= 0 for train.model poisson, got %g", row + 1, values[row]);
    }
    return 0;
}

/* ---- by column ---- */

static double *widen(const sv_column *column, size_t n_rows)
{
    double *values = sv_array(n_rows + SV_BLOCK_ROWS, sizeof *values);
    for (size_t row = 0; values && row < n_rows; row += SV_BLOCK_ROWS)
        sv_column_widen(column, row, n_rows - row < SV_BLOCK_ROWS ? n_rows - row : SV_BLOCK_ROWS, values + row);
    return values;
}

/* 1 where a text or number is the positive one; texts that are missing have no target. */
static int compare_positive(double **values, uint8_t *parts, const sv_column *column, const sv_config *config, const sv_table *table, sv_error *error)
{
    const char *positive = config->target.positive;
    double number;
    if (column->type == SV_STRING) {
        int32_t wanted = sv_levels_find(column->levels, positive, strlen(positive)), nothing = sv_levels_find(column->levels, "", 0), code;
        if (wanted < 0)
            return sv_config_fail(error, config, "target.positive", "column '%s' never holds '%.60s'", column->name, positive);
        if (!(*values = sv_array(table->n_rows + 1, sizeof **values)))
            return out_of_memory(error);
        for (size_t row = 0; row < table->n_rows; row++) {
            sv_column_widen(column, row, 1, &code);
            (*values)[row] = code == wanted;
            if (code == nothing && wanted != nothing)
                parts[row] = SV_PART_NONE;
        }
        return 0;
    }
    if (sv_parse_double(positive, strlen(positive), &number))
        return sv_config_fail(error, config, "target.positive", "column '%s' holds numbers: expected a number, got '%.60s'", column->name, positive);
    if (!(*values = widen(column, table->n_rows)))
        return out_of_memory(error);
    for (size_t row = 0; row < table->n_rows; row++) {
        if (isnan((*values)[row]))
            parts[row] = SV_PART_NONE;
        (*values)[row] = (*values)[row] == number;
    }
    return 0;
}

typedef struct class_text {
    const char *text;
    int32_t code;
} class_text;

static int by_text(const void *a, const void *b)
{
    return strcmp(((const class_text *)a)->text, ((const class_text *)b)->text);
}

/* A string column's codes, renumbered so that the classes stand in byte order. */
static int make_classes(sv_column *target, uint8_t *parts, const sv_column *column, const sv_config *config, size_t n_rows, sv_error *error)
{
    size_t n = sv_levels_count(column->levels), length, kept = 0;
    class_text classes[CLASSES_MAX + 1];
    int32_t codes[CLASSES_MAX + 1], code;
    if (n > CLASSES_MAX)
        return sv_config_fail(error, config, "target.column", "expected at most %d classes, got %zu", CLASSES_MAX, n);
    for (size_t i = 0; i < n; i++) {
        const char *text = sv_levels_text(column->levels, i, &length);
        codes[i] = -1;
        if (length)
            classes[kept++] = (class_text){text, (int32_t)i};
    }
    qsort(classes, kept, sizeof *classes, by_text);
    *target = (sv_column){.type = SV_STRING, .store = kept <= 256 ? SV_STORE_CODE8 : SV_STORE_CODE16};
    target->data = sv_array(n_rows + 1, sv_store_size(target->store));
    if (!target->data || sv_levels_new(&target->levels))
        return out_of_memory(error);
    for (size_t i = 0; i < kept; i++)
        if ((codes[classes[i].code] = sv_levels_add(target->levels, classes[i].text, strlen(classes[i].text))) < 0)
            return out_of_memory(error);
    for (size_t row = 0; row < n_rows; row++) {
        sv_column_widen(column, row, 1, &code);
        int32_t new_code = codes[code];
        if (new_code < 0)
            parts[row] = SV_PART_NONE;
        if (target->store == SV_STORE_CODE8)
            ((uint8_t *)target->data)[row] = (uint8_t)(new_code < 0 ? 0 : new_code);
        else
            ((uint16_t *)target->data)[row] = (uint16_t)(new_code < 0 ? 0 : new_code);
    }
    return 0;
}

/* Numbers as classes: each one's shortest text. */
static int texts_of_numbers(sv_column *out, const sv_column *column, const sv_config *config, size_t n_rows, sv_error *error)
{
    uint16_t *codes = sv_array(n_rows + 1, sizeof *codes);
    *out = (sv_column){.name = column->name, .type = SV_STRING, .store = SV_STORE_CODE16, .data = codes};
    if (!codes || sv_levels_new(&out->levels))
        return out_of_memory(error);
    for (size_t row = 0; row < n_rows; row++) {
        char text[SV_NUMBER_SIZE];
        double value;
        sv_column_widen(column, row, 1, &value);
        int length = isnan(value) ? 0 : sv_format_double(text, value);
        int32_t code = sv_levels_add(out->levels, text, (size_t)length);
        if (code < 0 || code > CLASSES_MAX)
            return code < 0 ? out_of_memory(error) : sv_config_fail(error, config, "target.column", "expected at most %d classes, got more", CLASSES_MAX);
        codes[row] = (uint16_t)code;
    }
    return 0;
}

static int find_column(const sv_column **out, const sv_config *config, const sv_table *table, sv_error *error)
{
    int at = sv_table_find(table, config->target.column);
    *out = at < 0 ? NULL : &table->columns[at];
    if (at >= 0)
        return 0;
    const char **names = sv_array(table->n_columns + 1, sizeof *names);
    for (size_t c = 0; names && c < table->n_columns; c++)
        names[c] = table->columns[c].name;
    const char *near = names ? sv_nearest_name(config->target.column, names, table->n_columns) : NULL;
    if (near)
        sv_config_fail(error, config, "target.column", "no column '%.100s': did you mean '%s'?", config->target.column, near);
    else
        sv_config_fail(error, config, "target.column", "no column '%.100s'", config->target.column);
    sv_free(names);
    return SV_E_CONFIG;
}

static int from_column(sv_column *target, uint8_t *parts, const sv_config *config, const sv_table *table, sv_error *error)
{
    const sv_column *column;
    double *values = NULL;
    int code = find_column(&column, config, table, error);
    if (code)
        return code;
    if (config->train.model == SV_MODEL_MULTINOMIAL) {
        sv_column texts = {0};
        if (column->type != SV_STRING && (code = texts_of_numbers(&texts, column, config, table->n_rows, error)) == 0)
            column = &texts;
        if (!code)
            code = make_classes(target, parts, column, config, table->n_rows, error);
        sv_free(texts.data);
        sv_levels_free(texts.levels);
        return code;
    }
    if (column->type == SV_STRING && !config->target.positive) {
        sv_config_fail(error, config, "target.column", "column '%s' holds texts: train.model %s needs numbers", column->name,
                       sv_config_word("train.model", (int)config->train.model));
        sv_error_hint(error, "target.positive names the text that counts as 1; train.model: multinomial takes all of them");
        return SV_E_CONFIG;
    }
    if (config->target.positive)
        code = compare_positive(&values, parts, column, config, table, error);
    else if (!(values = widen(column, table->n_rows)))
        code = out_of_memory(error);
    for (size_t row = 0; !code && row < table->n_rows; row++)
        if (isnan(values[row]))
            parts[row] = SV_PART_NONE;
    if (!code && config->train.model == SV_MODEL_LOGISTIC)
        code = make_flags(target, values, parts, table->n_rows, "target.column", config, error);
    else if (!code)
        return make_numbers(target, values, parts, table->n_rows, "target.column", config, error); /* takes values */
    sv_free(values);
    return code;
}

int sv_dataset_make_target(sv_column *target, uint8_t *parts, const sv_config *config, const sv_table *table, sv_team *team, sv_error *error)
{
    const char *key = config->target.when ? "target.when" : "target.value";
    double *values = NULL;
    int code;
    *target = (sv_column){0};
    if (config->target.column) {
        code = from_column(target, parts, config, table, error);
    } else {
        code = compute(&values, parts, key, config->target.when ? config->target.when : config->target.value, config, table, team, error);
        if (!code && config->target.when)
            code = make_flags(target, values, parts, table->n_rows, key, config, error);
        else if (!code)
            code = make_numbers(target, values, parts, table->n_rows, key, config, error);
        if (config->target.when || code)
            sv_free(target->data == values ? NULL : values);
    }
    if (!code && !(target->name = sv_strdup(config->target.name)))
        code = out_of_memory(error);
    return code;
}
