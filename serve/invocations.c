/* invocations.c: POST /invocations, MLflow's scoring protocol: the same bodies, coercions, statuses and error codes as `mlflow models serve`.
   The usual bodies are scanned straight into columns; everything else takes the careful path through a tree and a frame. */
#include "csv_frame.h"
#include "frame.h"
#include "mlflow_error.h"
#include "row_scan.h"
#include "service.h"

#include <stdio.h>
#include <strings.h>

#define REQUIRED_FORMAT                                                                                                                              \
    "The input must be a JSON dictionary with exactly one of the input fields {'dataframe_split', 'dataframe_records', 'instances', 'inputs'}"

typedef enum body_type { BODY_JSON, BODY_CSV, BODY_REFUSED } body_type;

static sv_span trim(sv_span text)
{
    while (text.size && (*text.text == ' ' || *text.text == '\t'))
        text.text++, text.size--;
    while (text.size && (text.text[text.size - 1] == ' ' || text.text[text.size - 1] == '\t'))
        text.size--;
    return text;
}

/* The next piece up to the separator; *rest is what follows it (text NULL when there was none). */
static sv_span cut(sv_span *rest, char separator)
{
    const char *at = memchr(rest->text, separator, rest->size);
    sv_span piece = {rest->text, at ? (size_t)(at - rest->text) : rest->size};
    *rest = at ? (sv_span){at + 1, rest->size - piece.size - 1} : (sv_span){NULL, 0};
    return trim(piece);
}

static body_type refuse_type(sv_reply *reply, const char *why)
{
    sv_reply_text(reply, 415, "text/plain; charset=utf-8", why);
    return BODY_REFUSED;
}

/* As the Python server reads it: exact, case-sensitive types; charset=utf-8 the only parameter. */
static body_type content_type(sv_call *call)
{
    sv_span header = sv_http_header_value(call->request, "content-type");
    if (sv_span_is(header, "application/json"))
        return BODY_JSON;
    if (!header.text)
        return refuse_type(call->reply, "A Content-Type is required: application/json or text/csv.");
    sv_span rest = header, type = cut(&rest, ';'), charset = {"utf-8", 5};
    int further = 0;
    while (rest.text) {
        sv_span value = cut(&rest, ';'), key;
        key = memchr(value.text, '=', value.size) ? cut(&value, '=') : value;
        if (key.text == value.text)
            value = (sv_span){"", 0};
        if (sv_span_is((sv_span){key.text, key.size}, "charset"))
            charset = value;
        else
            further = 1;
    }
    if (charset.size != 5 || strncasecmp(charset.text, "utf-8", 5) != 0)
        return refuse_type(call->reply, "The scoring server only supports UTF-8");
    if (further)
        return refuse_type(call->reply, "Unrecognized content type parameters: only charset=utf-8 is known.");
    if (sv_span_is(type, "application/json"))
        return BODY_JSON;
    if (sv_span_is(type, "text/csv"))
        return BODY_CSV;
    if (sv_span_is(type, "application/vnd.apache.parquet")) {
        sv_mlflow_refuse(call->reply, SV_REFUSE_MODEL, "Failed to parse input as a Pandas DataFrame. This server does not read Parquet: send JSON or CSV.");
        return BODY_REFUSED;
    }
    return refuse_type(call->reply, "This predictor only supports the following content types: Types: ['application/json', 'text/csv'].");
}

static sv_frame_limits limits_of(const sv_call *call)
{
    return (sv_frame_limits){call->service->options.max_rows, call->service->options.max_cells};
}

/* Scores a frame and writes {"predictions": […]}, or only the list. */
static void answer_frame(sv_call *call, const sv_frame *frame, int wrapped)
{
    sv_reply *reply = call->reply;
    void **columns = sv_arena_alloc(call->arena, (call->served->n_inputs + 1) * sizeof *columns);
    if (!columns) {
        sv_mlflow_refuse(reply, SV_REFUSE_LIMIT, "The request needs more memory than one request may take.");
        return;
    }
    if (sv_frame_convert(frame, call->arena, call->served, columns, reply))
        return;
    sv_error error = SV_ERROR_INIT;
    long bad_row = 0;
    sv_buffer_clear(&reply->body);
    sv_buffer_text(&reply->body, wrapped ? "{\"predictions\": [" : "[");
    if (sv_call_answer(call, columns, frame->n_rows, &bad_row, &error))
        sv_mlflow_refuse(reply, error.code == SV_E_INPUT ? SV_REFUSE_MODEL : SV_REFUSE_LIMIT,
                         "Encountered an unexpected error while evaluating the model. Verify that the serialized input Dataframe is compatible with the model "
                         "for inference. Row %ld: %s",
                         bad_row, error.message);
    else
        sv_buffer_text(&reply->body, wrapped ? "]}" : "]");
}

