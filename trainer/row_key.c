#include "row_key.h"
#include "alloc.h"
#include "prng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t hash_text(const char *text, size_t length, uint64_t hash)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return sv_mix64(hash ^ length);
}

uint64_t sv_row_key(const sv_column *column, size_t row, uint64_t seed)
{
    double value = 0;
    int32_t code;
    uint64_t bits;
    sv_column_widen(column, row, 1, &value);
    if (column->type == SV_STRING) {
        size_t length;
        memcpy(&code, &value, sizeof code);
        const char *text = sv_levels_text(column->levels, (size_t)code, &length);
        return hash_text(text, length, sv_mix64(seed));
    }
    value += 0.0; /* -0 is 0 */
    memcpy(&bits, &value, sizeof bits);
    return sv_mix64(sv_mix64(seed) ^ bits);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char **sort_levels(const sv_levels *levels)
{
    size_t n = sv_levels_count(levels), length;
    const char **texts = sv_array(n + 1, sizeof *texts);
    for (size_t i = 0; texts && i < n; i++)
        texts[i] = sv_levels_text(levels, i, &length);
    if (texts)
        qsort(texts, n, sizeof *texts, by_text);
    return texts;
}

int sv_row_moments(double **out, const sv_column *column, size_t n_rows)
{
    *out = sv_array(n_rows + 1, sizeof **out);
    if (!*out)
        return SV_E_MEMORY;
    if (column->type != SV_STRING) {
        for (size_t row = 0; row < n_rows; row += SV_BLOCK_ROWS)
            sv_column_widen(column, row, n_rows - row < SV_BLOCK_ROWS ? n_rows - row : SV_BLOCK_ROWS, *out + row);
        return 0;
    }
    size_t n = sv_levels_count(column->levels), length;
    const char **sorted = sort_levels(column->levels);
    double *ranks = sv_array(n + 1, sizeof *ranks);
    for (size_t i = 0; sorted && ranks && i < n; i++) {
        const char *text = sv_levels_text(column->levels, i, &length), **found = bsearch(&text, sorted, n, sizeof *sorted, by_text);
        ranks[i] = length ? (double)(found - sorted) : NAN;
    }
    for (size_t row = 0; sorted && ranks && row < n_rows; row++) {
        int32_t code;
        sv_column_widen(column, row, 1, &code);
        (*out)[row] = ranks[code];
    }
    int code = sorted && ranks ? 0 : SV_E_MEMORY;
    sv_free(sorted);
    sv_free(ranks);
    if (code) {
        sv_free(*out);
        *out = NULL;
    }
    return code;
}
