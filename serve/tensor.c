/* tensor.c: see tensor.h. */
#include "tensor.h"

#include "date.h"
#include "json_out.h"

#include <math.h>
#include <stdint.h>

const char *sv_tensor_datatype(sv_type type)
{
    static const char *const names[] = {[SV_LONG] = "INT64", [SV_DOUBLE] = "FP64", [SV_STRING] = "BYTES", [SV_BOOLEAN] = "BOOL", [SV_DATE] = "BYTES"};
    return names[type];
}

typedef enum element { E_I8, E_I16, E_I32, E_I64, E_U8, E_U16, E_U32, E_U64, E_F32, E_F64, E_BOOL, E_BYTES, N_ELEMENTS } element;

static const struct {
    const char *name;
    size_t size; /* bytes; 0: its own length */
} elements[N_ELEMENTS] = {{"INT8", 1},   {"INT16", 2},  {"INT32", 4}, {"INT64", 8}, {"UINT8", 1}, {"UINT16", 2},
                          {"UINT32", 4}, {"UINT64", 8}, {"FP32", 4},  {"FP64", 8},  {"BOOL", 1},  {"BYTES", 0}};

static int find_element(const char *datatype, element *found)
{
    for (int e = 0; e < N_ELEMENTS; e++)
        if (strcmp(elements[e].name, datatype) == 0) {
            *found = (element)e;
            return 0;
        }
    return -1;
}

/* Texts only into text columns, numbers only into numeric ones, and none that would lose its fraction. */
static int check_fit(const sv_input *input, const char *datatype, element *e, sv_error *error)
{
    if (find_element(datatype, e))
        return sv_error_set(error, SV_E_INPUT, "input '%s': datatype '%.20s' is not known", input->name.text, datatype);
    int is_text = input->type == SV_STRING || input->type == SV_DATE;
    int fits = is_text ? *e == E_BYTES : *e != E_BYTES && !(input->type == SV_LONG && (*e == E_F32 || *e == E_F64));
    return fits ? 0 : sv_error_set(error, SV_E_INPUT, "input '%s': expected datatype %s, got %s", input->name.text, sv_tensor_datatype(input->type), datatype);
}

long sv_tensor_rows(const sv_json *shape, size_t max_rows)
{
    if (!shape || shape->kind != SV_JSON_LIST || shape->n < 1 || shape->n > 2)
        return -1;
    for (uint32_t i = 0; i < shape->n; i++)
        if (shape->items[i].kind != SV_JSON_LONG || shape->items[i].whole < 0)
            return -1;
    if (shape->n == 2 && shape->items[1].whole != 1)
        return -1;
    return (uint64_t)shape->items[0].whole <= max_rows ? (long)shape->items[0].whole : -1;
}

static int put_text(const sv_served *served, size_t input, sv_span text, void *column, size_t row, sv_error *error)
{
    if (served->inputs[input].type == SV_STRING) {
        ((int32_t *)column)[row] = sv_features_code(served->features, (int)input, text.text, text.size);
        return 0;
    }
    double *days = (double *)column + row;
    *days = NAN;
    if (text.size == 0 || sv_date_parse(text.text, text.size, days) == 0)
        return 0;
    return sv_error_set(error, SV_E_INPUT, "input '%s', element %zu: expected a date as YYYY-MM-DD", served->inputs[input].name.text, row);
}

static int put_json(const sv_served *served, size_t input, element e, const sv_json *value, void *column, size_t row, sv_error *error)
{
    double *number = (double *)column + row;
    int is_bool = value->kind == SV_JSON_TRUE || value->kind == SV_JSON_FALSE;
    if (e == E_BYTES && value->kind == SV_JSON_TEXT)
        return put_text(served, input, value->text, column, row, error);
    if (e != E_BYTES && value->kind == SV_JSON_LONG)
        *number = (double)value->whole;
    else if ((e == E_F32 || e == E_F64) && value->kind == SV_JSON_REAL)
        *number = value->real;
    else if ((e == E_F32 || e == E_F64) && value->kind == SV_JSON_NULL)
        *number = NAN;
    else if (e == E_BOOL && is_bool)
        *number = value->kind == SV_JSON_TRUE;
    else
        return sv_error_set(error, SV_E_INPUT, "input '%s', element %zu: expected %s, got %s", served->inputs[input].name.text, row, elements[e].name,
                            sv_json_python_type(value));
    return 0;
}

