/* blas.h: OpenBLAS kept to our threads and to memory that there is. */
#ifndef SV_BLAS_H
#define SV_BLAS_H

#include "error.h"

#include <stddef.h>

/* To be called first in main. OpenBLAS starts threads when it is loaded, and one that is refused its memory asks for ever, also while the program ends:
   where the process has a limit of memory, the program begins anew (exec) without them. */
void sv_blas_begin(char **argv);

/* Takes what n_threads calls at once will need and ends OpenBLAS's own threads; before the first call. SV_E_MEMORY rather than a call that never returns. Any thread. */
int sv_blas_reserve(size_t n_threads, sv_error *error);

#endif
