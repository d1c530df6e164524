/* config_print.c: a configuration and its table as text: settings one by one, YAML, the reference. */
#include "buffer.h"
#include "config_memory.h"
#include "number.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

const char *sv_config_word(const char *key, int value)
{
    static _Thread_local char word[4][32]; /* four at a time may stand in one message */
    static _Thread_local int turn;
    int index = sv_key_find(key);
    size_t length;
    const char *found = index < 0 || value < 0 ? NULL : sv_key_choice(&sv_keys[index], value, &length);
    if (!found || length >= sizeof word[0])
        return NULL;
    char *out = word[turn++ & 3];
    memcpy(out, found, length);
    out[length] = '\0';
    return out;
}

static const void *field(const sv_config *config, const sv_key *key)
{
    return (const char *)config + key->offset;
}

/* The length of the character at at when YAML wants it escaped (controls, line and byte order marks), and its code; else 0. The text is UTF-8: libyaml read it. */
static size_t needs_escape(const unsigned char *at, unsigned *code)
{
    *code = at[0];
    if (at[0] < 0x20 || at[0] == 0x7f)
        return 1;
    *code = at[0] == 0xc2 ? at[1] : 0;
    if (*code >= 0x80 && *code < 0xa0)
        return 2;
    if ((at[0] & 0xf0) != 0xe0 || !at[1] || !at[2])
        return 0;
    *code = (at[0] & 0x0fu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
    return *code == 0x2028 || *code == 0x2029 || *code == 0xfeff || *code >= 0xfffe ? 3 : 0;
}

/* A double-quoted text that JSON and YAML both read; ${ becomes $${ so that it is not expanded again. */
static int put_quoted(sv_buffer *out, const char *text, int again)
{
    int code = sv_buffer_byte(out, '"');
    unsigned character;
    size_t length;
    for (const unsigned char *at = (const unsigned char *)text; *at && !code; at++) {
        if (*at == '"' || *at == '\\') {
            code = sv_buffer_format(out, "\\%c", *at);
        } else if ((length = needs_escape(at, &character))) {
            code = sv_buffer_format(out, "\\u%04x", character);
            at += length - 1;
        } else if (again && at[0] == '$' && at[1] == '{') {
            code = sv_buffer_text(out, "$$");
        } else {
            code = sv_buffer_byte(out, (char)*at);
        }
    }
    return code ? code : sv_buffer_byte(out, '"');
}

static int put_yaml_text(sv_buffer *out, const char *text, int again)
{
    int plain = isalnum((unsigned char)*text) && !text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-")];
    return plain && strcmp(text, "null") != 0 ? sv_buffer_text(out, text) : put_quoted(out, text, again);
}

/* The value as it stands in YAML and in a run's params, for keys that are no list or mapping. 0 when there is none. */
static int put_simple(sv_buffer *out, const sv_config *config, const sv_key *key, int yaml)
{
    const void *at = field(config, key);
    char number[SV_NUMBER_SIZE];
    switch (key->type) {
    case SV_KEY_TEXT: {
        const char *text = *(const char *const *)at, *shown = text ? sv_config_shown(config, text) : NULL;
        if (shown)
            yaml ? put_yaml_text(out, shown, !sv_config_is_hidden(config, text)) : sv_buffer_text(out, shown);
        return shown != NULL;
    }
    case SV_KEY_SECRET:
        if (*(const char *const *)at && !yaml)
            sv_buffer_text(out, "***");
        return *(const char *const *)at && !yaml;
    case SV_KEY_FLAG:
        sv_buffer_text(out, *(const int *)at ? "true" : "false");
        return 1;
    case SV_KEY_WHOLE:
        sv_buffer_format(out, "%" PRId64, *(const int64_t *)at);
        return 1;
    case SV_KEY_REAL:
        sv_format_double(number, *(const double *)at);
        sv_buffer_text(out, number);
        return 1;
    case SV_KEY_CHOICE:
        sv_buffer_text(out, sv_config_word(key->name, *(const int *)at));
        return 1;
    default:
        return 0;
    }
}

static void put_flow_list(sv_buffer *out, const sv_config *config, const sv_entries *list, size_t first, size_t end, int yaml)
{
    sv_buffer_byte(out, '[');
    for (size_t i = first; i < end; i++) {
        const char *value = list->items[i].value, *shown = sv_config_shown(config, value);
        sv_buffer_text(out, i > first ? ", " : "");
        yaml ? put_yaml_text(out, shown, !sv_config_is_hidden(config, value)) : put_quoted(out, shown, 0);
    }
    sv_buffer_byte(out, ']');
}

/* The entries from i on that share a name. */
static size_t same_name(const sv_entries *map, size_t i)
{
    size_t end = i + 1;
    while (end < map->count && !strcmp(map->items[end].key, map->items[i].key))
        end++;
    return end;
}

static int visit_key(const sv_config *config, const sv_key *key, sv_buffer *value, sv_config_visit visit, void *context)
{
    const sv_entries *list = field(config, key);
    int code = 0;
    sv_buffer_clear(value);
    if (key->type == SV_KEY_LIST) {
        put_flow_list(value, config, list, 0, list->count, 0);
        return list->count ? visit(context, key->name, value->data ? value->data : "") : 0;
    }
    if (key->type != SV_KEY_MAP && key->type != SV_KEY_LISTS)
        return put_simple(value, config, key, 0) ? visit(context, key->name, value->data ? value->data : "") : 0;
    for (size_t i = 0, end; i < list->count && !code; i = end) {
        char name[512];
        end = key->type == SV_KEY_MAP ? i + 1 : same_name(list, i);
        snprintf(name, sizeof name, "%s.%s", key->name, list->items[i].key);
        sv_buffer_clear(value);
        if (key->type == SV_KEY_LISTS)
            put_flow_list(value, config, list, i, end, 0);
        else
            sv_buffer_text(value, sv_config_shown(config, list->items[i].value));
        code = visit(context, name, value->data ? value->data : "");
    }
    return code;
}

int sv_config_each(const sv_config *config, sv_config_visit visit, void *context)
{
    sv_buffer value = SV_BUFFER_INIT(0);
    int code = 0;
    for (size_t i = 0; i < sv_keys_count && !code; i++)
        code = visit_key(config, &sv_keys[i], &value, visit, context);
    sv_buffer_free(&value);
    return code;
}

/* One key's value in YAML after "name:"; 0 when there is nothing to write. */
static int put_yaml(sv_buffer *out, const sv_config *config, const sv_key *key, int indent)
{
    const sv_entries *list = field(config, key);
    if (key->type != SV_KEY_LIST && key->type != SV_KEY_MAP && key->type != SV_KEY_LISTS) {
        sv_buffer_byte(out, ' ');
        return put_simple(out, config, key, 1);
    }
    if (!list->count)
        return 0;
    if (key->type == SV_KEY_LIST) {
        sv_buffer_byte(out, ' ');
        put_flow_list(out, config, list, 0, list->count, 1);
        return 1;
    }
    for (size_t i = 0, end; i < list->count; i = end) {
        const char *value = list->items[i].value, *shown = sv_config_shown(config, value);
        end = key->type == SV_KEY_MAP ? i + 1 : same_name(list, i);
        sv_buffer_format(out, "\n%*s", indent + 2, "");
        put_yaml_text(out, list->items[i].key, 0);
        sv_buffer_text(out, ": ");
        if (key->type == SV_KEY_LISTS)
            put_flow_list(out, config, list, i, end, 1);
        else
            put_yaml_text(out, shown, !sv_config_is_hidden(config, value));
    }
    return 1;
}

int sv_config_print(const sv_config *config, FILE *file)
{
    sv_buffer value = SV_BUFFER_INIT(0);
    char open[64] = ""; /* the groups whose heading stands already, "evaluate.costs." */
    for (size_t i = 0; i < sv_keys_count; i++) {
        const char *name = sv_keys[i].name, *last = strrchr(name, '.') ? strrchr(name, '.') + 1 : name;
        int depth = 0;
        for (const char *dot = name; (dot = strchr(dot, '.')); dot++)
            depth++;
        sv_buffer_clear(&value);
        if (!put_yaml(&value, config, &sv_keys[i], 2 * depth))
            continue;
        const char *start = name;
        for (int level = 0; level < depth; level++) {
            const char *dot = strchr(start, '.');
            size_t length = (size_t)(dot + 1 - name);
            if (strncmp(open, name, length) != 0) {
                fprintf(file, "%*s%.*s:\n", 2 * level, "", (int)(dot - start), start);
                snprintf(open, sizeof open, "%.*s", (int)length, name);
            }
            start = dot + 1;
        }
        fprintf(file, "%*s%s:%s\n", 2 * depth, "", last, value.data);
    }
    sv_buffer_free(&value);
    return ferror(file) ? SV_E_IO : 0;
}

static void print_type(FILE *file, const sv_key *key)
{
    static const char *const names[] = {"text", "text, never shown", "true or false", "whole number", "number", "", "list", "mapping", "mapping to lists"};
    char low[SV_NUMBER_SIZE], high[SV_NUMBER_SIZE];
    size_t length;
    const char *word;
    if (key->type == SV_KEY_CHOICE)
        for (int i = 0; (word = sv_key_choice(key, i, &length)); i++)
            fprintf(file, "%s`%.*s`", i ? ", " : "", (int)length, word);
    fputs(names[key->type], file);
    if (key->type != SV_KEY_WHOLE && key->type != SV_KEY_REAL)
        return;
    sv_format_double(low, key->min);
    sv_format_double(high, key->max);
    if (key->min > -1e300)
        fprintf(file, " %s %s", key->open ? ">" : ">=", low);
    if (key->max < 1e15)
        fprintf(file, "%s <= %s", key->min > -1e300 ? "," : "", high);
}

static int is_in_group(const char *name, const char *group)
{
    size_t length = strlen(group);
    if (!length) {
        for (size_t g = 1; g < sv_key_groups_count; g++)
            if (!strcmp(sv_key_groups[g].name, name))
                return 0;
        return !strchr(name, '.');
    }
    return !strncmp(name, group, length) && (name[length] == '.' || !name[length]);
}

void sv_config_reference(FILE *file)
{
    fprintf(file, "# Configuration reference\n\nGenerated by `solvent reference`; a test compares it. One strict YAML file: unknown keys, duplicate keys and wrong types\n"
                  "are errors with file, line and column. `--set a.b=v` overrides a key, `--set a.b=` takes back what the file says. `${NAME}` and `${NAME:-else}` in a value stand for an environment variable.\n");
    for (size_t g = 0; g < sv_key_groups_count; g++) {
        if (*sv_key_groups[g].name)
            fprintf(file, "\n## `%s`: %s\n", sv_key_groups[g].name, sv_key_groups[g].help);
        else
            fprintf(file, "\n## %s\n", sv_key_groups[g].help);
        fprintf(file, "\n| key | type | default | |\n|---|---|---|---|\n");
        for (size_t i = 0; i < sv_keys_count; i++) {
            const sv_key *key = &sv_keys[i];
            if (!is_in_group(key->name, sv_key_groups[g].name))
                continue;
            fprintf(file, "| `%s` | ", key->name);
            print_type(file, key);
            fprintf(file, " | %s%s%s | %s |\n", key->fallback ? "`" : "", key->fallback ? key->fallback : "", key->fallback ? "`" : "", key->help);
        }
    }
}
