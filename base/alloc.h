/* alloc.h: every allocation of the project goes through here, so that a test can make the k-th one fail. */
#ifndef SV_ALLOC_H
#define SV_ALLOC_H

#include <stddef.h>

void *sv_malloc(size_t size);
void *sv_calloc(size_t count, size_t size);    /* NULL also when count * size overflows */
void *sv_realloc(void *block, size_t size);    /* on failure the old block stays */
void *sv_aligned(size_t alignment, size_t size); /* alignment a power of two; freed by sv_free */
char *sv_strdup(const char *text);             /* NULL in, NULL out */
char *sv_strndup(const char *text, size_t length);
void sv_free(void *block);                     /* accepts NULL */

/* count * size, or NULL when that overflows; not zeroed. */
void *sv_array(size_t count, size_t size);

/* More data than memory: from now on blocks of SV_SPILL_BYTES and more live in files without a name in folder, which the system writes out and forgets when
   memory is short; everything else stays as it is. NULL: no more of them (those that are there stay). 0, or -1 with errno. Any thread. */
enum { SV_SPILL_BYTES = 1 << 20 };
int sv_alloc_spill(const char *folder);

/* Lets `after` allocations through and fails every later one (one: only the next) until called with -1. For tests; all threads. */
void sv_alloc_fail_after(long after, int one);

/* Allocations asked for since the program began; a test uses it to show that a hot path asks for none. */
unsigned long sv_alloc_count(void);

/* Those that failed in this thread: a caller that learns only that something went wrong sees by it that memory was the reason. */
unsigned long sv_alloc_failures(void);

#endif
