/* relay.h: a stream cut into pieces of one size: one is filled while the other is on its way. Memory: two pieces, one for a short stream. */
#ifndef MLF_RELAY_H
#define MLF_RELAY_H

#include "mlflow_client.h"

#include <pthread.h>

enum { MLF_PIECE_BYTES = 8 << 20 };

/* Sends one piece; number counts from 1. Called in order, one at a time, on a thread of the relay's own. */
typedef int mlf_piece_fn(void *context, int number, const void *bytes, size_t length, mlf_error *error);

typedef struct mlf_relay {
    mlf_piece_fn *send;
    void *context;
    char *buffers[2];
    size_t used; /* of the one being filled */
    int filling, number, is_sending;
    /* The piece on its way. */
    pthread_t thread;
    size_t length;
    int code;
    mlf_error error;
} mlf_relay;

/* A full piece is sent when a byte more comes, so that the last one is known as such. */
int mlf_relay_write(mlf_relay *relay, const void *bytes, size_t length, mlf_error *error);

/* Waits for the piece on its way. What is left stays with the relay: mlf_relay_rest(). */
int mlf_relay_wait(mlf_relay *relay, mlf_error *error);
const void *mlf_relay_rest(const mlf_relay *relay, size_t *length); /* never NULL */
void mlf_relay_free(mlf_relay *relay); /* waits; not the struct */

#endif
