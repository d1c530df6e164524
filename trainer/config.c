/* config.c: from YAML to sv_config, driven by the table of config_keys.c. */
#include "config.h"
#include "alloc.h"
#include "buffer.h"
#include "config_memory.h"
#include "config_tree.h"
#include "expr.h"
#include "file.h"
#include "number.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ARENA_MAX = 64 << 20, PATH_MAX_BYTES = 512 };

/* Where values come from just now: a file, one --set, or the table's defaults. */
typedef struct origin {
    sv_config *config;
    const char *name;
    int is_file;
    int set; /* the n-th, from 1; 0: none */
    sv_error *error;
} origin;

static int fail(const origin *o, const sv_tree *node, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int fail(const origin *o, const sv_tree *node, const char *format, ...)
{
    char text[800];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (o->is_file)
        return sv_error_set(o->error, SV_E_CONFIG, "%s:%d:%d: %s", o->name, node->line, node->column, text);
    return sv_error_set(o->error, SV_E_CONFIG, "%s: %s", o->name, text);
}

static int out_of_memory(const origin *o)
{
    return sv_error_set(o->error, SV_E_MEMORY, "%s: out of memory", o->name);
}

static int is_null(const sv_tree *node)
{
    return node->kind == SV_TREE_SCALAR && node->plain && (!*node->text || !strcmp(node->text, "~") || !strcmp(node->text, "null"));
}

static const char *kind_name(const sv_tree *node)
{
    return node->kind == SV_TREE_LIST ? "a list" : node->kind == SV_TREE_MAP ? "a mapping" : "a text";
}

/* The node's text with the environment's variables in place; NULL with the error set. */
static const char *scalar(const origin *o, const char *key, const sv_tree *node)
{
    if (node->kind != SV_TREE_SCALAR) {
        fail(o, node, "in '%s': expected one value, got %s", key, kind_name(node));
        return NULL;
    }
    sv_error inner = SV_ERROR_INIT;
    const char *text = sv_config_expand(o->config, node->text, &inner);
    if (!text)
        fail(o, node, "in '%s': %s", key, inner.message);
    return text;
}

static void *field(const origin *o, const sv_key *key)
{
    return (char *)o->config + key->offset;
}

static int check_range(const origin *o, const sv_key *key, const sv_tree *node, double value, const char *text)
{
    char bound[SV_NUMBER_SIZE];
    const char *rule = NULL;
    if (!(value >= key->min) || (key->open && value == key->min)) {
        sv_format_double(bound, key->min);
        rule = key->open ? ">" : ">=";
    } else if (value > key->max) {
        sv_format_double(bound, key->max);
        rule = "<=";
    }
    return rule ? fail(o, node, "in '%s': must be %s %s, got %.60s", key->name, rule, bound, text) : 0;
}

static int put_whole(const origin *o, const sv_key *key, const sv_tree *node, const char *text)
{
    int64_t value;
    double real;
    if (sv_parse_int64(text, strlen(text), &value)) {
        if (sv_parse_double(text, strlen(text), &real) || real != floor(real) || !(fabs(real) < 9e15))
            return fail(o, node, "in '%s': expected a whole number, got %.60s", key->name, text);
        value = (int64_t)real; /* 1e6 */
    }
    memcpy(field(o, key), &value, sizeof value);
    return check_range(o, key, node, (double)value, text);
}

static int put_real(const origin *o, const sv_key *key, const sv_tree *node, const char *text)
{
    double value;
    if (sv_parse_double(text, strlen(text), &value) || !isfinite(value))
        return fail(o, node, "in '%s': expected a number, got %.60s", key->name, text);
    memcpy(field(o, key), &value, sizeof value);
    return check_range(o, key, node, value, text);
}

static int put_flag(const origin *o, const sv_key *key, const sv_tree *node, const char *text)
{
    int value = !strcmp(text, "true");
    if (!value && strcmp(text, "false") != 0)
        return fail(o, node, "in '%s': expected true or false, got %.60s", key->name, text);
    memcpy(field(o, key), &value, sizeof value);
    return 0;
}

static int put_choice(const origin *o, const sv_key *key, const sv_tree *node, const char *text)
{
    size_t length;
    const char *word;
    for (int i = 0; (word = sv_key_choice(key, i, &length)); i++)
        if (strlen(text) == length && !memcmp(word, text, length)) {
            memcpy(field(o, key), &i, sizeof i);
            return 0;
        }
    char words[200];
    snprintf(words, sizeof words, "%s", key->choices);
    for (char *bar; (bar = strchr(words, '|'));)
        *bar = ' ';
    return fail(o, node, "in '%s': expected one of: %s, got %.60s", key->name, words, text);
}

static sv_entry *room(const origin *o, sv_entries *list)
{
    size_t n = list->count;
    if (!(n & (n - 1)) && n != 1) { /* at 0 and at powers of two; the old array stays in the arena */
        sv_entry *more = sv_arena_zero(&o->config->memory->arena, n ? n * 2 : 2, sizeof *more);
        if (!more)
            return NULL;
        if (n)
            memcpy(more, list->items, n * sizeof *more);
        list->items = more;
    }
    return &list->items[list->count++];
}

/* Adds name: value; a mapping's entry of that name is replaced. name NULL for a list. */
static int put_entry(const origin *o, const sv_key *key, sv_entries *list, const sv_tree *name, const sv_tree *value)
{
    const char *text = scalar(o, key->name, value);
    if (!text)
        return o->error ? o->error->code : SV_E_CONFIG;
    if (name && (!*name->text || strlen(name->text) > 255))
        return fail(o, name, "in '%s': expected a name of 1 to 255 bytes", key->name);
    sv_entry *entry = NULL;
    for (size_t i = 0; name && key->type == SV_KEY_MAP && i < list->count && !entry; i++)
        if (!strcmp(list->items[i].key, name->text))
            entry = &list->items[i];
    if (!entry && !(entry = room(o, list)))
        return out_of_memory(o);
    *entry = (sv_entry){name ? name->text : NULL, text, o->is_file ? value->line : -o->set, o->is_file ? value->column : 0};
    return 0;
}

static int put_list(const origin *o, const sv_key *key, const sv_tree *node)
{
    sv_entries *list = field(o, key);
    int code = 0;
    *list = (sv_entries){0};
    if (node->kind == SV_TREE_SCALAR)
        return put_entry(o, key, list, NULL, node);
    if (node->kind == SV_TREE_MAP)
        return fail(o, node, "in '%s': expected a list, got a mapping", key->name);
    for (size_t i = 0; i < node->count && !code; i++)
        code = put_entry(o, key, list, NULL, &node->values[i]);
    return code;
}

static int put_map(const origin *o, const sv_key *key, const sv_tree *node)
{
    sv_entries *map = field(o, key);
    int code = 0;
    if (node->kind != SV_TREE_MAP)
        return fail(o, node, "in '%s': expected a mapping (name: value), got %s", key->name, kind_name(node));
    *map = (sv_entries){0};
    for (size_t i = 0; i < node->count && !code; i++) {
        const sv_tree *value = &node->values[i];
        if (key->type == SV_KEY_MAP || value->kind == SV_TREE_SCALAR) {
            code = put_entry(o, key, map, &node->keys[i], value);
            continue;
        }
        if (value->kind != SV_TREE_LIST || !value->count)
            return fail(o, value, "in '%s.%.100s': expected a list of values", key->name, node->keys[i].text);
        for (size_t j = 0; j < value->count && !code; j++)
            code = put_entry(o, key, map, &node->keys[i], &value->values[j]);
    }
    return code;
}

static int put(const origin *o, const sv_key *key, const sv_tree *node)
{
    if (key->type == SV_KEY_LIST)
        return put_list(o, key, node);
    if (key->type == SV_KEY_MAP || key->type == SV_KEY_LISTS)
        return put_map(o, key, node);
    const char *text = scalar(o, key->name, node);
    if (!text)
        return o->error ? o->error->code : SV_E_CONFIG;
    switch (key->type) {
    case SV_KEY_WHOLE:
        return put_whole(o, key, node, text);
    case SV_KEY_REAL:
        return put_real(o, key, node, text);
    case SV_KEY_FLAG:
        return put_flag(o, key, node, text);
    case SV_KEY_CHOICE:
        return put_choice(o, key, node, text);
    default:
        memcpy(field(o, key), &text, sizeof text);
        return 0;
    }
}

static size_t size_of(sv_key_type type)
{
    switch (type) {
    case SV_KEY_TEXT:
    case SV_KEY_SECRET:
        return sizeof(char *);
    case SV_KEY_FLAG:
    case SV_KEY_CHOICE:
        return sizeof(int);
    case SV_KEY_WHOLE:
        return sizeof(int64_t);
    case SV_KEY_REAL:
        return sizeof(double);
    default:
        return sizeof(sv_entries);
    }
}

/* `--set a.b=`: as if the file did not say it. */
static int take_back(const origin *o, int index)
{
    const sv_key *key = &sv_keys[index];
    const sv_tree fallback = {.kind = SV_TREE_SCALAR, .text = key->fallback};
    memset(&o->config->memory->places[index], 0, sizeof o->config->memory->places[index]);
    memset(field(o, key), 0, size_of(key->type));
    return key->fallback ? put(o, key, &fallback) : 0;
}

static int take(const origin *o, int index, const sv_tree *node)
{
    sv_config_memory *m = o->config->memory;
    if (is_null(node))
        return o->is_file ? 0 : take_back(o, index);
    m->places[index].given = 1;
    m->places[index].line = o->is_file ? node->line : -o->set;
    m->places[index].column = o->is_file ? node->column : 0;
    return put(o, &sv_keys[index], node);
}

static int is_group(const char *path)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < sv_keys_count; i++)
        if (!strncmp(sv_keys[i].name, path, length) && sv_keys[i].name[length] == '.')
            return 1;
    return 0;
}

