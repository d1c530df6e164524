#include "prng.h"

#include <criterion/criterion.h>
#include <math.h>

/* Reference: xoshiro256** with splitmix64(42), computed by an independent Python script. */
Test(prng, same_seed_same_numbers_everywhere)
{
    static const uint64_t expected[] = {UINT64_C(0x15780b2e0c2ec716), UINT64_C(0x6104d9866d113a7e), UINT64_C(0xae17533239e499a1), UINT64_C(0xecb8ad4703b360a1)};
    sv_prng prng;
    sv_prng_seed(&prng, 42);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        cr_assert_eq(sv_prng_next(&prng), expected[i]);
}

Test(prng, bounded_numbers_are_even)
{
    sv_prng prng;
    sv_prng_seed(&prng, 7);
    int counts[6] = {0};
    for (int i = 0; i < 600000; i++)
        counts[sv_prng_below(&prng, 6)]++;
    for (int i = 0; i < 6; i++)
        cr_assert(abs(counts[i] - 100000) < 1500, "%d: %d", i, counts[i]);
}

Test(prng, normal_has_mean_zero_and_variance_one)
{
    sv_prng prng;
    sv_prng_seed(&prng, 3);
    double sum = 0, squares = 0;
    for (int i = 0; i < 400000; i++) {
        double x = sv_prng_normal(&prng);
        sum += x;
        squares += x * x;
    }
    cr_assert(fabs(sum / 400000) < 0.01);
    cr_assert(fabs(squares / 400000 - 1) < 0.01);
}

Test(prng, a_shuffle_keeps_every_item)
{
    uint32_t items[100];
    for (uint32_t i = 0; i < 100; i++)
        items[i] = i;
    sv_prng prng;
    sv_prng_seed(&prng, 5);
    sv_prng_shuffle(&prng, items, 100);
    uint64_t seen[2] = {0, 0};
    for (int i = 0; i < 100; i++)
        seen[items[i] / 64] |= UINT64_C(1) << items[i] % 64;
    cr_assert(seen[0] == UINT64_MAX && seen[1] == (UINT64_C(1) << 36) - 1);
}
