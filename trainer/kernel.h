/* kernel.h: the arithmetic of one block of rows. Elementwise loops and sums over eight fixed lanes, so that every vector width gives the same bits.
   Row counts are multiples of SV_LANES; callers pad a last block with rows of weight 0. Nothing is allocated; any thread. */
#ifndef SV_KERNEL_H
#define SV_KERNEL_H

#include "table.h"

#include <stddef.h>
#include <stdint.h>

enum { SV_LANES = 8, SV_PASS_ROWS = 512 }; /* rows of a block: a hundred columns of it stay in a second-level cache */

static inline size_t sv_pad(size_t n)
{
    return (n + SV_LANES - 1) & ~(size_t)(SV_LANES - 1);
}

/* n values from `first` as doubles. Any store. */
void sv_kernel_widen(double *out, const void *data, sv_store store, size_t first, size_t n);

/* sums[codes[i]] += rows[i], whole rows of `width` doubles, a multiple of SV_LANES. */
void sv_kernel_add_rows(double *sums, const double *rows, const uint32_t *codes, size_t width, size_t n);

/* z[i] += sum over j of u[j] * (x[j][i] - centre[j]). */
void sv_kernel_margin(double *z, const double *const *x, const double *centre, const double *u, size_t n_columns, size_t n);

/* g[j] += sum over i of r[i] * (x[j][i] - centre[j]). */
void sv_kernel_gradient(double *g, const double *const *x, const double *centre, const double *r, size_t n_columns, size_t n);

/* g[j] += sum over i of h[i] * (x[j][i] - centre[j])^2. */
void sv_kernel_squares(double *g, const double *const *x, const double *centre, const double *h, size_t n_columns, size_t n);

double sv_kernel_sum(const double *x, size_t n);

/* out[i] = exp(x[i]) within 1 ulp or so of the true value; 0 below -708, the largest finite value above 709. out may be x. */
void sv_kernel_exp(double *out, const double *x, size_t n);

/* The losses. Each: z scores in, y targets, weight; out r = weight * dloss/dz and h = weight * d2loss/dz2 (h may be NULL); returns sum of weight * loss.
   unit: all weights are 0 or 1. */
double sv_kernel_logistic(const double *z, const double *y, const double *weight, int unit, double *r, double *h, size_t n);
double sv_kernel_squared(const double *z, const double *y, const double *weight, double *r, double *h, size_t n); /* (y - z)^2 / 2 */
double sv_kernel_poisson(const double *z, const double *y, const double *weight, double *r, double *h, size_t n); /* exp(z) - y z */

/* Softmax over n_classes scores a row; y is the class number. z, r, h are (n_classes, stride); h[k] = weight * p_k (1 - p_k). */
double sv_kernel_softmax(const double *z, const double *y, const double *weight, double *r, double *h, size_t n_classes, size_t stride, size_t n);

#endif
