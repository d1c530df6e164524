/* cholesky.c: right-looking blocked factorisation (Golub, Van Loan, Matrix Computations, 4.2.9). */
#include "cholesky.h"

#include "blas.h"

#include <math.h>
#include <string.h>

enum { BLOCK = SV_CHOLESKY_SMALL };

/* The diagonal block, unblocked. */
static size_t factor_small(double *a, size_t n, size_t stride)
{
    for (size_t j = 0; j < n; j++) {
        double *row = a + j * stride, pivot = row[j];
        for (size_t k = 0; k < j; k++)
            pivot -= row[k] * row[k];
        if (!(pivot > 0)) return j + 1;
        row[j] = sqrt(pivot);
        for (size_t i = j + 1; i < n; i++) {
            double *below = a + i * stride, sum = below[j];
            for (size_t k = 0; k < j; k++)
                sum -= below[k] * row[k];
            below[j] = sum / row[j];
        }
    }
    return 0;
}

size_t sv_cholesky(double *a, size_t n)
{
    for (size_t first = 0; first < n; first += BLOCK) {
        size_t size = n - first < BLOCK ? n - first : BLOCK, rest = n - first - size;
        double *corner = a + first * n + first, *below = corner + size * n;
        size_t bad = factor_small(corner, size, n);
        if (bad) return first + bad;
        if (!rest) break;
        sv_blas.dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, (int)rest, (int)size, 1, corner, (int)n, below, (int)n);
        sv_blas.dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, (int)rest, (int)size, -1, below, (int)n, 1, below + size, (int)n);
    }
    return 0;
}

void sv_cholesky_solve(const double *l, size_t n, double *x)
{
    if (n > SV_CHOLESKY_SMALL) {
        sv_blas.dtrsv(CblasRowMajor, CblasLower, CblasNoTrans, CblasNonUnit, (int)n, l, (int)n, x, 1);
        sv_blas.dtrsv(CblasRowMajor, CblasLower, CblasTrans, CblasNonUnit, (int)n, l, (int)n, x, 1);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++)
            x[i] -= l[i * n + j] * x[j];
        x[i] /= l[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        x[i] /= l[i * n + i];
        for (size_t j = 0; j < i; j++)
            x[j] -= l[i * n + j] * x[i];
    }
}

void sv_cholesky_inverse(const double *l, size_t n, double *inverse)
{
    memset(inverse, 0, n * n * sizeof *inverse);
    for (size_t i = 0; i < n; i++)
        inverse[i * n + i] = 1;
    if (n > SV_CHOLESKY_SMALL) {
        sv_blas.dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, (int)n, (int)n, 1, l, (int)n, inverse, (int)n);
        sv_blas.dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit, (int)n, (int)n, 1, l, (int)n, inverse, (int)n);
        return;
    }
    for (size_t i = 0; i < n; i++) /* a column is a row */
        sv_cholesky_solve(l, n, inverse + i * n);
}

double sv_cholesky_ridged(double *l, const double *a, size_t n)
{
    double mean = 0, ridge = 0;
    for (size_t i = 0; i < n; i++)
        mean += a[i * n + i] / (double)n;
    if (!isfinite(mean)) return NAN;
    for (;;) {
        memcpy(l, a, n * n * sizeof *l);
        for (size_t i = 0; i < n; i++)
            l[i * n + i] += ridge;
        if (!sv_cholesky(l, n)) return ridge;
        ridge = ridge > 0 ? 10 * ridge : 1e-12 * (mean > 0 ? mean : 1);
        if (!(ridge < 1e6 * (mean > 0 ? mean : 1))) return NAN;
    }
}
