#include "sweep.h"
#include "alloc.h"
#include "config_keys.h"
#include "number.h"
#include "prng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The entries of one key. */
typedef struct choices {
    const char *key;
    const sv_entry *values; /* (n) */
    size_t n;
    int is_range, is_log, is_whole;
    double low, high;
} choices;

/* "1e-4 .. 1e2 log" of a number; what stands in other keys is meant as it is ("../rows"). */
static int parse_range(choices *c, const char *text)
{
    const sv_key *key = &sv_keys[sv_key_find(c->key)];
    const char *dots = key->type == SV_KEY_WHOLE || key->type == SV_KEY_REAL ? strstr(text, "..") : NULL;
    size_t left = dots ? (size_t)(dots - text) : 0;
    if (!dots)
        return 0;
    const char *right = dots + 2 + strspn(dots + 2, " ");
    size_t length = strcspn(right, " ");
    while (left && text[left - 1] == ' ')
        left--;
    const char *word = right + length + strspn(right + length, " ");
    c->is_log = !strcmp(word, "log");
    c->is_range = !sv_parse_double(text, left, &c->low) && !sv_parse_double(right, length, &c->high) && (c->is_log || !*word) && c->low < c->high && (!c->is_log || c->low > 0);
    c->is_whole = key->type == SV_KEY_WHOLE;
    if (c->is_whole && (floor(c->low) != c->low || floor(c->high) != c->high))
        return -1;
    return c->is_range ? 0 : -1;
}

static int group(choices *out, size_t *n_keys, const sv_config *config, sv_error *error)
{
    const sv_entries *entries = &config->sweep.keys;
    *n_keys = 0;
    if (!entries->count)
        return sv_config_fail(error, config, "sweep.keys", "expected keys and the values to try, got none");
    for (size_t i = 0; i < entries->count; i++) {
        const sv_entry *entry = &entries->items[i];
        choices *last = *n_keys ? &out[*n_keys - 1] : NULL;
        if (strncmp(entry->key, "train.", 6) != 0 && strncmp(entry->key, "encode.", 7) != 0)
            return sv_config_fail_at(error, config, "sweep.keys", entry, "expected a key of train or encode: all trials learn from the same rows");
        if (last && !strcmp(last->key, entry->key)) {
            last->n++;
            continue;
        }
        if (*n_keys == SV_SWEEP_KEYS_MAX)
            return sv_config_fail_at(error, config, "sweep.keys", entry, "expected at most %d keys", SV_SWEEP_KEYS_MAX);
        out[*n_keys] = (choices){.key = entry->key, .values = entry, .n = 1};
        if (parse_range(&out[*n_keys], entry->value))
            return sv_config_fail_at(error, config, "sweep.keys", entry, "expected LOW .. HIGH, with `log` above 0, whole numbers where the key is one, got '%.60s'", entry->value);
        if (out[*n_keys].is_range && config->sweep.method == SV_SWEEP_GRID)
            return sv_config_fail_at(error, config, "sweep.keys", entry, "a range needs sweep.method random or halving");
        (*n_keys)++;
    }
    return 0;
}

/* Of a whole key both ends are as likely as what is between them. */
static double draw(const choices *c, double u)
{
    double low = c->low - (c->is_whole ? 0.5 : 0), high = c->high + (c->is_whole ? 0.5 : 0);
    double value = c->is_log ? exp(log(low) + u * (log(high) - log(low))) : low + u * (high - low);
    return c->is_whole ? fmin(fmax(round(value), c->low), c->high) : value;
}

static char *setting(const choices *c, size_t which, sv_prng *prng)
{
    char number[SV_NUMBER_SIZE];
    const char *value = c->values[which].value;
    if (c->is_range) {
        sv_format_double(number, draw(c, sv_prng_uniform(prng)));
        value = number;
    }
    size_t size = strlen(c->key) + strlen(value) + 2;
    char *text = sv_malloc(size);
    if (text)
        snprintf(text, size, "%s=%s", c->key, value);
    return text;
}

int sv_trials_make(sv_trials *out, const sv_config *config, sv_error *error)
{
    choices keys[SV_SWEEP_KEYS_MAX];
    sv_prng prng;
    *out = (sv_trials){0};
    int code = group(keys, &out->n_keys, config, error), is_grid = config->sweep.method == SV_SWEEP_GRID;
    size_t n = is_grid ? 1 : (size_t)config->sweep.trials;
    for (size_t k = 0; k < out->n_keys && is_grid && !code; k++) {
        n *= keys[k].n;
        if (n > SV_SWEEP_TRIALS_MAX)
            code = sv_config_fail(error, config, "sweep.keys", "expected at most %d combinations", SV_SWEEP_TRIALS_MAX);
    }
    if (code)
        return code;
    if (!(out->trials = sv_calloc(n, sizeof *out->trials)))
        return sv_error_set(error, SV_E_MEMORY, "sweep: out of memory");
    sv_prng_seed(&prng, (uint64_t)config->sweep.seed);
    for (; out->n_trials < n && !code; out->n_trials++) {
        sv_trial *trial = &out->trials[out->n_trials];
        size_t rest = out->n_trials;
        *trial = (sv_trial){.score = NAN, .alive = 1};
        for (size_t k = out->n_keys; k-- > 0;) {
            size_t which = is_grid ? rest % keys[k].n : (size_t)sv_prng_below(&prng, keys[k].n);
            rest /= keys[k].n;
            if (!(trial->sets[k] = setting(&keys[k], which, &prng)))
                code = sv_error_set(error, SV_E_MEMORY, "sweep: out of memory");
        }
    }
    if (code)
        sv_trials_free(out);
    return code;
}

int sv_trials_check(const sv_trials *trials, const sv_config *config, const char *path, const sv_config_options *options, sv_error *error)
{
    sv_config_options whole = {NULL, options->n_set + trials->n_keys};
    const char **sets = sv_calloc(whole.n_set + 1, sizeof *sets);
    int code = sets ? 0 : sv_error_set(error, SV_E_MEMORY, "sweep: out of memory");
    for (size_t i = 0; i < options->n_set && !code; i++)
        sets[i] = options->set[i];
    whole.set = sets;
    for (size_t t = 0; t < trials->n_trials && !code; t++) {
        sv_config *one = NULL;
        sv_error inner = SV_ERROR_INIT;
        for (size_t k = 0; k < trials->n_keys; k++)
            sets[options->n_set + k] = trials->trials[t].sets[k];
        code = sv_config_read(&one, path, &whole, &inner);
        sv_config_free(one);
        if (code == SV_E_CONFIG) {
            sv_config_fail(error, config, "sweep.keys", "%s", inner.message + (strncmp(inner.message, "--set ", 6) ? 0 : 6));
            if (inner.hint[0])
                sv_error_hint(error, "%s", inner.hint);
        } else if (code)
            sv_error_set(error, code, "%s", inner.message);
    }
    sv_free(sets);
    return code;
}

void sv_trials_free(sv_trials *trials)
{
    if (!trials)
        return;
    for (size_t t = 0; t < trials->n_trials; t++)
        for (size_t k = 0; k < SV_SWEEP_KEYS_MAX; k++)
            sv_free(trials->trials[t].sets[k]);
    sv_free(trials->trials);
    *trials = (sv_trials){0};
}

int sv_trials_better(const sv_config *config, double a, double b)
{
    if (isnan(a) || isnan(b))
        return !isnan(a);
    return config->sweep.goal == SV_GOAL_MINIMIZE ? a < b : a > b;
}
