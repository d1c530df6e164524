/* folder.h: one journal on disk, `<journal dir>/<key>/`:

       data.jrn      what was logged (stream.h, record.h)
       position      how much of it the server has (position.h)
       ids.json      the server, and what it called the things made: {"tracking_uri": "http://…", "<client key>": "<server id>", …}
       refused/      the copies of refused artifacts and models, under the same paths as before
       refused.jsonl what the server refused for good, one JSON object a line, with its reason
       files/        copies of artifacts that wait, and what calls are sending
       calls.jrn     what calls are bringing to the server themselves (calls.h)
       lock          held by whoever writes or sends; says which host and process

   The key is the run's: 12 hex digits of milliseconds, then 20 random ones, so that names sort by age. A folder that cannot be made is a journal in memory alone. */
#ifndef MLF_FOLDER_H
#define MLF_FOLDER_H

#include "calls.h"
#include "lock.h"
#include "mlflow_client.h"
#include "position.h"
#include "stream.h"

#include <jansson.h>
#include <pthread.h>

/* In ids.json: which server the journal was begun for, without user-info; absent when none was named. */
#define MLF_FOLDER_SERVER "tracking_uri"

enum {
    MLF_JOURNAL_KEY = 32,            /* hex digits */
    MLF_FOLDER_PUNCH = 64 << 20      /* bytes of data.jrn that the server has, after which the disk gets them back */
};

typedef struct mlf_gap {
    uint64_t begin, end;
} mlf_gap;

typedef struct mlf_folder {
    char key[MLF_JOURNAL_KEY + 1];
    char *path; /* NULL: in memory alone */
    mlf_lock holding;
    int position_fd;
    mlf_stream stream;
    mlf_calls calls;
    mlf_position position; /* written by whoever sends */
    mlf_loss cut;          /* of the journal's end, which could not be read when it was opened */
    mlf_loss missing;      /* altogether in gaps */
    mlf_gap *gaps;         /* (n_gaps) damage that whole frames follow, in order; as found when it was opened */
    size_t n_gaps;
    pthread_mutex_t lock;  /* over ids, and over the writing of position and refused.jsonl */
    json_t *ids;
    int anchored;     /* 1: the disk knows of the folder itself; the committer's own */
    uint64_t punched; /* bytes of data.jrn that are a hole, but for the first block */
    int open;
} mlf_folder;

int mlf_journal_key(char key[MLF_JOURNAL_KEY + 1], mlf_error *error);
int mlf_is_journal_key(const char *text); /* 1: 32 lower-case hex digits, as a run's id of the server is, too */
int mlf_may_be_key(const char *text);     /* 1: such that also begins as a key's time does until 2039, and as one run's id in 256 */

/* A new journal. A folder that cannot be made is warned of once a process and leaves a journal in memory: then still 0. MLF_E_MEMORY alone fails. */
int mlf_folder_create(mlf_folder *folder, const char *dir, const char *key, mlf_error *error);

/* A whole journal of one operation that belongs to no run, for a later sync; closed again. server may be empty. MLF_E_IO: the disk does not take it. */
int mlf_folder_keep(const char *dir, const char *server, int kind, const json_t *payload, mlf_error *error);

/* One that is there, to be sent. Cuts a torn tail; notes the gaps before it. MLF_E_STATE: somebody else holds it (retriable); MLF_E_NOT_FOUND: no journal; MLF_E_INTEGRITY: not readable as one;
   MLF_E_IO: also on a file system that keeps no locks. */
int mlf_folder_open(mlf_folder *folder, const char *dir, const char *key, mlf_error *error);
void mlf_folder_close(mlf_folder *folder); /* what is in it stays for the next */

/* Makes what was appended survive a power cut: mlf_stream_commit(), calls.jrn, and the first time the folders above them, too. */
int mlf_folder_commit(mlf_folder *folder);

/* Where reading goes on at offset: there, or behind the gap that begins there. */
uint64_t mlf_folder_pass_gap(const mlf_folder *folder, uint64_t offset);

/* Closes it and removes it from the disk, in one step for anybody who looks. */
int mlf_folder_remove(mlf_folder *folder, mlf_error *error);

/* Writes position down; an error is only warned of (something is sent twice, which harms nothing). */
void mlf_folder_note_position(mlf_folder *folder, uint64_t offset, uint64_t skip, uint64_t points, uint64_t ops);

/* One line more in refused.jsonl. */
void mlf_folder_note_refused(mlf_folder *folder, const char *what, const char *json, size_t length, const char *reason);

/* The server's id for a thing that this journal made under a client key: copied, 1; 0 when it has none yet. Setting writes ids.json before it
   returns; where the disk does not take that, a later sync looks on the server for what carries the key. Putting leaves the writing to the next that is set. */
int mlf_folder_id(mlf_folder *folder, const char *key, char *id, size_t size);
int mlf_folder_put_id(mlf_folder *folder, const char *key, const char *id, mlf_error *error);
int mlf_folder_set_id(mlf_folder *folder, const char *key, const char *id, mlf_error *error);

/* Removes what a process that was killed left of journals while it removed them. */
void mlf_folder_sweep(const char *dir);

/* The keys of the journals in dir, oldest first, each (MLF_JOURNAL_KEY + 1) bytes: *keys (sv_free) and how many. A missing dir holds none. */
int mlf_folder_list(char (**keys)[MLF_JOURNAL_KEY + 1], size_t *n_keys, const char *dir, mlf_error *error);

/* Tries whether dir can hold journals (made when missing; write 0: nothing is tried or made), and how much room its disk has (-1: not known). MLF_E_IO: it cannot;
   MLF_E_UNSUPPORTED: it can, but its file system keeps no locks, so that no journal there can be synced in place. */
int mlf_journal_probe(int64_t *room_bytes, const char *dir, int write, mlf_error *error);

#endif
