/* figures.h: how good predictions are: the figures themselves, from arrays, knowing nothing of tables and models. Leaves out: which rows, intervals' seeds (evaluate.c).

   Binary figures are computed from cells: rows of (nearly) equal probability counted together (ranking.h makes them). With a cell for each distinct probability they are
   exact; with a hundred cells, drawn anew a thousand times, they give bootstrap intervals without touching the rows again. */
#ifndef SV_FIGURES_H
#define SV_FIGURES_H

#include "error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct sv_cell {
    double p;                    /* mean probability */
    double positives, negatives; /* rows */
    double loss_positive, loss_negative; /* mean -log p and -log(1 - p) of its rows */
    double square_positive, square_negative; /* mean (1 - p)^2 and p^2 */
} sv_cell;

typedef struct sv_cells {
    size_t n;
    sv_cell *cells;          /* (n), ascending p */
    size_t first_predicted;  /* cells from here on are predicted 1: p >= threshold */
    double positives, negatives;
} sv_cells;

typedef enum sv_figure {
    SV_FIGURE_ACCURACY, SV_FIGURE_BALANCED_ACCURACY, SV_FIGURE_LOG_LOSS, SV_FIGURE_BRIER, SV_FIGURE_ROC_AUC, SV_FIGURE_PR_AUC, SV_FIGURE_F1, SV_FIGURE_MCC,
    SV_FIGURE_KS, SV_FIGURE_ECE, SV_FIGURE_PRECISION, SV_FIGURE_RECALL, SV_FIGURES
} sv_figure;

extern const char *const sv_figure_names[SV_FIGURES]; /* "accuracy" … as scikit-learn computes them; ece over ten equal bins; NaN where a class is absent */

void sv_cells_free(sv_cells *cells); /* the contents; accepts NULL */

void sv_cells_figures(double figures[SV_FIGURES], const sv_cells *cells);
void sv_cells_confusion(uint64_t confusion[2][2], const sv_cells *cells); /* [actual][predicted] */

/* What the draws of a cell's rows of one class have in common. */
typedef struct sv_chance {
    double p, q, log_q, odds; /* of being drawn into the cell or, when turned, of being left for those behind it: at most 1/2 */
    int turned;
} sv_chance;

int sv_chances_new(sv_chance (**out)[2], const sv_cells *cells); /* (cells->n): positives', negatives'; sv_free. SV_E_MEMORY */

/* Resamples the rows of each class with replacement into out's counts (out: a copy of cells of the same shape); the same seed and replicate, the same draw. */
void sv_cells_resample(sv_cells *out, const sv_cells *cells, const sv_chance (*chances)[2], uint64_t seed, uint64_t replicate);
int sv_cells_copy(sv_cells *out, const sv_cells *cells);
int sv_cells_merge(sv_cells *out, const sv_cells *cells, size_t by); /* so many neighbours on the same side of the threshold as one */

/* Middle share of values, which it sorts: *low and *high leave (1 - confidence) / 2 on each side; NaN when a value is, or memory is out. */
void sv_interval(double *values, size_t n, double confidence, double *low, double *high);

/* Sorts in place, ascending, NaN first, by digits: linear in n. SV_E_MEMORY leaves values as they were. */
int sv_sort(double *values, size_t n);

/* order[0..n): positions of score ascending; stable. SV_E_MEMORY. */
int sv_rank(uint32_t *order, const double *score, size_t n);

#endif
