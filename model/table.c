/* table.c: see table.h. */
#include "table.h"

#include "alloc.h"

#include <string.h>

static const char *const type_names[] = {"long", "double", "string", "boolean", "date"};
enum { N_TYPES = sizeof type_names / sizeof *type_names };

const char *sv_type_name(sv_type type)
{
    return type_names[type];
}

int sv_type_from_name(sv_type *type, const char *name)
{
    for (int i = 0; i < N_TYPES; i++)
        if (!strcmp(name, type_names[i])) {
            *type = (sv_type)i;
            return 0;
        }
    return -1;
}

size_t sv_store_size(sv_store store)
{
    static const unsigned char sizes[] = {1, 2, 4, 8, 8, 1, 2, 4};
    return sizes[store];
}

void sv_table_free(sv_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->n_columns; i++) {
        sv_free(table->columns[i].name);
        sv_free(table->columns[i].data);
        sv_levels_free(table->columns[i].levels);
    }
    sv_free(table->columns);
    *table = (sv_table){0};
}

int sv_table_find(const sv_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (!strcmp(table->columns[i].name, name))
            return (int)i;
    return -1;
}

#define WIDEN(from, to)                                                                                                \
    do {                                                                                                               \
        const from *restrict source = (const from *)column->data + first;                                              \
        to *restrict target = out;                                                                                     \
        for (size_t i = 0; i < n_rows; i++)                                                                            \
            target[i] = (to)source[i];                                                                                 \
    } while (0)

void sv_column_widen(const sv_column *column, size_t first, size_t n_rows, void *out)
{
    switch (column->store) {
    case SV_STORE_I8:
        WIDEN(int8_t, double);
        break;
    case SV_STORE_I16:
        WIDEN(int16_t, double);
        break;
    case SV_STORE_I32:
        WIDEN(int32_t, double);
        break;
    case SV_STORE_I64:
        WIDEN(int64_t, double);
        break;
    case SV_STORE_F64:
        memcpy(out, (const double *)column->data + first, n_rows * sizeof(double));
        break;
    case SV_STORE_CODE8:
        WIDEN(uint8_t, int32_t);
        break;
    case SV_STORE_CODE16:
        WIDEN(uint16_t, int32_t);
        break;
    case SV_STORE_CODE32:
        WIDEN(uint32_t, int32_t);
        break;
    }
}
