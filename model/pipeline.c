/* pipeline.c: building a pipeline and reading it. What encoders compute is encode.c; scoring is scorer.c. */
#include "pipeline.h"

#include "alloc.h"
#include "murmur.h"
#include "pipeline_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *sv_task_name(sv_task task)
{
    return (const char *const[]){"binary", "multinomial", "linear", "poisson"}[task];
}

static const struct {
    const char *name;
    int has_fill;
} encoders[] = {[SV_ENCODER_NUMBER] = {"number", 1},   [SV_ENCODER_MISSING] = {"missing", 0}, [SV_ENCODER_CATEGORY] = {"category", 0},
                [SV_ENCODER_ORDINAL] = {"ordinal", 1}, [SV_ENCODER_HASH] = {"hash", 0},       [SV_ENCODER_BINS] = {"bins", 1},
                [SV_ENCODER_SPLINE] = {"spline", 1},   [SV_ENCODER_PAIR] = {"pair", 0}};

const char *sv_encoder_name(sv_encoder encoder)
{
    return encoders[encoder].name;
}

int sv_encoder_from_name(sv_encoder *encoder, const char *name)
{
    for (size_t i = 0; i < sizeof encoders / sizeof *encoders; i++)
        if (!strcmp(encoders[i].name, name)) {
            *encoder = (sv_encoder)i;
            return 0;
        }
    return -1;
}

int sv_encoder_has_fill(sv_encoder encoder)
{
    return encoders[encoder].has_fill;
}

static int out_of_memory(sv_error *error)
{
    return sv_error_set(error, SV_E_MEMORY, "out of memory");
}

int sv_pipeline_new(sv_pipeline **out, sv_features *features, sv_task task, size_t n_scores, sv_error *error)
{
    *out = NULL;
    sv_pipeline *pipeline = sv_calloc(1, sizeof *pipeline);
    if (!pipeline) {
        sv_features_free(features);
        return out_of_memory(error);
    }
    *pipeline = (sv_pipeline){.features = features, .task = task, .n_scores = n_scores, .threshold = 0.5};
    int code = 0;
    if (n_scores < 1 || n_scores > SV_SCORES_MAX || (task == SV_TASK_MULTINOMIAL ? n_scores < 2 : n_scores != 1))
        code = sv_error_set(error, SV_E_CONFIG, "a %s model with %zu scores", sv_task_name(task), n_scores);
    else if (!(pipeline->intercept = sv_calloc(n_scores, sizeof(double))) || !(pipeline->target = sv_strdup("target")))
        code = out_of_memory(error);
    if (code)
        sv_pipeline_free(pipeline);
    else
        *out = pipeline;
    return code;
}

static void free_term(sv_term *term)
{
    sv_free(term->mean);
    sv_free(term->scale);
    sv_free(term->weights);
    sv_levels_free(term->categories);
    sv_free(term->columns);
    sv_free(term->points);
    sv_free(term->map);
}

static void free_texts(char **texts, size_t n)
{
    for (size_t i = 0; texts && i < n; i++)
        sv_free(texts[i]);
    sv_free(texts);
}

void sv_pipeline_free(sv_pipeline *pipeline)
{
    if (!pipeline)
        return;
    for (size_t i = 0; i < pipeline->n_terms; i++) {
        free_term(&pipeline->terms[i]);
        sv_free(pipeline->plans[i].table);
    }
    sv_free(pipeline->terms);
    sv_free(pipeline->plans);
    sv_free(pipeline->intercept);
    sv_free(pipeline->target);
    sv_free(pipeline->csv_form);
    free_texts(pipeline->classes, pipeline->n_scores);
    free_texts(pipeline->outputs, pipeline->n_outputs);
    sv_free(pipeline->calibration.x);
    sv_features_free(pipeline->features);
    sv_free(pipeline);
}

/* ---- terms */

