/* ranged.h: one GET of a file or its rest over HTTP, as every store that speaks HTTP needs it. */
#ifndef MLF_RANGED_H
#define MLF_RANGED_H

#include "store.h"
#include "transport.h"

/* The headers of an answer that say something of the file; fills *object (etag, digests). */
typedef void mlf_object_fn(mlf_object *object, const mlf_http_reply *reply);

/* Sends the call (GET; its url, headers and flags filled; at most 14 headers) for the bytes from offset and hands them to `each`. A server that knows
   no ranges sends all: what is before offset is dropped. A file that is another one than object's: MLF_E_INTEGRITY. Errors after the first byte are
   retriable when going on may help; *reply holds the answer when it is an error. describe may be NULL. */
int mlf_ranged_get(mlf_store *store, mlf_http_call *call, mlf_http_reply *reply, int64_t offset, mlf_object *object, mlf_object_fn *describe,
                   mlf_bytes_fn *each, void *context, mlf_error *error);

/* The call's progress callback: reports to the store. Zeroed before each call. */
typedef struct mlf_sending {
    mlf_store *store;
    int64_t told_bytes;
} mlf_sending;
int mlf_sending_progress(void *context, int64_t sent_bytes, int64_t received_bytes);

#endif
