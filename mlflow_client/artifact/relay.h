/* relay.h: a stream cut into pieces of one size: one is filled, and its digest taken, while the other is on its way. Memory: two pieces, one for a short
   stream. */
#ifndef MLF_RELAY_H
#define MLF_RELAY_H

#include "digest.h"
#include "mlflow_client.h"

#include <pthread.h>

enum { MLF_PIECE_BYTES = 8 << 20 };

typedef struct mlf_piece {
    const void *bytes; /* never NULL */
    size_t length;
    int digests;        /* those that are here */
    uint32_t crc32c;
    const char *sha256; /* in hexadecimal */
} mlf_piece;

/* Sends one piece; number counts from 1. Called in order, one at a time, on a thread of the relay's own. */
typedef int mlf_piece_fn(void *context, int number, const mlf_piece *piece, mlf_error *error);

/* Begins as {.send, .context, .digests}; digests: 0, or MLF_DIGEST_SHA256 and MLF_DIGEST_CRC32C of each piece. */
typedef struct mlf_relay {
    mlf_piece_fn *send;
    void *context;
    int digests;
    char *buffers[2];
    size_t used; /* of the one being filled */
    int filling, number, is_sending;
    mlf_digest digest; /* of what is in the one being filled, when used > 0 */
    char sha256[2][65];
    /* The piece on its way. */
    pthread_t thread;
    mlf_piece piece;
    int code;
    mlf_error error;
} mlf_relay;

/* A full piece is sent when a byte more comes, so that the last one is known as such. */
int mlf_relay_write(mlf_relay *relay, const void *bytes, size_t length, mlf_error *error);

/* Waits for the piece on its way. What is left, maybe nothing, is not sent: *rest, the relay's own. */
int mlf_relay_finish(mlf_relay *relay, mlf_piece *rest, mlf_error *error);
void mlf_relay_free(mlf_relay *relay); /* waits; not the struct */

#endif
