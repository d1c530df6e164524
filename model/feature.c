/* feature.c: columns, derived features and their order. What a tree means is resolve.c's, arithmetic program_run.c's. */
#include "feature.h"

#include "alloc.h"
#include "feature_private.h"
#include "murmur.h"
#include "utf8.h"

#include <string.h>

int sv_features_new(sv_features **out)
{
    sv_features *features = sv_calloc(1, sizeof *features);
    *out = features;
    if (features && !sv_levels_new(&features->names) && !sv_levels_new(&features->texts) && !sv_program_init(&features->program))
        return 0;
    sv_features_free(features);
    *out = NULL;
    return SV_E_MEMORY;
}

void sv_features_free(sv_features *features)
{
    if (!features)
        return;
    for (size_t i = 0; i < features->n_columns; i++) {
        sv_free(features->columns[i].name);
        if (!features->columns[i].shares)
            sv_levels_free(features->columns[i].levels);
    }
    for (size_t i = 0; i < features->n_derived; i++) {
        sv_free(features->derived[i].name);
        sv_expr_free(features->derived[i].expr);
    }
    sv_free(features->columns);
    sv_free(features->derived);
    sv_free(features->owners);
    sv_levels_free(features->names);
    sv_levels_free(features->texts);
    sv_program_free(&features->program);
    sv_free(features);
}

/* Room for one more item. */
static int reserve(void *items, size_t n, size_t *capacity, size_t size)
{
    void **array = items;
    if (n < *capacity)
        return 0;
    size_t larger = *capacity ? 2 * *capacity : 16;
    void *grown = sv_realloc(*array, larger * size);
    if (!grown)
        return SV_E_MEMORY;
    *array = grown;
    *capacity = larger;
    return 0;
}

static int has_control_characters(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return 1;
    return 0;
}

/* Enters a name; 0 or an error. The caller adds what it names right afterwards. */
static int add_name(sv_features *features, const char *name, int owner, sv_error *error)
{
    size_t length = strlen(name), n = sv_levels_count(features->names);
    if (features->compiled)
        return sv_error_set(error, SV_E_CONFIG, "%s: the features are compiled already", name);
    if (!length || length > SV_NAME_MAX || !sv_utf8_whole(name, length) || has_control_characters(name))
        return sv_error_set(error, SV_E_CONFIG, "the name '%.80s': expected 1 to %d bytes of UTF-8 without control characters", name, SV_NAME_MAX);
    if (sv_levels_find(features->names, name, length) >= 0)
        return sv_error_set(error, SV_E_CONFIG, "the name %s is given twice", name);
    if (reserve(&features->owners, n, &features->owners_capacity, sizeof *features->owners) || sv_levels_add(features->names, name, length) < 0)
        return sv_error_set(error, SV_E_MEMORY, "out of memory");
    features->owners[n] = owner;
    return 0;
}

int sv_features_add_column(sv_features *features, const char *name, sv_type type, const sv_levels *levels, sv_error *error)
{
    size_t n = features->n_columns;
    sv_raw column = {.name = NULL, .type = type};
    if (n >= SV_COLUMNS_MAX)
        return sv_error_set(error, SV_E_LIMIT, "more than %d columns", SV_COLUMNS_MAX);
    int code = reserve(&features->columns, n, &features->columns_capacity, sizeof column);
    if (!code && type == SV_STRING)
        code = levels ? sv_levels_copy(&column.levels, levels) : sv_levels_new(&column.levels);
    if (code || !(column.name = sv_strdup(name)))
        code = sv_error_set(error, SV_E_MEMORY, "out of memory");
    else
        code = add_name(features, name, (int)n, error);
    if (code) {
        sv_free(column.name);
        sv_levels_free(column.levels);
        return code;
    }
    features->columns[features->n_columns++] = column;
    return (int)n;
}

void sv_features_set_optional(sv_features *features, int column, int optional)
{
    features->columns[column].optional = optional;
}

int sv_features_define(sv_features *features, const char *name, const char *text, sv_place *place, sv_error *error)
{
    size_t n = features->n_derived;
    sv_derived derived = {.step = -1};
    if (n >= SV_DERIVED_MAX)
        return sv_error_set(error, SV_E_LIMIT, "more than %d derived features", SV_DERIVED_MAX);
    int code = sv_expr_parse(&derived.expr, text, strlen(text), place, error);
    if (code)
        return code;
    if (reserve(&features->derived, n, &features->derived_capacity, sizeof derived) || !(derived.name = sv_strdup(name)))
        code = sv_error_set(error, SV_E_MEMORY, "out of memory");
    else
        code = add_name(features, name, -1 - (int)n, error);
    if (code) {
        sv_free(derived.name);
        sv_expr_free(derived.expr);
        return code;
    }
    features->derived[features->n_derived++] = derived;
    return (int)n;
}

