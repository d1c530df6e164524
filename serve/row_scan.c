/* row_scan.c: see row_scan.h. Every step returns 0, or -1 for "unusual". Rows gather in the batch; a full block is scored and written at once. */
#include "row_scan.h"

#include "date.h"
#include "frame_date.h"
#include "json_value.h"
#include "number.h"

#include <math.h>

typedef struct scan {
    const sv_served *served;
    sv_batch *batch;
    const char *p, *end;
    sv_buffer *json;
    size_t n_rows, max_rows;
    int is_strict;     /* /predict: unknown choices are unusual, and so are further names beside left-out inputs, which may be slips */
    int whole_records; /* every record must hold the model's inputs and nothing else: MLflow gathers `instances` column by column */
    int *order; /* (n_order) inputs in the order of the body's columns; -1: not the model's */
    size_t n_order;
} scan;

#define MAX_ORDER 512 /* columns of a body */

static inline void skip_blanks(scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
        s->p++;
}

static inline int take(scan *s, char c)
{
    skip_blanks(s);
    if (s->p == s->end || *s->p != c)
        return -1;
    s->p++;
    return 0;
}

static inline int peek(scan *s)
{
    skip_blanks(s);
    return s->p == s->end ? -1 : (unsigned char)*s->p;
}

/* ---- values ---- */

static const double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                       1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

int sv_scan_number(const char **at, const char *end, int whole, double *value)
{
    const char *p = *at, *begin = p;
    int negative = p < end && *p == '-', scale = 0;
    p += negative;
    const char *digits = p;
    uint64_t mantissa = 0;
    while (p < end && (unsigned)(*p - '0') < 10)
        mantissa = mantissa * 10 + (uint64_t)(*p++ - '0');
    long n = p - digits;
    if (n == 0 || n > 18 || (n > 1 && *digits == '0'))
        return -1;
    if (p < end && *p == '.' && !whole) {
        const char *fraction = ++p;
        while (p < end && (unsigned)(*p - '0') < 10)
            mantissa = mantissa * 10 + (uint64_t)(*p++ - '0');
        scale = (int)(p - fraction);
        if (scale == 0)
            return -1;
        n += scale;
    }
    if (p < end && (*p == '.' || *p == 'e' || *p == 'E'))
        return -1;
    *at = p;
    if (n > 18 || scale > 22 || mantissa > (uint64_t)1 << 53) { /* beyond what one rounding can do exactly (Clinger 1990) */
        if (whole)
            return -1;
        return sv_parse_double(begin, (size_t)(p - begin), value);
    }
    double magnitude = scale ? (double)mantissa / powers_of_ten[scale] : (double)mantissa;
    *value = negative ? -magnitude : magnitude;
    return 0;
}

