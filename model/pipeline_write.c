/* pipeline_write.c: a pipeline as JSON: one line a column, feature and term, keys in a fixed order, so that the same pipeline gives the same bytes.

       {"format": "native-tabular", "version": 1, "task": "binary", "target": "surplus", "threshold": 0.5,
        "columns": [{"name": "age", "type": "long"}, …],                      a column that may be absent: "optional": true
        "derived": [{"name": "risk_flag", "expression": "balance < 0"}, …],
        "terms": [{"encoder": "number", "value": "age", "fill": 40.9, "mean": [40.9], "scale": [10.6], "weights": [0.1]},
                  {"encoder": "category", "value": "job", "unknown": "zeros", "categories": ["admin.", …], "columns": [-1, 0, …], "weights": […]}, …],
        "intercept": [-2.5], "calibration": {"kind": "platt", "slope": 1.1, "offset": 0.02},
        "csv": {"delimiter": "", "quote": "\"", "no_header": false, "no_trim": false, "date_format": "%y%m%d", "missing": ["NA"]}}

   weights are (width, K) row by row; fill null: a missing value is refused; csv (csv_form.h) only where it is not the usual. The reader is pipeline_read.c. */
#include "package_json.h"
#include "package.h"
#include "pipeline_private.h"

typedef struct writer {
    sv_buffer *json;
    int code; // first error; later calls do nothing
} writer;

static void raw(writer *w, const char *text)
{
    w->code = w->code ? w->code : sv_buffer_text(w->json, text);
}

static void text(writer *w, const char *value)
{
    w->code = w->code ? w->code : sv_json_text(w->json, value);
}

static void key(writer *w, const char *name)
{
    raw(w, ", ");
    text(w, name);
    raw(w, ": ");
}

static void text_field(writer *w, const char *name, const char *value)
{
    key(w, name);
    text(w, value);
}

static void number_field(writer *w, const char *name, double value)
{
    key(w, name);
    w->code = w->code ? w->code : sv_json_number(w->json, value);
}

static void numbers_field(writer *w, const char *name, const double *values, size_t n)
{
    key(w, name);
    w->code = w->code ? w->code : sv_json_numbers(w->json, values, n);
}

static void integers_field(writer *w, const char *name, const int32_t *values, size_t n)
{
    key(w, name);
    raw(w, "[");
    for (size_t i = 0; i < n; i++)
        w->code = w->code ? w->code : sv_buffer_format(w->json, "%s%d", i ? ", " : "", values[i]);
    raw(w, "]");
}

static void levels_field(writer *w, const char *name, const sv_levels *levels)
{
    size_t length;
    key(w, name);
    raw(w, "[");
    for (size_t i = 0; i < sv_levels_count(levels); i++) {
        const char *level = sv_levels_text(levels, i, &length);
        raw(w, i ? ", " : "");
        w->code = w->code ? w->code : sv_json_string(w->json, level, length);
    }
    raw(w, "]");
}

static void write_columns(writer *w, const sv_features *features)
{
    raw(w, ",\n \"columns\": [");
    for (size_t i = 0; i < features->n_columns; i++) {
        raw(w, i ? ",\n  {\"name\": " : "\n  {\"name\": ");
        text(w, features->columns[i].name);
        text_field(w, "type", sv_type_name(features->columns[i].type));
        raw(w, features->columns[i].optional ? ", \"optional\": true}" : "}");
    }
    raw(w, "],\n \"derived\": [");
    for (size_t i = 0; i < features->n_derived; i++) {
        raw(w, i ? ",\n  {\"name\": " : "\n  {\"name\": ");
        text(w, features->derived[i].name);
        text_field(w, "expression", sv_expr_text(features->derived[i].expr));
        raw(w, "}");
    }
    raw(w, "]");
}

static void write_categories(writer *w, const sv_term *term)
{
    static const char *const unknowns[] = {"zeros", "error", "column"};
    text_field(w, "unknown", unknowns[term->unknown]);
    if (term->unknown == SV_UNKNOWN_COLUMN)
        number_field(w, "unknown_column", term->unknown_column);
    levels_field(w, "categories", term->categories);
    if (term->columns)
        integers_field(w, "columns", term->columns, sv_levels_count(term->categories));
}

