/* pipeline_read.c: strict reader of pipeline.json (pipeline_write.c says the form). Everything is untrusted: unknown keys, wrong sizes, names that are not there, and
   arrays larger than the file could fill are refused before memory is taken for them. */
#include "alloc.h"
#include "json_read.h"
#include "package.h"
#include "pipeline_private.h"

#include <string.h>

typedef struct reader {
    sv_json_reader json;
    sv_pipeline *pipeline;
    size_t K;
} reader;

static void read_columns(sv_json_reader *r, json_t *document, sv_features *features)
{
    static const char *const keys[] = {"name", "type", "optional", NULL};
    json_t *array = sv_json_get_array(r, document, "columns", SV_COLUMNS_MAX);
    for (size_t i = 0; i < json_array_size(array) && !r->code; i++) {
        json_t *item = sv_json_item(r, array, "columns", i);
        sv_type type = SV_DOUBLE;
        sv_json_known_keys(r, item, keys);
        const char *name = sv_json_get_text(r, item, "name"), *type_name = sv_json_get_text(r, item, "type");
        int optional = sv_json_get_flag(r, item, "optional");
        if (!r->code && sv_type_from_name(&type, type_name))
            sv_json_fail(r, "type", "expected long, double, string, boolean or date, got \"%.40s\"", type_name);
        int column = r->code ? r->code : sv_features_add_column(features, name, type, NULL, r->error);
        if (column < 0)
            r->code = column;
        else
            sv_features_set_optional(features, column, optional);
    }
    r->path[0] = '\0';
}

static void read_derived(sv_json_reader *r, json_t *document, sv_features *features)
{
    static const char *const keys[] = {"name", "expression", NULL};
    json_t *array = sv_json_get_array(r, document, "derived", SV_DERIVED_MAX);
    for (size_t i = 0; i < json_array_size(array) && !r->code; i++) {
        json_t *item = sv_json_item(r, array, "derived", i);
        sv_json_known_keys(r, item, keys);
        const char *name = sv_json_get_text(r, item, "name"), *text = sv_json_get_text(r, item, "expression");
        int derived = r->code ? r->code : sv_features_define(features, name, text, NULL, r->error);
        r->code = derived < 0 ? derived : 0;
    }
    r->path[0] = '\0';
    if (!r->code)
        r->code = sv_features_compile(features, NULL, NULL, r->error);
}

/* The texts of an array, which differ. The caller's. */
static sv_levels *read_levels(sv_json_reader *r, json_t *object, const char *key)
{
    json_t *array = sv_json_get_array(r, object, key, SV_WIDTH_MAX);
    sv_levels *levels = NULL;
    if (array && sv_levels_new(&levels))
        r->code = sv_error_set(r->error, SV_E_MEMORY, "out of memory");
    for (size_t i = 0; i < json_array_size(array) && !r->code; i++) {
        json_t *item = json_array_get(array, i);
        if (!json_is_string(item))
            sv_json_fail(r, key, "expected texts");
        int32_t code = r->code ? -1 : sv_levels_add(levels, json_string_value(item), json_string_length(item));
        if (!r->code && code < 0)
            r->code = sv_error_set(r->error, code, "out of memory");
        else if (!r->code && code != (int32_t)i)
            sv_json_fail(r, key, "a text stands twice");
    }
    return levels;
}

static int read_value(reader *r, json_t *item)
{
    const char *name = sv_json_get_text(&r->json, item, "value");
    int value = sv_features_find(r->pipeline->features, name, strlen(name));
    if (value < 0)
        sv_json_fail(&r->json, "value", "there is no column or feature %.80s", name);
    return value;
}

static sv_unknown read_unknown(reader *r, json_t *item)
{
    const char *name = sv_json_get_text(&r->json, item, "unknown");
    static const char *const names[] = {"zeros", "error", "column"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(name, names[i]))
            return (sv_unknown)i;
    sv_json_fail(&r->json, "unknown", "expected zeros, error or column");
    return SV_UNKNOWN_ZEROS;
}

