#include "config_tree.h"

#include <string.h>
#include <yaml.h>

typedef struct tree_reader {
    yaml_parser_t parser;
    yaml_event_t event;
    int has_event;
    sv_arena *arena;
    const char *name;
    size_t nodes;
    sv_error *error;
} tree_reader;

static int fail_at(tree_reader *r, yaml_mark_t mark, const char *what)
{
    return sv_error_set(r->error, SV_E_CONFIG, "%s:%zu:%zu: %s", r->name, mark.line + 1, mark.column + 1, what);
}

static int out_of_memory(tree_reader *r)
{
    return sv_error_set(r->error, SV_E_MEMORY, "%s: out of memory", r->name);
}

static int next_event(tree_reader *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = 0;
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        const yaml_parser_t *p = &r->parser;
        if (p->error == YAML_MEMORY_ERROR)
            return out_of_memory(r);
        if (p->error == YAML_READER_ERROR)
            return sv_error_set(r->error, SV_E_CONFIG, "%s: byte %zu: not YAML: %s", r->name, p->problem_offset, p->problem ? p->problem : "cannot be read");
        return sv_error_set(r->error, SV_E_CONFIG, "%s:%zu:%zu: not YAML: %s%s%s", r->name, p->problem_mark.line + 1, p->problem_mark.column + 1,
                            p->problem ? p->problem : "cannot be read", p->context ? " " : "", p->context ? p->context : "");
    }
    r->has_event = 1;
    return 0;
}

static int check_plainness(tree_reader *r, const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor)
        return fail_at(r, r->event.start_mark, "anchors (&) and aliases (*) are not used here: write the value out");
    if (tag)
        return fail_at(r, r->event.start_mark, "tags (!) are not used here");
    if (++r->nodes > SV_TREE_MAX_NODES)
        return fail_at(r, r->event.start_mark, "too many values");
    return 0;
}

static int read_node(tree_reader *r, sv_tree *node, int depth);

static int read_scalar(tree_reader *r, sv_tree *node)
{
    int code = check_plainness(r, r->event.data.scalar.anchor, r->event.data.scalar.tag);
    if (code)
        return code;
    const char *value = (const char *)r->event.data.scalar.value;
    size_t length = r->event.data.scalar.length;
    if (memchr(value, 0, length))
        return fail_at(r, r->event.start_mark, "a NUL inside a text");
    node->kind = SV_TREE_SCALAR;
    node->plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = sv_arena_strndup(r->arena, value, length);
    return node->text ? 0 : out_of_memory(r);
}

/* Room for one more child: arrays double, the old ones stay in the arena. */
static sv_tree *grow(tree_reader *r, sv_tree *items, size_t count)
{
    if (count & (count - 1) || count == 1)
        return items; /* room for 2 is made at 0, then at every power of two */
    sv_tree *more = sv_arena_zero(r->arena, count ? count * 2 : 2, sizeof *more);
    if (more && count)
        memcpy(more, items, count * sizeof *more);
    return more;
}

static int read_list(tree_reader *r, sv_tree *node, int depth)
{
    node->kind = SV_TREE_LIST;
    int code = check_plainness(r, r->event.data.sequence_start.anchor, r->event.data.sequence_start.tag);
    while (!code && !(code = next_event(r)) && r->event.type != YAML_SEQUENCE_END_EVENT) {
        if (node->count == SV_TREE_MAX_CHILDREN)
            return fail_at(r, r->event.start_mark, "too long a list");
        if (!(node->values = grow(r, node->values, node->count)))
            return out_of_memory(r);
        code = read_node(r, &node->values[node->count++], depth);
    }
    return code;
}

static int check_new_key(tree_reader *r, const sv_tree *map, const sv_tree *key)
{
    for (size_t i = 0; i < map->count; i++)
        if (!strcmp(map->keys[i].text, key->text))
            return sv_error_set(r->error, SV_E_CONFIG, "%s:%d:%d: key '%.100s' stands twice, first in line %d", r->name, key->line, key->column, key->text,
                                map->keys[i].line);
    return 0;
}

static int read_map(tree_reader *r, sv_tree *node, int depth)
{
    node->kind = SV_TREE_MAP;
    int code = check_plainness(r, r->event.data.mapping_start.anchor, r->event.data.mapping_start.tag);
    while (!code && !(code = next_event(r)) && r->event.type != YAML_MAPPING_END_EVENT) {
        size_t n = node->count;
        if (n == SV_TREE_MAX_CHILDREN)
            return fail_at(r, r->event.start_mark, "too many keys");
        node->keys = grow(r, node->keys, n);
        node->values = grow(r, node->values, n);
        if (!node->keys || !node->values)
            return out_of_memory(r);
        if (r->event.type != YAML_SCALAR_EVENT)
            return fail_at(r, r->event.start_mark, "expected a key, a text");
        if ((code = read_node(r, &node->keys[n], depth)) || (code = check_new_key(r, node, &node->keys[n])) || (code = next_event(r)))
            break;
        code = read_node(r, &node->values[n], depth);
        node->count++;
    }
    return code;
}

static int read_node(tree_reader *r, sv_tree *node, int depth)
{
    node->line = (int)r->event.start_mark.line + 1;
    node->column = (int)r->event.start_mark.column + 1;
    if (depth == SV_TREE_MAX_DEPTH)
        return fail_at(r, r->event.start_mark, "nested too deeply");
    switch (r->event.type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(r, node);
    case YAML_SEQUENCE_START_EVENT:
        return read_list(r, node, depth + 1);
    case YAML_MAPPING_START_EVENT:
        return read_map(r, node, depth + 1);
    case YAML_ALIAS_EVENT:
        return fail_at(r, r->event.start_mark, "anchors (&) and aliases (*) are not used here: write the value out");
    default:
        return fail_at(r, r->event.start_mark, "expected a value");
    }
}

static int read_document(tree_reader *r, sv_tree *root)
{
    int code;
    if ((code = next_event(r)) || (code = next_event(r))) /* the stream begins, the document begins */
        return code;
    if (r->event.type == YAML_STREAM_END_EVENT)
        return sv_error_set(r->error, SV_E_CONFIG, "%s: empty", r->name);
    if ((code = next_event(r)) || (code = read_node(r, root, 0)) || (code = next_event(r)) || (code = next_event(r)))
        return code;
    return r->event.type == YAML_STREAM_END_EVENT ? 0 : fail_at(r, r->event.start_mark, "expected one document, a second begins here");
}

int sv_tree_parse(sv_tree **out, sv_arena *arena, const char *name, const char *text, size_t length, sv_error *error)
{
    tree_reader r = {.arena = arena, .name = name, .error = error};
    *out = NULL;
    if (length > SV_TREE_MAX_BYTES)
        return sv_error_set(error, SV_E_CONFIG, "%s: expected at most %d bytes, got %zu", name, SV_TREE_MAX_BYTES, length);
    sv_tree *root = sv_arena_zero(arena, 1, sizeof *root);
    if (!root || !yaml_parser_initialize(&r.parser))
        return out_of_memory(&r);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, length);
    int code = read_document(&r, root);
    if (r.has_event)
        yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    if (!code)
        *out = root;
    return code;
}
