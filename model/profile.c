/* profile.c: profile.json, written and read.

       {"format": "native-tabular-profile", "version": 1, "n_rows": 31647, "label_rate": 0.88,
        "values": [{"name": "age", "kind": "number", "n_missing": 0, "min": 18, "max": 95, "mean": 40.9, "deviation": 10.6, "median": 39, "is_whole": true,
                    "edges": [29, …], "counts": [3100, …]},
                   {"name": "job", "kind": "text", "n_missing": 0, "levels": ["blue-collar", …], "counts": [6800, …], "n_other": 0}, …],
        "score": {"edges": […], "counts": […]}, "metrics": [{"name": "test.roc_auc", "value": 0.9}], "description": "…"} */
#include "profile.h"

#include "alloc.h"
#include "json_read.h"
#include "package_json.h"

#include <math.h>
#include <string.h>

void sv_profile_free(sv_profile *profile)
{
    if (!profile)
        return;
    for (size_t i = 0; i < profile->n_values; i++) {
        sv_profile_value *value = &profile->values[i];
        for (size_t l = 0; value->levels && l < value->n_levels; l++)
            sv_free(value->levels[l]);
        sv_free(value->levels);
        sv_free(value->level_counts);
        sv_free(value->histogram.edges);
        sv_free(value->histogram.counts);
        sv_free(value->name);
    }
    for (size_t i = 0; i < profile->n_metrics; i++)
        sv_free(profile->metrics[i].name);
    sv_free(profile->values);
    sv_free(profile->metrics);
    sv_free(profile->score.edges);
    sv_free(profile->score.counts);
    sv_free(profile->description);
    *profile = (sv_profile){0};
}

const sv_profile_value *sv_profile_find(const sv_profile *profile, const char *name)
{
    for (size_t i = 0; i < profile->n_values; i++)
        if (!strcmp(profile->values[i].name, name))
            return &profile->values[i];
    return NULL;
}

/* ---- writing */

typedef struct writer {
    sv_buffer *json;
    int code;
} writer;

static void raw(writer *w, const char *text)
{
    w->code = w->code ? w->code : sv_buffer_text(w->json, text);
}

static void text_field(writer *w, const char *key, const char *value)
{
    raw(w, key);
    w->code = w->code ? w->code : sv_json_text(w->json, value);
}

static void number_field(writer *w, const char *key, double value)
{
    raw(w, key);
    w->code = w->code ? w->code : sv_json_number(w->json, value);
}

static void count_field(writer *w, const char *key, uint64_t value)
{
    raw(w, key);
    w->code = w->code ? w->code : sv_buffer_format(w->json, "%llu", (unsigned long long)value);
}

static void write_counts(writer *w, const uint64_t *counts, size_t n)
{
    raw(w, ", \"counts\": [");
    for (size_t i = 0; i < n; i++)
        count_field(w, i ? ", " : "", counts[i]);
    raw(w, "]");
}

static void write_histogram(writer *w, const sv_histogram *histogram)
{
    raw(w, "\"edges\": ");
    w->code = w->code ? w->code : sv_json_numbers(w->json, histogram->edges, histogram->n_edges);
    write_counts(w, histogram->counts, histogram->counts ? histogram->n_edges + 1 : 0);
}

static void write_value(writer *w, const sv_profile_value *value)
{
    text_field(w, "{\"name\": ", value->name);
    raw(w, value->is_text ? ", \"kind\": \"text\"" : ", \"kind\": \"number\"");
    count_field(w, ", \"n_missing\": ", value->n_missing);
    if (value->is_text) {
        raw(w, ", \"levels\": [");
        for (size_t i = 0; i < value->n_levels; i++)
            text_field(w, i ? ", " : "", value->levels[i]);
        raw(w, "]");
        write_counts(w, value->level_counts, value->n_levels);
        count_field(w, ", \"n_other\": ", value->n_other);
    } else {
        number_field(w, ", \"min\": ", value->min);
        number_field(w, ", \"max\": ", value->max);
        number_field(w, ", \"mean\": ", value->mean);
        number_field(w, ", \"deviation\": ", value->deviation);
        number_field(w, ", \"median\": ", value->median);
        raw(w, value->is_whole ? ", \"is_whole\": true, " : ", \"is_whole\": false, ");
        write_histogram(w, &value->histogram);
    }
    raw(w, "}");
}

