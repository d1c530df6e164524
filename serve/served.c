/* served.c: see served.h. */
#include "served.h"

#include "alloc.h"
#include "clock.h"
#include "json_out.h"
#include "request_metrics.h"
#include "monitor.h"

#include <math.h>
#include <stdio.h>

#define MAX_CHOICES 200 /* longer lists are neither shown nor enforced */

void sv_identity_free(sv_identity *identity)
{
    char **texts[] = {&identity->uri, &identity->name, &identity->version, &identity->alias, &identity->run_id, &identity->model_id, &identity->description};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        sv_free(*texts[i]);
        *texts[i] = NULL;
    }
}

/* The name as JSON with its quotes, and `suffix` behind it. */
static sv_span quoted(const char *name, const char *suffix)
{
    sv_buffer buffer = SV_BUFFER_INIT(0);
    if (sv_json_write_text(&buffer, sv_span_of(name)) || sv_buffer_text(&buffer, suffix)) {
        sv_buffer_free(&buffer);
        return (sv_span){NULL, 0};
    }
    size_t size = buffer.size;
    return (sv_span){sv_buffer_take(&buffer), size};
}

/* What a text column may hold: the categories of the term that encodes it, unless other texts are meant to work too. */
static void find_choices(const sv_pipeline *pipeline, int column, sv_input *input)
{
    for (size_t t = 0; t < sv_pipeline_n_terms(pipeline); t++) {
        const sv_term *term = sv_pipeline_term_const(pipeline, t);
        if (term->value != column || (term->encoder != SV_ENCODER_CATEGORY && term->encoder != SV_ENCODER_ORDINAL))
            continue;
        input->choices = term->categories && sv_levels_count(term->categories) <= MAX_CHOICES ? term->categories : NULL;
        input->strict_choice = input->choices && term->unknown != SV_UNKNOWN_COLUMN;
        return;
    }
}

static int mark_choices(const sv_features *features, int column, sv_input *input)
{
    const sv_levels *levels = sv_features_levels(features, column);
    size_t n = levels ? sv_levels_count(levels) : 0;
    input->is_choice = sv_calloc(n + 1, 1);
    for (size_t code = 0; input->is_choice && code < n; code++) {
        size_t length;
        const char *text = sv_levels_text(levels, code, &length);
        input->is_choice[code] = sv_levels_find(input->choices, text, length) >= 0 || (input->optional && length == 0);
    }
    return input->is_choice ? 0 : SV_E_MEMORY;
}

static int describe_inputs(sv_served *served)
{
    served->n_inputs = sv_features_n_columns(served->features);
    served->inputs = sv_calloc(served->n_inputs + 1, sizeof *served->inputs);
    for (size_t i = 0; served->inputs && i < served->n_inputs; i++) {
        sv_input *input = &served->inputs[i];
        const char *name = sv_features_name(served->features, (int)i);
        input->name = sv_span_of(name);
        input->key = quoted(name, "");
        input->type = sv_features_type(served->features, (int)i);
        input->optional = sv_features_optional(served->features, (int)i);
        served->n_required += !input->optional;
        if (!input->key.text)
            return SV_E_MEMORY;
        if (input->type == SV_STRING)
            find_choices(served->pipeline, (int)i, input);
        if (input->strict_choice && mark_choices(served->features, (int)i, input))
            return SV_E_MEMORY;
    }
    return served->inputs ? 0 : SV_E_MEMORY;
}

static int describe_outputs(sv_served *served)
{
    const sv_pipeline *pipeline = served->pipeline;
    served->n_outputs = sv_pipeline_n_outputs(pipeline);
    served->outputs = sv_calloc(served->n_outputs + 1, sizeof *served->outputs);
    for (size_t i = 0; served->outputs && i < served->n_outputs; i++) {
        const char *name = sv_pipeline_output_name(pipeline, i);
        served->outputs[i] = (sv_output){sv_span_of(name), quoted(name, ": "), sv_pipeline_output_type(pipeline, i)};
        if (!served->outputs[i].key.text)
            return SV_E_MEMORY;
    }
    if (!served->outputs)
        return SV_E_MEMORY;
    if (sv_pipeline_task(pipeline) != SV_TASK_MULTINOMIAL)
        return 0;
    size_t n = sv_pipeline_n_scores(pipeline);
    served->classes = sv_calloc(n, sizeof *served->classes);
    for (size_t k = 0; served->classes && k < n; k++)
        if (!(served->classes[k] = quoted(sv_pipeline_class(pipeline, k), "")).text)
            return SV_E_MEMORY;
    return served->classes ? 0 : SV_E_MEMORY;
}

