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