int sv_features_define_expr(sv_features *features, const char *name, sv_expr *expr, sv_error *error)
{
    sv_buffer text = SV_BUFFER_INIT(SV_EXPR_LENGTH_MAX);
    int code = sv_expr_is_changed(expr) ? sv_expr_print(&text, sv_expr_root(expr)) : sv_buffer_text(&text, sv_expr_text(expr));
    code = code ? sv_error_set(error, code, "%s: the expression is too long", name) : sv_features_define(features, name, text.data, NULL, error);
    sv_buffer_free(&text);
    sv_expr_free(expr);
    return code;
}

int sv_features_lookup(const sv_features *features, const char *name, size_t length)
{
    int32_t at = sv_levels_find(features->names, name, length);
    if (at < 0)
        return -1;
    int owner = features->owners[at];
    return owner >= 0 ? owner : (int)features->n_columns - 1 - owner;
}

/* ---- order */

typedef struct ordering {
    sv_features *features;
    unsigned char *state; // (n_derived): 0 new, 1 on the path, 2 done
    int *path;            // (n_derived)
    size_t n_path;
    int found; // a new one that the visited tree needs, or -1
} ordering;

static int visit_name(void *context, const sv_node *node)
{
    ordering *o = context;
    int id = node->op == SV_OP_NAME ? sv_features_lookup(o->features, node->text, strlen(node->text)) : -1;
    int derived = id - (int)o->features->n_columns;
    if (id < 0 || derived < 0 || o->state[derived] == 2)
        return 0;
    o->found = derived;
    return 1;
}

static int fail_cycle(const ordering *o, sv_error *error)
{
    char text[600] = "";
    size_t first = o->n_path, length = 0;
    while (o->path[--first] != o->found)
        continue;
    for (size_t i = first; i < o->n_path && length < sizeof text - 300; i++) {
        const char *name = o->features->derived[o->path[i]].name;
        size_t n = strlen(name);
        memcpy(text + length, name, n);
        memcpy(text + length + n, " -> ", 5);
        length += n + 4;
    }
    return sv_error_set(error, SV_E_CONFIG, "features refer to each other in a circle: %s%s", text, o->features->derived[o->found].name);
}

static int is_on_path(const ordering *o, int derived)
{
    return o->state[derived] == 1;
}

/* Resolves one derived feature and, before it, all that it needs; without recursion, since a chain may be long. */
static int resolve_chain(ordering *o, int first, int *at_fault, sv_place *place, sv_error *error)
{
    o->path[o->n_path++] = first;
    o->state[first] = 1;
    while (o->n_path) {
        int now = *at_fault = o->path[o->n_path - 1];
        sv_derived *derived = &o->features->derived[now];
        o->found = -1;
        if (sv_expr_walk(sv_expr_root(derived->expr), visit_name, o)) {
            if (is_on_path(o, o->found))
                return fail_cycle(o, error);
            o->state[o->found] = 1;
            o->path[o->n_path++] = o->found;
            continue;
        }
        sv_resolver resolver = {.features = o->features, .place = place, .error = error};
        int step = sv_resolve(&resolver, derived);
        if (step < 0)
            return step;
        o->state[now] = 2;
        o->n_path--;
    }
    return 0;
}

static int resolve_all(sv_features *features, int *at_fault, sv_place *place, sv_error *error)
{
    size_t n = features->n_derived;
    ordering o = {.features = features, .state = sv_calloc(n, 1), .path = sv_array(n + 1, sizeof(int))};
    int code = o.state && o.path ? 0 : sv_error_set(error, SV_E_MEMORY, "out of memory");
    for (size_t i = 0; i < n && !code; i++)
        if (!o.state[i])
            code = resolve_chain(&o, (int)i, at_fault, place, error);
    sv_free(o.state);
    sv_free(o.path);
    return code;
}

/* ---- columns that share their texts */

/* Makes the column's levels the shared ones. Its unknown texts get codes that tell their hash, so that two unknown ones can be compared. */
static int share_texts(sv_features *features, sv_raw *column)
{
    size_t length;
    for (size_t i = 0; i < sv_levels_count(column->levels); i++) {
        const char *text = sv_levels_text(column->levels, i, &length);
        int32_t code = sv_levels_add(features->texts, text, length);
        if (code < 0)
            return code;
    }
    sv_levels_free(column->levels);
    column->levels = features->texts;
    column->shares = column->hashed = 1;
    return 0;
}

