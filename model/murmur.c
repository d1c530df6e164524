#include "murmur.h"

static uint32_t rotate(uint32_t x, int by)
{
    return x << by | x >> (32 - by);
}

static uint32_t scramble(uint32_t k)
{
    return rotate(k * 0xcc9e2d51u, 15) * 0x1b873593u;
}

uint32_t sv_murmur3(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;
    uint32_t hash = 0, tail = 0;
    size_t i = 0;
    for (; i + 4 <= length; i += 4) {
        uint32_t word = (uint32_t)s[i] | (uint32_t)s[i + 1] << 8 | (uint32_t)s[i + 2] << 16 | (uint32_t)s[i + 3] << 24;
        hash = rotate(hash ^ scramble(word), 13) * 5 + 0xe6546b64u;
    }
    for (size_t k = 0; i + k < length; k++)
        tail |= (uint32_t)s[i + k] << 8 * k;
    hash ^= scramble(tail);
    hash ^= (uint32_t)length;
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    return hash ^ hash >> 16;
}
