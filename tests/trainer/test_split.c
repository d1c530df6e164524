#include "alloc.h"
#include "config.h"
#include "csv_read.h"
#include "split.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 1000 };

/* a: 0 … 999; g: a / 10; t: a number by time, oldest last; s: the same as text; y: 1 in every fifth row. */
static sv_table make_table(void)
{
    static char text[ROWS * 40];
    size_t at = (size_t)sprintf(text, "a,g,t,y,s\n");
    for (int i = 0; i < ROWS; i++)
        at += (size_t)sprintf(text + at, "%d,group%d,%04d,%d,%04d\n", i, i / 10, 9999 - i, i % 5 == 0, 9999 - i);
    sv_source source;
    sv_table table;
    sv_csv_options options = SV_CSV_OPTIONS_INIT;
    sv_entry s = {"s", "string", 0, 0};
    sv_entries columns = {1, &s};
    options.columns = &columns;
    sv_source_from_memory(&source, "t.csv", text, at, NULL);
    cr_assert_eq(sv_csv_read(&table, NULL, &source, 1, &options, NULL, NULL), 0);
    sv_source_close(&source);
    return table;
}

static sv_config *parse(const char *split)
{
    char text[400];
    sv_config *config;
    sv_error error = SV_ERROR_INIT;
    snprintf(text, sizeof text, "data: {source: x}\ntarget: {column: y}\nsplit: {%s}\n", split);
    cr_assert_eq(sv_config_parse(&config, "c.yaml", text, strlen(text), NULL, &error), 0, "%s", error.message);
    return config;
}

static void split(uint8_t *parts, size_t *counts, const char *how, const sv_table *table)
{
    sv_config *config = parse(how);
    sv_error error = SV_ERROR_INIT;
    memset(parts, 0, ROWS);
    cr_assert_eq(sv_split(parts, counts, config, table, &table->columns[3], &error), 0, "%s", error.message);
    sv_config_free(config);
}

Test(split, random_shares_are_exact_in_each_class_and_the_seed_decides)
{
    sv_table table = make_table();
    uint8_t parts[ROWS], again[ROWS];
    size_t counts[SV_PARTS], by_class[2][SV_PARTS] = {{0}};
    split(parts, counts, "seed: 7", &table);
    cr_expect(counts[0] == 700 && counts[1] == 100 && counts[2] == 200);
    for (int i = 0; i < ROWS; i++)
        by_class[i % 5 == 0][parts[i]]++;
    cr_expect(by_class[1][0] == 140 && by_class[1][1] == 20 && by_class[1][2] == 40);
    split(again, counts, "seed: 7", &table);
    cr_expect_eq(memcmp(parts, again, ROWS), 0);
    split(again, counts, "seed: 8", &table);
    cr_expect_neq(memcmp(parts, again, ROWS), 0);
    /* the same on every machine: these rows were drawn on the first one */
    split(parts, counts, "seed: 42", &table);
    uint64_t sum = 0;
    for (int i = 0; i < ROWS; i++)
        sum = sum * 31 + parts[i];
    cr_expect_eq(sum, UINT64_C(11626294498391839788), "%llu", (unsigned long long)sum);
    sv_table_free(&table);
}

Test(split, groups_and_moments_stay_together)
{
    sv_table table = make_table();
    uint8_t parts[ROWS];
    size_t counts[SV_PARTS];
    split(parts, counts, "group: g", &table);
    cr_expect(counts[0] == 700 && counts[1] == 100 && counts[2] == 200);
    for (int i = 0; i < ROWS; i++)
        cr_expect_eq(parts[i], parts[i / 10 * 10]);
    split(parts, counts, "time: t", &table);
    for (int i = 0; i < ROWS; i++) /* t falls as the rows go on: the first rows are the newest */
        cr_expect_eq(parts[i], i < 200 ? SV_PART_TEST : i < 300 ? SV_PART_VALIDATION : SV_PART_TRAIN, "%d", i);
    split(parts, counts, "time: a, test_from: 900", &table);
    cr_expect(counts[0] == 900 && counts[1] == 0 && counts[2] == 100);
    split(parts, counts, "time: a, validation_from: 800, test_from: 900", &table);
    cr_expect(counts[0] == 800 && counts[1] == 100 && counts[2] == 100);
    sv_table_free(&table);
}

