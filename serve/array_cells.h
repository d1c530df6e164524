/* array_cells.h: whether numpy's array(values, dtype) would take JSON values, as MLflow applies it to `instances` and `inputs`. */
#ifndef SV_ARRAY_CELLS_H
#define SV_ARRAY_CELLS_H

#include "json_value.h"
#include "table.h"

typedef enum sv_array_form {
    SV_ARRAY_FLAT,   /* scalars */
    SV_ARRAY_NESTED, /* lists of one shape: an array of more dimensions, which no column is */
    SV_ARRAY_RAGGED  /* numpy raises */
} sv_array_form;

/* The form of cells[0..n); NULL cells count as scalars. */
sv_array_form sv_array_cells_form(const sv_json *const *cells, size_t n);

/* 1 when the whole value (a scalar, or lists of one shape) converts to the type; 0 when numpy raises. */
int sv_array_fits(const sv_json *value, sv_type type);

#endif
