/* example.c: rows that show what a request looks like: the caller's own, or one made from the training profile and the categories; and what the model
   answers to them. */
#include "example.h"

#include "alloc.h"
#include "date.h"
#include "package_json.h"
#include "pipeline_private.h"

#include <math.h>
#include <string.h>

enum { EXAMPLE_ROWS = 5 };

static int write_value(sv_buffer *json, const sv_raw *column, const void *values, size_t row)
{
    if (column->type == SV_STRING) {
        int32_t code = ((const int32_t *)values)[row];
        size_t length = 0;
        const char *text = code >= 0 ? sv_levels_text(column->levels, (size_t)code, &length) : "";
        return sv_json_string(json, text, length);
    }
    double number = ((const double *)values)[row];
    if (column->type == SV_BOOLEAN && number == number)
        return sv_buffer_text(json, number != 0 ? "true" : "false");
    if (column->type == SV_DATE && number == number) {
        char date[SV_DATE_SIZE];
        sv_date_format(date, number);
        return sv_buffer_format(json, "\"%s\"", date);
    }
    if (column->type == SV_DOUBLE && number == floor(number) && fabs(number) < 1e15)
        return sv_buffer_format(json, "%.1f", number); // a reader without the signature must not take it for a whole number
    return sv_json_number(json, number);
}

static int write_column_names(sv_buffer *json, const sv_features *features)
{
    int code = sv_buffer_text(json, "{\"columns\": [");
    for (size_t c = 0; c < features->n_columns && !code; c++) {
        code = c ? sv_buffer_text(json, ", ") : 0;
        code = code ? code : sv_json_text(json, features->columns[c].name);
    }
    return code ? code : sv_buffer_text(json, "], \"data\": [");
}

static int write_row(sv_buffer *json, const sv_features *features, const sv_block *block, size_t row)
{
    int code = sv_buffer_text(json, row ? ", [" : "[");
    for (size_t c = 0; c < features->n_columns && !code; c++) {
        code = c ? sv_buffer_text(json, ", ") : 0;
        code = code ? code : write_value(json, &features->columns[c], block->columns[c], row);
    }
    return code ? code : sv_buffer_byte(json, ']');
}

/* ---- which rows */

/* The most frequent text that a request can say, or the column's first. */
static int32_t usual_text(const sv_features *features, int column, const sv_profile_value *value)
{
    int32_t code = value && value->is_text && value->n_levels ? sv_features_code(features, column, value->levels[0], strlen(value->levels[0])) : -1;
    if (code >= 0 || sv_levels_count(features->columns[column].levels))
        return code >= 0 ? code : 0;
    return sv_features_code(features, column, "", 0);
}

static double usual_number(const sv_raw *column, const sv_profile_value *value)
{
    double number = value && !value->is_text && isfinite(value->median) ? value->median : 0;
    return column->type == SV_DOUBLE ? number : floor(number);
}

static void fill_usual_row(sv_example *example, const sv_features *features, const sv_profile *profile)
{
    example->block.n_rows = 1;
    for (size_t c = 0; c < features->n_columns; c++) {
        const sv_raw *column = &features->columns[c];
        const sv_profile_value *value = profile ? sv_profile_find(profile, column->name) : NULL;
        if (column->type == SV_STRING)
            *(int32_t *)example->columns[c] = usual_text(features, (int)c, value);
        else
            *(double *)example->columns[c] = usual_number(column, value);
    }
}

/* A text that no level holds is written as the missing one: from here on it is that. */
static void copy_rows(sv_example *example, const sv_features *features, const sv_block *block)
{
    example->block.n_rows = block->n_rows < EXAMPLE_ROWS ? block->n_rows : EXAMPLE_ROWS;
    for (size_t c = 0; c < features->n_columns; c++)
        for (size_t row = 0; row < example->block.n_rows; row++)
            if (features->columns[c].type == SV_STRING) {
                int32_t code = ((const int32_t *)block->columns[c])[row];
                ((int32_t *)example->columns[c])[row] = code >= 0 ? code : sv_features_code(features, (int)c, "", 0);
            } else {
                ((double *)example->columns[c])[row] = ((const double *)block->columns[c])[row];
            }
}

int sv_example_take(sv_example *example, const sv_pipeline *pipeline, const sv_block *block, const sv_profile *profile)
{
    const sv_features *features = pipeline->features;
    *example = (sv_example){.columns = sv_calloc(features->n_columns + 1, sizeof *example->columns), .values = sv_calloc(features->n_columns + 1, EXAMPLE_ROWS * sizeof(double))};
    if (!example->columns || !example->values)
        return SV_E_MEMORY;
    for (size_t c = 0; c < features->n_columns; c++)
        example->columns[c] = example->values + c * EXAMPLE_ROWS;
    example->block.columns = (const void *const *)example->columns;
    if (block && block->n_rows)
        copy_rows(example, features, block);
    else
        fill_usual_row(example, features, profile);
    return 0;
}

void sv_example_free(sv_example *example)
{
    sv_free(example->columns);
    sv_free(example->values);
}

/* ---- as JSON */

int sv_example_write(sv_buffer *json, const sv_pipeline *pipeline, const sv_example *example)
{
    int code = write_column_names(json, pipeline->features);
    for (size_t row = 0; row < example->block.n_rows && !code; row++)
        code = write_row(json, pipeline->features, &example->block, row);
    return code ? code : sv_buffer_text(json, "]}");
}

static int write_output(sv_buffer *json, const sv_pipeline *pipeline, size_t output, double value)
{
    sv_type type = sv_pipeline_output_type(pipeline, output);
    if (type == SV_STRING)
        return sv_json_text(json, sv_pipeline_class(pipeline, (size_t)value));
    if (!isfinite(value)) /* a row without an answer */
        return sv_buffer_text(json, "null");
    return type == SV_LONG ? sv_buffer_format(json, "%.0f", value) : sv_json_number(json, value);
}

static int write_answer(sv_buffer *json, const sv_pipeline *pipeline, const sv_scorer *scorer, size_t row)
{
    int code = sv_buffer_text(json, row ? ", {" : "{");
    for (size_t output = 0; output < sv_pipeline_n_outputs(pipeline) && !code; output++) {
        code = output ? sv_buffer_text(json, ", ") : 0;
        code = code ? code : sv_json_text(json, sv_pipeline_output_name(pipeline, output));
        code = code ? code : sv_buffer_text(json, ": ");
        code = code ? code : write_output(json, pipeline, output, sv_scorer_output(scorer, output)[row]);
    }
    return code ? code : sv_buffer_byte(json, '}');
}

int sv_example_write_answers(sv_buffer *json, const sv_pipeline *pipeline, const sv_example *example)
{
    sv_scorer *scorer = NULL;
    int code = sv_scorer_new(&scorer, pipeline);
    if (!code)
        sv_scorer_run(scorer, &example->block, NULL); /* a row without an answer holds nulls */
    code = code ? code : sv_buffer_text(json, "{\"predictions\": [");
    for (size_t row = 0; row < example->block.n_rows && !code; row++)
        code = write_answer(json, pipeline, scorer, row);
    sv_scorer_free(scorer);
    return code ? code : sv_buffer_text(json, "]}");
}
