/* hessian.h: sum over rows of h * x x', x = (standardised numbers, one-hot factors, 1), without an expanded matrix: numbers meet numbers in a small product,
   factors meet numbers in one row of sums a code, factors meet factors in tables of joint sums. Leaves out: what h is (objective.c). */
#ifndef SV_HESSIAN_H
#define SV_HESSIAN_H

#include "design_block.h"

enum { SV_HESSIAN_LANED = 24 }; /* numbers whose products are summed here; more are worth a call to BLAS (sv_blas_reserve first) */

typedef struct sv_hessian sv_hessian;

/* One thread's sums over the rows of a design, at zero. Borrows the design. 0 or SV_E_MEMORY. */
int sv_hessian_new(sv_hessian **out, const sv_design *design);
void sv_hessian_free(sv_hessian *hessian); /* accepts NULL */
void sv_hessian_clear(sv_hessian *hessian);

/* Adds a block's rows; h: (padded), not negative, 0 in the padding. */
void sv_hessian_add(sv_hessian *hessian, const sv_design_block *block, const double *h);

/* Writes the lower triangle of (n_weights, n_weights) and leaves the rest of out alone; out comes in as zeros. */
void sv_hessian_write(const sv_hessian *hessian, double *out);

#endif
