/* store.h: where artifacts live, behind one small table of functions. A store is a root (a folder, a bucket's prefix, a server's tree) with
   files below it. Files: store_local.c, store_proxy.c, store_s3.c, store_gs.c. Each operation may be called from several threads at once. */
#ifndef MLF_STORE_H
#define MLF_STORE_H

#include "mlflow_client.h"
#include "uri.h"

#include <stdint.h>

#define MLF_PATH_MAX_BYTES 4096

typedef struct mlf_store mlf_store;

/* Something directly below a folder. */
typedef struct mlf_entry {
    const char *name; /* one segment, as the store gave it: hostile until checked */
    int is_dir;
    int64_t size_bytes; /* -1: not said */
} mlf_entry;

typedef int mlf_entry_fn(void *context, const mlf_entry *entry, mlf_error *error); /* not 0 stops the listing and is its result */

/* What a store says of a file when it begins to send it. */
typedef struct mlf_object {
    int64_t size_bytes; /* of the whole file; -1: not said */
    char etag[160];     /* "" : none; the version that an offset belongs to */
    int has_md5, has_crc32c;
    unsigned char md5[16];
    uint32_t crc32c;
} mlf_object;

typedef int mlf_bytes_fn(void *context, const void *bytes, size_t length, mlf_error *error); /* not 0 stops the transfer and is its result */

/* An upload whose size is not known beforehand: nothing is visible before commit. */
typedef struct mlf_upload mlf_upload;

typedef struct mlf_store_ops {
    const char *schemes; /* separated by blanks; "" is the plain path */
    int digests;         /* mlf_digest_kind: those that its objects may carry */
    int (*open)(mlf_store *store, const mlf_uri *uri, mlf_error *error); /* fills store->state */
    void (*close)(mlf_store *store);
    /* One level below path ("" is the root). A missing folder: MLF_E_NOT_FOUND or no entries, as the store can tell. */
    int (*list)(mlf_store *store, const char *path, mlf_entry_fn *each, void *context, mlf_error *error);
    /* Sends the bytes from offset to `each`. object is filled before the first bytes; with offset > 0 it is given, and a file that has changed since is MLF_E_INTEGRITY. */
    int (*get)(mlf_store *store, const char *path, int64_t offset, mlf_object *object, mlf_bytes_fn *each, void *context, mlf_error *error);
    int (*check_name)(const char *path, mlf_error *error); /* MLF_E_ARGUMENT: put would refuse it; NULL: it takes any */
    /* Stores size bytes of the file fd (read by pread) under path; checked by the store's own digest where it has one. */
    int (*put)(mlf_store *store, const char *path, int fd, int64_t size, mlf_error *error);
    /* A file or everything below a folder; already gone is fine. */
    int (*remove)(mlf_store *store, const char *path, mlf_error *error);
    int (*begin)(mlf_upload **out, mlf_store *store, const char *path, mlf_error *error);
    int (*write)(mlf_upload *upload, const void *bytes, size_t length, mlf_error *error);
    int (*commit)(mlf_upload *upload, mlf_error *error); /* does not free */
    void (*abort)(mlf_upload *upload);                   /* frees; after a commit it only frees */
} mlf_store_ops;

struct mlf_store {
    const mlf_store_ops *ops;
    mlf_client *client; /* whose connections are used; NULL for a folder */
    int max_retries;    /* of each request; 0: the client's */
    int owns_client;    /* 1: none was given, this one is the store's own */
    char *uri;          /* as asked without login and query, for messages alone */
    char *prefix;       /* of a bucket's keys: raw, without slashes at its ends, maybe empty; NULL: no bucket */
    void *state;        /* the store's own */
    void (*progress)(void *context, int64_t bytes); /* NULL: nobody wants to know; called from any thread */
    void *progress_context;
    int64_t max_bytes; /* of a tree's download; 0: no limit */
    int64_t *room;     /* of a folder that holds things for a moment: bytes that may still be copied; large files are linked where that goes, nothing is synced; MLF_E_UNSUPPORTED
                          where it is used up. NULL: everything is copied and synced. For one thread */
};

/* MLF_E_UNSUPPORTED for a scheme nobody here knows. client: borrowed; NULL: what the environment says, and MLFLOW_OFFLINE does not matter. */
int mlf_store_open(mlf_store **out, mlf_client *client, const char *uri, mlf_error *error);
int mlf_store_open_folder(mlf_store **out, const char *folder, mlf_error *error); /* whatever its name looks like */
void mlf_store_close(mlf_store *store); /* accepts NULL */

/* What is here already of a file: its first `bytes`, readable from fd, of the version that object says (by its etag). */
typedef struct mlf_begun {
    int fd;
    int64_t bytes;
    mlf_object object; /* filled before the first new bytes, also where there was nothing */
} mlf_begun;

/* get, gone on with after a cut connection, and checked: size and whatever digest the store gave. size_bytes (may be NULL): filled before the first bytes. begun (may be
   NULL): what is here is not sent again; MLF_E_INTEGRITY also where the file is another one by now. */
int mlf_store_fetch(mlf_store *store, const char *path, int64_t *size_bytes, mlf_begun *begun, mlf_bytes_fn *each, void *context, mlf_error *error);

void mlf_store_progress(mlf_store *store, int64_t bytes);

extern const mlf_store_ops MLF_STORE_LOCAL, MLF_STORE_PROXY, MLF_STORE_S3, MLF_STORE_GS;

#endif
