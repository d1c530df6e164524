/* csv_read.c: the order of things: headers, a look at the beginning for types, all pieces in parallel, the check that they meet, the table. */
#include "csv_read.h"
#include "alloc.h"
#include "csv_assemble.h"
#include "csv_header.h"
#include "csv_piece.h"
#include "csv_share.h"
#include "prng.h"

#include <stdio.h>
#include <string.h>

enum { PIECE_BYTES = 256 << 10, CELLS_BYTES = 512, SAMPLE_BYTES = 64 << 10 }; /* CELLS_BYTES: of each column, so that pieces of wide rows hold some dozens of them */

typedef struct csv_run {
    const sv_csv_options *options;
    sv_team *team;
    sv_csv_file *files; /* (n_files) */
    size_t n_files;
    sv_csv_file *file;      /* at work */
    size_t first;           /* its first piece of this wave */
    sv_csv_worker *workers; /* (n_workers) */
    size_t n_workers;
    char **kept;            /* (n_files) what other ranks sent */
    uint64_t bytes_parsed;
    sv_error *error;
} csv_run;

static int out_of_memory(csv_run *run)
{
    return sv_error_set(run->error, SV_E_MEMORY, "%s: out of memory", run->files->plan.source->name);
}

/* ---- plans ---- */

static int is_wanted(const sv_csv_options *options, const char *name)
{
    size_t i = 0;
    while (i < options->n_wanted && strcmp(options->wanted[i], name) != 0)
        i++;
    return !options->wanted || i < options->n_wanted;
}

static int declare(sv_csv_field *field, const sv_entries *columns)
{
    for (size_t i = 0; columns && i < columns->count; i++)
        if (!strcmp(columns->items[i].key, field->name)) {
            field->declared = !sv_type_from_name(&field->type, columns->items[i].value);
            break;
        }
    if (!field->declared)
        return SV_CSV_NUMBER;
    return field->type == SV_STRING ? SV_CSV_TEXT : field->type == SV_DATE ? SV_CSV_DATE : field->type == SV_BOOLEAN ? SV_CSV_BOOLEAN : SV_CSV_NUMBER;
}

static int plan_file(csv_run *run, sv_csv_file *file, const sv_source *source)
{
    sv_csv_header header;
    sv_csv_plan *plan = &file->plan;
    int code = sv_csv_header_read(&header, source, run->options, run->error);
    if (code)
        return code;
    file->names = header.names;
    *plan = (sv_csv_plan){.options = run->options, .source = source, .n_fields = header.n_names, .delimiter = header.delimiter, .first_row = header.first_row};
    plan->piece_bytes = run->options->piece_bytes ? run->options->piece_bytes : header.n_names * CELLS_BYTES > PIECE_BYTES ? header.n_names * CELLS_BYTES : PIECE_BYTES;
    plan->ends[(unsigned char)plan->delimiter] = plan->ends['\n'] = plan->ends['\r'] = 1;
    if (!(plan->fields = sv_calloc(header.n_names, sizeof *plan->fields)))
        return out_of_memory(run);
    size_t column = 0;
    for (size_t f = 0; f < plan->n_fields; f++) {
        sv_csv_field *field = &plan->fields[f];
        field->name = header.names[f];
        field->kind = is_wanted(run->options, field->name) ? (sv_csv_kind)declare(field, run->options->columns) : SV_CSV_SKIP;
        if (field->kind != SV_CSV_SKIP)
            field->column = column++;
    }
    return 0;
}

/* A later file has the first one's columns, in whatever order. */
static int match_columns(csv_run *run, sv_csv_file *file)
{
    const sv_csv_plan *first = &run->files->plan;
    if (file->plan.n_fields != first->n_fields)
        return sv_error_set(run->error, SV_E_INPUT, "%s: expected the %zu columns of %s, got %zu", file->plan.source->name, first->n_fields, first->source->name,
                            file->plan.n_fields);
    for (size_t f = 0; f < first->n_fields; f++) {
        size_t i = 0;
        while (i < first->n_fields && strcmp(first->fields[i].name, file->plan.fields[f].name) != 0)
            i++;
        if (i == first->n_fields)
            return sv_error_set(run->error, SV_E_INPUT, "%s: column '%s' is not in %s", file->plan.source->name, file->plan.fields[f].name, first->source->name);
        file->plan.fields[f].column = first->fields[i].column;
    }
    return 0;
}

