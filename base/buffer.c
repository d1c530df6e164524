#include "buffer.h"

#include "alloc.h"
#include "error.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int sv_buffer_reserve(sv_buffer *buffer, size_t more)
{
    size_t need;
    if (__builtin_add_overflow(buffer->size, more, &need) || need > SIZE_MAX / 2 - 1)
        return SV_E_LIMIT;
    if (buffer->max && need > buffer->max)
        return SV_E_LIMIT;
    if (need + 1 <= buffer->capacity)
        return SV_OK;
    size_t capacity = buffer->capacity ? buffer->capacity : 64;
    while (capacity < need + 1)
        capacity *= 2;
    char *data = sv_realloc(buffer->data, capacity);
    if (!data)
        return SV_E_MEMORY;
    buffer->data = data;
    buffer->capacity = capacity;
    return SV_OK;
}

int sv_buffer_append(sv_buffer *buffer, const void *bytes, size_t length)
{
    int code = sv_buffer_reserve(buffer, length);
    if (code)
        return code;
    if (length)
        memcpy(buffer->data + buffer->size, bytes, length);
    buffer->size += length;
    buffer->data[buffer->size] = '\0';
    return SV_OK;
}

int sv_buffer_text(sv_buffer *buffer, const char *text)
{
    return sv_buffer_append(buffer, text, strlen(text));
}

int sv_buffer_byte(sv_buffer *buffer, char byte)
{
    return sv_buffer_append(buffer, &byte, 1);
}

int sv_buffer_format(sv_buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0)
        return SV_E_LIMIT;
    int code = sv_buffer_reserve(buffer, (size_t)length);
    if (code)
        return code;
    va_start(args, format);
    vsnprintf(buffer->data + buffer->size, (size_t)length + 1, format, args);
    va_end(args);
    buffer->size += (size_t)length;
    return SV_OK;
}

void sv_buffer_clear(sv_buffer *buffer)
{
    buffer->size = 0;
    if (buffer->data)
        buffer->data[0] = '\0';
}

void sv_buffer_free(sv_buffer *buffer)
{
    sv_free(buffer->data);
    buffer->data = NULL;
    buffer->size = buffer->capacity = 0;
}

char *sv_buffer_take(sv_buffer *buffer)
{
    if (sv_buffer_reserve(buffer, 0))
        return NULL;
    char *data = buffer->data;
    data[buffer->size] = '\0';
    buffer->data = NULL;
    buffer->size = buffer->capacity = 0;
    return data;
}
