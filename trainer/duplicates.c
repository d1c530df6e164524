#include "duplicates.h"
#include "alloc.h"
#include "prng.h"

#include <string.h>

static int is_read(const sv_features *features, const char *const *used, size_t n_used, int column)
{
    for (size_t i = 0; i < n_used; i++)
        if (sv_features_depends(features, sv_features_find(features, used[i], strlen(used[i])), column))
            return 1;
    return 0;
}

#define MIX(type)                                                                                                                                          \
    for (size_t row = 0; row < n_rows; row++)                                                                                                              \
    hashes[row] = (hashes[row] ^ (uint64_t)((const type *)column->data)[row]) * UINT64_C(0x9e3779b97f4a7c15) + (hashes[row] >> 32)

/* Codes and narrow numbers: equal bytes are equal values. */
static void mix_column(uint64_t *hashes, const sv_column *column, size_t n_rows)
{
    switch (sv_store_size(column->store)) {
    case 1:
        MIX(uint8_t);
        break;
    case 2:
        MIX(uint16_t);
        break;
    case 4:
        MIX(uint32_t);
        break;
    default:
        MIX(uint64_t);
    }
}

/* One hash a row, column by column. */
static uint64_t *hash_rows(const sv_dataset *d, const sv_features *features, const char *const *used, size_t n_used)
{
    uint64_t *hashes = sv_calloc(d->table.n_rows + 1, sizeof *hashes);
    for (size_t c = 0; hashes && c < d->table.n_columns; c++) {
        const sv_column *column = &d->table.columns[c];
        int id = sv_features_find(features, column->name, strlen(column->name));
        if (id >= 0 && is_read(features, used, n_used, id))
            mix_column(hashes, column, d->table.n_rows);
    }
    if (hashes)
        mix_column(hashes, &d->target, d->table.n_rows);
    for (size_t row = 0; hashes && row < d->table.n_rows; row++)
        hashes[row] = sv_mix64(hashes[row]) | 1; /* 0 is a free place */
    return hashes;
}

int sv_duplicates_count(size_t *count, const sv_dataset *d, const sv_features *features, const char *const *used, size_t n_used, sv_error *error)
{
    size_t n = d->table.n_rows, n_slots = 64;
    *count = 0;
    if (n > SV_DUPLICATES_ROWS_MAX || !d->counts[SV_PART_TEST])
        return 0;
    while (n_slots < 2 * d->counts[SV_PART_TRAIN])
        n_slots *= 2;
    uint64_t *hashes = hash_rows(d, features, used, n_used), *slots = sv_calloc(n_slots, sizeof *slots);
    for (int pass = 0; hashes && slots && pass < 2; pass++)
        for (size_t row = 0; row < n; row++) {
            if (d->parts[row] != (pass ? SV_PART_TEST : SV_PART_TRAIN))
                continue;
            size_t at = (size_t)(hashes[row] >> 8) & (n_slots - 1);
            while (slots[at] && slots[at] != hashes[row])
                at = (at + 1) & (n_slots - 1);
            if (!pass)
                slots[at] = hashes[row];
            else
                *count += slots[at] == hashes[row];
        }
    int code = hashes && slots ? 0 : sv_error_set(error, SV_E_MEMORY, "audit: out of memory");
    sv_free(hashes);
    sv_free(slots);
    return code;
}