static int32_t *read_category_columns(reader *r, json_t *item, size_t n, size_t width)
{
    json_t *array = sv_json_get_array(&r->json, item, "columns", n);
    int32_t *columns = array ? sv_array(n, sizeof *columns) : NULL;
    if (array && json_array_size(array) != n)
        sv_json_fail(&r->json, "columns", "expected one for each of %zu categories", n);
    else if (array && !columns)
        r->json.code = sv_error_set(r->json.error, SV_E_MEMORY, "out of memory");
    for (size_t i = 0; i < n && !r->json.code; i++) {
        json_t *column = json_array_get(array, i);
        json_int_t value = json_integer_value(column);
        if (!json_is_integer(column) || value < -1 || value >= (json_int_t)width)
            sv_json_fail(&r->json, "columns", "expected numbers from -1 to %zu", width ? width - 1 : 0);
        else
            columns[i] = (int32_t)value;
    }
    return columns;
}

static int read_category(reader *r, json_t *item, int value, size_t width)
{
    sv_levels *categories = read_levels(&r->json, item, "categories");
    sv_unknown unknown = read_unknown(r, item);
    int32_t *columns = NULL, unknown_column = -1;
    if (unknown == SV_UNKNOWN_COLUMN)
        unknown_column = (int32_t)sv_json_get_integer(&r->json, item, "unknown_column", 0, width ? (int64_t)width - 1 : 0);
    if (!r->json.code)
        columns = read_category_columns(r, item, sv_levels_count(categories), width);
    int term = r->json.code;
    if (!term)
        term = sv_pipeline_add_category(r->pipeline, value, categories, columns, unknown, unknown_column, r->json.error);
    sv_free(columns);
    sv_levels_free(categories);
    return term;
}

static int read_ordinal(reader *r, json_t *item, int value)
{
    sv_levels *categories = read_levels(&r->json, item, "categories");
    sv_unknown unknown = read_unknown(r, item);
    if (unknown == SV_UNKNOWN_COLUMN)
        sv_json_fail(&r->json, "unknown", "expected zeros or error");
    int term = r->json.code ? r->json.code : sv_pipeline_add_ordinal(r->pipeline, value, categories, unknown, r->json.error);
    sv_levels_free(categories);
    return term;
}

static int read_points(reader *r, json_t *item, sv_encoder encoder, int value)
{
    int drop_first = encoder == SV_ENCODER_BINS && sv_json_get_flag(&r->json, item, "drop_first");
    size_t n = json_array_size(sv_json_get_array(&r->json, item, "points", SV_WIDTH_MAX));
    double *points = sv_array(n, sizeof *points);
    if (!points)
        return sv_error_set(r->json.error, SV_E_MEMORY, "out of memory");
    sv_json_get_numbers(&r->json, item, "points", points, n);
    int term = r->json.code;
    if (!term && encoder == SV_ENCODER_BINS)
        term = sv_pipeline_add_bins(r->pipeline, value, points, n, drop_first, r->json.error);
    else if (!term)
        term = sv_pipeline_add_spline(r->pipeline, value, points, n, r->json.error);
    sv_free(points);
    return term;
}

/* width comes from the weights that are there, so that a small file cannot ask for much. */
static int read_pair(reader *r, json_t *item, size_t width)
{
    int64_t n = (int64_t)r->pipeline->n_terms - 1;
    size_t left = (size_t)sv_json_get_integer(&r->json, item, "left", 0, n), right = (size_t)sv_json_get_integer(&r->json, item, "right", 0, n);
    if (!r->json.code && (n < 0 || r->pipeline->terms[left].width * r->pipeline->terms[right].width != width))
        sv_json_fail(&r->json, "weights", "expected one for each pair of columns");
    return r->json.code ? r->json.code : sv_pipeline_add_pair(r->pipeline, (int)left, (int)right, r->json.error);
}

static int read_hash(reader *r, json_t *item, int value, size_t width)
{
    int64_t buckets = sv_json_get_integer(&r->json, item, "buckets", 1, SV_WIDTH_MAX);
    if (!r->json.code && (size_t)buckets != width)
        sv_json_fail(&r->json, "weights", "expected %zu, one for each bucket and score", (size_t)buckets * r->K);
    return r->json.code ? r->json.code : sv_pipeline_add_hash(r->pipeline, value, width, r->json.error);
}

