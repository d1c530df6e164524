/* predict_command.c: `solvent predict`: rows go through in batches, as they came, with the model's outputs behind each. */
#include "alloc.h"
#include "commands.h"
#include "evaluate.h"
#include "log.h"
#include "model_rows.h"
#include "model_source.h"
#include "number.h"
#include "output.h"
#include "row_cutter.h"
#include "values.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BATCH_BYTES = 4 << 20, ROW_MAX = 64 << 20 };

typedef struct prediction_job {
    const sv_pipeline *pipeline;
    sv_team *team;
    sv_output output;
    sv_row_cutter cutter;
    sv_model_rows rows;
    sv_source source;   /* the input, when it is no pipe */
    uint64_t offset;
    int is_pipe, at_end;
    int *derived;       /* (n_derived) the features that the model reads and an expression makes */
    size_t n_derived;   /* 0 also once a row of them was warned of */
    sv_buffer bytes;    /* what was read and not yet written on */
    sv_buffer header;   /* the header line and its line end */
    sv_buffer lines;    /* what is to be written */
    size_t n_rows, n_lines;
    sv_error *error;
} prediction_job;

static const char *input_name(const prediction_job *j)
{
    return j->source.name ? j->source.name : "standard input";
}

/* ---- input ---- */

static int read_more(prediction_job *j)
{
    size_t got = 0;
    int code = sv_buffer_reserve(&j->bytes, BATCH_BYTES);
    if (code)
        return sv_error_set(j->error, code, "input: expected a row of at most %d bytes; is a quote left open?", ROW_MAX);
    if (!j->is_pipe) {
        code = sv_source_read(&j->source, j->offset, j->bytes.data + j->bytes.size, BATCH_BYTES, &got, j->error);
        j->offset += got;
        j->at_end = j->offset >= j->source.size;
    } else {
        ssize_t count;
        while ((count = read(STDIN_FILENO, j->bytes.data + j->bytes.size, BATCH_BYTES)) < 0 && errno == EINTR)
            if (sv_interrupted())
                return sv_error_set(j->error, SV_E_INTERRUPTED, "interrupted");
        if (count < 0)
            return sv_error_set(j->error, SV_E_IO, "standard input: cannot be read: %s", strerror(errno));
        got = (size_t)count;
        j->at_end = !count;
    }
    j->bytes.size += got;
    return code;
}

static void drop_front(sv_buffer *bytes, size_t n)
{
    memmove(bytes->data, bytes->data + n, bytes->size - n);
    bytes->size -= n;
}

/* ---- header ---- */

static int put_cell(sv_buffer *out, const char *text, char delimiter, char quote)
{
    char special[] = {delimiter, quote, '\n', '\r', 0};
    if (!strpbrk(text, special) && *text != ' ' && *text != '\t')
        return sv_buffer_text(out, text);
    int code = sv_buffer_byte(out, quote);
    for (const char *at = text; *at && !code; at++)
        code = *at == quote && sv_buffer_byte(out, quote) ? SV_E_MEMORY : sv_buffer_byte(out, *at);
    return code ? code : sv_buffer_byte(out, quote);
}

