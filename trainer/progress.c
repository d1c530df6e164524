#include "progress.h"
#include "clock.h"
#include "log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void sv_progress_begin(sv_progress *p, sv_voice voice)
{
    *p = (sv_progress){.voice = voice, .is_terminal = isatty(STDERR_FILENO), .began_ns = sv_monotonic_ns()};
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

void sv_progress_bar(sv_progress *p, const char *what, int64_t done, int64_t total, const char *behind)
{
    int64_t now = sv_monotonic_ns();
    char bar[31];
    if (p->voice != SV_VOICE_LINES || !p->is_terminal || (p->bar_stands && now - p->drawn_ns < 100000000))
        return;
    int filled = total > 0 ? (int)((double)done / (double)total * 30) : 0;
    filled = filled > 30 ? 30 : filled;
    memset(bar, ' ', 30);
    memset(bar, '=', (size_t)filled);
    bar[30] = '\0';
    double seconds = (double)(now - p->began_ns) / 1e9;
    fprintf(stderr, "\r\033[K%-9s [%s] %" PRId64, what, bar, done);
    if (total > 0)
        fprintf(stderr, "/%" PRId64, total);
    if (done > 0 && seconds > 0)
        fprintf(stderr, "  %.3g/s", (double)done / seconds);
    if (done > 0 && total > done)
        fprintf(stderr, "  at most %.0f s left", seconds / (double)done * (double)(total - done));
    fprintf(stderr, "  %s", behind);
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
