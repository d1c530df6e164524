#include "crc32c.h"

#include <pthread.h>
#include <string.h>

#define REFLECTED UINT32_C(0x82F63B78)

static uint32_t table[256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void fill_table(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? REFLECTED : 0);
        table[byte] = crc;
    }
}

uint32_t mlf_crc32c_table(uint32_t crc, const void *bytes, size_t length)
{
    pthread_once(&table_once, fill_table);
    const unsigned char *p = bytes;
    crc = ~crc;
    while (length--)
        crc = table[(crc ^ *p++) & 255] ^ crc >> 8;
    return ~crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const void *bytes, size_t length)
{
    const unsigned char *p = bytes;
    uint64_t wide = ~crc;
    for (; length >= 8; length -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    while (length--)
        crc = _mm_crc32_u8(crc, *p++);
    return ~crc;
}

uint32_t mlf_crc32c(uint32_t crc, const void *bytes, size_t length)
{
    return __builtin_cpu_supports("sse4.2") ? by_instruction(crc, bytes, length) : mlf_crc32c_table(crc, bytes, length);
}
#else
uint32_t mlf_crc32c(uint32_t crc, const void *bytes, size_t length)
{
    return mlf_crc32c_table(crc, bytes, length);
}
#endif