int sv_profile_write(sv_buffer *json, const sv_profile *profile, sv_error *error)
{
    writer w = {json, 0};
    raw(&w, "{\"format\": \"native-tabular-profile\", \"version\": 1");
    count_field(&w, ", \"n_rows\": ", profile->n_rows);
    number_field(&w, ", \"label_rate\": ", profile->label_rate);
    raw(&w, ",\n \"values\": [");
    for (size_t i = 0; i < profile->n_values; i++) {
        raw(&w, i ? ",\n  " : "\n  ");
        write_value(&w, &profile->values[i]);
    }
    raw(&w, "],\n \"score\": {");
    write_histogram(&w, &profile->score);
    raw(&w, "},\n \"metrics\": [");
    for (size_t i = 0; i < profile->n_metrics; i++) {
        text_field(&w, i ? ",\n  {\"name\": " : "\n  {\"name\": ", profile->metrics[i].name);
        number_field(&w, ", \"value\": ", profile->metrics[i].value);
        raw(&w, "}");
    }
    text_field(&w, "],\n \"description\": ", profile->description);
    raw(&w, "}\n");
    return w.code ? sv_error_set(error, w.code, "profile.json: %s", w.code == SV_E_MEMORY ? "out of memory" : "a text that is not UTF-8, or an infinite number") : 0;
}

/* ---- reading */

static void *take(sv_json_reader *r, size_t count, size_t size)
{
    void *block = r->code ? NULL : sv_calloc(count, size);
    if (!block && !r->code)
        r->code = sv_error_set(r->error, SV_E_MEMORY, "out of memory");
    return block;
}

static char *take_text(sv_json_reader *r, const char *text)
{
    char *copy = r->code ? NULL : sv_strdup(text);
    if (!copy && !r->code)
        r->code = sv_error_set(r->error, SV_E_MEMORY, "out of memory");
    return copy;
}

static uint64_t *read_counts(sv_json_reader *r, json_t *object, size_t n)
{
    json_t *array = sv_json_get_array(r, object, "counts", SV_PROFILE_EDGES_MAX + 1);
    if (array && json_array_size(array) != n)
        sv_json_fail(r, "counts", "expected %zu", n);
    uint64_t *counts = take(r, n, sizeof *counts);
    for (size_t i = 0; i < n && !r->code; i++) {
        json_t *count = json_array_get(array, i);
        if (!json_is_integer(count) || json_integer_value(count) < 0)
            sv_json_fail(r, "counts", "expected whole numbers from 0");
        counts[i] = (uint64_t)json_integer_value(count);
    }
    return counts;
}

static void read_histogram(sv_json_reader *r, json_t *object, sv_histogram *histogram)
{
    size_t n = json_array_size(sv_json_get_array(r, object, "edges", SV_PROFILE_EDGES_MAX));
    size_t n_counts = json_array_size(sv_json_get_array(r, object, "counts", SV_PROFILE_EDGES_MAX + 1));
    histogram->edges = take(r, n, sizeof *histogram->edges);
    sv_json_get_numbers(r, object, "edges", histogram->edges, n);
    for (size_t i = 1; i < n && !r->code; i++)
        if (!(histogram->edges[i - 1] < histogram->edges[i]))
            sv_json_fail(r, "edges", "expected ascending numbers");
    if (!r->code)
        histogram->n_edges = n;
    histogram->counts = n || n_counts ? read_counts(r, object, n + 1) : NULL;
}

static void read_levels(sv_json_reader *r, json_t *item, sv_profile_value *value)
{
    json_t *levels = sv_json_get_array(r, item, "levels", SV_PROFILE_LEVELS);
    size_t n = json_array_size(levels);
    value->levels = take(r, n, sizeof *value->levels);
    for (size_t i = 0; i < n && !r->code; i++) {
        json_t *level = json_array_get(levels, i);
        if (!json_is_string(level))
            sv_json_fail(r, "levels", "expected texts");
        value->levels[i] = r->code ? NULL : take_text(r, json_string_value(level));
        value->n_levels = i + 1;
    }
    value->level_counts = read_counts(r, item, n);
    value->n_other = (uint64_t)sv_json_get_integer(r, item, "n_other", 0, INT64_MAX);
}

