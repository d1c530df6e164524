/* design_block.h: a block of a design's rows as the arithmetic wants them: numbers as doubles, joined codes, targets, weights; all of them in the cache.
   Leaves out: what is done with them (objective.c, hessian.c). */
#ifndef SV_DESIGN_BLOCK_H
#define SV_DESIGN_BLOCK_H

#include "design.h"
#include "kernel.h"

enum { SV_RUN_ROWS = SV_LANES };

/* Which rows are read: all (stride 1), or of every `stride` runs of SV_RUN_ROWS neighbours one, anywhere among them: a fixed stride would meet the same month
   of every customer. Positions 0 … n-1 count the rows that are read. */
typedef struct sv_design_rows {
    const sv_design *design;
    size_t n, stride;
} sv_design_rows;

sv_design_rows sv_design_rows_of(const sv_design *design, size_t stride);
double sv_design_rows_weight(const sv_design_rows *rows); /* the sum of their weights */

/* A number is handed over as value - shift: 0 where that loses nothing, so that a column of doubles is read in place; `rest` is what remains of its centre. */
void sv_design_shift(const sv_design_number *number, double *shift, double *rest);

/* Codes of a block, one of the two: wide where a lone factor has more than 65536. */
typedef struct sv_block_codes {
    uint16_t *narrow;
    uint32_t *wide;
} sv_block_codes;

/* One thread's block; sv_design_block_new makes its memory, sv_design_block_read fills it. Rows n … padded-1 have weight 0. */
typedef struct sv_design_block {
    sv_design_rows rows;
    size_t most, column;            /* rows at most; doubles from one column of `wide` to the next */
    size_t n, padded;
    size_t ahead;                   /* for sv_kernel_margin() and _gradient(): doubles from here to the next block, where columns are read in place; else 0 */
    size_t n_runs, run_rows, *runs; /* (most / SV_RUN_ROWS): the row where each run begins; one run of n rows when all are read */
    const double **x;               // (n_numbers): (padded), each value less its shift
    double *y, *weight, *offset;    // (padded); offset NULL without any
    sv_block_codes *codes;          // (n_joins): (n)
    double *shift, *wide;           // (n_numbers), (n_numbers, column)
    void *gathered;                 /* a column's runs put together */
} sv_design_block;

int sv_design_block_new(sv_design_block *out, const sv_design_rows *rows); /* 0 or SV_E_MEMORY */
void sv_design_block_free(sv_design_block *block);                        /* the contents; accepts zeros */

/* Reads positions [first, first + n), n at most block->most; of a sample, first a multiple of SV_RUN_ROWS. */
void sv_design_block_read(sv_design_block *block, size_t first, size_t n);

/* The codes of another join of these rows. */
void sv_design_block_codes(const sv_design_block *block, const sv_design_join *join, sv_block_codes *out);

#endif
