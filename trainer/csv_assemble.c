#include "csv_assemble.h"
#include "alloc.h"

#include <math.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

typedef struct assembly {
    sv_csv_file *files;
    size_t n_files, n_rows;
    sv_table *table;
    int *codes; /* (n_columns) what became of each */
} assembly;

/* Calls `each` for a column's part in every piece, in the order of the rows. */
#define FOR_PARTS(a, column, file, piece, part)                                                                       \
    for (sv_csv_file *file = (a)->files; file < (a)->files + (a)->n_files; file++)                                    \
        for (sv_csv_piece *piece = file->pieces; piece < file->pieces + file->n_pieces; piece++)                      \
            for (sv_csv_column *part = piece->columns ? &piece->columns[field_of(file, column)] : NULL; part; part = NULL)

static size_t field_of(const sv_csv_file *file, size_t column)
{
    size_t f = 0;
    while (file->plan.fields[f].kind == SV_CSV_SKIP || file->plan.fields[f].column != column)
        f++;
    return f;
}

static int64_t whole_at(const sv_csv_column *part, size_t i)
{
    switch (part->store) {
    case SV_STORE_I8:
        return ((const int8_t *)part->data)[i];
    case SV_STORE_I16:
        return ((const int16_t *)part->data)[i];
    case SV_STORE_I32:
        return ((const int32_t *)part->data)[i];
    default:
        return ((const int64_t *)part->data)[i];
    }
}

static uint32_t code_at(const sv_csv_column *part, size_t i)
{
    switch (part->store) {
    case SV_STORE_CODE8:
        return ((const uint8_t *)part->data)[i];
    case SV_STORE_CODE16:
        return ((const uint16_t *)part->data)[i];
    default:
        return ((const uint32_t *)part->data)[i];
    }
}

static void copy_numbers(void *out, sv_store store, size_t at, const sv_csv_column *part, size_t n)
{
    if (part->store == store) {
        memcpy((char *)out + at * sv_store_size(store), part->data, n * sv_store_size(store));
        return;
    }
    for (size_t i = 0; i < n; i++) { /* wider than this piece asked for */
        int64_t value = whole_at(part, i);
        if (store == SV_STORE_F64)
            ((double *)out)[at + i] = (double)value;
        else if (store == SV_STORE_I64)
            ((int64_t *)out)[at + i] = value;
        else if (store == SV_STORE_I32)
            ((int32_t *)out)[at + i] = (int32_t)value;
        else
            ((int16_t *)out)[at + i] = (int16_t)value;
    }
}

static int assemble_numbers(assembly *a, size_t c)
{
    sv_column *column = &a->table->columns[c];
    int missing = 0, fraction = 0;
    column->store = SV_STORE_I8;
    FOR_PARTS (a, c, file, piece, part) {
        missing |= part->has_missing;
        fraction |= part->has_fraction;
        if (part->store > column->store && piece->n_rows)
            column->store = part->store;
    }
    const sv_csv_field *field = &a->files->plan.fields[field_of(a->files, c)];
    column->type = field->declared ? field->type : missing || fraction ? SV_DOUBLE : SV_LONG;
    if (missing && (column->type == SV_LONG || column->type == SV_BOOLEAN))
        column->type = SV_DOUBLE;
    if (!(column->data = sv_array(a->n_rows ? a->n_rows : 1, sv_store_size(column->store))))
        return SV_E_MEMORY;
    size_t at = 0;
    FOR_PARTS (a, c, file, piece, part) {
        copy_numbers(column->data, column->store, at, part, piece->n_rows);
        at += piece->n_rows;
    }
    return 0;
}

static int32_t number_text(sv_levels *levels, const sv_csv_column *part, uint32_t text)
{
    uint32_t start = text ? part->ends[text - 1] : 0;
    return sv_levels_add(levels, part->bytes + start, part->ends[text] - start);
}

/* The table's code of each of a part's texts, in order of first appearance in the rows that were kept: where rows were left out the rows are asked. */
static int number_texts(sv_levels *levels, int32_t *map, const sv_csv_column *part, const sv_csv_piece *piece)
{
    int32_t bad = 0;
    if (!piece->n_bad) {
        for (uint32_t t = 0; t < part->n_texts && bad >= 0; t++)
            bad = map[t] = number_text(levels, part, t);
        return bad < 0 ? bad : 0;
    }
    for (uint32_t t = 0; t < part->n_texts; t++)
        map[t] = -1;
    for (size_t i = 0; i < piece->n_rows && bad >= 0; i++) {
        uint32_t t = code_at(part, i);
        if (map[t] < 0)
            bad = map[t] = number_text(levels, part, t);
    }
    return bad < 0 ? bad : 0;
}

