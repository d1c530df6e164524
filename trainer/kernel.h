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

/* The largest of n bytes (0 without any), and how many equal value. */
int sv_kernel_largest_byte(const uint8_t *bytes, size_t n);
size_t sv_kernel_count_byte(const uint8_t *bytes, uint8_t value, size_t n);

/* Runs of SV_LANES neighbours put one behind the other: runs[r] is the row where each begins. size: bytes of a value, 1, 2, 4 or 8. */
void sv_kernel_gather(void *out, const void *data, size_t size, const size_t *runs, size_t n_runs);

/* out[i] += codes[i] * stride, for codes of any store but F64 whose sum stays below 2^16. */
void sv_kernel_add_codes(uint16_t *out, const void *codes, sv_store store, uint16_t stride, size_t n);

/* sums[codes[i]] += rows[i], whole rows of `width` doubles, a multiple of SV_LANES. */
void sv_kernel_add_rows(double *sums, const double *rows, const uint16_t *codes, size_t width, size_t n);

/* out[i] = (x[i] - centre) / scale; a[i] * b[i]; the square root. out may be any of what is read. */
void sv_kernel_standardise(double *out, const double *x, double centre, double scale, size_t n);
void sv_kernel_multiply(double *out, const double *a, const double *b, size_t n);
void sv_kernel_root(double *out, const double *x, size_t n);

/* rows (n, width): h[i] times (x[0][i], … x[n_columns-1][i], 1), then zeros. width: a multiple of SV_LANES above n_columns. */
void sv_kernel_rows(double *rows, size_t width, const double *const *x, const double *h, size_t n_columns, size_t n);

/* z[i] += sum over j of u[j] * x[j][i]. ahead: not 0 where each column goes on behind these rows: what stands so many doubles further on is asked for from memory, half
   of it here and half by sv_kernel_gradient(), so that memory is never idle while a block is computed. */
void sv_kernel_margin(double *z, const double *const *x, const double *u, size_t n_columns, size_t n, size_t ahead);

/* g[j] += sum over i of r[i] * x[j][i]. */
void sv_kernel_gradient(double *g, const double *const *x, const double *r, size_t n_columns, size_t n, size_t ahead);

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
