/* split.c: one pass over the rows, quotas drawn without replacement: exact shares, no shuffling, no memory.
   Selection sampling: Fan, Muller, Rezucha 1962 (Knuth, TAOCP 2, 3.4.2, algorithm S), here with three bins or k. */
#include "split.h"
#include "alloc.h"
#include "date.h"
#include "number.h"
#include "prng.h"
#include "row_key.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES_MAX = 65536 };

const char *sv_part_name(sv_part part)
{
    static const char *const names[] = {"train", "validation", "test", "none"};
    return names[part];
}

/* The class of a row, for stratifying; 0 for all when there are no classes. */
static size_t class_of(const sv_column *target, size_t row)
{
    if (!target)
        return 0;
    switch (target->store) {
    case SV_STORE_I8:
        return (size_t)(((const int8_t *)target->data)[row] != 0);
    case SV_STORE_CODE8:
        return ((const uint8_t *)target->data)[row];
    case SV_STORE_CODE16:
        return ((const uint16_t *)target->data)[row];
    default:
        return 0;
    }
}

/* Above every class. */
static size_t count_of_classes(const sv_column *target)
{
    if (!target)
        return 1;
    return target->store == SV_STORE_I8 ? 2 : target->store == SV_STORE_CODE8 ? 256 : target->store == SV_STORE_CODE16 ? CLASSES_MAX : 1;
}

/* Takes one from the bins by chance, each in proportion to what it still wants. */
static size_t draw(sv_prng *prng, uint64_t *wanted, size_t n_bins)
{
    uint64_t total = 0;
    for (size_t b = 0; b < n_bins; b++)
        total += wanted[b];
    uint64_t at = sv_prng_below(prng, total);
    size_t bin = 0;
    while (at >= wanted[bin])
        at -= wanted[bin++];
    wanted[bin]--;
    return bin;
}

static void share_out(uint64_t wanted[3], uint64_t n, const sv_config *config)
{
    double test = config->split.test, validation = config->split.validation;
    wanted[2] = (uint64_t)llround((double)n * test);
    wanted[1] = (uint64_t)llround((double)n * validation);
    if (wanted[2] > n)
        wanted[2] = n;
    if (wanted[1] > n - wanted[2])
        wanted[1] = n - wanted[2];
    wanted[0] = n - wanted[1] - wanted[2];
}

/* Rows of each class that take part (parts[row] < limit), into counts (count_of_classes). */
static void count_classes(uint64_t *counts, const uint8_t *parts, int limit, const sv_table *table, const sv_column *target)
{
    memset(counts, 0, count_of_classes(target) * sizeof *counts);
    for (size_t row = 0; row < table->n_rows; row++)
        counts[class_of(target, row)] += parts[row] < limit;
}

/* Gives each row that takes part (parts[row] < limit) a bin of its class: out[row]. wanted: (classes, n_bins). */
static void draw_rows(uint8_t *out, uint64_t *wanted, size_t n_bins, const uint8_t *parts, int limit, uint64_t seed, const sv_table *table, const sv_column *target)
{
    sv_prng prng;
    sv_prng_seed(&prng, seed);
    for (size_t row = 0; row < table->n_rows; row++)
        if (parts[row] < limit)
            out[row] = (uint8_t)draw(&prng, wanted + class_of(target, row) * n_bins, n_bins);
}

static int split_random(uint8_t *parts, const sv_config *config, const sv_table *table, const sv_column *target, sv_error *error)
{
    size_t n_classes = count_of_classes(target);
    uint64_t *counts = sv_array(n_classes, sizeof *counts), (*wanted)[3] = sv_array(n_classes, sizeof *wanted);
    int code = counts && wanted ? 0 : sv_error_set(error, SV_E_MEMORY, "split: out of memory");
    if (!code) {
        count_classes(counts, parts, SV_PART_NONE, table, target);
        for (size_t k = 0; k < n_classes; k++)
            share_out(wanted[k], counts[k], config);
        draw_rows(parts, &wanted[0][0], 3, parts, SV_PART_NONE, (uint64_t)config->split.seed, table, target);
    }
    sv_free(counts);
    sv_free(wanted);
    return code;
}