static int reserve_term(sv_pipeline *pipeline, sv_error *error)
{
    if (pipeline->n_terms >= SV_TERMS_MAX)
        return sv_error_set(error, SV_E_LIMIT, "more than %d terms", SV_TERMS_MAX);
    if (pipeline->n_terms < pipeline->terms_capacity)
        return 0;
    size_t capacity = pipeline->terms_capacity ? 2 * pipeline->terms_capacity : 16;
    sv_term *terms = sv_realloc(pipeline->terms, capacity * sizeof *terms);
    if (terms)
        pipeline->terms = terms;
    sv_plan *plans = terms ? sv_realloc(pipeline->plans, capacity * sizeof *plans) : NULL;
    if (!plans)
        return out_of_memory(error);
    pipeline->plans = plans;
    pipeline->terms_capacity = capacity;
    return 0;
}

static int fill_doubles(double **out, size_t n, double value)
{
    *out = sv_array(n, sizeof **out);
    for (size_t i = 0; *out && i < n; i++)
        (*out)[i] = value;
    return *out ? 0 : SV_E_MEMORY;
}

/* Gives the term its arrays and its place; takes what it holds, also on failure. Dense terms are centred and scaled. */
static int add_term(sv_pipeline *pipeline, sv_term *term, sv_plan plan, sv_error *error)
{
    size_t n_weights;
    int code = 0;
    if (!term->width || term->width > SV_WIDTH_MAX || __builtin_mul_overflow(term->width, pipeline->n_scores, &n_weights))
        code = sv_error_set(error, SV_E_LIMIT, "a term of %zu encoded columns; 1 to %d are possible", term->width, SV_WIDTH_MAX);
    else if (!(term->weights = sv_calloc(n_weights, sizeof(double))))
        code = out_of_memory(error);
    else if (plan.n_dense && term->encoder != SV_ENCODER_PAIR && (fill_doubles(&term->mean, term->width, 0) || fill_doubles(&term->scale, term->width, 1)))
        code = out_of_memory(error);
    code = code ? code : reserve_term(pipeline, error);
    if (code) {
        free_term(term);
        return code;
    }
    pipeline->terms[pipeline->n_terms] = *term;
    pipeline->plans[pipeline->n_terms] = plan;
    pipeline->finished = 0;
    return (int)pipeline->n_terms++;
}

static sv_term new_term(sv_encoder encoder, int value, size_t width)
{
    return (sv_term){.encoder = encoder, .value = value, .left = -1, .right = -1, .width = width, .fill = NAN};
}

static sv_plan dense_plan(size_t n)
{
    return (sv_plan){.n_dense = n, .dense_stride = 1};
}

static sv_plan index_plan(size_t n)
{
    return (sv_plan){.n_index = n, .index_stride = 1};
}

static int check_kind(const sv_pipeline *pipeline, int value, sv_kind wanted, sv_error *error)
{
    if (value < 0 || (size_t)value >= sv_features_n_values(pipeline->features))
        return sv_error_set(error, SV_E_CONFIG, "a term on no column or feature");
    sv_kind kind = sv_features_kind(pipeline->features, value);
    if (kind == wanted)
        return 0;
    int code = sv_error_set(error, SV_E_CONFIG, "%s: expected a %s, got a %s", sv_features_name(pipeline->features, value),
                            wanted == SV_KIND_TEXT ? "text" : "number", kind == SV_KIND_TEXT ? "text" : kind == SV_KIND_DATE ? "date" : "number");
    if (kind == SV_KIND_DATE)
        sv_error_hint(error, "make a number of it in a feature: month(d), weekday(d) or days_between(a, b)");
    return code;
}

int sv_pipeline_add_number(sv_pipeline *pipeline, int value, sv_error *error)
{
    int code = check_kind(pipeline, value, SV_KIND_NUMBER, error);
    sv_term term = new_term(SV_ENCODER_NUMBER, value, 1);
    return code ? code : add_term(pipeline, &term, dense_plan(1), error);
}

int sv_pipeline_add_missing(sv_pipeline *pipeline, int value, sv_error *error)
{
    int code = check_kind(pipeline, value, SV_KIND_NUMBER, error);
    sv_term term = new_term(SV_ENCODER_MISSING, value, 1);
    return code ? code : add_term(pipeline, &term, dense_plan(1), error);
}

