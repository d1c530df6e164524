/* double_text.c: the shortest decimal that reads back as the same double, the closest one among those: R. Giulietti, "The Schubfach way to render
   doubles" (2020). Layout as Python's repr. The table of 128-bit powers of ten is computed once, exactly, with small big-number arithmetic.
   Some thirty times faster than trying precisions with printf, which tests/base/test_number.c compares it with. */
#include "number.h"

#include <pthread.h>
#include <string.h>

#define MIN_POWER (-292)
#define MAX_POWER 324
#define LIMBS 22 /* of 64 bits: 10^324 has 1077 bits; 2^1400 / 10^292 keeps 430 */

__extension__ typedef unsigned __int128 wide;
typedef struct power {
    uint64_t high, low; /* ceil(10^k * 2^(127 - floor(log2 10^k))) */
} power;

static power powers[MAX_POWER - MIN_POWER + 1];
static pthread_once_t powers_once = PTHREAD_ONCE_INIT;

/* The 128 bits below the leading one of a big number; *inexact says whether anything was cut off. */
static power leading_bits(const uint64_t limbs[LIMBS], int *inexact)
{
    int top = LIMBS - 1;
    while (limbs[top] == 0)
        top--;
    int shift = __builtin_clzll(limbs[top]);
    uint64_t window[3] = {limbs[top], top > 0 ? limbs[top - 1] : 0, top > 1 ? limbs[top - 2] : 0};
    power result = {window[0] << shift, window[1] << shift};
    if (shift) {
        result.high |= window[1] >> (64 - shift);
        result.low |= window[2] >> (64 - shift);
    }
    *inexact = shift ? (window[2] << shift) != 0 : window[2] != 0;
    for (int i = 0; i < top - 2; i++)
        *inexact |= limbs[i] != 0;
    return result;
}

static power rounded_up(const uint64_t limbs[LIMBS], int always)
{
    int inexact;
    power result = leading_bits(limbs, &inexact);
    if ((inexact || always) && ++result.low == 0)
        result.high++;
    return result;
}

static void make_powers(void)
{
    uint64_t limbs[LIMBS] = {1};
    for (int k = 0; k <= MAX_POWER; k++) {
        powers[k - MIN_POWER] = rounded_up(limbs, 0);
        wide carry = 0;
        for (int i = 0; i < LIMBS; i++) {
            carry += (wide)limbs[i] * 10;
            limbs[i] = (uint64_t)carry;
            carry >>= 64;
        }
    }
    memset(limbs, 0, sizeof limbs);
    limbs[LIMBS - 1] = (uint64_t)1 << 56; /* a power of two: dividing it by ten again and again truncates to exactly floor(2^n / 10^k) */
    for (int k = 1; k <= -MIN_POWER; k++) {
        wide rest = 0;
        for (int i = LIMBS - 1; i >= 0; i--) {
            rest = rest << 64 | limbs[i];
            limbs[i] = (uint64_t)(rest / 10);
            rest %= 10;
        }
        powers[-k - MIN_POWER] = rounded_up(limbs, 1);
    }
}

