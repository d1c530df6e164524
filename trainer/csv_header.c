#include "csv_header.h"
#include "alloc.h"
#include "buffer.h"

#include <csv.h>
#include <stdio.h>
#include <string.h>

enum { HEADER_MAX = 4 << 20, COLUMNS_MAX = 4096, NAME_MAX_BYTES = 255 };

typedef struct header_reader {
    sv_buffer texts; /* the cells, each with its NUL */
    size_t n_cells;
    int done, code;
} header_reader;

static void take_cell(void *text, size_t length, void *context)
{
    header_reader *r = context;
    if (r->done || r->code)
        return;
    if (r->n_cells++ == COLUMNS_MAX || length > NAME_MAX_BYTES || (length && memchr(text, 0, length)))
        r->code = SV_E_INPUT;
    else if (sv_buffer_append(&r->texts, length ? text : "", length) || sv_buffer_byte(&r->texts, '\0'))
        r->code = SV_E_MEMORY;
}

static void take_row(int terminator, void *context)
{
    (void)terminator;
    ((header_reader *)context)->done = 1;
}

static int never_blank(unsigned char byte)
{
    (void)byte;
    return 0;
}

char sv_csv_find_delimiter(const char *bytes, size_t size, char quote)
{
    static const char usual[] = {',', ';', '\t', '|'};
    size_t counts[sizeof usual] = {0}, best = 0;
    int inside = 0, seen = 0;
    for (size_t i = 0; i < size; i++) {
        inside ^= bytes[i] == quote;
        if (!inside && seen && (bytes[i] == '\n' || bytes[i] == '\r'))
            break;
        seen |= bytes[i] != '\n' && bytes[i] != '\r';
        for (size_t k = 0; k < sizeof usual; k++)
            counts[k] += !inside && bytes[i] == usual[k];
    }
    for (size_t k = 1; k < sizeof usual; k++)
        best = counts[k] > counts[best] ? k : best;
    return usual[best];
}

/* Feeds line by line until libcsv has a row. *used: its bytes. */
static void read_row(header_reader *r, const char *bytes, size_t size, char delimiter, const sv_csv_options *options, size_t *used)
{
    struct csv_parser parser;
    size_t at = 0;
    if (csv_init(&parser, 0)) {
        r->code = SV_E_MEMORY;
        return;
    }
    csv_set_delim(&parser, (unsigned char)delimiter);
    csv_set_quote(&parser, (unsigned char)options->quote);
    if (!options->trim)
        csv_set_space_func(&parser, never_blank);
    while (!r->done && !r->code && at < size) {
        size_t line = at;
        while (line < size && bytes[line] != '\n' && bytes[line] != '\r')
            line++;
        line += line < size;
        if (csv_parse(&parser, bytes + at, line - at, take_cell, take_row, r) != line - at)
            r->code = SV_E_MEMORY;
        at = line;
    }
    if (!r->done && !r->code)
        csv_fini(&parser, take_cell, take_row, r);
    csv_free(&parser);
    *used = at;
}

/* Names as pointers into one block. Without a header: c1, c2, … */
static int make_names(sv_csv_header *header, const header_reader *r, int has_header)
{
    size_t pointers = r->n_cells * sizeof(char *);
    char **names = sv_malloc(pointers + (has_header ? r->texts.size : r->n_cells * 8) + 1);
    if (!names)
        return SV_E_MEMORY;
    char *text = (char *)names + pointers;
    if (has_header && r->texts.size)
        memcpy(text, r->texts.data, r->texts.size);
    for (size_t i = 0; i < r->n_cells; i++) {
        names[i] = text;
        if (!has_header)
            snprintf(text, 8, "c%hu", (unsigned short)(i + 1)); /* at most COLUMNS_MAX */
        text += strlen(text) + 1;
    }
    header->names = names;
    header->n_names = r->n_cells;
    return 0;
}

