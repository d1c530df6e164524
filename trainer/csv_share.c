/* csv_share.c: a piece on its way to other ranks is its struct, its columns, then each column's data, ends and texts, every one at a multiple of 16. */
#include "csv_share.h"
#include "alloc.h"
#include "buffer.h"
#include "ranks.h"

#include <string.h>

enum { ALIGN = 16 };

static size_t texts_size(const sv_csv_column *column)
{
    return column->n_texts ? column->ends[column->n_texts - 1] : 0;
}

static int put(sv_buffer *out, const void *bytes, size_t size)
{
    static const char zeros[ALIGN] = "";
    if (size && sv_buffer_append(out, bytes, size))
        return SV_E_MEMORY;
    return size % ALIGN && sv_buffer_append(out, zeros, ALIGN - size % ALIGN) ? SV_E_MEMORY : 0;
}

static int put_piece(sv_buffer *out, const sv_csv_piece *piece, size_t n_fields)
{
    int code = put(out, piece, sizeof *piece);
    if (piece->columns && !code)
        code = put(out, piece->columns, n_fields * sizeof *piece->columns);
    for (size_t f = 0; piece->columns && f < n_fields && !code; f++) {
        const sv_csv_column *column = &piece->columns[f];
        if (!column->data)
            continue;
        code = put(out, column->data, piece->n_rows * sv_store_size(column->store));
        if (!code && column->n_texts)
            code = put(out, column->ends, column->n_texts * sizeof *column->ends) || put(out, column->bytes, texts_size(column)) ? SV_E_MEMORY : 0;
    }
    return code;
}

static char *take(char **at, size_t size)
{
    char *here = *at;
    *at += (size + ALIGN - 1) / ALIGN * ALIGN;
    return here;
}

/* The pointers that came along say only what there is. */
static int take_piece(sv_csv_piece *piece, char **at, size_t n_fields)
{
    memcpy(piece, take(at, sizeof *piece), sizeof *piece);
    if (!piece->columns)
        return 0;
    if (!(piece->columns = sv_array(n_fields, sizeof *piece->columns)))
        return SV_E_MEMORY;
    memcpy(piece->columns, take(at, n_fields * sizeof *piece->columns), n_fields * sizeof *piece->columns);
    for (size_t f = 0; f < n_fields; f++) {
        sv_csv_column *column = &piece->columns[f];
        if (!column->data)
            continue;
        column->data = take(at, piece->n_rows * sv_store_size(column->store));
        if (!column->n_texts)
            continue;
        column->ends = (uint32_t *)(void *)take(at, column->n_texts * sizeof *column->ends);
        column->bytes = take(at, texts_size(column));
    }
    return 0;
}

static size_t share_begin(size_t rank, size_t n_pieces)
{
    return rank * n_pieces / sv_ranks_count();
}

void sv_csv_share_of(size_t *first, size_t *end, size_t n_pieces)
{
    *first = share_begin(sv_ranks_rank(), n_pieces);
    *end = share_begin(sv_ranks_rank() + 1, n_pieces);
}

int sv_csv_share_pieces(char **kept, sv_csv_file *file, sv_error *error)
{
    sv_buffer own = SV_BUFFER_INIT(0);
    size_t first, end, *starts = NULL, n_fields = file->plan.n_fields;
    int code = 0;
    *kept = NULL;
    sv_csv_share_of(&first, &end, file->n_pieces);
    for (size_t i = first; i < end && !code; i++)
        code = put_piece(&own, &file->pieces[i], n_fields);
    if (code)
        sv_error_set(error, code, "%s: out of memory", file->plan.source->name);
    else
        code = sv_ranks_gather(kept, &starts, &own, error);
    sv_buffer_free(&own);
    for (size_t i = first; i < end; i++)
        sv_csv_piece_free(&file->pieces[i]);
    for (size_t rank = 0; rank < sv_ranks_count() && !code; rank++) {
        char *at = *kept + starts[rank];
        for (size_t i = share_begin(rank, file->n_pieces); i < share_begin(rank + 1, file->n_pieces) && !code; i++)
            if (take_piece(&file->pieces[i], &at, n_fields))
                code = sv_error_set(error, SV_E_MEMORY, "%s: out of memory", file->plan.source->name);
    }
    sv_free(starts);
    return code;
}
