/* spill.c: shared mappings of unlinked files. Their room on the disk is taken at once, because a write into a hole of a full disk is a signal and no error. */
#include "spill.h"

#include "alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BLOCKS_MAX = 16384, PATH_ROOM = 4096 };

typedef struct spilled {
    void *block; /* NULL: free */
    size_t size;
} spilled;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_ROOM];
static spilled blocks[BLOCKS_MAX];
static size_t n_blocks;     /* places in use, with gaps */
static atomic_int spilling; /* large blocks go to the folder */
static atomic_int ever;     /* some block may be in a file */

/* A file without a name, or -1. */
static int open_nameless(void)
{
    char path[PATH_ROOM + 16];
    int file = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL))
        return file;
    snprintf(path, sizeof path, "%s/spill-XXXXXX", folder);
    file = mkostemp(path, O_CLOEXEC);
    if (file >= 0)
        unlink(path);
    return file;
}

int sv_alloc_spill(const char *where)
{
    int code = 0, file;
    pthread_mutex_lock(&mutex);
    if (!where) {
        atomic_store(&spilling, 0);
    } else if (strlen(where) >= sizeof folder) {
        errno = ENAMETOOLONG;
        code = -1;
    } else {
        memcpy(folder, where, strlen(where) + 1);
        file = open_nameless();
        code = file < 0 ? -1 : 0;
        if (file >= 0)
            close(file);
        atomic_store(&spilling, !code);
    }
    pthread_mutex_unlock(&mutex);
    return code;
}

int sv_spills(void)
{
    return atomic_load_explicit(&spilling, memory_order_relaxed);
}

static void *map(size_t size)
{
    int file = open_nameless();
    if (file < 0)
        return NULL;
    int failed = posix_fallocate(file, 0, (off_t)size);
    void *block = failed ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return block == MAP_FAILED ? NULL : block;
}

void *sv_spill_new(size_t size)
{
    if (size > PTRDIFF_MAX)
        return NULL;
    pthread_mutex_lock(&mutex);
    size_t at = 0;
    while (at < n_blocks && blocks[at].block)
        at++;
    void *block = at < BLOCKS_MAX ? map(size) : NULL;
    if (block) {
        blocks[at] = (spilled){block, size};
        n_blocks = at == n_blocks ? at + 1 : n_blocks;
        atomic_store(&ever, 1);
    }
    pthread_mutex_unlock(&mutex);
    return block;
}

/* Ordinary memory is told apart without the lock: it never begins where a page does (but for large blocks of posix_memalign, which the table tells). */
static spilled *find(const void *block)
{
    if ((uintptr_t)block % 4096)
        return NULL;
    for (size_t i = 0; i < n_blocks; i++)
        if (blocks[i].block == block)
            return &blocks[i];
    return NULL;
}

size_t sv_spill_size(const void *block)
{
    if (!block || !atomic_load_explicit(&ever, memory_order_relaxed) || (uintptr_t)block % 4096)
        return 0;
    pthread_mutex_lock(&mutex);
    const spilled *found = find(block);
    size_t size = found ? found->size : 0;
    pthread_mutex_unlock(&mutex);
    return size;
}

int sv_spill_free(void *block)
{
    if (!block || !atomic_load_explicit(&ever, memory_order_relaxed) || (uintptr_t)block % 4096)
        return 0;
    pthread_mutex_lock(&mutex);
    spilled *found = find(block), old = found ? *found : (spilled){0};
    if (found)
        *found = (spilled){0};
    pthread_mutex_unlock(&mutex);
    if (found)
        munmap(old.block, old.size);
    return found != NULL;
}
