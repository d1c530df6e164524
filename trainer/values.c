/* values.c: derived features are computed block by block, each worker with its own evaluator. */
#include "values.h"

#include "alloc.h"
#include "design.h"

#include <math.h>
#include <string.h>

enum { TASK_ROWS = 64 * SV_BLOCK_ROWS };

typedef struct compute {
    const sv_values *values;
    const sv_binding *binding;
    sv_evaluator **evaluators; /* (team size) */
    char **scratch;            /* (team size) */
} compute;

static int is_truth(const sv_node *node)
{
    return (node->op >= SV_OP_LT && node->op <= SV_OP_IN) || node->op == SV_OP_IS_MISSING;
}

static void store_rows(const sv_value_column *column, size_t first, size_t n, const void *rows)
{
    if (column->store == SV_STORE_F64) memcpy((double *)(uintptr_t)column->data + first, rows, n * sizeof(double));
    else if (column->store == SV_STORE_CODE32) memcpy((uint32_t *)(uintptr_t)column->data + first, rows, n * sizeof(uint32_t));
    else
        for (size_t i = 0; i < n; i++) ((int8_t *)(uintptr_t)column->data)[first + i] = (int8_t)((const double *)rows)[i];
}

static void compute_task(void *context, size_t task, size_t worker)
{
    const compute *c = context;
    const sv_values *values = c->values;
    size_t begin = task * TASK_ROWS, end = begin + TASK_ROWS < values->n_rows ? begin + TASK_ROWS : values->n_rows;
    for (size_t first = begin; first < end; first += SV_BLOCK_ROWS) {
        size_t n = end - first < SV_BLOCK_ROWS ? end - first : SV_BLOCK_ROWS;
        sv_block block;
        sv_binding_block(c->binding, first, n, c->scratch[worker], &block);
        sv_evaluator_run(c->evaluators[worker], &block);
        for (size_t k = 0; k < values->n; k++)
            if (values->columns[k].owned) store_rows(&values->columns[k], first, n, sv_evaluator_value(c->evaluators[worker], values->columns[k].id));
    }
}

static int compute_derived(sv_values *values, sv_team *team, sv_error *error)
{
    size_t n_workers = sv_team_size(team);
    sv_binding *binding = NULL;
    compute c = {.values = values, .evaluators = sv_calloc(n_workers, sizeof(void *)), .scratch = sv_calloc(n_workers, sizeof(void *))};
    int rc = c.evaluators && c.scratch ? 0 : SV_E_MEMORY;
    if (!rc) rc = sv_binding_new(&binding, values->features, values->table, error);
    c.binding = binding;
    for (size_t w = 0; !rc && w < n_workers; w++) {
        c.scratch[w] = sv_aligned(64, sv_binding_scratch_size(binding));
        if (!c.scratch[w] || sv_evaluator_new(&c.evaluators[w], values->features)) rc = SV_E_MEMORY;
    }
    if (!rc) sv_team_run(team, (values->n_rows + TASK_ROWS - 1) / TASK_ROWS, compute_task, &c);
    for (size_t w = 0; w < n_workers && c.evaluators && c.scratch; w++) {
        sv_evaluator_free(c.evaluators[w]);
        sv_free(c.scratch[w]);
    }
    sv_free(c.evaluators);
    sv_free(c.scratch);
    sv_binding_free(binding);
    return rc == SV_E_MEMORY ? sv_error_set(error, rc, "features: out of memory") : rc;
}

/* A raw column can be used where it lies when its codes mean the same in the features. */
static int same_codes(const sv_features *features, int id, const sv_column *column)
{
    const sv_levels *mine = sv_features_levels(features, id);
    if (!column->levels) return 1;
    if (!mine || sv_levels_count(mine) < sv_levels_count(column->levels)) return 0;
    for (size_t code = 0; code < sv_levels_count(column->levels); code++) {
        size_t a, b;
        const char *text = sv_levels_text(column->levels, code, &a), *other = sv_levels_text(mine, code, &b);
        if (a != b || memcmp(text, other, a) != 0) return 0;
    }
    return 1;
}

