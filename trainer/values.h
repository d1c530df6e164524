/* values.h: the values that enter a model, for every row: raw columns where they lie in the table, derived features computed once and kept as narrow as they allow.
   Leaves out: how a feature is computed (model/feature.h), encoding (encoders.h). */
#ifndef SV_VALUES_H
#define SV_VALUES_H

#include "feature.h"
#include "table.h"
#include "team.h"

typedef struct sv_value_column {
    int id;           /* in the features */
    sv_kind kind;     /* text: codes into the features' levels of `id` */
    sv_store store;
    const void *data; /* (n_rows) */
    int derived, owned;
} sv_value_column;

typedef struct sv_values {
    const sv_features *features;
    const sv_table *table;
    size_t n_rows, n;
    size_t rows_before; /* of the file, before the table's first: for messages */
    sv_value_column *columns; /* (n) */
} sv_values;

/* The values ids[0..n) of features over the table's rows, in parallel. Borrows features and table. SV_E_INPUT: the table does not fit the features. */
int sv_values_new(sv_values *out, const sv_features *features, const sv_table *table, const int *ids, size_t n, sv_team *team, sv_error *error);
void sv_values_free(sv_values *values); /* the contents; accepts NULL */

/* An infinite number in a row that counts, or a NaN that a derived feature made from present numbers, is an error that names feature and first row.
   parts (n_rows) may be NULL; rows of `none` are passed over. */
int sv_values_check(const sv_values *values, const uint8_t *parts, uint8_t none, sv_team *team, sv_error *error);

#endif
