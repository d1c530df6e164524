#include "relay.h"

#include "alloc.h"
#include "client_error.h"

#include <string.h>

static void *send_piece(void *argument)
{
    mlf_relay *relay = argument;
    relay->code = relay->send(relay->context, relay->number, relay->buffers[!relay->filling], relay->length, &relay->error);
    return NULL;
}

int mlf_relay_wait(mlf_relay *relay, mlf_error *error)
{
    if (relay->is_sending)
        pthread_join(relay->thread, NULL);
    relay->is_sending = 0;
    if (relay->code && error && !error->code)
        *error = relay->error;
    return relay->code;
}

/* Sends what has been filled; the other buffer is filled next. */
static int turn(mlf_relay *relay, mlf_error *error)
{
    int code = mlf_relay_wait(relay, error);
    if (code)
        return code;
    relay->filling = !relay->filling;
    relay->length = relay->used;
    relay->used = 0;
    relay->number++;
    relay->error = (mlf_error)MLF_ERROR_INIT;
    relay->is_sending = !pthread_create(&relay->thread, NULL, send_piece, relay);
    if (relay->is_sending)
        return 0;
    send_piece(relay); /* no thread to be had: then here */
    return mlf_relay_wait(relay, error);
}

int mlf_relay_write(mlf_relay *relay, const void *bytes, size_t length, mlf_error *error)
{
    for (const char *from = bytes; length;) {
        int code = relay->used == MLF_PIECE_BYTES ? turn(relay, error) : 0;
        char **buffer = &relay->buffers[relay->filling];
        if (!code && !*buffer && !(*buffer = sv_malloc(MLF_PIECE_BYTES)))
            code = mlf_error_memory(error);
        if (code)
            return code;
        size_t room = MLF_PIECE_BYTES - relay->used, n = length < room ? length : room;
        memcpy(*buffer + relay->used, from, n);
        relay->used += n;
        from += n;
        length -= n;
    }
    return 0;
}

const void *mlf_relay_rest(const mlf_relay *relay, size_t *length)
{
    *length = relay->used;
    return relay->used ? relay->buffers[relay->filling] : "";
}

void mlf_relay_free(mlf_relay *relay)
{
    mlf_relay_wait(relay, NULL);
    sv_free(relay->buffers[0]);
    sv_free(relay->buffers[1]);
    relay->buffers[0] = relay->buffers[1] = NULL;
}