Test(split, texts_have_no_order_in_time)
{
    sv_table table = make_table();
    uint8_t parts[ROWS] = {0};
    size_t counts[SV_PARTS];
    sv_error error = SV_ERROR_INIT;
    sv_config *config = parse("time: s");
    cr_expect_eq(sv_split(parts, counts, config, &table, &table.columns[3], &error), SV_E_CONFIG);
    cr_expect_str_eq(error.message, "c.yaml:3:15: in 'split.time': expected a column of dates or numbers, 's' holds text");
    cr_expect(strstr(error.hint, "columns: {s: date}") != NULL);
    sv_config_free(config);
    sv_table_free(&table);
}

Test(split, by_key_a_row_keeps_its_side_when_rows_are_added)
{
    sv_table table = make_table();
    uint8_t all[ROWS], fewer[ROWS];
    size_t counts[SV_PARTS];
    split(all, counts, "key: g", &table);
    cr_expect(counts[0] > 550 && counts[0] < 850 && counts[2] > 80);
    table.n_rows = 500;
    split(fewer, counts, "key: g", &table);
    cr_expect_eq(memcmp(all, fewer, 500), 0);
    table.n_rows = ROWS;
    sv_table_free(&table);
}

Test(split, folds_are_even_stratified_and_leave_test_out)
{
    sv_table table = make_table();
    uint8_t parts[ROWS], folds[ROWS];
    size_t counts[SV_PARTS], sizes[256] = {0}, positives[256] = {0};
    split(parts, counts, "seed: 1", &table);
    sv_config *config = parse("seed: 1");
    cr_assert_eq(sv_split_folds(folds, 5, parts, config, &table, &table.columns[3], NULL), 0);
    for (int i = 0; i < ROWS; i++) {
        sizes[folds[i]]++;
        positives[folds[i]] += i % 5 == 0;
        cr_expect_eq(folds[i] == 255, parts[i] == SV_PART_TEST);
    }
    for (int f = 0; f < 5; f++)
        cr_expect(sizes[f] == 160 && positives[f] == 32, "%d: %zu %zu", f, sizes[f], positives[f]);
    sv_config_free(config);
    config = parse("time: a");
    cr_assert_eq(sv_split_folds(folds, 4, parts, config, &table, &table.columns[3], NULL), 0);
    for (int i = 1, last = 0; i < ROWS; i++) {
        if (folds[i] == 255)
            continue;
        cr_expect(folds[i] >= last);
        last = folds[i];
    }
    sv_config_free(config);
    sv_table_free(&table);
}

Test(split, what_cannot_be_split_is_said)
{
    sv_table table = make_table();
    uint8_t parts[ROWS] = {0};
    size_t counts[SV_PARTS];
    sv_error error = SV_ERROR_INIT;
    table.n_rows = 1;
    sv_config *config = parse("seed: 1");
    cr_assert_eq(sv_split(parts, counts, config, &table, &table.columns[3], &error), SV_E_INPUT);
    cr_expect(strstr(error.message, "split: expected rows for"), "%s", error.message);
    sv_config_free(config);
    sv_error_clear(&error);
    config = parse("group: h");
    cr_assert_eq(sv_split(parts, counts, config, &table, &table.columns[3], &error), SV_E_CONFIG);
    cr_expect_str_eq(error.message, "c.yaml:3:16: in 'split.group': no column 'h'");
    sv_config_free(config);
    table.n_rows = ROWS;
    sv_table_free(&table);
}
