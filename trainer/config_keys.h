/* config_keys.h: the table of configuration keys, for the files that read, write and describe configurations. */
#ifndef SV_CONFIG_KEYS_H
#define SV_CONFIG_KEYS_H

#include <stddef.h>

typedef enum sv_key_type {
    SV_KEY_TEXT,
    SV_KEY_SECRET,  /* a text that is never shown */
    SV_KEY_FLAG,    /* int: true or false */
    SV_KEY_WHOLE,   /* int64_t */
    SV_KEY_REAL,    /* double */
    SV_KEY_CHOICE,  /* int: the position of the word in `choices` */
    SV_KEY_LIST,    /* sv_entries without keys; one text stands for a list of one */
    SV_KEY_MAP,     /* sv_entries: name: text */
    SV_KEY_LISTS    /* sv_entries: name: list of texts, one entry a text */
} sv_key_type;

typedef struct sv_key {
    const char *name;     /* "train.c" */
    sv_key_type type;
    size_t offset;        /* in sv_config */
    double min, max;      /* of a WHOLE or REAL */
    int open;             /* 1: min itself is not allowed */
    const char *choices;  /* "auto|gd|…" */
    const char *fallback; /* as in YAML; NULL: absent */
    const char *help;
} sv_key;

extern const sv_key sv_keys[];
extern const size_t sv_keys_count;

/* The headings of the reference: "train." and what it is about. */
typedef struct sv_key_group {
    const char *name, *help;
} sv_key_group;

extern const sv_key_group sv_key_groups[];
extern const size_t sv_key_groups_count;

/* The position of a key, or -1. */
int sv_key_find(const char *name);

/* The i-th word of "a|b|c" and its length, or NULL. */
const char *sv_key_choice(const sv_key *key, int i, size_t *length);

#endif
