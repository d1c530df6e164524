/* progress.h: what a person sees while a command works: a bar on a terminal, plain lines otherwise, one JSON object a line for machines. */
#ifndef SV_PROGRESS_H
#define SV_PROGRESS_H

#include <jansson.h>
#include <stdint.h>

typedef enum sv_voice { SV_VOICE_LINES, SV_VOICE_QUIET /* warnings alone */, SV_VOICE_NONE, SV_VOICE_JSON } sv_voice;

typedef struct sv_progress {
    sv_voice voice;
    int is_terminal;     /* standard error is one */
    int bar_stands;      /* a bar is on the last line */
    const char *bar;     /* what it is of, borrowed; NULL: there was none yet */
    int64_t first;       /* done when it began */
    int64_t began_ns, drawn_ns;
} sv_progress;

void sv_progress_begin(sv_progress *progress, sv_voice voice);

/* One finished step: "read      45,211 rows …". Nothing unless lines are wanted. */
void sv_progress_line(sv_progress *progress, const char *what, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Something that must be seen, on standard error, also when quiet. */
void sv_progress_warn(sv_progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* done of total, with a text behind; redrawn at most ten times a second. total 0: no end is known. */
void sv_progress_bar(sv_progress *progress, const char *what, int64_t done, int64_t total, const char *behind);
void sv_progress_clear(sv_progress *progress);

/* One JSON object a line on standard output, when machines listen; takes the object. */
void sv_progress_event(sv_progress *progress, json_t *event);

/* 45211 as "45,211", in one of four turns of a buffer. */
const char *sv_grouped(uint64_t count);

#endif