/* What an unknown text's encoded column is. */
static int32_t unknown_index(const sv_term *term)
{
    return term->unknown == SV_UNKNOWN_ERROR ? -2 : term->unknown == SV_UNKNOWN_COLUMN ? term->unknown_column : -1;
}

static int32_t level_index(const sv_term *term, const char *text, size_t length)
{
    if (term->encoder == SV_ENCODER_HASH)
        return (int32_t)((sv_murmur3(text, length) & 0x3fffffff) % term->width);
    int32_t category = sv_levels_find(term->categories, text, length);
    return category < 0 ? unknown_index(term) : term->columns ? term->columns[category] : category;
}

/* map: what the encoder says of each of the feature's levels, and of an unknown text. */
static int make_map(const sv_pipeline *pipeline, sv_term *term)
{
    const sv_levels *levels = sv_features_levels(pipeline->features, term->value);
    size_t n = sv_levels_count(levels), length;
    int32_t *map = sv_array(n + 1, sizeof *map);
    if (!map)
        return SV_E_MEMORY;
    map[0] = unknown_index(term);
    for (size_t i = 0; i < n; i++) {
        const char *text = sv_levels_text(levels, i, &length);
        map[i + 1] = level_index(term, text, length);
    }
    sv_free(term->map);
    term->map = map;
    return 0;
}

/* Categories that the feature's levels lack get a level, so that a request's text finds its code; earlier terms learn of it. */
static int add_levels(sv_pipeline *pipeline, int value, const sv_levels *categories)
{
    sv_levels *levels = sv_features_own_levels(pipeline->features, value);
    size_t before = sv_levels_count(levels), length;
    for (size_t i = 0; i < sv_levels_count(categories); i++) {
        const char *text = sv_levels_text(categories, i, &length);
        int32_t code = sv_levels_add(levels, text, length);
        if (code < 0)
            return code;
    }
    for (size_t t = 0; t < pipeline->n_terms && sv_levels_count(levels) > before; t++)
        if (pipeline->terms[t].map && sv_features_levels(pipeline->features, pipeline->terms[t].value) == levels && make_map(pipeline, &pipeline->terms[t]))
            return SV_E_MEMORY;
    return 0;
}

static int copy_columns(sv_term *term, const int32_t *columns)
{
    size_t n = sv_levels_count(term->categories);
    term->columns = sv_array(n, sizeof *term->columns);
    if (!term->columns)
        return SV_E_MEMORY;
    for (size_t i = 0; i < n; i++)
        term->columns[i] = columns ? columns[i] : (int32_t)i;
    return 0;
}

static size_t category_width(const sv_term *term)
{
    int32_t last = term->unknown == SV_UNKNOWN_COLUMN ? term->unknown_column : 0;
    for (size_t i = 0; i < sv_levels_count(term->categories); i++)
        last = term->columns[i] > last ? term->columns[i] : last;
    return last < 0 ? 0 : (size_t)last + 1;
}

int sv_pipeline_add_category(sv_pipeline *pipeline, int value, const sv_levels *categories, const int32_t *columns, sv_unknown unknown,
                             int32_t unknown_column, sv_error *error)
{
    int code = check_kind(pipeline, value, SV_KIND_TEXT, error);
    code = code ? code : sv_levels_check_utf8(categories, sv_features_name(pipeline->features, value), error);
    sv_term term = new_term(SV_ENCODER_CATEGORY, value, 0);
    term.unknown = unknown;
    term.unknown_column = unknown == SV_UNKNOWN_COLUMN ? unknown_column : -1;
    for (size_t i = 0; columns && !code && i < sv_levels_count(categories); i++)
        if (columns[i] < -1 || columns[i] >= SV_WIDTH_MAX)
            code = sv_error_set(error, SV_E_CONFIG, "a category's encoded column is %d", columns[i]);
    if (!code && unknown == SV_UNKNOWN_COLUMN && (unknown_column < 0 || unknown_column >= SV_WIDTH_MAX))
        code = sv_error_set(error, SV_E_CONFIG, "the unknown texts' encoded column is %d", unknown_column);
    if (code)
        return code;
    if (add_levels(pipeline, value, categories) || sv_levels_copy(&term.categories, categories) || copy_columns(&term, columns) ||
        make_map(pipeline, &term)) {
        free_term(&term);
        return out_of_memory(error);
    }
    term.width = category_width(&term);
    return add_term(pipeline, &term, index_plan(term.width), error);
}

