/* ranks_mpi.c: the module: MPI's few calls that a training needs. */
#include "ranks.h"

#include <mpi.h>
#include <stdlib.h>

static int n_ranks, own_rank;

static int begin(size_t *rank, size_t *ranks)
{
    int provided;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) return -1;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (MPI_Comm_rank(MPI_COMM_WORLD, &own_rank) != MPI_SUCCESS || MPI_Comm_size(MPI_COMM_WORLD, &n_ranks) != MPI_SUCCESS) return -1;
    *rank = (size_t)own_rank;
    *ranks = (size_t)n_ranks;
    return 0;
}

static int lost(const char *what, sv_error *error)
{
    sv_error_set(error, SV_E_NETWORK, "rank %d of %d: expected the others' %s, got an MPI error: a rank was lost", own_rank, n_ranks, what);
    sv_error_hint(error, "go on from the last checkpoint with --resume (train.checkpoint_every)");
    return SV_E_NETWORK;
}

static int gather(char *all, const int *n_blocks, const void *own, sv_error *error)
{
    int *places = calloc((size_t)n_ranks, sizeof *places), rc = MPI_ERR_NO_MEM;
    MPI_Datatype block;
    for (int q = 1; places && q < n_ranks; q++)
        places[q] = places[q - 1] + n_blocks[q - 1];
    if (places && (rc = MPI_Type_contiguous(SV_RANKS_BLOCK, MPI_BYTE, &block)) == MPI_SUCCESS) {
        MPI_Type_commit(&block);
        rc = MPI_Allgatherv(own, n_blocks[own_rank], block, all, n_blocks, places, block, MPI_COMM_WORLD);
        MPI_Type_free(&block);
    }
    free(places);
    return rc == MPI_SUCCESS ? 0 : lost("rows", error);
}

/* Each chunk's sums go from the rank that computed them to all; nothing is added up here, so the tree of additions stays the one of a single process. */
static int exchange(void *context, double *partials, size_t n_chunks, size_t stride, sv_error *error)
{
    int *counts = calloc(2 * (size_t)n_ranks, sizeof *counts), *places = counts ? counts + n_ranks : NULL, rc = MPI_ERR_NO_MEM;
    MPI_Datatype sums;
    (void)context;
    for (size_t q = 0; counts && q < (size_t)n_ranks; q++) {
        places[q] = (int)(q * n_chunks / (size_t)n_ranks);
        counts[q] = (int)((q + 1) * n_chunks / (size_t)n_ranks) - places[q];
    }
    if (counts && (rc = MPI_Type_contiguous((int)stride, MPI_DOUBLE, &sums)) == MPI_SUCCESS) {
        MPI_Type_commit(&sums);
        rc = MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, partials, counts, places, sums, MPI_COMM_WORLD);
        MPI_Type_free(&sums);
    }
    free(counts);
    return rc == MPI_SUCCESS ? 0 : lost("sums", error);
}

static void end(int failed)
{
    if (failed) MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Finalize();
}

extern const sv_ranks_module sv_ranks_module_mpi;
const sv_ranks_module sv_ranks_module_mpi = {begin, gather, exchange, end};