/* The nearest known key, or one that ends in the same word elsewhere. */
static const char *meant(const char *path)
{
    static _Thread_local char cut[SV_CONFIG_KEYS_MAX][64]; /* keys as far as path goes: "train" of train.c for the misspelt "trian" */
    const char *names[SV_CONFIG_KEYS_MAX] = {NULL}, *last = strrchr(path, '.') ? strrchr(path, '.') + 1 : path;
    for (size_t i = 0; i < sv_keys_count; i++) {
        const char *end = sv_keys[i].name;
        for (const char *dot = path; dot; dot = strchr(dot + 1, '.'))
            end += strcspn(end + (*end == '.'), ".") + (size_t)(*end == '.');
        snprintf(cut[i], sizeof cut[i], "%.*s", (int)(end - sv_keys[i].name), sv_keys[i].name);
        names[i] = cut[i];
    }
    const char *near = sv_nearest_name(path, names, sv_keys_count);
    for (size_t i = 0; i < sv_keys_count; i++)
        names[i] = sv_keys[i].name;
    for (size_t i = 0; !near && i < sv_keys_count; i++) {
        const char *dot = strrchr(names[i], '.');
        if (!strcmp(dot ? dot + 1 : names[i], last))
            near = names[i];
    }
    return near;
}

static int unknown_key(const origin *o, const char *path, const sv_tree *node)
{
    const char *near = meant(path);
    int code = near ? fail(o, node, "unknown key '%.200s': did you mean '%s'?", path, near) : fail(o, node, "unknown key '%.200s'", path);
    sv_error_hint(o->error, "configs/REFERENCE.md lists every key");
    return code;
}

