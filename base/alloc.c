#include "alloc.h"
#include "spill.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static atomic_ulong asked;
static atomic_long remaining = -1;
static atomic_int fail_once;
static _Thread_local unsigned long failed;

/* What every allocation hands out. */
static void *given(void *block)
{
    failed += !block;
    return block;
}

/* One relaxed add and one load on the way of every allocation; the countdown runs in tests alone. */
static int refused(void)
{
    atomic_fetch_add_explicit(&asked, 1, memory_order_relaxed);
    long left = atomic_load_explicit(&remaining, memory_order_relaxed);
    if (left < 0)
        return 0;
    if (left > 0) {
        atomic_fetch_sub(&remaining, 1);
        return 0;
    }
    if (atomic_load(&fail_once))
        atomic_store(&remaining, -1);
    return 1;
}

void *sv_malloc(size_t size)
{
    if (refused())
        return given(NULL);
    return given(size >= SV_SPILL_BYTES && sv_spills() ? sv_spill_new(size) : malloc(size ? size : 1));
}

void *sv_calloc(size_t count, size_t size)
{
    size_t total;
    if (refused() || __builtin_mul_overflow(count, size, &total))
        return given(NULL);
    return given(total >= SV_SPILL_BYTES && sv_spills() ? sv_spill_new(total) : calloc(count ? count : 1, size ? size : 1)); /* files begin as zeros */
}

void *sv_realloc(void *block, size_t size)
{
    if (refused())
        return given(NULL);
    size_t spilled = sv_spill_size(block);
    int spills = size >= SV_SPILL_BYTES && sv_spills();
    if (!spilled && !spills)
        return given(realloc(block, size ? size : 1));
    void *moved = spills ? sv_spill_new(size) : malloc(size ? size : 1);
    size_t old = spilled ? spilled : block ? malloc_usable_size(block) : 0;
    if (moved && block) {
        memcpy(moved, block, old < size ? old : size);
        sv_free(block);
    }
    return given(moved);
}

void *sv_aligned(size_t alignment, size_t size)
{
    void *block = NULL;
    if (refused())
        return given(NULL);
    if (size >= SV_SPILL_BYTES && sv_spills()) /* at a page's beginning */
        return given(sv_spill_new(size));
    return given(posix_memalign(&block, alignment, size ? size : 1) ? NULL : block);
}

void *sv_array(size_t count, size_t size)
{
    size_t total;
    return __builtin_mul_overflow(count, size, &total) ? NULL : sv_malloc(total);
}

char *sv_strndup(const char *text, size_t length)
{
    char *copy = length == SIZE_MAX ? NULL : sv_malloc(length + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *sv_strdup(const char *text)
{
    return text ? sv_strndup(text, strlen(text)) : NULL;
}

void sv_free(void *block)
{
    if (!sv_spill_free(block))
        free(block);
}

void sv_alloc_fail_after(long after, int one)
{
    atomic_store(&fail_once, one);
    atomic_store(&remaining, after);
}

unsigned long sv_alloc_failures(void)
{
    return failed;
}

unsigned long sv_alloc_count(void)
{
    return atomic_load_explicit(&asked, memory_order_relaxed);
}
