#include "schema.h"
#include "alloc.h"
#include "panel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sv_schema_explain(sv_error *error, const sv_error *inner, const sv_config *config, const char *key, const sv_entry *entry, const char *text, const sv_place *place)
{
    char shown[320] = "";
    if (inner->code != SV_E_CONFIG)
        return sv_error_set(error, inner->code, "%s", inner->message);
    if (text && place && place->offset <= strlen(text) && strlen(text) < 120 && !strchr(text, '\n'))
        snprintf(shown, sizeof shown, "\n    %s\n    %*s^", text, (int)place->offset, "");
    if (entry)
        sv_config_fail_at(error, config, key, entry, "%.400s%s", inner->message, shown);
    else
        sv_config_fail(error, config, key, "%.400s%s", inner->message, shown);
    if (inner->hint[0])
        sv_error_hint(error, "%s", inner->hint);
    return SV_E_CONFIG;
}

int sv_schema_may_be_missing(const sv_column *column, size_t n_rows)
{
    if (column->type == SV_STRING) return sv_levels_find(column->levels, "", 0) >= 0;
    const double *values = column->data;
    for (size_t row = 0; column->store == SV_STORE_F64 && row < n_rows; row++)
        if (values[row] != values[row]) return 1;
    return 0;
}

static int add_columns(sv_features *features, const sv_table *table, sv_error *error)
{
    for (size_t c = 0; c < table->n_columns; c++) {
        const sv_column *column = &table->columns[c];
        int code = sv_features_add_column(features, column->name, column->type, column->levels, error);
        if (code >= 0) sv_features_set_optional(features, code, sv_schema_may_be_missing(column, table->n_rows));
        if (code < 0) {
            if (error && error->code == SV_E_CONFIG)
                error->code = SV_E_INPUT; /* the file's header is at fault, not the configuration */
            return error && error->code ? error->code : code;
        }
    }
    return 0;
}

/* Parses, puts columns in the place of lag() and lead(), and defines. */
static int define(sv_features *features, const char *name, const char *key, const sv_entry *entry, const char *text, const sv_config *config, sv_error *error)
{
    sv_expr *expr;
    sv_place place = {0};
    sv_error inner = SV_ERROR_INIT;
    int code = sv_expr_parse(&expr, text, strlen(text), &place, &inner);
    if (!code)
        code = sv_panel_substitute(expr, config, &inner);
    if (!code) {
        code = sv_features_define_expr(features, name, expr, &inner);
        expr = NULL;
        code = code < 0 ? code : 0;
    }
    if (code)
        code = sv_schema_explain(error, &inner, config, key, entry, text, inner.code == SV_E_CONFIG ? &place : NULL);
    sv_expr_free(expr);
    return code;
}

/* Marks the configuration's features that text needs, directly or through others. What does not parse marks nothing: define() complains about it. */
typedef struct needs {
    const sv_config *config;
    unsigned char *wanted; /* (features.count) */
} needs;

static void mark_needed(needs *n, const char *text);

static int visit_name(void *context, const sv_node *node)
{
    needs *n = context;
    for (size_t i = 0; node->op == SV_OP_NAME && i < n->config->features.count; i++)
        if (!n->wanted[i] && !strcmp(n->config->features.items[i].key, node->text)) {
            n->wanted[i] = 1;
            mark_needed(n, n->config->features.items[i].value);
        }
    return 0;
}

static void mark_needed(needs *n, const char *text)
{
    sv_expr *expr;
    if (sv_expr_parse(&expr, text, strlen(text), NULL, NULL))
        return;
    if (!sv_panel_substitute(expr, n->config, NULL))
        sv_expr_walk(sv_expr_root(expr), visit_name, n);
    sv_expr_free(expr);
}

/* The features that are wanted (wanted NULL: all), and one more, extra, or NULL. */
static int build_some(sv_features **out, const unsigned char *wanted, const sv_entry *extra, const char *extra_key, const sv_config *config, const sv_table *table,
                      sv_error *error)
{
    sv_features *features;
    int code = sv_features_new(&features), derived = -1;
    size_t origin[SV_DERIVED_MAX + 1], n = 0; /* which entry a derived feature came from */
    if (code)
        return sv_error_set(error, code, "features: out of memory");
    if (config->features.count > SV_DERIVED_MAX)
        code = sv_config_fail(error, config, "features", "expected at most %d", SV_DERIVED_MAX);
    if (!code)
        code = add_columns(features, table, error);
    for (size_t i = 0; i < config->features.count && !code; i++) {
        const sv_entry *entry = &config->features.items[i];
        if (wanted && !wanted[i])
            continue;
        origin[n++] = i;
        code = define(features, entry->key, "features", entry, entry->value, config, error);
    }
    if (!code && extra)
        code = define(features, extra->key, extra_key, NULL, extra->value, config, error);
    if (!code) {
        sv_place place = {0};
        sv_error inner = SV_ERROR_INIT;
        code = sv_features_compile(features, &derived, &place, &inner);
        const sv_entry *entry = derived >= 0 && (size_t)derived < n ? &config->features.items[origin[derived]] : NULL;
        if (code)
            code = sv_schema_explain(error, &inner, config, entry || !extra ? "features" : extra_key, entry, entry ? entry->value : extra ? extra->value : NULL, &place);
    }
    if (code)
        sv_features_free(features);
    else
        *out = features;
    return code;
}