int sv_pipeline_add_ordinal(sv_pipeline *pipeline, int value, const sv_levels *categories, sv_unknown unknown, sv_error *error)
{
    int code = check_kind(pipeline, value, SV_KIND_TEXT, error);
    code = code ? code : sv_levels_check_utf8(categories, sv_features_name(pipeline->features, value), error);
    sv_term term = new_term(SV_ENCODER_ORDINAL, value, 1);
    term.unknown = unknown == SV_UNKNOWN_ERROR ? unknown : SV_UNKNOWN_ZEROS;
    if (code)
        return code;
    if (add_levels(pipeline, value, categories) || sv_levels_copy(&term.categories, categories) || make_map(pipeline, &term)) {
        free_term(&term);
        return out_of_memory(error);
    }
    return add_term(pipeline, &term, dense_plan(1), error);
}

int sv_pipeline_add_hash(sv_pipeline *pipeline, int value, size_t n_buckets, sv_error *error)
{
    int code = check_kind(pipeline, value, SV_KIND_TEXT, error);
    sv_term term = new_term(SV_ENCODER_HASH, value, n_buckets);
    if (code)
        return code;
    if (!n_buckets || n_buckets > SV_WIDTH_MAX)
        return sv_error_set(error, SV_E_LIMIT, "%zu hash buckets; 1 to %d are possible", n_buckets, SV_WIDTH_MAX);
    if (make_map(pipeline, &term))
        return out_of_memory(error);
    if ((size_t)value < pipeline->features->n_columns)
        pipeline->features->columns[value].hashed = 1; // what a text feature is made of is hashed already
    return add_term(pipeline, &term, index_plan(n_buckets), error);
}

static int copy_points(sv_term *term, const double *points, size_t n, sv_error *error)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(points[i]) || (i && !(points[i - 1] < points[i])))
            return sv_error_set(error, SV_E_CONFIG, "bin edges and spline knots must be finite and ascend");
    if (!(term->points = sv_array(n, sizeof(double))))
        return out_of_memory(error);
    if (n)
        memcpy(term->points, points, n * sizeof(double));
    term->n_points = n;
    return 0;
}

int sv_pipeline_add_bins(sv_pipeline *pipeline, int value, const double *points, size_t n_points, int drop_first, sv_error *error)
{
    int code = check_kind(pipeline, value, SV_KIND_NUMBER, error);
    sv_term term = new_term(SV_ENCODER_BINS, value, n_points + !drop_first);
    term.drop_first = !!drop_first;
    if (!code && (n_points < 1 || n_points > SV_WIDTH_MAX - 1))
        code = sv_error_set(error, SV_E_LIMIT, "%zu bin edges", n_points);
    code = code ? code : copy_points(&term, points, n_points, error);
    return code ? code : add_term(pipeline, &term, index_plan(term.width), error);
}

int sv_pipeline_add_spline(sv_pipeline *pipeline, int value, const double *knots, size_t n_knots, sv_error *error)
{
    int code = check_kind(pipeline, value, SV_KIND_NUMBER, error);
    sv_term term = new_term(SV_ENCODER_SPLINE, value, n_knots - 1);
    if (!code && (n_knots < 3 || n_knots > 1000))
        code = sv_error_set(error, SV_E_LIMIT, "%zu spline knots; 3 to 1000 are possible", n_knots);
    code = code ? code : copy_points(&term, knots, n_knots, error);
    return code ? code : add_term(pipeline, &term, dense_plan(term.width), error);
}

