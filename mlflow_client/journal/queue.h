/* queue.h: points on their way from the caller to the journal: a ring of fixed slots, many writers, one reader at a time, no lock.
   Source: Dmitry Vyukov's bounded queue, in which each slot carries the turn it is ready for: 2n when it may be written for the n-th time, 2n + 1 when read. */
#ifndef MLF_QUEUE_H
#define MLF_QUEUE_H

#include "keys.h"

#include <stdatomic.h>
#include <stdint.h>

enum { MLF_QUEUE_SLOTS = 4096 };

struct mlf_run;

typedef struct mlf_point {
    struct mlf_run *run;
    const mlf_key *key;
    double value;
    int64_t timestamp_ms, step;
} mlf_point;

typedef struct mlf_queue_slot {
    _Atomic uint64_t turn;
    mlf_point point;
} mlf_queue_slot;

typedef struct mlf_queue {
    _Alignas(64) _Atomic uint64_t tail; /* next to be written */
    _Alignas(64) uint64_t head;         /* next to be read; the reader's own */
    mlf_queue_slot *slots;              /* (MLF_QUEUE_SLOTS); NULL until somebody logs from this queue's threads */
} mlf_queue;

int mlf_queue_init(mlf_queue *queue, mlf_error *error);
void mlf_queue_free(mlf_queue *queue);

/* How many points of the run wait; goes: they are nobody's (run NULL) from then on. The reader alone. */
uint64_t mlf_queue_count(mlf_queue *queue, const struct mlf_run *run, int goes);

/* 1: taken; 0: full. Any thread. */
static inline int mlf_queue_push(mlf_queue *queue, const mlf_point *point)
{
    uint64_t at = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    for (;;) {
        mlf_queue_slot *slot = &queue->slots[at % MLF_QUEUE_SLOTS];
        uint64_t turn = atomic_load_explicit(&slot->turn, memory_order_acquire), lap = at / MLF_QUEUE_SLOTS;
        if (turn == 2 * lap) {
            if (!atomic_compare_exchange_weak_explicit(&queue->tail, &at, at + 1, memory_order_relaxed, memory_order_relaxed))
                continue;
            slot->point = *point;
            atomic_store_explicit(&slot->turn, 2 * lap + 1, memory_order_release);
            return 1;
        }
        if (turn < 2 * lap)
            return 0;
        at = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    }
}

/* The oldest point, or NULL when none is ready; mlf_queue_pop() gives its slot back. One thread at a time. */
static inline const mlf_point *mlf_queue_front(mlf_queue *queue)
{
    mlf_queue_slot *slot = &queue->slots[queue->head % MLF_QUEUE_SLOTS];
    return atomic_load_explicit(&slot->turn, memory_order_acquire) == 2 * (queue->head / MLF_QUEUE_SLOTS) + 1 ? &slot->point : NULL;
}

static inline void mlf_queue_pop(mlf_queue *queue)
{
    atomic_store_explicit(&queue->slots[queue->head % MLF_QUEUE_SLOTS].turn, 2 * (queue->head / MLF_QUEUE_SLOTS) + 2, memory_order_release);
    queue->head++;
}

#endif
