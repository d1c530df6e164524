/* http_reply.c: see http_reply.h. */
#include "http_reply.h"

#include "json_out.h"

#include <stdio.h>

#define KEPT_BYTES (256 * 1024) /* a larger body's memory is given back */

void sv_reply_clear(sv_reply *reply)
{
    reply->status = 200;
    reply->content_type = "application/json";
    reply->close = 0;
    sv_buffer_clear(&reply->fields);
    if (reply->body.capacity > KEPT_BYTES)
        sv_buffer_free(&reply->body);
    sv_buffer_clear(&reply->body);
}

void sv_reply_free(sv_reply *reply)
{
    sv_buffer_free(&reply->fields);
    sv_buffer_free(&reply->body);
}

void sv_reply_field(sv_reply *reply, const char *name, sv_span value)
{
    if (sv_buffer_reserve(&reply->fields, strlen(name) + value.size + 4))
        return;
    sv_buffer_text(&reply->fields, name);
    sv_buffer_append(&reply->fields, ": ", 2);
    for (size_t i = 0; i < value.size; i++)
        if ((unsigned char)value.text[i] >= 0x20 && value.text[i] != 0x7f)
            sv_buffer_byte(&reply->fields, value.text[i]);
    sv_buffer_append(&reply->fields, "\r\n", 2);
}

void sv_reply_detail(sv_reply *reply, int status, const char *text)
{
    reply->status = status;
    reply->content_type = "application/json";
    sv_buffer_clear(&reply->body);
    sv_buffer_text(&reply->body, "{\"detail\":");
    sv_json_write_text(&reply->body, sv_span_of(text));
    sv_buffer_byte(&reply->body, '}');
}

void sv_reply_text(sv_reply *reply, int status, const char *content_type, const char *text)
{
    reply->status = status;
    reply->content_type = content_type;
    sv_buffer_clear(&reply->body);
    sv_buffer_text(&reply->body, text);
}

const char *sv_http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } rows[] = {{200, "OK"},
                {204, "No Content"},
                {303, "See Other"},
                {307, "Temporary Redirect"},
                {400, "Bad Request"},
                {401, "Unauthorized"},
                {403, "Forbidden"},
                {404, "Not Found"},
                {405, "Method Not Allowed"},
                {408, "Request Timeout"},
                {409, "Conflict"},
                {413, "Content Too Large"},
                {414, "URI Too Long"},
                {415, "Unsupported Media Type"},
                {417, "Expectation Failed"},
                {422, "Unprocessable Content"},
                {429, "Too Many Requests"},
                {431, "Request Header Fields Too Large"},
                {500, "Internal Server Error"},
                {501, "Not Implemented"},
                {503, "Service Unavailable"},
                {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].status == status)
            return rows[i].reason;
    return "Unknown";
}

size_t sv_reply_head(char out[SV_REPLY_HEAD_MAX], const sv_reply *reply, const char *date, int keep_alive)
{
    char *p = out, *end = out + SV_REPLY_HEAD_MAX;
    if (reply->status == 200)
        p = mempcpy(p, "HTTP/1.1 200 OK\r\n", 17);
    else
        p += snprintf(p, (size_t)(end - p), "HTTP/1.1 %d %s\r\n", reply->status, sv_http_reason(reply->status));
    p = mempcpy(p, "Date: ", 6);
    p = mempcpy(p, date, 29);
    if (reply->content_type) {
        p = mempcpy(p, "\r\nContent-Type: ", 16);
        p = mempcpy(p, reply->content_type, strlen(reply->content_type));
    }
    p = mempcpy(p, "\r\nContent-Length: ", 18);
    char digits[24];
    int n = 0;
    for (size_t size = reply->body.size; n == 0 || size; size /= 10)
        digits[n++] = (char)('0' + size % 10);
    while (n)
        *p++ = digits[--n];
    p = mempcpy(p, "\r\n", 2);
    if (!keep_alive)
        p = mempcpy(p, "Connection: close\r\n", 19);
    return (size_t)(p - out);
}
