/* blas.h: OpenBLAS, loaded when a matrix is large enough to be worth it: a fit that needs none starts 3 ms sooner and holds 6 MB less. One thread, ours are the others. */
#ifndef SV_BLAS_H
#define SV_BLAS_H

#include "error.h"

#include <cblas.h>
#include <stddef.h>

/* What is called of it; NULL before sv_blas_reserve. */
typedef struct sv_blas_calls {
    __typeof__(cblas_dsyrk) *dsyrk;
    __typeof__(cblas_dtrsm) *dtrsm;
    __typeof__(cblas_dtrsv) *dtrsv;
} sv_blas_calls;

extern sv_blas_calls sv_blas;

/* Loads it once and takes what n_threads calls at once will need; before the first call. SV_E_MEMORY rather than a call that never returns, SV_E_IO: no such library.
   Any thread. */
int sv_blas_reserve(size_t n_threads, sv_error *error);

#endif