static int add_encoder(reader *r, json_t *item, sv_encoder encoder, size_t width)
{
    int value = encoder == SV_ENCODER_PAIR ? -1 : read_value(r, item);
    if (r->json.code)
        return r->json.code;
    switch (encoder) {
    case SV_ENCODER_NUMBER:
        return sv_pipeline_add_number(r->pipeline, value, r->json.error);
    case SV_ENCODER_MISSING:
        return sv_pipeline_add_missing(r->pipeline, value, r->json.error);
    case SV_ENCODER_CATEGORY:
        return read_category(r, item, value, width);
    case SV_ENCODER_ORDINAL:
        return read_ordinal(r, item, value);
    case SV_ENCODER_HASH:
        return read_hash(r, item, value, width);
    case SV_ENCODER_BINS:
    case SV_ENCODER_SPLINE:
        return read_points(r, item, encoder, value);
    case SV_ENCODER_PAIR:
        break;
    }
    return read_pair(r, item, width);
}

static const char *const encoder_keys[][12] = {
    [SV_ENCODER_NUMBER] = {"encoder", "value", "fill", "mean", "scale", "shadow", "weights"},
    [SV_ENCODER_MISSING] = {"encoder", "value", "mean", "scale", "shadow", "weights"},
    [SV_ENCODER_CATEGORY] = {"encoder", "value", "unknown", "unknown_column", "categories", "columns", "shadow", "weights"},
    [SV_ENCODER_ORDINAL] = {"encoder", "value", "unknown", "categories", "fill", "mean", "scale", "shadow", "weights"},
    [SV_ENCODER_HASH] = {"encoder", "value", "buckets", "shadow", "weights"},
    [SV_ENCODER_BINS] = {"encoder", "value", "points", "drop_first", "fill", "shadow", "weights"},
    [SV_ENCODER_SPLINE] = {"encoder", "value", "points", "fill", "mean", "scale", "shadow", "weights"},
    [SV_ENCODER_PAIR] = {"encoder", "left", "right", "shadow", "weights"},
};

static void read_term(reader *r, json_t *item)
{
    sv_encoder encoder = SV_ENCODER_NUMBER;
    const char *name = sv_json_get_text(&r->json, item, "encoder");
    if (!r->json.code && sv_encoder_from_name(&encoder, name))
        sv_json_fail(&r->json, "encoder", "there is no encoder \"%.40s\"", name);
    sv_json_known_keys(&r->json, item, encoder_keys[encoder]);
    size_t n_weights = json_array_size(sv_json_get_array(&r->json, item, "weights", SIZE_MAX));
    int index = r->json.code ? r->json.code : add_encoder(r, item, encoder, n_weights / r->K);
    if (index < 0) {
        r->json.code = index;
        return;
    }
    sv_term *term = &r->pipeline->terms[index];
    sv_json_get_numbers(&r->json, item, "weights", term->weights, term->width * r->K);
    if (term->mean) {
        sv_json_get_numbers(&r->json, item, "mean", term->mean, term->width);
        sv_json_get_numbers(&r->json, item, "scale", term->scale, term->width);
    }
    if (sv_encoder_has_fill(encoder))
        term->fill = sv_json_get_nullable(&r->json, item, "fill");
    term->shadow = sv_json_get_flag(&r->json, item, "shadow");
}

static void read_classes(reader *r, json_t *document)
{
    json_t *array = sv_json_get_array(&r->json, document, "classes", SV_SCORES_MAX);
    const char *names[SV_SCORES_MAX];
    size_t n = json_array_size(array);
    for (size_t i = 0; i < n && !r->json.code; i++) {
        json_t *item = json_array_get(array, i);
        names[i] = json_string_value(item);
        if (!names[i] || strlen(names[i]) != json_string_length(item))
            sv_json_fail(&r->json, "classes", "expected texts without NUL");
    }
    if (!r->json.code)
        r->json.code = sv_pipeline_set_classes(r->pipeline, names, n, r->json.error);
}