static int take_header(prediction_job *j)
{
    size_t start = 0, end = 0, used = 0, n_names;
    sv_source first;
    char **names = NULL;
    int code = 0;
    do {
        code = read_more(j);
        if (!code && j->bytes.size) {
            sv_model_rows_delimiter(&j->rows, j->pipeline, j->bytes.data, j->bytes.size);
            j->cutter = (sv_row_cutter){.delimiter = j->rows.options.delimiter, .quote = j->rows.options.quote, .trim = j->rows.options.trim};
            used = sv_row_cut(&j->cutter, j->bytes.data, j->bytes.size, j->at_end, &start, &end);
        }
    } while (!code && !used && !j->at_end && j->bytes.size < ROW_MAX);
    if (!code)
        code = sv_source_from_memory(&first, input_name(j), j->bytes.data ? j->bytes.data : "", used ? used : j->bytes.size, j->error);
    if (code)
        return code;
    code = sv_csv_names(&names, &n_names, NULL, &first, &j->rows.options, j->error);
    sv_source_close(&first);
    if (code)
        return code;
    for (size_t o = 0; o < sv_pipeline_n_outputs(j->pipeline) && !code; o++)
        for (size_t i = 0; i < n_names && !code; i++)
            if (!strcmp(names[i], sv_pipeline_output_name(j->pipeline, o)))
                code = sv_error_set(j->error, SV_E_INPUT, "%s: has a column '%s' already: it is what the model answers", input_name(j), names[i]);
    if (!code)
        code = sv_model_check_columns(j->pipeline, (const char *const *)names, n_names, input_name(j), j->error);
    sv_free(names);
    if (!j->rows.options.header) /* the first line is a row */
        return code;
    if (!code && (sv_buffer_append(&j->header, j->bytes.data + start, end - start) || sv_buffer_byte(&j->header, '\n') ||
                  sv_buffer_append(&j->lines, j->bytes.data + start, end - start)))
        code = SV_E_MEMORY;
    for (size_t o = 0; o < sv_pipeline_n_outputs(j->pipeline) && !code; o++)
        if (sv_buffer_byte(&j->lines, j->cutter.delimiter) || put_cell(&j->lines, sv_pipeline_output_name(j->pipeline, o), j->cutter.delimiter, j->cutter.quote))
            code = SV_E_MEMORY;
    if (!code)
        code = sv_buffer_byte(&j->lines, '\n');
    drop_front(&j->bytes, used);
    return code;
}

/* ---- rows ---- */

/* What the model answers to one row, from sv_predict_table's numbers. */
static int put_outputs(prediction_job *j, const double *values, size_t row, size_t n_rows)
{
    const sv_pipeline *p = j->pipeline;
    char number[SV_NUMBER_SIZE], delimiter = j->cutter.delimiter;
    int code = 0;
    if (sv_pipeline_task(p) == SV_TASK_MULTINOMIAL) {
        size_t best = 0, n = sv_pipeline_n_scores(p);
        for (size_t k = 1; k < n; k++)
            best = values[k * n_rows + row] > values[best * n_rows + row] ? k : best;
        code = sv_buffer_byte(&j->lines, delimiter) || put_cell(&j->lines, sv_pipeline_class(p, best), delimiter, j->cutter.quote);
        for (size_t k = 0; k < n && !code; k++) {
            sv_format_double(number, values[k * n_rows + row]);
            code = sv_buffer_byte(&j->lines, delimiter) || sv_buffer_text(&j->lines, number);
        }
        return code ? SV_E_MEMORY : 0;
    }
    sv_format_double(number, values[row]);
    code = sv_buffer_byte(&j->lines, delimiter) || sv_buffer_text(&j->lines, number);
    if (!code && sv_pipeline_task(p) == SV_TASK_BINARY)
        code = sv_buffer_byte(&j->lines, delimiter) || sv_buffer_byte(&j->lines, values[row] >= sv_pipeline_threshold(p) ? '1' : '0');
    return code ? SV_E_MEMORY : 0;
}

/* Reads the rows of text[0..length), whole ones, as a table of the model's columns. */
static int read_batch(prediction_job *j, sv_table *table, const char *text, size_t length)
{
    sv_buffer whole = SV_BUFFER_INIT(0);
    sv_source source;
    int code = sv_buffer_append(&whole, j->header.data, j->header.size) || sv_buffer_append(&whole, text, length) ? SV_E_MEMORY : 0;
    if (!code)
        code = sv_source_from_memory(&source, input_name(j), whole.data, whole.size, j->error);
    if (!code) {
        j->rows.options.rows_before = j->n_rows;
        j->rows.options.lines_before = j->n_lines;
        code = sv_csv_read(table, NULL, &source, 1, &j->rows.options, j->team, j->error);
        sv_source_close(&source);
        int is_read = !code;
        for (size_t c = 0; is_read && c < table->n_columns && !code; c++)
            if (table->columns[c].type == SV_STRING)
                code = sv_levels_check_utf8(table->columns[c].levels, table->columns[c].name, j->error);
        if (is_read && code)
            sv_table_free(table);
    }
    sv_buffer_free(&whole);
    return code;
}

