#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int sv_error_set(sv_error *error, int code, const char *format, ...)
{
    if (error && error->code == SV_OK) {
        va_list args;
        va_start(args, format);
        vsnprintf(error->message, sizeof error->message, format, args);
        va_end(args);
        error->code = code;
        error->hint[0] = '\0';
    }
    return code;
}

void sv_error_prefix(sv_error *error, const char *format, ...)
{
    if (!error || error->code == SV_OK)
        return;
    char text[sizeof error->message];
    va_list args;
    va_start(args, format);
    int used = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (used < 0)
        return;
    if ((size_t)used < sizeof text)
        snprintf(text + used, sizeof text - (size_t)used, "%s", error->message);
    memcpy(error->message, text, sizeof text);
}

void sv_error_hint(sv_error *error, const char *format, ...)
{
    if (!error || error->code == SV_OK || error->hint[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(error->hint, sizeof error->hint, format, args);
    va_end(args);
}

void sv_error_clear(sv_error *error)
{
    if (error)
        memset(error, 0, sizeof *error);
}

int sv_error_exit_status(int code)
{
    switch (code) {
    case SV_OK:
        return 0;
    case SV_E_CONFIG:
        return 2;
    case SV_E_INTERRUPTED:
        return 130;
    default:
        return 1;
    }
}
