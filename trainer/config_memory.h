/* config_memory.h: what a configuration keeps beside its values; for the config files alone. */
#ifndef SV_CONFIG_MEMORY_H
#define SV_CONFIG_MEMORY_H

#include "arena.h"
#include "config.h"
#include "config_keys.h"

enum { SV_CONFIG_KEYS_MAX = 160, SV_CONFIG_HIDDEN_MAX = 64 };

typedef struct sv_config_memory {
    sv_arena arena;
    struct {
        int given, line, column; /* as an sv_entry's */
    } places[SV_CONFIG_KEYS_MAX]; /* by position in sv_keys */
    const char **sets;            /* "--set a.b=v", the first at [0] */
    size_t n_sets;
    struct {
        const char *value, *shown;
    } hidden[SV_CONFIG_HIDDEN_MAX];
    size_t n_hidden;
} sv_config_memory;

/* Replaces ${NAME} and ${NAME:-else} by the environment's; $${ stands for ${. Text that needed a secret-sounding variable is entered in hidden.
   NULL with error set: SV_E_CONFIG (without a place), SV_E_MEMORY. */
const char *sv_config_expand(sv_config *config, const char *text, sv_error *error);

/* Rules that span keys: the configuration as a whole. */
int sv_config_check(sv_config *config, sv_error *error);

#endif
