/* calls.h: calls.jrn: what calls of the program are bringing to the server themselves (an artifact, a model, a version), written down before the first byte goes, so
   that a sync can finish what a kill has cut off. Frames as in data.jrn (record.h): each an operation, or MLF_OP_OVER for one that is done. The file is cut back to
   its head whenever none is under way. Any thread. */
#ifndef MLF_CALLS_H
#define MLF_CALLS_H

#include "mlflow_client.h"

#include <jansson.h>
#include <pthread.h>
#include <stdint.h>

typedef struct mlf_calls {
    pthread_mutex_t lock;
    int fd; /* -1: none was begun yet */
    uint64_t end;
    unsigned under_way;
    int unsynced; /* 1: something was written that a power cut would lose */
    int is_new;   /* 1: so is the file's name */
} mlf_calls;

void mlf_calls_init(mlf_calls *calls);
void mlf_calls_close(mlf_calls *calls); /* what is in it stays */

/* Begins one. payload (borrowed) carries "key"; folder: the journal's path. What the disk does not take is warned of once a process, and is no error. MLF_E_MEMORY. */
int mlf_calls_begin(mlf_calls *calls, const char *folder, int kind, const json_t *payload, mlf_error *error);

/* Says more of one that was begun: its latest record holds. */
int mlf_calls_again(mlf_calls *calls, int kind, const json_t *payload, mlf_error *error);

/* It is over: done, or refused and the caller told, or handed to the journal. */
void mlf_calls_end(mlf_calls *calls, const char *key);

/* Makes what was written survive a power cut: 1 when the folder still is to be synced for the file's name. */
int mlf_calls_commit(mlf_calls *calls);

/* What was begun in the journal of that path and is not over, in order: *list (json_decref) of {"op": kind, "payload": {…}}, empty when there is none. A torn end is passed
   over. MLF_E_IO, MLF_E_MEMORY. */
int mlf_calls_read(json_t **list, const char *folder, mlf_error *error);

/* Forgets all of it. */
void mlf_calls_clear(const char *folder);

#endif
