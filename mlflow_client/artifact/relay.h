/* relay.h: a stream cut into pieces of one size: one is filled, and its digest taken, while the other is on its way; a full one goes as soon as the one
   before is there, without the writer. Memory: two pieces, one for a short stream. */
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
    /* The writer's own. */
    char *buffers[2];
    size_t used; /* of the one being filled */
    int filling;
    mlf_digest digest; /* of what is in the one being filled, when used > 0 */
    char sha256[2][65];
    /* The thread that sends, begun with the first full piece; the lock, made with it, guards what follows. */
    int has_thread;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t filled, sent;
    mlf_piece pieces[2]; /* of each buffer */
    int waiting;         /* full pieces that are not sent yet; at 2 the writer waits */
    int number, closing;
    int code;
    mlf_error error;
} mlf_relay;

/* A full piece is sent when a byte more comes, so that the last one is known as such. */
int mlf_relay_write(mlf_relay *relay, const void *bytes, size_t length, mlf_error *error);

/* Waits until the full pieces are sent. What is left, maybe nothing, is not: *rest, the relay's own. */
int mlf_relay_finish(mlf_relay *relay, mlf_piece *rest, mlf_error *error);
void mlf_relay_free(mlf_relay *relay); /* waits for the piece on its way; a further one is not sent. Not the struct */

#endif
