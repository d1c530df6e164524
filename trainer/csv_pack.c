/* csv_pack.c: a piece's wide cells into the narrowest columns that hold them. */
#include "alloc.h"
#include "csv_piece.h"

#include <stdint.h>
#include <string.h>

static sv_store narrowest(int64_t min, int64_t max)
{
    if (min >= INT8_MIN && max <= INT8_MAX)
        return SV_STORE_I8;
    if (min >= INT16_MIN && max <= INT16_MAX)
        return SV_STORE_I16;
    return min >= INT32_MIN && max <= INT32_MAX ? SV_STORE_I32 : SV_STORE_I64;
}

static void narrow(void *out, sv_store store, const int64_t *in, size_t n)
{
    int8_t *b = out;
    int16_t *s = out;
    int32_t *l = out;
    if (store == SV_STORE_I8)
        for (size_t i = 0; i < n; i++)
            b[i] = (int8_t)in[i];
    else if (store == SV_STORE_I16)
        for (size_t i = 0; i < n; i++)
            s[i] = (int16_t)in[i];
    else if (store == SV_STORE_I32)
        for (size_t i = 0; i < n; i++)
            l[i] = (int32_t)in[i];
    else
        memcpy(out, in, n * sizeof *in);
}

enum { SHELF_BYTES = 4 << 20 };

static int add_block(sv_csv_shelf *shelf, size_t size)
{
    char **blocks = sv_realloc(shelf->blocks, (shelf->n_blocks + 1) * sizeof *blocks);
    if (!blocks)
        return SV_E_MEMORY;
    shelf->blocks = blocks;
    shelf->capacity = size > SHELF_BYTES ? size : SHELF_BYTES;
    shelf->used = 0;
    if (!(blocks[shelf->n_blocks] = sv_malloc(shelf->capacity)))
        return SV_E_MEMORY;
    shelf->n_blocks++;
    return 0;
}

static void *take(sv_csv_shelf *shelf, size_t size)
{
    size = (size + 15) / 16 * 16;
    if ((!shelf->n_blocks || shelf->capacity - shelf->used < size) && add_block(shelf, size))
        return NULL;
    void *place = shelf->blocks[shelf->n_blocks - 1] + shelf->used;
    shelf->used += size;
    return place;
}

void sv_csv_shelf_free(sv_csv_shelf *shelf)
{
    for (size_t i = 0; i < shelf->n_blocks; i++)
        sv_free(shelf->blocks[i]);
    sv_free(shelf->blocks);
    *shelf = (sv_csv_shelf){0};
}

static int pack_numbers(sv_csv_shelf *shelf, sv_csv_column *column, const sv_csv_cells *cells, size_t n)
{
    column->store = SV_STORE_F64;
    if (!cells->is_real) {
        int64_t min = n ? cells->at.whole[0] : 0, max = min;
        for (size_t i = 0; i < n; i++) {
            min = cells->at.whole[i] < min ? cells->at.whole[i] : min;
            max = cells->at.whole[i] > max ? cells->at.whole[i] : max;
        }
        column->min = min;
        column->max = max;
        column->store = narrowest(min, max);
    }
    if (!(column->data = take(shelf, n * sv_store_size(column->store))))
        return SV_E_MEMORY;
    if (cells->is_real)
        memcpy(column->data, cells->real, n * sizeof(double));
    else
        narrow(column->data, column->store, cells->at.whole, n);
    return 0;
}

static int pack_codes(sv_csv_shelf *shelf, sv_csv_column *column, const sv_csv_cells *cells, size_t n)
{
    const sv_csv_dictionary *d = &cells->dictionary;
    column->store = d->count <= 256 ? SV_STORE_CODE8 : d->count <= 65536 ? SV_STORE_CODE16 : SV_STORE_CODE32;
    column->n_texts = d->count;
    column->data = take(shelf, n * sv_store_size(column->store));
    column->ends = take(shelf, d->count * sizeof *column->ends);
    column->bytes = take(shelf, d->size);
    if (!column->data || !column->ends || !column->bytes)
        return SV_E_MEMORY;
    if (d->count) {
        memcpy(column->ends, d->ends, d->count * sizeof *d->ends);
        if (d->size)
            memcpy(column->bytes, d->bytes, d->size);
    }
    uint8_t *b = column->data;
    uint16_t *s = column->data;
    if (column->store == SV_STORE_CODE8)
        for (size_t i = 0; i < n; i++)
            b[i] = (uint8_t)cells->at.code[i];
    else if (column->store == SV_STORE_CODE16)
        for (size_t i = 0; i < n; i++)
            s[i] = (uint16_t)cells->at.code[i];
    else
        memcpy(column->data, cells->at.code, n * sizeof(int32_t));
    return 0;
}

int sv_csv_pack(sv_csv_worker *w)
{
    sv_csv_piece *piece = w->piece;
    size_t n_fields = w->plan->n_fields;
    int code = 0;
    piece->n_rows = w->n_rows;
    if (!(piece->columns = sv_calloc(n_fields, sizeof *piece->columns)))
        code = SV_E_MEMORY;
    for (size_t f = 0; f < n_fields && !code; f++) {
        sv_csv_column *column = &piece->columns[f];
        const sv_csv_cells *cells = &w->cells[f];
        column->has_missing = cells->missing_row != SV_CSV_NEVER;
        column->has_fraction = cells->fraction_row != SV_CSV_NEVER;
        column->needs_text = cells->text_row != SV_CSV_NEVER;
        if (w->plan->fields[f].kind == SV_CSV_TEXT)
            code = pack_codes(&w->shelf, column, cells, w->n_rows);
        else if (w->plan->fields[f].kind != SV_CSV_SKIP)
            code = pack_numbers(&w->shelf, column, cells, w->n_rows);
    }
    return code ? sv_error_set(&w->error, code, "%s: out of memory", w->plan->source->name) : 0;
}

void sv_csv_piece_free(sv_csv_piece *piece)
{
    sv_free(piece->columns);
    *piece = (sv_csv_piece){0};
}