static int walk(const origin *o, const char *prefix, const sv_tree *map)
{
    int code = 0;
    if (map->kind != SV_TREE_MAP)
        return fail(o, map, "expected keys and values%s%s, got %s", *prefix ? " in " : "", prefix, kind_name(map));
    for (size_t i = 0; i < map->count && !code; i++) {
        char path[PATH_MAX_BYTES];
        snprintf(path, sizeof path, "%s%s%.255s", prefix, *prefix ? "." : "", map->keys[i].text);
        int index = sv_key_find(path);
        if (index >= 0)
            code = take(o, index, &map->values[i]);
        else if (!is_group(path))
            code = unknown_key(o, path, &map->keys[i]);
        else if (!is_null(&map->values[i]))
            code = walk(o, path, &map->values[i]);
    }
    return code;
}

/* a.b=v: a key, or one entry of a mapping. */
static int apply_set(sv_config *config, const char *text, sv_error *error)
{
    char shown[PATH_MAX_BYTES], path[PATH_MAX_BYTES];
    const char *equals = strchr(text, '=');
    snprintf(shown, sizeof shown, "--set %.300s", text);
    const char *name = sv_arena_strdup(&config->memory->arena, sv_config_shown(config, shown));
    origin o = {config, name ? name : shown, 0, (int)config->memory->n_sets + 1, error};
    if (!name)
        return out_of_memory(&o);
    config->memory->sets[config->memory->n_sets++] = name;
    if (!equals || equals == text || equals - text > 300)
        return sv_error_set(error, SV_E_CONFIG, "%s: expected key=value", name);
    snprintf(path, sizeof path, "%.*s", (int)(equals - text), text);
    sv_tree *value, none = {.kind = SV_TREE_SCALAR, .plain = 1, .text = ""};
    if (!equals[1])
        value = &none;
    else if (sv_tree_parse(&value, &config->memory->arena, name, equals + 1, strlen(equals + 1), error))
        return error ? error->code : SV_E_CONFIG;
    int index = sv_key_find(path);
    if (index >= 0)
        return take(&o, index, value);
    if (is_group(path) && value->kind == SV_TREE_MAP)
        return walk(&o, path, value);
    for (size_t i = 0; i < sv_keys_count; i++) {
        size_t length = strlen(sv_keys[i].name);
        if (sv_keys[i].type != SV_KEY_MAP || strncmp(path, sv_keys[i].name, length) != 0 || path[length] != '.')
            continue;
        sv_tree entry = {.kind = SV_TREE_SCALAR, .text = sv_arena_strdup(&config->memory->arena, path + length + 1)};
        if (!entry.text)
            return out_of_memory(&o);
        config->memory->places[i].given = 1;
        config->memory->places[i].line = -o.set;
        return put_entry(&o, &sv_keys[i], field(&o, &sv_keys[i]), &entry, value);
    }
    return unknown_key(&o, path, &none);
}

