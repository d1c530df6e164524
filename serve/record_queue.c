/* record_queue.c: see record_queue.h. A record lies in one piece: a head, then its rows, then its texts; where it does not fit before the ring's end an
   empty head fills the rest. */
#include "record_queue.h"

#include "alloc.h"
#include "error.h"

#include <stdatomic.h>

typedef struct head {
    size_t size; /* with everything behind it, a multiple of 16 */
    int is_filler;
    sv_record record; /* its pointers are set when it is read */
} head;

struct sv_record_queue {
    size_t bytes;
    char *ring;
    _Alignas(64) atomic_size_t written; /* ever; by the writer */
    atomic_ulong dropped;
    _Alignas(64) atomic_size_t read; /* ever; by the reader */
    size_t current;                  /* size of the record that get() gave; 0: none */
};

int sv_record_queue_new(sv_record_queue **out, size_t bytes)
{
    sv_record_queue *queue = sv_aligned(64, sizeof *queue);
    if (!queue)
        return SV_E_MEMORY;
    memset(queue, 0, sizeof *queue);
    queue->bytes = bytes;
    queue->ring = sv_malloc(bytes);
    if (!queue->ring) {
        sv_free(queue);
        return SV_E_MEMORY;
    }
    *out = queue;
    return 0;
}

void sv_record_queue_free(sv_record_queue *queue)
{
    if (queue)
        sv_free(queue->ring);
    sv_free(queue);
}

static size_t rounded(size_t size)
{
    return (size + 15) & ~(size_t)15;
}

static size_t record_size(const sv_record *record)
{
    size_t size = sizeof(head) + record->n_tapped * sizeof *record->tapped;
    for (size_t t = 0; t < SV_N_RECORD_TEXTS; t++)
        size += record->texts[t].size;
    return rounded(size);
}

static void write_record(char *at, const sv_record *record, size_t size)
{
    head h = {.size = size, .record = *record};
    memcpy(at, &h, sizeof h);
    at = mempcpy(at + sizeof h, record->tapped, record->n_tapped * sizeof *record->tapped);
    for (size_t t = 0; t < SV_N_RECORD_TEXTS; t++)
        if (record->texts[t].size)
            at = mempcpy(at, record->texts[t].text, record->texts[t].size);
}

int sv_record_queue_put(sv_record_queue *queue, const sv_record *record)
{
    size_t size = record_size(record), written = atomic_load_explicit(&queue->written, memory_order_relaxed);
    size_t free_bytes = queue->bytes - (written - atomic_load_explicit(&queue->read, memory_order_acquire));
    size_t at = written & (queue->bytes - 1), to_end = queue->bytes - at;
    size_t filler = size > to_end ? to_end : 0;
    if (size > queue->bytes / 4 || size + filler > free_bytes) {
        atomic_store_explicit(&queue->dropped, atomic_load_explicit(&queue->dropped, memory_order_relaxed) + 1, memory_order_relaxed);
        return 0;
    }
    if (filler) {
        memcpy(queue->ring + at, &filler, sizeof filler);
        if (filler >= sizeof(head))
            ((head *)(void *)(queue->ring + at))->is_filler = 1;
        at = 0;
    }
    write_record(queue->ring + at, record, size);
    atomic_store_explicit(&queue->written, written + filler + size, memory_order_release);
    return 1;
}

int sv_record_queue_get(sv_record_queue *queue, sv_record *record)
{
    for (;;) {
        size_t read = atomic_load_explicit(&queue->read, memory_order_relaxed);
        if (read == atomic_load_explicit(&queue->written, memory_order_acquire))
            return 0;
        const char *at = queue->ring + (read & (queue->bytes - 1));
        size_t size;
        memcpy(&size, at, sizeof size);
        if (size < sizeof(head) || ((const head *)(const void *)at)->is_filler) {
            atomic_store_explicit(&queue->read, read + size, memory_order_release);
            continue;
        }
        *record = ((const head *)(const void *)at)->record;
        record->tapped = (const sv_tapped *)(const void *)(at + sizeof(head));
        const char *text = at + sizeof(head) + record->n_tapped * sizeof *record->tapped;
        for (size_t t = 0; t < SV_N_RECORD_TEXTS; t++) {
            record->texts[t].text = record->texts[t].text ? text : NULL;
            text += record->texts[t].size;
        }
        queue->current = size;
        return 1;
    }
}

void sv_record_queue_drop(sv_record_queue *queue)
{
    atomic_store_explicit(&queue->read, atomic_load_explicit(&queue->read, memory_order_relaxed) + queue->current, memory_order_release);
    queue->current = 0;
}

unsigned long sv_record_queue_dropped(const sv_record_queue *queue)
{
    return atomic_load_explicit(&queue->dropped, memory_order_relaxed);
}
