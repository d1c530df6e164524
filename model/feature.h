/* feature.h: the raw columns a model reads and the features derived from them: what a name means, in which order things are computed, and their
   computation over a block. Training and serving share it; nothing else computes a feature. Leaves out: encoders and weights (pipeline.h).

   A value is a raw column or a derived feature. Its id: columns first, 0 … n_columns-1 in order of addition, then derived features. */
#ifndef SV_FEATURES_H
#define SV_FEATURES_H

#include "error.h"
#include "expr.h"
#include "table.h"

#define SV_COLUMNS_MAX 4096
#define SV_DERIVED_MAX 4096
#define SV_NAME_MAX 255 /* bytes of a column's or feature's name */

typedef struct sv_features sv_features;

int sv_features_new(sv_features **out); /* 0 or SV_E_MEMORY; the caller's */
void sv_features_free(sv_features *features); /* accepts NULL */

/* Adds a raw column and returns its id, or an error: SV_E_CONFIG (a name twice, empty, too long, not UTF-8), SV_E_LIMIT, SV_E_MEMORY. levels (strings; may be NULL)
   are copied, so that a table's codes hold here too; string constants of expressions are added behind them. */
int sv_features_add_column(sv_features *features, const char *name, sv_type type, const sv_levels *levels, sv_error *error);

/* A value that may be absent from a request: a missing number or "". Goes into the signature as required: false. Default: required. */
void sv_features_set_optional(sv_features *features, int column, int optional);

/* Adds a derived feature; text is parsed now, names are resolved by sv_features_compile, so order is free. Returns its index among the derived
   (0, 1, …) or an error; *place says where in text. */
int sv_features_define(sv_features *features, const char *name, const char *text, sv_place *place, sv_error *error);
/* The same from a tree that the caller has changed (panels). Takes expr, also on failure. */
int sv_features_define_expr(sv_features *features, const char *name, sv_expr *expr, sv_error *error);

/* Resolves names, types and order; after it nothing may be added. SV_E_CONFIG: an unknown name (with the nearest), a wrong type, a cycle, a panel
   function; then *derived (may be NULL) is the index of the derived feature at fault and *place where in its text. */
int sv_features_compile(sv_features *features, int *derived, sv_place *place, sv_error *error);

/* A new, compiled set holding only what names[0..n) need, in the original order: what a package's schema is made from. SV_E_CONFIG on a name that isn't there. */
int sv_features_select(sv_features **out, const sv_features *all, const char *const *names, size_t n, sv_error *error);

size_t sv_features_n_columns(const sv_features *features);
size_t sv_features_n_derived(const sv_features *features);
size_t sv_features_n_values(const sv_features *features); /* both */
int sv_features_find(const sv_features *features, const char *name, size_t length); /* id or -1; hashed, allocates nothing */
const char *sv_features_name(const sv_features *features, int value);
sv_kind sv_features_kind(const sv_features *features, int value);
/* A raw column's; do not call with a derived feature. */
sv_type sv_features_type(const sv_features *features, int column);
int sv_features_optional(const sv_features *features, int column);
/* What the codes of a text column or text feature are of; NULL for numbers and dates. Columns and features whose texts meet share one set, which then holds
   more than any of them. */
const sv_levels *sv_features_levels(const sv_features *features, int value);
/* The code of a request's text in a string column, for a block: its level, or -1, or for a hashed column (a pipeline with SV_ENCODER_HASH on it, or one that is
   compared with other columns) -2 - the low 30 bits of its hash. Any thread, allocates nothing. */
int32_t sv_features_code(const sv_features *features, int column, const char *text, size_t length);
/* A derived feature's (index 0, 1, …). */
const char *sv_features_text(const sv_features *features, size_t derived);
const sv_expr *sv_features_expr(const sv_features *features, size_t derived);
/* 1 when value depends on column, directly or through other features (or is it). */
int sv_features_depends(const sv_features *features, int value, int column);

/* A thread's workspace: registers of SV_BLOCK_ROWS. features must be compiled and outlive it. */
typedef struct sv_evaluator sv_evaluator;
int sv_evaluator_new(sv_evaluator **out, const sv_features *features); /* 0 or SV_E_MEMORY */
void sv_evaluator_free(sv_evaluator *evaluator);

/* Computes every derived feature of the block's rows (block->columns in order of ids). Allocates nothing; a row's bits do not depend on its block. */
void sv_evaluator_run(sv_evaluator *evaluator, const sv_block *block);

/* A value's rows after sv_evaluator_run: (n_rows) of double for numbers and dates, of int32_t codes (features' levels; -1 unknown) for text. Valid
   until the next run, and as long as the block's memory. */
const void *sv_evaluator_value(const sv_evaluator *evaluator, int value);

/* How a table's columns become blocks. Const after creation, so all threads share it; features and table must outlive it. */
typedef struct sv_binding sv_binding;
/* Matches the features' columns with the table's by name. SV_E_INPUT: a column is missing (unless optional) or has the wrong type; a table's long
   column may stand for a double, its boolean for a long or double. Levels may differ; codes are mapped. */
int sv_binding_new(sv_binding **out, const sv_features *features, const sv_table *table, sv_error *error);
void sv_binding_free(sv_binding *binding);
size_t sv_binding_scratch_size(const sv_binding *binding); /* bytes that a thread needs for one block; align to 64 */
/* Fills *block with rows [first, first + n_rows), n_rows <= SV_BLOCK_ROWS, using scratch, which must live as long as the block. */
void sv_binding_block(const sv_binding *binding, size_t first, size_t n_rows, void *scratch, sv_block *block);

#endif
