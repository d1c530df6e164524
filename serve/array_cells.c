/* array_cells.c: see array_cells.h. */
#include "array_cells.h"

#include "frame_date.h"
#include "python_number.h"

#include <math.h>

static int same_shape(const sv_json *a, const sv_json *b)
{
    if (a->kind != SV_JSON_LIST || b->kind != SV_JSON_LIST)
        return a->kind != SV_JSON_LIST && b->kind != SV_JSON_LIST;
    if (a->n != b->n)
        return 0;
    for (uint32_t i = 0; i < a->n; i++)
        if (!same_shape(&a->items[0], &a->items[i]) || !same_shape(&a->items[0], &b->items[i]))
            return 0;
    return 1;
}

sv_array_form sv_array_cells_form(const sv_json *const *cells, size_t n)
{
    const sv_json *first = NULL;
    for (size_t i = 0; i < n; i++) {
        int is_list = cells[i] && cells[i]->kind == SV_JSON_LIST;
        if (i > 0 && is_list != (first != NULL))
            return SV_ARRAY_RAGGED;
        if (is_list && !first)
            first = cells[i];
        if (is_list && !same_shape(first, cells[i]))
            return SV_ARRAY_RAGGED;
    }
    return first ? SV_ARRAY_NESTED : SV_ARRAY_FLAT;
}

static int scalar_fits(const sv_json *value, sv_type type)
{
    int64_t whole;
    double real;
    if (type == SV_STRING || type == SV_BOOLEAN)
        return 1;
    if (type == SV_DATE)
        return sv_frame_array_date(value, &real) == 0;
    switch (value->kind) {
    case SV_JSON_NULL:
        return type == SV_DOUBLE;
    case SV_JSON_BIG:
        return type == SV_DOUBLE && isfinite(value->real);
    case SV_JSON_REAL:
        return type == SV_DOUBLE || fabs(value->real) < 9223372036854775808.0;
    case SV_JSON_TEXT:
        return type == SV_LONG ? sv_python_int(value->text, &whole) == 0 : sv_python_float(value->text, &real) == 0;
    case SV_JSON_OBJECT:
        return 0;
    default:
        return 1;
    }
}

static int leaves_fit(const sv_json *value, sv_type type)
{
    if (value->kind != SV_JSON_LIST)
        return scalar_fits(value, type);
    for (uint32_t i = 0; i < value->n; i++)
        if (!leaves_fit(&value->items[i], type))
            return 0;
    return 1;
}

int sv_array_fits(const sv_json *value, sv_type type)
{
    if (value->kind == SV_JSON_LIST)
        for (uint32_t i = 1; i < value->n; i++)
            if (!same_shape(&value->items[0], &value->items[i]))
                return 0;
    return leaves_fit(value, type);
}
