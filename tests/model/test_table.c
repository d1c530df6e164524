#include "alloc.h"
#include "table.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(levels, codes_are_positions_and_survive_growth)
{
    sv_levels *levels;
    cr_assert_eq(sv_levels_new(&levels), 0);
    char text[32];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 10000; i++) {
            int length = snprintf(text, sizeof text, "level %d", i * 7919);
            cr_assert_eq(sv_levels_add(levels, text, (size_t)length), i);
        }
    cr_assert_eq(sv_levels_count(levels), 10000u);
    size_t length;
    cr_assert_str_eq(sv_levels_text(levels, 3, &length), "level 23757");
    cr_assert_eq(length, 11u);
    cr_assert_eq(sv_levels_find(levels, "level 1", 7), -1);
    sv_levels_free(levels);
}

Test(levels, bytes_decide_not_strings)
{
    sv_levels *levels;
    cr_assert_eq(sv_levels_new(&levels), 0);
    cr_assert_eq(sv_levels_add(levels, "", 0), 0, "the missing text is an ordinary level");
    cr_assert_eq(sv_levels_add(levels, "a\0b", 3), 1);
    cr_assert_eq(sv_levels_add(levels, "a", 1), 2);
    cr_assert_eq(sv_levels_add(levels, "a\0", 2), 3);
    cr_assert_eq(sv_levels_find(levels, "a\0b", 3), 1);
    cr_assert_eq(sv_levels_find(levels, "A", 1), -1);
    sv_levels_free(levels);
}

Test(levels, finding_allocates_nothing)
{
    sv_levels *levels;
    cr_assert_eq(sv_levels_new(&levels), 0);
    sv_levels_add(levels, "yes", 3);
    unsigned long before = sv_alloc_count();
    for (int i = 0; i < 100; i++)
        cr_assert_eq(sv_levels_find(levels, i % 2 ? "yes" : "no", i % 2 ? 3 : 2), i % 2 ? 0 : -1);
    cr_assert_eq(sv_alloc_count(), before);
    sv_levels_free(levels);
}

Test(levels, a_failed_allocation_leaves_them_whole)
{
    for (long k = 0; k < 12; k++) {
        sv_levels *levels, *copy = NULL;
        cr_assert_eq(sv_levels_new(&levels), 0);
        sv_alloc_fail_after(k, 1);
        char text[32];
        int32_t count = 0;
        for (int i = 0; i < 200; i++) {
            int32_t code = sv_levels_add(levels, text, (size_t)snprintf(text, sizeof text, "text number %d", i));
            count += code >= 0;
            cr_assert(code >= 0 || code == SV_E_MEMORY);
        }
        sv_alloc_fail_after(k, 1);
        int status = sv_levels_copy(&copy, levels);
        sv_alloc_fail_after(-1, 0);
        cr_assert(status ? !copy && status == SV_E_MEMORY : sv_levels_count(copy) == sv_levels_count(levels));
        cr_assert_eq(sv_levels_count(levels), (size_t)count);
        for (int32_t i = 0; i < count; i++) {
            size_t length;
            const char *held = sv_levels_text(levels, (size_t)i, &length);
            cr_assert_eq(sv_levels_find(levels, held, length), i);
        }
        sv_levels_free(copy);
        sv_levels_free(levels);
    }
}

Test(table, every_store_widens_exactly)
{
    int8_t i8[] = {-128, 127, 3};
    int16_t i16[] = {-32768, 32767, 3};
    int32_t i32[] = {INT32_MIN, INT32_MAX, 3};
    int64_t i64[] = {-9007199254740992, 9007199254740992, 3};
    double f64[] = {-0.5, 1e300, 3};
    uint8_t c8[] = {0, 255, 3};
    uint16_t c16[] = {0, 65535, 3};
    uint32_t c32[] = {0, 70000, 3};
    struct { sv_store store; void *data; double low, high; } numbers[] = {
        {SV_STORE_I8, i8, -128, 127}, {SV_STORE_I16, i16, -32768, 32767}, {SV_STORE_I32, i32, INT32_MIN, INT32_MAX},
        {SV_STORE_I64, i64, -9007199254740992, 9007199254740992}, {SV_STORE_F64, f64, -0.5, 1e300}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        double out[2];
        sv_column column = {.store = numbers[i].store, .data = numbers[i].data};
        sv_column_widen(&column, 0, 2, out);
        cr_assert(out[0] == numbers[i].low && out[1] == numbers[i].high);
        sv_column_widen(&column, 2, 1, out);
        cr_assert_eq(out[0], 3);
    }
    struct { sv_store store; void *data; int32_t high; } codes[] = {{SV_STORE_CODE8, c8, 255}, {SV_STORE_CODE16, c16, 65535}, {SV_STORE_CODE32, c32, 70000}};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        int32_t out[3];
        sv_column column = {.store = codes[i].store, .data = codes[i].data};
        sv_column_widen(&column, 0, 3, out);
        cr_assert(out[0] == 0 && out[1] == codes[i].high && out[2] == 3);
    }
}

Test(table, types_have_names)
{
    sv_type type;
    for (int i = SV_LONG; i <= SV_DATE; i++) {
        cr_assert_eq(sv_type_from_name(&type, sv_type_name((sv_type)i)), 0);
        cr_assert_eq((int)type, i);
    }
    cr_assert_eq(sv_type_from_name(&type, "float"), -1);
}
