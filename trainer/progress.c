#include "progress.h"
#include "clock.h"
#include "log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void sv_progress_begin(sv_progress *p, sv_voice voice)
{
    *p = (sv_progress){.voice = voice, .is_terminal = isatty(STDERR_FILENO)};
}

void sv_progress_clear(sv_progress *p)
{
    if (p->bar_stands)
        fputs("\r\033[K", stderr);
    p->bar_stands = 0;
}

void sv_progress_line(sv_progress *p, const char *what, const char *format, ...)
{
    va_list args;
    sv_progress_clear(p);
    if (p->voice != SV_VOICE_LINES)
        return;
    printf("%-9s ", what);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

void sv_progress_warn(sv_progress *p, const char *format, ...)
{
    va_list args;
    sv_progress_clear(p);
    if (p->voice == SV_VOICE_NONE)
        return;
    char text[4000];
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sv_say("solvent: warning: %s", text);
}

/* A line that is longer than the terminal is wide cannot be drawn over. */
static int columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 79;
}

void sv_progress_bar(sv_progress *p, const char *what, int64_t done, int64_t total, const char *behind)
{
    int64_t now = sv_monotonic_ns();
    char bar[31], line[300];
    if (!p->bar || strcmp(p->bar, what) != 0 || done < p->first) { /* another work: what came before it says nothing of its pace */
        p->bar = what;
        p->first = done;
        p->began_ns = now;
    }
    if (p->voice != SV_VOICE_LINES || !p->is_terminal || (p->bar_stands && now - p->drawn_ns < 100000000))
        return;
    int filled = total > 0 ? (int)((double)done / (double)total * 30) : 0;
    filled = filled > 30 ? 30 : filled;
    memset(bar, ' ', 30);
    memset(bar, '=', (size_t)filled);
    bar[30] = '\0';
    double seconds = (double)(now - p->began_ns) / 1e9, since = (double)(done - p->first);
    size_t n = (size_t)snprintf(line, sizeof line, "%-9s [%s] %" PRId64, what, bar, done);
    if (total > 0)
        n += (size_t)snprintf(line + n, sizeof line - n, "/%" PRId64, total);
    if (since > 0 && seconds > 0)
        n += (size_t)snprintf(line + n, sizeof line - n, "  %.3g/s", since / seconds);
    if (since > 0 && total > done)
        n += (size_t)snprintf(line + n, sizeof line - n, "  at most %.0f s left", seconds / since * (double)(total - done));
    snprintf(line + n, sizeof line - n, "  %s", behind);
    fprintf(stderr, "\r\033[K%.*s", columns(), line);
    fflush(stderr);
    p->bar_stands = 1;
    p->drawn_ns = now;
}

void sv_progress_event(sv_progress *p, json_t *event)
{
    if (p->voice == SV_VOICE_JSON && event) {
        json_dumpf(event, stdout, JSON_COMPACT);
        putchar('\n');
        fflush(stdout);
    }
    json_decref(event);
}

const char *sv_grouped(uint64_t count)
{
    static _Thread_local char turns[4][32];
    static _Thread_local int turn;
    char digits[24], *out = turns[turn++ & 3], *at = out;
    int n = snprintf(digits, sizeof digits, "%" PRIu64, count);
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0)
            *at++ = ',';
        *at++ = digits[i];
    }
    *at = '\0';
    return out;
}