static void read_value(sv_json_reader *r, json_t *item, sv_profile_value *value)
{
    static const char *const text_keys[] = {"name", "kind", "n_missing", "levels", "counts", "n_other", NULL};
    static const char *const number_keys[] = {"name", "kind", "n_missing", "min", "max", "mean", "deviation", "median", "is_whole", "edges", "counts", NULL};
    value->name = take_text(r, sv_json_get_text(r, item, "name"));
    const char *kind = sv_json_get_text(r, item, "kind");
    value->is_text = !strcmp(kind, "text");
    if (!r->code && !value->is_text && strcmp(kind, "number"))
        sv_json_fail(r, "kind", "expected number or text");
    sv_json_known_keys(r, item, value->is_text ? text_keys : number_keys);
    value->n_missing = (uint64_t)sv_json_get_integer(r, item, "n_missing", 0, INT64_MAX);
    if (value->is_text) {
        read_levels(r, item, value);
        return;
    }
    value->min = sv_json_get_nullable(r, item, "min");
    value->max = sv_json_get_nullable(r, item, "max");
    value->mean = sv_json_get_nullable(r, item, "mean");
    value->deviation = sv_json_get_nullable(r, item, "deviation");
    value->median = sv_json_get_nullable(r, item, "median");
    value->is_whole = sv_json_get_flag(r, item, "is_whole");
    read_histogram(r, item, &value->histogram);
}

static void read_metrics(sv_json_reader *r, json_t *document, sv_profile *profile)
{
    static const char *const keys[] = {"name", "value", NULL};
    json_t *metrics = sv_json_get_array(r, document, "metrics", 10000);
    size_t n = json_array_size(metrics);
    profile->metrics = take(r, n, sizeof *profile->metrics);
    for (size_t i = 0; i < n && !r->code; i++) {
        json_t *item = sv_json_item(r, metrics, "metrics", i);
        sv_json_known_keys(r, item, keys);
        profile->metrics[i].name = take_text(r, sv_json_get_text(r, item, "name"));
        profile->n_metrics = i + 1;
        profile->metrics[i].value = sv_json_get_nullable(r, item, "value");
    }
    r->path[0] = '\0';
}

static void read_document(sv_json_reader *r, json_t *document, sv_profile *profile)
{
    static const char *const keys[] = {"format", "version", "n_rows", "label_rate", "values", "score", "metrics", "description", NULL};
    static const char *const histogram_keys[] = {"edges", "counts", NULL};
    if (!json_is_object(document))
        sv_json_fail(r, "", "expected an object");
    const char *format = sv_json_get_text(r, document, "format");
    if (!r->code && (strcmp(format, "native-tabular-profile") || sv_json_get_integer(r, document, "version", 1, 1) != 1))
        sv_json_fail(r, "format", "expected native-tabular-profile, version 1");
    sv_json_known_keys(r, document, keys);
    profile->n_rows = (uint64_t)sv_json_get_integer(r, document, "n_rows", 0, INT64_MAX);
    profile->label_rate = sv_json_get_nullable(r, document, "label_rate");
    json_t *values = sv_json_get_array(r, document, "values", SV_COLUMNS_MAX + SV_DERIVED_MAX);
    profile->values = take(r, json_array_size(values), sizeof *profile->values);
    for (size_t i = 0; i < json_array_size(values) && !r->code; i++) {
        json_t *item = sv_json_item(r, values, "values", i);
        profile->n_values = i + 1;
        if (!r->code)
            read_value(r, item, &profile->values[i]);
    }
    r->path[0] = '\0';
    json_t *score = json_object_get(document, "score");
    if (!json_is_object(score))
        sv_json_fail(r, "score", "expected an object");
    strcpy(r->path, "score");
    if (!r->code)
        sv_json_known_keys(r, score, histogram_keys);
    read_histogram(r, score, &profile->score);
    r->path[0] = '\0';
    read_metrics(r, document, profile);
    if (!r->code && !json_is_null(json_object_get(document, "description")))
        profile->description = take_text(r, sv_json_get_text(r, document, "description"));
}

int sv_profile_read(sv_profile *profile, const char *json, size_t length, sv_error *error)
{
    sv_json_reader r = {.file = "profile.json", .error = error};
    *profile = (sv_profile){0};
    json_t *document = sv_json_parse(&r, json, length);
    if (document)
        read_document(&r, document, profile);
    json_decref(document);
    if (r.code)
        sv_profile_free(profile);
    return r.code;
}
