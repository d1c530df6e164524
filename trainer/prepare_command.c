/* prepare_command.c: `solvent prepare`: the used columns, raw and derived, not encoded, then target and split. */
#include "alloc.h"
#include "buffer.h"
#include "commands.h"
#include "date.h"
#include "mlflow_client.h"
#include "number.h"
#include "output.h"
#include "secret.h"
#include "training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PIECE = 1 << 18 };

/* Where the table goes: a file, or a store by URI. */
typedef struct destination {
    sv_output output;
    mlf_client *client;
    mlf_sink *sink;
    const char *shown; /* its URI without login and query */
} destination;

static int refused(const destination *d, const mlf_error *inner, sv_error *error)
{
    return sv_error_set(error, SV_E_NETWORK, "%s: %s", d->shown, inner->message[0] ? inner->message : mlf_code_name(inner->code));
}

static int open_destination(destination *d, const char *uri, const char *shown, sv_error *error)
{
    mlf_error inner = MLF_ERROR_INIT;
    *d = (destination){.output = SV_OUTPUT_INIT, .shown = shown};
    if (!strstr(uri, ":/"))
        return sv_output_open(&d->output, uri, error);
    if (!strncmp(uri, "file://", 7))
        return sv_output_open(&d->output, uri + 7, error);
    if (mlf_client_new(&d->client, NULL, &inner) || mlf_sink_open(&d->sink, d->client, uri, &inner))
        return refused(d, &inner, error);
    sv_interrupt_stops(d->client);
    return 0;
}

static int write_piece(destination *d, sv_buffer *piece, sv_error *error)
{
    mlf_error inner = MLF_ERROR_INIT;
    int code = 0;
    if (d->sink && piece->size)
        code = mlf_sink_write(d->sink, piece->data, piece->size, &inner) ? refused(d, &inner, error) : 0;
    else if (piece->size)
        code = sv_output_write(&d->output, piece->data, piece->size, error);
    sv_buffer_clear(piece);
    return code;
}

static int close_destination(destination *d, int code, sv_error *error)
{
    mlf_error inner = MLF_ERROR_INIT;
    if (d->sink && !code)
        code = mlf_sink_commit(d->sink, &inner) ? refused(d, &inner, error) : 0;
    else if (d->sink)
        mlf_sink_abort(d->sink);
    else if (!code)
        code = sv_output_commit(&d->output, error);
    else
        sv_output_discard(&d->output);
    sv_interrupt_stops(NULL);
    mlf_client_free(d->client);
    return code;
}

static int put_text(sv_buffer *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n") && *text != ' ' && (!*text || text[strlen(text) - 1] != ' '))
        return sv_buffer_text(out, text);
    int code = sv_buffer_byte(out, '"');
    for (; *text && !code; text++)
        code = *text == '"' && sv_buffer_byte(out, '"') ? SV_E_MEMORY : sv_buffer_byte(out, *text);
    return code ? code : sv_buffer_byte(out, '"');
}

static int put_number(sv_buffer *out, double value)
{
    char text[SV_NUMBER_SIZE];
    sv_format_double(text, value);
    return isnan(value) ? 0 : sv_buffer_text(out, text);
}

static int put_header(sv_buffer *out, const sv_training *t)
{
    int code = 0;
    for (size_t i = 0; i < t->n_used && !code; i++)
        code = put_text(out, t->used[i]) || sv_buffer_byte(out, ',') ? SV_E_MEMORY : 0;
    if (!code)
        code = put_text(out, t->dataset.target.name);
    return code || sv_buffer_text(out, ",split\n") ? SV_E_MEMORY : 0;
}

static int put_target(sv_buffer *out, const sv_training *t, size_t row)
{
    const sv_column *target = &t->dataset.target;
    double value;
    int32_t class_code;
    size_t length;
    if (t->dataset.parts[row] == SV_PART_NONE)
        return 0; /* not known */
    if (target->type == SV_STRING) {
        sv_column_widen(target, row, 1, &class_code);
        return put_text(out, sv_levels_text(target->levels, (size_t)class_code, &length));
    }
    sv_column_widen(target, row, 1, &value);
    return put_number(out, value);
}