static int make_batches(sv_served *served, unsigned n)
{
    served->batches = sv_calloc(n, sizeof *served->batches);
    if (!served->batches)
        return SV_E_MEMORY;
    served->n_batches = n;
    for (unsigned b = 0; b < n; b++) {
        sv_batch *batch = &served->batches[b];
        batch->columns = sv_calloc(served->n_inputs + 1, sizeof *batch->columns);
        batch->seen = sv_calloc(served->n_inputs + 1, sizeof *batch->seen);
        batch->tapped = sv_calloc(SV_TAP_ROWS, sizeof *batch->tapped);
        if (!batch->columns || !batch->seen || !batch->tapped || sv_scorer_new(&batch->scorer, served->pipeline))
            return SV_E_MEMORY;
        for (size_t i = 0; i < served->n_inputs; i++)
            if (!(batch->columns[i] = sv_aligned(64, SV_BLOCK_ROWS * sizeof(double))))
                return SV_E_MEMORY;
    }
    return 0;
}

static int add_field(sv_buffer *fields, const char *name, const char *value)
{
    if (!value)
        return 0;
    int bad = sv_buffer_text(fields, name);
    for (const char *p = value; *p && !bad; p++)
        bad = (unsigned char)*p >= 0x20 && *p != 0x7f ? sv_buffer_byte(fields, *p) : 0;
    return bad ? bad : sv_buffer_append(fields, "\r\n", 2);
}