/* A text without escapes. */
static inline int scan_text(scan *s, sv_span *text)
{
    if (take(s, '"'))
        return -1;
    const char *begin = s->p, *p = begin;
    unsigned char any = 0;
    while (p < s->end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
        any |= (unsigned char)*p++;
    if (p == s->end || *p != '"')
        return -1;
    *text = (sv_span){begin, (size_t)(p - begin)};
    s->p = p + 1;
    size_t at;
    return any & 0x80 ? sv_utf8_is_valid(*text, 0, &at) - 1 : 0;
}

static inline int scan_value(scan *s, int input, size_t row)
{
    const sv_input *spec = &s->served->inputs[input];
    void *column = s->batch->columns[input];
    if (spec->type == SV_LONG || spec->type == SV_DOUBLE) {
        skip_blanks(s);
        return sv_scan_number(&s->p, s->end, spec->type == SV_LONG, (double *)column + row);
    }
    sv_span text;
    if (spec->type == SV_BOOLEAN || scan_text(s, &text))
        return -1;
    if (spec->type == SV_DATE) { /* YYYY-MM-DD and no other form, so that all rows are written alike */
        double *days = (double *)column + row;
        return text.size == 10 && sv_date_parse(text.text, 10, days) == 0 && fabs(*days) <= SV_FRAME_LAST_DAY ? 0 : -1;
    }
    int32_t code = sv_features_code(s->served->features, input, text.text, text.size);
    ((int32_t *)column)[row] = code;
    return s->is_strict && !sv_input_takes(spec, code) ? -1 : 0;
}

/* A column that the model does not have: any scalar. */
static int skip_scalar(scan *s)
{
    double number;
    sv_span text;
    int c = peek(s);
    if (c == '"')
        return scan_text(s, &text);
    return sv_scan_number(&s->p, s->end, 0, &number);
}

/* ---- rows ---- */

static int flush(scan *s)
{
    sv_batch *batch = s->batch;
    if (batch->n_rows == 0)
        return 0;
    sv_block block = sv_batch_block(batch);
    sv_error error = SV_ERROR_INIT;
    long bad_row;
    if (s->n_rows && sv_buffer_append(s->json, ", ", 2))
        return -1;
    if (sv_served_answer(s->served, batch, &block, s->json, &bad_row, &error))
        return -1;
    s->n_rows += batch->n_rows;
    batch->n_rows = 0;
    return 0;
}

/* The row is whole: inputs that it did not name are missing, which only optional ones may be. */
static int end_row(scan *s, size_t n_set)
{
    const sv_served *served = s->served;
    sv_batch *batch = s->batch;
    if (n_set < served->n_inputs)
        for (size_t i = 0; i < served->n_inputs; i++) {
            if (batch->seen[i] == batch->stamp)
                continue;
            if (!served->inputs[i].optional)
                return -1;
            sv_batch_set_missing(served, batch, i, batch->n_rows);
        }
    if (s->n_rows + ++batch->n_rows > s->max_rows)
        return -1;
    return batch->n_rows == SV_BLOCK_ROWS ? flush(s) : 0;
}

static void begin_row(scan *s)
{
    if (++s->batch->stamp == 0) {
        memset(s->batch->seen, 0, s->served->n_inputs * sizeof *s->batch->seen);
        s->batch->stamp = 1;
    }
}

static inline int mark(scan *s, int input)
{
    if (s->batch->seen[input] == s->batch->stamp)
        return -1;
    s->batch->seen[input] = s->batch->stamp;
    return 0;
}

/* The key at p. The order of the row before is tried first: rows of one body are alike. */
static inline int scan_key(scan *s, size_t position, int *input)
{
    skip_blanks(s);
    if (position < s->n_order && s->order[position] >= 0) {
        sv_span key = s->served->inputs[s->order[position]].key;
        if ((size_t)(s->end - s->p) > key.size && memcmp(s->p, key.text, key.size) == 0) {
            s->p += key.size;
            *input = s->order[position];
            return take(s, ':');
        }
    }
    sv_span name;
    if (scan_text(s, &name))
        return -1;
    *input = sv_served_input(s->served, name.text, name.size);
    if (position < MAX_ORDER) {
        s->order[position] = *input;
        if (position >= s->n_order)
            s->n_order = position + 1;
    }
    return take(s, ':');
}

/* {"a": 1, …} */
static int scan_record(scan *s)
{
    size_t n_set = 0;
    if (take(s, '{'))
        return -1;
    begin_row(s);
    for (size_t position = 0;; position++) {
        int input;
        if (scan_key(s, position, &input))
            return -1;
        if (input < 0 ? skip_scalar(s) : mark(s, input) || scan_value(s, input, s->batch->n_rows))
            return -1;
        n_set += input >= 0;
        int c = peek(s);
        s->p++;
        if (c == '}') {
            int is_short = n_set != s->served->n_inputs, has_further = position + 1 != n_set;
            if (s->whole_records ? is_short || has_further : s->is_strict && is_short && has_further)
                return -1;
            return end_row(s, n_set);
        }
        if (c != ',')
            return -1;
    }
}

/* [item, item, …] */
static int scan_list(scan *s, int (*item)(scan *s))
{
    if (take(s, '['))
        return -1;
    if (peek(s) == ']')
        return -1; /* no rows: unusual */
    for (;;) {
        if (item(s))
            return -1;
        int c = peek(s);
        s->p++;
        if (c == ']')
            return 0;
        if (c != ',')
            return -1;
    }
}

static int scan_column_name(scan *s)
{
    sv_span name;
    if (scan_text(s, &name) || s->n_order == MAX_ORDER)
        return -1;
    s->order[s->n_order++] = sv_served_input(s->served, name.text, name.size);
    return 0;
}

/* A row of values in the order of the columns. */
static int scan_row(scan *s)
{
    if (take(s, '['))
        return -1;
    size_t row = s->batch->n_rows, n_set = 0;
    begin_row(s);
    for (size_t c = 0; c < s->n_order; c++) {
        int input = s->order[c];
        if (c && take(s, ','))
            return -1;
        if (input < 0 ? skip_scalar(s) : mark(s, input) || scan_value(s, input, row))
            return -1;
        n_set += input >= 0;
    }
    return take(s, ']') || end_row(s, n_set) ? -1 : 0;
}

static int scan_index_entry(scan *s)
{
    double value;
    skip_blanks(s);
    s->batch->stamp++; /* counts the entries; begin_row() only ever needs another value */
    return sv_scan_number(&s->p, s->end, 1, &value);
}

/* {"columns": […], "index": […], "data": [[…]]}, columns before data */
static int scan_split(scan *s)
{
    int has_data = 0;
    long n_index = -1;
    if (take(s, '{'))
        return -1;
    for (;;) {
        sv_span key;
        if (scan_text(s, &key) || take(s, ':'))
            return -1;
        if (sv_span_is(key, "columns") && s->n_order == 0) {
            if (scan_list(s, scan_column_name))
                return -1;
        } else if (sv_span_is(key, "data") && s->n_order && !has_data) {
            has_data = 1;
            if (scan_list(s, scan_row))
                return -1;
        } else if (sv_span_is(key, "index") && n_index < 0 && s->batch->stamp < UINT32_MAX / 2) {
            uint32_t before = s->batch->stamp;
            if (scan_list(s, scan_index_entry))
                return -1;
            n_index = (long)(s->batch->stamp - before);
        } else {
            return -1;
        }
        int c = peek(s);
        s->p++;
        if (c == '}')
            return has_data && (n_index < 0 || (size_t)n_index == s->n_rows + s->batch->n_rows) ? 0 : -1;
        if (c != ',')
            return -1;
    }
}

/* "name": [v, v, …] of at most one block */
static int scan_column(scan *s, int input, size_t *n)
{
    if (take(s, '['))
        return -1;
    for (*n = 0;; ++*n) {
        if (*n == SV_BLOCK_ROWS)
            return -1;
        if (input < 0 ? skip_scalar(s) : scan_value(s, input, *n))
            return -1;
        int c = peek(s);
        s->p++;
        if (c == ']') {
            ++*n;
            return 0;
        }
        if (c != ',')
            return -1;
    }
}

/* {"a": [1, 2], "b": […]}, all of one length */
static int scan_columns(scan *s)
{
    size_t n_rows = 0, n_set = 0;
    if (take(s, '{'))
        return -1;
    begin_row(s);
    for (size_t position = 0;; position++) {
        int input;
        size_t n;
        if (scan_key(s, position, &input) || (input >= 0 && mark(s, input)) || scan_column(s, input, &n) || (position && n != n_rows))
            return -1;
        n_rows = n;
        n_set += input >= 0;
        int c = peek(s);
        s->p++;
        if (c == '}')
            break;
        if (c != ',')
            return -1;
    }
    for (size_t i = 0; n_set < s->served->n_inputs && i < s->served->n_inputs; i++) {
        if (s->batch->seen[i] == s->batch->stamp)
            continue;
        if (!s->served->inputs[i].optional)
            return -1;
        for (size_t row = 0; row < n_rows; row++)
            sv_batch_set_missing(s->served, s->batch, i, row);
    }
    s->batch->n_rows = n_rows;
    return n_rows > s->max_rows ? -1 : 0;
}

static int at_end(scan *s)
{
    skip_blanks(s);
    return s->p == s->end ? 0 : -1;
}

long sv_scan_invocation(const sv_served *served, sv_batch *batch, sv_span body, size_t max_rows, sv_buffer *json)
{
    int order[MAX_ORDER];
    scan s = {.served = served, .batch = batch, .p = body.text, .end = body.text + body.size, .json = json, .max_rows = max_rows, .order = order};
    sv_span key;
    batch->n_rows = 0;
    if (take(&s, '{') || scan_text(&s, &key) || take(&s, ':') || sv_buffer_append(json, "{\"predictions\": [", 17))
        return -1;
    int bad;
    s.whole_records = sv_span_is(key, "instances");
    if (sv_span_is(key, "dataframe_split"))
        bad = scan_split(&s);
    else if (sv_span_is(key, "dataframe_records") || sv_span_is(key, "instances"))
        bad = scan_list(&s, scan_record);
    else if (sv_span_is(key, "inputs"))
        bad = peek(&s) == '[' ? scan_list(&s, scan_record) : scan_columns(&s);
    else
        return -1;
    if (bad || take(&s, '}') || at_end(&s) || flush(&s) || sv_buffer_append(json, "]}", 2))
        return -1;
    return (long)s.n_rows;
}

long sv_scan_prediction(const sv_served *served, sv_batch *batch, sv_span body, size_t max_rows, sv_buffer *json)
{
    int order[MAX_ORDER];
    scan s = {.served = served, .batch = batch, .p = body.text, .end = body.text + body.size, .json = json, .max_rows = max_rows, .order = order, .is_strict = 1};
    batch->n_rows = 0;
    if (peek(&s) == '[') {
        if (sv_buffer_byte(json, '[') || scan_list(&s, scan_record) || at_end(&s) || flush(&s) || sv_buffer_byte(json, ']'))
            return -1;
    } else if (scan_record(&s) || at_end(&s) || flush(&s)) {
        return -1;
    }
    return (long)s.n_rows;
}

/* ---- CSV ---- */

/* A cell up to a comma or the line's end; quotes, a bare CR and a NUL are unusual. */
static inline int scan_cell(scan *s, sv_span *cell)
{
    const char *begin = s->p, *p = begin;
    unsigned char any = 0;
    while (p < s->end && *p != ',' && *p != '\n' && *p != '\r' && *p != '"' && *p != 0)
        any |= (unsigned char)*p++;
    if (p < s->end && (*p == '"' || *p == 0 || (*p == '\r' && (p + 1 == s->end || p[1] != '\n'))))
        return -1;
    *cell = (sv_span){begin, (size_t)(p - begin)};
    s->p = p;
    size_t at;
    return any & 0x80 ? sv_utf8_is_valid(*cell, 0, &at) - 1 : 0;
}

/* 1 at a line's end, which is passed; 0 at a comma, which is passed too. */
static inline int end_cell(scan *s)
{
    if (s->p == s->end)
        return 1;
    char c = *s->p++;
    if (c == ',')
        return 0;
    if (c == '\r')
        s->p++;
    return 1;
}

/* Texts that read_csv takes as missing begin so; the careful path decides. */
static inline int may_be_missing(sv_span cell)
{
    if (cell.size == 0)
        return 1;
    char c = *cell.text;
    if (c == '#' || c == '-' || c == '1' || c == '<')
        return 1;
    return (c == 'N' || c == 'n') && (cell.size == 2 || cell.size == 3 || cell.size == 4) && !sv_span_is(cell, "no") && !sv_span_is(cell, "nov");
}

static inline int scan_csv_value(scan *s, int input, size_t row)
{
    const sv_input *spec = &s->served->inputs[input];
    void *column = s->batch->columns[input];
    if (spec->type == SV_LONG || spec->type == SV_DOUBLE)
        return sv_scan_number(&s->p, s->end, spec->type == SV_LONG, (double *)column + row) || (s->p < s->end && *s->p != ',' && *s->p != '\n' && *s->p != '\r') ? -1 : 0;
    sv_span cell;
    if (spec->type != SV_STRING || scan_cell(s, &cell) || may_be_missing(cell))
        return -1;
    ((int32_t *)column)[row] = sv_features_code(s->served->features, input, cell.text, cell.size);
    return 0;
}

static int scan_csv_header(scan *s)
{
    for (int ended = 0; !ended;) {
        sv_span cell;
        if (scan_cell(s, &cell) || cell.size == 0 || (cell.text[0] & 0x80) || s->n_order == MAX_ORDER)
            return -1;
        s->order[s->n_order++] = sv_served_input(s->served, cell.text, cell.size);
        ended = end_cell(s);
    }
    for (size_t a = 0; a < s->n_order; a++) /* doubled names: unusual */
        for (size_t b = 0; b < a; b++)
            if (s->order[a] >= 0 && s->order[a] == s->order[b])
                return -1;
    return 0;
}

static int scan_csv_line(scan *s)
{
    size_t row = s->batch->n_rows, n_set = 0;
    begin_row(s);
    for (size_t c = 0; c < s->n_order; c++) {
        int input = s->order[c];
        sv_span cell;
        if (input < 0 ? scan_cell(s, &cell) : scan_csv_value(s, input, row))
            return -1;
        if (input >= 0) {
            s->batch->seen[input] = s->batch->stamp;
            n_set++;
        }
        if (s->p < s->end && *s->p == '\r' && (s->p + 1 == s->end || s->p[1] != '\n'))
            return -1;
        if (end_cell(s) != (c + 1 == s->n_order))
            return -1;
    }
    return end_row(s, n_set);
}

long sv_scan_csv(const sv_served *served, sv_batch *batch, sv_span body, size_t max_rows, sv_buffer *json)
{
    int order[MAX_ORDER];
    scan s = {.served = served, .batch = batch, .p = body.text, .end = body.text + body.size, .json = json, .max_rows = max_rows, .order = order};
    batch->n_rows = 0;
    if (scan_csv_header(&s) || s.p == s.end || sv_buffer_append(json, "{\"predictions\": [", 17))
        return -1;
    while (s.p < s.end)
        if (scan_csv_line(&s))
            return -1;
    return flush(&s) || sv_buffer_append(json, "]}", 2) ? -1 : (long)s.n_rows;
}
