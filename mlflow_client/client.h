/* client.h: what a client is made of. Seen by this room alone. */
#ifndef MLF_CLIENT_H
#define MLF_CLIENT_H

#include "mlflow_client.h"
#include "settings.h"
#include "transport.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

/* What a part of the room keeps for each client (the journal's hub, a store's tokens). */
typedef enum mlf_slot { MLF_SLOT_JOURNAL, MLF_SLOT_ARTIFACT, MLF_SLOT_CAPABILITIES, MLF_SLOTS } mlf_slot;

typedef struct mlf_attachment {
    void *what;
    void (*free)(void *what);                                          /* called by mlf_client_free(), journal first */
    int (*flush)(void *what, int timeout_ms, mlf_error *error); /* called by mlf_flush(); NULL: nothing to flush */
} mlf_attachment;

struct mlf_client {
    mlf_settings settings;
    mlf_transport *transport;
    pid_t pid;          /* of the process that made it */
    atomic_int stopped; /* mlf_client_stop() was called */
    pthread_mutex_t mutex; /* guards slots */
    mlf_attachment slots[MLF_SLOTS];
};

/* The slot's content, made by make() when it is empty; two threads get the same one. make() fills *attachment and may block. NULL when make failed (its
   error is in *error). */
void *mlf_client_slot(mlf_client *client, mlf_slot slot, int (*make)(mlf_attachment *attachment, mlf_client *client, mlf_error *error), mlf_error *error);

/* MLF_E_STATE in a child of the process that made the client, or with MLFLOW_OFFLINE, or when no server was named. */
int mlf_client_may_tidy(const mlf_client *client, mlf_error *error);
int mlf_client_may_send(const mlf_client *client, mlf_error *error); /* also MLF_E_TIMEOUT once mlf_client_stop() was called */

/* One JSON call: arguments (borrowed, may be NULL) become the query of a GET, else the body. *reply (may be NULL when nobody looks): new reference to
   the object that came back, {} for an empty body. flags as transport.h. path as "/api/2.0/mlflow/runs/get". */
int mlf_json_call(json_t **reply, mlf_client *client, const char *method, const char *path, const json_t *arguments, mlf_http_flags flags, mlf_error *error);

#endif