static int build(sv_features **out, const sv_entry *extra, const char *extra_key, const sv_config *config, const sv_table *table, sv_error *error)
{
    *out = NULL;
    if (!extra)
        return build_some(out, NULL, NULL, NULL, config, table, error);
    needs n = {config, sv_calloc(config->features.count + 1, 1)};
    if (!n.wanted)
        return sv_error_set(error, SV_E_MEMORY, "features: out of memory");
    mark_needed(&n, extra->value);
    int code = build_some(out, n.wanted, extra, extra_key, config, table, error);
    sv_free(n.wanted);
    return code;
}

int sv_schema_build(sv_features **out, const sv_config *config, const sv_table *table, sv_error *error)
{
    return build(out, NULL, NULL, config, table, error);
}

int sv_schema_build_one(sv_features **out, const char *name, const char *key, const char *text, const sv_config *config, const sv_table *table, sv_error *error)
{
    sv_entry extra = {name, text, 0, 0};
    sv_features *all;
    int code = build(&all, &extra, key, config, table, error);
    *out = NULL;
    if (!code) {
        code = sv_features_select(out, all, &name, 1, error);
        sv_features_free(all);
    }
    return code;
}

/* ---- choosing ---- */

static int is_in(const sv_entries *list, const char *name)
{
    size_t i = 0;
    while (i < list->count && strcmp(list->items[i].value, name) != 0)
        i++;
    return i < list->count;
}

static int check_name(const sv_config *config, const char *key, const sv_entry *entry, const sv_features *features, sv_error *error)
{
    size_t n = sv_features_n_values(features);
    if (sv_features_find(features, entry->value, strlen(entry->value)) >= 0)
        return 0;
    const char **names = sv_array(n + 1, sizeof *names);
    for (size_t i = 0; names && i < n; i++)
        names[i] = sv_features_name(features, (int)i);
    const char *near = names ? sv_nearest_name(entry->value, names, n) : NULL;
    int code = near ? sv_config_fail_at(error, config, key, entry, "no column or feature '%.100s': did you mean '%s'?", entry->value, near)
                    : sv_config_fail_at(error, config, key, entry, "no column or feature '%.100s'", entry->value);
    char there[300] = "";
    size_t i = 0;
    for (; names && i < n && strlen(there) < sizeof there - 80; i++)
        snprintf(there + strlen(there), sizeof there - strlen(there), "%s%.60s", i ? ", " : "", names[i]);
    sv_error_hint(error, "there are: %s%s", there, i < n ? ", …" : "");
    sv_free(names);
    return code;
}

/* Columns that have another task than to predict. */
static int is_busy(const sv_config *config, const char *name)
{
    const char *const busy[] = {config->train.weight, config->train.offset, config->split.time, config->split.group, config->split.key,
                                config->panel.entity, config->panel.time,   config->target.column};
    for (size_t i = 0; i < sizeof busy / sizeof *busy; i++)
        if (busy[i] && !strcmp(busy[i], name))
            return 1;
    return 0;
}

/* The target's expression, to know which columns it reads; NULL when it has none. */
static int target_features(sv_features **out, const sv_config *config, const sv_table *table, sv_error *error)
{
    const char *text = config->target.when ? config->target.when : config->target.value;
    *out = NULL;
    return text ? sv_schema_build_one(out, "(target)", config->target.when ? "target.when" : "target.value", text, config, table, error) : 0;
}

/* Dates are for other features to use; what a later period will bring is for the target alone. */
static int is_hidden(const sv_config *config, const sv_features *features, int value)
{
    size_t n_columns = sv_features_n_columns(features);
    if (sv_features_kind(features, value) == SV_KIND_DATE)
        return 1;
    if (!config->panel.entity) /* no lead() without a panel, whatever a file's columns are called */
        return 0;
    if (sv_panel_is_future(sv_features_name(features, value)))
        return 1;
    return (size_t)value >= n_columns && sv_panel_looks_ahead(config, sv_features_text(features, (size_t)value - n_columns));
}

static size_t choose_all(const char **names, const sv_config *config, const sv_features *features, const sv_features *target)
{
    size_t n = 0;
    for (size_t i = 0; i < sv_features_n_values(features); i++) {
        const char *name = sv_features_name(features, (int)i);
        int leaks = 0; /* made from what the target is made from */
        for (size_t c = 0; target && c < sv_features_n_columns(target); c++) {
            const char *column = sv_features_name(target, (int)c);
            leaks |= sv_features_depends(features, (int)i, sv_features_find(features, column, strlen(column)));
        }
        if (!leaks && !is_in(&config->drop, name) && !is_busy(config, name) && !is_hidden(config, features, (int)i))
            names[n++] = name;
    }
    return n;
}