static int check_declared(csv_run *run)
{
    const sv_entries *columns = run->options->columns;
    const sv_csv_plan *plan = &run->files->plan;
    for (size_t i = 0; columns && i < columns->count && !run->options->may_lack; i++) {
        size_t f = 0;
        while (f < plan->n_fields && strcmp(plan->fields[f].name, columns->items[i].key) != 0)
            f++;
        if (f < plan->n_fields)
            continue;
        sv_error_set(run->error, SV_E_INPUT, "%s: column '%s' is declared but not in the file", plan->source->name, columns->items[i].key);
        char names[300] = "";
        for (f = 0; f < plan->n_fields && strlen(names) < sizeof names - 80; f++)
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s%.60s", f ? ", " : "", plan->fields[f].name);
        sv_error_hint(run->error, "the file has: %s%s", names, f < plan->n_fields ? ", …" : "");
        return SV_E_INPUT;
    }
    return 0;
}

/* ---- workers ---- */

static void free_workers(csv_run *run)
{
    for (size_t i = 0; run->workers && i < run->n_workers; i++) {
        sv_csv_worker *w = &run->workers[i];
        for (size_t f = 0; w->cells && f < run->files->plan.n_fields; f++) {
            sv_free(w->cells[f].at.whole);
            sv_csv_dictionary_free(&w->cells[f].dictionary);
        }
        sv_free(w->cells);
        sv_free(w->bytes);
        sv_csv_shelf_free(&w->shelf);
        if (w->has_libcsv)
            csv_free(&w->libcsv);
    }
    sv_free(run->workers);
    run->workers = NULL;
}

/* Room for every row that can begin in a piece: each has a byte a cell, and two at least. */
static int make_workers(csv_run *run)
{
    const sv_csv_plan *plan = &run->files->plan;
    run->n_workers = run->team ? sv_team_size(run->team) : 1;
    run->workers = sv_calloc(run->n_workers, sizeof *run->workers);
    if (!run->workers)
        return out_of_memory(run);
    size_t bytes = plan->piece_bytes > SAMPLE_BYTES ? plan->piece_bytes : SAMPLE_BYTES;
    for (size_t i = 0; i < run->n_workers; i++) {
        sv_csv_worker *w = &run->workers[i];
        w->capacity = bytes / (plan->n_fields > 2 ? plan->n_fields : 2) + 2;
        if (!(w->cells = sv_calloc(plan->n_fields, sizeof *w->cells)))
            return out_of_memory(run);
        for (size_t f = 0; f < plan->n_fields; f++) {
            sv_csv_cells *cells = &w->cells[f];
            if (!(cells->at.whole = sv_array(w->capacity, sizeof *cells->at.whole + sizeof *cells->real)))
                return out_of_memory(run);
            cells->real = (double *)(cells->at.whole + w->capacity);
        }
    }
    return 0;
}

static int worker_failed(csv_run *run, const sv_csv_worker *w, int code)
{
    if (w->error.code) {
        sv_error_set(run->error, w->error.code, "%s", w->error.message);
        return w->error.code;
    }
    return sv_error_set(run->error, code, "%s: cannot be read", run->file->plan.source->name);
}

/* ---- types from the beginning ---- */

/* Columns of the first rows that hold something that is no number are texts from the start; the others are found out while reading. */
static int look_at_beginning(csv_run *run)
{
    sv_csv_file *file = run->files;
    sv_csv_piece sample = {0};
    sv_csv_plan plan = file->plan;
    sv_csv_worker *w = run->workers;
    run->file = file;
    if (plan.first_row >= plan.source->size)
        return 0;
    plan.piece_bytes = SAMPLE_BYTES;
    w->plan = &plan;
    int code = sv_csv_scan_piece(w, &sample, 0, UINT64_MAX);
    for (size_t f = 0; f < plan.n_fields && !code; f++) {
        if (!sample.columns[f].needs_text)
            continue;
        for (sv_csv_file *other = run->files; other < run->files + run->n_files; other++)
            for (size_t g = 0; g < other->plan.n_fields; g++)
                if (other->plan.fields[g].kind != SV_CSV_SKIP && other->plan.fields[g].column == plan.fields[f].column)
                    other->plan.fields[g].kind = SV_CSV_TEXT;
    }
    if (code)
        code = worker_failed(run, w, code);
    sv_csv_piece_free(&sample);
    return code;
}

/* ---- all pieces ---- */

static void scan_one(void *context, size_t task, size_t worker)
{
    csv_run *run = context;
    sv_csv_worker *w = &run->workers[worker];
    sv_csv_piece *piece = &run->file->pieces[run->first + task];
    w->plan = &run->file->plan;
    if (!w->error.code)
        piece->code = sv_csv_scan_piece(w, piece, run->first + task, UINT64_MAX);
}

/* Every piece must begin where the one before it ended; one that guessed wrongly is parsed again from there. */
static int check_joints(csv_run *run, size_t end)
{
    sv_csv_file *file = run->file;
    for (size_t i = run->first; i < end; i++) {
        uint64_t expected = i ? file->pieces[i - 1].end : file->plan.first_row;
        if (file->pieces[i].start == expected)
            continue;
        run->workers->plan = &file->plan;
        int code = sv_csv_scan_piece(run->workers, &file->pieces[i], i, expected);
        if (code)
            return worker_failed(run, run->workers, code);
    }
    return 0;
}

