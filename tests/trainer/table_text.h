/* table_text.h: a table as text, to compare and to expect. */
#ifndef SV_TABLE_TEXT_H
#define SV_TABLE_TEXT_H

#include "buffer.h"
#include "number.h"
#include "table.h"

/* "name:type/store=v,v,…" a column, one line each. */
static inline void table_text(sv_buffer *out, const sv_table *table)
{
    static const char *const stores[] = {"i8", "i16", "i32", "i64", "f64", "c8", "c16", "c32"};
    for (size_t c = 0; c < table->n_columns; c++) {
        const sv_column *column = &table->columns[c];
        sv_buffer_format(out, "%s:%s/%s=", column->name, sv_type_name(column->type), stores[column->store]);
        for (size_t r = 0; r < table->n_rows; r++) {
            double cell; /* or int32_t */
            int32_t code;
            sv_column_widen(column, r, 1, &cell);
            if (r)
                sv_buffer_byte(out, ',');
            if (column->type == SV_STRING) {
                size_t length;
                __builtin_memcpy(&code, &cell, sizeof code);
                const char *text = sv_levels_text(column->levels, (size_t)code, &length);
                sv_buffer_byte(out, '<');
                sv_buffer_append(out, text, length);
                sv_buffer_byte(out, '>');
            } else {
                char number[SV_NUMBER_SIZE];
                sv_format_double(number, cell);
                sv_buffer_text(out, number);
            }
        }
        for (size_t l = 0, length; column->levels && l < sv_levels_count(column->levels); l++)
            sv_buffer_format(out, "%s%s", l ? "|" : " levels ", sv_levels_text(column->levels, l, &length));
        sv_buffer_byte(out, '\n');
    }
}

#endif
