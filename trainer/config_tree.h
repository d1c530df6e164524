/* config_tree.h: YAML as a tree of nodes that know their place, within bounds. Leaves out: anchors, aliases, tags, several documents: they are refused. */
#ifndef SV_CONFIG_TREE_H
#define SV_CONFIG_TREE_H

#include "arena.h"
#include "error.h"

enum {
    SV_TREE_MAX_BYTES = 1 << 20,
    SV_TREE_MAX_DEPTH = 12,
    SV_TREE_MAX_NODES = 20000,
    SV_TREE_MAX_CHILDREN = 4096
};

typedef enum sv_tree_kind { SV_TREE_SCALAR, SV_TREE_LIST, SV_TREE_MAP } sv_tree_kind;

typedef struct sv_tree {
    sv_tree_kind kind;
    const char *text;     /* scalar: NUL-terminated, without NUL inside */
    int plain;            /* scalar: written without quotes, so that null and ~ mean nothing */
    int line, column;     /* from 1 */
    size_t count;
    struct sv_tree *keys, *values; /* list: values (count); map: both (count), scalar keys, each once */
} sv_tree;

/* The one document of text as a tree in arena; name stands in messages, "name:line:column: …". SV_E_CONFIG or SV_E_MEMORY. */
int sv_tree_parse(sv_tree **out, sv_arena *arena, const char *name, const char *text, size_t length, sv_error *error);

#endif
