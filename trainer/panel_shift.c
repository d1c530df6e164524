/* panel_shift.c: lag, lead and rolling figures of a panel as columns. */
#include "alloc.h"
#include "panel.h"
#include "schema.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 256, DEPTH_MAX = 64, PERIODS_MAX = 10000 };
#define ARGUMENT "(panel)"

static const char *word_of(sv_op op)
{
    return op == SV_OP_LAG ? "lag" : op == SV_OP_LEAD ? "lead" : op == SV_OP_ROLLING_MEAN ? "rolling_mean" : "rolling_sum";
}

static double periods_of(const sv_node *call)
{
    return call->n_args > 1 ? call->args[1]->number : 1;
}

/* balance_lag_1, or the call as it is written where its argument is no plain name. */
static int name_of(char name[NAME_BYTES], const sv_expr *expr, const sv_node *call, sv_error *error)
{
    const sv_node *argument = call->args[0];
    double periods = periods_of(call);
    int length;
    if (!(periods >= 1 && periods <= PERIODS_MAX) || periods != floor(periods))
        return sv_error_set(error, SV_E_CONFIG, "%s: expected 1 to %d whole periods, got %g", word_of(call->op), PERIODS_MAX, periods);
    if (argument->op == SV_OP_NAME)
        length = snprintf(name, NAME_BYTES, "%s_%s_%d", argument->text, word_of(call->op), (int)periods);
    else
        length = snprintf(name, NAME_BYTES, "%s(%.*s, %d)", word_of(call->op), (int)argument->length, sv_expr_text(expr) + argument->offset, (int)periods);
    return length < NAME_BYTES ? 0 : sv_error_set(error, SV_E_LIMIT, "%s: expected a shorter argument; name it as a feature", word_of(call->op));
}

int sv_panel_is_future(const char *name)
{
    if (!strncmp(name, "lead(", 5))
        return 1;
    for (const char *at = name; (at = strstr(at, "_lead_")); at++)
        if (isdigit((unsigned char)at[6]))
            return 1;
    return 0;
}

int sv_panel_substitute(sv_expr *expr, const sv_config *config, sv_error *error)
{
    sv_node *call;
    int code = 0;
    while (!code && (call = sv_expr_panel_call(expr))) {
        char name[NAME_BYTES];
        if (!config->panel.entity)
            return sv_error_set(error, SV_E_CONFIG, "%s() needs a `panel:`", word_of(call->op));
        code = name_of(name, expr, call, error);
        if (!code)
            code = sv_expr_replace(expr, call, name);
    }
    return code;
}

/* ---- making the columns ---- */

typedef struct shifter {
    sv_table *table;
    const sv_config *config;
    sv_team *team;
    sv_error *error;
    const char *key;       /* of the expression at work, for errors */
    const sv_entry *entry;
} shifter;

static int make_columns(shifter *s, const char *text, int depth);

typedef struct name_search {
    shifter *shifter;
    int depth;
} name_search;

/* What an argument refers to must have its columns first. */
static int visit_name(void *context, const sv_node *node)
{
    name_search *n = context;
    const sv_entries *features = &n->shifter->config->features;
    if (node->op != SV_OP_NAME)
        return 0;
    for (size_t i = 0; i < features->count; i++)
        if (!strcmp(features->items[i].key, node->text))
            return make_columns(n->shifter, features->items[i].value, n->depth + 1);
    return 0;
}

/* Row i's figure from the values of its entity's rows [first, end). */
static double figure(sv_op op, size_t periods, const double *values, size_t i, size_t first, size_t end)
{
    if (op == SV_OP_LAG)
        return i - first >= periods ? values[i - periods] : NAN;
    if (op == SV_OP_LEAD)
        return end - i > periods ? values[i + periods] : NAN;
    if (i - first + 1 < periods)
        return NAN;
    double sum = 0;
    for (size_t k = i + 1 - periods; k <= i; k++)
        sum += values[k];
    return op == SV_OP_ROLLING_SUM ? sum : sum / (double)periods;
}