/* Whose encoded column is left * width(right) + right, in terms of dense and index parts. */
static sv_plan pair_plan(const sv_plan *left, const sv_plan *right, size_t right_width)
{
    if (left->n_index && right->n_index)
        return index_plan(left->n_index * right->n_index);
    if (left->n_dense && right->n_dense)
        return dense_plan(left->n_dense * right->n_dense);
    if (left->n_dense)
        return (sv_plan){.n_dense = left->n_dense, .n_index = right->n_index, .dense_stride = right_width, .index_stride = 1};
    return (sv_plan){.n_dense = right->n_dense, .n_index = left->n_index, .dense_stride = 1, .index_stride = right_width};
}

int sv_pipeline_add_pair(sv_pipeline *pipeline, int left, int right, sv_error *error)
{
    int n = (int)pipeline->n_terms;
    if (left < 0 || right < 0 || left >= n || right >= n || pipeline->terms[left].encoder == SV_ENCODER_PAIR ||
        pipeline->terms[right].encoder == SV_ENCODER_PAIR)
        return sv_error_set(error, SV_E_CONFIG, "a pair needs two earlier terms that are no pairs");
    sv_term term = new_term(SV_ENCODER_PAIR, -1, pipeline->terms[left].width * pipeline->terms[right].width);
    term.left = left;
    term.right = right;
    return add_term(pipeline, &term, pair_plan(&pipeline->plans[left], &pipeline->plans[right], pipeline->terms[right].width), error);
}

size_t sv_pipeline_n_terms(const sv_pipeline *pipeline)
{
    return pipeline->n_terms;
}

sv_term *sv_pipeline_term(sv_pipeline *pipeline, size_t term)
{
    return &pipeline->terms[term];
}

const sv_term *sv_pipeline_term_const(const sv_pipeline *pipeline, size_t term)
{
    return &pipeline->terms[term];
}

/* ---- the head */

double *sv_pipeline_intercept(sv_pipeline *pipeline)
{
    return pipeline->intercept;
}

const double *sv_pipeline_intercept_const(const sv_pipeline *pipeline)
{
    return pipeline->intercept;
}

sv_task sv_pipeline_task(const sv_pipeline *pipeline)
{
    return pipeline->task;
}

size_t sv_pipeline_n_scores(const sv_pipeline *pipeline)
{
    return pipeline->n_scores;
}

const sv_features *sv_pipeline_features(const sv_pipeline *pipeline)
{
    return pipeline->features;
}

void sv_pipeline_set_threshold(sv_pipeline *pipeline, double threshold)
{
    pipeline->threshold = threshold;
}

double sv_pipeline_threshold(const sv_pipeline *pipeline)
{
    return pipeline->threshold;
}

int sv_pipeline_set_target(sv_pipeline *pipeline, const char *name, sv_error *error)
{
    size_t length = strlen(name);
    if (!length || length > SV_NAME_MAX - 16)
        return sv_error_set(error, SV_E_CONFIG, "the target's name must have 1 to %d bytes", SV_NAME_MAX - 16);
    char *copy = sv_strdup(name);
    if (!copy)
        return out_of_memory(error);
    sv_free(pipeline->target);
    pipeline->target = copy;
    pipeline->finished = 0;
    return 0;
}

const char *sv_pipeline_target(const sv_pipeline *pipeline)
{
    return pipeline->target;
}

int sv_pipeline_set_csv_form(sv_pipeline *pipeline, const sv_csv_form *form, sv_error *error)
{
    int code = 0;
    sv_csv_form *copy = sv_csv_form_is_usual(form) ? NULL : sv_csv_form_copy(form, &code, error);
    if (code)
        return code;
    sv_free(pipeline->csv_form);
    pipeline->csv_form = copy;
    return 0;
}

const sv_csv_form *sv_pipeline_csv_form(const sv_pipeline *pipeline)
{
    static const sv_csv_form usual = SV_CSV_FORM_INIT;
    return pipeline->csv_form ? pipeline->csv_form : &usual;
}

