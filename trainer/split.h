/* split.h: which rows train, which choose, which judge. A mask of one byte a row; the same on every machine for the same rows and seed. */
#ifndef SV_SPLIT_H
#define SV_SPLIT_H

#include "config.h"
#include "table.h"

typedef enum sv_part { SV_PART_TRAIN, SV_PART_VALIDATION, SV_PART_TEST, SV_PART_NONE, SV_PARTS } sv_part;

const char *sv_part_name(sv_part part); /* "train", "validation", "test", "none" */

/* Fills parts (n_rows) as config.split says. Rows that are SV_PART_NONE when it begins stay so. target: for stratifying; may be NULL when config.split.stratify is 0.
   counts (SV_PARTS) receives the rows of each part; an empty train part or, with a share above 0, an empty other part is an error. */
int sv_split(uint8_t *parts, size_t counts[SV_PARTS], const sv_config *config, const sv_table *table, const sv_column *target, sv_error *error);

/* Gives every row whose part is SV_PART_TRAIN or SV_PART_VALIDATION a fold 0 … n_folds-1 (others: 255), by the same method, stratified alike. n_folds 2 … 200. */
int sv_split_folds(uint8_t *folds, int n_folds, const uint8_t *parts, const sv_config *config, const sv_table *table, const sv_column *target, sv_error *error);

#endif
