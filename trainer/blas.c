#include "blas.h"

#include "alloc.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LIBRARY "libopenblas.so.0"

/* Of address space: for each call at work, little of which is ever touched; and for the library. */
static const size_t BUFFER_BYTES = (size_t)128 << 20, LIBRARY_BYTES = (size_t)64 << 20;

sv_blas_calls sv_blas;

/* Not in every build of OpenBLAS. */
static void *(*take_buffer)(int);
static void (*give_buffer)(void *);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static size_t n_reserved;

/* OpenBLAS reads this while it is loaded, and would start threads of its own. Before main, since nobody else may be reading the environment. */
__attribute__((constructor)) static void ask_for_one_thread(void)
{
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
}

static int is_room(size_t size)
{
    void *room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return room != MAP_FAILED && !munmap(room, size);
}

/* ISO C has no conversion from an object's address to a function's; POSIX promises that they look alike. */
static int find(void *function, void *library, const char *name)
{
    void *found = dlsym(library, name);
    memcpy(function, &found, sizeof found);
    return found ? 0 : SV_E_IO;
}

/* Never closed: it lives as long as the program. */
static int load(sv_error *error)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library || find(&sv_blas.dsyrk, library, "cblas_dsyrk") || find(&sv_blas.dtrsm, library, "cblas_dtrsm") || find(&sv_blas.dtrsv, library, "cblas_dtrsv")) {
        sv_error_set(error, SV_E_IO, "training: expected OpenBLAS (" LIBRARY ") for a matrix of this size, got %.200s", dlerror());
        sv_error_hint(error, "install it: on Debian and Ubuntu the package libopenblas0-pthread");
        return SV_E_IO;
    }
    if (find(&take_buffer, library, "blas_memory_alloc") || find(&give_buffer, library, "blas_memory_free")) take_buffer = NULL;
    return 0;
}

/* OpenBLAS keeps the buffers given back to it for the calls to come. */
static int reserve_more(size_t n_threads, sv_error *error)
{
    void **buffers = sv_calloc(n_threads, sizeof *buffers);
    int code = buffers && is_room((n_threads - n_reserved) * BUFFER_BYTES + (n_reserved ? 0 : LIBRARY_BYTES)) ? 0 : SV_E_MEMORY;
    if (!code && !n_reserved) code = load(error);
    for (size_t i = 0; !code && take_buffer && i < n_threads; i++)
        buffers[i] = take_buffer(0);
    for (size_t i = 0; !code && i < n_threads; i++)
        if (buffers[i]) give_buffer(buffers[i]);
    sv_free(buffers);
    if (!code) n_reserved = n_threads;
    return code;
}

int sv_blas_reserve(size_t n_threads, sv_error *error)
{
    pthread_mutex_lock(&mutex);
    int code = n_threads > n_reserved ? reserve_more(n_threads, error) : 0;
    pthread_mutex_unlock(&mutex);
    if (code == SV_E_MEMORY) {
        sv_error_set(error, code, "out of memory: OpenBLAS takes %zu MB of address space for each of %zu threads, and the process may not have them",
                     BUFFER_BYTES >> 20, n_threads);
        sv_error_hint(error, "raise the limit (ulimit -v, ulimit -d), or take fewer threads (--threads 1)");
    }
    return code;
}
