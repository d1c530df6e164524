/* duplicates.h: rows that stand in training and in test. */
#ifndef SV_DUPLICATES_H
#define SV_DUPLICATES_H

#include "dataset.h"
#include "feature.h"

enum { SV_DUPLICATES_ROWS_MAX = 500000 }; /* larger tables are not looked through */

/* Test rows whose raw columns (those that used features read) and target are all the same as a training row's; by 64-bit hashes. */
int sv_duplicates_count(size_t *count, const sv_dataset *dataset, const sv_features *features, const char *const *used, size_t n_used, sv_error *error);

#endif
