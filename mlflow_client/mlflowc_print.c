/* Tables, objects and facts on standard output. */
#include "alloc.h"
#include "client_error.h"
#include "log.h"
#include "mlflowc.h"
#include "number.h"
#include "text.h"
#include "validate.h"

#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CELL = 80, MAX_ROWS_HELD = 1000 };

struct mlc_table {
    const mlc *m;
    const mlc_column *columns;
    size_t n_columns;
    char **cells; /* (rows, n_columns) */
    size_t n_rows, capacity;
    size_t *widths;
    int headed; /* the titles stand there */
};

/* ---- cells ---- */

static void show_time(sv_buffer *out, int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm when;
    char text[40];
    if (ms <= 0 || !localtime_r(&seconds, &when)) return;
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &when);
    sv_buffer_text(out, text);
}

static void show_bytes(sv_buffer *out, int64_t bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    double size = (double)bytes;
    int unit = 0;
    for (; size >= 999.5 && unit < 4; unit++)
        size /= 1000;
    sv_buffer_format(out, unit ? "%.3g %s" : "%.0f %s", size, units[unit]);
}

static void show_value(sv_buffer *out, const json_t *value)
{
    char number[SV_NUMBER_SIZE];
    if (json_is_string(value)) {
        sv_buffer_text(out, json_string_value(value));
    } else if (json_is_integer(value)) {
        sv_buffer_format(out, "%" PRId64, (int64_t)json_integer_value(value));
    } else if (json_is_real(value)) {
        sv_format_double(number, json_real_value(value));
        sv_buffer_text(out, number);
    } else if (value) {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        sv_buffer_text(out, text ? text : "");
        json_free_t release;
        json_get_alloc_funcs(NULL, &release);
        release(text);
    }
}

/* The text with nothing in it that could drive a terminal: sv_free; NULL when memory is out. Empties the buffer. */
static char *harmless(sv_buffer *text)
{
    sv_buffer shown = SV_BUFFER_INIT(0);
    char *line = sv_text_append_line(&shown, text->data ? text->data : "", text->size) ? NULL : sv_buffer_take(&shown);
    sv_buffer_free(&shown);
    sv_buffer_free(text);
    return line;
}

/* The value in a list of {key, value}, whatever its type. */
static const json_t *look_up(const json_t *list, const char *key)
{
    size_t i;
    json_t *pair;
    json_array_foreach(list, i, pair)
    {
        const char *name = json_string_value(json_object_get(pair, "key"));
        if (name && !strcmp(name, key)) return json_object_get(pair, "value");
    }
    return NULL;
}

/* The cell's text: sv_free. */
static char *cell(const mlf_object *item, const char *path)
{
    sv_buffer out = SV_BUFFER_INIT(1 << 20);
    char where[256];
    size_t length = strlen(path);
    char kind = length && strchr("~#", path[length - 1]) ? path[length - 1] : '\0';
    snprintf(where, sizeof where, "%.*s", (int)(kind ? length - 1 : length), path);
    char *at = strchr(where, '@');
    if (at) *at = '\0';
    const json_t *value = mlf_json_at(mlf_object_json(item), where);
    if (at) value = look_up(value, at + 1);
    if (kind == '~')
        show_time(&out, json_integer_value(value));
    else if (kind == '#' && value)
        show_bytes(&out, json_integer_value(value));
    else
        show_value(&out, value);
    return harmless(&out);
}

static size_t width_of(const char *text)
{
    size_t characters = mlf_text_length(text);
    return characters == SIZE_MAX ? strlen(text) : characters;
}

void mlc_end_unread(void)
{
    struct pollfd reader = {.fd = STDOUT_FILENO, .events = POLLOUT};
    if (!ferror(stdout) || poll(&reader, 1, 0) != 1 || !(reader.revents & POLLERR)) return;
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
}

/* ---- tables ---- */

