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

static const struct {
    double value;
    const char *text; /* as Python's repr */
} numbers[] = {
    {1, "1.0"},          {0.1, "0.1"},        {1e-5, "1e-05"},         {1e-4, "0.0001"},      {1e16, "1e+16"},
    {1e15, "1000000000000000.0"}, {123456789012345680.0, "1.2345678901234568e+17"}, {5e-324, "5e-324"}, {1.7976931348623157e308, "1.7976931348623157e+308"},
    {-0.0, "-0.0"},      {0.016166835963887273, "0.016166835963887273"}, {1.0 / 3, "0.3333333333333333"}, {2.2250738585072014e-308, "2.2250738585072014e-308"},
    {9007199254740993.0, "9007199254740992.0"}, {5.684341886080802e-14, "5.684341886080802e-14"}, {1e22, "1e+22"}, {1e23, "1e+23"},
};

Test(number, doubles_are_laid_out_as_in_python)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char out[SV_NUMBER_SIZE + 1];
        out[sv_double_text(out, numbers[i].value)] = 0;
        cr_expect_str_eq(out, numbers[i].text, "got %s", out);
    }
}

static int significant(const char *text)
{
    char digits[64];
    int n = 0;
    for (; *text && *text != 'e'; text++)
        if (*text >= '0' && *text <= '9' && (n || *text != '0'))
            digits[n++] = *text;
    while (n && digits[n - 1] == '0')
        n--;
    return n;
}

Test(number, doubles_read_back_and_are_never_longer_than_needed)
{
    sv_prng prng;
    sv_prng_seed(&prng, 11);
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = sv_prng_next(&prng);
        double value = i % 2 ? (double)(bits >> 11) * 0x1p-53 : i % 3 ? ldexp(1, (int)(bits % 2098) - 1074) : 0;
        if (value == 0)
            memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        char out[SV_NUMBER_SIZE + 1], other[64];
        out[sv_double_text(out, value)] = 0;
        cr_assert_eq(strtod(out, NULL), value, "%s", out);
        int digits = 1;
        do
            snprintf(other, sizeof other, "%.*e", digits - 1, value);
        while (strtod(other, NULL) != value && ++digits);
        cr_assert_leq(significant(out), digits, "%s against %s", out, other);
    }
}
