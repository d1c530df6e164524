/* source.c: reading a URI as a stream. A thread fetches; what came is copied once, to where the reader wants it. While nobody reads, the thread waits with
   what it has in hand, and the kernel's buffer of the connection fills. Memory: none of its own. */
#include "alloc.h"
#include "client_error.h"
#include "store.h"
#include "thread.h"

#include <pthread.h>
#include <string.h>

struct mlf_source {
    mlf_store *store;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t filled, emptied;
    char *into;  /* where the waiting reader wants the next byte */
    size_t room; /* how many it still wants; 0: nobody waits */
    const char *spare; /* what came and was not wanted yet: the fetching thread's, which waits until it is gone */
    size_t spare_bytes;
    int64_t found_bytes; /* the fetching thread's own; size_bytes is what it told */
    int64_t size_bytes;
    int ended, closing;
    int code; /* of the fetch, once ended */
    mlf_error error;
};

/* Copies as much as there is and is wanted. */
static size_t hand_over(char *into, size_t room, const char **from, size_t *length)
{
    size_t n = room < *length ? room : *length;
    if (n)
        memcpy(into, *from, n);
    *from += n;
    *length -= n;
    return n;
}

/* Whoever is woken finds the lock free. */
static void wake(mlf_source *source, pthread_cond_t *other)
{
    pthread_mutex_unlock(&source->lock);
    pthread_cond_signal(other);
    pthread_mutex_lock(&source->lock);
}

/* Hands length bytes to the reader, waiting until the last is taken. */
static int put(void *context, const void *bytes, size_t length, mlf_error *error)
{
    mlf_source *source = context;
    pthread_mutex_lock(&source->lock);
    source->size_bytes = source->found_bytes;
    source->spare = bytes;
    source->spare_bytes = length;
    if (source->room) {
        size_t n = hand_over(source->into, source->room, &source->spare, &source->spare_bytes);
        source->into += n;
        source->room -= n;
        if (!source->room)
            wake(source, &source->filled);
    }
    while (source->spare_bytes && !source->closing)
        pthread_cond_wait(&source->emptied, &source->lock);
    int closing = source->closing;
    source->spare_bytes = 0;
    pthread_mutex_unlock(&source->lock);
    return closing ? mlf_error_set(error, MLF_E_STATE, "the source was closed") : 0;
}

static void *fetch(void *argument)
{
    mlf_source *source = argument;
    mlf_error error = MLF_ERROR_INIT;
    int code = mlf_store_fetch(source->store, "", &source->found_bytes, NULL, put, source, &error);
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
    mlf_source *source = sv_calloc(1, sizeof *source);
    if (!source)
        return mlf_error_memory(error);
    source->size_bytes = source->found_bytes = -1;
    source->spare = "";
    pthread_mutex_init(&source->lock, NULL);
    pthread_cond_init(&source->filled, NULL);
    pthread_cond_init(&source->emptied, NULL);
    int code = mlf_model_resolve(&info, client, uri, error);
    if (!code)
        code = mlf_store_open(&source->store, client, info->artifact_uri, error);
    if (!code && mlf_thread_start(&source->thread, fetch, source))
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
    pthread_mutex_lock(&source->lock);
    size_t n = hand_over(bytes, size, &source->spare, &source->spare_bytes);
    source->into = (char *)bytes + n;
    source->room = size - n;
    if (n && !source->spare_bytes)
        wake(source, &source->emptied);
    while (source->room && !source->ended)
        pthread_cond_wait(&source->filled, &source->lock);
    *got = size - source->room;
    source->room = 0;
    int code = *got || !size ? 0 : source->code;
    if (code && error && !error->code)
        *error = source->error;
    pthread_mutex_unlock(&source->lock);
    return code;
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
