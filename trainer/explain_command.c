/* explain_command.c: `solvent explain`: the coefficients in raw units; with rows, what each feature adds to a row's score. */
#include "alloc.h"
#include "commands.h"
#include "model_rows.h"
#include "model_source.h"
#include "number.h"
#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 512 };

/* One encoded column of one score. Encoded (x - mean) / scale times w is x times w / scale, less w * mean / scale, which belongs to the intercept. */
typedef struct coefficient {
    double weight, standardized, moved;
} coefficient;

static coefficient coefficient_of(const sv_term *term, size_t column, size_t k, size_t n_scores)
{
    double w = term->weights[column * n_scores + k], scale = term->scale ? term->scale[column] : 1, mean = term->mean ? term->mean[column] : 0;
    return (coefficient){w / scale, w, w * mean / scale};
}

static double raw_intercept(const sv_pipeline *p, size_t k)
{
    double sum = sv_pipeline_intercept_const(p)[k];
    for (size_t t = 0; t < sv_pipeline_n_terms(p); t++) {
        const sv_term *term = sv_pipeline_term_const(p, t);
        for (size_t j = 0; j < term->width && !term->shadow; j++)
            sum -= coefficient_of(term, j, k, sv_pipeline_n_scores(p)).moved;
    }
    return sum;
}

/* Feature and level of an encoded column: "job" and "admin.", or "balance" and nothing. */
static void name_of(const sv_pipeline *p, size_t t, size_t column, char feature[NAME_BYTES], const char **level, char whole[NAME_BYTES])
{
    const sv_term *term = sv_pipeline_term_const(p, t);
    sv_pipeline_column_name(p, t, column, whole, NAME_BYTES);
    snprintf(feature, NAME_BYTES, "%s", term->value < 0 ? whole : sv_features_name(sv_pipeline_features(p), term->value));
    size_t length = strlen(feature);
    *level = NULL;
    if (term->value >= 0 && !strncmp(whole, feature, length) && whole[length] == '=')
        *level = whole + length + 1;
    else if (strcmp(whole, feature) != 0)
        *level = whole;
}

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static void explain_model(const sv_pipeline *p, int as_json)
{
    size_t n_scores = sv_pipeline_n_scores(p);
    json_t *rows = json_array(), *intercepts = json_array();
    if (!as_json)
        printf("%-44s %20s %14s\n", "feature", "weight", "standardized");
    for (size_t k = 0; k < n_scores; k++) {
        const char *class_name = n_scores > 1 ? sv_pipeline_class(p, k) : NULL;
        json_array_append_new(intercepts, number(raw_intercept(p, k)));
        if (!as_json)
            printf("%s%s%-*s %20.10g\n", class_name ? class_name : "", class_name ? ": " : "", 44, "(intercept)", raw_intercept(p, k));
        for (size_t t = 0; t < sv_pipeline_n_terms(p); t++) {
            const sv_term *term = sv_pipeline_term_const(p, t);
            for (size_t j = 0; j < term->width && !term->shadow; j++) {
                char feature[NAME_BYTES], whole[NAME_BYTES];
                const char *level;
                coefficient c = coefficient_of(term, j, k, n_scores);
                name_of(p, t, j, feature, &level, whole);
                json_t *row = json_pack("{s:s,s:s?,s:o,s:o}", "feature", feature, "level", level, "weight", number(c.weight), "standardized", number(c.standardized));
                if (class_name)
                    json_object_set_new(row, "class", json_string(class_name));
                json_array_append_new(rows, row);
                if (!as_json)
                    printf("%s%s%-44s %20.10g %14.6f\n", class_name ? class_name : "", class_name ? ": " : "", whole, c.weight, c.standardized);
            }
        }
    }
    json_t *all = json_pack("{s:o,s:o}", "intercept", n_scores == 1 ? json_incref(json_array_get(intercepts, 0)) : json_incref(intercepts), "coefficients", rows);
    if (as_json) {
        json_dumpf(all, stdout, JSON_COMPACT);
        putchar('\n');
    }
    json_decref(all);
    json_decref(intercepts);
}

/* ---- rows ---- */

static const char *term_name(const sv_pipeline *p, size_t t, char name[NAME_BYTES])
{
    const sv_term *term = sv_pipeline_term_const(p, t);
    if (term->value >= 0 && term->encoder != SV_ENCODER_MISSING)
        return sv_features_name(sv_pipeline_features(p), term->value);
    sv_pipeline_column_name(p, t, 0, name, NAME_BYTES);
    if (term->encoder == SV_ENCODER_PAIR)
        name[strcspn(name, "=")] = '\0';
    return name;
}

static void print_header(const sv_pipeline *p)
{
    char name[NAME_BYTES];
    printf("row,%s(intercept)", sv_pipeline_n_scores(p) > 1 ? "class," : "");
    for (size_t t = 0; t < sv_pipeline_n_terms(p); t++)
        if (!sv_pipeline_term_const(p, t)->shadow)
            printf(",\"%s\"", term_name(p, t, name));
    printf(",score\n");
}

