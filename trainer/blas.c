#include "blas.h"

#include "alloc.h"

#include <cblas.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static const size_t BUFFER_BYTES = (size_t)128 << 20; /* of address space for each call at work; few of them are ever touched */

/* Not in every build of OpenBLAS. */
extern int blas_thread_shutdown_(void) __attribute__((weak));
extern void *blas_memory_alloc(int) __attribute__((weak));
extern void blas_memory_free(void *) __attribute__((weak));

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static size_t n_reserved;

static int is_limited(int resource)
{
    struct rlimit limit;
    return !getrlimit(resource, &limit) && limit.rlim_cur != RLIM_INFINITY;
}

void sv_blas_begin(char **argv)
{
    static const char name[] = "OPENBLAS_NUM_THREADS";
    const char *set = getenv(name);
    if ((!set || set[0] != '1' || set[1]) && (is_limited(RLIMIT_AS) || is_limited(RLIMIT_DATA)) && !setenv(name, "1", 1))
        execv("/proc/self/exe", argv); /* fails: as before */
}

static int is_room(size_t size)
{
    void *room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return room != MAP_FAILED && !munmap(room, size);
}

/* OpenBLAS keeps the buffers given back to it for the calls to come. */
static int reserve_more(size_t n_threads)
{
    void **buffers = sv_calloc(n_threads, sizeof *buffers);
    int code = buffers && is_room((n_threads - n_reserved) * BUFFER_BYTES) ? 0 : SV_E_MEMORY;
    if (!code && !n_reserved) {
        openblas_set_num_threads(1);
        if (blas_thread_shutdown_) blas_thread_shutdown_(); /* they would spin beside ours */
    }
    for (size_t i = 0; !code && blas_memory_alloc && blas_memory_free && i < n_threads; i++)
        buffers[i] = blas_memory_alloc(0);
    for (size_t i = 0; !code && i < n_threads; i++)
        if (buffers[i]) blas_memory_free(buffers[i]);
    sv_free(buffers);
    if (!code) n_reserved = n_threads;
    return code;
}

int sv_blas_reserve(size_t n_threads, sv_error *error)
{
    pthread_mutex_lock(&mutex);
    int code = n_threads > n_reserved ? reserve_more(n_threads) : 0;
    pthread_mutex_unlock(&mutex);
    if (code) {
        sv_error_set(error, code, "out of memory: OpenBLAS takes %zu MB of address space for each of %zu threads, and the process may not have them",
                     BUFFER_BYTES >> 20, n_threads);
        sv_error_hint(error, "raise the limit (ulimit -v, ulimit -d), or take fewer threads (--threads 1)");
    }
    return code;
}
