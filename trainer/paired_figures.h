/* paired_figures.h: a model's figures on rows that count several times or not at all, as a bootstrap draws them. */
#ifndef SV_PAIRED_FIGURES_H
#define SV_PAIRED_FIGURES_H

#include "error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct sv_paired_rows {
    const double *predictions; /* (n) probability, or the number predicted */
    const double *target;      /* (n) 0 or 1, or the number */
    const uint32_t *order;     /* (n) positions by ascending prediction */
    size_t n;
    int is_binary;
    double threshold;
} sv_paired_rows;

/* Position among the figures that are known for a target of that kind ("roc_auc", "log_loss" …; numbers: "rmse", "mae", "r2"), or -1. */
int sv_paired_figure_find(const char *name, int is_binary);

/* The figure with row i counting counts[i] times. NaN where it has no value. */
double sv_paired_figure(int figure, const sv_paired_rows *rows, const uint16_t *counts);

#endif
