/* csv_piece.h: a piece of a CSV file on its way into a table: the plan that all threads share, a thread's cells, a parsed piece. For the csv files alone. */
#ifndef SV_CSV_PIECE_H
#define SV_CSV_PIECE_H

#include "csv_read.h"
#include "csv_dictionary.h"

#include <csv.h>

typedef enum sv_csv_kind { SV_CSV_SKIP, SV_CSV_NUMBER, SV_CSV_TEXT, SV_CSV_DATE, SV_CSV_BOOLEAN } sv_csv_kind;

/* One column of a file. */
typedef struct sv_csv_field {
    const char *name;
    sv_csv_kind kind;
    int declared; /* a cell that is not of its type is an error; else it makes the column a string */
    sv_type type; /* as declared */
    size_t column; /* position in the table */
} sv_csv_field;

typedef struct sv_csv_plan {
    const sv_csv_options *options;
    const sv_source *source;
    sv_csv_field *fields; /* (n_fields) */
    size_t n_fields;
    char delimiter;
    unsigned char ends[256]; /* 1: the byte ends an unquoted cell */
    size_t piece_bytes;
    uint64_t first_row;      /* where the first row begins: behind the header */
} sv_csv_plan;

#define SV_CSV_NEVER SIZE_MAX

/* One column's cells of the piece at work, wide. */
typedef struct sv_csv_cells {
    union {
        int64_t *whole;
        int32_t *code;
    } at;         /* (capacity) */
    double *real; /* (capacity) the numbers once one is not whole; the block of at.whole, which keeps what came before as it was */
    int is_real;  /* the numbers so far are doubles */
    /* The first row with each; SV_CSV_NEVER: none. So that a row which turns out bad can be forgotten. */
    size_t real_row, missing_row, fraction_row;
    size_t text_row; /* a cell is no number and the type was not declared */
    sv_csv_dictionary dictionary;
} sv_csv_cells;

typedef struct sv_csv_bad {
    size_t row;      /* within the piece, counting bad ones */
    uint64_t offset; /* of the row in the file */
    char text[160];
} sv_csv_bad;

/* Notes the first row with something. */
static inline void sv_csv_mark(size_t *first, size_t row)
{
    if (*first == SV_CSV_NEVER)
        *first = row;
}

/* Memory for parsed pieces, handed out and given back all at once: large blocks go back to the system, and in training larger than memory to disk. */
typedef struct sv_csv_shelf {
    char **blocks; /* (n_blocks) */
    size_t n_blocks, used, capacity; /* bytes of the last block */
} sv_csv_shelf;

/* What a piece became; its memory is a worker's shelf's. */
typedef struct sv_csv_column {
    sv_store store;
    void *data; /* (n_rows), narrow */
    int has_missing, has_fraction, needs_text;
    int64_t min, max;
    uint32_t n_texts;
    uint32_t *ends; /* (n_texts) */
    char *bytes;
} sv_csv_column;

typedef struct sv_csv_piece {
    uint64_t start, end; /* first row's beginning, last row's end, in the file */
    size_t n_rows, n_bad;
    sv_csv_bad bad[SV_CSV_BAD_SHOWN]; /* the first of them */
    sv_csv_column *columns; /* (n_fields) */
    uint64_t digest;
    int code; /* 0, or why it could not be parsed; see the worker's error */
} sv_csv_piece;

/* What a thread needs to parse. */
typedef struct sv_csv_worker {
    const sv_csv_plan *plan;
    sv_csv_cells *cells; /* (n_fields) */
    size_t capacity;     /* rows of cells */
    sv_csv_shelf shelf;
    char *bytes;         /* the piece, SV_CSV_PADDING more */
    size_t bytes_capacity;
    struct csv_parser libcsv;
    int has_libcsv;
    size_t n_rows, n_seen; /* rows kept, rows met */
    sv_csv_piece *piece;
    /* the row that libcsv is at */
    size_t field;
    int row_done;
    char why[160]; /* what is wrong with the row; empty: nothing */
    sv_error error;
} sv_csv_worker;

/* csv_cell.c. Put a cell's text into row n_rows of a field: 0, 1 when it is not what the field takes (why says so), SV_E_MEMORY. Padding behind text can be read. */
int sv_csv_put(sv_csv_worker *worker, size_t field, const char *text, size_t length);
void sv_csv_make_real(sv_csv_cells *cells, size_t row);
void sv_csv_forget_row(sv_csv_worker *worker);

/* csv_slow.c. Reads the row that begins at text by libcsv: *used bytes, 0 when the row goes on behind text[0..length) (unless at_end). A kept row raises n_rows;
   any other leaves no trace in the cells, whatever had been put of it. */
int sv_csv_slow_row(sv_csv_worker *worker, const char *text, size_t length, int at_end, uint64_t offset, size_t *used);

/* csv_scan.c. Parses all rows that begin in piece number i into *piece; start: where its first row begins, UINT64_MAX to find it. */
int sv_csv_scan_piece(sv_csv_worker *worker, sv_csv_piece *piece, size_t i, uint64_t start);

/* csv_pack.c. From the worker's cells to the piece's narrow columns. */
int sv_csv_pack(sv_csv_worker *worker);
void sv_csv_shelf_free(sv_csv_shelf *shelf); /* the contents; ready for more */
void sv_csv_piece_free(sv_csv_piece *piece);

#endif
