#include "csv_read.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The first byte sets the size of the pieces. The scanner in such pieces and libcsv in one give the same table, or both an error. */
static int read_bytes(sv_table *table, sv_csv_info *info, const uint8_t *data, size_t size, size_t piece, int by_libcsv)
{
    sv_csv_options options = SV_CSV_OPTIONS_INIT;
    sv_source source;
    sv_error error = SV_ERROR_INIT;
    options.piece_bytes = piece;
    options.by_libcsv = by_libcsv;
    options.on_bad_row = SV_BAD_ROW_SKIP;
    if (sv_source_from_memory(&source, "fuzz.csv", (const char *)data, size, NULL))
        abort();
    int code = sv_csv_read(table, info, &source, 1, &options, NULL, &error);
    sv_source_close(&source);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sv_table a, b;
    sv_csv_info ia, ib;
    if (!size)
        return 0;
    int ca = read_bytes(&a, &ia, data + 1, size - 1, 1 + *data % 64, 0), cb = read_bytes(&b, &ib, data + 1, size - 1, 0, 1);
    if (ca != cb)
        abort();
    if (ca)
        return 0;
    if (a.n_rows != b.n_rows || a.n_columns != b.n_columns || ia.n_bad != ib.n_bad)
        abort();
    for (size_t c = 0; c < a.n_columns; c++) {
        const sv_column *x = &a.columns[c], *y = &b.columns[c];
        if (x->type != y->type || x->store != y->store || (a.n_rows && memcmp(x->data, y->data, a.n_rows * sv_store_size(x->store)) != 0))
            abort();
        if ((x->levels != NULL) != (y->levels != NULL) || (x->levels && sv_levels_count(x->levels) != sv_levels_count(y->levels)))
            abort();
    }
    sv_table_free(&a);
    sv_table_free(&b);
    return 0;
}
