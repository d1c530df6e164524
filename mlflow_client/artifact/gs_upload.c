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
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK_BYTES = 256 << 10 };

struct mlf_upload {
    mlf_store *store;
    char *key, *session; /* session: the upload's own address; NULL: not begun */
    uint32_t crc32c;     /* of all that was handed in so far */
    int64_t offset;      /* where the next piece begins */
    int done;
    mlf_relay relay;
};

/* Bytes of the object from offset on: memory, or a file's. total_bytes -1: more will follow. */
struct window {
    const char *bytes; /* NULL: the file, whose offsets are the object's */
    int fd;
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
    unsigned char crc[4];
    int code = mlf_reply_json(&json, reply->body.data ? reply->body.data : "", reply->body.size, error);
    const char *said = json_string_value(json_object_get(json, "crc32c")), *size = json_string_value(json_object_get(json, "size"));
    upload->done = 1;
    int differs = !code && ((said && (mlf_base64_exact(crc, 4, said) || ((uint32_t)crc[0] << 24 | (uint32_t)crc[1] << 16 | (uint32_t)crc[2] << 8 | crc[3]) != upload->crc32c)) ||
                            (size && strtoll(size, NULL, 10) != total_bytes));
    if (differs) {
        mlf_gs_remove_key(upload->store, upload->key, NULL);
        code = mlf_error_set(error, MLF_E_INTEGRITY, "%.300s: the store has other bytes than those sent: expected %lld bytes with the CRC32C %08x, got %.30s bytes and %.20s; removed again",
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
    return mlf_http_header(reply, "Range", text, sizeof text) && sscanf(text, "bytes=0-%lld", &last) == 1 && last >= 0 ? last + 1 : 0;
}

static int put_range(mlf_upload *upload, const struct window *window, int64_t from, mlf_http_reply *reply, mlf_error *error)
{
    char range[120], hash[40], total[24] = "*";
    const char *const headers[] = {range, hash};
    unsigned char crc[4] = {(unsigned char)(upload->crc32c >> 24), (unsigned char)(upload->crc32c >> 16), (unsigned char)(upload->crc32c >> 8), (unsigned char)upload->crc32c};
    int64_t end = window->offset + window->length;
    int is_last = window->total_bytes >= 0;
    mlf_sending sending = {upload->store, 0};
    if (is_last)
        snprintf(total, sizeof total, "%lld", (long long)window->total_bytes);
    if (from < end)
        snprintf(range, sizeof range, "Content-Range: bytes %lld-%lld/%s", (long long)from, (long long)end - 1, total);
    else
        snprintf(range, sizeof range, "Content-Range: bytes */%s", total);
    size_t used = (size_t)snprintf(hash, sizeof hash, "x-goog-hash: crc32c=");
    EVP_EncodeBlock((unsigned char *)hash + used, crc, sizeof crc);
    mlf_http_call call = {.method = "PUT", .url = upload->session, .flags = MLF_HTTP_STREAM, .headers = headers, .n_headers = is_last ? 2 : 1, .body_bytes = end - from, .max_retries = -1,
                          .content_type = "application/octet-stream", .progress = mlf_sending_progress, .progress_context = &sending};
    if (from < end && window->bytes)
        call.body = window->bytes + (from - window->offset);
    else if (from < end) {
        call.has_body_fd = 1;
        call.body_fd = window->fd;
        call.body_offset = from;
    }
    return mlf_gs_call(upload->store, &call, upload->key, reply, error);
}

/* After a break: where to go on. *reply is the store's answer: 308, or the object when it was all there. */
static int ask_stored(mlf_upload *upload, int64_t total_bytes, mlf_http_reply *reply, mlf_error *error)
{
    const struct window nothing = {"", -1, 0, 0, total_bytes};
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
        if (stored < window->offset || stored > end || (stored == from && window->length && failures++ >= limit))
            code = mlf_error_set(error, MLF_E_REPLY, "%.300s: the store has %lld bytes, expected %lld to %lld", upload->store->uri, (long long)stored, (long long)from, (long long)end);
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

static int send_piece(void *context, int number, const void *bytes, size_t length, mlf_error *error)
{
    mlf_upload *upload = context;
    const struct window window = {bytes, -1, upload->offset, (int64_t)length, -1};
    (void)number;
    upload->crc32c = mlf_crc32c(upload->crc32c, bytes, length);
    int code = send_window(upload, &window, error);
    upload->offset += (int64_t)length;
    return code;
}

int mlf_gs_begin(mlf_upload **out, mlf_store *store, const char *path, mlf_error *error)
{
    mlf_upload *upload = sv_calloc(1, sizeof *upload);
    if (!upload)
        return mlf_error_memory(error);
    upload->store = store;
    upload->relay.send = send_piece;
    upload->relay.context = upload;
    upload->key = mlf_gs_key(store->state, path, error);
    if (upload->key && *upload->key) {
        *out = upload;
        return 0;
    }
    int code = upload->key ? mlf_error_set(error, MLF_E_ARGUMENT, "%.300s: names a bucket, expected an object in it", store->uri) : MLF_E_MEMORY;
    mlf_gs_abort(upload);
    return code;
}

int mlf_gs_write(mlf_upload *upload, const void *bytes, size_t length, mlf_error *error)
{
    return mlf_relay_write(&upload->relay, bytes, length, error);
}

int mlf_gs_commit(mlf_upload *upload, mlf_error *error)
{
    size_t length = 0;
    int code = mlf_relay_wait(&upload->relay, error);
    const char *rest = mlf_relay_rest(&upload->relay, &length);
    if (code)
        return code;
    upload->crc32c = mlf_crc32c(upload->crc32c, rest, length);
    const struct window window = {rest, -1, upload->offset, (int64_t)length, upload->offset + (int64_t)length};
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

static int file_crc32c(uint32_t *crc32c, int fd, int64_t size, mlf_error *error)
{
    char *chunk = sv_malloc(CHUNK_BYTES);
    int code = chunk ? 0 : mlf_error_memory(error);
    for (int64_t at = 0; !code && at < size;) {
        ssize_t got = pread(fd, chunk, size - at < CHUNK_BYTES ? (size_t)(size - at) : CHUNK_BYTES, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            code = mlf_error_set(error, MLF_E_IO, "a file that is being uploaded: %s", got ? strerror(errno) : "it has become shorter");
        else
            *crc32c = mlf_crc32c(*crc32c, chunk, (size_t)got);
        at += got;
    }
    sv_free(chunk);
    return code;
}

int mlf_gs_put(mlf_store *store, const char *path, int fd, int64_t size, mlf_error *error)
{
    mlf_upload *upload = NULL;
    const struct window whole = {NULL, fd, 0, size, size};
    int code = mlf_gs_begin(&upload, store, path, error);
    if (code)
        return code;
    code = file_crc32c(&upload->crc32c, fd, size, error);
    if (!code)
        code = send_window(upload, &whole, error);
    mlf_gs_abort(upload);
    return code;
}