static void read_isotonic(reader *r, json_t *object)
{
    size_t n = json_array_size(sv_json_get_array(&r->json, object, "x", SV_WIDTH_MAX));
    double *x = sv_array(2 * n, sizeof *x);
    if (!x) {
        r->json.code = sv_error_set(r->json.error, SV_E_MEMORY, "out of memory");
        return;
    }
    sv_json_get_numbers(&r->json, object, "x", x, n);
    sv_json_get_numbers(&r->json, object, "y", x + n, n);
    if (!r->json.code)
        r->json.code = sv_pipeline_set_isotonic(r->pipeline, x, x + n, n, r->json.error);
    sv_free(x);
}

static void read_calibration(reader *r, json_t *document)
{
    static const char *const platt_keys[] = {"kind", "slope", "offset", NULL}, *const isotonic_keys[] = {"kind", "x", "y", NULL};
    json_t *object = json_object_get(document, "calibration");
    if (!object || r->json.code)
        return;
    strcpy(r->json.path, "calibration");
    const char *kind = sv_json_get_text(&r->json, object, "kind");
    if (!strcmp(kind, "platt")) {
        sv_json_known_keys(&r->json, object, platt_keys);
        double slope = sv_json_get_number(&r->json, object, "slope"), offset = sv_json_get_number(&r->json, object, "offset");
        if (!r->json.code)
            r->json.code = sv_pipeline_set_platt(r->pipeline, slope, offset, r->json.error);
    } else if (!strcmp(kind, "isotonic")) {
        sv_json_known_keys(&r->json, object, isotonic_keys);
        read_isotonic(r, object);
    } else
        sv_json_fail(&r->json, "kind", "expected platt or isotonic");
    r->json.path[0] = '\0';
}

/* At most one byte; 0: none. */
static char read_byte(reader *r, json_t *object, const char *key)
{
    const char *text = sv_json_get_text(&r->json, object, key);
    if (*text && text[1])
        sv_json_fail(&r->json, key, "expected at most one byte");
    return *text;
}

static void read_csv_form(reader *r, json_t *document)
{
    static const char *const keys[] = {"delimiter", "quote", "no_header", "no_trim", "date_format", "missing", NULL};
    json_t *object = json_object_get(document, "csv");
    const char *missing[SV_CSV_MISSING_MAX];
    if (!object || r->json.code)
        return;
    strcpy(r->json.path, "csv");
    sv_json_known_keys(&r->json, object, keys);
    sv_csv_form form = {.delimiter = read_byte(r, object, "delimiter"), .quote = read_byte(r, object, "quote"), .missing = missing};
    form.header = !sv_json_get_flag(&r->json, object, "no_header");
    form.trim = !sv_json_get_flag(&r->json, object, "no_trim");
    form.date_format = sv_json_get_text(&r->json, object, "date_format");
    json_t *words = sv_json_get_array(&r->json, object, "missing", SV_CSV_MISSING_MAX);
    for (; form.n_missing < json_array_size(words) && !r->json.code; form.n_missing++) {
        json_t *word = json_array_get(words, form.n_missing);
        missing[form.n_missing] = json_string_value(word);
        if (!missing[form.n_missing] || strlen(missing[form.n_missing]) != json_string_length(word))
            sv_json_fail(&r->json, "missing", "expected texts without NUL");
    }
    if (!r->json.code)
        r->json.code = sv_pipeline_set_csv_form(r->pipeline, &form, r->json.error);
    r->json.path[0] = '\0';
}

static sv_task read_task(reader *r, json_t *document)
{
    const char *name = sv_json_get_text(&r->json, document, "task");
    for (int i = SV_TASK_BINARY; i <= SV_TASK_POISSON; i++)
        if (!strcmp(name, sv_task_name((sv_task)i)))
            return (sv_task)i;
    sv_json_fail(&r->json, "task", "expected binary, multinomial, linear or poisson");
    return SV_TASK_BINARY;
}