static int find_column(const sv_column **out, const sv_config *config, const char *key, const char *name, const sv_table *table, sv_error *error)
{
    int at = sv_table_find(table, name);
    *out = at < 0 ? NULL : &table->columns[at];
    return at < 0 ? sv_config_fail(error, config, key, "no column '%s'", name) : 0;
}

/* ---- by hash: a row's side depends on its key and the seed alone ---- */

static double unit(uint64_t hash)
{
    return (double)(hash >> 11) * 0x1p-53;
}

static int split_hash(uint8_t *parts, const sv_config *config, const sv_table *table, sv_error *error)
{
    const sv_column *key;
    int code = find_column(&key, config, "split.key", config->split.key, table, error);
    for (size_t row = 0; row < table->n_rows && !code; row++) {
        double at = unit(sv_row_key(key, row, (uint64_t)config->split.seed));
        if (parts[row] != SV_PART_NONE)
            parts[row] = at < config->split.train ? SV_PART_TRAIN : at < config->split.train + config->split.validation ? SV_PART_VALIDATION : SV_PART_TEST;
    }
    return code;
}

/* ---- by group: whole groups are drawn, each counting one ---- */

typedef struct group_row {
    uint64_t key;
    uint32_t row;
} group_row;

static int by_key(const void *a, const void *b)
{
    const group_row *x = a, *y = b;
    return x->key != y->key ? (x->key < y->key ? -1 : 1) : (x->row > y->row) - (x->row < y->row);
}

/* Rows that take part, sorted by key; *n of them. Keys are the same on every machine, so the order of the groups is too. */
static group_row *sort_rows(size_t *n, const uint8_t *parts, int limit, const sv_column *column, uint64_t seed, size_t n_rows)
{
    group_row *rows = n_rows < UINT32_MAX ? sv_array(n_rows + 1, sizeof *rows) : NULL;
    *n = 0;
    for (size_t row = 0; rows && row < n_rows; row++)
        if (parts[row] < limit)
            rows[(*n)++] = (group_row){sv_row_key(column, row, seed), (uint32_t)row};
    if (rows)
        qsort(rows, *n, sizeof *rows, by_key);
    return rows;
}

static int draw_groups(uint8_t *out, uint64_t *wanted, size_t n_bins, const uint8_t *parts, int limit, const sv_config *config, const sv_table *table, sv_error *error)
{
    const sv_column *column;
    sv_prng prng;
    size_t n;
    int code = find_column(&column, config, "split.group", config->split.group, table, error);
    if (code)
        return code;
    group_row *rows = sort_rows(&n, parts, limit, column, (uint64_t)config->split.seed, table->n_rows);
    if (!rows)
        return sv_error_set(error, SV_E_MEMORY, "split: out of memory");
    uint64_t n_groups = 0;
    for (size_t i = 0; i < n; i++)
        n_groups += !i || rows[i].key != rows[i - 1].key;
    if (n_bins == 3)
        share_out(wanted, n_groups, config);
    for (size_t b = 0; b < n_bins && n_bins != 3; b++)
        wanted[b] = n_groups / n_bins + (b < n_groups % n_bins);
    sv_prng_seed(&prng, (uint64_t)config->split.seed);
    size_t bin = 0;
    for (size_t i = 0; i < n; i++) {
        if (!i || rows[i].key != rows[i - 1].key)
            bin = draw(&prng, wanted, n_bins);
        out[rows[i].row] = (uint8_t)bin;
    }
    sv_free(rows);
    return 0;
}

/* ---- by time ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The moment that a text in the configuration names, as the column counts. */
static int parse_moment(double *moment, const sv_config *config, const char *key, const char *text, const sv_column *column, sv_error *error)
{
    if (column->type == SV_DATE ? sv_date_parse(text, strlen(text), moment) : sv_parse_double(text, strlen(text), moment))
        return sv_config_fail(error, config, key, "expected %s, got '%.60s'", column->type == SV_DATE ? "a date (YYYY-MM-DD)" : "a number", text);
    return 0;
}

