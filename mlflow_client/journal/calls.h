/* calls.h: calls.jrn: what calls of the program are bringing to the server themselves (an artifact, a model, a version), written down before the first byte goes, so
   that a sync can finish what a kill has cut off. Frames as in data.jrn (record.h), each an operation; one that is over becomes MLF_OP_OVER where it stands, which needs
   no room, and the file ends behind the last that is under way. Any thread. */
#ifndef MLF_CALLS_H
#define MLF_CALLS_H

#include "mlflow_client.h"
#include "record.h"

#include <jansson.h>
#include <pthread.h>
#include <stdint.h>

enum { MLF_CALLS_KEY = 32 };

typedef struct mlf_under_way {
    char key[MLF_CALLS_KEY + 1];
    sv_buffer frame;
    uint64_t at; /* in the file; 0: the disk did not take it */
} mlf_under_way;

typedef struct mlf_calls {
    pthread_mutex_t lock;
    int fd; /* -1: none was begun yet */
    uint64_t end;
    mlf_under_way *under_way; /* (n_under_way) by their places */
    size_t n_under_way, capacity;
    int unsynced; /* 1: something was written that a power cut would lose */
    int is_new;   /* 1: so is the file's name */
} mlf_calls;

void mlf_calls_init(mlf_calls *calls);
void mlf_calls_close(mlf_calls *calls); /* what is in it stays */

/* Begins one, or says more of one that was begun. payload (borrowed) carries "key", MLF_CALLS_KEY characters; folder: the journal's path. What the disk does not take is
   warned of once a process, and is no error. MLF_E_MEMORY. */
int mlf_calls_begin(mlf_calls *calls, const char *folder, int kind, const json_t *payload, mlf_error *error);

/* It is over: done, or refused and the caller told, or handed to the journal. */
void mlf_calls_end(mlf_calls *calls, const char *folder, const char *key);

/* Makes what was written survive a power cut: 1 when the folder still is to be synced for the file's name. Waits for no call that the disk holds up. */
int mlf_calls_commit(mlf_calls *calls);

/* What was begun in the journal of that path and is not over, in order: *list (json_decref) of {"op": kind, "payload": {…}}, empty when there is none. A torn end was never
   begun; *loss (may be NULL): what before it cannot be read. MLF_E_STATE: a newer version wrote it; MLF_E_INTEGRITY: it is none of ours; MLF_E_IO, MLF_E_MEMORY. */
int mlf_calls_read(json_t **list, mlf_loss *loss, const char *folder, mlf_error *error);
int mlf_calls_parse(json_t **list, mlf_loss *loss, const char *bytes, size_t size, mlf_error *error); /* the same of the file's bytes */

/* Forgets all of it. */
void mlf_calls_clear(const char *folder);

#endif