static void copy_codes(void *out, sv_store store, size_t at, const sv_csv_column *part, size_t n, const int32_t *map)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t code = (uint32_t)map[code_at(part, i)];
        if (store == SV_STORE_CODE8)
            ((uint8_t *)out)[at + i] = (uint8_t)code;
        else if (store == SV_STORE_CODE16)
            ((uint16_t *)out)[at + i] = (uint16_t)code;
        else
            ((uint32_t *)out)[at + i] = code;
    }
}

/* true and false alone, in any case: a boolean. */
static int become_boolean(sv_column *column, size_t n_rows)
{
    size_t n = sv_levels_count(column->levels), length;
    unsigned char truth[8];
    if (!n || n > sizeof truth || column->store != SV_STORE_CODE8)
        return 0;
    for (size_t i = 0; i < n; i++) {
        const char *text = sv_levels_text(column->levels, i, &length);
        truth[i] = length == 4 && !strncasecmp(text, "true", 4);
        if (!truth[i] && (length != 5 || strncasecmp(text, "false", 5) != 0))
            return 0;
    }
    uint8_t *codes = column->data;
    for (size_t i = 0; i < n_rows; i++)
        codes[i] = truth[codes[i]];
    sv_levels_free(column->levels);
    column->levels = NULL;
    column->type = SV_BOOLEAN;
    column->store = SV_STORE_I8;
    return 1;
}

static int assemble_texts(assembly *a, size_t c)
{
    sv_column *column = &a->table->columns[c];
    size_t n_all = 0, at = 0, first = 0;
    FOR_PARTS (a, c, file, piece, part)
        n_all += part->n_texts;
    int32_t *maps = sv_array(n_all + 1, sizeof *maps);
    int code = maps ? sv_levels_new(&column->levels) : SV_E_MEMORY;
    FOR_PARTS (a, c, file, piece, part) {
        if (!code)
            code = number_texts(column->levels, maps + first, part, piece);
        first += part->n_texts;
    }
    if (!code) {
        size_t n = sv_levels_count(column->levels);
        column->type = SV_STRING;
        column->store = n <= 256 ? SV_STORE_CODE8 : n <= 65536 ? SV_STORE_CODE16 : SV_STORE_CODE32;
        column->data = sv_array(a->n_rows ? a->n_rows : 1, sv_store_size(column->store));
        code = column->data ? 0 : SV_E_MEMORY;
    }
    first = 0;
    FOR_PARTS (a, c, file, piece, part) {
        if (!code)
            copy_codes(column->data, column->store, at, part, piece->n_rows, maps + first);
        at += piece->n_rows;
        first += part->n_texts;
    }
    sv_free(maps);
    if (!code && !a->files->plan.fields[field_of(a->files, c)].declared)
        become_boolean(column, a->n_rows);
    return code;
}

static void assemble_column(void *context, size_t c, size_t worker)
{
    assembly *a = context;
    (void)worker;
    int is_text = a->files->plan.fields[field_of(a->files, c)].kind == SV_CSV_TEXT;
    a->codes[c] = is_text ? assemble_texts(a, c) : assemble_numbers(a, c);
}

int sv_csv_assemble(sv_table *out, sv_csv_file *files, size_t n_files, sv_team *team, sv_error *error)
{
    assembly a = {.files = files, .n_files = n_files, .table = out};
    int code = 0;
    *out = (sv_table){0};
    for (size_t f = 0; f < n_files; f++)
        for (size_t p = 0; p < files[f].n_pieces; p++)
            a.n_rows += files[f].pieces[p].n_rows;
    size_t n_columns = 0;
    for (size_t f = 0; f < files->plan.n_fields; f++)
        n_columns += files->plan.fields[f].kind != SV_CSV_SKIP;
    out->columns = sv_calloc(n_columns + 1, sizeof *out->columns);
    a.codes = sv_calloc(n_columns + 1, sizeof *a.codes);
    if (!out->columns || !a.codes)
        code = SV_E_MEMORY;
    out->n_rows = a.n_rows;
    for (size_t c = 0; c < n_columns && !code; c++) {
        out->columns[c].name = sv_strdup(files->plan.fields[field_of(files, c)].name);
        out->n_columns++;
        code = out->columns[c].name ? 0 : SV_E_MEMORY;
    }
    if (!code && team)
        sv_team_run(team, n_columns, assemble_column, &a);
    for (size_t c = 0; c < n_columns && !code && !team; c++)
        assemble_column(&a, c, 0);
    for (size_t c = 0; c < n_columns && !code; c++)
        code = a.codes[c];
    sv_free(a.codes);
    if (code) {
        sv_table_free(out);
        return sv_error_set(error, code, code == SV_E_LIMIT ? "%s: too many different texts in a column" : "%s: out of memory", files->plan.source->name);
    }
    return 0;
}
