#include "json_text.h"

#include "error.h"

#include <stdio.h>
#include <string.h>

static int append(const char *bytes, size_t size, void *buffer)
{
    return sv_buffer_append(buffer, bytes, size) ? -1 : 0;
}

int mlf_json_text(sv_buffer *buffer, const json_t *value)
{
    size_t before = buffer->size;
    if (value && !json_dump_callback(value, append, buffer, JSON_COMPACT | JSON_ENCODE_ANY))
        return SV_OK;
    buffer->size = before;
    return SV_E_MEMORY;
}

int mlf_json_string(sv_buffer *buffer, const char *text, size_t length)
{
    int code = sv_buffer_reserve(buffer, 6 * length + 2);
    if (code)
        return code;
    char *at = buffer->data + buffer->size;
    *at++ = '"';
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 32) {
            at += snprintf(at, 7, "\\u%04x", c);
            continue;
        }
        if (c == '"' || c == '\\')
            *at++ = '\\';
        *at++ = (char)c;
    }
    *at++ = '"';
    *at = '\0';
    buffer->size = (size_t)(at - buffer->data);
    return SV_OK;
}
