#include "shortest.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

/* 10^k for k in [K_MIN, K_MAX], rounded up to 128 bits with the top bit set. */
enum { K_MIN = -292, K_MAX = 324, WORDS = 46 };
__extension__ typedef unsigned __int128 uint128;
typedef struct wide { uint64_t high, low; } wide;
static wide powers[K_MAX - K_MIN + 1];
static pthread_once_t powers_once = PTHREAD_ONCE_INIT;

/* The top 128 bits of a big number (least word first); rounded up unless the rest is zero and `exact`. */
static wide top_bits(const uint32_t words[WORDS], int exact)
{
    int last = WORDS - 1;
    while (!words[last])
        last--;
    int shift = __builtin_clz(words[last]);
    uint128 top = 0;
    uint32_t rest = 0;
    for (int i = 0; i < 5; i++) {
        uint64_t word = last - i >= 0 ? words[last - i] : 0;
        if (i < 4)
            top = top << 32 | word;
        else if (shift) {
            top = top << shift | word >> (32 - shift);
            rest = (uint32_t)(word << shift);
        } else
            rest = (uint32_t)word;
    }
    for (int i = 0; i <= last - 5; i++)
        rest |= words[i];
    top += !exact || rest;
    return (wide){(uint64_t)(top >> 64), (uint64_t)top};
}

static void fill_powers(void)
{
    uint32_t words[WORDS] = {1};
    for (int k = 0; k <= K_MAX; k++) {
        powers[k - K_MIN] = top_bits(words, 1);
        uint64_t carry = 0;
        for (int i = 0; i < WORDS; i++) {
            carry += (uint64_t)words[i] * 10;
            words[i] = (uint32_t)carry;
            carry >>= 32;
        }
    }
    /* floor(2^N / 10^n), one division by ten after the other; never exact. */
    memset(words, 0, sizeof words);
    words[WORDS - 1] = 1;
    for (int k = -1; k >= K_MIN; k--) {
        uint64_t rest = 0;
        for (int i = WORDS - 1; i >= 0; i--) {
            rest = rest << 32 | words[i];
            words[i] = (uint32_t)(rest / 10);
            rest %= 10;
        }
        powers[k - K_MIN] = top_bits(words, 0);
    }
}

/* The high part of g * c, its lowest bit telling whether anything was cut off. */
static uint64_t round_to_odd(wide g, uint64_t c)
{
    uint128 low = (uint128)g.low * c, high = (uint128)g.high * c + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* digits * 10^*exponent for the positive finite number of these IEEE fields. Names as in the paper. */
static uint64_t shortest(uint64_t fraction, int biased, int *exponent)
{
    uint64_t c = biased ? fraction | UINT64_C(1) << 52 : fraction;
    int q = (biased ? biased : 1) - 1075;
    int closer = fraction == 0 && biased > 1, odd = (int)(c & 1);
    int k = (q * 1262611 - (closer ? 524031 : 0)) >> 22; /* floor(log10(2^q)), of 3/4 2^q when the number below is closer */
    int h = q + (-k * 1741647 >> 19) + 1;
    wide g = powers[-k - K_MIN];
    uint64_t lower = round_to_odd(g, (4 * c - 2 + (uint64_t)closer) << h) + (uint64_t)odd;
    uint64_t middle = round_to_odd(g, 4 * c << h);
    uint64_t upper = round_to_odd(g, (4 * c + 2) << h) - (uint64_t)odd;
    uint64_t s = middle / 4;
    *exponent = k;
    if (s >= 10) {
        uint64_t t = s / 10;
        int down = lower <= 40 * t, up = 40 * t + 40 <= upper;
        if (down != up) {
            *exponent = k + 1;
            return t + (uint64_t)up;
        }
    }
    int down = lower <= 4 * s, up = 4 * s + 4 <= upper;
    if (down != up)
        return s + (uint64_t)up;
    return s + (uint64_t)(middle > 4 * s + 2 || (middle == 4 * s + 2 && (s & 1)));
}

static size_t put_digits(char *out, uint64_t value)
{
    char reversed[20];
    size_t n = 0;
    do
        reversed[n++] = (char)('0' + value % 10);
    while (value /= 10);
    for (size_t i = 0; i < n; i++)
        out[i] = reversed[n - 1 - i];
    return n;
}

size_t mlf_format_int64(char *out, long long value)
{
    if (value >= 0)
        return put_digits(out, (uint64_t)value);
    out[0] = '-';
    return 1 + put_digits(out + 1, 0 - (uint64_t)value);
}

/* digits * 10^exponent as plain decimals where that is short, else with an exponent. */
static size_t put_decimal(char *out, uint64_t digits, int exponent)
{
    while (digits % 10 == 0) {
        digits /= 10;
        exponent++;
    }
    char text[20];
    size_t n = put_digits(text, digits);
    int point = (int)n + exponent; /* digits before the point */
    char *at = out;
    if (exponent >= 0 && point <= 16) {
        memcpy(at, text, n);
        memset(at + n, '0', (size_t)exponent);
        return n + (size_t)exponent;
    }
    if (exponent < 0 && point > 0) {
        memcpy(at, text, (size_t)point);
        at[point] = '.';
        memcpy(at + point + 1, text + point, n - (size_t)point);
        return n + 1;
    }
    if (exponent < 0 && point > -5) {
        memcpy(at, "0.0000", 6);
        memcpy(at + 2 - point, text, n);
        return n + 2 + (size_t)-point;
    }
    *at++ = text[0];
    if (n > 1) {
        *at++ = '.';
        memcpy(at, text + 1, n - 1);
        at += n - 1;
    }
    *at++ = 'e';
    return (size_t)(at - out) + mlf_format_int64(at, point - 1);
}

static size_t put_word(char *out, const char *word)
{
    size_t n = strlen(word);
    memcpy(out, word, n);
    return n;
}

size_t mlf_format_double(char *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    int biased = (int)(bits >> 52 & 2047), negative = (int)(bits >> 63), exponent;
    if (biased == 2047)
        return put_word(out, fraction ? "\"NaN\"" : negative ? "\"-Infinity\"" : "\"Infinity\"");
    if (!biased && !fraction)
        return put_word(out, negative ? "-0.0" : "0");
    pthread_once(&powers_once, fill_powers);
    if (negative)
        *out++ = '-';
    uint64_t digits = shortest(fraction, biased, &exponent);
    return (size_t)negative + put_decimal(out, digits, exponent);
}
