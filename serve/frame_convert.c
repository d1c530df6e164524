/* frame_convert.c: cells of a frame -> typed columns, with the coercions of pandas and numpy that MLflow's clients see, except where those would
   give a wrong number without a word (a fraction or a too large number in a long column): those are refused. */
#include "frame.h"
#include "frame_date.h"
#include "json_out.h"
#include "mlflow_error.h"
#include "number.h"
#include "python_number.h"

#include <math.h>
#include <stdio.h>

#define LONG_LIMIT 9223372036854775808.0 /* 2^63 */

static const char *const missing_words[] = {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"};

static int is_missing_word(sv_span text)
{
    for (size_t i = 0; i < sizeof missing_words / sizeof *missing_words; i++)
        if (sv_span_is(text, missing_words[i]))
            return 1;
    return 0;
}

static int whole_number(double real, double *value)
{
    if (!(real >= -LONG_LIMIT && real < LONG_LIMIT) || real != floor(real))
        return -1;
    *value = real;
    return 0;
}

/* As the C parser of read_csv does: plain decimals with blanks around them. */
static sv_span trimmed(sv_span text)
{
    while (text.size && (*text.text == ' ' || *text.text == '\t'))
        text.text++, text.size--;
    while (text.size && (text.text[text.size - 1] == ' ' || text.text[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static int csv_long(sv_span text, double *value)
{
    int64_t whole;
    text = trimmed(text);
    if (sv_parse_int64(text.text, text.size, &whole) == 0) {
        *value = (double)whole;
        return 0;
    }
    return sv_parse_double(text.text, text.size, value) || *value <= -LONG_LIMIT ? -1 : whole_number(*value, value); /* 2.0, 1e3 */
}

static int csv_double(sv_span text, double *value)
{
    if (is_missing_word(text))
        return 0;
    text = trimmed(text);
    return sv_parse_double(text.text, text.size, value);
}

static int csv_boolean(sv_span text, double *value)
{
    *value = text.size == 4;
    return sv_span_is(text, "True") || sv_span_is(text, "true") || sv_span_is(text, "TRUE") || sv_span_is(text, "False") || sv_span_is(text, "false") ||
                   sv_span_is(text, "FALSE")
               ? 0
               : -1;
}

static int to_long(const sv_json *cell, sv_reading reading, double *value)
{
    int64_t whole;
    if (!cell)
        return -1;
    if (reading == SV_READ_CSV)
        return csv_long(cell->text, value);
    switch (cell->kind) {
    case SV_JSON_LONG:
        *value = (double)cell->whole;
        return 0;
    case SV_JSON_REAL:
        return whole_number(cell->real, value);
    case SV_JSON_TRUE:
    case SV_JSON_FALSE:
        *value = cell->kind == SV_JSON_TRUE;
        return 0;
    case SV_JSON_TEXT:
        if (sv_python_int(cell->text, &whole) != 0)
            return -1;
        *value = (double)whole;
        return 0;
    default:
        return -1;
    }
}

static int to_double(const sv_json *cell, sv_reading reading, double *value)
{
    *value = NAN;
    if (!cell || cell->kind == SV_JSON_NULL)
        return 0;
    switch (cell->kind) {
    case SV_JSON_LONG:
        *value = (double)cell->whole;
        return 0;
    case SV_JSON_BIG:
        *value = cell->real;
        return isinf(cell->real) ? -1 : 0;
    case SV_JSON_REAL:
        *value = cell->real;
        return 0;
    case SV_JSON_TRUE:
    case SV_JSON_FALSE:
        *value = cell->kind == SV_JSON_TRUE;
        return 0;
    case SV_JSON_TEXT:
        return reading == SV_READ_CSV ? csv_double(cell->text, value) : sv_python_float(cell->text, value);
    default: /* of numpy's empty array no value is left, which is missing */
        return reading == SV_READ_ARRAY && cell->kind == SV_JSON_LIST && cell->n == 0 ? 0 : -1;
    }
}

static int to_boolean(const sv_json *cell, sv_reading reading, double *value)
{
    *value = 0;
    if (reading == SV_READ_CSV)
        return cell ? csv_boolean(cell->text, value) : -1;
    if (!cell || cell->kind == SV_JSON_NULL)
        return 0;
    switch (cell->kind) {
    case SV_JSON_LONG:
        *value = cell->whole != 0;
        return 0;
    case SV_JSON_BIG:
        *value = 1;
        return 0;
    case SV_JSON_REAL:
        *value = cell->real != 0;
        return 0;
    case SV_JSON_TEXT:
        *value = cell->text.size != 0;
        return 0;
    case SV_JSON_TRUE:
        *value = 1;
        return 0;
    default:
        *value = cell->n != 0;
        return 0;
    }
}

/* numpy's texts of fixed width lose the NULs at their end. */
static sv_span without_end(sv_span text)
{
    while (text.size && text.text[text.size - 1] == 0)
        text.size--;
    return text;
}

/* str() of a scalar, as onnxruntime takes an object that is no text. */
static sv_span text_of(const sv_json *cell, sv_reading reading, char scratch[SV_NUMBER_SIZE])
{
    if (!cell || cell->kind == SV_JSON_NULL)
        return cell && reading == SV_READ_ARRAY ? (sv_span){"None", 4} : (sv_span){"", 0};
    switch (cell->kind) {
    case SV_JSON_TEXT:
        return reading == SV_READ_CSV && is_missing_word(cell->text) ? (sv_span){"", 0} : reading == SV_READ_ARRAY ? without_end(cell->text) : cell->text;
    case SV_JSON_TRUE:
        return (sv_span){"True", 4};
    case SV_JSON_FALSE:
        return (sv_span){"False", 5};
    case SV_JSON_LONG:
    case SV_JSON_BIG:
        return cell->text;
    case SV_JSON_REAL:
        if (isnan(cell->real))
            return reading == SV_READ_ARRAY ? (sv_span){"nan", 3} : (sv_span){"", 0};
        if (isinf(cell->real))
            return cell->real > 0 ? (sv_span){"inf", 3} : (sv_span){"-inf", 4};
        return (sv_span){scratch, sv_double_text(scratch, cell->real)};
    default:
        return (sv_span){NULL, 0};
    }
}

static int convert_cell(const sv_served *served, size_t input, const sv_json *cell, sv_reading reading, void *column, size_t row)
{
    double *number = (double *)column + row;
    switch (served->inputs[input].type) {
    case SV_LONG:
        return to_long(cell, reading, number);
    case SV_DOUBLE:
        return to_double(cell, reading, number);
    case SV_BOOLEAN:
        return to_boolean(cell, reading, number);
    case SV_DATE:
        return reading == SV_READ_CSV ? -1 : sv_frame_array_date(cell, number); /* read_csv knows no dates */
    default: {
        char scratch[SV_NUMBER_SIZE];
        sv_span text = text_of(cell, reading, scratch);
        ((int32_t *)column)[row] = text.text ? sv_features_code(served->features, (int)input, text.text, text.size) : -1;
        return 0;
    }
    }
}

static void describe_cell(char out[64], const sv_json *cell)
{
    if (!cell)
        snprintf(out, 64, "nothing");
    else if (cell->kind == SV_JSON_TEXT)
        snprintf(out, 64, "text of %zu bytes", cell->text.size);
    else if (cell->text.size)
        snprintf(out, 64, "%.*s%s", cell->text.size < 40 ? (int)cell->text.size : 40, cell->text.text, cell->text.size < 40 ? "" : "…");
    else
        snprintf(out, 64, "a %s", sv_json_python_type(cell));
}

static int refuse_cell(const sv_frame *frame, const sv_input *input, size_t row, const sv_json *cell, sv_reply *reply)
{
    static const char *const numpy_names[] = {[SV_LONG] = "int64", [SV_DOUBLE] = "float64", [SV_STRING] = "object", [SV_BOOLEAN] = "bool", [SV_DATE] = "datetime64[ns]"};
    char got[64];
    describe_cell(got, cell);
    if (frame->reading == SV_READ_ASTYPE)
        sv_mlflow_refuse(reply, SV_REFUSE_INPUT,
                         "Data is not compatible with model signature. Failed to convert column %s to type '%s'. Error: 'row %zu cannot be converted: got %s'",
                         input->name.text, numpy_names[input->type], row, got);
    else if (frame->reading == SV_READ_ARRAY)
        sv_mlflow_refuse(reply, SV_REFUSE_INPUT, "row %zu cannot be converted to %s: got %s", row, numpy_names[input->type], got);
    else
        sv_mlflow_refuse(reply, SV_REFUSE_MODEL,
                         "Failed to parse input as a Pandas DataFrame. Ensure that the input is a valid CSV-formatted Pandas DataFrame produced using the "
                         "`pandas.DataFrame.to_csv()` method. Error: 'column %s, row %zu: cannot be converted to %s: got %s'",
                         input->name.text, row, numpy_names[input->type], got);
    return -1;
}

/* The columns of each input: position in the frame, or -1. Doubled names are refused as pandas does. */
static int match_columns(const sv_frame *frame, const sv_served *served, long *positions, sv_reply *reply)
{
    for (size_t i = 0; i < served->n_inputs; i++)
        positions[i] = -1;
    for (size_t c = 0; c < frame->n_columns; c++) {
        int input = frame->names[c].text ? sv_served_input(served, frame->names[c].text, frame->names[c].size) : -1;
        if (input < 0)
            continue;
        if (positions[input] >= 0) {
            sv_mlflow_refuse(reply, served->inputs[input].type == SV_STRING || served->inputs[input].type == SV_DATE ? SV_REFUSE_INPUT : SV_REFUSE_SCHEMA,
                             "Data is not compatible with model signature: column %s is there twice.",
                             served->inputs[input].name.text);
            return -1;
        }
        positions[input] = (long)c;
    }
    return 0;
}

/* A CSV column of nothing but True and False is taken as 1 and 0 by a number column too. */
static int all_boolean(const sv_frame *frame, const sv_json *const *cells)
{
    double value;
    for (size_t row = 0; row < frame->n_rows; row++)
        if (!cells[row] || csv_boolean(cells[row]->text, &value))
            return 0;
    return frame->reading == SV_READ_CSV && frame->n_rows > 0;
}

/* What conversion lets through but the signature does not: arrays of more dimensions, and gaps in a column of whole numbers. */
static int refuse_form(const sv_frame *frame, const sv_input *input, const sv_json *const *cells, sv_reply *reply)
{
    int is_nested = 0, has_gap = 0;
    for (size_t row = 0; row < frame->n_rows; row++) {
        is_nested |= cells[row] && cells[row]->kind == SV_JSON_LIST && !(cells[row]->n == 0 && input->type == SV_DOUBLE);
        has_gap |= !cells[row] && input->type == SV_LONG;
    }
    if ((!is_nested || input->type == SV_STRING) && !has_gap)
        return 0;
    sv_mlflow_refuse(reply, SV_REFUSE_SCHEMA,
                     "Failed to predict data. \nError: Failed to enforce schema of data with the model's schema. Error: Incompatible input types for column %s. %s",
                     input->name.text, is_nested ? "Its values are lists." : "Some rows have no value.");
    return -1;
}

static int check_missing(const sv_served *served, const long *positions, sv_reply *reply)
{
    char names[3000];
    size_t used = 0;
    for (size_t i = 0; i < served->n_inputs; i++)
        if (positions[i] < 0 && !served->inputs[i].optional && used < sizeof names - 300)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s'%.250s'", used ? ", " : "", served->inputs[i].name.text);
    if (used == 0)
        return 0;
    sv_mlflow_refuse(reply, SV_REFUSE_SCHEMA, "Failed to predict data. \nError: Failed to enforce schema of data with the model's schema. Error: Model is missing inputs [%s].", names);
    return -1;
}

static void fill_missing(const sv_served *served, size_t input, void *column, size_t n_rows)
{
    for (size_t row = 0; row < n_rows; row++)
        if (served->inputs[input].type == SV_STRING)
            ((int32_t *)column)[row] = sv_features_code(served->features, (int)input, "", 0);
        else
            ((double *)column)[row] = NAN;
}

/* Dates of a split or of records: how they are written is a matter of the whole column. */
static int convert_dates(const sv_frame *frame, const sv_input *input, const sv_json *const *cells, double *days, sv_reply *reply)
{
    size_t bad = 0;
    switch (sv_frame_dates(cells, frame->n_rows, days, &bad)) {
    case SV_DATE_FINE:
        return 0;
    case SV_DATE_ZONED:
        sv_mlflow_refuse(reply, SV_REFUSE_SCHEMA,
                         "Failed to predict data. \nError: Failed to enforce schema of data with the model's schema. Error: Incompatible input types for column %s. "
                         "Its dates have a time zone.",
                         input->name.text);
        return -1;
    default:
        return refuse_cell(frame, input, bad, cells[bad], reply);
    }
}

static int convert_column(const sv_frame *frame, const sv_served *served, size_t i, const sv_json *const *cells, void *column, sv_reply *reply)
{
    const sv_input *input = &served->inputs[i];
    if (frame->reading == SV_READ_ARRAY && refuse_form(frame, input, cells, reply))
        return -1;
    if (frame->reading == SV_READ_ASTYPE && input->type == SV_DATE)
        return convert_dates(frame, input, cells, column, reply);
    int is_boolean = input->type != SV_STRING && input->type != SV_DATE && all_boolean(frame, cells);
    for (size_t row = 0; row < frame->n_rows; row++)
        if (is_boolean)
            csv_boolean(cells[row]->text, (double *)column + row);
        else if (convert_cell(served, i, cells[row], frame->reading, column, row))
            return refuse_cell(frame, input, row, cells[row], reply);
    return 0;
}

int sv_frame_convert(const sv_frame *frame, sv_arena *arena, const sv_served *served, void **columns, sv_reply *reply)
{
    long *positions = sv_arena_alloc(arena, (served->n_inputs + 1) * sizeof *positions);
    if (!positions) {
        sv_mlflow_refuse(reply, SV_REFUSE_LIMIT, "The request needs more memory than one request may take.");
        return -1;
    }
    if (match_columns(frame, served, positions, reply))
        return -1;
    for (size_t i = 0; i < served->n_inputs; i++) {
        columns[i] = sv_arena_alloc(arena, (frame->n_rows + 1) * sizeof(double));
        if (!columns[i]) {
            sv_mlflow_refuse(reply, SV_REFUSE_LIMIT, "The request needs more memory than one request may take.");
            return -1;
        }
        if (positions[i] < 0) {
            if (frame->reading == SV_READ_ARRAY && check_missing(served, positions, reply))
                return -1;
            fill_missing(served, i, columns[i], frame->n_rows);
        } else if (convert_column(frame, served, i, frame->cells + (size_t)positions[i] * frame->n_rows, columns[i], reply)) {
            return -1;
        }
    }
    return check_missing(served, positions, reply);
}