static void check_format(reader *r, json_t *document)
{
    static const char *const keys[] = {"format", "version", "task", "target", "threshold", "classes", "columns", "derived", "terms", "intercept",
                                       "calibration", "csv", NULL};
    if (!json_is_object(document))
        sv_json_fail(&r->json, "", "expected an object");
    const char *format = sv_json_get_text(&r->json, document, "format");
    if (!r->json.code && strcmp(format, "native-tabular"))
        sv_json_fail(&r->json, "format", "expected \"native-tabular\", got \"%.40s\"", format);
    int64_t version = sv_json_get_integer(&r->json, document, "version", 0, INT64_MAX);
    if (!r->json.code && version != 1) {
        sv_json_fail(&r->json, "version", "expected 1, got %lld", (long long)version);
        sv_error_hint(r->json.error, "the package was made by another version of this program");
    }
    sv_json_known_keys(&r->json, document, keys);
}

/* Features, then the pipeline on them. */
static void make_pipeline(reader *r, json_t *document)
{
    sv_features *features = NULL;
    sv_task task = read_task(r, document);
    r->K = json_array_size(sv_json_get_array(&r->json, document, "intercept", SV_SCORES_MAX));
    if (!r->json.code && sv_features_new(&features))
        r->json.code = sv_error_set(r->json.error, SV_E_MEMORY, "out of memory");
    if (!r->json.code)
        read_columns(&r->json, document, features);
    if (!r->json.code)
        read_derived(&r->json, document, features);
    if (r->json.code)
        sv_features_free(features);
    else
        r->json.code = sv_pipeline_new(&r->pipeline, features, task, r->K, r->json.error);
}

static void read_document(reader *r, json_t *document)
{
    check_format(r, document);
    make_pipeline(r, document);
    if (r->json.code)
        return;
    const char *target = sv_json_get_text(&r->json, document, "target");
    if (!r->json.code)
        r->json.code = sv_pipeline_set_target(r->pipeline, target, r->json.error);
    sv_pipeline_set_threshold(r->pipeline, sv_json_get_number(&r->json, document, "threshold"));
    if (r->pipeline->task == SV_TASK_MULTINOMIAL)
        read_classes(r, document);
    json_t *terms = sv_json_get_array(&r->json, document, "terms", SV_TERMS_MAX);
    for (size_t i = 0; i < json_array_size(terms) && !r->json.code; i++) {
        json_t *item = sv_json_item(&r->json, terms, "terms", i);
        if (!r->json.code)
            read_term(r, item);
        r->json.path[0] = '\0';
    }
    if (!r->json.code)
        sv_json_get_numbers(&r->json, document, "intercept", r->pipeline->intercept, r->K);
    read_calibration(r, document);
    read_csv_form(r, document);
    if (!r->json.code)
        r->json.code = sv_pipeline_finish(r->pipeline, r->json.error);
}

/* What would be the caller's mistake when building a pipeline is the file's when reading one. */
static int as_input_error(int code, sv_error *error)
{
    if (code == SV_E_MEMORY || code == SV_E_LIMIT)
        return code;
    if (error)
        error->code = SV_E_INPUT;
    return SV_E_INPUT;
}

int sv_pipeline_read_json(sv_pipeline **out, const char *json, size_t length, sv_error *error)
{
    reader r = {.json = {.file = "pipeline.json", .error = error}};
    *out = NULL;
    if (length > SV_PIPELINE_JSON_MAX)
        return sv_error_set(error, SV_E_LIMIT, "pipeline.json: %zu bytes; at most %u", length, SV_PIPELINE_JSON_MAX);
    json_t *document = sv_json_parse(&r.json, json, length);
    if (document)
        read_document(&r, document);
    json_decref(document);
    if (r.json.code) {
        if (error && strncmp(error->message, "pipeline.json", 13))
            sv_error_prefix(error, "pipeline.json: ");
        sv_pipeline_free(r.pipeline);
        return as_input_error(r.json.code, error);
    }
    *out = r.pipeline;
    return 0;
}
