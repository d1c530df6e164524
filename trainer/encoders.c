/* encoders.c: one term for each value, by config.encode and its exceptions in encode.columns. */
#include "encoders.h"

#include "alloc.h"
#include "design.h"
#include "figures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- statistics ---- */

/* Calls f for each training row's value in order; the rows' mask and NaN are dealt with here. */
typedef struct cursor {
    const void *data;
    sv_store store;
    const uint8_t *parts;
    uint8_t part;
    size_t n_rows, first, n, at;
    double block[512];
} cursor;

static int next_value(cursor *c, double *value)
{
    for (;; c->at++) {
        if (c->at == c->n) {
            c->first += c->n;
            c->n = c->n_rows - c->first < 512 ? c->n_rows - c->first : 512;
            c->at = 0;
            if (c->n == 0) return 0;
            sv_design_widen(c->block, c->data, c->store, c->first, c->n);
        }
        if (c->parts && c->parts[c->first + c->at] != c->part) continue;
        *value = c->block[c->at++];
        return 1;
    }
}

/* Linear between neighbours, as numpy's default. */
static double quantile(const double *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t low = (size_t)at;
    return low + 1 < n ? sorted[low] + (at - (double)low) * (sorted[low + 1] - sorted[low]) : sorted[n - 1];
}

static int measure_order(sv_number_statistics *s, double *values, size_t n)
{
    if (sv_sort(values, n)) return SV_E_MEMORY;
    s->median = quantile(values, n, 0.5);
    s->quartile_low = quantile(values, n, 0.25);
    s->quartile_high = quantile(values, n, 0.75);
    size_t best = 0;
    for (size_t i = 0, run = 0; i < n; i++) {
        run = i > 0 && values[i] == values[i - 1] ? run + 1 : 1;
        if (run > best) {
            best = run;
            s->most_frequent = values[i];
        }
    }
    return 0;
}

/* ---- columns of whole numbers: how often each occurs says everything ---- */

enum { COUNTS_MAX = 1 << 18, COPIES_MAX = 1 << 12 }; /* different numbers that are counted: 1 MB; up to 4096 of them in four tables, whose increments do not wait for each other */

#define RANGE_OF(type)                                                                                                                       \
    {                                                                                                                                        \
        const type *restrict v = data;                                                                                                       \
        type low = v[0], high = v[0];                                                                                                        \
        for (size_t i = 1; i < n; i++) {                                                                                                     \
            low = v[i] < low ? v[i] : low;                                                                                                   \
            high = v[i] > high ? v[i] : high;                                                                                                \
        }                                                                                                                                    \
        range[0] = low;                                                                                                                      \
        range[1] = high;                                                                                                                     \
        return;                                                                                                                              \
    }

/* Least and greatest number of n > 0 rows. */
static void find_range(int64_t range[2], const void *data, sv_store store, size_t n)
{
    if (store == SV_STORE_I8) RANGE_OF(int8_t)
    if (store == SV_STORE_I16) RANGE_OF(int16_t)
    RANGE_OF(int32_t)
}

/* Without a branch on the part, which nobody can predict. */
#define COUNT(type)                                                                                                                          \
    for (size_t i = 0; i < n; i++)                                                                                                           \
        tables[(i & spread) * size + (size_t)(((const type *)data)[i] - least)] += !parts || parts[i] == part

/* How often each number of [least, least + size) occurs in the part; all rows' numbers lie there. The caller's, sv_free; NULL: out of memory. */
static uint32_t *count_numbers(const void *data, sv_store store, int64_t least, size_t size, const uint8_t *parts, uint8_t part, size_t n)
{
    size_t spread = size <= COPIES_MAX ? 3 : 0;
    uint32_t *tables = sv_calloc((spread + 1) * size, sizeof *tables);
    if (!tables) return NULL;
    switch (store) {
    case SV_STORE_I8: COUNT(int8_t); break;
    case SV_STORE_I16: COUNT(int16_t); break;
    case SV_STORE_CODE8: COUNT(uint8_t); break;
    case SV_STORE_CODE16: COUNT(uint16_t); break;
    case SV_STORE_CODE32: /* a derived text that the levels do not hold is -1 */
        for (size_t i = 0; i < n; i++)
            if ((!parts || parts[i] == part) && ((const uint32_t *)data)[i] < size) tables[((const uint32_t *)data)[i]]++;
        break;
    default: COUNT(int32_t); break;
    }
    for (size_t t = 1; t <= spread; t++)
        for (size_t i = 0; i < size; i++)
            tables[i] += tables[t * size + i];
    return tables;
}

