/* s3_upload.c: objects to S3: one request when small, parts when big or of unknown size. Nothing is visible before the last request.

   Each request carries a digest of what it holds, which is signed and which the store checks. Over checked TLS, and to this machine itself, that is the CRC32C:
   nobody is between who could change bytes, and accidents it finds at a tenth of the cost. A store that checked says it back; to one that does not, and
   over plain http or unchecked TLS, where only a digest that cannot be forged keeps the bytes as they are, it is the SHA-256, and a whole object's ETag is compared with
   its MD5 where the store makes it so. */
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
#include <stdio.h>
#include <string.h>

enum { PART_BYTES = MLF_PIECE_BYTES, MAX_PARTS = 10000, PUT_THREADS = 3, ETAG_BYTES = 80, TIDY_TIMEOUT_MS = 5000 };

/* What one request carries: memory, or a part of a file. */
struct piece {
    const void *bytes; /* NULL: the file */
    int fd;
    int64_t offset, length;
    int digests;        /* those that are known already */
    uint32_t crc32c;
    const char *sha256; /* in hexadecimal */
};

/* Each empty when it was not wanted. */
struct digests {
    char sha256[65], md5[33], crc32c[MLF_CRC32C_TEXT];
};

/* What the store answered to a part. */
struct part {
    char etag[ETAG_BYTES], crc32c[MLF_CRC32C_TEXT];
};

struct mlf_upload {
    mlf_store *store;
    char *key, *id; /* id NULL: no multipart upload was begun */
    struct part *parts; /* (n_parts) */
    int n_parts, capacity;
    int done;
    mlf_relay relay;
};

