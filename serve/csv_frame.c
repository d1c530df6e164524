/* csv_frame.c: see csv_frame.h. Two passes: the first splits the text into cells, line by line, the second lays them out by columns. */
#include "csv_frame.h"

#include "alloc.h"
#include "mlflow_error.h"

#include <stdio.h>

typedef struct cells {
    sv_arena *arena;
    sv_span *spans; /* all cells, in order */
    size_t n, capacity;
    size_t *ends; /* of each line: the number of cells up to its end */
    size_t n_lines, lines_capacity;
} cells;

static int refuse(sv_reply *reply, const char *why)
{
    sv_mlflow_refuse(reply, SV_REFUSE_MODEL,
                     "Failed to parse input as a Pandas DataFrame. Ensure that the input is a valid CSV-formatted Pandas DataFrame produced using the "
                     "`pandas.DataFrame.to_csv()` method. Error: '%s'",
                     why);
    return -1;
}

static int push_cell(cells *all, sv_span span)
{
    if (all->n == all->capacity) {
        size_t capacity = all->capacity ? all->capacity * 2 : 256;
        sv_span *spans = sv_arena_charge(all->arena, (capacity - all->capacity) * sizeof *spans) ? NULL : sv_realloc(all->spans, capacity * sizeof *spans);
        if (!spans)
            return -1;
        all->spans = spans;
        all->capacity = capacity;
    }
    all->spans[all->n++] = span;
    return 0;
}

static int push_line(cells *all)
{
    if (all->n_lines == all->lines_capacity) {
        size_t capacity = all->lines_capacity ? all->lines_capacity * 2 : 64;
        size_t *ends = sv_arena_charge(all->arena, (capacity - all->lines_capacity) * sizeof *ends) ? NULL : sv_realloc(all->ends, capacity * sizeof *ends);
        if (!ends)
            return -1;
        all->ends = ends;
        all->lines_capacity = capacity;
    }
    all->ends[all->n_lines++] = all->n;
    return 0;
}

static int ends_line(char c)
{
    return c == '\n' || c == '\r';
}

/* A cell with quotes somewhere: a quote at its beginning opens; two inside are one; what follows the closing one is taken as it stands.
   Returns where the cell ends, or NULL when a quote is never closed. */
static const char *read_quoted(cells *all, const char *p, const char *end, sv_span *cell)
{
    const char *q = p + 1;
    size_t bound = 0;
    for (int inside = 1; q < end && (inside || (*q != ',' && !ends_line(*q))); q++, bound++)
        if (*q == '"')
            inside = !inside;
    char *out = sv_arena_alloc(all->arena, bound + 1), *first = out;
    if (!out)
        return NULL;
    q = p + 1;
    for (; q < end; q++) {
        if (*q != '"')
            *out++ = *q;
        else if (q + 1 < end && q[1] == '"')
            *out++ = *q++;
        else
            break;
    }
    if (q == end)
        return NULL;
    for (q++; q < end && *q != ',' && !ends_line(*q); q++)
        *out++ = *q;
    *cell = (sv_span){first, (size_t)(out - first)};
    return q;
}

/* Past blank lines and lines of blanks alone. */
static const char *skip_blank_lines(const char *p, const char *end)
{
    for (;;) {
        const char *q = p;
        while (q < end && (*q == ' ' || *q == '\t'))
            q++;
        if (q == end)
            return q;
        if (!ends_line(*q))
            return p;
        p = q + 1;
    }
}

static int split_cells(cells *all, sv_span text, sv_reply *reply)
{
    const char *p = text.text, *end = p + text.size;
    while ((p = skip_blank_lines(p, end)) < end) {
        for (;;) {
            sv_span cell;
            const char *q = p;
            if (q < end && *q == '"') {
                q = read_quoted(all, p, end, &cell);
                if (!q)
                    return refuse(reply, "Error tokenizing data. C error: EOF inside string");
            } else {
                while (q < end && *q != ',' && !ends_line(*q))
                    q++;
                cell = (sv_span){p, (size_t)(q - p)};
            }
            if (push_cell(all, cell))
                return refuse(reply, "out of memory");
            p = q + (q < end);
            if (q == end || *q != ',') {
                if (q < end && *q == '\r' && p < end && *p == '\n')
                    p++;
                break;
            }
        }
        if (push_line(all))
            return refuse(reply, "out of memory");
    }
    return 0;
}

/* Of doubled names the later ones are NAME.1, NAME.2 …: further columns, not the model's. */
static void drop_doubled_names(sv_span *names, size_t n)
{
    for (size_t a = 1; a < n && n <= 4096; a++)
        for (size_t b = 0; b < a && names[a].text; b++)
            if (names[b].text && sv_span_equal(names[a], names[b]))
                names[a].text = NULL;
}

static int lay_out(sv_frame *frame, const cells *all, sv_arena *arena, const sv_frame_limits *limits, sv_reply *reply)
{
    size_t n_columns = all->ends[0], n_rows = all->n_lines - 1;
    if (n_rows > limits->max_rows || n_rows > limits->max_cells / n_columns) {
        sv_mlflow_refuse(reply, SV_REFUSE_LIMIT, "The request holds %zu rows of %zu columns: at most %zu rows and %zu cells are taken at once.", n_rows, n_columns,
                         limits->max_rows, limits->max_cells);
        return -1;
    }
    sv_span *names = sv_arena_alloc(arena, n_columns * sizeof *names);
    const sv_json **slots = sv_arena_zero(arena, n_rows * n_columns + 1, sizeof *slots);
    sv_json *values = sv_arena_zero(arena, all->n, sizeof *values);
    if (!names || !slots || !values)
        return refuse(reply, "out of memory");
    memcpy(names, all->spans, n_columns * sizeof *names);
    drop_doubled_names(names, n_columns);
    for (size_t line = 1; line < all->n_lines; line++) {
        size_t first = all->ends[line - 1], n = all->ends[line] - first;
        if (n > n_columns) {
            char why[200];
            snprintf(why, sizeof why, "Error tokenizing data. C error: Expected %zu fields in line %zu, saw %zu", n_columns, line + 1, n);
            return refuse(reply, why);
        }
        for (size_t c = 0; c < n; c++) {
            values[first + c] = (sv_json){.kind = SV_JSON_TEXT, .text = all->spans[first + c]};
            slots[c * n_rows + line - 1] = &values[first + c];
        }
    }
    *frame = (sv_frame){SV_READ_CSV, n_rows, n_columns, names, slots};
    return 0;
}

int sv_frame_from_csv(sv_frame *frame, sv_arena *arena, sv_span text, const sv_frame_limits *limits, sv_reply *reply)
{
    cells all = {.arena = arena};
    if (text.size >= 3 && memcmp(text.text, "\xef\xbb\xbf", 3) == 0)
        text = (sv_span){text.text + 3, text.size - 3};
    int code = split_cells(&all, text, reply);
    if (code == 0 && all.n_lines == 0)
        code = refuse(reply, "No columns to parse from file");
    if (code == 0)
        code = lay_out(frame, &all, arena, limits, reply);
    sv_free(all.spans);
    sv_free(all.ends);
    return code;
}
