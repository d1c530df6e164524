/* sweep.h: which settings to try. Grid: every combination, the first key slowest. Random and halving: `trials` draws, each key by itself: one of its values, or
   anywhere between two bounds ("1e-4 .. 1e2", with `log`: evenly in the logarithm). */
#ifndef SV_SWEEP_H
#define SV_SWEEP_H

#include "config.h"

enum { SV_SWEEP_KEYS_MAX = 16, SV_SWEEP_TRIALS_MAX = 10000 };

typedef struct sv_trial {
    char *sets[SV_SWEEP_KEYS_MAX]; /* (n_keys) "train.c=0.1" */
    double score;                  /* NaN until judged, or when it failed */
    int alive;                     /* halving: still in */
} sv_trial;

typedef struct sv_trials {
    size_t n_trials, n_keys;
    sv_trial *trials; /* (n_trials) */
} sv_trials;

/* SV_E_CONFIG names the key at fault. *out: sv_trials_free(). */
int sv_trials_make(sv_trials *out, const sv_config *config, sv_error *error);

/* Reads each trial's configuration from the file `path`, with options and its own settings: a wrong value is told before anything is fitted. SV_E_CONFIG. */
int sv_trials_check(const sv_trials *trials, const sv_config *config, const char *path, const sv_config_options *options, sv_error *error);
void sv_trials_free(sv_trials *trials); /* the contents; accepts NULL */

/* The better of two scores comes first; NaN last. */
int sv_trials_better(const sv_config *config, double a, double b);

#endif
