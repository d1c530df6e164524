/* cholesky.h: A = L L' for symmetric positive definite A, by blocks on OpenBLAS where n > SV_CHOLESKY_SMALL (sv_blas_reserve first). Leaves out: pivoting, updates. */
#ifndef SV_CHOLESKY_H
#define SV_CHOLESKY_H

#include <stddef.h>

enum { SV_CHOLESKY_SMALL = 64 };

/* Replaces the lower triangle of a (n, n), row by row, by L. Returns 0, or 1 + the first row whose pivot is not positive (a is then spoilt). */
size_t sv_cholesky(double *a, size_t n);

/* x = A^-1 x, from L. */
void sv_cholesky_solve(const double *l, size_t n, double *x);

/* inverse (n, n) = A^-1, from L; symmetric. */
void sv_cholesky_inverse(const double *l, size_t n, double *inverse);

/* Factors a copy of a in l, adding the least ridge (growing tenfold from 1e-12 of the mean diagonal) that makes it positive definite; returns that ridge,
   0 where none was needed, or NaN when a holds a NaN. */
double sv_cholesky_ridged(double *l, const double *a, size_t n);

#endif