static double value_at(const uint32_t *counts, double least, size_t rank)
{
    size_t i = 0;
    for (size_t before = 0; before + counts[i] <= rank; i++)
        before += counts[i];
    return least + (double)i;
}

static double counted_quantile(const uint32_t *counts, double least, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t low = (size_t)at;
    double left = value_at(counts, least, low);
    return low + 1 < n ? left + (at - (double)low) * (value_at(counts, least, low + 1) - left) : left;
}

/* Sums of whole numbers below 2^53 are exact in whatever order. */
static int measure_counts(sv_number_statistics *s, const void *data, sv_store store, const int64_t range[2], const uint8_t *parts, uint8_t part, size_t n)
{
    size_t size = (size_t)(range[1] - range[0]) + 1, best = 0, first = size, last = 0;
    uint32_t *counts = count_numbers(data, store, range[0], size, parts, part, n);
    double squares = 0;
    int64_t sum = 0;
    if (!counts) return SV_E_MEMORY;
    for (size_t i = 0; i < size; i++) {
        if (!counts[i]) continue;
        first = first == size ? i : first;
        last = i;
        s->n_present += counts[i];
        sum += (int64_t)counts[i] * (range[0] + (int64_t)i);
        if (counts[i] > counts[best]) best = i;
    }
    if (s->n_present) {
        double least = (double)range[0];
        s->min = least + (double)first;
        s->max = least + (double)last;
        s->mean = (double)sum / (double)s->n_present;
        for (size_t i = first; i <= last; i++)
            squares += counts[i] * ((least + (double)i - s->mean) * (least + (double)i - s->mean));
        s->deviation = sqrt(squares / (double)s->n_present);
        s->median = counted_quantile(counts, least, s->n_present, 0.5);
        s->quartile_low = counted_quantile(counts, least, s->n_present, 0.25);
        s->quartile_high = counted_quantile(counts, least, s->n_present, 0.75);
        s->most_frequent = least + (double)best;
    }
    sv_free(counts);
    return 0;
}

/* Present values of the part, collected. *out: (n), sv_free. */
static int collect(double **out, size_t *n, const void *data, sv_store store, size_t n_rows, const uint8_t *parts, uint8_t part, sv_error *error)
{
    cursor c = {.data = data, .store = store, .parts = parts, .part = part, .n_rows = n_rows};
    double value;
    *n = 0;
    *out = sv_array(n_rows ? n_rows : 1, sizeof **out);
    if (!*out) return sv_error_set(error, SV_E_MEMORY, "encode: out of memory for %zu rows", n_rows);
    while (next_value(&c, &value))
        if (!isnan(value)) (*out)[(*n)++] = value;
    return 0;
}

