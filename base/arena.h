/* arena.h: many small allocations with one lifetime, dropped at once. Not for threads: one owner at a time. */
#ifndef SV_ARENA_H
#define SV_ARENA_H

#include <stddef.h>

typedef struct sv_arena_chunk sv_arena_chunk;

typedef struct sv_arena {
    sv_arena_chunk *chunks; /* newest first */
    size_t chunk_size;      /* bytes of an ordinary chunk; 0: 4096 */
    size_t used, max;       /* bytes handed out and charged; ceiling, 0 for none */
    int was_full;           /* something did not fit below the ceiling since the last reset */
} sv_arena;

#define SV_ARENA_INIT(chunk_bytes, max_bytes) {NULL, (chunk_bytes), 0, (max_bytes), 0}

/* 16-byte aligned, not zeroed; NULL when memory or the ceiling is reached. */
void *sv_arena_alloc(sv_arena *arena, size_t size);
void *sv_arena_zero(sv_arena *arena, size_t count, size_t size);
char *sv_arena_strndup(sv_arena *arena, const char *text, size_t length);
char *sv_arena_strdup(sv_arena *arena, const char *text); /* NULL in, NULL out */

/* Counts bytes that its owner has elsewhere for as long: -1 when the ceiling is reached. Given back by sv_arena_discharge(), or all at once by a reset. */
int sv_arena_charge(sv_arena *arena, size_t bytes);
void sv_arena_discharge(sv_arena *arena, size_t bytes);

void sv_arena_reset(sv_arena *arena); /* forgets all, keeps one ordinary chunk: warm, it allocates nothing */
void sv_arena_free(sv_arena *arena);

#endif
