#include "arena.h"

#include "alloc.h"

#include <stdint.h>
#include <string.h>

struct sv_arena_chunk {
    sv_arena_chunk *next;
    size_t size, used; /* of bytes */
    _Alignas(16) char bytes[];
};

static size_t ordinary(const sv_arena *arena)
{
    return arena->chunk_size ? arena->chunk_size : 4096;
}

static int is_beyond(sv_arena *arena, size_t size)
{
    int is = size > SIZE_MAX / 4 || (arena->max && (size > arena->max || arena->used > arena->max - size));
    arena->was_full |= is;
    return is;
}

int sv_arena_charge(sv_arena *arena, size_t bytes)
{
    if (is_beyond(arena, bytes))
        return -1;
    arena->used += bytes;
    return 0;
}

void sv_arena_discharge(sv_arena *arena, size_t bytes)
{
    arena->used -= bytes;
}

void *sv_arena_alloc(sv_arena *arena, size_t size)
{
    size_t rounded = (size + 15) & ~(size_t)15;
    if (is_beyond(arena, size > rounded ? size : rounded)) /* rounded up beyond the largest there is, it would be small */
        return NULL;
    size = rounded;
    sv_arena_chunk *chunk = arena->chunks;
    if (!chunk || chunk->size - chunk->used < size) {
        size_t bytes = size > ordinary(arena) ? size : ordinary(arena);
        chunk = sv_aligned(16, sizeof *chunk + bytes);
        if (!chunk)
            return NULL;
        *chunk = (sv_arena_chunk){.next = arena->chunks, .size = bytes};
        arena->chunks = chunk;
    }
    void *block = chunk->bytes + chunk->used;
    chunk->used += size;
    arena->used += size;
    return block;
}

void *sv_arena_zero(sv_arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    void *block = sv_arena_alloc(arena, total);
    if (block)
        memset(block, 0, total);
    return block;
}

char *sv_arena_strndup(sv_arena *arena, const char *text, size_t length)
{
    char *copy = length > SIZE_MAX / 4 ? NULL : sv_arena_alloc(arena, length + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *sv_arena_strdup(sv_arena *arena, const char *text)
{
    return text ? sv_arena_strndup(arena, text, strlen(text)) : NULL;
}

void sv_arena_reset(sv_arena *arena)
{
    sv_arena_chunk *kept = NULL;
    for (sv_arena_chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        if (!kept && chunk->size == ordinary(arena))
            kept = chunk;
        else
            sv_free(chunk);
    }
    if (kept) {
        kept->next = NULL;
        kept->used = 0;
    }
    arena->chunks = kept;
    arena->used = 0;
    arena->was_full = 0;
}

void sv_arena_free(sv_arena *arena)
{
    for (sv_arena_chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        sv_free(chunk);
    }
    arena->chunks = NULL;
    arena->used = 0;
}