/* floor(g * cp / 2^128) with the lowest bit set when anything was cut off: rounding to odd keeps every later comparison right. */
static uint64_t multiply_to_odd(power g, uint64_t cp)
{
    wide low = (wide)g.low * cp, high = (wide)g.high * cp + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

static int floor_log2_power10(int e)
{
    return (e * 1741647) >> 19;
}

typedef struct decimal {
    uint64_t digits;
    int exponent; /* value = digits * 10^exponent */
} decimal;

/* Among the decimals of the interval that rounds to the double, the shortest; of those the closest. */
static decimal shortest(uint64_t fraction, int biased)
{
    uint64_t c = biased ? fraction | (uint64_t)1 << 52 : fraction;
    int q = biased ? biased - 1075 : -1074;
    if (q <= 0 && q > -53 && (c & (((uint64_t)1 << -q) - 1)) == 0)
        return (decimal){c >> -q, 0}; /* a whole number */
    int is_even = (c & 1) == 0, lower_is_closer = fraction == 0 && biased > 1;
    uint64_t left = 4 * c - 2 + (uint64_t)lower_is_closer, middle = 4 * c, right = 4 * c + 2;
    int k = (q * 1262611 - (lower_is_closer ? 524031 : 0)) >> 22;
    int h = q + floor_log2_power10(-k) + 1;
    power g = powers[-k - MIN_POWER];
    uint64_t low = multiply_to_odd(g, left << h) + (uint64_t)!is_even, at = multiply_to_odd(g, middle << h);
    uint64_t high = multiply_to_odd(g, right << h) - (uint64_t)!is_even;
    uint64_t s = at / 4;
    if (s >= 10) {
        uint64_t tens = s / 10;
        int below_fits = low <= 40 * tens, above_fits = 40 * tens + 40 <= high;
        if (below_fits != above_fits)
            return (decimal){tens + (uint64_t)above_fits, k + 1};
    }
    int below_fits = low <= 4 * s, above_fits = 4 * s + 4 <= high;
    if (below_fits != above_fits)
        return (decimal){s + (uint64_t)above_fits, k};
    uint64_t half = 4 * s + 2;
    int up = at > half || (at == half && (s & 1));
    return (decimal){s + (uint64_t)up, k};
}

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960"
                                  "616263646566676869707172737475767778798081828384858687888990919293949596979899";

/* Digits of value, right-aligned before end; the length. */
static size_t write_digits(char *end, uint64_t value)
{
    char *p = end;
    while (value >= 100) {
        p -= 2;
        memcpy(p, digit_pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        p -= 2;
        memcpy(p, digit_pairs + value * 2, 2);
    } else {
        *--p = (char)('0' + value);
    }
    return (size_t)(end - p);
}

size_t sv_long_text(char out[SV_NUMBER_SIZE], int64_t value)
{
    char digits[SV_NUMBER_SIZE], *p = out;
    if (value < 0)
        *p++ = '-';
    size_t n = write_digits(digits + sizeof digits, value < 0 ? -(uint64_t)value : (uint64_t)value);
    memcpy(p, digits + sizeof digits - n, n);
    return (size_t)(p - out) + n;
}

/* d.ddde±xx */
static char *write_scientific(char *p, const char *digits, size_t n, int exponent10)
{
    *p++ = digits[0];
    if (n > 1) {
        *p++ = '.';
        p = mempcpy(p, digits + 1, n - 1);
    }
    *p++ = 'e';
    *p++ = exponent10 < 0 ? '-' : '+';
    unsigned e = (unsigned)(exponent10 < 0 ? -exponent10 : exponent10);
    if (e >= 100) {
        *p++ = (char)('0' + e / 100);
        e %= 100;
    }
    return mempcpy(p, digit_pairs + e * 2, 2);
}

static char *write_fixed(char *p, const char *digits, size_t n, int point)
{
    if (point <= 0) {
        p = mempcpy(p, "0.", 2);
        memset(p, '0', (size_t)-point);
        return mempcpy(p - point, digits, n);
    }
    if ((size_t)point >= n) {
        p = mempcpy(p, digits, n);
        memset(p, '0', (size_t)point - n);
        return mempcpy(p + ((size_t)point - n), ".0", 2);
    }
    p = mempcpy(p, digits, (size_t)point);
    *p++ = '.';
    return mempcpy(p, digits + point, n - (size_t)point);
}

size_t sv_double_text(char out[SV_NUMBER_SIZE], double value)
{
    pthread_once(&powers_once, make_powers);
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    char *p = out;
    if (bits >> 63)
        *p++ = '-';
    uint64_t fraction = bits & (((uint64_t)1 << 52) - 1);
    int biased = (int)(bits >> 52 & 0x7ff);
    if (fraction == 0 && biased == 0)
        return (size_t)((char *)mempcpy(p, "0.0", 3) - out);
    decimal number = shortest(fraction, biased);
    while (number.digits % 10 == 0) {
        number.digits /= 10;
        number.exponent++;
    }
    char digits[SV_NUMBER_SIZE];
    size_t n = write_digits(digits + sizeof digits, number.digits);
    const char *first = digits + sizeof digits - n;
    int point = (int)n + number.exponent; /* the decimal point stands behind so many digits */
    p = point > -4 && point <= 16 ? write_fixed(p, first, n, point) : write_scientific(p, first, n, point - 1);
    return (size_t)(p - out);
}
