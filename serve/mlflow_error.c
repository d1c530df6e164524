/* mlflow_error.c: see mlflow_error.h. */
#include "mlflow_error.h"

#include "json_out.h"

#include <stdarg.h>
#include <stdio.h>

#define MESSAGE_MAX 4096 /* bytes; longer texts of a request are cut, never echoed whole */

static const struct {
    int status;
    const char *error_code, *sqlstate, *error_class, *prefix;
} rows[] = {
    [SV_REFUSE_INPUT] = {400, "BAD_REQUEST", "22023", "INVALID_PARAMETER_VALUE", "Invalid input. "},
    [SV_REFUSE_MODEL] = {400, "BAD_REQUEST", "22023", "INVALID_PARAMETER_VALUE", ""},
    [SV_REFUSE_SCHEMA] = {400, "INVALID_PARAMETER_VALUE", "KAM01", "SCHEMA_ENFORCEMENT_FAILED", ""},
    [SV_REFUSE_PARAMS] = {400, "INVALID_PARAMETER_VALUE", "22023", "INVALID_PARAMETER_VALUE", ""},
    [SV_REFUSE_LIMIT] = {413, "RESOURCE_EXHAUSTED", "54000", "RESOURCE_EXHAUSTED", ""},
};

void sv_mlflow_refuse(sv_reply *reply, sv_refusal refusal, const char *format, ...)
{
    char text[MESSAGE_MAX];
    size_t prefix = (size_t)snprintf(text, sizeof text, "%s", rows[refusal].prefix);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + prefix, sizeof text - prefix, format, arguments);
    va_end(arguments);
    reply->status = rows[refusal].status;
    reply->content_type = "application/json";
    sv_buffer_clear(&reply->body);
    sv_buffer_format(&reply->body, "{\"error_code\": \"%s\", \"message\": ", rows[refusal].error_code);
    sv_json_write_text(&reply->body, sv_span_of(text));
    sv_buffer_format(&reply->body, ", \"sqlstate\": \"%s\", \"error_class\": \"%s\"}", rows[refusal].sqlstate, rows[refusal].error_class);
}
