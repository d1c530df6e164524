/* sender.h: takes a journal to the server: batches in order, points of several batches at once, each operation alone; a batch that failed is tried again
   after a pause, for as long as it takes; what the server refuses for good is put aside with its reason. Any number of threads may work for one sender. */
#ifndef MLF_SENDER_H
#define MLF_SENDER_H

#include "batch.h"
#include "folder.h"
#include "mlflow_client.h"
#include "replay.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

enum { MLF_SENDER_FLIGHT = 8 }; /* batches sent at once, at most */

typedef struct mlf_sender {
    mlf_client *client;
    mlf_folder *folder;
    pthread_mutex_t lock; /* over what follows; of those that work for it: held while the journal is read and position written, not during network I/O */
    mlf_replay replay;
    int fresh;            /* 1: nothing of this journal was tried before this process */

    /* Reading: the frame that is being cut into batches. */
    uint64_t next;        /* offset of the frame after it */
    uint64_t frame_at;
    sv_buffer frame;
    uint64_t in_frame;    /* records of it that are in batches */
    uint64_t skip;        /* records of the next frame that an earlier process had taken */
    mlf_reader reader;
    mlf_record record;
    int has_record;       /* record is read, not yet in a batch */

    mlf_batch *first, *last; /* in stream order, up to those that are done */
    mlf_batch *spare;
    int n_flight;

    pthread_mutex_t facts; /* over the next two lines; for a moment, so that whoever logs or waits may look */
    mlf_error failure;    /* the last one; code 0: the last try went well */
    uint64_t points, ops, refused; /* taken, put aside */

    /* For whoever looks without the lock. */
    atomic_int known;     /* 1: replay.run_id and experiment_id are the server's and stay */
    atomic_int halted;    /* 1: the server will not have this run (deleted, no permission) or the journal is damaged: failure says */
    atomic_int failures;  /* in a row */
    _Atomic int64_t failing_ns, failed_ns; /* the first and the last of them (monotonic) */
    _Atomic int64_t retry_ns;              /* no try before */
    _Atomic int64_t progress_ns;           /* when something was last taken */
    _Atomic uint64_t cut, done;            /* offsets: up to where batches were made; up to where all is taken */
} mlf_sender;

/* Goes on from the folder's position and ids. Both are borrowed for the sender's life. cancel: as replay.h. */
int mlf_sender_init(mlf_sender *sender, mlf_client *client, mlf_folder *folder, int fresh, const atomic_int *cancel, mlf_error *error);
void mlf_sender_free(mlf_sender *sender);

typedef enum mlf_work {
    MLF_WORK_NONE,  /* nothing to send, or others are at it */
    MLF_WORK_DONE,  /* something was taken */
    MLF_WORK_PAUSE, /* it failed: not before retry_ns */
    MLF_WORK_HALT   /* it will not go on */
} mlf_work;

/* Sends one batch or operation, if there is one: blocks. */
mlf_work mlf_sender_work(mlf_sender *sender);

/* 1: the server has everything that is in the stream. No lock of the sender's is taken. */
int mlf_sender_is_done(mlf_sender *sender);

/* Bytes of the stream that no batch has taken up yet. */
uint64_t mlf_sender_backlog(mlf_sender *sender);

/* How many points and operations of the stream's beginning the server has taken (or refused for good). */
void mlf_sender_taken(mlf_sender *sender, uint64_t *points, uint64_t *ops);

/* How many of them were put aside. */
uint64_t mlf_sender_refused(mlf_sender *sender);

/* Copies what stopped or delays it; code 0 when nothing does. */
void mlf_sender_failure(mlf_sender *sender, mlf_error *error);

#endif