static int digest_piece(struct digests *out, const struct piece *piece, int kinds, mlf_error *error)
{
    unsigned char bytes[32];
    mlf_digest digest;
    int missing = kinds & ~piece->digests, code = mlf_digest_begin(&digest, missing, error);
    *out = (struct digests){"", "", ""};
    digest.crc32c = piece->crc32c;
    if (!code && missing && piece->bytes)
        mlf_digest_add(&digest, piece->bytes, (size_t)piece->length);
    else if (!code && missing)
        code = mlf_digest_add_file(&digest, piece->fd, piece->offset, piece->length, error);
    if (!code && missing & MLF_DIGEST_SHA256) {
        mlf_digest_sha256(&digest, bytes);
        mlf_hex(out->sha256, bytes, 32);
    } else if (!code && kinds & MLF_DIGEST_SHA256)
        snprintf(out->sha256, sizeof out->sha256, "%s", piece->sha256);
    if (!code && missing & MLF_DIGEST_MD5) {
        mlf_digest_md5(&digest, bytes);
        mlf_hex(out->md5, bytes, 16);
    }
    if (!code && kinds & MLF_DIGEST_CRC32C)
        mlf_crc32c_to_base64(out->crc32c, digest.crc32c);
    mlf_digest_free(&digest);
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

/* What the store says of the bytes it got, against those sent; *checked: it knows their CRC32C. */
static int compare(const mlf_store *store, const char *key, const struct digests *sent, const char *etag, const mlf_http_reply *reply, int *checked, mlf_error *error)
{
    char got[MLF_CRC32C_TEXT] = "";
    uint32_t crc32c;
    *checked = mlf_s3_crc32c(&crc32c, reply);
    if (*checked)
        mlf_crc32c_to_base64(got, crc32c);
    if (*sent->crc32c && *checked && strcmp(got, sent->crc32c))
        return mlf_error_set_retriable(error, MLF_E_INTEGRITY, "%.300s: %.300s: the store has other bytes than those sent: expected the CRC32C %s, got %s", store->uri, key, sent->crc32c, got);
    if (*sent->md5 && is_md5(etag, reply, store->state) && strcasecmp(etag, sent->md5))
        return mlf_error_set_retriable(error, MLF_E_INTEGRITY, "%.300s: %.300s: the store has other bytes than those sent: expected the MD5 %s, got %s", store->uri, key, sent->md5, etag);
    return 0;
}

/* One PUT with these digests. */
static int put_with(mlf_store *store, const char *key, const char *query, const struct piece *piece, int kinds, struct part *part, int *checked, mlf_error *error)
{
    struct digests digests;
    char checksum[40];
    mlf_sending sending = {store, 0};
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    int code = digest_piece(&digests, piece, kinds, error);
    snprintf(checksum, sizeof checksum, "x-amz-checksum-crc32c:%s", digests.crc32c);
    const mlf_s3_request request = {
        .method = "PUT", .key = key, .query = query, .payload_sha256 = *digests.sha256 ? digests.sha256 : "UNSIGNED-PAYLOAD", .checksum = *digests.crc32c ? checksum : NULL,
        .call = {.flags = MLF_HTTP_STREAM, .body = piece->bytes, .body_bytes = piece->length, .has_body_fd = !piece->bytes, .body_fd = piece->fd, .body_offset = piece->offset,
                 .content_type = mlf_mime_type(key), .progress = mlf_sending_progress, .progress_context = &sending}};
    if (!code)
        code = mlf_s3_call(store, &request, &reply, error);
    if (!code) {
        read_etag(part->etag, &reply);
        code = compare(store, key, &digests, part->etag, &reply, checked, error);
        snprintf(part->crc32c, sizeof part->crc32c, "%s", *checked ? digests.crc32c : "");
    }
    mlf_http_reply_free(&reply);
    return code;
}

/* 1 when the store may know nothing of a CRC32C: from now on it gets the SHA-256. */
static int knows_no_crc32c(mlf_store *store, int code, const mlf_error *error)
{
    mlf_s3 *s3 = store->state;
    int refused = !code || (code == MLF_E_SERVER && (error->http_status == 400 || error->http_status == 501));
    if (refused)
        s3->signs_payload = 1;
    return refused;
}

/* One PUT: of an object, or of a part of one, as the store checks it. A part's MD5 is not taken: it costs three times the SHA-256 and is the weaker check. */
static int put_piece(mlf_store *store, const char *key, const char *query, const struct piece *piece, struct part *part, mlf_error *error)
{
    mlf_s3 *s3 = store->state;
    struct part whole;
    mlf_error sent = MLF_ERROR_INIT;
    int checked = 0, code = 0, kinds = MLF_DIGEST_SHA256 | (part ? 0 : MLF_DIGEST_MD5);
    if (!s3->signs_payload) {
        code = put_with(store, key, query, piece, MLF_DIGEST_CRC32C, part ? part : &whole, &checked, &sent);
        if (checked || !knows_no_crc32c(store, code, &sent)) {
            if (code && error && !error->code)
                *error = sent;
            return code;
        }
    }
    return put_with(store, key, query, piece, kinds, part ? part : &whole, &checked, error);
}

/* ---- parts ---- */

/* Amazon takes the CRC32C of a part only when it was told of it here. */
static int ask_for_parts(mlf_upload *upload, const char *checksum, mlf_http_reply *reply, mlf_error *error)
{
    const mlf_s3_request request = {.method = "POST", .key = upload->key, .query = "uploads=", .checksum = checksum, .call = {.content_type = mlf_mime_type(upload->key), .body = "", .body_bytes = 0}};
    return mlf_s3_call(upload->store, &request, reply, error);
}

static int begin_parts(mlf_upload *upload, mlf_error *error)
{
    const mlf_s3 *s3 = upload->store->state;
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    mlf_error sent = MLF_ERROR_INIT;
    int signs = s3->signs_payload, code = ask_for_parts(upload, signs ? NULL : "x-amz-checksum-algorithm:CRC32C", &reply, &sent);
    if (code && !signs && knows_no_crc32c(upload->store, code, &sent))
        code = ask_for_parts(upload, NULL, &reply, error);
    else if (code && error && !error->code)
        *error = sent;
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
    struct part *grown = sv_realloc(upload->parts, (size_t)capacity * sizeof *grown);
    if (!grown)
        return mlf_error_memory(error);
    upload->parts = grown;
    upload->capacity = capacity;
    return 0;
}

/* number from 1. */
static int put_part(mlf_upload *upload, int number, const struct piece *piece, struct part *part, mlf_error *error)
{
    sv_buffer query = SV_BUFFER_INIT(0);
    int bad = sv_buffer_format(&query, "partNumber=%d&uploadId=", number) || mlf_url_encode(&query, upload->id, 0);
    int code = bad ? mlf_error_memory(error) : put_piece(upload->store, upload->key, query.data, piece, part, error);
    if (!code && !*part->etag)
        code = mlf_error_set(error, MLF_E_REPLY, "%.300s: part %d: the answer has no ETag", upload->store->uri, number);
    sv_buffer_free(&query);
    return code;
}

static int complete_body(sv_buffer *body, const mlf_upload *upload)
{
    int bad = sv_buffer_text(body, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (int i = 0; !bad && i < upload->n_parts; i++) {
        bad = sv_buffer_format(body, "<Part><PartNumber>%d</PartNumber><ETag>\"", i + 1);
        for (const char *p = upload->parts[i].etag; !bad && *p; p++)
            bad = isalnum((unsigned char)*p) || strchr("-_./+=", *p) ? sv_buffer_byte(body, *p) : -1;
        bad = bad || sv_buffer_text(body, "\"</ETag>");
        if (*upload->parts[i].crc32c)
            bad = bad || sv_buffer_format(body, "<ChecksumCRC32C>%s</ChecksumCRC32C>", upload->parts[i].crc32c);
        bad = bad || sv_buffer_text(body, "</Part>");
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
        const mlf_s3_request request = {.method = "DELETE", .key = upload->key, .query = query.data, .call = {.flags = MLF_HTTP_TIDY, .timeout_ms = TIDY_TIMEOUT_MS}};
        mlf_s3_call(upload->store, &request, &reply, NULL);
    }
    sv_buffer_free(&query);
    mlf_http_reply_free(&reply);
}

/* ---- a stream ---- */

/* One piece of the stream is one part. */
static int send_piece(void *context, int number, const mlf_piece *filled, mlf_error *error)
{
    mlf_upload *upload = context;
    const struct piece piece = {filled->bytes, -1, 0, (int64_t)filled->length, filled->digests, filled->crc32c, filled->sha256};
    int code = upload->id ? 0 : begin_parts(upload, error);
    if (!code)
        code = room_for_parts(upload, number, error);
    if (!code)
        code = put_part(upload, number, &piece, &upload->parts[number - 1], error);
    if (!code)
        upload->n_parts = number;
    return code;
}

int mlf_s3_begin(mlf_upload **out, mlf_store *store, const char *path, mlf_error *error)
{
    mlf_upload *upload = sv_calloc(1, sizeof *upload);
    if (!upload)
        return mlf_error_memory(error);
    const mlf_s3 *s3 = store->state;
    upload->store = store;
    upload->relay = (mlf_relay){.send = send_piece, .context = upload, .digests = s3->signs_payload ? MLF_DIGEST_SHA256 : MLF_DIGEST_CRC32C};
    int code = mlf_bucket_object_key(&upload->key, store, path, error);
    if (code)
        mlf_s3_abort(upload);
    else
        *out = upload;
    return code;
}

int mlf_s3_write(mlf_upload *upload, const void *bytes, size_t length, mlf_error *error)
{
    return mlf_relay_write(&upload->relay, bytes, length, error);
}

int mlf_s3_commit(mlf_upload *upload, mlf_error *error)
{
    mlf_piece rest;
    int code = mlf_relay_finish(&upload->relay, &rest, error);
    const struct piece whole = {rest.bytes, -1, 0, (int64_t)rest.length, rest.digests, rest.crc32c, rest.sha256};
    if (!code && !upload->id)
        code = put_piece(upload->store, upload->key, "", &whole, NULL, error);
    else if (!code) {
        code = send_piece(upload, upload->n_parts + 1, &rest, error);
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
    sv_free(upload->parts);
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
    const struct piece piece = {NULL, parts->fd, offset, left < parts->part_bytes ? left : parts->part_bytes, 0, 0, NULL};
    return put_part(parts->upload, (int)index + 1, &piece, &parts->upload->parts[index], error);
}

int mlf_s3_put(mlf_store *store, const char *path, int fd, int64_t size, mlf_error *error)
{
    mlf_upload *upload = NULL;
    int code = mlf_s3_begin(&upload, store, path, error);
    if (code)
        return code;
    const struct piece whole = {NULL, fd, 0, size, 0, 0, NULL};
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