/* Training refuses an expression that makes no number of present ones, log(-1) or 1/0. Here such a row is scored as MLflow's python_function and onnx flavors
   of the same model score it, missing or infinite, but not silently. */
static int warn_of_strange_rows(prediction_job *j, const sv_table *table)
{
    sv_values values;
    sv_error strange = SV_ERROR_INIT;
    if (!j->n_derived)
        return 0;
    int code = sv_values_new(&values, sv_pipeline_features(j->pipeline), table, j->derived, j->n_derived, j->team, j->error);
    if (code)
        return code;
    values.rows_before = j->n_rows;
    code = sv_values_check(&values, NULL, 0, j->team, &strange);
    sv_values_free(&values);
    if (code == SV_E_MEMORY)
        return sv_error_set(j->error, code, "%s", strange.message);
    if (code) {
        sv_log(SV_LOG_WARN, "%s: %s; training refuses such a row, here it is answered as MLflow answers it, and so are any further ones", input_name(j), strange.message);
        j->n_derived = 0;
    }
    return 0;
}

static size_t count_lines(const char *text, size_t length)
{
    size_t n = 0;
    for (const char *at = text; (at = memchr(at, '\n', length - (size_t)(at - text))); at++)
        n++;
    return n;
}

/* Which column of the row, and what it holds: the scorer says it of a block of one. */
static int no_answer(prediction_job *j, const sv_table *table, size_t row)
{
    sv_error why = SV_ERROR_INIT;
    sv_binding *binding = NULL;
    sv_scorer *scorer = NULL;
    char *scratch = NULL;
    sv_block block;
    int code = sv_binding_new(&binding, sv_pipeline_features(j->pipeline), table, j->error);
    if (!code && (!(scratch = sv_aligned(64, sv_binding_scratch_size(binding))) || sv_scorer_new(&scorer, j->pipeline)))
        code = SV_E_MEMORY;
    if (!code) {
        sv_binding_block(binding, row, 1, scratch, &block);
        sv_scorer_run(scorer, &block, &why);
        const char *what = strncmp(why.message, "row 0: ", 7) ? why.message : why.message + 7;
        code = sv_error_set(j->error, SV_E_INPUT, "%s: row %zu: the model has no answer: %s", input_name(j), j->n_rows + row + 1, what);
    }
    sv_scorer_free(scorer);
    sv_binding_free(binding);
    sv_free(scratch);
    return code;
}

static int predict_batch(prediction_job *j, size_t length)
{
    sv_table table;
    double *values = NULL;
    int code = read_batch(j, &table, j->bytes.data, length);
    if (code)
        return code;
    code = warn_of_strange_rows(j, &table);
    if (table.n_rows && !code)
        code = sv_predict_table(&values, j->pipeline, &table, j->team, j->error);
    size_t at = 0;
    for (size_t row = 0; row < table.n_rows && !code; row++) {
        size_t start, end, used = sv_row_cut(&j->cutter, j->bytes.data + at, length - at, 1, &start, &end);
        if (isnan(values[row])) {
            code = no_answer(j, &table, row);
            break;
        }
        code = sv_buffer_append(&j->lines, j->bytes.data + at + start, end - start);
        if (!code)
            code = put_outputs(j, values, row, table.n_rows);
        if (!code)
            code = sv_buffer_byte(&j->lines, '\n');
        at += used;
    }
    j->n_rows += table.n_rows;
    j->n_lines += count_lines(j->bytes.data, length);
    if (code == SV_E_INPUT && table.n_rows && !values) { /* the table as a whole does not fit the model */
        sv_error_prefix(j->error, "%s: ", input_name(j));
        sv_error_hint(j->error, "an empty cell among whole numbers makes them double; the model's training rows had none");
    }
    sv_free(values);
    sv_table_free(&table);
    if (!code)
        code = sv_output_write(&j->output, j->lines.data ? j->lines.data : "", j->lines.size, j->error);
    sv_buffer_clear(&j->lines);
    return code;
}

