#include "alloc.h"
#include "arena.h"

#include <criterion/criterion.h>
#include <stdint.h>

Test(arena, blocks_are_aligned_and_apart)
{
    sv_arena arena = SV_ARENA_INIT(256, 0);
    char *a = sv_arena_alloc(&arena, 3), *b = sv_arena_alloc(&arena, 1000);
    cr_assert((uintptr_t)a % 16 == 0 && (uintptr_t)b % 16 == 0);
    memset(b, 1, 1000);
    memset(a, 2, 3);
    cr_assert_eq(b[0], 1);
    sv_arena_free(&arena);
}

Test(arena, ceiling_holds_and_huge_sizes_do_not_wrap)
{
    sv_arena arena = SV_ARENA_INIT(64, 128);
    cr_assert_not_null(sv_arena_alloc(&arena, 100));
    cr_assert_null(sv_arena_alloc(&arena, 100));
    cr_assert_null(sv_arena_alloc(&arena, SIZE_MAX));
    cr_assert_null(sv_arena_zero(&arena, SIZE_MAX / 2, 4));
    sv_arena_free(&arena);
}

Test(arena, warm_it_allocates_nothing)
{
    sv_arena arena = SV_ARENA_INIT(4096, 0);
    sv_arena_alloc(&arena, 100);
    sv_arena_reset(&arena);
    unsigned long before = sv_alloc_count();
    for (int i = 0; i < 10; i++)
        cr_assert_not_null(sv_arena_strdup(&arena, "text"));
    cr_assert_eq(sv_alloc_count(), before);
    sv_arena_free(&arena);
}