static int check_names(const sv_csv_header *header, const char *file, sv_error *error)
{
    for (size_t i = 0; i < header->n_names; i++) {
        if (!*header->names[i])
            return sv_error_set(error, SV_E_INPUT, "%s: header: expected a name for column %zu, got nothing", file, i + 1);
        for (size_t j = 0; j < i; j++)
            if (!strcmp(header->names[i], header->names[j]))
                return sv_error_set(error, SV_E_INPUT, "%s: header: column '%s' stands twice (columns %zu and %zu)", file, header->names[i], j + 1, i + 1);
    }
    return 0;
}

/* A text of two or four bytes a character, which is not read: 0, or SV_E_INPUT. Its mark, or the NULs that every such text in Latin letters has, tell it. */
static int refuse_wide_text(const char *bytes, size_t size, const char *file, sv_error *error)
{
    const char *kind = NULL;
    if (size >= 4 && (!memcmp(bytes, "\xff\xfe\0\0", 4) || !memcmp(bytes, "\0\0\xfe\xff", 4)))
        kind = "UTF-32";
    else if (size >= 2 && (!memcmp(bytes, "\xff\xfe", 2) || !memcmp(bytes, "\xfe\xff", 2)))
        kind = "UTF-16";
    else if (size >= 4 && ((!bytes[0] && bytes[1] && !bytes[2] && bytes[3]) || (bytes[0] && !bytes[1] && bytes[2] && !bytes[3])))
        kind = bytes[0] ? "UTF-16LE" : "UTF-16BE";
    if (!kind)
        return 0;
    sv_error_set(error, SV_E_INPUT, "%s: expected UTF-8, got %s", file, kind);
    sv_error_hint(error, "convert the file first, as in: iconv -f %s -t UTF-8", kind);
    return SV_E_INPUT;
}

int sv_csv_header_read(sv_csv_header *header, const sv_source *source, const sv_csv_options *options, sv_error *error)
{
    header_reader r = {.texts = SV_BUFFER_INIT(0)};
    size_t size = 0, used = 0, want = source->size < 65536 ? (size_t)source->size : 65536;
    char *bytes = sv_malloc(want + 1);
    int code = bytes ? sv_source_read(source, 0, bytes, want, &size, error) : SV_E_MEMORY;
    *header = (sv_csv_header){0};
    if (!code && size == 65536 && !memchr(bytes, '\n', size)) { /* a very long first line */
        want = source->size < HEADER_MAX ? (size_t)source->size : HEADER_MAX;
        char *more = sv_realloc(bytes, want + 1);
        bytes = more ? more : bytes;
        code = more ? sv_source_read(source, 0, bytes, want, &size, error) : SV_E_MEMORY;
    }
    if (!code)
        code = refuse_wide_text(bytes, size, source->name, error);
    if (!code) {
        size_t mark = size >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3) ? 3 : 0;
        header->delimiter = options->delimiter ? options->delimiter : sv_csv_find_delimiter(bytes + mark, size - mark, options->quote);
        read_row(&r, bytes + mark, size - mark, header->delimiter, options, &used);
        header->first_row = options->header ? mark + used : mark;
        code = r.code;
        if (code == SV_E_INPUT)
            sv_error_set(error, code, "%s: header: expected at most %d names of at most %d bytes, without NUL bytes", source->name, COLUMNS_MAX, NAME_MAX_BYTES);
        else if (!code && !r.done)
            code = sv_error_set(error, SV_E_INPUT, "%s: expected a header and rows, got an empty file", source->name);
    }
    if (!code)
        code = make_names(header, &r, options->header);
    if (code == SV_E_MEMORY)
        sv_error_set(error, code, "%s: out of memory", source->name);
    if (!code)
        code = check_names(header, source->name, error);
    if (code) {
        sv_free(header->names);
        *header = (sv_csv_header){0};
    }
    sv_buffer_free(&r.texts);
    sv_free(bytes);
    return code;
}