/* The bytes up to the end of the last whole row. */
static size_t whole_rows(const prediction_job *j)
{
    size_t at = 0, start, end, used;
    while (at < j->bytes.size && (used = sv_row_cut(&j->cutter, j->bytes.data + at, j->bytes.size - at, j->at_end, &start, &end)))
        at += used;
    return at;
}

static int predict_all(prediction_job *j)
{
    int code = take_header(j);
    while (!code) {
        size_t length = whole_rows(j);
        if (length && !(code = predict_batch(j, length)))
            drop_front(&j->bytes, length);
        if (sv_interrupted() && !code)
            code = sv_error_set(j->error, SV_E_INTERRUPTED, "interrupted");
        if (j->at_end || code)
            break;
        if (!length && j->bytes.size > ROW_MAX)
            code = sv_error_set(j->error, SV_E_LIMIT, "row %zu: expected at most %d bytes; is a quote left open?", j->n_rows + 1, ROW_MAX);
        if (!code)
            code = read_more(j);
    }
    if (!code && j->lines.size)
        code = sv_output_write(&j->output, j->lines.data, j->lines.size, j->error);
    return code == SV_E_MEMORY ? sv_error_set(j->error, code, "predict: out of memory") : code;
}

static int find_derived(prediction_job *j)
{
    const sv_features *features = sv_pipeline_features(j->pipeline);
    size_t n_terms = sv_pipeline_n_terms(j->pipeline), n_columns = sv_features_n_columns(features);
    j->derived = sv_calloc(n_terms + 1, sizeof *j->derived);
    if (!j->derived)
        return sv_error_set(j->error, SV_E_MEMORY, "predict: out of memory");
    for (size_t t = 0; t < n_terms; t++) {
        int value = sv_pipeline_term_const(j->pipeline, t)->value;
        if (value >= 0 && (size_t)value >= n_columns && sv_features_kind(features, value) == SV_KIND_NUMBER)
            j->derived[j->n_derived++] = value;
    }
    return 0;
}

int sv_run_predict(const sv_arguments *arguments, sv_error *error)
{
    prediction_job j = {.error = error, .is_pipe = !strcmp(arguments->input, "-"), .source = SV_SOURCE_INIT, .bytes.max = ROW_MAX + 2 * BATCH_BYTES, .output = SV_OUTPUT_INIT};
    sv_package package = {0};
    int code = sv_model_load(&package, arguments->model, NULL, error);
    sv_interrupt_watch();
    j.pipeline = package.pipeline;
    if (!code)
        code = sv_team_new(&j.team, arguments->threads > 0 ? (size_t)arguments->threads : 0, error);
    if (!code)
        code = sv_model_rows_begin(&j.rows, j.pipeline, error);
    if (!code)
        code = find_derived(&j);
    if (!code && !j.is_pipe)
        code = sv_source_open(&j.source, arguments->input, error);
    if (!code)
        code = sv_output_open(&j.output, arguments->output ? arguments->output : "-", error);
    if (!code)
        code = predict_all(&j);
    if (!code)
        code = sv_output_commit(&j.output, error);
    else
        sv_output_discard(&j.output);
    sv_source_close(&j.source);
    sv_buffer_free(&j.bytes);
    sv_buffer_free(&j.header);
    sv_buffer_free(&j.lines);
    sv_model_rows_free(&j.rows);
    sv_free(j.derived);
    sv_team_free(j.team);
    sv_package_free(&package);
    return code;
}
