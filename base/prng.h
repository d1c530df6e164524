/* prng.h: xoshiro256** (Blackman, Vigna 2018), seeded by splitmix64. Same seed, same numbers, on every machine. Not for secrets. */
#ifndef SV_PRNG_H
#define SV_PRNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct sv_prng {
    uint64_t state[4];
} sv_prng;

void sv_prng_seed(sv_prng *prng, uint64_t seed);
uint64_t sv_prng_next(sv_prng *prng);
uint64_t sv_prng_below(sv_prng *prng, uint64_t bound); /* 0 … bound-1 without bias (Lemire 2019); bound > 0 */
double sv_prng_uniform(sv_prng *prng);                 /* [0, 1), 53 bits */
double sv_prng_normal(sv_prng *prng);                  /* standard normal: Marsaglia's polar method */
void sv_prng_shuffle(sv_prng *prng, uint32_t *items, size_t count); /* Fisher-Yates */

/* One step of splitmix64: a good 64-bit mix of any integer, for hashing a key with a seed. */
uint64_t sv_mix64(uint64_t value);

#endif