static int set_column(sv_values *values, size_t k, int id, sv_error *error)
{
    sv_value_column *column = &values->columns[k];
    const sv_features *features = values->features;
    size_t n_raw = sv_features_n_columns(features);
    *column = (sv_value_column){.id = id, .kind = sv_features_kind(features, id), .derived = (size_t)id >= n_raw};
    if (!column->derived) {
        int at = sv_table_find(values->table, sv_features_name(features, id));
        if (at >= 0 && same_codes(features, id, &values->table->columns[at])) {
            column->data = values->table->columns[at].data;
            column->store = values->table->columns[at].store;
            return 0;
        }
    }
    column->store = column->kind == SV_KIND_TEXT ? SV_STORE_CODE32 : SV_STORE_F64;
    if (column->derived && column->kind == SV_KIND_NUMBER && is_truth(sv_expr_root((sv_expr *)(uintptr_t)sv_features_expr(features, (size_t)id - n_raw))))
        column->store = SV_STORE_I8;
    column->data = sv_array(values->n_rows, sv_store_size(column->store));
    column->owned = 1;
    return column->data ? 0 : sv_error_set(error, SV_E_MEMORY, "features: out of memory for %zu rows", values->n_rows);
}

int sv_values_new(sv_values *out, const sv_features *features, const sv_table *table, const int *ids, size_t n, sv_team *team, sv_error *error)
{
    int rc = 0, owned = 0;
    *out = (sv_values){.features = features, .table = table, .n_rows = table->n_rows, .columns = sv_calloc(n, sizeof(sv_value_column))};
    if (!out->columns) return sv_error_set(error, SV_E_MEMORY, "features: out of memory");
    for (size_t k = 0; !rc && k < n; k++, out->n++) {
        rc = set_column(out, k, ids[k], error);
        owned |= out->columns[k].owned;
    }
    if (!rc && owned) rc = compute_derived(out, team, error);
    if (rc) sv_values_free(out);
    return rc;
}

void sv_values_free(sv_values *values)
{
    if (!values) return;
    for (size_t k = 0; k < values->n; k++)
        if (values->columns[k].owned) sv_free((void *)(uintptr_t)values->columns[k].data);
    sv_free(values->columns);
    *values = (sv_values){0};
}

/* ---- checking ---- */

/* 1 when any raw number behind the feature is missing in that row: then a NaN is only what was given. */
static int inputs_missing(const sv_values *values, int id, size_t row)
{
    for (size_t c = 0; c < sv_features_n_columns(values->features); c++) {
        double value;
        size_t length;
        int at = sv_table_find(values->table, sv_features_name(values->features, (int)c));
        if (!sv_features_depends(values->features, id, (int)c)) continue;
        if (at < 0) return 1;
        const sv_column *column = &values->table->columns[at];
        sv_design_widen(&value, column->data, column->store, row, 1);
        if (column->levels && (sv_levels_text(column->levels, (size_t)value, &length), length == 0)) return 1;
        if (isnan(value)) return 1;
    }
    return 0;
}

typedef struct inspection {
    const sv_values *values;
    const uint8_t *parts;
    uint8_t none;
    size_t *bad_rows; /* (n): first bad row of each column, n_rows where there is none */
} inspection;

static void inspect(void *context, size_t k, size_t worker)
{
    const inspection *in = context;
    const sv_value_column *column = &in->values->columns[k];
    const double *data = column->data;
    (void)worker;
    in->bad_rows[k] = in->values->n_rows;
    if (column->store != SV_STORE_F64) return;
    for (size_t i = 0; i < in->values->n_rows; i++) {
        if (isfinite(data[i]) || (in->parts && in->parts[i] == in->none)) continue;
        if (isnan(data[i]) && (!column->derived || inputs_missing(in->values, column->id, i))) continue;
        in->bad_rows[k] = i;
        return;
    }
}

int sv_values_check(const sv_values *values, const uint8_t *parts, uint8_t none, sv_team *team, sv_error *error)
{
    inspection in = {values, parts, none, sv_array(values->n ? values->n : 1, sizeof(size_t))};
    int rc = in.bad_rows ? 0 : sv_error_set(error, SV_E_MEMORY, "features: out of memory");
    if (!rc) sv_team_run(team, values->n, inspect, &in);
    for (size_t k = 0; !rc && k < values->n; k++) {
        const sv_value_column *column = &values->columns[k];
        if (in.bad_rows[k] == values->n_rows) continue;
        double value = ((const double *)column->data)[in.bad_rows[k]];
        rc = sv_error_set(error, SV_E_INPUT, "features.%s: row %zu: expected a finite number, got %s", sv_features_name(values->features, column->id), values->rows_before + in.bad_rows[k] + 1,
                          isnan(value) ? "NaN" : value > 0 ? "infinity" : "-infinity");
        if (column->derived)
            sv_error_hint(error, "the expression is %s; guard it with max(…), coalesce(…) or if(…)", sv_features_text(values->features, (size_t)column->id - sv_features_n_columns(values->features)));
    }
    sv_free(in.bad_rows);
    return rc;
}
