/* gs_upload.c: objects to Google Cloud Storage by resumable uploads: an address is asked for, pieces are PUT to it, and after a break the store is
   asked how much it has. The last request carries the CRC32C of the whole, which the store checks and says back; nothing is visible before it. */
#include "alloc.h"
#include "client.h"
#include "client_error.h"
#include "crc32c.h"
#include "digest.h"
#include "gs.h"
#include "mime.h"
#include "ranged.h"
#include "relay.h"
#include "reply.h"
#include "retry.h"
#include "url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct mlf_upload {
    mlf_store *store;
    char *key, *session; /* session: the upload's own address; NULL: not begun */
    uint32_t crc32c;     /* of all that was handed in, or read of the file, so far */
    int64_t offset;      /* where the next piece begins; of a file: to where crc32c goes */
    int fd;              /* of a file */
    int64_t from;        /* where the request under way begins in it */
    int done;
    mlf_relay relay;
};

/* Bytes of the object from offset on: memory, or a file's. total_bytes -1: more will follow. */
struct window {
    const char *bytes; /* NULL: the upload's file, whose offsets are the object's */
    int64_t offset, length, total_bytes;
};

static int begin_session(mlf_upload *upload, mlf_error *error)
{
    const mlf_gs *gs = upload->store->state;
    sv_buffer url = SV_BUFFER_INIT(0);
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    char type[120], session[4096];
    const char *const headers[] = {type};
    snprintf(type, sizeof type, "X-Upload-Content-Type: %s", mlf_mime_type(upload->key));
    int bad = sv_buffer_format(&url, "%s/upload/storage/v1/b/%s/o?uploadType=resumable&name=", gs->endpoint, gs->bucket) || mlf_url_encode(&url, upload->key, 0);
    const mlf_http_call call = {.method = "POST", .url = url.data, .headers = headers, .n_headers = 1, .body = "{}", .body_bytes = 2};
    int code = bad ? mlf_error_memory(error) : mlf_gs_call(upload->store, &call, upload->key, &reply, error);
    if (!code && (!mlf_http_header(&reply, "Location", session, sizeof session) || !mlf_url_origin_length(session)))
        code = mlf_error_set(error, MLF_E_REPLY, "%.300s: the answer to a new upload names no address for it", upload->store->uri);
    if (!code && !(upload->session = sv_strdup(session)))
        code = mlf_error_memory(error);
    sv_buffer_free(&url);
    mlf_http_reply_free(&reply);
    return code;
}

/* The object is there: what the store says of it against what was sent. */
static int check_stored(mlf_upload *upload, int64_t total_bytes, const mlf_http_reply *reply, mlf_error *error)
{
    json_t *json = NULL;
    uint32_t crc32c = 0;
    int code = mlf_reply_json(&json, reply->body.data ? reply->body.data : "", reply->body.size, error);
    const char *said = json_string_value(json_object_get(json, "crc32c")), *size = json_string_value(json_object_get(json, "size"));
    upload->done = 1;
    int differs = !code && ((said && (mlf_crc32c_from_base64(&crc32c, said) || crc32c != upload->crc32c)) ||
                            (size && strtoll(size, NULL, 10) != total_bytes));
    if (differs) {
        mlf_gs_remove_key(upload->store, upload->key, NULL);
        code = mlf_error_set_retriable(error, MLF_E_INTEGRITY, "%.300s: the store has other bytes than those sent: expected %lld bytes with the CRC32C %08x, got %.30s bytes and %.20s; removed again",
                             upload->store->uri, (long long)total_bytes, upload->crc32c, size ? size : "?", said ? said : "?");
    }
    json_decref(json);
    return code;
}

/* "Range: bytes=0-N": how much the store has. */
static int64_t stored_bytes(const mlf_http_reply *reply)
{
    char text[80];
    long long last;
    return mlf_http_header(reply, "Range", text, sizeof text) && sscanf(text, "bytes=0-%lld", &last) == 1 && last >= 0 && last < INT64_MAX ? last + 1 : 0;
}

