/* csv_read.h: CSV files as a table of narrow columns. libcsv (not strict) says what the bytes mean; rows of the common shape are scanned by csv_scan.c, all others go
   through libcsv itself, and a test compares the two. Leaves out: where bytes come from (data_source.h), writing.

   How. A file is cut into pieces of equal size whatever the number of threads. Each piece is parsed into narrow columns and its own dictionaries of texts; where a
   piece begins is guessed (behind the first line end) and checked afterwards against where the piece before it really ended, so that a line end inside quotes costs
   time, never correctness. Then the pieces are put one behind the other, their texts numbered in order of first appearance. */
#ifndef SV_CSV_READ_H
#define SV_CSV_READ_H

#include "config.h"
#include "data_source.h"
#include "table.h"
#include "team.h"

enum { SV_CSV_BAD_SHOWN = 10 };

typedef struct sv_csv_options {
    char delimiter;           /* 0: found in the first line */
    char quote;
    int header, trim;
    const char *date_format;
    const sv_entries *missing; /* may be NULL */
    const sv_entries *columns; /* name: type; may be NULL */
    int may_lack;             /* 0: a declared column that the file lacks is an error */
    const char *const *wanted; /* (n_wanted) columns to keep, in the file's order; NULL: all. A name that the file lacks is no error here */
    size_t n_wanted;
    sv_bad_row on_bad_row;
    int64_t max_rows;         /* 0: all */
    size_t piece_bytes;       /* 0: 256 KiB; tests make it small */
    const char *bad_row_hint; /* what a person can do about one; NULL: nothing */
    size_t rows_before, lines_before; /* when the bytes go on where others ended: for errors */
    int by_libcsv;            /* 1: every row by the slow path */
    int by_ranks;             /* 1: every rank of an mpirun calls this, and parses its share */
} sv_csv_options;

#define SV_CSV_OPTIONS_INIT {.quote = '"', .header = 1, .trim = 1, .date_format = "%Y-%m-%d"}

typedef struct sv_csv_info {
    uint64_t digest;          /* of all bytes */
    uint64_t bytes, bytes_parsed; /* by all; by this process */
    size_t n_bad;             /* rows left out */
    char bad[SV_CSV_BAD_SHOWN][256]; /* the first of them: what was wrong */
    char delimiter;           /* in use */
} sv_csv_info;

/* Reads sources one behind the other into one table: same columns in each, in any order. Types: as declared; else long when every cell is a whole number that fits
   64 bits, double when every cell is a number or missing, boolean when every cell is true or false, else string; found over all rows.
   A long column with missing cells becomes double. SV_E_INPUT names file, row (from 1, without the header), line and column. *out: sv_table_free(). team may be NULL. */
int sv_csv_read(sv_table *out, sv_csv_info *info, const sv_source *sources, size_t n_sources, const sv_csv_options *options, sv_team *team, sv_error *error);

/* The most frequent of the usual delimiters in the first line that is not blank, outside quotes. */
char sv_csv_find_delimiter(const char *bytes, size_t size, char quote);

/* Only the header: the names, in order. *names: (n_names) texts, all in one block: sv_free(). */
int sv_csv_names(char ***names, size_t *n_names, char *delimiter, const sv_source *source, const sv_csv_options *options, sv_error *error);

#endif
