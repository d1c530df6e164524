/* csv_cell.c: one cell's text into its column: the general way, which the scanner takes when a cell is not of the common shape. */
#include "csv_piece.h"
#include "date_format.h"
#include "number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int is_missing(const sv_csv_plan *plan, const char *text, size_t length)
{
    const sv_entries *words = plan->options->missing;
    if (!length)
        return 1;
    for (size_t i = 0; words && i < words->count; i++)
        if (strlen(words->items[i].value) == length && !memcmp(words->items[i].value, text, length))
            return 1;
    return 0;
}

/* Says what is wrong with the cell, its bytes made printable. */
static int refuse(sv_csv_worker *w, const sv_csv_field *field, const char *text, size_t length)
{
    char shown[41];
    size_t n = length < sizeof shown - 1 ? length : sizeof shown - 1;
    for (size_t i = 0; i < n; i++)
        shown[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
    shown[n] = '\0';
    snprintf(w->why, sizeof w->why, "column '%.60s': expected %s, got '%s'%s", field->name, sv_type_name(field->type), shown, n < length ? "…" : "");
    return 1;
}

/* Row `row` is the first that is no whole number. */
void sv_csv_make_real(sv_csv_cells *cells, size_t row)
{
    if (cells->is_real)
        return;
    for (size_t i = 0; i < row; i++)
        cells->real[i] = (double)cells->at.whole[i];
    cells->is_real = 1;
    cells->real_row = row;
}

/* Row n_rows is bad or only half read: what it alone did to the columns is undone. */
void sv_csv_forget_row(sv_csv_worker *w)
{
    for (size_t f = 0; f < w->plan->n_fields; f++) {
        sv_csv_cells *cells = &w->cells[f];
        size_t *marks[] = {&cells->missing_row, &cells->fraction_row, &cells->text_row};
        for (size_t m = 0; m < sizeof marks / sizeof *marks; m++)
            if (*marks[m] == w->n_rows)
                *marks[m] = SV_CSV_NEVER;
        if (cells->real_row == w->n_rows) { /* the whole numbers of the rows before are still there */
            cells->is_real = 0;
            cells->real_row = SV_CSV_NEVER;
        }
    }
}

static void put_real(sv_csv_worker *w, sv_csv_cells *cells, double value)
{
    sv_csv_make_real(cells, w->n_rows);
    cells->real[w->n_rows] = value;
}

static void put_whole(sv_csv_worker *w, sv_csv_cells *cells, int64_t value)
{
    if (cells->is_real)
        cells->real[w->n_rows] = (double)value;
    else
        cells->at.whole[w->n_rows] = value;
}

static int put_missing(sv_csv_worker *w, sv_csv_cells *cells)
{
    sv_csv_mark(&cells->missing_row, w->n_rows);
    put_real(w, cells, NAN);
    return 0;
}

static int put_number(sv_csv_worker *w, const sv_csv_field *field, sv_csv_cells *cells, const char *text, size_t length)
{
    int64_t whole;
    double real;
    if (!sv_parse_int64(text, length, &whole)) {
        put_whole(w, cells, whole);
        return 0;
    }
    if (is_missing(w->plan, text, length))
        return put_missing(w, cells);
    if (sv_parse_double(text, length, &real) || (field->declared && field->type == SV_LONG && !isnan(real))) {
        if (field->declared)
            return refuse(w, field, text, length);
        sv_csv_mark(&cells->text_row, w->n_rows);
        real = NAN;
    }
    sv_csv_mark(isnan(real) ? &cells->missing_row : &cells->fraction_row, w->n_rows);
    put_real(w, cells, real);
    return 0;
}

static int put_text(sv_csv_worker *w, sv_csv_cells *cells, const char *text, size_t length)
{
    int32_t code = sv_csv_dictionary_find(&cells->dictionary, text, length);
    if (code < 0 && length && is_missing(w->plan, text, length)) {
        static const char empty[SV_CSV_PADDING] = "";
        int32_t alias = sv_csv_dictionary_add(&cells->dictionary, empty, 0, -1);
        code = alias < 0 ? -1 : sv_csv_dictionary_add(&cells->dictionary, text, length, alias);
    } else if (code < 0) {
        code = sv_csv_dictionary_add(&cells->dictionary, text, length, -1);
    }
    if (code < 0)
        return sv_error_set(&w->error, SV_E_MEMORY, "%s: out of memory", w->plan->source->name);
    cells->at.code[w->n_rows] = code;
    return 0;
}

static int put_date(sv_csv_worker *w, const sv_csv_field *field, sv_csv_cells *cells, const char *text, size_t length)
{
    int64_t days;
    if (is_missing(w->plan, text, length))
        return put_missing(w, cells);
    if (sv_date_scan(&days, text, length, w->plan->options->date_format))
        return refuse(w, field, text, length);
    put_whole(w, cells, days);
    return 0;
}

static int put_boolean(sv_csv_worker *w, const sv_csv_field *field, sv_csv_cells *cells, const char *text, size_t length)
{
    int is_true = (length == 4 && !strncasecmp(text, "true", 4)) || (length == 1 && *text == '1');
    int is_false = (length == 5 && !strncasecmp(text, "false", 5)) || (length == 1 && *text == '0');
    if (!is_true && !is_false)
        return refuse(w, field, text, length);
    put_whole(w, cells, is_true);
    return 0;
}

int sv_csv_put(sv_csv_worker *w, size_t i, const char *text, size_t length)
{
    const sv_csv_field *field = &w->plan->fields[i];
    sv_csv_cells *cells = &w->cells[i];
    switch (field->kind) {
    case SV_CSV_SKIP:
        return 0;
    case SV_CSV_NUMBER:
        return put_number(w, field, cells, text, length);
    case SV_CSV_TEXT:
        return put_text(w, cells, text, length);
    case SV_CSV_DATE:
        return put_date(w, field, cells, text, length);
    case SV_CSV_BOOLEAN:
        return put_boolean(w, field, cells, text, length);
    }
    return 0;
}
