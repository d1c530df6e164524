/* replay.h: what each operation of a journal does on the server. Every function here may be called any number of times for the same operation, also after an
   earlier call that may or may not have reached the server: it looks before it makes. Blocks; called by one thread at a time for one journal. */
#ifndef MLF_REPLAY_H
#define MLF_REPLAY_H

#include "endpoints.h"
#include "folder.h"
#include "mlflow_client.h"
#include "record.h"

#include <jansson.h>
#include <stdatomic.h>

#define MLF_TAG_KEY "mlflow.client.key" /* the tag by which a run made by this client is found again */

enum { MLF_RUN_ID_SIZE = 257, MLF_EXPERIMENT_ID_SIZE = 65 };

/* Where a replay stands. */
typedef struct mlf_replay {
    mlf_client *client;
    mlf_folder *folder;                          /* its ids: mlf_folder_id(), mlf_folder_set_id() */
    char run_id[MLF_RUN_ID_SIZE];                /* of the server; empty before create or continue was replayed */
    char experiment_id[MLF_EXPERIMENT_ID_SIZE];
    int maybe_done;                              /* 1: this very operation may have been brought to the server already, by this process or one before it */
    int timeout_ms;                              /* of each attempt; 0: the client's own */
    const atomic_int *cancel;                    /* non-zero: give up soon */
} mlf_replay;

/* Does one operation. payload is borrowed. A retriable error (mlf_error_is_retriable) is tried again later; any other puts the operation aside. */
int mlf_replay_op(mlf_replay *replay, int kind, const json_t *payload, mlf_error *error);

/* Once all is sent: removes what a create that was given up may have made after all. Nothing to do for most runs. */
int mlf_replay_settle(mlf_replay *replay, mlf_error *error);

/* What a program that was killed was sending of a run goes before what is logged to it now: its journals in the client's folder are sent. A failure is warned of. */
void mlf_sync_cut_off(mlf_client *client, const char *run_id);

/* The id under which the server knows the run that was begun in the journal of that key, looked for in the 50,000 newest experiments: 1 found, 0 there is
   none, negative mlf_code. */
int mlf_replay_find(char run_id[MLF_RUN_ID_SIZE], mlf_client *client, const char *key, mlf_error *error);

/* One attempt of an endpoint whose path has no parameters: *reply as mlf_json_call(). */
int mlf_replay_call(json_t **reply, const mlf_replay *replay, const mlf_endpoint *endpoint, const json_t *arguments, mlf_error *error);

/* The operation was put aside for good: its copy is kept, and what builds on it will not wait for it. */
void mlf_replay_refused(mlf_replay *replay, int kind, const json_t *payload);

/* Owner: artifact/. Payloads as that room writes them. */
int mlf_replay_artifact(mlf_replay *replay, const json_t *payload, mlf_error *error);
int mlf_replay_model(mlf_replay *replay, const json_t *payload, mlf_error *error);
int mlf_replay_register(mlf_replay *replay, const json_t *payload, mlf_error *error);
int mlf_replay_alias(mlf_replay *replay, const json_t *payload, mlf_error *error);

#endif