/* Where validation and test begin: as configured, or the moments at which the shares are reached. sorted: the moments of all rows, ascending. */
static int find_cuts(double cuts[2], const sv_config *config, const sv_column *column, const double *sorted, size_t n, sv_error *error)
{
    const char *given[2] = {config->split.validation_from, config->split.test_from};
    static const char *const keys[2] = {"split.validation_from", "split.test_from"};
    double shares[2] = {config->split.train, config->split.train + config->split.validation};
    for (int i = 0; i < 2; i++) {
        int code = given[i] ? parse_moment(&cuts[i], config, keys[i], given[i], column, error) : 0;
        if (code)
            return code;
        size_t at = (size_t)llround(shares[i] * (double)n);
        if (!given[i])
            cuts[i] = at < n ? sorted[at] : INFINITY;
    }
    if (given[1] && !given[0]) /* no validation unless asked for */
        cuts[0] = cuts[1];
    if (given[0] && !given[1])
        cuts[1] = INFINITY;
    return cuts[0] > cuts[1] ? sv_config_fail(error, config, keys[1], "must not be before split.validation_from") : 0;
}

/* Every row's moment, (n_rows): a number or a date. The order of a text's bytes is no order in time. */
static int moments(double **out, const sv_config *config, const sv_column **column, const uint8_t *parts, const sv_table *table, sv_error *error)
{
    int code = find_column(column, config, "split.time", config->split.time, table, error);
    *out = NULL;
    if (code)
        return code;
    if ((*column)->type == SV_STRING) {
        sv_config_fail(error, config, "split.time", "expected a column of dates or numbers, '%s' holds text", (*column)->name);
        sv_error_hint(error, "`columns: {%s: date}` reads it as a date, in data.date_format", (*column)->name);
        return SV_E_CONFIG;
    }
    if ((code = sv_row_moments(out, *column, table->n_rows)))
        return sv_error_set(error, code, "split: out of memory");
    for (size_t row = 0; row < table->n_rows; row++)
        if (parts[row] != SV_PART_NONE && isnan((*out)[row])) {
            sv_free(*out);
            *out = NULL;
            return sv_error_set(error, SV_E_INPUT, "split: row %zu: expected a time in column '%s', got nothing", row + 1, (*column)->name);
        }
    return 0;
}

static double *sort_moments(size_t *n, const double *at, const uint8_t *parts, int limit, size_t n_rows)
{
    double *sorted = sv_array(n_rows + 1, sizeof *sorted);
    *n = 0;
    for (size_t row = 0; sorted && row < n_rows; row++)
        if (parts[row] < limit)
            sorted[(*n)++] = at[row];
    if (sorted)
        qsort(sorted, *n, sizeof *sorted, ascending);
    return sorted;
}

static int split_time(uint8_t *parts, const sv_config *config, const sv_table *table, sv_error *error)
{
    const sv_column *column;
    double *at, *sorted, cuts[2];
    size_t n;
    int code = moments(&at, config, &column, parts, table, error);
    if (code)
        return code;
    if (!(sorted = sort_moments(&n, at, parts, SV_PART_NONE, table->n_rows)))
        code = sv_error_set(error, SV_E_MEMORY, "split: out of memory");
    else
        code = find_cuts(cuts, config, column, sorted, n, error);
    for (size_t row = 0; row < table->n_rows && !code; row++)
        if (parts[row] != SV_PART_NONE)
            parts[row] = at[row] >= cuts[1] ? SV_PART_TEST : at[row] >= cuts[0] ? SV_PART_VALIDATION : SV_PART_TRAIN;
    sv_free(at);
    sv_free(sorted);
    return code;
}

/* ---- the whole ---- */

static int check_counts(const size_t counts[SV_PARTS], const sv_config *config, const sv_table *table, sv_error *error)
{
    double shares[3] = {config->split.train, config->split.validation, config->split.test};
    for (int part = 0; part < 3; part++) {
        if (counts[part] || (part && !(shares[part] > 0)))
            continue;
        if (config->split.method == SV_SPLIT_TIME && part == SV_PART_VALIDATION)
            continue; /* few moments may leave no room between */
        sv_error_set(error, SV_E_INPUT, "split: expected rows for %s, got none: %zu rows, of which %zu have a target", sv_part_name((sv_part)part), table->n_rows,
                     table->n_rows - counts[SV_PART_NONE]);
        sv_error_hint(error, "more rows, or other shares in `split:`");
        return SV_E_INPUT;
    }
    return 0;
}