static void write_term(writer *w, const sv_pipeline *pipeline, const sv_term *term)
{
    raw(w, "{\"encoder\": ");
    text(w, sv_encoder_name(term->encoder));
    if (term->encoder == SV_ENCODER_PAIR) {
        number_field(w, "left", term->left);
        number_field(w, "right", term->right);
    } else
        text_field(w, "value", sv_features_name(pipeline->features, term->value));
    if (term->categories)
        write_categories(w, term);
    if (term->encoder == SV_ENCODER_HASH)
        number_field(w, "buckets", (double)term->width);
    if (term->points)
        numbers_field(w, "points", term->points, term->n_points);
    if (term->encoder == SV_ENCODER_BINS)
        raw(w, term->drop_first ? ", \"drop_first\": true" : ", \"drop_first\": false");
    if (sv_encoder_has_fill(term->encoder))
        number_field(w, "fill", term->fill);
    if (term->mean) {
        numbers_field(w, "mean", term->mean, term->width);
        numbers_field(w, "scale", term->scale, term->width);
    }
    if (term->shadow)
        raw(w, ", \"shadow\": true");
    numbers_field(w, "weights", term->weights, term->width * pipeline->n_scores);
    raw(w, "}");
}

static void write_calibration(writer *w, const sv_calibration *c)
{
    if (c->kind == SV_CALIBRATION_NONE)
        return;
    raw(w, ",\n \"calibration\": {\"kind\": ");
    text(w, c->kind == SV_CALIBRATION_PLATT ? "platt" : "isotonic");
    if (c->kind == SV_CALIBRATION_PLATT) {
        number_field(w, "slope", c->slope);
        number_field(w, "offset", c->offset);
    } else {
        numbers_field(w, "x", c->x, c->n);
        numbers_field(w, "y", c->y, c->n);
    }
    raw(w, "}");
}

static void write_csv_form(writer *w, const sv_csv_form *form)
{
    if (!form)
        return;
    raw(w, ",\n \"csv\": {\"delimiter\": ");
    text(w, (char[]){form->delimiter, '\0'});
    text_field(w, "quote", (char[]){form->quote, '\0'});
    raw(w, form->header ? ", \"no_header\": false" : ", \"no_header\": true");
    raw(w, form->trim ? ", \"no_trim\": false" : ", \"no_trim\": true");
    text_field(w, "date_format", form->date_format);
    key(w, "missing");
    for (size_t i = 0; i < form->n_missing; i++) {
        raw(w, i ? ", " : "[");
        text(w, form->missing[i]);
    }
    raw(w, form->n_missing ? "]}" : "[]}");
}

int sv_pipeline_write_json(sv_buffer *json, const sv_pipeline *pipeline, sv_error *error)
{
    writer w = {json, 0};
    if (!pipeline->finished)
        return sv_error_set(error, SV_E_CONFIG, "the pipeline is not finished");
    raw(&w, "{\"format\": \"native-tabular\", \"version\": 1");
    text_field(&w, "task", sv_task_name(pipeline->task));
    text_field(&w, "target", pipeline->target);
    number_field(&w, "threshold", pipeline->threshold);
    if (pipeline->classes) {
        key(&w, "classes");
        for (size_t k = 0; k < pipeline->n_scores; k++) {
            raw(&w, k ? ", " : "[");
            text(&w, pipeline->classes[k]);
        }
        raw(&w, "]");
    }
    write_columns(&w, pipeline->features);
    raw(&w, ",\n \"terms\": [");
    for (size_t i = 0; i < pipeline->n_terms; i++) {
        raw(&w, i ? ",\n  " : "\n  ");
        write_term(&w, pipeline, &pipeline->terms[i]);
    }
    raw(&w, "],\n \"intercept\": ");
    w.code = w.code ? w.code : sv_json_numbers(json, pipeline->intercept, pipeline->n_scores);
    write_calibration(&w, &pipeline->calibration);
    write_csv_form(&w, pipeline->csv_form);
    raw(&w, "}\n");
    if (w.code == SV_E_INPUT)
        return sv_error_set(error, SV_E_INPUT, "a name or category is not UTF-8 text");
    return w.code ? sv_error_set(error, w.code, "pipeline.json could not be written: %s", w.code == SV_E_MEMORY ? "out of memory" : "too large") : 0;
}