static int scan_pieces(csv_run *run, size_t first, size_t end)
{
    const sv_csv_plan *plan = &run->file->plan;
    run->first = first;
    if (run->team)
        sv_team_run(run->team, end - first, scan_one, run);
    for (size_t i = 0; i < end - first && !run->team; i++)
        scan_one(run, i, 0);
    for (size_t i = 0; i < run->n_workers; i++)
        if (run->workers[i].error.code)
            return worker_failed(run, &run->workers[i], 0);
    for (size_t i = first; i < end; i++) {
        uint64_t from = plan->first_row + i * plan->piece_bytes, left = plan->source->size - from;
        run->bytes_parsed += left < plan->piece_bytes ? left : plan->piece_bytes;
    }
    return 0;
}

/* This rank's share, then the others'. */
static int scan_share(csv_run *run, sv_csv_file *file)
{
    size_t first, end;
    sv_csv_share_of(&first, &end, file->n_pieces);
    int code = scan_pieces(run, first, end);
    if (!code)
        code = sv_csv_share_pieces(&run->kept[file - run->files], file, run->error);
    run->first = 0;
    return code;
}

static int scan_file(csv_run *run, sv_csv_file *file, size_t *n_rows)
{
    sv_csv_plan *plan = &file->plan;
    uint64_t bytes = plan->source->size > plan->first_row ? plan->source->size - plan->first_row : 0;
    size_t max_rows = (size_t)run->options->max_rows;
    run->file = file;
    file->n_pieces = (size_t)((bytes + plan->piece_bytes - 1) / plan->piece_bytes);
    if (!(file->pieces = sv_calloc(file->n_pieces + 1, sizeof *file->pieces)))
        return out_of_memory(run);
    size_t wave = max_rows ? 2 * run->n_workers : file->n_pieces, done = 0;
    while (done < file->n_pieces && (!max_rows || *n_rows < max_rows)) {
        size_t end = done + wave < file->n_pieces ? done + wave : file->n_pieces;
        int code = run->options->by_ranks && !max_rows ? scan_share(run, file) : scan_pieces(run, done, end);
        if (!code)
            code = check_joints(run, end);
        if (code)
            return code;
        for (; done < end; done++)
            *n_rows += file->pieces[done].n_rows;
    }
    file->n_pieces = done;
    if (max_rows && *n_rows > max_rows && done) { /* the last piece gave too many; n_bad makes its texts be counted anew */
        file->pieces[done - 1].n_bad += 1;
        for (size_t more = *n_rows - max_rows; more; done--) {
            sv_csv_piece *piece = &file->pieces[done - 1];
            size_t cut = piece->n_rows < more ? piece->n_rows : more;
            piece->n_rows -= cut;
            more -= cut;
        }
        *n_rows = max_rows;
    }
    return 0;
}

/* Columns in which some later cell turned out to be a text become texts in all files; 1 when there were some. */
static int find_texts(csv_run *run)
{
    int found = 0;
    for (sv_csv_file *file = run->files; file < run->files + run->n_files; file++)
        for (size_t p = 0; p < file->n_pieces; p++)
            for (size_t f = 0; file->pieces[p].columns && f < file->plan.n_fields; f++) {
                if (!file->pieces[p].columns[f].needs_text)
                    continue;
                found = 1;
                for (sv_csv_file *other = run->files; other < run->files + run->n_files; other++)
                    for (size_t g = 0; g < other->plan.n_fields; g++)
                        if (other->plan.fields[g].kind != SV_CSV_SKIP && other->plan.fields[g].column == file->plan.fields[f].column)
                            other->plan.fields[g].kind = SV_CSV_TEXT;
            }
    return found;
}

static void free_pieces(sv_csv_file *file)
{
    for (size_t p = 0; p < file->n_pieces; p++)
        sv_csv_piece_free(&file->pieces[p]);
    sv_free(file->pieces);
    file->pieces = NULL;
    file->n_pieces = 0;
}

static int scan_all(csv_run *run)
{
    for (int again = 1; again;) {
        size_t n_rows = 0;
        for (sv_csv_file *file = run->files; file < run->files + run->n_files; file++) {
            int code = scan_file(run, file, &n_rows);
            if (code)
                return code;
        }
        again = find_texts(run);
        for (sv_csv_file *file = run->files; again && file < run->files + run->n_files; file++) {
            free_pieces(file);
            sv_free(run->kept[file - run->files]);
            run->kept[file - run->files] = NULL;
        }
        for (size_t i = 0; again && i < run->n_workers; i++)
            sv_csv_shelf_free(&run->workers[i].shelf);
    }
    return 0;
}

/* ---- bad rows ---- */

