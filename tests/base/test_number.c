#include "number.h"
#include "prng.h"

#include <criterion/criterion.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

Test(number, random_doubles_survive_text)
{
    sv_prng prng;
    sv_prng_seed(&prng, 1);
    for (int i = 0; i < 200000; i++) {
        union { uint64_t bits; double value; } x = {.bits = sv_prng_next(&prng)}, y;
        if (!isfinite(x.value))
            continue;
        char text[SV_NUMBER_SIZE];
        int length = sv_format_double(text, x.value);
        cr_assert_eq(sv_parse_double(text, (size_t)length, &y.value), 0);
        cr_assert_eq(x.bits, y.bits, "%s", text);
    }
}

Test(number, agrees_with_strtod_on_decimal_text)
{
    sv_prng prng;
    sv_prng_seed(&prng, 2);
    for (int i = 0; i < 200000; i++) {
        char text[64];
        int length = snprintf(text, sizeof text, "%s%llu.%lluE%d", i % 2 ? "-" : "", (unsigned long long)sv_prng_below(&prng, 1000000000),
                              (unsigned long long)sv_prng_below(&prng, 100000000), (int)sv_prng_below(&prng, 80) - 40);
        double mine, theirs = strtod(text, NULL);
        cr_assert_eq(sv_parse_double(text, (size_t)length, &mine), 0);
        cr_assert_eq(mine, theirs, "%s", text);
    }
}

Test(number, what_is_not_a_number)
{
    static const char *const wrong[] = {"", "-", ".", "e5", "1e", "1e+", " 1", "1 ", "0x10", "1_000", "1,5", "--1", "nano", "infi", "1.2.3"};
    double value;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect_eq(sv_parse_double(wrong[i], strlen(wrong[i]), &value), -1, "%s", wrong[i]);
    cr_assert_eq(sv_parse_double("-inf", 4, &value), 0);
    cr_assert(value < 0 && isinf(value));
    cr_assert_eq(sv_parse_double("-0", 2, &value), 0);
    cr_assert(signbit(value));
    cr_assert_eq(sv_parse_double("1e999999999999", 14, &value), 0);
    cr_assert(isinf(value));
}

Test(number, the_locale_does_not_matter)
{
    if (!setlocale(LC_ALL, "de_DE.UTF-8"))
        setlocale(LC_ALL, "C.UTF-8");
    char text[SV_NUMBER_SIZE];
    sv_format_double(text, 0.5);
    cr_assert_str_eq(text, "0.5");
    double value;
    cr_assert_eq(sv_parse_double("0.1234567890123456789012345", 27, &value), 0);
    cr_assert_eq(value, 0.1234567890123456789012345);
}

Test(number, integers_and_their_ends)
{
    int64_t value;
    cr_assert_eq(sv_parse_int64("-9223372036854775808", 20, &value), 0);
    cr_assert_eq(value, INT64_MIN);
    cr_assert_eq(sv_parse_int64("9223372036854775807", 19, &value), 0);
    cr_assert_eq(value, INT64_MAX);
    cr_assert_eq(sv_parse_int64("9223372036854775808", 19, &value), -1);
    cr_assert_eq(sv_parse_int64("1.0", 3, &value), -1);
    cr_assert_eq(sv_parse_int64("+", 1, &value), -1);
}
