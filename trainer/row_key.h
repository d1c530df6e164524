/* row_key.h: a cell as a key: hashed, or as a moment in time. The same on every machine, whatever codes a text happens to have. */
#ifndef SV_ROW_KEY_H
#define SV_ROW_KEY_H

#include "table.h"

uint64_t sv_row_key(const sv_column *column, size_t row, uint64_t seed);

/* Every cell as a number that orders them: numbers and dates as they are, texts by the rank of their bytes ("" is NaN). *out: (n_rows), sv_free(). SV_E_MEMORY. */
int sv_row_moments(double **out, const sv_column *column, size_t n_rows);

#endif
