/* hub.h: what works in the background for one client: a writer, which takes points from the callers' queues to the journals, and up to four senders,
   which take the journals to the server. Callers wait for neither. */
#ifndef MLF_HUB_H
#define MLF_HUB_H

#include "folder.h"
#include "keys.h"
#include "queue.h"
#include "record.h"
#include "sender.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

enum {
    MLF_HUB_QUEUES = 8,           /* threads share them in turn */
    MLF_HUB_SENDERS = 4,
    MLF_HUB_TICK_MS = 10,         /* how often the writer looks at the queues … */
    MLF_HUB_IDLE_MS = 50,         /* … and when nothing was logged for a second */
    MLF_HUB_COMMIT_MS = 200,      /* what was logged survives a power cut after this long at most */
    MLF_HUB_LINGER_MS = 200,      /* how long a few points wait for company before they are sent */
    MLF_HUB_FULL_BYTES = 12000,   /* of a journal: about one full batch */
    MLF_HUB_SETTLE_MS = 2000,     /* how long a call waits for the disk to have what it was kept for */
    MLF_HUB_PENDING = 8 << 20,    /* bytes a run may have in memory on the way to its journal */
    MLF_HUB_PATIENCE_MS = 20000,  /* a waiting caller gives up when the server took nothing for so long … */
    MLF_HUB_STRANGER_MS = 2000    /* … or so long, when it never knew the run */
};

/* What a run knows of one key. */
typedef struct mlf_hub_key {
    mlf_writer_key writer; /* serial 0: never logged */
    mlf_metric_point last; /* logged */
} mlf_hub_key;

/* So much of what was logged, from its beginning. */
typedef struct mlf_tally {
    uint64_t points, ops;
} mlf_tally;

/* One run of this client. All but what is said otherwise is guarded by the hub's lock. */
struct mlf_run {
    struct mlf_run *next;
    struct mlf_hub *hub;
    mlf_folder folder;
    mlf_sender sender;         /* guards itself */
    sv_buffer pending;         /* frames for the journal, the last one perhaps open */
    sv_buffer writing;         /* the writer's own: on its way to the disk */
    mlf_writer writer;
    int frame_open;
    mlf_tally logged, moving, kept; /* taken from the callers; up to the end of writing; on the disk */
    atomic_ullong turned_away; /* points that found no room: their callers were told */
    mlf_hub_key *keys;         /* (n_keys) by mlf_key.index */
    uint32_t n_keys;
    atomic_int choked;         /* 1: neither disk nor memory takes more */
    atomic_int full;           /* 1: nor does what it may have on the way to them: no call puts a point into a queue */
    atomic_int warned_of_key;  /* 1: the log has said that a key was refused */
    atomic_int ended;          /* 1: no call may log any more */
    int detached;              /* 1: the caller's handle is gone */
    int users;                 /* senders and calls that work on it just now */
    int64_t sent_ns, committed_ns;
    char continued[MLF_RUN_ID_SIZE]; /* the id it was asked to go on with; else empty */
    unsigned fork_generation;  /* of the process that made it */
    struct mlf_sampler *sampler; /* system metrics, or NULL; the caller's */
};

typedef struct mlf_hub {
    mlf_client *client;
    mlf_keys keys;
    _Atomic(mlf_queue *) queues[MLF_HUB_QUEUES];
    pthread_mutex_t lock;
    pthread_cond_t wake, work, moved; /* for the writer; for senders; for callers that wait */
    struct mlf_run *runs;
    int n_waiting;             /* callers that want everything sent now */
    int leaving;               /* 1: the client is being freed: what the journal holds need not wait for a server that does not take it */
    int stopping, sending;     /* sending: 0 when offline or no server is named */
    atomic_int cancel;
    int64_t logged_ns;         /* when something was last found in a queue */
    pthread_t writer, senders[MLF_HUB_SENDERS];
    int has_writer, n_senders;
} mlf_hub;

/* The client's hub, made at its first run. */
mlf_hub *mlf_hub_of(mlf_client *client, mlf_error *error);

/* Takes over a run whose folder and sender are ready. */
void mlf_hub_adopt(mlf_hub *hub, struct mlf_run *run);

/* Puts a point on its way. Waits only while the queue and the memory behind it are full. MLF_E_IO: nothing takes it. */
int mlf_hub_log(mlf_hub *hub, const mlf_point *point);

/* The last point that was put on its way under the key: 1, *point; 0: none was. */
int mlf_hub_last(struct mlf_run *run, const char *key, mlf_metric_point *point);

/* Puts an operation on its way, after all points that were logged before. */
int mlf_hub_op(struct mlf_run *run, int kind, const json_t *payload, mlf_error *error);

/* by 1: the run stays until by -1, also when its handle goes meanwhile. */
void mlf_hub_hold(struct mlf_run *run, int by);

/* Waits until the disk has the operations put on their way before: 1; 0: it does not take them within MLF_HUB_SETTLE_MS. */
int mlf_hub_settle(struct mlf_run *run);

/* Waits until the server (offline: the disk) has everything of one run, or of all when run is NULL. timeout_ms as mlf_flush(). */
int mlf_hub_flush(mlf_hub *hub, struct mlf_run *run, int timeout_ms, mlf_error *error);

/* What neither the disk nor the server has, nor will: 1 when there is such. goes: the run's points in queues belong to nobody from then on. The hub's lock is held. */
int mlf_hub_lost(mlf_hub *hub, struct mlf_run *run, int goes, mlf_tally *lost);

/* The caller's handle is done with: the hub ends and frees the run when the server has all of it, or when it stops. */
void mlf_hub_detach(struct mlf_run *run);

#endif
