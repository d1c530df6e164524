/* complaint.c: see complaint.h. */
#include "complaint.h"

#include "json_out.h"
#include "mlflow_error.h"

#define MAX_LISTED 1000 /* in one answer */

void sv_complain(sv_complaints *complaints, const char *type, sv_span field, const char *msg, const sv_json *input, const char *expected)
{
    sv_buffer *out = complaints->out;
    if (complaints->n++ >= MAX_LISTED)
        return;
    sv_buffer_format(out, "%s{\"type\":\"%s\",\"loc\":[\"body\"", complaints->n > 1 ? "," : "", type);
    if (complaints->row >= 0)
        sv_buffer_format(out, ",%ld", complaints->row);
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

void sv_complain_of_json(sv_reply *reply, const sv_json_fault *fault)
{
    sv_reply_text(reply, 422, "application/json", "");
    sv_buffer_format(&reply->body, "{\"detail\":[{\"type\":\"json_invalid\",\"loc\":[\"body\",%zu],\"msg\":\"JSON decode error\",\"input\":{},\"ctx\":{\"error\":", fault->at);
    sv_json_write_text(&reply->body, sv_span_of(fault->what ? fault->what : "out of memory"));
    sv_buffer_text(&reply->body, "}}]}");
}
