/* profile.h: what the training rows looked like: for drift, for the page's ranges and choices, for a model's card. Written as profile.json beside pipeline.json. */
#ifndef SV_PROFILE_H
#define SV_PROFILE_H

#include "error.h"
#include "feature.h"

#include "buffer.h"

/* Of a number: edges[0..n_edges) ascending; counts[i] rows with edges[i-1] <= x < edges[i], the ends open: n_edges + 1 counts. */
typedef struct sv_histogram {
    size_t n_edges;
    double *edges;    /* (n_edges) */
    uint64_t *counts; /* (n_edges + 1) */
} sv_histogram;

/* One raw column or derived feature of the training rows. */
typedef struct sv_profile_value {
    char *name;
    int is_text;
    uint64_t n_missing;
    double min, max, mean, deviation, median; /* of the present numbers; NaN when there is none */
    int is_whole;                     /* every number is an integer: the page steps by 1 */
    sv_histogram histogram;           /* numbers: by deciles as a rule */
    size_t n_levels;                  /* texts, the most frequent first, at most SV_PROFILE_LEVELS; the remainder is counted in n_other */
    char **levels;                    /* (n_levels) */
    uint64_t *level_counts;           /* (n_levels) */
    uint64_t n_other;
} sv_profile_value;

#define SV_PROFILE_LEVELS 200
#define SV_PROFILE_EDGES_MAX 1000

typedef struct sv_profile_metric {
    char *name; /* "test.roc_auc" */
    double value;
} sv_profile_metric;

typedef struct sv_profile {
    uint64_t n_rows;           /* training rows */
    double label_rate;         /* mean of the target on them */
    size_t n_values;
    sv_profile_value *values;  /* (n_values) */
    sv_histogram score;        /* of the first output (probability or prediction) on the training rows */
    size_t n_metrics;
    sv_profile_metric *metrics; /* figures for the card */
    char *description;         /* Markdown card, or NULL */
} sv_profile;

void sv_profile_free(sv_profile *profile); /* the contents; accepts NULL */
const sv_profile_value *sv_profile_find(const sv_profile *profile, const char *name); /* or NULL */
int sv_profile_write(sv_buffer *json, const sv_profile *profile, sv_error *error);
/* Strict and bounded; SV_E_INPUT says what is wrong. */
int sv_profile_read(sv_profile *profile, const char *json, size_t length, sv_error *error);

#endif
