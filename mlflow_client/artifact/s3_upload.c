/* s3_upload.c: objects to S3: one request when small, parts when big or of unknown size. Each request carries the SHA-256 of what it holds, which the
   store checks; a whole object's ETag is compared with its MD5 where the store makes it so. Nothing is visible before the last request. */
#include "alloc.h"
#include "client_error.h"
#include "digest.h"
#include "mime.h"
#include "parallel.h"
#include "ranged.h"
#include "relay.h"
#include "s3.h"
#include "url.h"
#include "xml.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PART_BYTES = MLF_PIECE_BYTES, MAX_PARTS = 10000, PUT_THREADS = 3, CHUNK_BYTES = 256 << 10, ETAG_BYTES = 80 };

/* What one request carries: memory, or a part of a file. */
struct piece {
    const void *bytes; /* NULL: the file */
    int fd;
    int64_t offset, length;
};

struct digests {
    char sha256[65], md5[33];
};

struct mlf_upload {
    mlf_store *store;
    char *key, *id; /* id NULL: no multipart upload was begun */
    char (*etags)[ETAG_BYTES]; /* (n_parts) */
    int n_parts, capacity;
    int done;
    mlf_relay relay;
};

/* with_md5 0: the MD5 stays empty. It costs three times the SHA-256 and is the weaker check, so a part does without. */
static int digest_piece(struct digests *out, const struct piece *piece, int with_md5, mlf_error *error)
{
    unsigned char bytes[32];
    mlf_digest digest;
    char *chunk = piece->bytes ? NULL : sv_malloc(CHUNK_BYTES);
    if (!piece->bytes && !chunk)
        return mlf_error_memory(error);
    int code = mlf_digest_begin(&digest, MLF_DIGEST_SHA256 | (with_md5 ? MLF_DIGEST_MD5 : 0), error);
    if (!code && piece->bytes)
        mlf_digest_add(&digest, piece->bytes, (size_t)piece->length);
    for (int64_t at = 0; !code && !piece->bytes && at < piece->length;) {
        int64_t left = piece->length - at;
        ssize_t got = pread(piece->fd, chunk, left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES, piece->offset + at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            code = mlf_error_set(error, MLF_E_IO, "a file that is being uploaded: %s", got ? strerror(errno) : "it has become shorter");
        else
            mlf_digest_add(&digest, chunk, (size_t)got);
        at += got;
    }
    if (!code) {
        mlf_digest_sha256(&digest, bytes);
        mlf_hex(out->sha256, bytes, 32);
        if (with_md5)
            mlf_digest_md5(&digest, bytes);
        mlf_hex(out->md5, bytes, with_md5 ? 16 : 0);
    }
    mlf_digest_free(&digest);
    sv_free(chunk);
    return code;
}

/* The ETag without its quotes. */
static void read_etag(char etag[ETAG_BYTES], const mlf_http_reply *reply)
{
    char text[ETAG_BYTES] = "";
    mlf_http_header(reply, "ETag", text, sizeof text);
    size_t from = *text == '"', length = strcspn(text + from, "\"");
    memmove(etag, text + from, length);
    etag[length] = '\0';
}

/* An ETag is the MD5 unless the store encrypts with keys of its own, or is a directory bucket. */
static int is_md5(const char *etag, const mlf_http_reply *reply, const mlf_s3 *s3)
{
    char encryption[40] = "";
    mlf_http_header(reply, "x-amz-server-side-encryption", encryption, sizeof encryption);
    return strlen(etag) == 32 && strspn(etag, "0123456789abcdefABCDEF") == 32 && !strstr(encryption, "kms") && !strstr(s3->bucket, "--x-s3");
}

/* One PUT: of an object, or of a part of one. etag (ETAG_BYTES) may be NULL. */
static int put_piece(mlf_store *store, const char *key, const char *query, const struct piece *piece, char *etag, mlf_error *error)
{
    struct digests digests;
    char got[ETAG_BYTES] = "";
    mlf_sending sending = {store, 0};
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    int code = digest_piece(&digests, piece, !etag, error);
    const mlf_s3_request request = {
        .method = "PUT", .key = key, .query = query, .payload_sha256 = digests.sha256,
        .call = {.flags = MLF_HTTP_STREAM, .body = piece->bytes, .body_bytes = piece->length, .has_body_fd = !piece->bytes, .body_fd = piece->fd, .body_offset = piece->offset,
                 .content_type = mlf_mime_type(key), .progress = mlf_sending_progress, .progress_context = &sending}};
    if (!code)
        code = mlf_s3_call(store, &request, &reply, error);
    if (!code) {
        read_etag(got, &reply);
        if (*digests.md5 && is_md5(got, &reply, store->state) && strcasecmp(got, digests.md5))
            code = mlf_error_set(error, MLF_E_INTEGRITY, "%.300s: %.300s: the store has other bytes than those sent: expected the MD5 %s, got %s", store->uri, key, digests.md5, got);
        if (etag)
            snprintf(etag, ETAG_BYTES, "%s", got);
    }
    mlf_http_reply_free(&reply);
    return code;
}

/* ---- parts ---- */

static int begin_parts(mlf_upload *upload, mlf_error *error)
{
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    const mlf_s3_request request = {.method = "POST", .key = upload->key, .query = "uploads=", .call = {.content_type = mlf_mime_type(upload->key), .body = "", .body_bytes = 0}};
    int code = mlf_s3_call(upload->store, &request, &reply, error);
    if (!code) {
        upload->id = reply.body.data ? mlf_xml_find(reply.body.data, reply.body.size, "UploadId") : NULL;
        if (!upload->id || !*upload->id || strlen(upload->id) > 2048)
            code = mlf_error_set(error, MLF_E_REPLY, "%.300s: the answer names no UploadId", upload->store->uri);
    }
    mlf_http_reply_free(&reply);
    return code;
}

static int room_for_parts(mlf_upload *upload, int n, mlf_error *error)
{
    if (n > MAX_PARTS)
        return mlf_error_set(error, MLF_E_ARGUMENT, "%.300s: a stream of more than %d parts of %d bytes", upload->store->uri, MAX_PARTS, PART_BYTES);
    if (n <= upload->capacity)
        return 0;
    int capacity = n < 64 ? 64 : 2 * n;
    char(*grown)[ETAG_BYTES] = sv_realloc(upload->etags, (size_t)capacity * sizeof *grown);
    if (!grown)
        return mlf_error_memory(error);
    upload->etags = grown;
    upload->capacity = capacity;
    return 0;
}

/* number from 1. */
static int put_part(mlf_upload *upload, int number, const struct piece *piece, char *etag, mlf_error *error)
{
    sv_buffer query = SV_BUFFER_INIT(0);
    int bad = sv_buffer_format(&query, "partNumber=%d&uploadId=", number) || mlf_url_encode(&query, upload->id, 0);
    int code = bad ? mlf_error_memory(error) : put_piece(upload->store, upload->key, query.data, piece, etag, error);
    if (!code && !*etag)
        code = mlf_error_set(error, MLF_E_REPLY, "%.300s: part %d: the answer has no ETag", upload->store->uri, number);
    sv_buffer_free(&query);
    return code;
}

static int complete_body(sv_buffer *body, const mlf_upload *upload)
{
    int bad = sv_buffer_text(body, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (int i = 0; !bad && i < upload->n_parts; i++) {
        bad = sv_buffer_format(body, "<Part><PartNumber>%d</PartNumber><ETag>\"", i + 1);
        for (const char *p = upload->etags[i]; !bad && *p; p++)
            bad = isalnum((unsigned char)*p) || strchr("-_./+=", *p) ? sv_buffer_byte(body, *p) : -1;
        bad = bad || sv_buffer_text(body, "\"</ETag></Part>");
    }
    return bad || sv_buffer_text(body, "</CompleteMultipartUpload>");
}

static int complete(mlf_upload *upload, mlf_error *error)
{
    sv_buffer query = SV_BUFFER_INIT(0), body = SV_BUFFER_INIT(0);
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    char sha256[65];
    int code = sv_buffer_text(&query, "uploadId=") || mlf_url_encode(&query, upload->id, 0) || complete_body(&body, upload) ? mlf_error_memory(error) : 0;
    if (!code) {
        mlf_sha256_hex(sha256, body.data, body.size);
        const mlf_s3_request request = {.method = "POST", .key = upload->key, .query = query.data, .payload_sha256 = sha256,
                                        .call = {.body = body.data, .body_bytes = (int64_t)body.size, .content_type = "application/xml"}};
        code = mlf_s3_call(upload->store, &request, &reply, error);
    }
    /* Amazon may begin with a 200 and think of the error later. */
    char *failure = !code && reply.body.data && strstr(reply.body.data, "<Error>") ? mlf_xml_find(reply.body.data, reply.body.size, "Message") : NULL;
    if (failure)
        code = mlf_error_set(error, MLF_E_SERVER, "%.300s: the parts could not be joined: %.300s", upload->store->uri, failure);
    sv_free(failure);
    sv_buffer_free(&query);
    sv_buffer_free(&body);
    mlf_http_reply_free(&reply);
    return code;
}

static void forget_parts(mlf_upload *upload)
{
    sv_buffer query = SV_BUFFER_INIT(0);
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    if (!sv_buffer_text(&query, "uploadId=") && !mlf_url_encode(&query, upload->id, 0)) {
        const mlf_s3_request request = {.method = "DELETE", .key = upload->key, .query = query.data};
        mlf_s3_call(upload->store, &request, &reply, NULL);
    }
    sv_buffer_free(&query);
    mlf_http_reply_free(&reply);
}

/* ---- a stream ---- */

/* One piece of the stream is one part. */
static int send_piece(void *context, int number, const void *bytes, size_t length, mlf_error *error)
{
    mlf_upload *upload = context;
    const struct piece piece = {bytes, -1, 0, (int64_t)length};
    int code = upload->id ? 0 : begin_parts(upload, error);
    if (!code)
        code = room_for_parts(upload, number, error);
    if (!code)
        code = put_part(upload, number, &piece, upload->etags[number - 1], error);
    if (!code)
        upload->n_parts = number;
    return code;
}

int mlf_s3_begin(mlf_upload **out, mlf_store *store, const char *path, mlf_error *error)
{
    mlf_upload *upload = sv_calloc(1, sizeof *upload);
    if (!upload)
        return mlf_error_memory(error);
    upload->store = store;
    upload->relay.send = send_piece;
    upload->relay.context = upload;
    upload->key = mlf_s3_key(store->state, path, error);
    if (upload->key && *upload->key) {
        *out = upload;
        return 0;
    }
    int code = upload->key ? mlf_error_set(error, MLF_E_ARGUMENT, "%.300s: names a bucket, expected an object in it", store->uri) : MLF_E_MEMORY;
    mlf_s3_abort(upload);
    return code;
}

int mlf_s3_write(mlf_upload *upload, const void *bytes, size_t length, mlf_error *error)
{
    return mlf_relay_write(&upload->relay, bytes, length, error);
}

int mlf_s3_commit(mlf_upload *upload, mlf_error *error)
{
    size_t length = 0;
    int code = mlf_relay_wait(&upload->relay, error);
    const void *rest = mlf_relay_rest(&upload->relay, &length);
    const struct piece whole = {rest, -1, 0, (int64_t)length};
    if (!code && !upload->id)
        code = put_piece(upload->store, upload->key, "", &whole, NULL, error);
    else if (!code) {
        code = send_piece(upload, upload->n_parts + 1, rest, length, error);
        if (!code)
            code = complete(upload, error);
    }
    upload->done = !code;
    return code;
}

void mlf_s3_abort(mlf_upload *upload)
{
    mlf_relay_free(&upload->relay);
    if (upload->id && !upload->done)
        forget_parts(upload);
    sv_free(upload->etags);
    sv_free(upload->key);
    sv_free(upload->id);
    sv_free(upload);
}

/* ---- a file ---- */

struct file_parts {
    mlf_upload *upload;
    int fd;
    int64_t part_bytes, size;
};

static int put_file_part(void *context, size_t index, mlf_error *error)
{
    const struct file_parts *parts = context;
    int64_t offset = (int64_t)index * parts->part_bytes, left = parts->size - offset;
    const struct piece piece = {NULL, parts->fd, offset, left < parts->part_bytes ? left : parts->part_bytes};
    return put_part(parts->upload, (int)index + 1, &piece, parts->upload->etags[index], error);
}

int mlf_s3_put(mlf_store *store, const char *path, int fd, int64_t size, mlf_error *error)
{
    mlf_upload *upload = NULL;
    int code = mlf_s3_begin(&upload, store, path, error);
    if (code)
        return code;
    const struct piece whole = {NULL, fd, 0, size};
    struct file_parts parts = {upload, fd, PART_BYTES, size};
    if (size > (int64_t)PART_BYTES * MAX_PARTS)
        parts.part_bytes = size / MAX_PARTS + 1;
    if (size <= 2 * PART_BYTES)
        code = put_piece(store, upload->key, "", &whole, NULL, error);
    else {
        int n_parts = (int)((size + parts.part_bytes - 1) / parts.part_bytes);
        code = begin_parts(upload, error);
        if (!code)
            code = room_for_parts(upload, n_parts, error);
        upload->n_parts = n_parts;
        if (!code)
            code = mlf_parallel((size_t)n_parts, PUT_THREADS, put_file_part, &parts, error);
        if (!code)
            code = complete(upload, error);
    }
    upload->done = !code;
    mlf_s3_abort(upload);
    return code;
}
