/* infer.c: the Open Inference Protocol V2 over REST, with the binary tensor extension: /v2, /v2/health/…, /v2/models/NAME(/versions/V)(/ready|/infer). */
#include "json_out.h"
#include "number.h"
#include "service.h"
#include "tensor.h"

#include <stdarg.h>
#include <stdio.h>

static void refuse(sv_call *call, int status, const char *text)
{
    sv_reply_text(call->reply, status, "application/json", "{\"error\":");
    sv_json_write_text(&call->reply->body, sv_span_of(text));
    sv_buffer_text(&call->reply->body, "}");
}

void sv_handle_v2_live(sv_call *call)
{
    if (sv_span_is(call->request->path, "/v2/health/live"))
        sv_reply_text(call->reply, 200, "application/json", "{\"live\":true}");
    else
        sv_reply_text(call->reply, call->served ? 200 : 503, "application/json", call->served ? "{\"ready\":true}" : "{\"ready\":false}");
}

void sv_handle_v2_server(sv_call *call)
{
    sv_reply_text(call->reply, 200, "application/json", "{\"name\":\"solvent-serve\",\"version\":\"" SOLVENT_VERSION "\",\"extensions\":[\"binary_tensor_data\"]}");
}

static const char *version_of(const sv_served *served)
{
    return served->identity.version ? served->identity.version : "1";
}

/* NAME(/versions/V)(/what): the last part, or "" . NULL: another version than the one that answers. */
static const char *parse_path(sv_call *call, sv_span path, sv_span *what)
{
    const char *slash = memchr(path.text, '/', path.size);
    sv_span rest = slash ? (sv_span){slash, path.size - (size_t)(slash - path.text)} : (sv_span){"", 0};
    if (sv_span_starts(rest, "/versions/")) {
        rest = (sv_span){rest.text + 10, rest.size - 10};
        slash = memchr(rest.text, '/', rest.size);
        sv_span version = {rest.text, slash ? (size_t)(slash - rest.text) : rest.size};
        rest = slash ? (sv_span){slash, rest.size - version.size} : (sv_span){"", 0};
        if (!sv_span_is(version, version_of(call->served)))
            return NULL;
    }
    *what = rest;
    return "";
}

static void write_tensors(sv_buffer *json, const sv_served *served, int inputs)
{
    size_t n = inputs ? served->n_inputs : served->n_outputs;
    for (size_t i = 0; i < n; i++) {
        sv_buffer_text(json, i ? ",{\"name\":" : "{\"name\":");
        sv_json_write_text(json, inputs ? served->inputs[i].name : served->outputs[i].name);
        sv_buffer_format(json, ",\"datatype\":\"%s\",\"shape\":[-1]}", sv_tensor_datatype(inputs ? served->inputs[i].type : served->outputs[i].type));
    }
}

static void describe_model(sv_call *call)
{
    sv_buffer *json = &call->reply->body;
    sv_buffer_text(json, "{\"name\":");
    sv_json_write_text(json, sv_span_of(call->service->slots[call->slot].key));
    sv_buffer_text(json, ",\"versions\":[");
    sv_json_write_text(json, sv_span_of(version_of(call->served)));
    sv_buffer_text(json, "],\"platform\":\"solvent\",\"inputs\":[");
    write_tensors(json, call->served, 1);
    sv_buffer_text(json, "],\"outputs\":[");
    write_tensors(json, call->served, 0);
    sv_buffer_text(json, "]}");
}

void sv_handle_v2_model(sv_call *call)
{
    sv_span what;
    if (!parse_path(call, call->argument, &what))
        refuse(call, 404, "that version is not being served");
    else if (what.size == 0)
        describe_model(call);
    else if (sv_span_is(what, "/ready"))
        sv_reply_text(call->reply, 200, "application/json", "{\"ready\":true}");
    else
        refuse(call, 404, "not found");
}

/* ---- infer ---- */

typedef struct infer {
    sv_call *call;
    const sv_json *root;
    sv_span binary;      /* what follows the JSON part */
    size_t n_rows;
    void **columns;      /* (n_inputs); NULL: not given */
    double **outputs;    /* (n_outputs), (n_rows) each */
    unsigned char *form; /* (n_outputs): 0 not wanted, 1 JSON, 2 binary */
} infer;

