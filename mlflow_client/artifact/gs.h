/* gs.h: one request to Google Cloud Storage's JSON API; what the files of the gs: store share. */
#ifndef MLF_GS_H
#define MLF_GS_H

#include "bucket.h"
#include "google_token.h"
#include "transport.h"

#include <pthread.h>

typedef struct mlf_gs {
    char *bucket;
    char *endpoint;        /* https://storage.googleapis.com, or STORAGE_EMULATOR_HOST */
    int is_emulator;       /* nobody has to say who they are */
    pthread_mutex_t lock;  /* over token */
    mlf_google_token token;
    int has_token;
} mlf_gs;

/* url: "https://…". Adds the token, tries once more with a fresh one after 401, and understands the error. 308 (go on) is a success. *reply as mlf_http(). */
int mlf_gs_call(mlf_store *store, const mlf_http_call *call, const char *what, mlf_http_reply *reply, mlf_error *error);

/* Fills *error from an error document. what: the object's name. */
int mlf_gs_explain(const mlf_store *store, const char *what, const mlf_http_reply *reply, mlf_error *error);

/* "Authorization: Bearer …" for requests of others (downloads); the caller's (sv_free), NULL with code 0 when none is needed. fresh: do not take the one kept. */
int mlf_gs_authorization(char **line, mlf_store *store, int fresh, mlf_error *error);

/* The digests that an answer's headers tell of an object. */
void mlf_gs_describe(mlf_object *object, const mlf_http_reply *reply);

/* Listing: one page. *next (sv_free) is the token of the next one, or NULL. */
int mlf_gs_read_listing(const char *text, size_t length, const char *prefix, mlf_entry_fn *each, void *context, char **next, mlf_error *error);

int mlf_gs_remove_key(mlf_store *store, const char *key, mlf_error *error); /* already gone is fine */

/* Uploads: gs_upload.c. */
int mlf_gs_begin(mlf_upload **out, mlf_store *store, const char *path, mlf_error *error);
int mlf_gs_write(mlf_upload *upload, const void *bytes, size_t length, mlf_error *error);
int mlf_gs_commit(mlf_upload *upload, mlf_error *error);
void mlf_gs_abort(mlf_upload *upload);
int mlf_gs_put(mlf_store *store, const char *path, int fd, int64_t size, mlf_error *error);

#endif