static int all_constant_texts(sv_node *const *nodes, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (nodes[i]->op != SV_OP_TEXT)
            return 0;
    return 1;
}

/* Is the node's argument compared with constants alone, which its own levels can hold? */
static int meets_constants_alone(const sv_node *node, uint32_t arg)
{
    if (node->op == SV_OP_EQ || node->op == SV_OP_NE)
        return node->args[1 - arg]->op == SV_OP_TEXT;
    return node->op == SV_OP_IS_MISSING || (node->op == SV_OP_IN && arg == 0 && all_constant_texts(node->args + 1, node->n_args - 1));
}

static int share_name(sv_features *features, const sv_node *name)
{
    int id = name->op == SV_OP_NAME ? sv_features_lookup(features, name->text, strlen(name->text)) : -1;
    sv_raw *column = id >= 0 && (size_t)id < features->n_columns ? &features->columns[id] : NULL;
    return column && column->type == SV_STRING && !column->shares ? share_texts(features, column) : 0;
}

static int visit_texts(void *context, const sv_node *node)
{
    int code = 0;
    for (uint32_t i = 0; i < node->n_args && !code; i++)
        if (!meets_constants_alone(node, i))
            code = share_name(context, node->args[i]);
    return code;
}

/* Before anything is resolved: codes of constants are of the levels that the column ends with. */
static int share_all(sv_features *features)
{
    int code = 0;
    for (size_t i = 0; i < features->n_derived && !code; i++) {
        const sv_node *root = sv_expr_root(features->derived[i].expr);
        code = share_name(features, root);
        code = code ? code : sv_expr_walk(root, visit_texts, features);
    }
    return code;
}

/* Gives registers; columns get steps too, so that each value has one. */
static int finish_program(sv_features *features)
{
    size_t n = features->n_derived;
    int *results = sv_array(n, sizeof *results), code = results ? 0 : SV_E_MEMORY;
    sv_levels **levels = sv_array(features->n_columns, sizeof *levels);
    if (!levels)
        code = SV_E_MEMORY;
    for (size_t i = 0; i < n && !code; i++)
        results[i] = features->derived[i].step;
    for (size_t i = 0; i < features->n_columns && !code; i++)
        levels[i] = features->columns[i].levels;
    code = code ? code : sv_program_finish(&features->program, results, n, levels, features->texts);
    sv_free(results);
    sv_free(levels);
    return code;
}

int sv_features_compile(sv_features *features, int *derived, sv_place *place, sv_error *error)
{
    int at_fault = -1;
    sv_place nowhere = {0, 0};
    place = place ? place : &nowhere;
    *place = nowhere;
    int code = share_all(features);
    if (code)
        sv_error_set(error, code, code == SV_E_LIMIT ? "the columns that are compared with one another hold too many texts" : "out of memory");
    code = code ? code : resolve_all(features, &at_fault, place, error);
    if (!code) {
        at_fault = -1;
        code = finish_program(features);
        if (code)
            sv_error_set(error, code, "out of memory");
    }
    if (derived)
        *derived = at_fault;
    features->compiled = !code;
    return code;
}

/* ---- a part of them */

static int visit_need(void *context, const sv_node *node)
{
    ordering *o = context;
    int id = node->op == SV_OP_NAME ? sv_features_lookup(o->features, node->text, strlen(node->text)) : -1;
    if (id >= 0 && !o->state[id]) {
        o->state[id] = 1;
        o->path[o->n_path++] = id;
    }
    return 0;
}

/* Marks in o->state (n_values) the values in o->path and all that they need. */
static void mark_needs(ordering *o)
{
    while (o->n_path) {
        int id = o->path[--o->n_path];
        if (id >= (int)o->features->n_columns)
            sv_expr_walk(sv_expr_root(o->features->derived[id - (int)o->features->n_columns].expr), visit_need, o);
    }
}

