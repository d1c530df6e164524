#include "queue.h"

#include "alloc.h"
#include "client_error.h"

int mlf_queue_init(mlf_queue *queue, mlf_error *error)
{
    queue->slots = sv_calloc(MLF_QUEUE_SLOTS, sizeof *queue->slots);
    if (!queue->slots)
        return mlf_error_memory(error);
    atomic_init(&queue->tail, 0);
    queue->head = 0;
    return MLF_OK;
}

void mlf_queue_free(mlf_queue *queue)
{
    sv_free(queue->slots);
    queue->slots = NULL;
}

uint64_t mlf_queue_count(mlf_queue *queue, const struct mlf_run *run, int goes)
{
    uint64_t count = 0;
    for (uint64_t at = queue->head; at < queue->head + MLF_QUEUE_SLOTS; at++) {
        mlf_queue_slot *slot = &queue->slots[at % MLF_QUEUE_SLOTS];
        if (atomic_load_explicit(&slot->turn, memory_order_acquire) != 2 * (at / MLF_QUEUE_SLOTS) + 1)
            break;
        if (slot->point.run != run)
            continue;
        count++;
        if (goes)
            slot->point.run = NULL;
    }
    return count;
}
