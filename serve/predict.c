/* predict.c: POST /predict: one object of raw columns, or an array of them. A wrong body gets 422 with every error at once, in FastAPI's form. Types are
   strict (a number in quotes is no number), so that what openapi.json promises is what is taken. */
#include "frame_date.h"
#include "json_out.h"
#include "mlflow_error.h"
#include "row_scan.h"
#include "service.h"

#include <math.h>
#include <stdio.h>

#define MAX_ERRORS 1000 /* listed in one answer */

typedef struct checker {
    sv_call *call;
    sv_buffer *out; /* the details */
    size_t n_errors;
    long row; /* -1: the body is one object */
} checker;

/* {"type", "loc": ["body", (row,) (field)], "msg", "input"(, "ctx": {"expected"})} */
static void complain(checker *c, const char *type, sv_span field, const char *msg, const sv_json *input, const char *expected)
{
    sv_buffer *out = c->out;
    if (c->n_errors++ >= MAX_ERRORS)
        return;
    sv_buffer_format(out, "%s{\"type\":\"%s\",\"loc\":[\"body\"", c->n_errors > 1 ? "," : "", type);
    if (c->row >= 0)
        sv_buffer_format(out, ",%ld", c->row);
    if (field.text) {
        sv_buffer_text(out, ",");
        sv_json_write_text(out, field);
    }
    sv_buffer_text(out, "],\"msg\":");
    sv_json_write_text(out, sv_span_of(msg));
    sv_buffer_text(out, ",\"input\":");
    if (input)
        sv_json_echo(out, input);
    else
        sv_buffer_text(out, "null");
    if (expected) {
        sv_buffer_text(out, ",\"ctx\":{\"expected\":");
        sv_json_write_text(out, sv_span_of(expected));
        sv_buffer_text(out, "}");
    }
    sv_buffer_text(out, "}");
}

static int check_long(checker *c, const sv_input *input, const sv_json *value, double *number)
{
    switch (value->kind) {
    case SV_JSON_LONG:
        *number = (double)value->whole;
        return 0;
    case SV_JSON_REAL:
        *number = value->real;
        if (value->real == floor(value->real) && fabs(value->real) < 9223372036854775808.0)
            return 0;
        if (isfinite(value->real))
            complain(c, "int_from_float", input->name, "Input should be a valid integer, got a number with a fractional part", value, NULL);
        else
            complain(c, "finite_number", input->name, "Input should be a finite number", value, NULL);
        return -1;
    case SV_JSON_BIG:
        complain(c, "int_parsing_size", input->name, "Input should be an integer between -9223372036854775808 and 9223372036854775807", value, NULL);
        return -1;
    default:
        complain(c, "int_type", input->name, "Input should be a valid integer", value, NULL);
        return -1;
    }
}

static int check_double(checker *c, const sv_input *input, const sv_json *value, double *number)
{
    switch (value->kind) {
    case SV_JSON_LONG:
        *number = (double)value->whole;
        return 0;
    case SV_JSON_REAL:
    case SV_JSON_BIG:
        *number = value->real;
        break;
    default:
        complain(c, "float_type", input->name, "Input should be a valid number", value, NULL);
        return -1;
    }
    if (isfinite(*number))
        return 0;
    complain(c, "finite_number", input->name, "Input should be a finite number", value, NULL);
    return -1;
}

static void list_choices(const sv_input *input, char out[600])
{
    size_t used = 0, n = sv_levels_count(input->choices);
    for (size_t i = 0; i < n && used < 500; i++) {
        size_t length;
        const char *text = sv_levels_text(input->choices, i, &length);
        used += (size_t)snprintf(out + used, 600 - used, "%s'%.60s'", i == 0 ? "" : i + 1 == n ? " or " : ", ", text);
    }
    if (used >= 500)
        snprintf(out + (used > 590 ? 590 : used), 10, ", …");
}

static int check_text(checker *c, const sv_input *input, size_t column, const sv_json *value, int32_t *code)
{
    if (value->kind != SV_JSON_TEXT) {
        complain(c, "string_type", input->name, "Input should be a valid string", value, NULL);
        return -1;
    }
    *code = sv_features_code(c->call->served->features, (int)column, value->text.text, value->text.size);
    if (sv_input_takes(input, *code))
        return 0;
    char choices[600], msg[640];
    list_choices(input, choices);
    snprintf(msg, sizeof msg, "Input should be %s", choices);
    complain(c, "enum", input->name, msg, value, choices);
    return -1;
}

static int check_boolean(checker *c, const sv_input *input, const sv_json *value, double *number)
{
    if (value->kind == SV_JSON_TRUE || value->kind == SV_JSON_FALSE) {
        *number = value->kind == SV_JSON_TRUE;
        return 0;
    }
    complain(c, "bool_type", input->name, "Input should be a valid boolean", value, NULL);
    return -1;
}

static int check_date(checker *c, const sv_input *input, const sv_json *value, double *days)
{
    if (value->kind == SV_JSON_TEXT && sv_frame_plain_date(value, days) == 0)
        return 0;
    complain(c, "date_parsing", input->name, "Input should be a valid date in the format YYYY-MM-DD", value, NULL);
    return -1;
}