static void print_row(const sv_pipeline *p, const double *contributions, size_t row, size_t k, double score, int as_json)
{
    char name[NAME_BYTES], text[SV_NUMBER_SIZE];
    const char *class_name = sv_pipeline_n_scores(p) > 1 ? sv_pipeline_class(p, k) : NULL;
    json_t *object = as_json ? json_object() : NULL;
    sv_format_double(text, contributions[0]);
    if (!as_json)
        printf("%zu,%s%s%s", row, class_name ? class_name : "", class_name ? "," : "", text);
    for (size_t t = 0; t < sv_pipeline_n_terms(p); t++) {
        if (sv_pipeline_term_const(p, t)->shadow)
            continue;
        if (as_json) {
            const char *key = term_name(p, t, name);
            json_t *old = json_object_get(object, key); /* a feature with two terms */
            json_object_set_new(object, key, number(contributions[1 + t] + (old ? json_real_value(old) : 0)));
            continue;
        }
        sv_format_double(text, contributions[1 + t]);
        printf(",%s", text);
    }
    if (as_json) {
        json_t *line = json_pack("{s:I,s:s*,s:o,s:o,s:o}", "row", (json_int_t)row, "class", class_name, "score", number(score), "intercept", number(contributions[0]),
                                 "contributions", object);
        json_dumpf(line, stdout, JSON_COMPACT);
        json_decref(line);
        putchar('\n');
        return;
    }
    sv_format_double(text, score);
    printf(",%s\n", text);
}

static int explain_block(const sv_pipeline *p, sv_scorer *scorer, const sv_block *block, size_t first, double *contributions, int as_json, sv_error *error)
{
    sv_error inner = SV_ERROR_INIT;
    if (sv_scorer_run(scorer, block, &inner))
        return sv_error_set(error, inner.code, "row %ld: %s", (long)first + sv_scorer_bad_row(scorer) + 1, inner.message);
    for (size_t row = 0; row < block->n_rows; row++)
        for (size_t k = 0; k < sv_pipeline_n_scores(p); k++) {
            sv_scorer_explain(scorer, row, k, contributions);
            print_row(p, contributions, first + row + 1, k, sv_scorer_score(scorer, k)[row], as_json);
        }
    return 0;
}

static int explain_table(const sv_pipeline *p, const sv_table *table, int as_json, sv_error *error)
{
    sv_binding *binding = NULL;
    sv_scorer *scorer = NULL;
    char *scratch = NULL;
    double *contributions = sv_array(sv_pipeline_n_terms(p) + 1, sizeof *contributions);
    int code = sv_binding_new(&binding, sv_pipeline_features(p), table, error);
    if (!code && (!contributions || sv_scorer_new(&scorer, p) || !(scratch = sv_aligned(64, sv_binding_scratch_size(binding) + 64))))
        code = sv_error_set(error, SV_E_MEMORY, "explain: out of memory");
    if (!code && !as_json)
        print_header(p);
    for (size_t row = 0; row < table->n_rows && !code; row += SV_BLOCK_ROWS) {
        sv_block block;
        sv_binding_block(binding, row, table->n_rows - row < SV_BLOCK_ROWS ? table->n_rows - row : SV_BLOCK_ROWS, scratch, &block);
        code = sv_interrupted() ? sv_error_set(error, SV_E_INTERRUPTED, "interrupted") : explain_block(p, scorer, &block, row, contributions, as_json, error);
    }
    sv_scorer_free(scorer);
    sv_binding_free(binding);
    sv_free(scratch);
    sv_free(contributions);
    return code;
}

static int explain_rows(const sv_pipeline *p, const char *input, int as_json, sv_error *error)
{
    sv_model_rows rows;
    sv_source source = SV_SOURCE_INIT;
    sv_table table = {0};
    char first[4096];
    size_t got = 0;
    int code = sv_model_rows_begin(&rows, p, error);
    if (!code)
        code = sv_source_open(&source, input, error);
    if (!code)
        code = sv_source_read(&source, 0, first, source.size < sizeof first ? (size_t)source.size : sizeof first, &got, error);
    sv_model_rows_delimiter(&rows, p, first, got);
    if (!code)
        code = sv_csv_read(&table, NULL, &source, 1, &rows.options, NULL, error);
    const char **header = code ? NULL : sv_calloc(table.n_columns + 1, sizeof *header);
    if (!code && !header)
        code = sv_error_set(error, SV_E_MEMORY, "explain: out of memory");
    for (size_t c = 0; c < table.n_columns && !code; c++)
        header[c] = table.columns[c].name;
    if (!code)
        code = sv_model_check_columns(p, header, table.n_columns, input, error);
    sv_free(header);
    if (!code)
        code = explain_table(p, &table, as_json, error);
    sv_table_free(&table);
    sv_source_close(&source);
    sv_model_rows_free(&rows);
    return code;
}

int sv_run_explain(const sv_arguments *arguments, sv_error *error)
{
    sv_package package = {0};
    int code = sv_model_load(&package, arguments->model, NULL, error);
    sv_interrupt_watch();
    if (code)
        return code;
    if (arguments->input)
        code = explain_rows(package.pipeline, arguments->input, arguments->json, error);
    else
        explain_model(package.pipeline, arguments->json);
    sv_package_free(&package);
    return code;
}