int sv_number_statistics_measure(sv_number_statistics *out, const void *data, sv_store store, size_t n_rows, const uint8_t *parts, uint8_t part, int sorted, sv_error *error)
{
    cursor c = {.data = data, .store = store, .parts = parts, .part = part, .n_rows = n_rows};
    double value, sum = 0, squares = 0, correction = 0;
    int64_t range[2];
    *out = (sv_number_statistics){.min = INFINITY, .max = -INFINITY, .median = NAN, .quartile_low = NAN, .quartile_high = NAN, .most_frequent = NAN};
    if (store <= SV_STORE_I32 && n_rows && n_rows <= UINT32_MAX) {
        find_range(range, data, store, n_rows);
        if (range[1] - range[0] < COUNTS_MAX) return measure_counts(out, data, store, range, parts, part, n_rows) ? sv_error_set(error, SV_E_MEMORY, "encode: out of memory") : 0;
    }
    while (next_value(&c, &value)) {
        if (isnan(value)) {
            out->n_missing++;
            continue;
        }
        out->n_present++;
        double next = sum + (value - correction); /* Kahan's sum: the mean does not depend on the number of rows */
        correction = (next - sum) - (value - correction);
        sum = next;
        out->min = value < out->min ? value : out->min;
        out->max = value > out->max ? value : out->max;
    }
    if (!out->n_present) return 0;
    out->mean = sum / (double)out->n_present;
    c = (cursor){.data = data, .store = store, .parts = parts, .part = part, .n_rows = n_rows};
    while (next_value(&c, &value))
        if (!isnan(value)) squares += (value - out->mean) * (value - out->mean);
    out->deviation = sqrt(squares / (double)out->n_present);
    if (!sorted) return 0;
    double *values;
    size_t n;
    int rc = collect(&values, &n, data, store, n_rows, parts, part, error);
    if (!rc && measure_order(out, values, n)) rc = sv_error_set(error, SV_E_MEMORY, "encode: out of memory for %zu rows", n_rows);
    sv_free(values);
    return rc;
}

/* ---- what to do with a column ---- */

typedef enum way { WAY_DEFAULT, WAY_NUMBER, WAY_ONE_HOT, WAY_ORDINAL, WAY_HASH, WAY_BINS, WAY_SPLINE } way;

typedef struct treatment {
    way way;
    sv_encode_numbers numbers;
    size_t count; /* bins, knots, buckets */
} treatment;

static const struct {
    const char *name;
    way way;
    sv_encode_numbers numbers;
    size_t least, most; /* of the count; 0: takes none */
} ways[] = {
    {"standardize", WAY_NUMBER, SV_ENCODE_NUMBERS_STANDARDIZE, 0, 0},
    {"min_max", WAY_NUMBER, SV_ENCODE_NUMBERS_MIN_MAX, 0, 0},
    {"robust", WAY_NUMBER, SV_ENCODE_NUMBERS_ROBUST, 0, 0},
    {"none", WAY_NUMBER, SV_ENCODE_NUMBERS_NONE, 0, 0},
    {"one_hot", WAY_ONE_HOT, 0, 0, 0},
    {"ordinal", WAY_ORDINAL, 0, 0, 0},
    {"hash", WAY_HASH, 0, 2, 1 << 20},
    {"bins", WAY_BINS, 0, 2, 1000},
    {"spline", WAY_SPLINE, 0, 3, 50},
};

static int read_treatment(treatment *t, const sv_config *config, const sv_entry *entry, sv_error *error)
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        size_t length = strlen(ways[i].name);
        if (strncmp(entry->value, ways[i].name, length) != 0) continue;
        const char *rest = entry->value + length;
        char *end = NULL;
        *t = (treatment){ways[i].way, ways[i].numbers, 0};
        if (!ways[i].most && !*rest) return 0;
        if (!ways[i].most || *rest != '(') continue;
        unsigned long count = strtoul(rest + 1, &end, 10);
        if (end == rest + 1 || strcmp(end, ")") != 0) continue;
        if (count < ways[i].least || count > ways[i].most)
            return sv_config_fail_at(error, config, "encode.columns", entry, "expected %s(%zu … %zu), got %s", ways[i].name, ways[i].least, ways[i].most, entry->value);
        t->count = count;
        return 0;
    }
    sv_config_fail_at(error, config, "encode.columns", entry, "no such encoder: %s", entry->value);
    sv_error_hint(error, "standardize, min_max, robust, none, one_hot, ordinal, hash(n), bins(n) or spline(n)");
    return SV_E_CONFIG;
}