static int bad(infer *x, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int bad(infer *x, const char *format, ...)
{
    char text[500];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    refuse(x->call, 400, text);
    return -1;
}

/* The JSON part ends where Inference-Header-Content-Length says; binary tensors follow. */
static int split_body(infer *x)
{
    sv_span body = x->call->request->body, length = sv_http_header_value(x->call->request, "inference-header-content-length");
    int64_t size = (int64_t)body.size;
    if (length.text && (sv_parse_int64(length.text, length.size, &size) || size < 0 || (uint64_t)size > body.size))
        return bad(x, "Inference-Header-Content-Length: expected a number of bytes within the body");
    sv_json_fault fault;
    sv_span text;
    if (sv_json_as_utf8(x->call->arena, (sv_span){body.text, (size_t)size}, &text, &fault) == 0)
        x->root = sv_json_read(x->call->arena, text, &fault);
    if (!x->root)
        return bad(x, "the body is not JSON: %s", fault.what ? fault.what : "out of memory");
    x->binary = (sv_span){body.text + size, body.size - (size_t)size};
    return x->root->kind == SV_JSON_OBJECT ? 0 : bad(x, "expected an object with inputs");
}

static const char *text_member(sv_call *call, const sv_json *object, const char *name)
{
    const sv_json *value = sv_json_member(object, name);
    return value && value->kind == SV_JSON_TEXT ? sv_arena_strndup(call->arena, value->text.text, value->text.size) : NULL;
}

static const sv_json *parameter(const sv_json *object, const char *name)
{
    const sv_json *parameters = sv_json_member(object, "parameters");
    return parameters ? sv_json_member(parameters, name) : NULL;
}

static int read_tensor(infer *x, const sv_json *tensor)
{
    const sv_served *served = x->call->served;
    const char *name = tensor->kind == SV_JSON_OBJECT ? text_member(x->call, tensor, "name") : NULL;
    const char *datatype = name ? text_member(x->call, tensor, "datatype") : NULL;
    if (!name || !datatype)
        return bad(x, "each input needs a name, a datatype and a shape");
    int input = sv_served_input(served, name, strlen(name));
    if (input < 0)
        return bad(x, "unexpected inference input '%.200s' for this model", name);
    if (x->columns[input])
        return bad(x, "input '%.200s' is there twice", name);
    long n = sv_tensor_rows(sv_json_member(tensor, "shape"), x->call->service->options.max_rows);
    if (n < 0 || (x->n_rows != SIZE_MAX && (size_t)n != x->n_rows))
        return bad(x, "input '%.200s': expected shape [n] or [n, 1], the same n for all inputs and within the limit", name);
    x->n_rows = (size_t)n;
    x->columns[input] = sv_arena_alloc(x->call->arena, ((size_t)n + 1) * sizeof(double));
    if (!x->columns[input])
        return bad(x, "the request needs more memory than one request may take");
    const sv_json *size = parameter(tensor, "binary_data_size"), *data = sv_json_member(tensor, "data");
    sv_error error = SV_ERROR_INIT;
    if (size) {
        if (size->kind != SV_JSON_LONG || size->whole < 0 || (uint64_t)size->whole > x->binary.size)
            return bad(x, "input '%.200s': binary_data_size goes beyond the body", name);
        sv_tensor_from_bytes(served, (size_t)input, datatype, (sv_span){x->binary.text, (size_t)size->whole}, (size_t)n, x->columns[input], &error);
        x->binary = (sv_span){x->binary.text + size->whole, x->binary.size - (size_t)size->whole};
    } else if (data) {
        sv_tensor_from_json(served, (size_t)input, datatype, data, (size_t)n, x->columns[input], &error);
    } else {
        return bad(x, "input '%.200s': expected data or binary_data_size", name);
    }
    return error.code ? bad(x, "%s", error.message) : 0;
}

static int fill_missing(infer *x)
{
    const sv_served *served = x->call->served;
    for (size_t i = 0; i < served->n_inputs; i++) {
        if (x->columns[i])
            continue;
        if (!served->inputs[i].optional)
            return bad(x, "expected input '%.200s', which is required", served->inputs[i].name.text);
        if (!(x->columns[i] = sv_arena_alloc(x->call->arena, (x->n_rows + 1) * sizeof(double))))
            return bad(x, "the request needs more memory than one request may take");
        sv_batch all = {.columns = x->columns};
        for (size_t row = 0; row < x->n_rows; row++)
            sv_batch_set_missing(served, &all, i, row);
    }
    return 0;
}

static int read_inputs(infer *x)
{
    const sv_json *inputs = sv_json_member(x->root, "inputs");
    if (!inputs || inputs->kind != SV_JSON_LIST || inputs->n == 0)
        return bad(x, "expected a list of inputs");
    x->n_rows = SIZE_MAX;
    for (uint32_t i = 0; i < inputs->n; i++)
        if (read_tensor(x, &inputs->items[i]))
            return -1;
    return x->binary.size ? bad(x, "bytes are left over behind the last tensor") : fill_missing(x);
}

static int is_true(const sv_json *value)
{
    return value && value->kind == SV_JSON_TRUE;
}

/* Which outputs, and in which form: all in the default form when none is named. */
static int read_wishes(infer *x)
{
    const sv_served *served = x->call->served;
    const sv_json *outputs = sv_json_member(x->root, "outputs");
    int binary = is_true(parameter(x->root, "binary_data_output"));
    if (!outputs || outputs->kind != SV_JSON_LIST || outputs->n == 0) {
        memset(x->form, binary ? 2 : 1, served->n_outputs);
        return 0;
    }
    for (uint32_t o = 0; o < outputs->n; o++) {
        const char *name = outputs->items[o].kind == SV_JSON_OBJECT ? text_member(x->call, &outputs->items[o], "name") : NULL;
        size_t i = 0;
        while (name && i < served->n_outputs && !sv_span_is(served->outputs[i].name, name))
            i++;
        if (!name || i == served->n_outputs)
            return bad(x, "unexpected inference output '%.200s' for this model", name ? name : "");
        const sv_json *wish = parameter(&outputs->items[o], "binary_data");
        x->form[i] = is_true(wish) || (!wish && binary) ? 2 : 1;
    }
    return 0;
}

static int score(infer *x)
{
    sv_call *call = x->call;
    const sv_served *served = call->served;
    const void **at = sv_arena_alloc(call->arena, (served->n_inputs + 1) * sizeof *at);
    for (size_t o = 0; o < served->n_outputs; o++)
        if (!(x->outputs[o] = sv_arena_alloc(call->arena, (x->n_rows + 1) * sizeof(double))) || !at)
            return bad(x, "the request needs more memory than one request may take");
    for (size_t first = 0; first < x->n_rows; first += SV_BLOCK_ROWS) {
        size_t n = x->n_rows - first < SV_BLOCK_ROWS ? x->n_rows - first : SV_BLOCK_ROWS;
        sv_error error = SV_ERROR_INIT;
        for (size_t i = 0; i < served->n_inputs; i++)
            at[i] = (const char *)x->columns[i] + first * (served->inputs[i].type == SV_STRING ? sizeof(int32_t) : sizeof(double));
        if (sv_scorer_run(call->batch->scorer, &(sv_block){n, at}, &error))
            return bad(x, "%s", error.message);
        sv_served_watch(served, call->batch, &(sv_block){n, at});
        for (size_t o = 0; o < served->n_outputs; o++)
            memcpy(x->outputs[o] + first, sv_scorer_output(call->batch->scorer, o), n * sizeof(double));
    }
    call->n_rows = x->n_rows;
    return 0;
}

static int write_outputs(infer *x, sv_buffer *json, sv_buffer *binary)
{
    const sv_served *served = x->call->served;
    int first = 1, code = 0;
    for (size_t o = 0; o < served->n_outputs && !code; o++) {
        if (!x->form[o])
            continue;
        sv_buffer_text(json, first ? "{\"name\":" : ",{\"name\":");
        first = 0;
        sv_json_write_text(json, served->outputs[o].name);
        sv_buffer_format(json, ",\"datatype\":\"%s\",\"shape\":[%zu],", sv_tensor_datatype(served->outputs[o].type), x->n_rows);
        size_t before = binary->size;
        if (x->form[o] == 2) {
            code = sv_tensor_to_bytes(binary, served, o, x->outputs[o], x->n_rows);
            sv_buffer_format(json, "\"parameters\":{\"binary_data_size\":%zu}}", binary->size - before);
        } else {
            sv_buffer_text(json, "\"data\":");
            code = sv_tensor_to_json(json, served, o, x->outputs[o], x->n_rows);
            sv_buffer_text(json, "}");
        }
    }
    return code;
}

static void write_answer(infer *x)
{
    sv_call *call = x->call;
    sv_buffer *json = &call->reply->body, binary = SV_BUFFER_INIT(0);
    const sv_json *id = sv_json_member(x->root, "id");
    sv_buffer_text(json, "{\"model_name\":");
    sv_json_write_text(json, sv_span_of(call->service->slots[call->slot].key));
    sv_buffer_text(json, ",\"model_version\":");
    sv_json_write_text(json, sv_span_of(version_of(call->served)));
    if (id && id->kind == SV_JSON_TEXT) {
        sv_buffer_text(json, ",\"id\":");
        sv_json_write_text(json, id->text);
    }
    sv_buffer_text(json, ",\"outputs\":[");
    int code = write_outputs(x, json, &binary);
    code = code ? code : sv_buffer_text(json, "]}");
    if (code == 0 && binary.size) {
        char size[24];
        snprintf(size, sizeof size, "%zu", json->size);
        sv_reply_field(call->reply, "Inference-Header-Content-Length", sv_span_of(size));
        call->reply->content_type = "application/octet-stream";
        code = sv_buffer_append(json, binary.data, binary.size);
    }
    sv_buffer_free(&binary);
    if (code)
        refuse(call, 413, "the answer needs more memory than one request may take");
}

void sv_handle_v2_infer(sv_call *call)
{
    sv_span what;
    if (!parse_path(call, call->argument, &what) || !sv_span_is(what, "/infer")) {
        refuse(call, 404, "not found, or that version is not being served");
        return;
    }
    const sv_served *served = call->served;
    infer x = {.call = call};
    x.columns = sv_arena_zero(call->arena, served->n_inputs + 1, sizeof *x.columns);
    x.outputs = sv_arena_zero(call->arena, served->n_outputs + 1, sizeof *x.outputs);
    x.form = sv_arena_zero(call->arena, served->n_outputs + 1, 1);
    if (!x.columns || !x.outputs || !x.form) {
        refuse(call, 413, "the request needs more memory than one request may take");
        return;
    }
    if (split_body(&x) == 0 && read_inputs(&x) == 0 && read_wishes(&x) == 0 && score(&x) == 0)
        write_answer(&x);
}
