/* s3.h: one signed request to S3 or what speaks like it; what the files of the s3: store share. */
#ifndef MLF_S3_H
#define MLF_S3_H

#include "aws_keys.h"
#include "bucket.h"
#include "transport.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct mlf_s3 {
    char *bucket;
    char *region;
    char *endpoint;        /* "https://host" without a path's end; NULL: Amazon's */
    int path_style;
    int insecure_tls;
    atomic_int signs_payload; /* each body's SHA-256 is signed: see s3_upload.c */
    pthread_mutex_t lock;  /* over keys and region */
    mlf_aws_keys keys;
    int has_keys;
} mlf_s3;

/* What is asked. Key: raw, whole; "" for the bucket. query: encoded, sorted, without '?'. */
typedef struct mlf_s3_request {
    const char *method, *key, *query;
    const char *payload_sha256; /* or UNSIGNED-PAYLOAD; NULL: of no body */
    mlf_http_call call;         /* body and callbacks; url, method, headers and flags are filled in */
    const char *checksum;       /* one more line, signed: "x-amz-checksum-…:value"; NULL: none */
} mlf_s3_request;

/* Sends it and understands the error: MLF_E_AUTH (wrong key, expired token, denied), MLF_E_NOT_FOUND (no such key or bucket), … Another region named
   by the answer is tried once. *reply as mlf_http(). */
int mlf_s3_call(mlf_store *store, const mlf_s3_request *request, mlf_http_reply *reply, mlf_error *error);
/* The same for a download: bytes from offset to `each`. */
int mlf_s3_download(mlf_store *store, const mlf_s3_request *request, mlf_http_reply *reply, int64_t offset, mlf_object *object, mlf_bytes_fn *each, void *context, mlf_error *error);

/* The CRC32C that an answer states of the whole of what was sent or is coming: 1, or 0 when it states none. */
int mlf_s3_crc32c(uint32_t *crc32c, const mlf_http_reply *reply);

#define MLF_SHA256_OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* Listing: one page of <ListBucketResult>. Hands each entry on, relative to prefix; *next (sv_free) is the token of the next page, or NULL. */
int mlf_s3_read_listing(const char *text, size_t length, const char *prefix, mlf_entry_fn *each, void *context, char **next, mlf_error *error);

/* Uploads of unknown size and of big files: s3_upload.c. */
int mlf_s3_begin(mlf_upload **out, mlf_store *store, const char *path, mlf_error *error);
int mlf_s3_write(mlf_upload *upload, const void *bytes, size_t length, mlf_error *error);
int mlf_s3_commit(mlf_upload *upload, mlf_error *error);
void mlf_s3_abort(mlf_upload *upload);
int mlf_s3_put(mlf_store *store, const char *path, int fd, int64_t size, mlf_error *error);

#endif
