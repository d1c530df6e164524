/* table.h: columns of raw values, narrow in memory; the block, which is how values reach features and scores.
   Training and serving both cut their rows into blocks: a request of one row is a block of one. Leaves out: reading files (trainer/), features (expr.h). */
#ifndef SV_TABLE_H
#define SV_TABLE_H

#include "error.h"

#include <stddef.h>
#include <stdint.h>

/* The types of MLflow's signature that a column may have. A date is text (ISO 8601) on the wire and days since 1970 inside. */
typedef enum sv_type { SV_LONG, SV_DOUBLE, SV_STRING, SV_BOOLEAN, SV_DATE } sv_type;

const char *sv_type_name(sv_type type); /* "long", "double", "string", "boolean", "date" */
int sv_type_from_name(sv_type *type, const char *name); /* 0, or -1 when no such type */

/* How a column lies in memory: the narrowest form that holds every value exactly. */
typedef enum sv_store {
    SV_STORE_I8,
    SV_STORE_I16,
    SV_STORE_I32,
    SV_STORE_I64,
    SV_STORE_F64,    /* a missing number is NaN; a long column with missing values is a double column */
    SV_STORE_CODE8,  /* unsigned codes into levels */
    SV_STORE_CODE16,
    SV_STORE_CODE32
} sv_store;

size_t sv_store_size(sv_store store); /* bytes of one value */

/* The distinct texts of a column; a code is a position in it. Byte for byte; "" is the missing text and an ordinary level. */
typedef struct sv_levels sv_levels;
#define SV_LEVELS_MAX 0x3fffffff        /* codes */
#define SV_LEVEL_LENGTH_MAX (16u << 20) /* bytes of one text */
int sv_levels_copy(sv_levels **out, const sv_levels *levels); /* same texts, same codes; 0 or SV_E_MEMORY */
int sv_levels_new(sv_levels **out);
void sv_levels_free(sv_levels *levels); /* accepts NULL */
size_t sv_levels_count(const sv_levels *levels);
const char *sv_levels_text(const sv_levels *levels, size_t code, size_t *length); /* borrowed; NUL-terminated */
/* SV_E_INPUT names the first text that is not UTF-8, as a package's files must be, and the column. */
int sv_levels_check_utf8(const sv_levels *levels, const char *column, sv_error *error);
int32_t sv_levels_find(const sv_levels *levels, const char *text, size_t length); /* the code, or -1; any thread, allocates nothing */
int32_t sv_levels_add(sv_levels *levels, const char *text, size_t length);        /* the code, old or new; SV_E_MEMORY or SV_E_LIMIT below 0 */

typedef struct sv_column {
    char *name; /* UTF-8, owned */
    sv_type type;
    sv_store store;
    void *data;        /* (n_rows) of store, owned */
    sv_levels *levels; /* strings only, owned; else NULL */
} sv_column;

typedef struct sv_table {
    size_t n_rows, n_columns;
    sv_column *columns; /* (n_columns) */
} sv_table;

void sv_table_free(sv_table *table); /* the table's contents; accepts NULL */
int sv_table_find(const sv_table *table, const char *name); /* position or -1 */

/* Rows of one block, at most. Sized so that a block of some twenty columns stays in the first-level caches. */
#define SV_BLOCK_ROWS 256

/* Up to SV_BLOCK_ROWS rows, widened. columns[c] is (n_rows) of double for LONG, DOUBLE, BOOLEAN (0/1) and DATE (days; NaN missing),
   of int32_t codes for STRING; -1 is a text that the levels do not hold. Borrowed: the block owns nothing. */
typedef struct sv_block {
    size_t n_rows;
    const void *const *columns; /* (n_columns), in the order of the schema that the consumer was built for */
} sv_block;

/* Widens rows [first, first + n_rows) of a column into out: double or int32_t, as in sv_block. */
void sv_column_widen(const sv_column *column, size_t first, size_t n_rows, void *out);

#endif
