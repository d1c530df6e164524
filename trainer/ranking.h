/* ranking.h: rows of a binary target in order of their probability, and the figures that need the order: exact, in parallel, the same bits on any number of threads.
   A row is one word, so that sorting moves eight bytes and ties are found by comparing integers. Leaves out: which rows; intervals (figures.h). */
#ifndef SV_RANKING_H
#define SV_RANKING_H

#include "figures.h"
#include "team.h"

#include <string.h>

enum { SV_RANKING_BARS = 40 }; /* four to each bin of the calibration error */

/* The bits of p in [0, 1], whose sign is free, shifted left by one; the label below them: integers in the order of (p, label). */
static inline uint64_t sv_ranking_key(double p, int positive)
{
    uint64_t bits;
    p += 0.0; /* -0 is 0 */
    memcpy(&bits, &p, sizeof bits);
    return bits << 1 | (positive != 0);
}

static inline double sv_ranking_p(uint64_t key)
{
    double p;
    key >>= 1;
    memcpy(&p, &key, sizeof p);
    return p;
}

typedef struct sv_bar {
    double p, positives, negatives; /* sum of probabilities; rows */
} sv_bar;

typedef struct sv_ranked {
    sv_cells cells;
    double figures[SV_FIGURES];
    uint64_t confusion[2][2];    /* [actual][predicted] */
    sv_bar bars[SV_RANKING_BARS]; /* by probability, equal widths */
} sv_ranked;

/* Sorts keys in place. team may be NULL. SV_E_MEMORY leaves them in some order. */
int sv_ranking_sort(uint64_t *keys, size_t n, sv_team *team);

/* Cells of sorted keys; most: about how many, 0: one for each distinct p. No cell crosses the threshold. SV_E_MEMORY. */
int sv_ranking_cells(sv_cells *out, const uint64_t *keys, size_t n, double threshold, size_t most, sv_team *team);

/* All figures of sorted keys, with about `most` cells for curves and intervals. SV_E_MEMORY. */
int sv_ranking_judge(sv_ranked *out, const uint64_t *keys, size_t n, double threshold, size_t most, sv_team *team);

void sv_ranked_free(sv_ranked *ranked); /* the contents; accepts NULL */

#endif