mlc_table *mlc_table_begin(const mlc *m, const mlc_column *columns, size_t n_columns)
{
    mlc_table *table = sv_calloc(1, sizeof *table);
    size_t *widths = sv_calloc(n_columns, sizeof *widths);
    if (!table || !widths) {
        sv_free(table);
        sv_free(widths);
        return NULL;
    }
    *table = (mlc_table){.m = m, .columns = columns, .n_columns = n_columns, .widths = widths};
    for (size_t i = 0; i < n_columns; i++)
        widths[i] = width_of(columns[i].title);
    return table;
}

/* One line; the last column is not padded. */
static void put_line(const mlc_table *table, char *const *cells, int title)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        const char *text = title ? table->columns[i].title : cells[i];
        size_t width = width_of(text), cut = width > MAX_CELL ? mlf_text_cut(text, MAX_CELL - 1) : strlen(text);
        fwrite(text, 1, cut, stdout);
        if (width > MAX_CELL) fputs("…", stdout);
        if (width > MAX_CELL) width = MAX_CELL;
        for (; i + 1 < table->n_columns && width < table->widths[i] + 2; width++)
            putchar(' ');
    }
    putchar('\n');
}

static void put_rows(mlc_table *table)
{
    if (!table->headed && table->n_rows) put_line(table, NULL, 1);
    table->headed |= table->n_rows > 0;
    for (size_t row = 0; row < table->n_rows; row++) {
        put_line(table, table->cells + row * table->n_columns, 0);
        for (size_t i = 0; i < table->n_columns; i++)
            sv_free(table->cells[row * table->n_columns + i]);
    }
    table->n_rows = 0;
}

static int put_json(const mlf_object *item)
{
    char *json = mlf_object_text(item, 0);
    if (!json) return MLF_E_MEMORY;
    sv_buffer plain = SV_BUFFER_INIT(0);
    int failed = sv_buffer_text(&plain, json);
    mlf_free(json);
    char *text = harmless(&plain); /* the same JSON, see text.h */
    if (failed) {
        sv_free(text);
        return MLF_E_MEMORY;
    }
    if (!text) return MLF_E_MEMORY;
    puts(text);
    sv_free(text);
    return MLF_OK;
}

int mlc_table_row(mlc_table *table, const mlf_object *item)
{
    mlc_end_unread();
    if (table->m->json) return put_json(item);
    if (table->n_rows == table->capacity) {
        size_t capacity = table->capacity ? table->capacity * 2 : 16;
        char **more = sv_realloc(table->cells, capacity * table->n_columns * sizeof *more);
        if (!more) return MLF_E_MEMORY;
        table->cells = more;
        table->capacity = capacity;
    }
    char **row = table->cells + table->n_rows * table->n_columns;
    for (size_t i = 0; i < table->n_columns; i++) {
        row[i] = cell(item, table->columns[i].path);
        if (!row[i] && !(row[i] = sv_strdup(""))) {
            while (i--)
                sv_free(row[i]);
            return MLF_E_MEMORY;
        }
        size_t width = width_of(row[i]);
        if (width > MAX_CELL) width = MAX_CELL;
        if (width > table->widths[i]) table->widths[i] = width;
    }
    if (++table->n_rows == MAX_ROWS_HELD) put_rows(table);
    return MLF_OK;
}

int mlc_table_end(mlc_table *table)
{
    if (!table) return MLF_E_MEMORY;
    put_rows(table);
    sv_free(table->cells);
    sv_free(table->widths);
    sv_free(table);
    return MLF_OK;
}

static int print_items(mlc *m, mlf_iterator *iterator, long limit, mlc_table *table)
{
    const mlf_object *item;
    int code = MLF_OK;
    for (long shown = 0; !code && shown < limit; shown++) {
        code = mlf_iterator_next(&item, iterator, &m->error);
        if (!code && mlc_table_row(table, item)) code = mlf_error_memory(&m->error);
    }
    return code;
}