/* Bytes of the file for the request that begins at upload->from; what was not sent before is added to the CRC32C as it passes. */
static int64_t read_file(void *context, void *into, size_t size, int64_t offset)
{
    mlf_upload *upload = context;
    int64_t at = upload->from + offset;
    ssize_t got;
    do
        got = pread(upload->fd, into, size, at);
    while (got < 0 && errno == EINTR);
    int64_t known = upload->offset - at; /* of these, how many were read before */
    if (got > known) {
        upload->crc32c = mlf_crc32c(upload->crc32c, (char *)into + known, (size_t)(got - known));
        upload->offset = at + got;
    }
    return got;
}

static int put_range(mlf_upload *upload, const struct window *window, int64_t from, mlf_http_reply *reply, mlf_error *error)
{
    char range[120], hash[40], total[24] = "*";
    const char *const headers[] = {range, hash};
    int64_t end = window->offset + window->length;
    int is_last = window->total_bytes >= 0;
    mlf_sending sending = {upload->store, 0};
    if (is_last)
        snprintf(total, sizeof total, "%lld", (long long)window->total_bytes);
    if (from < end)
        snprintf(range, sizeof range, "Content-Range: bytes %lld-%lld/%s", (long long)from, (long long)end - 1, total);
    else
        snprintf(range, sizeof range, "Content-Range: bytes */%s", total);
    if (is_last) /* before, the caller's thread is still adding to it */
        mlf_crc32c_to_base64(hash + snprintf(hash, sizeof hash, "x-goog-hash: crc32c="), upload->crc32c);
    mlf_http_call call = {.method = "PUT", .url = upload->session, .flags = MLF_HTTP_STREAM, .headers = headers, .n_headers = is_last ? 2 : 1, .body_bytes = end - from, .max_retries = -1,
                          .content_type = "application/octet-stream", .progress = mlf_sending_progress, .progress_context = &sending};
    if (from < end && window->bytes)
        call.body = window->bytes + (from - window->offset);
    else if (from < end) {
        upload->from = from;
        call.read = read_file;
        call.read_context = upload;
    }
    return mlf_gs_call(upload->store, &call, upload->key, reply, error);
}

/* After a break: where to go on. *reply is the store's answer: 308, or the object when it was all there. */
static int ask_stored(mlf_upload *upload, int64_t total_bytes, mlf_http_reply *reply, mlf_error *error)
{
    const struct window nothing = {"", 0, 0, total_bytes};
    return put_range(upload, &nothing, 0, reply, error);
}

