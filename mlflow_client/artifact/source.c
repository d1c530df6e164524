/* source.c: reading a URI as a stream. A thread fetches into a ring of fixed size; the caller takes from it. Memory: the ring. */
#include "alloc.h"
#include "client_error.h"
#include "store.h"

#include <pthread.h>
#include <string.h>

#define RING_BYTES (2u << 20)

struct mlf_source {
    mlf_store *store;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t filled, emptied;
    size_t head, used; /* of the ring: where the next byte is taken, how many wait */
    int64_t found_bytes; /* the fetching thread's own; size_bytes is what it told */
    int64_t size_bytes;
    int ended, closing;
    int code; /* of the fetch, once ended */
    mlf_error error;
    char ring[RING_BYTES];
};

/* Puts length bytes in, waiting for room. Copies outside the lock: only this thread writes the free part. */
static int put(void *context, const void *bytes, size_t length, mlf_error *error)
{
    mlf_source *source = context;
    const char *from = bytes;
    while (length) {
        pthread_mutex_lock(&source->lock);
        while (source->used == RING_BYTES && !source->closing)
            pthread_cond_wait(&source->emptied, &source->lock);
        size_t tail = (source->head + source->used) % RING_BYTES, room = RING_BYTES - source->used;
        int closing = source->closing;
        source->size_bytes = source->found_bytes;
        pthread_mutex_unlock(&source->lock);
        if (closing)
            return mlf_error_set(error, MLF_E_STATE, "the source was closed");
        size_t n = room < RING_BYTES - tail ? room : RING_BYTES - tail;
        n = n < length ? n : length;
        memcpy(source->ring + tail, from, n);
        pthread_mutex_lock(&source->lock);
        source->used += n;
        pthread_cond_signal(&source->filled);
        pthread_mutex_unlock(&source->lock);
        from += n;
        length -= n;
    }
    return 0;
}

static void *fetch(void *argument)
{
    mlf_source *source = argument;
    mlf_error error = MLF_ERROR_INIT;
    int code = mlf_store_fetch(source->store, "", &source->found_bytes, put, source, &error);
    pthread_mutex_lock(&source->lock);
    source->ended = 1;
    source->code = code;
    source->error = error;
    pthread_cond_signal(&source->filled);
    pthread_mutex_unlock(&source->lock);
    return NULL;
}

int mlf_source_open(mlf_source **out, mlf_client *client, const char *uri, mlf_error *error)
{
    mlf_model_info *info = NULL;
    *out = NULL;
    mlf_source *source = sv_malloc(sizeof *source); /* not zeroed: the ring's pages come as they are used */
    if (!source)
        return mlf_error_memory(error);
    memset(source, 0, offsetof(mlf_source, ring));
    source->size_bytes = source->found_bytes = -1;
    pthread_mutex_init(&source->lock, NULL);
    pthread_cond_init(&source->filled, NULL);
    pthread_cond_init(&source->emptied, NULL);
    int code = mlf_model_resolve(&info, client, uri, error);
    if (!code)
        code = mlf_store_open(&source->store, client, info->artifact_uri, error);
    if (!code && pthread_create(&source->thread, NULL, fetch, source))
        code = mlf_error_set(error, MLF_E_MEMORY, "%.300s: no thread can be started", uri);
    mlf_model_info_free(info);
    if (code) {
        mlf_store_close(source->store);
        sv_free(source);
    } else
        *out = source;
    return code;
}

int mlf_source_read(mlf_source *source, void *bytes, size_t size, size_t *got, mlf_error *error)
{
    *got = 0;
    pthread_mutex_lock(&source->lock);
    while (!source->used && !source->ended)
        pthread_cond_wait(&source->filled, &source->lock);
    size_t head = source->head, n = source->used < RING_BYTES - head ? source->used : RING_BYTES - head;
    int code = source->used ? 0 : source->code;
    if (code && error && !error->code)
        *error = source->error;
    pthread_mutex_unlock(&source->lock);
    n = n < size ? n : size;
    if (code || !n)
        return code;
    memcpy(bytes, source->ring + head, n);
    pthread_mutex_lock(&source->lock);
    source->head = (head + n) % RING_BYTES;
    source->used -= n;
    pthread_cond_signal(&source->emptied);
    pthread_mutex_unlock(&source->lock);
    *got = n;
    return 0;
}

int64_t mlf_source_size(const mlf_source *source)
{
    mlf_source *locked = (mlf_source *)(uintptr_t)source;
    pthread_mutex_lock(&locked->lock);
    int64_t size_bytes = source->size_bytes;
    pthread_mutex_unlock(&locked->lock);
    return size_bytes;
}

void mlf_source_close(mlf_source *source)
{
    if (!source)
        return;
    pthread_mutex_lock(&source->lock);
    source->closing = 1;
    pthread_cond_signal(&source->emptied);
    pthread_mutex_unlock(&source->lock);
    pthread_join(source->thread, NULL);
    mlf_store_close(source->store);
    pthread_mutex_destroy(&source->lock);
    pthread_cond_destroy(&source->filled);
    pthread_cond_destroy(&source->emptied);
    sv_free(source);
}
