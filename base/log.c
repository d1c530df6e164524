#include "log.h"
#include "text.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {"debug", "info", "warn", "error", "off"};
static atomic_int current = -1;
static void (*sink_function)(void *, sv_log_level, const char *);
static void *sink_context;

sv_log_level sv_log_get_level(void)
{
    int level = atomic_load_explicit(&current, memory_order_relaxed);
    if (level >= 0)
        return (sv_log_level)level;
    const char *asked = getenv("SOLVENT_LOG");
    level = SV_LOG_WARN;
    for (int i = 0; asked && i <= SV_LOG_OFF; i++)
        if (!strcmp(asked, names[i]))
            level = i;
    atomic_store(&current, level);
    return (sv_log_level)level;
}

void sv_log_set_level(sv_log_level level)
{
    atomic_store(&current, (int)level);
}

void sv_log_set_sink(void (*sink)(void *, sv_log_level, const char *), void *context)
{
    sink_function = sink;
    sink_context = context;
}

/* Others' text is part of most lines: it is shown, never obeyed. The bytes written into line, its newline with them. */
static size_t show_line(char *line, size_t size, const char *text, size_t length)
{
    size_t used = sv_text_line(line, size - 1, text, length);
    line[used] = '\n';
    return used + 1;
}

static void put(const char *lines, size_t length)
{
    if (write(STDERR_FILENO, lines, length) < 0)
        return; /* nowhere left to say it */
}

void sv_log(sv_log_level level, const char *format, ...)
{
    if (level < sv_log_get_level())
        return;
    char text[2048], line[4096];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length < 0)
        return;
    if (sink_function) {
        sv_text_line(line, sizeof line, text, strlen(text));
        sink_function(sink_context, level, line);
        return;
    }
    size_t start = (size_t)snprintf(line, sizeof line, "%s: ", names[level]);
    put(line, start + show_line(line + start, sizeof line - start, text, strlen(text)));
}

void sv_say(const char *format, ...)
{
    char text[4096], lines[8192];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t used = 0;
    for (const char *at = text, *end; length >= 0 && at && sizeof lines - used > 2; at = *end ? end + 1 : NULL) {
        end = at + strcspn(at, "\n");
        used += show_line(lines + used, sizeof lines - used, at, (size_t)(end - at));
    }
    put(lines, used);
}
