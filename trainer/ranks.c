/* ranks.c: finds out whether there are other ranks, and loads the module that speaks with them. */
#include "ranks.h"
#include "alloc.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const sv_ranks_module *module;
static sv_share share;

/* What Open MPI, then MPICH and Slurm, tell a process of the size of its world. Slurm's PMIx plugin (srun --mpi=pmix) leaves that to Slurm. */
static int expected_ranks(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i])) return atoi(getenv(names[i]));
    const char *tasks = getenv("PMIX_RANK") ? getenv("SLURM_STEP_NUM_TASKS") : NULL;
    return tasks ? atoi(tasks) : 1;
}

/* Beside the program, as it is built, or where it is installed. */
static void *load_module(void)
{
    static const char *const places[] = {"", "../" SOLVENT_LIBDIR "/solvent/"};
    char program[PATH_MAX], path[PATH_MAX + 64];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    void *library = NULL;
    if (length <= 0) return NULL;
    program[length] = '\0';
    char *slash = strrchr(program, '/');
    if (slash) slash[1] = '\0';
    for (size_t i = 0; !library && i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s%slibsolvent_mpi.so", program, places[i]);
        library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    }
    const char *given = getenv("SOLVENT_MPI_MODULE"); /* elsewhere: tests of programs that lie in other folders */
    return library || !given ? library : dlopen(given, RTLD_NOW | RTLD_GLOBAL);
}

int sv_ranks_join(sv_error *error)
{
    if (module || expected_ranks() <= 1) return 0;
    void *library = load_module();
    const sv_ranks_module *found = library ? dlsym(library, SV_RANKS_SYMBOL) : NULL;
    if (!found || found->open(&share.rank, &share.n_ranks)) {
        sv_error_set(error, SV_E_CONFIG, "mpirun: expected libsolvent_mpi.so beside the program, got %s", library ? "a module that could not begin" : "none");
        sv_error_hint(error, "build with libopenmpi-dev installed, or run without mpirun");
        return SV_E_CONFIG;
    }
    module = found;
    share.exchange = found->exchange;
    return 0;
}

const sv_share *sv_ranks_share(void)
{
    return module && share.n_ranks > 1 ? &share : NULL;
}

size_t sv_ranks_rank(void)
{
    return module ? share.rank : 0;
}

size_t sv_ranks_count(void)
{
    return module ? share.n_ranks : 1;
}

/* First how many blocks each has, which takes one block; then these. */
int sv_ranks_gather(char **all, size_t **starts, sv_buffer *own, sv_error *error)
{
    size_t n = sv_ranks_count(), tail = own->size % SV_RANKS_BLOCK ? SV_RANKS_BLOCK - own->size % SV_RANKS_BLOCK : 0;
    char zeros[SV_RANKS_BLOCK] = "", (*sizes)[SV_RANKS_BLOCK] = sv_array(n, sizeof *sizes);
    int *blocks = sv_array(n, sizeof *blocks), code = 0;
    *all = NULL;
    *starts = sv_array(n + 1, sizeof **starts);
    if (!sizes || !blocks || !*starts || (tail && sv_buffer_append(own, zeros, tail)))
        code = sv_error_set(error, SV_E_MEMORY, "mpirun: out of memory");
    for (size_t r = 0; r < n && !code; r++)
        blocks[r] = 1;
    memcpy(zeros, &own->size, sizeof own->size);
    if (!code)
        code = module ? module->gather(sizes[0], blocks, zeros, error) : (memcpy(sizes[0], zeros, sizeof zeros), 0);
    size_t total = 0;
    for (size_t r = 0; r < n && !code; r++) {
        size_t size;
        memcpy(&size, sizes[r], sizeof size);
        (*starts)[r] = total;
        blocks[r] = (int)(size / SV_RANKS_BLOCK);
        total += size;
    }
    if (!code && !(*all = sv_malloc(total + 1)))
        code = sv_error_set(error, SV_E_MEMORY, "mpirun: out of memory for %zu bytes of all ranks", total);
    if (!code && module)
        code = module->gather(*all, blocks, own->data ? own->data : zeros, error);
    else if (!code && total)
        memcpy(*all, own->data, total);
    sv_free(sizes);
    sv_free(blocks);
    if (code) {
        sv_free(*all);
        sv_free(*starts);
        *all = NULL;
        *starts = NULL;
    }
    return code;
}

void sv_ranks_leave(int code)
{
    if (module) module->close(code != 0);
    module = NULL;
}