int sv_pipeline_set_classes(sv_pipeline *pipeline, const char *const *classes, size_t n, sv_error *error)
{
    if (pipeline->task != SV_TASK_MULTINOMIAL || n != pipeline->n_scores)
        return sv_error_set(error, SV_E_CONFIG, "%zu classes for %zu scores of a %s model", n, pipeline->n_scores, sv_task_name(pipeline->task));
    char **copy = sv_calloc(n, sizeof *copy);
    for (size_t i = 0; copy && i < n; i++)
        if (!(copy[i] = sv_strdup(classes[i]))) {
            free_texts(copy, n);
            copy = NULL;
        }
    if (!copy)
        return out_of_memory(error);
    free_texts(pipeline->classes, pipeline->n_scores);
    pipeline->classes = copy;
    pipeline->finished = 0;
    return 0;
}

const char *sv_pipeline_class(const sv_pipeline *pipeline, size_t k)
{
    return pipeline->classes ? pipeline->classes[k] : NULL;
}

void sv_pipeline_set_uncalibrated(sv_pipeline *pipeline)
{
    sv_free(pipeline->calibration.x);
    pipeline->calibration = (sv_calibration){.kind = SV_CALIBRATION_NONE};
}

int sv_pipeline_is_calibrated(const sv_pipeline *pipeline)
{
    return pipeline->calibration.kind != SV_CALIBRATION_NONE;
}

int sv_pipeline_set_platt(sv_pipeline *pipeline, double slope, double offset, sv_error *error)
{
    if (pipeline->task != SV_TASK_BINARY || !isfinite(slope) || !isfinite(offset))
        return sv_error_set(error, SV_E_CONFIG, "Platt's calibration needs a binary model, a finite slope and a finite offset");
    sv_pipeline_set_uncalibrated(pipeline);
    pipeline->calibration = (sv_calibration){.kind = SV_CALIBRATION_PLATT, .slope = slope, .offset = offset};
    return 0;
}

static int isotonic_is_sound(const double *x, const double *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]) || !(y[i] >= 0 && y[i] <= 1) || (i && (!(x[i - 1] < x[i]) || y[i - 1] > y[i])))
            return 0;
    return n >= 1 && n <= SV_WIDTH_MAX;
}

int sv_pipeline_set_isotonic(sv_pipeline *pipeline, const double *x, const double *y, size_t n, sv_error *error)
{
    if (pipeline->task != SV_TASK_BINARY || !isotonic_is_sound(x, y, n))
        return sv_error_set(error, SV_E_CONFIG, "isotonic calibration needs a binary model, ascending finite x, and y within [0, 1] that does not descend");
    double *block = sv_array(5 * n + 3, sizeof *block);
    if (!block)
        return out_of_memory(error);
    sv_pipeline_set_uncalibrated(pipeline);
    sv_calibration c = {.kind = SV_CALIBRATION_ISOTONIC, .n = n, .x = block, .y = block + n};
    c.piece_x = block + 2 * n;
    c.piece_y = c.piece_x + n + 1;
    c.piece_slope = c.piece_y + n + 1;
    memcpy(c.x, x, n * sizeof *x);
    memcpy(c.y, y, n * sizeof *y);
    for (size_t i = 0; i <= n; i++) {
        size_t from = i ? i - 1 : 0;
        c.piece_x[i] = x[from];
        c.piece_y[i] = y[from];
        c.piece_slope[i] = i && i < n ? (y[i] - y[i - 1]) / (x[i] - x[i - 1]) : 0;
    }
    pipeline->calibration = c;
    return 0;
}

int32_t sv_pipeline_code(const sv_pipeline *pipeline, int column, const char *text, size_t length)
{
    return sv_features_code(pipeline->features, column, text, length);
}

size_t sv_pipeline_n_outputs(const sv_pipeline *pipeline)
{
    return pipeline->n_outputs;
}

const char *sv_pipeline_output_name(const sv_pipeline *pipeline, size_t output)
{
    return pipeline->outputs[output];
}

sv_type sv_pipeline_output_type(const sv_pipeline *pipeline, size_t output)
{
    if (pipeline->task == SV_TASK_BINARY)
        return output == 0 ? SV_DOUBLE : SV_LONG;
    return pipeline->task == SV_TASK_MULTINOMIAL && output == 0 ? SV_STRING : SV_DOUBLE;
}
