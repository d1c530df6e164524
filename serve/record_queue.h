/* record_queue.h: answered requests on their way from a worker to the background thread: a ring of bytes for one writer and one reader. Never waits:
   what finds no room is dropped and counted. */
#ifndef SV_RECORD_QUEUE_H
#define SV_RECORD_QUEUE_H

#include "served.h"

#include <stdint.h>

struct sv_row;
struct sv_version_stats;

typedef enum sv_record_text { SV_RECORD_ID, SV_RECORD_TRACE, SV_RECORD_TYPE, SV_RECORD_JSON_SIZE, SV_RECORD_BODY, SV_N_RECORD_TEXTS } sv_record_text;

/* One answered request. */
typedef struct sv_record {
    size_t slot;               /* the place that was asked */
    size_t answered_by;        /* the place whose version answered */
    int is_compared, is_logged; /* who wants it */
    const struct sv_row *row;  /* its route */
    const struct sv_version_stats *stats; /* of the version that answered */
    int64_t time_ms;           /* epoch */
    size_t n_rows;             /* of the answer */
    size_t n_tapped;
    const sv_tapped *tapped;   /* (n_tapped): the first rows' answers */
    sv_span texts[SV_N_RECORD_TEXTS]; /* X-Request-Id, traceparent, Content-Type, Inference-Header-Content-Length, the body */
} sv_record;

typedef struct sv_record_queue sv_record_queue;

int sv_record_queue_new(sv_record_queue **out, size_t bytes); /* bytes: a power of two. 0 or SV_E_MEMORY */
void sv_record_queue_free(sv_record_queue *queue);            /* accepts NULL */

/* Copies the record in; 1, or 0 when it was dropped. Writer's thread. */
int sv_record_queue_put(sv_record_queue *queue, const sv_record *record);

/* The oldest record, borrowed until sv_record_queue_drop; 0 when there is none. Reader's thread. */
int sv_record_queue_get(sv_record_queue *queue, sv_record *record);
void sv_record_queue_drop(sv_record_queue *queue);

unsigned long sv_record_queue_dropped(const sv_record_queue *queue); /* any thread */

#endif
