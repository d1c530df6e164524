/* batch.h: records of a journal as the body of one runs/log-batch, within its limits, or one operation that goes alone. Not for threads. */
#ifndef MLF_BATCH_H
#define MLF_BATCH_H

#include "buffer.h"
#include "record.h"
#include "validate.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* Where an item stands in its list, so that a refused batch can be taken apart. */
typedef struct mlf_batch_item {
    uint32_t at, length;
} mlf_batch_item;

typedef struct mlf_batch_list {
    sv_buffer json; /* items with commas between */
    mlf_batch_item items[MLF_MAX_BATCH_ITEMS];
    uint32_t count;
} mlf_batch_list;

typedef enum mlf_list { MLF_LIST_METRICS, MLF_LIST_PARAMS, MLF_LIST_TAGS, MLF_LISTS } mlf_list;

typedef struct mlf_batch {
    struct mlf_batch *next;
    enum { MLF_BATCH_WAITS, MLF_BATCH_FLIES, MLF_BATCH_DONE } state;
    mlf_batch_list lists[MLF_LISTS];
    char *keys[MLF_LISTS][MLF_MAX_BATCH_PARAMS]; /* of params and tags: no key twice in a batch */
    int op;         /* not 0: this operation alone */
    json_t *payload;
    uint64_t begin, end; /* offsets in the stream; end: how far it is done when this and all before it are, */
    uint64_t end_skip;   /* and how many records of the frame there */
} mlf_batch;

mlf_batch *mlf_batch_new(void); /* NULL when memory is out */
void mlf_batch_clear(mlf_batch *batch); /* empty, memory kept */
void mlf_batch_free(mlf_batch *batch);

/* 1: taken; 0: full, or it has to begin another batch; negative sv_code: SV_E_MEMORY, SV_E_INPUT for a payload that is no object. */
int mlf_batch_add(mlf_batch *batch, const mlf_record *record);

int mlf_batch_is_empty(const mlf_batch *batch);
int mlf_batch_is_metrics(const mlf_batch *batch); /* 1: points alone, whose order among batches is no matter */
uint32_t mlf_batch_count(const mlf_batch *batch);

/* The body with the items from[list] … to[list] of each list. */
int mlf_batch_body(sv_buffer *body, const mlf_batch *batch, const char *run_id, const uint32_t from[MLF_LISTS], const uint32_t to[MLF_LISTS]);

#endif
