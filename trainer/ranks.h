/* ranks.h: the other processes of an mpirun, when there are any. Every rank computes its chunks of each pass (objective.h) and all exchange them, so that each ends
   with the same bits; rank 0 alone tracks and writes. MPI is in a module of its own, loaded only under mpirun: alone, a training never pays for it. */
#ifndef SV_RANKS_H
#define SV_RANKS_H

#include "buffer.h"
#include "objective.h"

/* Joins the others when this process was started by mpirun with more than one rank. SV_E_CONFIG: started so, but built without MPI. Once a process, main thread. */
int sv_ranks_join(sv_error *error);

/* NULL when alone. Borrowed; until sv_ranks_leave. */
const sv_share *sv_ranks_share(void);
size_t sv_ranks_rank(void); /* 0 when alone */
size_t sv_ranks_count(void); /* 1 when alone */

/* Every rank's bytes, one behind the other: of rank r from (*all)[(*starts)[r]] on. Both the caller's (sv_free). own gets zeros behind it. Every rank calls it.
   SV_E_NETWORK when one is lost, SV_E_MEMORY. */
int sv_ranks_gather(char **all, size_t **starts, sv_buffer *own, sv_error *error);

/* To be called before the process ends. code not 0: this rank failed, and the others must not wait for it; under mpirun it does not return then. */
void sv_ranks_leave(int code);

/* What the module offers; for ranks.c and ranks_mpi.c. */
typedef struct sv_ranks_module {
    int (*open)(size_t *rank, size_t *n_ranks); /* 0, or -1 */
    int (*gather)(char *all, const int *n_blocks, const void *own, sv_error *error); /* n_blocks (n_ranks) of SV_RANKS_BLOCK bytes */
    int (*exchange)(void *context, double *partials, size_t n_chunks, size_t stride, sv_error *error);
    void (*close)(int failed);
} sv_ranks_module;

enum { SV_RANKS_BLOCK = 4096 }; /* bytes: MPI counts in int */

#define SV_RANKS_SYMBOL "sv_ranks_module_mpi"

#endif