static int copy_marked(sv_features *to, const sv_features *from, const unsigned char *marked, sv_error *error)
{
    for (size_t i = 0; i < from->n_columns; i++) {
        const sv_raw *column = &from->columns[i];
        int id = marked[i] ? sv_features_add_column(to, column->name, column->type, column->levels, error) : 0;
        if (id < 0)
            return id;
        if (marked[i])
            sv_features_set_optional(to, id, column->optional);
    }
    for (size_t i = 0; i < from->n_derived; i++) {
        const sv_derived *derived = &from->derived[i];
        int id = marked[from->n_columns + i] ? sv_features_define(to, derived->name, sv_expr_text(derived->expr), NULL, error) : 0;
        if (id < 0)
            return id;
    }
    return sv_features_compile(to, NULL, NULL, error);
}

static int mark_names(ordering *o, const char *const *names, size_t n, sv_error *error)
{
    for (size_t i = 0; i < n; i++) {
        int id = sv_features_lookup(o->features, names[i], strlen(names[i]));
        if (id < 0)
            return sv_error_set(error, SV_E_CONFIG, "there is no column or feature %s", names[i]);
        if (!o->state[id]) {
            o->state[id] = 1;
            o->path[o->n_path++] = id;
        }
    }
    mark_needs(o);
    return 0;
}

int sv_features_select(sv_features **out, const sv_features *all, const char *const *names, size_t n, sv_error *error)
{
    size_t n_values = sv_features_n_values(all);
    ordering o = {.features = (sv_features *)(uintptr_t)all, .state = sv_calloc(n_values, 1), .path = sv_array(n_values, sizeof(int))};
    sv_features *part = NULL;
    int code = o.state && o.path && !sv_features_new(&part) ? 0 : sv_error_set(error, SV_E_MEMORY, "out of memory");
    code = code ? code : mark_names(&o, names, n, error);
    code = code ? code : copy_marked(part, all, o.state, error);
    sv_free(o.state);
    sv_free(o.path);
    if (code) {
        sv_features_free(part);
        part = NULL;
    }
    *out = part;
    return code;
}

int sv_features_depends(const sv_features *features, int value, int column)
{
    size_t n_values = sv_features_n_values(features);
    ordering o = {.features = (sv_features *)(uintptr_t)features, .state = sv_calloc(n_values, 1), .path = sv_array(n_values, sizeof(int))};
    int depends = 1; // without memory: rather too careful
    if (o.state && o.path) {
        o.state[value] = 1;
        o.path[o.n_path++] = value;
        mark_needs(&o);
        depends = o.state[column];
    }
    sv_free(o.state);
    sv_free(o.path);
    return depends;
}

/* ---- reading */

size_t sv_features_n_columns(const sv_features *features)
{
    return features->n_columns;
}

size_t sv_features_n_derived(const sv_features *features)
{
    return features->n_derived;
}

size_t sv_features_n_values(const sv_features *features)
{
    return features->n_columns + features->n_derived;
}

int sv_features_find(const sv_features *features, const char *name, size_t length)
{
    return sv_features_lookup(features, name, length);
}

const char *sv_features_name(const sv_features *features, int value)
{
    size_t id = (size_t)value, n = features->n_columns;
    return id < n ? features->columns[id].name : features->derived[id - n].name;
}

sv_kind sv_features_kind(const sv_features *features, int value)
{
    size_t id = (size_t)value, n = features->n_columns;
    if (id >= n)
        return features->derived[id - n].kind;
    sv_type type = features->columns[id].type;
    return type == SV_STRING ? SV_KIND_TEXT : type == SV_DATE ? SV_KIND_DATE : SV_KIND_NUMBER;
}

sv_type sv_features_type(const sv_features *features, int column)
{
    return features->columns[column].type;
}

int sv_features_optional(const sv_features *features, int column)
{
    return features->columns[column].optional;
}

sv_levels *sv_features_own_levels(sv_features *features, int value)
{
    if ((size_t)value < features->n_columns)
        return features->columns[value].levels;
    return sv_features_kind(features, value) == SV_KIND_TEXT ? features->texts : NULL;
}

const sv_levels *sv_features_levels(const sv_features *features, int value)
{
    return sv_features_own_levels((sv_features *)(uintptr_t)features, value);
}

int32_t sv_features_code(const sv_features *features, int column, const char *text, size_t length)
{
    const sv_raw *raw = &features->columns[column];
    int32_t code = sv_levels_find(raw->levels, text, length);
    return code >= 0 || !raw->hashed ? code : -2 - (int32_t)(sv_murmur3(text, length) & 0x3fffffff);
}

const char *sv_features_text(const sv_features *features, size_t derived)
{
    return sv_expr_text(features->derived[derived].expr);
}

const sv_expr *sv_features_expr(const sv_features *features, size_t derived)
{
    return features->derived[derived].expr;
}