int sv_tensor_from_json(const sv_served *served, size_t input, const char *datatype, const sv_json *data, size_t n, void *column, sv_error *error)
{
    element e;
    int code = check_fit(&served->inputs[input], datatype, &e, error);
    if (code)
        return code;
    if (data->kind != SV_JSON_LIST || data->n != n)
        return sv_error_set(error, SV_E_INPUT, "input '%s': expected %zu elements in data", served->inputs[input].name.text, n);
    for (size_t row = 0; row < n; row++) {
        const sv_json *value = &data->items[row];
        if (value->kind == SV_JSON_LIST && value->n == 1)
            value = &value->items[0];
        if ((code = put_json(served, input, e, value, column, row, error)) != 0)
            return code;
    }
    return 0;
}

static double read_element(element e, const unsigned char *p)
{
    union {
        uint64_t u64;
        uint32_t u32;
        double f64;
        float f32;
    } value = {0};
    for (size_t i = 0; i < elements[e].size; i++)
        value.u64 |= (uint64_t)p[i] << (8 * i);
    switch (e) {
    case E_I8:
        return (int8_t)value.u64;
    case E_I16:
        return (int16_t)value.u64;
    case E_I32:
        return (int32_t)value.u64;
    case E_I64:
        return (double)(int64_t)value.u64;
    case E_F32:
        return (double)value.f32;
    case E_F64:
        return value.f64;
    case E_BOOL:
        return value.u64 != 0;
    default:
        return (double)value.u64;
    }
}

static int texts_from_bytes(const sv_served *served, size_t input, sv_span bytes, size_t n, void *column, sv_error *error)
{
    const unsigned char *p = (const unsigned char *)bytes.text, *end = p + bytes.size;
    for (size_t row = 0; row < n; row++) {
        uint32_t size = 0;
        if (end - p >= 4)
            size = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        if (end - p < 4 || size > (size_t)(end - p) - 4)
            return sv_error_set(error, SV_E_INPUT, "input '%s', element %zu: its length goes beyond the tensor", served->inputs[input].name.text, row);
        int code = put_text(served, input, (sv_span){(const char *)p + 4, size}, column, row, error);
        if (code)
            return code;
        p += 4 + size;
    }
    return p == end ? 0 : sv_error_set(error, SV_E_INPUT, "input '%s': %zu bytes are left over", served->inputs[input].name.text, (size_t)(end - p));
}

int sv_tensor_from_bytes(const sv_served *served, size_t input, const char *datatype, sv_span bytes, size_t n, void *column, sv_error *error)
{
    element e;
    int code = check_fit(&served->inputs[input], datatype, &e, error);
    if (code)
        return code;
    if (e == E_BYTES)
        return texts_from_bytes(served, input, bytes, n, column, error);
    if (bytes.size != n * elements[e].size)
        return sv_error_set(error, SV_E_INPUT, "input '%s': expected %zu bytes for %zu elements of %s, got %zu", served->inputs[input].name.text,
                            n * elements[e].size, n, datatype, bytes.size);
    for (size_t row = 0; row < n; row++)
        ((double *)column)[row] = read_element(e, (const unsigned char *)bytes.text + row * elements[e].size);
    return 0;
}

int sv_tensor_to_json(sv_buffer *json, const sv_served *served, size_t output, const double *values, size_t n)
{
    int bad = sv_buffer_byte(json, '[');
    for (size_t row = 0; row < n && !bad; row++) {
        if (row)
            bad = sv_buffer_byte(json, ',');
        if (served->outputs[output].type == SV_STRING) {
            sv_span text = served->classes[(size_t)values[row]];
            bad |= sv_buffer_append(json, text.text, text.size);
        } else {
            bad |= served->outputs[output].type == SV_LONG ? sv_json_write_long(json, (int64_t)values[row]) : sv_json_write_double(json, values[row]);
        }
    }
    return bad ? bad : sv_buffer_byte(json, ']');
}

static int append_little_endian(sv_buffer *bytes, uint64_t value, size_t size)
{
    unsigned char out[8];
    for (size_t i = 0; i < size; i++)
        out[i] = (unsigned char)(value >> (8 * i));
    return sv_buffer_append(bytes, out, size);
}

int sv_tensor_to_bytes(sv_buffer *bytes, const sv_served *served, size_t output, const double *values, size_t n)
{
    int bad = 0;
    for (size_t row = 0; row < n && !bad; row++) {
        uint64_t bits;
        memcpy(&bits, &values[row], sizeof bits);
        if (served->outputs[output].type == SV_STRING) {
            const char *text = sv_pipeline_class(served->pipeline, (size_t)values[row]);
            size_t size = strlen(text);
            bad = append_little_endian(bytes, size, 4) || sv_buffer_append(bytes, text, size);
        } else {
            bad = append_little_endian(bytes, served->outputs[output].type == SV_LONG ? (uint64_t)(int64_t)values[row] : bits, 8);
        }
    }
    return bad ? SV_E_LIMIT : 0;
}