static int treatment_of(treatment *t, const sv_config *config, const char *name, sv_kind kind, sv_error *error)
{
    *t = (treatment){.numbers = config->encode.numbers};
    if (kind == SV_KIND_TEXT) {
        static const way by_strings[] = {[SV_ENCODE_STRINGS_ONE_HOT] = WAY_ONE_HOT, [SV_ENCODE_STRINGS_ORDINAL] = WAY_ORDINAL, [SV_ENCODE_STRINGS_HASH] = WAY_HASH};
        t->way = by_strings[config->encode.strings];
        t->count = (size_t)config->encode.hash_buckets;
    } else t->way = WAY_NUMBER;
    for (size_t i = 0; i < config->encode.columns.count; i++) {
        const sv_entry *entry = &config->encode.columns.items[i];
        if (strcmp(entry->key, name) != 0) continue;
        int rc = read_treatment(t, config, entry, error);
        int text = t->way == WAY_ONE_HOT || t->way == WAY_ORDINAL || t->way == WAY_HASH;
        if (!rc && text != (kind == SV_KIND_TEXT))
            rc = sv_config_fail_at(error, config, "encode.columns", entry, "%s is for %s", entry->value, text ? "text" : "numbers");
        return rc;
    }
    return 0;
}

/* ---- numbers ---- */

static double fill_value(const sv_config *config, const sv_number_statistics *s)
{
    switch (config->encode.missing) {
    case SV_ENCODE_MISSING_MEDIAN: return s->median;
    case SV_ENCODE_MISSING_MEAN: return s->mean;
    case SV_ENCODE_MISSING_MOST_FREQUENT: return s->most_frequent;
    case SV_ENCODE_MISSING_CONSTANT: return config->encode.missing_value;
    case SV_ENCODE_MISSING_ERROR: break;
    }
    return NAN;
}

/* Mean and deviation of the column as the model will see it, missing values filled in. */
static void filled_moments(const sv_number_statistics *s, double fill, double *mean, double *deviation)
{
    double present = (double)s->n_present, missing = isnan(fill) ? 0 : (double)s->n_missing, n = present + missing;
    *mean = (present * s->mean + (missing > 0 ? missing * fill : 0)) / n;
    double between = present * (s->mean - *mean) * (s->mean - *mean) + (missing > 0 ? missing * (fill - *mean) * (fill - *mean) : 0);
    *deviation = missing > 0 ? sqrt((present * s->deviation * s->deviation + between) / n) : s->deviation;
}

static void set_scaling(sv_term *term, const treatment *t, const sv_number_statistics *s)
{
    double mean, deviation, centre = 0, scale = 1;
    filled_moments(s, term->fill, &mean, &deviation);
    switch (t->numbers) {
    case SV_ENCODE_NUMBERS_STANDARDIZE: centre = mean; scale = deviation; break;
    case SV_ENCODE_NUMBERS_MIN_MAX: centre = s->min; scale = s->max - s->min; break;
    case SV_ENCODE_NUMBERS_ROBUST: centre = s->median; scale = s->quartile_high - s->quartile_low; break;
    case SV_ENCODE_NUMBERS_NONE: break;
    }
    term->mean[0] = centre;
    term->scale[0] = scale > 1e-12 * fabs(centre) ? scale : 1; /* a constant column: nothing to scale */
}

typedef struct job {
    sv_pipeline *pipeline;
    const sv_values *values;
    const sv_config *config;
    const sv_dataset *dataset;
    treatment *treatments;              /* (values->n) */
    sv_number_statistics *statistics;   /* (values->n) */
    uint32_t **counts;                  /* (values->n) of text: training rows of each code */
    sv_error *errors;                   /* (values->n) */
} job;

static int needs_order(const job *j, size_t k)
{
    const sv_config *config = j->config;
    int fills = config->encode.missing == SV_ENCODE_MISSING_MEDIAN || config->encode.missing == SV_ENCODE_MISSING_MOST_FREQUENT;
    return j->treatments[k].numbers == SV_ENCODE_NUMBERS_ROBUST || fills;
}