static int check_field(checker *c, size_t column, const sv_json *value, void *out, size_t row)
{
    const sv_input *input = &c->call->served->inputs[column];
    double *number = (double *)out + row;
    if (input->optional && value->kind == SV_JSON_NULL) {
        if (input->type == SV_STRING)
            ((int32_t *)out)[row] = sv_features_code(c->call->served->features, (int)column, "", 0);
        else
            *number = NAN;
        return 0;
    }
    switch (input->type) {
    case SV_LONG:
        return check_long(c, input, value, number);
    case SV_DOUBLE:
        return check_double(c, input, value, number);
    case SV_BOOLEAN:
        return check_boolean(c, input, value, number);
    case SV_DATE:
        return check_date(c, input, value, number);
    default:
        return check_text(c, input, column, value, (int32_t *)out + row);
    }
}

static void check_row(checker *c, const sv_json *object, void *const *columns, size_t row)
{
    static const sv_json null = {.kind = SV_JSON_NULL};
    const sv_served *served = c->call->served;
    if (object->kind != SV_JSON_OBJECT) {
        complain(c, "model_attributes_type", (sv_span){NULL, 0}, "Input should be a valid dictionary or object to extract fields from", object, NULL);
        return;
    }
    const sv_json **given = sv_arena_zero(c->call->arena, served->n_inputs + 1, sizeof *given);
    for (uint32_t m = 0; given && m < object->n; m++) {
        int input = sv_served_input(served, object->names[m].text, object->names[m].size);
        if (input >= 0)
            given[input] = &object->items[m];
    }
    for (size_t i = 0; given && i < served->n_inputs; i++) {
        if (given[i] || served->inputs[i].optional)
            check_field(c, i, given[i] ? given[i] : &null, columns[i], row);
        else
            complain(c, "missing", served->inputs[i].name, "Field required", object, NULL);
    }
}

static void refuse_json(sv_call *call, const sv_json_fault *fault)
{
    sv_reply_text(call->reply, 422, "application/json", "");
    sv_buffer_format(&call->reply->body, "{\"detail\":[{\"type\":\"json_invalid\",\"loc\":[\"body\",%zu],\"msg\":\"JSON decode error\",\"input\":{},\"ctx\":{\"error\":", fault->at);
    sv_json_write_text(&call->reply->body, sv_span_of(fault->what ? fault->what : "out of memory"));
    sv_buffer_text(&call->reply->body, "}}]}");
}

static void answer_rows(sv_call *call, void *const *columns, size_t n_rows, int is_list)
{
    sv_reply *reply = call->reply;
    sv_error error = SV_ERROR_INIT;
    long bad_row = 0;
    sv_buffer_clear(&reply->body);
    sv_buffer_text(&reply->body, is_list ? "[" : "");
    if (sv_call_answer(call, columns, n_rows, &bad_row, &error)) {
        checker c = {.call = call, .out = &reply->body, .row = is_list ? bad_row : -1};
        sv_reply_text(reply, 422, "application/json", "{\"detail\":[");
        complain(&c, "value_error", (sv_span){NULL, 0}, error.message, NULL, NULL);
        sv_buffer_text(&reply->body, "]}");
        return;
    }
    sv_buffer_text(&reply->body, is_list ? "]" : "");
}

int sv_call_read_rows(sv_call *call, void **columns, size_t *n_rows, int *is_list)
{
    sv_json_fault fault;
    sv_span text;
    const sv_json *root = sv_json_as_utf8(call->arena, call->request->body, &text, &fault) ? NULL : sv_json_read(call->arena, text, &fault);
    if (!root) {
        refuse_json(call, &fault);
        return -1;
    }
    *is_list = root->kind == SV_JSON_LIST;
    *n_rows = *is_list ? root->n : 1;
    if (*n_rows > call->service->options.max_rows) {
        sv_reply_detail(call->reply, 413, "more rows than one request may hold");
        return -1;
    }
    for (size_t i = 0; i < call->served->n_inputs; i++)
        if (!(columns[i] = sv_arena_alloc(call->arena, (*n_rows + 1) * sizeof(double)))) {
            sv_reply_detail(call->reply, 413, "the request needs more memory than one request may take");
            return -1;
        }
    sv_reply_text(call->reply, 200, "application/json", "{\"detail\":[");
    checker c = {.call = call, .out = &call->reply->body, .row = -1};
    for (size_t row = 0; row < *n_rows; row++) {
        c.row = *is_list ? (long)row : -1;
        check_row(&c, *is_list ? &root->items[row] : root, columns, row);
    }
    if (c.n_errors == 0) {
        sv_buffer_clear(&call->reply->body);
        return 0;
    }
    sv_buffer_text(&call->reply->body, "]}");
    call->reply->status = 422;
    return -1;
}

int sv_call_takes_json(sv_call *call)
{
    sv_span type = sv_http_header_value(call->request, "content-type");
    if (!type.text || sv_span_starts(type, "application/json") || sv_span_starts(type, "application/x-www-form-urlencoded") || sv_span_starts(type, "text/plain") ||
        memmem(type.text, type.size, "json", 4))
        return 1;
    sv_reply_detail(call->reply, 415, "expected application/json: one object or an array of objects; CSV goes to /invocations");
    return 0;
}

void sv_handle_predict(sv_call *call)
{
    if (!sv_call_takes_json(call))
        return;
    long n = sv_scan_prediction(call->served, call->batch, call->request->body, call->service->options.max_rows, &call->reply->body);
    if (n >= 0) {
        call->n_rows = (size_t)n;
        return;
    }
    call->batch->n_tapped = 0;
    size_t n_rows;
    int is_list;
    void **columns = sv_arena_alloc(call->arena, (call->served->n_inputs + 1) * sizeof *columns);
    if (!columns)
        sv_reply_detail(call->reply, 413, "the request needs more memory than one request may take");
    else if (sv_call_read_rows(call, columns, &n_rows, &is_list) == 0)
        answer_rows(call, columns, n_rows, is_list);
}
