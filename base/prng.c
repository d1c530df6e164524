#include "prng.h"

#include <math.h>

uint64_t sv_mix64(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

void sv_prng_seed(sv_prng *prng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        prng->state[i] = sv_mix64(seed);
        seed += UINT64_C(0x9e3779b97f4a7c15);
    }
}

static uint64_t rotate(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

uint64_t sv_prng_next(sv_prng *prng)
{
    uint64_t *s = prng->state, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t sv_prng_below(sv_prng *prng, uint64_t bound)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)sv_prng_next(prng) * bound;
    uint64_t low = (uint64_t)product;
    if (low < bound) {
        uint64_t floor = (0 - bound) % bound;
        while (low < floor) {
            product = (wide)sv_prng_next(prng) * bound;
            low = (uint64_t)product;
        }
    }
    return (uint64_t)(product >> 64);
}

double sv_prng_uniform(sv_prng *prng)
{
    return (double)(sv_prng_next(prng) >> 11) * 0x1p-53;
}

double sv_prng_normal(sv_prng *prng)
{
    for (;;) {
        double u = 2 * sv_prng_uniform(prng) - 1, v = 2 * sv_prng_uniform(prng) - 1, s = u * u + v * v;
        if (s > 0 && s < 1)
            return u * sqrt(-2 * log(s) / s); /* the second draw is dropped: no state beyond the four words */
    }
}

void sv_prng_shuffle(sv_prng *prng, uint32_t *items, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)sv_prng_below(prng, i);
        uint32_t swap = items[i - 1];
        items[i - 1] = items[j];
        items[j] = swap;
    }
}