static const sv_json *read_body(sv_call *call)
{
    sv_json_fault fault;
    sv_span text;
    const sv_json *root = sv_json_as_utf8(call->arena, call->request->body, &text, &fault) ? NULL : sv_json_read(call->arena, text, &fault);
    if (!root)
        sv_mlflow_refuse(call->reply, SV_REFUSE_INPUT,
                         "Ensure that input is a valid JSON formatted string. Error: 'JSONDecodeError(\"%s: line %zu column %zu (char %zu)\")'",
                         fault.what ? fault.what : "out of memory", fault.line, fault.column, fault.at);
    return root;
}

/* messages, prompt or input at the top: the whole object is the model's input. */
static int is_unified(const sv_json *root)
{
    return sv_json_member(root, "messages") || sv_json_member(root, "prompt") || sv_json_member(root, "input");
}

static const char *const formats[] = {"dataframe_split", "dataframe_records", "instances", "inputs"};

static void refuse_keys(sv_call *call, const sv_json *root)
{
    char names[600];
    size_t used = 0;
    for (uint32_t m = 0; m < root->n && used < 400; m++)
        for (size_t f = 0; f < 4; f++)
            if (sv_span_is(root->names[m], formats[f]))
                used += (size_t)snprintf(names + used, sizeof names - used, "%s'%s'", used ? ", " : "", formats[f]);
    names[used] = 0;
    sv_mlflow_refuse(call->reply, SV_REFUSE_MODEL, REQUIRED_FORMAT ". Received dictionary with input fields: [%s].", names);
}

/* A frame of the body, or -1 with the refusal in the reply. */
static int read_json(sv_call *call, sv_frame *frame, int *wrapped)
{
    const sv_json *root = read_body(call), *value = NULL;
    *wrapped = 1;
    if (!root)
        return -1;
    if (root->kind != SV_JSON_OBJECT) {
        if (root->kind == SV_JSON_LIST)
            sv_mlflow_refuse(call->reply, SV_REFUSE_INPUT, REQUIRED_FORMAT ". Received a list.");
        else
            sv_mlflow_refuse(call->reply, SV_REFUSE_INPUT, REQUIRED_FORMAT ". Received unexpected input type '<class '%s'>.", sv_json_python_type(root));
        return -1;
    }
    sv_frame_limits limits = limits_of(call);
    if (is_unified(root)) {
        *wrapped = 0;
        return sv_frame_from_inputs(frame, call->arena, root, call->served, &limits, call->reply);
    }
    int which = -1, n = 0;
    for (int f = 0; f < 4; f++) {
        const sv_json *found = sv_json_member(root, formats[f]);
        if (found) {
            value = found;
            which = f;
            n++;
        }
    }
    if (n != 1) {
        refuse_keys(call, root);
        return -1;
    }
    return which == 0   ? sv_frame_from_split(frame, call->arena, value, &limits, call->reply)
              : which == 1 ? sv_frame_from_records(frame, call->arena, value, &limits, call->reply)
              : which == 2 ? sv_frame_from_instances(frame, call->arena, value, call->served, &limits, call->reply)
                           : sv_frame_from_inputs(frame, call->arena, value, call->served, &limits, call->reply);
}

static int read_csv(sv_call *call, sv_frame *frame)
{
    size_t at;
    sv_frame_limits limits = limits_of(call);
    if (sv_utf8_is_valid(call->request->body, 0, &at))
        return sv_frame_from_csv(frame, call->arena, call->request->body, &limits, call->reply);
    sv_mlflow_refuse(call->reply, SV_REFUSE_INPUT, "Ensure that input is a valid UTF-8 encoded string. Error: 'byte %zu'", at);
    return -1;
}

static int read_frame(sv_call *call, int is_csv, sv_frame *frame, int *wrapped)
{
    *wrapped = 1;
    return is_csv ? read_csv(call, frame) : read_json(call, frame, wrapped);
}

int sv_call_read_frame(sv_call *call, sv_frame *frame, int *wrapped)
{
    body_type type = content_type(call);
    return type == BODY_REFUSED ? -1 : read_frame(call, type == BODY_CSV, frame, wrapped);
}

void sv_call_answer_carefully(sv_call *call, int is_csv)
{
    sv_buffer_clear(&call->reply->body);
    call->batch->n_tapped = 0;
    sv_frame frame;
    int wrapped;
    if (read_frame(call, is_csv, &frame, &wrapped) == 0)
        answer_frame(call, &frame, wrapped);
}

void sv_handle_invocations(sv_call *call)
{
    body_type type = content_type(call);
    if (type == BODY_REFUSED)
        return;
    sv_span body = call->request->body;
    size_t max_rows = call->service->options.max_rows;
    long n = type == BODY_JSON ? sv_scan_invocation(call->served, call->batch, body, max_rows, &call->reply->body)
                               : sv_scan_csv(call->served, call->batch, body, max_rows, &call->reply->body);
    if (n >= 0) {
        call->n_rows = (size_t)n;
        return;
    }
    sv_call_answer_carefully(call, type == BODY_CSV);
}