static void measure_task(void *context, size_t k, size_t worker)
{
    const job *j = context;
    const sv_value_column *column = &j->values->columns[k];
    (void)worker;
    if (column->kind == SV_KIND_TEXT) {
        const sv_levels *levels = sv_features_levels(j->values->features, column->id);
        j->counts[k] = count_numbers(column->data, column->store, 0, levels ? sv_levels_count(levels) + 1 : 1, j->dataset->parts, SV_PART_TRAIN, j->values->n_rows);
        return;
    }
    sv_number_statistics_measure(&j->statistics[k], column->data, column->store, j->values->n_rows, j->dataset->parts, SV_PART_TRAIN, needs_order(j, k), &j->errors[k]);
}

static int add_number(const job *j, size_t k, sv_error *error)
{
    const sv_value_column *column = &j->values->columns[k];
    const sv_number_statistics *s = &j->statistics[k];
    int at = sv_pipeline_add_number(j->pipeline, column->id, error);
    if (at < 0) return at;
    sv_term *term = sv_pipeline_term(j->pipeline, (size_t)at);
    term->fill = fill_value(j->config, s);
    set_scaling(term, &j->treatments[k], s);
    if (isfinite(term->mean[0]) && isfinite(term->scale[0])) return 0;
    sv_error_set(error, SV_E_INPUT, "%s: expected numbers that can be scaled, got %g to %g", sv_features_name(j->values->features, column->id), s->min, s->max);
    sv_error_hint(error, "clip() it, take its log(), or mark such cells as missing by data.missing");
    return SV_E_INPUT;
}

/* encode.missing_indicator. */
static int add_indicator(const job *j, size_t k, sv_error *error)
{
    if (!j->config->encode.missing_indicator || !j->statistics[k].n_missing) return 0;
    int at = sv_pipeline_add_missing(j->pipeline, j->values->columns[k].id, error);
    return at < 0 ? at : 0;
}

/* Quantiles of the training rows, equal ones once. *n points. */
static int quantile_points(double **out, size_t *n, const job *j, size_t k, size_t count, int ends, sv_error *error)
{
    const sv_value_column *column = &j->values->columns[k];
    double *values = NULL;
    size_t n_values;
    int rc = collect(&values, &n_values, column->data, column->store, j->values->n_rows, j->dataset->parts, SV_PART_TRAIN, error);
    *n = 0;
    *out = rc ? NULL : sv_array(count + 2, sizeof **out);
    if (!rc && !*out) rc = sv_error_set(error, SV_E_MEMORY, "encode: out of memory");
    if (!rc && sv_sort(values, n_values)) rc = sv_error_set(error, SV_E_MEMORY, "encode: out of memory");
    for (size_t i = ends ? 0 : 1; !rc && i < (ends ? count : count); i++) {
        double q = ends ? 0.05 + 0.9 * (double)i / (double)(count - 1) : (double)i / (double)count, point = quantile(values, n_values, q);
        if (*n == 0 || point > (*out)[*n - 1]) (*out)[(*n)++] = point;
    }
    sv_free(values);
    return rc;
}

static int add_bins_or_spline(const job *j, size_t k, sv_error *error)
{
    const treatment *t = &j->treatments[k];
    int spline = t->way == WAY_SPLINE, id = j->values->columns[k].id;
    double *points;
    size_t n;
    int rc = quantile_points(&points, &n, j, k, t->count, spline, error);
    if (!rc && n < (spline ? 3u : 1u))
        rc = sv_error_set(error, SV_E_CONFIG, "encode.columns.%s: expected more different values for %s, got %zu", sv_features_name(j->values->features, id), spline ? "a spline" : "bins", n);
    if (!rc) rc = spline ? sv_pipeline_add_spline(j->pipeline, id, points, n, error) : sv_pipeline_add_bins(j->pipeline, id, points, n, j->config->encode.drop_first, error);
    sv_free(points);
    if (rc < 0) return rc;
    sv_term *term = sv_pipeline_term(j->pipeline, (size_t)rc);
    sv_number_statistics s = j->statistics[k];
    term->fill = fill_value(j->config, &s);
    return 0;
}

/* ---- text ---- */

typedef struct level {
    const char *text;
    size_t length, count;
} level;