int sv_split(uint8_t *parts, size_t counts[SV_PARTS], const sv_config *config, const sv_table *table, const sv_column *target, sv_error *error)
{
    uint64_t wanted[3];
    int code = 0;
    switch (config->split.method) {
    case SV_SPLIT_RANDOM:
        code = split_random(parts, config, table, config->split.stratify ? target : NULL, error);
        break;
    case SV_SPLIT_TIME:
        code = split_time(parts, config, table, error);
        break;
    case SV_SPLIT_GROUP:
        code = draw_groups(parts, wanted, 3, parts, SV_PART_NONE, config, table, error);
        break;
    case SV_SPLIT_HASH:
        code = split_hash(parts, config, table, error);
        break;
    }
    memset(counts, 0, SV_PARTS * sizeof *counts);
    for (size_t row = 0; row < table->n_rows && !code; row++)
        counts[parts[row]]++;
    return code ? code : check_counts(counts, config, table, error);
}

/* ---- folds ---- */

static int folds_random(uint8_t *folds, size_t n_folds, const uint8_t *parts, const sv_config *config, const sv_table *table, const sv_column *target, sv_error *error)
{
    size_t n_classes = count_of_classes(target);
    uint64_t *counts = sv_array(n_classes, sizeof *counts), *wanted = sv_array(n_classes * n_folds, sizeof *wanted);
    int code = counts && wanted ? 0 : sv_error_set(error, SV_E_MEMORY, "folds: out of memory");
    if (!code) {
        count_classes(counts, parts, SV_PART_TEST, table, target);
        for (size_t k = 0; k < n_classes; k++)
            for (size_t f = 0; f < n_folds; f++)
                wanted[k * n_folds + f] = counts[k] / n_folds + ((f + k) % n_folds < counts[k] % n_folds);
        draw_rows(folds, wanted, n_folds, parts, SV_PART_TEST, (uint64_t)config->split.seed, table, target);
    }
    sv_free(counts);
    sv_free(wanted);
    return code;
}

/* Blocks of time, the oldest first. */
static int folds_time(uint8_t *folds, size_t n_folds, const uint8_t *parts, const sv_config *config, const sv_table *table, sv_error *error)
{
    const sv_column *column;
    double *at, *sorted;
    size_t n;
    int code = moments(&at, config, &column, parts, table, error);
    if (code)
        return code;
    sorted = sort_moments(&n, at, parts, SV_PART_TEST, table->n_rows);
    for (size_t row = 0; row < table->n_rows && sorted; row++) {
        if (parts[row] >= SV_PART_TEST)
            continue;
        size_t fold = 0;
        while (fold + 1 < n_folds && at[row] >= sorted[(fold + 1) * n / n_folds])
            fold++;
        folds[row] = (uint8_t)fold;
    }
    sv_free(at);
    sv_free(sorted);
    return sorted ? 0 : sv_error_set(error, SV_E_MEMORY, "folds: out of memory");
}

int sv_split_folds(uint8_t *folds, int n_folds, const uint8_t *parts, const sv_config *config, const sv_table *table, const sv_column *target, sv_error *error)
{
    uint64_t wanted[256];
    const sv_column *key;
    int code;
    memset(folds, 255, table->n_rows);
    switch (config->split.method) {
    case SV_SPLIT_TIME:
        return folds_time(folds, (size_t)n_folds, parts, config, table, error);
    case SV_SPLIT_GROUP:
        return draw_groups(folds, wanted, (size_t)n_folds, parts, SV_PART_TEST, config, table, error);
    case SV_SPLIT_HASH:
        code = find_column(&key, config, "split.key", config->split.key, table, error);
        for (size_t row = 0; row < table->n_rows && !code; row++)
            if (parts[row] < SV_PART_TEST)
                folds[row] = (uint8_t)(sv_mix64(sv_row_key(key, row, (uint64_t)config->split.seed)) % (uint64_t)n_folds);
        return code;
    default:
        return folds_random(folds, (size_t)n_folds, parts, config, table, config->split.stratify ? target : NULL, error);
    }
}
