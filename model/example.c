/* example.c: rows that show what a request looks like: the caller's own, or one made from the training profile and the categories. */
#include "date.h"
#include "example.h"
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

/* The most frequent text, or the column's first known one. */
static int write_usual_text(sv_buffer *json, const sv_raw *column, const sv_profile_value *value)
{
    if (value && value->is_text && value->n_levels)
        return sv_json_text(json, value->levels[0]);
    size_t length = 0;
    const char *text = sv_levels_count(column->levels) ? sv_levels_text(column->levels, 0, &length) : "";
    return sv_json_string(json, text, length);
}

static int write_usual_value(sv_buffer *json, const sv_raw *column, const sv_profile *profile)
{
    const sv_profile_value *value = profile ? sv_profile_find(profile, column->name) : NULL;
    if (column->type == SV_STRING)
        return write_usual_text(json, column, value);
    double number = value && !value->is_text && isfinite(value->median) ? value->median : 0;
    if (column->type != SV_DOUBLE)
        number = floor(number);
    return write_value(json, column, &number, 0);
}

static int write_usual_row(sv_buffer *json, const sv_features *features, const sv_profile *profile)
{
    int code = sv_buffer_byte(json, '[');
    for (size_t c = 0; c < features->n_columns && !code; c++) {
        code = c ? sv_buffer_text(json, ", ") : 0;
        code = code ? code : write_usual_value(json, &features->columns[c], profile);
    }
    return code ? code : sv_buffer_byte(json, ']');
}

int sv_example_write(sv_buffer *json, const sv_pipeline *pipeline, const sv_block *block, const sv_profile *profile)
{
    const sv_features *features = pipeline->features;
    size_t n = block ? block->n_rows : 0;
    int code = write_column_names(json, features);
    for (size_t row = 0; row < n && row < EXAMPLE_ROWS && !code; row++)
        code = write_row(json, features, block, row);
    if (!n && !code)
        code = write_usual_row(json, features, profile);
    return code ? code : sv_buffer_text(json, "]}");
}