static int by_text(const void *a, const void *b)
{
    const level *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->length < y->length ? x->length : y->length);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

/* The training rows' levels in order of their bytes. */
static int count_levels(level **out, size_t *n, const job *j, size_t k, sv_error *error)
{
    const sv_value_column *column = &j->values->columns[k];
    const sv_levels *levels = sv_features_levels(j->values->features, column->id);
    size_t n_levels = levels ? sv_levels_count(levels) : 0;
    level *all = *out = sv_calloc(n_levels, sizeof *all);
    *n = 0;
    if (!all || !j->counts[k]) return sv_error_set(error, SV_E_MEMORY, "encode: out of memory for %zu levels", n_levels);
    for (size_t i = 0; i < n_levels; i++) {
        all[i].text = sv_levels_text(levels, i, &all[i].length);
        all[i].count = j->counts[k][i];
    }
    for (size_t i = 0; i < n_levels; i++)
        if (all[i].count) all[(*n)++] = all[i];
    qsort(all, *n, sizeof *all, by_text);
    return 0;
}

static int add_levels(const job *j, size_t k, sv_error *error)
{
    level *levels;
    sv_levels *categories = NULL;
    size_t n, kept = 0, n_categories = 0, rare = (size_t)j->config->encode.rare;
    const sv_value_column *column = &j->values->columns[k];
    sv_unknown unknown = j->config->encode.unknown == SV_ENCODE_UNKNOWN_ERROR ? SV_UNKNOWN_ERROR : SV_UNKNOWN_ZEROS;
    int rc = count_levels(&levels, &n, j, k, error), drop = j->config->encode.drop_first ? 1 : 0;
    if (!rc && sv_levels_new(&categories)) rc = sv_error_set(error, SV_E_MEMORY, "encode: out of memory");
    for (size_t i = 0; !rc && i < n; i++)
        kept += levels[i].count >= rare;
    int grouped = kept < n, names_rare = grouped && unknown == SV_UNKNOWN_ERROR && j->treatments[k].way == WAY_ONE_HOT; /* else whatever is no category is of the group */
    if (!rc && kept + (size_t)grouped <= (size_t)drop && !grouped) drop = 0; /* a column with a single text keeps it */
    int32_t *columns = sv_array(n + 1, sizeof *columns), next = -drop;
    for (size_t i = 0; !rc && columns && i < n; i++) {
        int is_rare = levels[i].count < rare;
        if (is_rare && !names_rare) continue;
        columns[n_categories++] = is_rare ? (int32_t)kept - drop : next++;
        if (sv_levels_add(categories, levels[i].text, levels[i].length) < 0) rc = sv_error_set(error, SV_E_MEMORY, "encode: out of memory for %zu levels", n);
    }
    if (!rc && !columns) rc = sv_error_set(error, SV_E_MEMORY, "encode: out of memory for %zu levels", n);
    if (!rc && j->treatments[k].way == WAY_ORDINAL) rc = sv_pipeline_add_ordinal(j->pipeline, column->id, categories, unknown, error);
    else if (!rc && j->treatments[k].way == WAY_HASH) rc = sv_pipeline_add_hash(j->pipeline, column->id, j->treatments[k].count, error);
    else if (!rc)
        rc = sv_pipeline_add_category(j->pipeline, column->id, categories, columns, grouped && !names_rare ? SV_UNKNOWN_COLUMN : unknown, grouped ? (int32_t)kept - drop : -1, error);
    sv_free(columns);
    sv_free(levels);
    sv_levels_free(categories);
    return rc < 0 ? rc : 0;
}

/* ---- all ---- */

static int add_term(const job *j, size_t k, sv_error *error)
{
    const sv_value_column *column = &j->values->columns[k];
    if (column->kind == SV_KIND_TEXT) return add_levels(j, k, error);
    if (j->statistics[k].n_present == 0) {
        const char *name = sv_features_name(j->values->features, column->id);
        sv_error_set(error, SV_E_INPUT, "%s: expected a number in some training row, got none", name);
        sv_error_hint(error, "`drop: [%.80s]` leaves it out", name);
        return SV_E_INPUT;
    }
    int rc = j->treatments[k].way == WAY_NUMBER ? add_number(j, k, error) : add_bins_or_spline(j, k, error);
    return rc < 0 ? rc : add_indicator(j, k, error);
}

