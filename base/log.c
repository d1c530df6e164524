#include "log.h"

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

void sv_log(sv_log_level level, const char *format, ...)
{
    if (level < sv_log_get_level())
        return;
    char line[2048];
    int start = snprintf(line, sizeof line, "%s: ", names[level]);
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line + start, sizeof line - 1 - (size_t)start, format, args);
    va_end(args);
    if (length < 0)
        return;
    size_t used = strlen(line);
    if (sink_function) {
        sink_function(sink_context, level, line + start);
        return;
    }
    line[used++] = '\n';
    if (write(STDERR_FILENO, line, used) < 0)
        return; /* nowhere left to say it */
}