static int same_entity(const sv_column *entity, size_t a, size_t b)
{
    size_t size = sv_store_size(entity->store);
    return !memcmp((const char *)entity->data + a * size, (const char *)entity->data + b * size, size);
}

static int add_column(shifter *s, const char *name, sv_op op, size_t periods, const double *values)
{
    sv_table *table = s->table;
    sv_column *columns = sv_realloc(table->columns, (table->n_columns + 2) * sizeof *columns);
    double *out = sv_array(table->n_rows + 1, sizeof *out);
    char *copy = sv_strdup(name);
    if (columns)
        table->columns = columns;
    if (!columns || !out || !copy) {
        sv_free(out);
        sv_free(copy);
        return sv_error_set(s->error, SV_E_MEMORY, "panel: out of memory");
    }
    for (size_t first = 0, end; first < table->n_rows; first = end) {
        end = first + 1;
        while (end < table->n_rows && same_entity(&columns[0], first, end))
            end++;
        for (size_t i = first; i < end; i++)
            out[i] = figure(op, periods, values, i, first, end);
    }
    columns[table->n_columns++] = (sv_column){.name = copy, .type = SV_DOUBLE, .store = SV_STORE_F64, .data = out};
    return 0;
}

static int make_column(shifter *s, const sv_expr *expr, const sv_node *call, const char *name, int depth)
{
    char argument[SV_EXPR_LENGTH_MAX + 1];
    const sv_node *node = call->args[0];
    name_search names = {s, depth};
    double *values;
    if (node->op == SV_OP_NAME)
        snprintf(argument, sizeof argument, "`%s`", node->text); /* maybe a column that an inner call made */
    else
        snprintf(argument, sizeof argument, "%.*s", (int)node->length, sv_expr_text(expr) + node->offset);
    int code = sv_expr_walk(node, visit_name, &names);
    if (code)
        return code;
    sv_features *features;
    code = sv_schema_build_one(&features, ARGUMENT, s->key, argument, s->config, s->table, s->error);
    if (code)
        return code;
    code = sv_schema_compute(&values, features, ARGUMENT, s->table, s->team, s->error);
    sv_features_free(features);
    if (!code) {
        code = add_column(s, name, call->op, (size_t)periods_of(call), values);
        sv_free(values);
    }
    return code;
}

/* The columns for all panel calls in text, the innermost first. */
static int make_columns(shifter *s, const char *text, int depth)
{
    sv_expr *expr;
    sv_node *call;
    sv_place place = {0};
    sv_error inner = SV_ERROR_INIT;
    if (depth > DEPTH_MAX)
        return sv_config_fail(s->error, s->config, s->key, "features refer to each other in a circle");
    int code = sv_expr_parse(&expr, text, strlen(text), &place, &inner);
    while (!code && (call = sv_expr_panel_call(expr))) {
        char name[NAME_BYTES];
        code = name_of(name, expr, call, &inner);
        if (!code && sv_table_find(s->table, name) < 0 && (code = make_column(s, expr, call, name, depth)))
            break;
        if (!code && (code = sv_expr_replace(expr, call, name)))
            sv_error_set(&inner, code, "panel: out of memory");
    }
    if (inner.code)
        code = sv_schema_explain(s->error, &inner, s->config, s->key, s->entry, text, &place);
    sv_expr_free(expr);
    return code;
}

int sv_panel_shift(sv_table *table, const sv_config *config, sv_team *team, sv_error *error)
{
    shifter s = {.table = table, .config = config, .team = team, .error = error};
    int code = 0;
    for (size_t i = 0; i < config->features.count && !code; i++) {
        s.key = "features";
        s.entry = &config->features.items[i];
        code = make_columns(&s, s.entry->value, 0);
    }
    s.entry = NULL;
    s.key = config->target.when ? "target.when" : "target.value";
    if (!code && !config->target.column)
        code = make_columns(&s, config->target.when ? config->target.when : config->target.value, 0);
    return code;
}