/* Of values that are wrong together the message names one, perhaps the file's; what came later is at fault when the file alone was right. */
static void blame_sets(const sv_config *config, int file_is_right, sv_error *error)
{
    char sets[400] = "";
    if (!file_is_right || !strncmp(error->message, "--set ", 6))
        return;
    for (size_t i = 0; i < config->memory->n_sets && strlen(sets) < 300; i++)
        snprintf(sets + strlen(sets), sizeof sets - strlen(sets), "%s%.90s", i ? " " : "", config->memory->sets[i]);
    sv_error_prefix(error, "%s: ", sets);
}

static int apply_sets(sv_config *config, const sv_config_options *options, sv_error *error)
{
    int code = 0;
    config->memory->sets = sv_arena_zero(&config->memory->arena, options->n_set, sizeof *config->memory->sets);
    if (!config->memory->sets)
        return sv_error_set(error, SV_E_MEMORY, "%s: out of memory", config->path);
    for (size_t i = 0; i < options->n_set && !code; i++)
        code = apply_set(config, options->set[i], error);
    return code;
}

static int apply_defaults(sv_config *config, sv_error *error)
{
    origin o = {config, "default", 0, 0, error};
    int code = 0;
    for (size_t i = 0; i < sv_keys_count && !code; i++) {
        sv_tree node = {.kind = SV_TREE_SCALAR, .text = sv_keys[i].fallback};
        code = sv_keys[i].fallback ? put(&o, &sv_keys[i], &node) : 0;
    }
    return code;
}

