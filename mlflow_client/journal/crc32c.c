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
#include <wmmintrin.h>

/* Long inputs are folded: 64 bytes at a time are multiplied by x^512 mod P and the next 64 added, by the instruction for carry-less products ("Fast CRC
   Computation for Generic Polynomials Using PCLMULQDQ Instruction", Gopal and others, 2009). What is left is 16 bytes with the same remainder. */
enum { BLOCK = 64 };

static uint64_t over_64[2], over_16[2];
static int has_instruction, has_products;
static pthread_once_t products_once = PTHREAD_ONCE_INIT;

/* x^n mod P, reflected. */
static uint32_t power(unsigned n)
{
    uint32_t v = UINT32_C(1) << 31;
    while (n--)
        v = v >> 1 ^ (v & 1 ? REFLECTED : 0);
    return v;
}

/* The product of 64 and 32 reflected bits lies 33 powers too high in a register of 128; of a register the first half is x^64 times the second. */
static void prepare_products(void)
{
    const unsigned wide = 8 * BLOCK, narrow = 8 * 16;
    over_64[0] = power(wide + 64 - 33);
    over_64[1] = power(wide - 33);
    over_16[0] = power(narrow + 64 - 33);
    over_16[1] = power(narrow - 33);
    has_instruction = __builtin_cpu_supports("sse4.2");
    has_products = has_instruction && __builtin_cpu_supports("pclmul");
}

__attribute__((target("pclmul"))) static __m128i fold(__m128i from, __m128i over, __m128i next)
{
    return _mm_xor_si128(next, _mm_xor_si128(_mm_clmulepi64_si128(from, over, 0x00), _mm_clmulepi64_si128(from, over, 0x11)));
}

static __m128i load(const void *at)
{
    return _mm_loadu_si128(at);
}

__attribute__((target("sse4.2"))) static uint64_t add_words(uint64_t crc, const unsigned char *p, size_t length)
{
    for (; length >= 8; length -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        crc = _mm_crc32_u64(crc, word);
    }
    return crc;
}

/* length: a multiple of BLOCK, not 0. */
__attribute__((target("sse4.2,pclmul"))) static uint64_t by_products(uint32_t crc, const unsigned char *p, size_t length)
{
    const __m128i wide = load(over_64), narrow = load(over_16);
    unsigned char rest[16];
    __m128i a = _mm_xor_si128(load(p), _mm_cvtsi32_si128((int)crc)), b = load(p + 16), c = load(p + 32), d = load(p + 48);
    for (p += BLOCK, length -= BLOCK; length; p += BLOCK, length -= BLOCK) {
        a = fold(a, wide, load(p));
        b = fold(b, wide, load(p + 16));
        c = fold(c, wide, load(p + 32));
        d = fold(d, wide, load(p + 48));
    }
    _mm_storeu_si128((void *)rest, fold(fold(fold(a, narrow, b), narrow, c), narrow, d));
    return add_words(0, rest, sizeof rest);
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const unsigned char *p, size_t length)
{
    uint64_t wide = ~crc;
    size_t folded = has_products ? length / BLOCK * BLOCK : 0, words = (length - folded) / 8 * 8;
    if (folded)
        wide = by_products((uint32_t)wide, p, folded);
    wide = add_words(wide, p + folded, words);
    crc = (uint32_t)wide;
    for (size_t i = folded + words; i < length; i++)
        crc = _mm_crc32_u8(crc, p[i]);
    return ~crc;
}

uint32_t mlf_crc32c(uint32_t crc, const void *bytes, size_t length)
{
    pthread_once(&products_once, prepare_products);
    return has_instruction ? by_instruction(crc, bytes, length) : mlf_crc32c_table(crc, bytes, length);
}
#else
uint32_t mlf_crc32c(uint32_t crc, const void *bytes, size_t length)
{
    return mlf_crc32c_table(crc, bytes, length);
}
#endif
