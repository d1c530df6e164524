/* dataset.h: rows as training sees them: raw columns, the target beside them, and a mask that says which part each row belongs to.
   Rows are never moved; features are computed block by block from the columns (model/). */
#ifndef SV_DATASET_H
#define SV_DATASET_H

#include "config.h"
#include "split.h"
#include "table.h"
#include "team.h"

typedef struct sv_dataset {
    sv_table table; /* raw columns; for a panel the account-periods with their aggregates, lags and leads */
    /* What is to be predicted, (table.n_rows): logistic: SV_BOOLEAN in I8, 0 or 1; multinomial: SV_STRING in CODE8 or CODE16 with
       levels in byte order; linear and Poisson: SV_DOUBLE in F64. Rows whose target is not known are SV_PART_NONE in the split. */
    sv_column target;
    uint8_t *parts;           /* (table.n_rows) of sv_part */
    size_t counts[SV_PARTS];  /* rows of each part */
    uint64_t digest;          /* of the bytes that were read: the dataset's identity in the run */
    size_t bytes_read, bad_rows;
    uint64_t bytes_parsed;    /* by this process: its share of an mpirun's */
    char bad[10][256];        /* the first of them: what was wrong */
} sv_dataset;

/* Reads what config.data says, builds the panel when there is one, computes the target, splits. team may be NULL. */
int sv_dataset_read(sv_dataset *out, const sv_config *config, sv_team *team, sv_error *error);

/* Only the table (after the panel); out's target and parts stay empty. */
int sv_dataset_read_table(sv_dataset *out, const sv_config *config, sv_team *team, sv_error *error);

/* The target's column from the table, and SV_PART_NONE into parts (n_rows, zeroed before) where it is not known. */
int sv_dataset_make_target(sv_column *target, uint8_t *parts, const sv_config *config, const sv_table *table, sv_team *team, sv_error *error);

void sv_dataset_free(sv_dataset *dataset); /* the contents; accepts NULL */

#endif