static int describe_version(sv_served *served)
{
    const sv_identity *identity = &served->identity;
    const struct {
        const char *name, *value;
    } rows[] = {{"X-Model-Name: ", identity->name}, {"X-Model-Version: ", identity->version}, {"X-Run-Id: ", identity->run_id}, {"X-Model-Id: ", identity->model_id}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (add_field(&served->fields, rows[i].name, rows[i].value))
            return SV_E_MEMORY;
    return sv_signature_inputs(&served->schema_text, served->pipeline);
}

int sv_served_new(sv_served **out, sv_package *package, sv_identity *identity, unsigned n_batches, sv_error *error)
{
    sv_served *served = sv_calloc(1, sizeof *served);
    if (!served) {
        sv_package_free(package);
        sv_identity_free(identity);
        return sv_error_set(error, SV_E_MEMORY, "model: out of memory");
    }
    served->identity = *identity;
    served->package = *package;
    *identity = (sv_identity){0};
    *package = (sv_package){0};
    served->loaded_ms = sv_epoch_ms();
    served->pipeline = served->package.pipeline;
    served->features = sv_pipeline_features(served->pipeline);
    if (!served->identity.model_id)
        served->identity.model_id = sv_strdup(served->package.model_id);
    if (!served->identity.run_id)
        served->identity.run_id = sv_strdup(served->package.run_id);
    if (describe_inputs(served) || describe_outputs(served) || make_batches(served, n_batches) || describe_version(served)) {
        sv_served_free(served);
        return sv_error_set(error, SV_E_MEMORY, "model: out of memory");
    }
    *out = served;
    return 0;
}

int sv_served_load(sv_served **out, const char *folder, sv_identity *identity, unsigned n_batches, sv_error *error)
{
    sv_package package = {0};
    int code = sv_package_load(&package, folder, error);
    if (code == 0)
        return sv_served_new(out, &package, identity, n_batches, error);
    sv_package_free(&package);
    sv_identity_free(identity);
    return code;
}

static void free_span(sv_span span)
{
    sv_free((void *)(uintptr_t)span.text);
}

void sv_served_free(sv_served *served)
{
    if (!served)
        return;
    for (size_t i = 0; served->inputs && i < served->n_inputs; i++) {
        free_span(served->inputs[i].key);
        sv_free(served->inputs[i].is_choice);
    }
    for (size_t i = 0; served->outputs && i < served->n_outputs; i++)
        free_span(served->outputs[i].key);
    for (size_t k = 0; served->classes && k < sv_pipeline_n_scores(served->pipeline); k++)
        free_span(served->classes[k]);
    for (unsigned b = 0; b < served->n_batches; b++) {
        sv_batch *batch = &served->batches[b];
        for (size_t i = 0; batch->columns && i < served->n_inputs; i++)
            sv_free(batch->columns[i]);
        sv_free(batch->columns);
        sv_free(batch->seen);
        sv_free(batch->tapped);
        sv_scorer_free(batch->scorer);
    }
    sv_free(served->batches);
    sv_free(served->inputs);
    sv_free(served->outputs);
    sv_free(served->classes);
    sv_buffer_free(&served->fields);
    sv_buffer_free(&served->schema_text);
    sv_monitor_free(served->monitor);
    sv_package_free(&served->package);
    sv_identity_free(&served->identity);
    sv_free(served);
}

int sv_served_input(const sv_served *served, const char *name, size_t size)
{
    int id = sv_features_find(served->features, name, size);
    return id >= 0 && (size_t)id < served->n_inputs ? id : -1;
}

void sv_batch_set_missing(const sv_served *served, sv_batch *batch, size_t input, size_t row)
{
    if (served->inputs[input].type == SV_STRING)
        ((int32_t *)batch->columns[input])[row] = sv_features_code(served->features, (int)input, "", 0);
    else
        ((double *)batch->columns[input])[row] = NAN;
}

sv_block sv_batch_block(const sv_batch *batch)
{
    return (sv_block){batch->n_rows, (const void *const *)batch->columns};
}

/* ---- answers ---- */

/* An upper bound for a row's bytes, so that rows are written without asking for room again. */
static size_t row_bytes(const sv_served *served)
{
    size_t bytes = 8;
    for (size_t i = 0; i < served->n_outputs; i++)
        bytes += served->outputs[i].key.size + SV_NUMBER_SIZE + 2;
    for (size_t k = 0; served->classes && k < sv_pipeline_n_scores(served->pipeline); k++)
        bytes = bytes < served->classes[k].size + bytes ? bytes + served->classes[k].size : bytes;
    return bytes;
}

static char *write_value(char *p, const sv_served *served, sv_type type, double value)
{
    if (type == SV_STRING) {
        sv_span text = served->classes[(size_t)value];
        return mempcpy(p, text.text, text.size);
    }
    if (!isfinite(value))
        return mempcpy(p, "null", 4);
    return p + (type == SV_LONG ? sv_long_text(p, (int64_t)value) : sv_double_text(p, value));
}

static sv_tapped tap_row(const sv_served *served, const sv_scorer *scorer, size_t row)
{
    double first = sv_scorer_output(scorer, 0)[row];
    switch (sv_pipeline_task(served->pipeline)) {
    case SV_TASK_BINARY:
        return (sv_tapped){first, sv_scorer_output(scorer, 1)[row]};
    case SV_TASK_MULTINOMIAL: /* the class, then each class's probability */
        return (sv_tapped){sv_scorer_output(scorer, 1 + (size_t)first)[row], first};
    default:
        return (sv_tapped){first, NAN};
    }
}

void sv_served_watch(const sv_served *served, sv_batch *batch, const sv_block *block)
{
    for (size_t row = 0; row < block->n_rows && batch->n_tapped < SV_TAP_ROWS; row++)
        batch->tapped[batch->n_tapped++] = tap_row(served, batch->scorer, row);
    if (batch->unwatched)
        return;
    unsigned worker = (unsigned)(batch - served->batches);
    sv_monitor_rows(served->monitor, worker, block, sv_scorer_output(batch->scorer, 0));
    if (served->metrics && sv_pipeline_task(served->pipeline) == SV_TASK_BINARY)
        sv_metrics_score(served->metrics, worker, sv_scorer_output(batch->scorer, 0), block->n_rows);
}

int sv_served_answer(const sv_served *served, sv_batch *batch, const sv_block *block, sv_buffer *json, long *bad_row, sv_error *error)
{
    int code = sv_scorer_run(batch->scorer, block, error);
    if (code) {
        *bad_row = sv_scorer_bad_row(batch->scorer);
        return code;
    }
    sv_served_watch(served, batch, block);
    if (sv_buffer_reserve(json, block->n_rows * row_bytes(served)))
        return sv_error_set(error, SV_E_LIMIT, "answer: out of memory");
    char *p = json->data + json->size;
    for (size_t row = 0; row < block->n_rows; row++) {
        if (row)
            p = mempcpy(p, ", ", 2);
        *p++ = '{';
        for (size_t i = 0; i < served->n_outputs; i++) {
            const sv_output *output = &served->outputs[i];
            if (i)
                p = mempcpy(p, ", ", 2);
            p = mempcpy(p, output->key.text, output->key.size);
            p = write_value(p, served, output->type, sv_scorer_output(batch->scorer, i)[row]);
        }
        *p++ = '}';
    }
    json->size = (size_t)(p - json->data);
    *p = 0;
    return 0;
}

int sv_served_compatible(const sv_served *old, const sv_served *fresh, sv_error *error)
{
    for (size_t i = 0; i < fresh->n_inputs; i++) {
        const sv_input *input = &fresh->inputs[i];
        int before = sv_served_input(old, input->name.text, input->name.size);
        if (before < 0 && !input->optional)
            return sv_error_set(error, SV_E_INPUT, "signature: the new version requires the input '%s', which the old one does not know", input->name.text);
        if (before >= 0 && old->inputs[before].type != input->type)
            return sv_error_set(error, SV_E_INPUT, "signature: input '%s' was %s and is now %s", input->name.text, sv_type_name(old->inputs[before].type),
                                sv_type_name(input->type));
        if (before >= 0 && old->inputs[before].optional && !input->optional)
            return sv_error_set(error, SV_E_INPUT, "signature: input '%s' was optional and is now required", input->name.text);
    }
    if (old->n_outputs != fresh->n_outputs)
        return sv_error_set(error, SV_E_INPUT, "signature: %zu outputs became %zu", old->n_outputs, fresh->n_outputs);
    for (size_t i = 0; i < fresh->n_outputs; i++)
        if (!sv_span_equal(old->outputs[i].name, fresh->outputs[i].name) || old->outputs[i].type != fresh->outputs[i].type)
            return sv_error_set(error, SV_E_INPUT, "signature: output '%s' became '%s'", old->outputs[i].name.text, fresh->outputs[i].name.text);
    return 0;
}