static void wait_before(const mlf_upload *upload, int retry)
{
    int64_t ms = mlf_retry_wait_ms(&upload->store->client->settings, retry, 0.5);
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

/* Sends the window, however often it takes. */
static int send_window(mlf_upload *upload, const struct window *window, mlf_error *error)
{
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    int64_t from = window->offset, end = window->offset + window->length;
    int code = upload->session ? 0 : begin_session(upload, error), failures = 0;
    while (!code && !upload->done) {
        mlf_error sent = MLF_ERROR_INIT;
        int limit = upload->store->max_retries ? upload->store->max_retries : upload->store->client->settings.max_retries;
        int got = put_range(upload, window, from, &reply, &sent);
        while (got && sent.retriable && failures++ < limit) {
            wait_before(upload, failures);
            sent = (mlf_error)MLF_ERROR_INIT;
            got = ask_stored(upload, window->total_bytes, &reply, &sent);
        }
        if (got) {
            code = got;
            if (error && !error->code)
                *error = sent;
            break;
        }
        if (reply.status != 308) {
            code = window->total_bytes >= 0 ? check_stored(upload, window->total_bytes, &reply, error)
                                            : mlf_error_set(error, MLF_E_REPLY, "%.300s: the store ended an upload that goes on", upload->store->uri);
            break;
        }
        int64_t stored = stored_bytes(&reply);
        int64_t sent_bytes = window->bytes ? end : upload->offset;
        if (stored < window->offset || stored > sent_bytes || (stored == from && window->length && failures++ >= limit))
            code = mlf_error_set(error, MLF_E_REPLY, "%.300s: the store has %lld bytes, expected %lld to %lld", upload->store->uri, (long long)stored, (long long)from, (long long)sent_bytes);
        else if (stored == end && window->total_bytes < 0)
            break;
        else if (stored == end && failures++ >= limit)
            code = mlf_error_set(error, MLF_E_REPLY, "%.300s: the store has all %lld bytes but makes no object of them", upload->store->uri, (long long)end);
        from = stored;
    }
    mlf_http_reply_free(&reply);
    return code;
}

/* ---- a stream ---- */

static int send_piece(void *context, int number, const mlf_piece *piece, mlf_error *error)
{
    mlf_upload *upload = context;
    const struct window window = {piece->bytes, upload->offset, (int64_t)piece->length, -1};
    (void)number;
    int code = send_window(upload, &window, error);
    upload->offset += (int64_t)piece->length;
    return code;
}

int mlf_gs_begin(mlf_upload **out, mlf_store *store, const char *path, mlf_error *error)
{
    mlf_upload *upload = sv_calloc(1, sizeof *upload);
    if (!upload)
        return mlf_error_memory(error);
    upload->store = store;
    upload->relay = (mlf_relay){.send = send_piece, .context = upload};
    int code = mlf_bucket_object_key(&upload->key, store, path, error);
    if (code)
        mlf_gs_abort(upload);
    else
        *out = upload;
    return code;
}

int mlf_gs_write(mlf_upload *upload, const void *bytes, size_t length, mlf_error *error)
{
    upload->crc32c = mlf_crc32c(upload->crc32c, bytes, length);
    return mlf_relay_write(&upload->relay, bytes, length, error);
}

int mlf_gs_commit(mlf_upload *upload, mlf_error *error)
{
    mlf_piece rest;
    int code = mlf_relay_finish(&upload->relay, &rest, error);
    if (code)
        return code;
    const struct window window = {rest.bytes, upload->offset, (int64_t)rest.length, upload->offset + (int64_t)rest.length};
    return send_window(upload, &window, error);
}

void mlf_gs_abort(mlf_upload *upload)
{
    mlf_relay_free(&upload->relay);
    if (upload->session && !upload->done) {
        mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
        const mlf_http_call call = {.method = "DELETE", .url = upload->session, .max_retries = -1};
        mlf_gs_call(upload->store, &call, upload->key, &reply, NULL);
        mlf_http_reply_free(&reply);
    }
    sv_free(upload->key);
    sv_free(upload->session);
    sv_free(upload);
}

/* ---- a file ---- */

/* Read once: all but its end is sent by one request, whose bytes make the CRC32C as they pass; the end's request carries that of the whole. */
int mlf_gs_put(mlf_store *store, const char *path, int fd, int64_t size, mlf_error *error)
{
    enum { GRAIN = 256 << 10 }; /* what Google wants every request but the last to be a multiple of */
    mlf_upload *upload = NULL;
    mlf_digest end = {0};
    int64_t before = size > GRAIN ? (size - 1) / GRAIN * GRAIN : 0;
    const struct window most = {NULL, 0, before, -1}, last = {NULL, before, size - before, size};
    int code = mlf_gs_begin(&upload, store, path, error);
    if (code)
        return code;
    upload->fd = fd;
    if (before)
        code = send_window(upload, &most, error);
    if (!code)
        code = mlf_digest_begin(&end, MLF_DIGEST_CRC32C, error);
    end.crc32c = upload->crc32c;
    if (!code)
        code = mlf_digest_add_file(&end, fd, before, size - before, error);
    upload->crc32c = end.crc32c;
    upload->offset = size;
    if (!code)
        code = send_window(upload, &last, error);
    mlf_gs_abort(upload);
    return code;
}