static size_t count_lines(const sv_source *source, uint64_t end)
{
    char bytes[8192];
    size_t lines = 1, got;
    for (uint64_t at = 0; at < end; at += got) {
        size_t want = end - at < sizeof bytes ? (size_t)(end - at) : sizeof bytes;
        if (sv_source_read(source, at, bytes, want, &got, NULL) || !got)
            break;
        for (size_t i = 0; i < got; i++)
            lines += bytes[i] == '\n' || (bytes[i] == '\r' && (i + 1 == got || bytes[i + 1] != '\n'));
    }
    return lines;
}

static int report_bad_rows(csv_run *run, sv_csv_info *info)
{
    info->n_bad = 0;
    for (sv_csv_file *file = run->files; file < run->files + run->n_files; file++) {
        size_t row = run->options->rows_before;
        for (size_t p = 0; p < file->n_pieces; p++) {
            const sv_csv_piece *piece = &file->pieces[p];
            for (size_t b = 0; b < piece->n_bad && b < SV_CSV_BAD_SHOWN && piece->bad[b].text[0]; b++) {
                if (info->n_bad + b < SV_CSV_BAD_SHOWN)
                    snprintf(info->bad[info->n_bad + b], sizeof info->bad[0], "%.60s: row %zu (line %zu): %.150s", file->plan.source->name,
                             row + piece->bad[b].row + 1, run->options->lines_before + count_lines(file->plan.source, piece->bad[b].offset), piece->bad[b].text);
                if (run->options->on_bad_row == SV_BAD_ROW_FAIL) {
                    sv_error_set(run->error, SV_E_INPUT, "%s: row %zu (line %zu): %s", file->plan.source->name, row + piece->bad[b].row + 1,
                                 run->options->lines_before + count_lines(file->plan.source, piece->bad[b].offset), piece->bad[b].text);
                    if (run->options->bad_row_hint)
                        sv_error_hint(run->error, "%s", run->options->bad_row_hint);
                    return SV_E_INPUT;
                }
            }
            info->n_bad += piece->n_bad;
            row += piece->n_rows + piece->n_bad;
        }
    }
    return 0;
}

static int digest_headers(csv_run *run, sv_csv_info *info)
{
    info->digest = 0;
    info->bytes = 0;
    for (sv_csv_file *file = run->files; file < run->files + run->n_files; file++) {
        for (size_t f = 0; f < file->plan.n_fields; f++)
            for (const char *name = file->plan.fields[f].name; *name; name++)
                info->digest = sv_mix64(info->digest ^ (unsigned char)*name);
        for (size_t p = 0; p < file->n_pieces; p++)
            info->digest = sv_mix64(info->digest ^ file->pieces[p].digest);
        info->bytes += file->plan.source->size;
    }
    return 0;
}

int sv_csv_read(sv_table *out, sv_csv_info *info, const sv_source *sources, size_t n_sources, const sv_csv_options *options, sv_team *team, sv_error *error)
{
    csv_run run = {.options = options, .team = team, .n_files = n_sources, .error = error};
    sv_csv_info own;
    int code = 0;
    *out = (sv_table){0};
    info = info ? info : &own;
    *info = (sv_csv_info){0};
    run.files = run.file = sv_calloc(n_sources + 1, sizeof *run.files);
    run.kept = sv_calloc(n_sources + 1, sizeof *run.kept);
    if (!run.files || !run.kept) {
        sv_free(run.files);
        sv_free(run.kept);
        return sv_error_set(error, SV_E_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < n_sources && !code; i++) {
        code = plan_file(&run, &run.files[i], &sources[i]);
        if (!code && i)
            code = match_columns(&run, &run.files[i]);
    }
    if (!code)
        code = check_declared(&run);
    if (!code)
        code = make_workers(&run);
    if (!code)
        code = look_at_beginning(&run);
    if (!code)
        code = scan_all(&run);
    if (!code)
        code = report_bad_rows(&run, info);
    if (!code) {
        digest_headers(&run, info);
        info->bytes_parsed = run.bytes_parsed;
        info->delimiter = run.files->plan.delimiter;
        code = sv_csv_assemble(out, run.files, n_sources, team, error);
    }
    free_workers(&run);
    for (size_t i = 0; i < n_sources; i++) {
        free_pieces(&run.files[i]);
        sv_free(run.kept[i]);
        sv_free(run.files[i].plan.fields);
        sv_free(run.files[i].names);
    }
    sv_free(run.files);
    sv_free(run.kept);
    return code;
}

int sv_csv_names(char ***names, size_t *n_names, char *delimiter, const sv_source *source, const sv_csv_options *options, sv_error *error)
{
    sv_csv_header header;
    int code = sv_csv_header_read(&header, source, options, error);
    *names = header.names;
    *n_names = header.n_names;
    if (delimiter)
        *delimiter = header.delimiter;
    return code;
}
