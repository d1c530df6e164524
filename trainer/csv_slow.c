/* csv_slow.c: a row by libcsv, which says what the bytes mean. */
#include "csv_piece.h"

#include <stdio.h>
#include <string.h>

enum { CELL_MAX = 16 << 20 };

static int never_blank(unsigned char byte)
{
    (void)byte;
    return 0;
}

static void take_cell(void *text, size_t length, void *context)
{
    sv_csv_worker *w = context;
    char padded[16 + SV_CSV_PADDING];
    size_t field = w->field++;
    if (w->why[0] || w->error.code || field >= w->plan->n_fields)
        return;
    if (length > CELL_MAX) {
        snprintf(w->why, sizeof w->why, "column '%.60s': expected at most %d bytes, got %zu", w->plan->fields[field].name, CELL_MAX, length);
        return;
    }
    if (length <= 16) { /* libcsv's buffer has no padding; longer texts are not read beyond their end */
        memset(padded, 0, sizeof padded);
        if (length)
            memcpy(padded, text, length);
        text = padded;
    }
    sv_csv_put(w, field, text, length);
}

static void take_row(int terminator, void *context)
{
    (void)terminator;
    ((sv_csv_worker *)context)->row_done = 1;
}

static void note_bad_row(sv_csv_worker *w, uint64_t offset)
{
    sv_csv_piece *piece = w->piece;
    if (piece->n_bad < SV_CSV_BAD_SHOWN) {
        sv_csv_bad *bad = &piece->bad[piece->n_bad];
        bad->row = w->n_seen;
        bad->offset = offset;
        snprintf(bad->text, sizeof bad->text, "%s", w->why);
    }
    piece->n_bad++;
}

static int prepare(sv_csv_worker *w)
{
    if (!w->has_libcsv) {
        if (csv_init(&w->libcsv, 0))
            return sv_error_set(&w->error, SV_E_MEMORY, "%s: out of memory", w->plan->source->name);
        w->has_libcsv = 1;
        csv_set_delim(&w->libcsv, (unsigned char)w->plan->delimiter);
        csv_set_quote(&w->libcsv, (unsigned char)w->plan->options->quote);
        if (!w->plan->options->trim)
            csv_set_space_func(&w->libcsv, never_blank);
    }
    return 0;
}

/* Is a quote open? libcsv's FIELD_BEGUN, in a field that a quote began. */
static int is_inside_quotes(const struct csv_parser *parser)
{
    enum { FIELD_BEGUN = 2 };
    return parser->quoted && parser->pstate == FIELD_BEGUN;
}

/* Feeds whole lines until libcsv says that the row is done. Its state is that of a fresh parser at every row's beginning. *opened: where the line begins in which
   a quote opens that the file's end leaves open. */
static int feed(sv_csv_worker *w, const char *text, size_t length, int at_end, size_t *used, size_t *opened)
{
    size_t at = 0, last = 0; /* the line in which the cell at work begins */
    *used = 0;
    while (!w->row_done && at < length) {
        size_t line = at, cells = w->field;
        int was_inside = at && is_inside_quotes(&w->libcsv);
        while (line < length && text[line] != '\n' && text[line] != '\r')
            line++;
        line += line < length;
        if (csv_parse(&w->libcsv, text + at, line - at, take_cell, take_row, w) != line - at)
            return sv_error_set(&w->error, SV_E_INPUT, "%s: libcsv: %s", w->plan->source->name, csv_strerror(csv_error(&w->libcsv)));
        if (!was_inside || w->field != cells)
            last = at;
        at = line;
    }
    if (!w->row_done && at_end) {
        if (is_inside_quotes(&w->libcsv)) {
            *opened = last;
            snprintf(w->why, sizeof w->why, "column '%.60s': a quote opens here and nothing closes it", w->field < w->plan->n_fields ? w->plan->fields[w->field].name : "?");
        }
        csv_fini(&w->libcsv, take_cell, take_row, w);
    } else if (!w->row_done) {
        csv_free(&w->libcsv); /* half a row: begin anew with more bytes */
        w->has_libcsv = 0;
        return 0;
    }
    *used = at;
    return 0;
}

int sv_csv_slow_row(sv_csv_worker *w, const char *text, size_t length, int at_end, uint64_t offset, size_t *used)
{
    size_t n_fields = w->plan->n_fields, opened = 0;
    w->field = 0;
    w->row_done = 0;
    w->why[0] = '\0';
    sv_csv_forget_row(w); /* the scanner's half of it */
    int code = prepare(w);
    if (!code)
        code = feed(w, text, length, at_end, used, &opened);
    if (code || w->error.code)
        return w->error.code;
    if (w->row_done && w->field != n_fields && !w->why[0])
        snprintf(w->why, sizeof w->why, "expected %zu cells, got %zu", n_fields, w->field);
    if (!w->row_done || w->why[0])
        sv_csv_forget_row(w);
    if (!w->row_done) /* only blanks until the end, or more bytes are wanted */
        return 0;
    if (w->why[0])
        note_bad_row(w, offset + opened);
    else
        w->n_rows++;
    w->n_seen++;
    return 0;
}
