#include "number.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* strtod on a copy that ends; in the C locale. */
static int parse_slowly(const char *text, size_t length, double *value)
{
    char small[64], *copy = small, *end;
    if (length >= sizeof small && !(copy = malloc(length + 1)))
        return -1;
    memcpy(copy, text, length);
    copy[length] = '\0';
    pthread_once(&c_locale_once, make_c_locale);
    *value = c_locale ? strtod_l(copy, &end, c_locale) : strtod(copy, &end);
    int wrong = end != copy + length;
    if (copy != small)
        free(copy);
    return wrong ? -1 : 0;
}

static int parse_word(const char *text, size_t length, int negative, double *value)
{
    if (length == 3 && !strncasecmp(text, "nan", 3))
        *value = NAN;
    else if ((length == 3 && !strncasecmp(text, "inf", 3)) || (length == 8 && !strncasecmp(text, "infinity", 8)))
        *value = negative ? -INFINITY : INFINITY;
    else
        return -1;
    return 0;
}

/* Clinger's fast path: up to 19 digits that fit 2^53 and a power of ten up to 10^22 are both exact doubles, so one operation rounds once.
   William D. Clinger, "How to read floating point numbers accurately", PLDI 1990. */
int sv_parse_double(const char *text, size_t length, double *value)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *p = text, *end = text + length;
    int negative = 0;
    if (p < end && (*p == '-' || *p == '+'))
        negative = *p++ == '-';
    if (p < end && (*p | 32) >= 'a')
        return parse_word(p, (size_t)(end - p), negative, value);
    uint64_t mantissa = 0;
    int digits = 0, seen = 0, exponent = 0;
    for (int fraction = 0; p < end; p++) {
        if (*p == '.' && !fraction) {
            fraction = 1;
            continue;
        }
        if (*p < '0' || *p > '9')
            break;
        seen = 1;
        if (digits >= 19) {
            digits = 20; /* more than a uint64_t holds: the slow way */
            continue;
        }
        mantissa = mantissa * 10 + (uint64_t)(*p - '0');
        digits += mantissa != 0;
        exponent -= fraction;
    }
    if (!seen)
        return -1;
    if (p < end && (*p | 32) == 'e') {
        p++;
        int down = 0, power = 0, any = 0;
        if (p < end && (*p == '-' || *p == '+'))
            down = *p++ == '-';
        for (; p < end && *p >= '0' && *p <= '9'; p++, any = 1)
            if (power < 100000)
                power = power * 10 + (*p - '0');
        if (!any)
            return -1;
        exponent += down ? -power : power;
    }
    if (p != end)
        return -1;
    if (digits > 19 || mantissa > (UINT64_C(1) << 53) || exponent < -22 || exponent > 22) {
        if (digits <= 19 && mantissa == 0) {
            *value = negative ? -0.0 : 0.0;
            return 0;
        }
        return parse_slowly(text, length, value);
    }
    double result = (double)mantissa;
    result = exponent < 0 ? result / powers[-exponent] : result * powers[exponent];
    *value = negative ? -result : result;
    return 0;
}

int sv_parse_int64(const char *text, size_t length, int64_t *value)
{
    const char *p = text, *end = text + length;
    int negative = 0;
    if (p < end && (*p == '-' || *p == '+'))
        negative = *p++ == '-';
    if (p == end)
        return -1;
    int64_t result = 0; /* kept negative: INT64_MIN has no positive twin */
    for (; p < end; p++) {
        if (*p < '0' || *p > '9')
            return -1;
        if (__builtin_mul_overflow(result, 10, &result) || __builtin_sub_overflow(result, *p - '0', &result))
            return -1;
    }
    if (!negative && result == INT64_MIN)
        return -1;
    *value = negative ? result : -result;
    return 0;
}

int sv_format_double(char out[SV_NUMBER_SIZE], double value)
{
    if (isnan(value))
        return snprintf(out, SV_NUMBER_SIZE, "NaN");
    if (isinf(value))
        return snprintf(out, SV_NUMBER_SIZE, value < 0 ? "-Infinity" : "Infinity");
    size_t length = sv_double_text(out, value);
    if (length > 2 && !memcmp(out + length - 2, ".0", 2))
        length -= 2;
    out[length] = '\0';
    return (int)length;
}