static sv_config *make_config(void)
{
    sv_config *config = sv_calloc(1, sizeof *config);
    if (config && !(config->memory = sv_calloc(1, sizeof *config->memory))) {
        sv_free(config);
        return NULL;
    }
    if (config)
        config->memory->arena.max = ARENA_MAX;
    return config;
}

int sv_config_parse(sv_config **out, const char *name, const char *text, size_t length, const sv_config_options *options, sv_error *error)
{
    sv_error own = SV_ERROR_INIT;
    sv_tree *root = NULL;
    if (!error)
        error = &own;
    *out = NULL;
    sv_config *config = make_config();
    if (!config || !(config->path = sv_arena_strdup(&config->memory->arena, name))) {
        sv_config_free(config);
        return sv_error_set(error, SV_E_MEMORY, "%s: out of memory", name);
    }
    origin o = {config, config->path, 1, 0, error};
    int code = apply_defaults(config, error);
    if (!code)
        code = sv_tree_parse(&root, &config->memory->arena, name, text, length, error);
    if (!code)
        code = walk(&o, "", root);
    int is_right = !code && options && options->n_set && !sv_config_check(config, NULL);
    if (!code && options && options->n_set)
        code = apply_sets(config, options, error);
    if (!code)
        code = sv_config_check(config, error);
    if (code == SV_E_CONFIG)
        blame_sets(config, is_right, error);
    if (code)
        sv_config_free(config);
    else
        *out = config;
    return code;
}

int sv_config_read(sv_config **out, const char *path, const sv_config_options *options, sv_error *error)
{
    sv_buffer text = SV_BUFFER_INIT(0);
    *out = NULL;
    int code = sv_file_read(&text, path, SV_TREE_MAX_BYTES, error);
    if (code)
        return code == SV_E_MEMORY ? code : ((error ? error->code = SV_E_CONFIG : 0), SV_E_CONFIG);
    code = sv_config_parse(out, path, text.data ? text.data : "", text.size, options, error);
    sv_buffer_free(&text);
    return code;
}

void sv_config_free(sv_config *config)
{
    if (!config)
        return;
    sv_arena_free(&config->memory->arena);
    sv_free(config->memory);
    sv_free(config);
}

__attribute__((format(printf, 7, 0)))
static int fail_there(sv_error *error, const sv_config *config, int line, int column, const char *key, const char *item, const char *format, va_list args)
{
    char text[700], place[32] = "";
    const char *where = line < 0 ? config->memory->sets[-line - 1] : config->path ? config->path : "configuration";
    vsnprintf(text, sizeof text, format, args);
    if (line > 0)
        snprintf(place, sizeof place, ":%d:%d", line, column);
    return sv_error_set(error, SV_E_CONFIG, "%s%s: in '%s%s%s': %s", where, place, key, item ? "." : "", item ? item : "", text);
}

int sv_config_fail(sv_error *error, const sv_config *config, const char *key, const char *format, ...)
{
    int index = sv_key_find(key);
    va_list args;
    va_start(args, format);
    int code = fail_there(error, config, index < 0 ? 0 : config->memory->places[index].line, index < 0 ? 0 : config->memory->places[index].column, key, NULL,
                          format, args);
    va_end(args);
    return code;
}

int sv_config_fail_at(sv_error *error, const sv_config *config, const char *key, const sv_entry *entry, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int code = fail_there(error, config, entry->line, entry->column, key, entry->key, format, args);
    va_end(args);
    return code;
}

int sv_config_given(const sv_config *config, const char *key)
{
    int index = sv_key_find(key);
    return index >= 0 && config->memory->places[index].given;
}
