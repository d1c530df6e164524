#include "relay.h"

#include "alloc.h"
#include "client_error.h"
#include "thread.h"

#include <string.h>

static void *send_loop(void *argument)
{
    mlf_relay *relay = argument;
    pthread_mutex_lock(&relay->lock);
    for (int sending = 0; !relay->code; sending = !sending) {
        while (!relay->waiting && !relay->closing)
            pthread_cond_wait(&relay->filled, &relay->lock);
        if (relay->closing)
            break;
        int number = ++relay->number;
        pthread_mutex_unlock(&relay->lock);
        int code = relay->send(relay->context, number, &relay->pieces[sending], &relay->error);
        pthread_mutex_lock(&relay->lock);
        relay->code = code;
        relay->waiting--;
        pthread_cond_signal(&relay->sent);
    }
    pthread_mutex_unlock(&relay->lock);
    return NULL;
}

static int start(mlf_relay *relay)
{
    if (relay->has_thread)
        return 1;
    pthread_mutex_init(&relay->lock, NULL);
    pthread_cond_init(&relay->filled, NULL);
    pthread_cond_init(&relay->sent, NULL);
    relay->has_thread = !mlf_thread_start(&relay->thread, send_loop, relay);
    return relay->has_thread;
}

static int copy_error(const mlf_relay *relay, int code, mlf_error *error)
{
    if (code && error && !error->code)
        *error = relay->error;
    return code;
}

/* Until at most so many pieces are to be sent yet. */
static int wait_until(mlf_relay *relay, int waiting, mlf_error *error)
{
    if (!relay->has_thread)
        return copy_error(relay, relay->code, error);
    pthread_mutex_lock(&relay->lock);
    while (relay->waiting > waiting && !relay->code)
        pthread_cond_wait(&relay->sent, &relay->lock);
    int code = copy_error(relay, relay->code, error);
    pthread_mutex_unlock(&relay->lock);
    return code;
}

/* What has been filled, as a piece. */
static int cut_piece(mlf_relay *relay, mlf_piece *piece, mlf_error *error)
{
    unsigned char bytes[32];
    char *sha256 = relay->sha256[relay->filling];
    int code = relay->used ? 0 : mlf_digest_begin(&relay->digest, relay->digests, error);
    *piece = (mlf_piece){relay->used ? relay->buffers[relay->filling] : "", relay->used, relay->digests, relay->digest.crc32c, sha256};
    if (!code && relay->digests & MLF_DIGEST_SHA256) {
        mlf_digest_sha256(&relay->digest, bytes);
        mlf_hex(sha256, bytes, sizeof bytes);
    }
    mlf_digest_free(&relay->digest);
    return code;
}

/* What has been filled is the thread's to send; the other buffer is filled next, once it is free. */
static int turn(mlf_relay *relay, mlf_error *error)
{
    int filled = relay->filling, code = cut_piece(relay, &relay->pieces[filled], error);
    relay->used = 0;
    if (code)
        return code;
    if (!start(relay)) { /* no thread to be had: then here */
        relay->code = relay->send(relay->context, ++relay->number, &relay->pieces[filled], &relay->error);
        return copy_error(relay, relay->code, error);
    }
    relay->filling = !filled;
    pthread_mutex_lock(&relay->lock);
    relay->waiting++;
    pthread_cond_signal(&relay->filled);
    pthread_mutex_unlock(&relay->lock);
    return wait_until(relay, 1, error);
}

/* Room in the buffer being filled. */
static int make_room(mlf_relay *relay, mlf_error *error)
{
    int code = relay->used == MLF_PIECE_BYTES ? turn(relay, error) : 0;
    char **buffer = &relay->buffers[relay->filling];
    if (!code && !*buffer && !(*buffer = sv_malloc(MLF_PIECE_BYTES)))
        code = mlf_error_memory(error);
    if (!code && !relay->used)
        code = mlf_digest_begin(&relay->digest, relay->digests, error);
    return code;
}

int mlf_relay_write(mlf_relay *relay, const void *bytes, size_t length, mlf_error *error)
{
    for (const char *from = bytes; length;) {
        int code = make_room(relay, error);
        if (code)
            return code;
        size_t room = MLF_PIECE_BYTES - relay->used, n = length < room ? length : room;
        memcpy(relay->buffers[relay->filling] + relay->used, from, n);
        mlf_digest_add(&relay->digest, from, n);
        relay->used += n;
        from += n;
        length -= n;
    }
    return 0;
}

int mlf_relay_finish(mlf_relay *relay, mlf_piece *rest, mlf_error *error)
{
    *rest = (mlf_piece){.bytes = ""};
    int code = wait_until(relay, 0, error);
    return code ? code : cut_piece(relay, rest, error);
}

void mlf_relay_free(mlf_relay *relay)
{
    if (relay->has_thread) {
        pthread_mutex_lock(&relay->lock);
        relay->closing = 1;
        pthread_cond_signal(&relay->filled);
        pthread_mutex_unlock(&relay->lock);
        pthread_join(relay->thread, NULL);
        pthread_mutex_destroy(&relay->lock);
        pthread_cond_destroy(&relay->filled);
        pthread_cond_destroy(&relay->sent);
        relay->has_thread = 0;
    }
    mlf_digest_free(&relay->digest);
    sv_free(relay->buffers[0]);
    sv_free(relay->buffers[1]);
    relay->buffers[0] = relay->buffers[1] = NULL;
}