int sv_schema_choose(const char ***names, size_t *n, const sv_config *config, const sv_features *features, const sv_table *table, sv_error *error)
{
    const sv_entries *given = config->use.count ? &config->use : &config->drop;
    const char *key = config->use.count ? "use" : "drop";
    sv_features *target = NULL;
    int code = 0;
    *n = 0;
    *names = NULL;
    for (size_t i = 0; i < given->count && !code; i++)
        code = check_name(config, key, &given->items[i], features, error);
    if (!code && !config->use.count && !config->panel.entity)
        code = target_features(&target, config, table, error);
    if (!code && !(*names = sv_array(sv_features_n_values(features) + config->use.count + 1, sizeof **names)))
        code = sv_error_set(error, SV_E_MEMORY, "features: out of memory");
    if (!code && !config->use.count)
        *n = choose_all(*names, config, features, target);
    for (size_t i = 0; i < config->use.count && !code; i++) {
        for (size_t j = 0; j < i && !code; j++)
            if (!strcmp(config->use.items[i].value, config->use.items[j].value))
                code = sv_config_fail_at(error, config, "use", &config->use.items[i], "'%.100s' stands twice", config->use.items[i].value);
        if (config->panel.entity && sv_panel_is_future(config->use.items[i].value) && !code)
            code = sv_config_fail_at(error, config, "use", &config->use.items[i], "'%.100s' is of a later period than the row's: a look ahead", config->use.items[i].value);
        (*names)[(*n)++] = config->use.items[i].value;
    }
    if (!code && !*n)
        code = sv_config_fail(error, config, key, "no column or feature is left to learn from");
    sv_features_free(target);
    if (code) {
        sv_free(*names);
        *names = NULL;
    }
    return code;
}

/* ---- computing ---- */

typedef struct computation {
    const sv_binding *binding;
    const sv_table *table;
    sv_evaluator **evaluators; /* (n_workers) */
    char **scratch;            /* (n_workers) */
    int value;
    double *out;
} computation;

enum { TASK_ROWS = 64 * SV_BLOCK_ROWS };

static void compute_rows(void *context, size_t task, size_t worker)
{
    computation *c = context;
    size_t end = (task + 1) * TASK_ROWS < c->table->n_rows ? (task + 1) * TASK_ROWS : c->table->n_rows;
    for (size_t row = task * TASK_ROWS; row < end; row += SV_BLOCK_ROWS) {
        sv_block block;
        size_t n = end - row < SV_BLOCK_ROWS ? end - row : SV_BLOCK_ROWS;
        sv_binding_block(c->binding, row, n, c->scratch[worker], &block);
        sv_evaluator_run(c->evaluators[worker], &block);
        memcpy(c->out + row, sv_evaluator_value(c->evaluators[worker], c->value), n * sizeof *c->out);
    }
}

int sv_schema_compute(double **out, const sv_features *features, const char *name, const sv_table *table, sv_team *team, sv_error *error)
{
    computation c = {.table = table, .value = sv_features_find(features, name, strlen(name))};
    size_t n_workers = team ? sv_team_size(team) : 1, n_tasks = (table->n_rows + TASK_ROWS - 1) / TASK_ROWS;
    sv_binding *binding;
    *out = NULL;
    if (sv_features_kind(features, c.value) != SV_KIND_NUMBER)
        return sv_error_set(error, SV_E_CONFIG, "%s: expected a number, got %s", name, sv_features_kind(features, c.value) == SV_KIND_DATE ? "a date" : "a text");
    int code = sv_binding_new(&binding, features, table, error);
    if (code)
        return code;
    c.binding = binding;
    c.out = sv_array(table->n_rows + 1, sizeof *c.out);
    c.evaluators = sv_calloc(n_workers, sizeof(sv_evaluator *));
    c.scratch = sv_calloc(n_workers, sizeof *c.scratch);
    if (!c.out || !c.evaluators || !c.scratch)
        code = SV_E_MEMORY;
    for (size_t w = 0; w < n_workers && !code; w++)
        if (!(c.scratch[w] = sv_aligned(64, sv_binding_scratch_size(binding) + 64)) || sv_evaluator_new(&c.evaluators[w], features))
            code = SV_E_MEMORY;
    if (!code && team)
        sv_team_run(team, n_tasks, compute_rows, &c);
    for (size_t t = 0; t < n_tasks && !code && !team; t++)
        compute_rows(&c, t, 0);
    for (size_t w = 0; w < n_workers; w++) {
        if (c.evaluators)
            sv_evaluator_free(c.evaluators[w]);
        if (c.scratch)
            sv_free(c.scratch[w]);
    }
    sv_free(c.evaluators);
    sv_free(c.scratch);
    sv_binding_free(binding);
    if (code) {
        sv_free(c.out);
        return sv_error_set(error, code, "features: out of memory");
    }
    *out = c.out;
    return 0;
}