void mlc_say_cut(const mlc *m, mlf_iterator *iterator)
{
    const mlf_object *item;
    if (!mlc_has(m, "limit") && !mlf_iterator_next(&item, iterator, NULL))
        sv_say("mlflowc: there is more: these are the first %d (--limit N shows N)", MLC_USUAL_LIMIT);
}

static int print_some(mlc *m, int code, mlf_iterator *iterator, long usual, const mlc_column *columns, size_t n_columns)
{
    long limit = 0;
    if (!code) code = mlc_option_number(m, "limit", usual, 1, &limit);
    mlc_table *table = code ? NULL : mlc_table_begin(m, columns, n_columns);
    if (!code && !table) code = mlf_error_memory(&m->error);
    if (!code) code = print_items(m, iterator, limit, table);
    if (table) mlc_table_end(table);
    if (!code) mlc_say_cut(m, iterator);
    mlf_iterator_free(iterator);
    return code == MLF_E_END ? MLF_OK : code;
}

int mlc_print_search(mlc *m, int code, mlf_iterator *iterator, const mlc_column *columns, size_t n_columns)
{
    return print_some(m, code, iterator, MLC_USUAL_LIMIT, columns, n_columns);
}

int mlc_print_all(mlc *m, int code, mlf_iterator *iterator, const mlc_column *columns, size_t n_columns)
{
    return print_some(m, code, iterator, LONG_MAX, columns, n_columns);
}

/* ---- objects ---- */

static void put_leaf(const char *path, const json_t *value)
{
    sv_buffer out = SV_BUFFER_INIT(1 << 20);
    show_value(&out, value);
    size_t length = strlen(path);
    if (json_is_integer(value) && json_integer_value(value) > 1000000000000 &&
        (strstr(path, "time") || strstr(path, "creat") || strstr(path, "update"))) {
        sv_buffer_text(&out, "  ");
        show_time(&out, json_integer_value(value));
    }
    sv_buffer name = SV_BUFFER_INIT(0);
    int code = sv_buffer_append(&name, path, length);
    char *shown_path = code ? NULL : harmless(&name), *shown = harmless(&out);
    printf("%-36s%s%s\n", shown_path ? shown_path : "?", length >= 36 ? " " : "", shown ? shown : "?");
    sv_free(shown_path);
    sv_free(shown);
}

/* "path  value" lines, level by level; lists of {key, value} read as path.key. */
static void put_lines(const char *path, const json_t *value, int depth)
{
    char inner[512];
    const char *key;
    json_t *item;
    size_t i;
    if (depth > 8 || (!json_is_object(value) && !json_is_array(value))) {
        put_leaf(path, value);
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
    {
        snprintf(inner, sizeof inner, "%s%s%s", path, *path ? "." : "", key);
        put_lines(inner, item, depth + 1);
    }
    json_array_foreach(value, i, item)
    {
        const json_t *name = json_object_get(item, "key"), *paired = json_object_get(item, "value");
        if (json_is_string(name) && paired)
            snprintf(inner, sizeof inner, "%s.%s", path, json_string_value(name));
        else
            snprintf(inner, sizeof inner, "%s[%zu]", path, i);
        put_lines(inner, json_is_string(name) && paired ? paired : item, depth + 1);
    }
}

int mlc_print_object(mlc *m, int code, mlf_object *object)
{
    if (!code && object && m->json) code = put_json(object) ? mlf_error_memory(&m->error) : MLF_OK;
    if (!code && object && !m->json) put_lines("", mlf_object_json(object), 0);
    mlf_object_free(object);
    return code;
}

void mlc_print_fact(const mlc *m, const char *name, const char *text)
{
    if (m->json) {
        json_t *fact = json_pack("{s:s}", name, text);
        put_json(mlf_object_of(fact));
        json_decref(fact);
    } else {
        puts(text);
    }
}
