#include "relay.h"

#include "alloc.h"
#include "client_error.h"

#include <string.h>

static void *send_piece(void *argument)
{
    mlf_relay *relay = argument;
    relay->code = relay->send(relay->context, relay->number, &relay->piece, &relay->error);
    return NULL;
}

static int wait_for_piece(mlf_relay *relay, mlf_error *error)
{
    if (relay->is_sending)
        pthread_join(relay->thread, NULL);
    relay->is_sending = 0;
    if (relay->code && error && !error->code)
        *error = relay->error;
    return relay->code;
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

/* Sends what has been filled; the other buffer is filled next. */
static int turn(mlf_relay *relay, mlf_error *error)
{
    mlf_piece piece;
    int code = wait_for_piece(relay, error);
    if (!code)
        code = cut_piece(relay, &piece, error);
    if (code)
        return code;
    relay->filling = !relay->filling;
    relay->piece = piece;
    relay->used = 0;
    relay->number++;
    relay->error = (mlf_error)MLF_ERROR_INIT;
    relay->is_sending = !pthread_create(&relay->thread, NULL, send_piece, relay);
    if (relay->is_sending)
        return 0;
    send_piece(relay); /* no thread to be had: then here */
    return wait_for_piece(relay, error);
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
    int code = wait_for_piece(relay, error);
    return code ? code : cut_piece(relay, rest, error);
}

void mlf_relay_free(mlf_relay *relay)
{
    wait_for_piece(relay, NULL);
    mlf_digest_free(&relay->digest);
    sv_free(relay->buffers[0]);
    sv_free(relay->buffers[1]);
    relay->buffers[0] = relay->buffers[1] = NULL;
}
