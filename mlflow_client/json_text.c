#include "json_text.h"

#include "error.h"

#include <stdio.h>
#include <string.h>

struct dump {
    sv_buffer *buffer;
    int failed;
};

/* jansson goes on when a key could not be written, and would end with a text that lacks it: a failure is remembered. */
static int append(const char *bytes, size_t size, void *context)
{
    struct dump *dump = context;
    dump->failed |= sv_buffer_append(dump->buffer, bytes, size) != 0;
    return dump->failed ? -1 : 0;
}

int mlf_json_text(sv_buffer *buffer, const json_t *value)
{
    size_t before = buffer->size;
    struct dump dump = {buffer, 0};
    if (value && !json_dump_callback(value, append, &dump, JSON_COMPACT | JSON_ENCODE_ANY) && !dump.failed)
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