static int put_value(sv_buffer *out, const sv_training *t, const sv_evaluator *evaluator, int value, size_t at)
{
    const void *values = sv_evaluator_value(evaluator, value);
    size_t length;
    char date[SV_DATE_SIZE];
    switch (sv_features_kind(t->features, value)) {
    case SV_KIND_TEXT:
        if (((const int32_t *)values)[at] >= 0)
            return put_text(out, sv_levels_text(sv_features_levels(t->features, value), (size_t)((const int32_t *)values)[at], &length));
        return 0;
    case SV_KIND_DATE:
        sv_date_format(date, ((const double *)values)[at]);
        return sv_buffer_text(out, date);
    default:
        return put_number(out, ((const double *)values)[at]);
    }
}

static int put_rows(sv_buffer *out, const sv_training *t, const sv_evaluator *evaluator, size_t first, size_t n)
{
    int code = 0;
    for (size_t at = 0; at < n && !code; at++) {
        for (size_t i = 0; i < t->n_used && !code; i++) {
            code = put_value(out, t, evaluator, sv_features_find(t->features, t->used[i], strlen(t->used[i])), at);
            code = code || sv_buffer_byte(out, ',') ? SV_E_MEMORY : 0;
        }
        if (!code)
            code = put_target(out, t, first + at);
        if (!code)
            code = sv_buffer_format(out, ",%s\n", sv_part_name((sv_part)t->dataset.parts[first + at]));
    }
    return code;
}

static int write_table(destination *d, const sv_training *t, sv_error *error)
{
    const sv_table *table = &t->dataset.table;
    sv_buffer out = SV_BUFFER_INIT(0);
    sv_binding *binding = NULL;
    sv_evaluator *evaluator = NULL;
    char *scratch = NULL;
    int code = sv_binding_new(&binding, t->features, table, error);
    if (!code && (sv_evaluator_new(&evaluator, t->features) || !(scratch = sv_aligned(64, sv_binding_scratch_size(binding) + 64)) || put_header(&out, t)))
        code = sv_error_set(error, SV_E_MEMORY, "prepare: out of memory");
    for (size_t row = 0; row < table->n_rows && !code; row += SV_BLOCK_ROWS) {
        sv_block block;
        size_t n = table->n_rows - row < SV_BLOCK_ROWS ? table->n_rows - row : SV_BLOCK_ROWS;
        sv_binding_block(binding, row, n, scratch, &block);
        sv_evaluator_run(evaluator, &block);
        if (put_rows(&out, t, evaluator, row, n))
            code = sv_error_set(error, SV_E_MEMORY, "prepare: out of memory");
        else if (out.size > PIECE)
            code = write_piece(d, &out, error);
        if (!code && sv_interrupted())
            code = sv_error_set(error, SV_E_INTERRUPTED, "interrupted");
    }
    if (!code)
        code = write_piece(d, &out, error);
    sv_evaluator_free(evaluator);
    sv_binding_free(binding);
    sv_free(scratch);
    sv_buffer_free(&out);
    return code;
}

int sv_run_prepare(const sv_arguments *arguments, sv_error *error)
{
    sv_config *config;
    sv_config_options options = {arguments->sets, arguments->n_sets};
    sv_training training = {0};
    sv_progress progress;
    destination target;
    int code = sv_config_read(&config, arguments->config, &options, error);
    if (code)
        return code;
    const char *uri = arguments->output ? arguments->output : "-";
    sv_progress_begin(&progress, strcmp(uri, "-") != 0 && !arguments->quiet ? SV_VOICE_LINES : SV_VOICE_QUIET);
    sv_interrupt_watch();
    code = sv_training_begin(&training, config, NULL, &progress, NULL, error);
    if (!code)
        code = sv_training_read(&training, error);
    char *shown = sv_secret_hidden(uri);
    if (!code && !shown)
        code = sv_error_set(error, SV_E_MEMORY, "output: out of memory");
    if (!code) {
        code = open_destination(&target, uri, shown, error);
        if (!code)
            code = write_table(&target, &training, error);
        code = close_destination(&target, code, error);
    }
    if (!code)
        sv_progress_line(&progress, "wrote", "%s rows to %s", sv_grouped(training.dataset.table.n_rows), shown);
    sv_free(shown);
    sv_training_free(&training);
    sv_config_free(config);
    return code;
}