/* One side of "job * marital", without blanks. */
static size_t interaction_side(const char **name, const char *text, const char *star, int side)
{
    const char *from = side ? star + 1 : text, *to = side ? text + strlen(text) : star;
    while (from < to && *from == ' ') from++;
    while (to > from && to[-1] == ' ') to--;
    *name = from;
    return (size_t)(to - from);
}

static int refuse_interaction(const job *j, const sv_entry *entry, const char *name, size_t length, sv_error *error)
{
    char wanted[SV_NAME_MAX + 1] = "";
    const char **used = sv_array(j->values->n + 1, sizeof *used), *near = NULL;
    sv_config_fail_at(error, j->config, "encode.interactions", entry, "expected two used features with * between them, got %s", entry->value);
    for (size_t k = 0; used && k < j->values->n; k++)
        used[k] = sv_features_name(j->values->features, j->values->columns[k].id);
    if (used && name && length < sizeof wanted) {
        memcpy(wanted, name, length);
        near = sv_nearest_name(wanted, used, j->values->n);
    }
    if (near) sv_error_hint(error, "did you mean %s?", near);
    sv_free(used);
    return SV_E_CONFIG;
}

/* "job * marital": the terms of two used values. */
static int add_interaction(const job *j, const sv_entry *entry, sv_error *error)
{
    const char *star = strchr(entry->value, '*'), *name = NULL;
    size_t length = 0;
    int sides[2] = {-1, -1};
    for (int side = 0; star && side < 2; side++) {
        length = interaction_side(&name, entry->value, star, side);
        int id = sv_features_find(j->values->features, name, length);
        for (size_t t = 0; id >= 0 && t < sv_pipeline_n_terms(j->pipeline) && sides[side] < 0; t++)
            if (sv_pipeline_term_const(j->pipeline, t)->value == id) sides[side] = (int)t;
        if (sides[side] < 0) break;
    }
    if (sides[0] < 0 || sides[1] < 0) return refuse_interaction(j, entry, name, length, error);
    int rc = sv_pipeline_add_pair(j->pipeline, sides[0], sides[1], error);
    return rc < 0 ? rc : 0;
}

int sv_encoders_fit(sv_pipeline *pipeline, const sv_values *values, const sv_config *config, const sv_dataset *dataset, sv_team *team, sv_error *error)
{
    size_t n = values->n;
    job j = {pipeline, values, config, dataset, sv_calloc(n, sizeof(treatment)), sv_calloc(n, sizeof(sv_number_statistics)), sv_calloc(n, sizeof(uint32_t *)), sv_calloc(n, sizeof(sv_error))};
    int rc = j.treatments && j.statistics && j.counts && j.errors ? 0 : sv_error_set(error, SV_E_MEMORY, "encode: out of memory");
    for (size_t k = 0; !rc && k < n; k++)
        rc = treatment_of(&j.treatments[k], config, sv_features_name(values->features, values->columns[k].id), values->columns[k].kind, error);
    if (!rc) sv_team_run(team, n, measure_task, &j);
    for (size_t k = 0; !rc && k < n; k++) {
        if (j.errors[k].code) rc = sv_error_set(error, j.errors[k].code, "%s", j.errors[k].message);
        if (!rc) rc = add_term(&j, k, error);
    }
    for (size_t i = 0; !rc && i < config->encode.interactions.count; i++)
        rc = add_interaction(&j, &config->encode.interactions.items[i], error);
    sv_free(j.treatments);
    sv_free(j.statistics);
    for (size_t k = 0; j.counts && k < n; k++)
        sv_free(j.counts[k]);
    sv_free(j.counts);
    sv_free(j.errors);
    return rc;
}
