/* predict.c: POST /predict: one object of raw columns, or an array of them. A wrong body gets 422 with every error at once, in FastAPI's form. Types are
   strict (a number in quotes is no number), so that what openapi.json promises is what is taken. */
#include "complaint.h"
#include "expr.h"
#include "frame_date.h"
#include "row_scan.h"
#include "service.h"

#include <math.h>
#include <stdio.h>

#define MAX_GUESSES 16384 /* comparisons of an unknown name with one that is left out, of one body */

typedef struct checker {
    sv_call *call;
    sv_complaints found;
    const char **left_out; /* (n_inputs): names that the row does not give, while it is looked at */
    size_t n_guesses;
} checker;

static void complain(checker *c, const char *type, sv_span field, const char *msg, const sv_json *input, const char *expected)
{
    sv_complain(&c->found, type, field, msg, input, expected);
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

/* Names that are not the model's are passed over, as FastAPI does; but one that looks like an input which the row leaves out is a slip, and the row
   would be answered as if that input were missing. */
static void check_unknown(checker *c, const sv_json *object, const sv_json *const *given)
{
    const sv_served *served = c->call->served;
    size_t n = 0;
    for (size_t i = 0; i < served->n_inputs; i++)
        if (!given[i])
            c->left_out[n++] = served->inputs[i].name.text;
    for (uint32_t m = 0; m < object->n && n && c->n_guesses + n <= MAX_GUESSES; m++) {
        sv_span name = object->names[m];
        if (sv_served_input(served, name.text, name.size) >= 0)
            continue;
        c->n_guesses += n;
        const char *text = sv_arena_strndup(c->call->arena, name.text, name.size), *meant = text ? sv_nearest_name(text, c->left_out, n) : NULL;
        char msg[700];
        if (!meant)
            continue;
        int is_optional = served->inputs[sv_served_input(served, meant, strlen(meant))].optional;
        snprintf(msg, sizeof msg, is_optional ? "No input of the model; did you mean '%.200s'? Send '%.200s' as null to leave it out" : "No input of the model; did you mean '%.200s'?", meant, meant);
        complain(c, "extra_forbidden", name, msg, &object->items[m], NULL);
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
    size_t n_known = 0;
    for (uint32_t m = 0; given && m < object->n; m++) {
        int input = sv_served_input(served, object->names[m].text, object->names[m].size);
        n_known += input >= 0;
        if (input >= 0)
            given[input] = &object->items[m];
    }
    for (size_t i = 0; given && i < served->n_inputs; i++) {
        if (given[i] || served->inputs[i].optional)
            check_field(c, i, given[i] ? given[i] : &null, columns[i], row);
        else
            complain(c, "missing", served->inputs[i].name, "Field required", object, NULL);
    }
    if (given && n_known < object->n)
        check_unknown(c, object, given);
}

static void answer_rows(sv_call *call, void *const *columns, size_t n_rows, int is_list)
{
    sv_reply *reply = call->reply;
    sv_error error = SV_ERROR_INIT;
    long bad_row = 0;
    sv_buffer_clear(&reply->body);
    sv_buffer_text(&reply->body, is_list ? "[" : "");
    if (sv_call_answer(call, columns, n_rows, &bad_row, &error)) {
        sv_complaints found = {.out = &reply->body, .row = is_list ? bad_row : -1};
        sv_reply_text(reply, 422, "application/json", "{\"detail\":[");
        sv_complain(&found, "value_error", (sv_span){NULL, 0}, error.message, NULL, NULL);
        sv_buffer_text(&reply->body, "]}");
        return;
    }
    sv_buffer_text(&reply->body, is_list ? "]" : "");
}

const sv_json *sv_call_read_json(sv_call *call)
{
    sv_json_fault fault;
    sv_span text;
    const sv_json *root = sv_json_as_utf8(call->arena, call->request->body, &text, &fault) ? NULL : sv_json_read(call->arena, text, &fault);
    if (!root)
        sv_complain_of_json(call->reply, &fault);
    return root;
}

int sv_call_read_rows(sv_call *call, void **columns, size_t *n_rows, int *is_list)
{
    const sv_json *root = sv_call_read_json(call);
    if (!root)
        return -1;
    *is_list = root->kind == SV_JSON_LIST;
    *n_rows = *is_list ? root->n : 1;
    if (*n_rows > call->service->options.max_rows) {
        sv_reply_detail(call->reply, 413, "more rows than one request may hold");
        return -1;
    }
    checker c = {.call = call, .found = {.out = &call->reply->body}, .left_out = sv_arena_alloc(call->arena, (call->served->n_inputs + 1) * sizeof *c.left_out)};
    int has_room = c.left_out != NULL;
    for (size_t i = 0; i < call->served->n_inputs && has_room; i++)
        has_room = (columns[i] = sv_arena_alloc(call->arena, (*n_rows + 1) * sizeof(double))) != NULL;
    if (!has_room) {
        sv_reply_detail(call->reply, 413, "the request needs more memory than one request may take");
        return -1;
    }
    sv_reply_text(call->reply, 200, "application/json", "{\"detail\":[");
    for (size_t row = 0; row < *n_rows; row++) {
        c.found.row = *is_list ? (long)row : -1;
        check_row(&c, *is_list ? &root->items[row] : root, columns, row);
    }
    if (c.found.n == 0) {
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
