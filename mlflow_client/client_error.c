#include "client_error.h"

#include "retry.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    int code;
    const char *name;
} names[] = {
    {MLF_OK, "MLF_OK"},
    {MLF_E_MEMORY, "MLF_E_MEMORY"},
    {MLF_E_ARGUMENT, "MLF_E_ARGUMENT"},
    {MLF_E_CONNECT, "MLF_E_CONNECT"},
    {MLF_E_TLS, "MLF_E_TLS"},
    {MLF_E_AUTH, "MLF_E_AUTH"},
    {MLF_E_NOT_FOUND, "MLF_E_NOT_FOUND"},
    {MLF_E_EXISTS, "MLF_E_EXISTS"},
    {MLF_E_UNSUPPORTED, "MLF_E_UNSUPPORTED"},
    {MLF_E_SERVER, "MLF_E_SERVER"},
    {MLF_E_REPLY, "MLF_E_REPLY"},
    {MLF_E_IO, "MLF_E_IO"},
    {MLF_E_INTEGRITY, "MLF_E_INTEGRITY"},
    {MLF_E_TIMEOUT, "MLF_E_TIMEOUT"},
    {MLF_E_STATE, "MLF_E_STATE"},
    {MLF_E_END, "MLF_E_END"},
};

const char *mlf_code_name(int code)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code) return names[i].name;
    return "MLF_E_UNKNOWN";
}

int mlf_error_is_retriable(const mlf_error *error)
{
    return error && error->code != MLF_OK && error->retriable;
}

__attribute__((format(printf, 4, 0)))
static void fill(mlf_error *error, int code, int retriable, const char *format, va_list args)
{
    if (!error || error->code != MLF_OK) return;
    char text[sizeof error->message * 2];
    int length = vsnprintf(text, sizeof text, format, args);
    if (length < 0) length = 0;
    if ((size_t)length >= sizeof text) length = (int)sizeof text - 1;
    mlf_text_copy(error->message, sizeof error->message, text, (size_t)length);
    char *stop = strstr(error->message, ".; "); /* a server's sentence before our hint */
    if (stop) memmove(stop, stop + 1, strlen(stop));
    error->code = code;
    error->retriable = retriable;
}

int mlf_error_set(mlf_error *error, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(error, code, 0, format, args);
    va_end(args);
    return code;
}

int mlf_error_set_retriable(mlf_error *error, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(error, code, 1, format, args);
    va_end(args);
    return code;
}

void mlf_error_prefix(mlf_error *error, const char *format, ...)
{
    if (!error || error->code == MLF_OK) return;
    char text[sizeof error->message * 2];
    va_list args;
    va_start(args, format);
    int used = vsnprintf(text, sizeof error->message, format, args);
    va_end(args);
    if (used < 0) return;
    if ((size_t)used >= sizeof error->message) used = (int)sizeof error->message - 1;
    snprintf(text + used, sizeof text - (size_t)used, "%s", error->message);
    mlf_text_copy(error->message, sizeof error->message, text, strlen(text));
}

void mlf_error_clear(mlf_error *error)
{
    if (error) memset(error, 0, sizeof *error);
}

int mlf_error_memory(mlf_error *error)
{
    return mlf_error_set(error, MLF_E_MEMORY, "out of memory");
}

int mlf_error_from_base(mlf_error *error, const sv_error *base)
{
    int code = MLF_E_IO;
    switch (base->code) {
    case SV_OK:
        return MLF_OK;
    case SV_E_MEMORY:
        code = MLF_E_MEMORY;
        break;
    case SV_E_INPUT:
    case SV_E_LIMIT:
    case SV_E_CONFIG:
        code = MLF_E_ARGUMENT;
        break;
    case SV_E_NETWORK:
        code = MLF_E_CONNECT;
        break;
    case SV_E_INTERRUPTED:
        code = MLF_E_STATE;
        break;
    default:
        break;
    }
    return mlf_error_set(error, code, "%s%s%s", base->message, base->hint[0] ? "; " : "", base->hint);
}

void mlf_text_copy(char *into, size_t size, const char *text, size_t length)
{
    if (!size) return;
    if (length >= size) {
        length = size - 1;
        while (length && ((unsigned char)text[length] & 0xC0) == 0x80)
            length--; /* a continuation byte would stand first behind the cut */
    }
    for (size_t i = 0; i < length; i++)
        into[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7F ? (text[i] == '\n' ? '\n' : ' ') : text[i];
    into[length] = '\0';
}

int mlf_error_is_ambiguous(int code, const mlf_error *error)
{
    return code == MLF_E_CONNECT || code == MLF_E_TIMEOUT || code == MLF_E_REPLY || (code == MLF_E_SERVER && error->http_status >= 500);
}

int mlf_error_of_repeatable(int code, mlf_error *error)
{
    if (code && error && error->http_status)
        error->retriable = error->retriable || mlf_retry_status(error->http_status, 0, error->error_code, error->message);
    return code;
}
