/* schema.h: the configuration's features over a table's columns: compiled, chosen, computed. Leaves out: panels' lag and lead (panel.h), which are columns by then. */
#ifndef SV_SCHEMA_H
#define SV_SCHEMA_H

#include "config.h"
#include "feature.h"
#include "table.h"
#include "team.h"

/* 1 when the column has a missing value: what was missing in the rows may be missing in a request. */
int sv_schema_may_be_missing(const sv_column *column, size_t n_rows);

/* All columns of the table and all features of the configuration, compiled. Errors name the place in the file, the expression and, by a caret, where in it.
   *out: sv_features_free(). */
int sv_schema_build(sv_features **out, const sv_config *config, const sv_table *table, sv_error *error);

/* One more expression over the table's columns and the configuration's features, alone in *out with what it needs, under the name `name`; key is the
   configuration's ("target.when") for errors. */
int sv_schema_build_one(sv_features **out, const char *name, const char *key, const char *text, const sv_config *config, const sv_table *table, sv_error *error);

/* The names that enter the model, in order: `use`, or all columns and features but `drop`, the target's own columns, dates, and columns with another task (weight,
   offset, split, panel). *names: (n) borrowed texts, sv_free(). */
int sv_schema_choose(const char ***names, size_t *n, const sv_config *config, const sv_features *features, const sv_table *table, sv_error *error);

/* Every row's value of a number among the features: *out (n_rows), sv_free(). team may be NULL. */
int sv_schema_compute(double **out, const sv_features *features, const char *name, const sv_table *table, sv_team *team, sv_error *error);

/* Turns an error of model/'s parser or resolver into "c.yaml:14:22: in 'features.x': …" with the expression and a caret below it. */
int sv_schema_explain(sv_error *error, const sv_error *inner, const sv_config *config, const char *key, const sv_entry *entry, const char *text, const sv_place *place);

#endif
