/* traffic_split.h: which of two versions answers a request: champion or challenger, in given shares, the same one for the same key. */
#ifndef SV_TRAFFIC_SPLIT_H
#define SV_TRAFFIC_SPLIT_H

#include "error.h"
#include "span.h"

#include <stdatomic.h>

typedef struct sv_split {
    double share;      /* of requests that the challenger answers; 0: none */
    size_t challenger; /* its place */
    atomic_int ready;  /* 1: it answers what the champion's callers send */
} sv_split;

/* "90/10", two numbers from 0, not both 0: the champion's and the challenger's parts. SV_E_CONFIG. */
int sv_split_parse(const char *text, double *share, sv_error *error);

/* 1: the challenger. The same key gets the same answer in every process of the same split; a larger share keeps those it had. */
int sv_split_picks(const sv_split *split, sv_span key);

#endif
