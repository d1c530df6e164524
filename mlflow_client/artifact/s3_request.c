#include "s3.h"

#include "alloc.h"
#include "client_error.h"
#include "clock.h"
#include "digest.h"
#include "ranged.h"
#include "sigv4.h"
#include "url.h"
#include "xml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REFRESH_BEFORE_MS = 5 * 60 * 1000 };

/* The keys, found when none are there or those there will soon be over. Holds the lock meanwhile: others wait for the same answer. */
static int refresh_keys(mlf_store *store, mlf_s3 *s3, mlf_error *error)
{
    if (s3->has_keys && (!s3->keys.expires_ms || s3->keys.expires_ms - REFRESH_BEFORE_MS > sv_epoch_ms()))
        return 0;
    mlf_aws_keys fresh;
    int code = mlf_aws_keys_find(&fresh, store->client, s3->region, error);
    if (code)
        return code;
    mlf_aws_keys_free(&s3->keys);
    s3->keys = fresh;
    s3->has_keys = 1;
    return 0;
}

/* Host and path of a key: https://bucket.s3.region.amazonaws.com/key, or endpoint/bucket/key. */
static int address(sv_buffer *host, sv_buffer *base, sv_buffer *path, const mlf_s3 *s3, const char *key)
{
    const char *endpoint = s3->endpoint ? s3->endpoint : "https://";
    const char *authority = strstr(endpoint, "://") + 3;
    size_t authority_length = strcspn(authority, "/");
    int code = sv_buffer_append(base, endpoint, (size_t)(authority - endpoint));
    if (!s3->path_style)
        code = code || sv_buffer_format(host, "%s.", s3->bucket);
    code = code || (s3->endpoint ? sv_buffer_append(host, authority, authority_length) : sv_buffer_format(host, "s3.%s.amazonaws.com", s3->region));
    code = code || sv_buffer_text(base, host->data) || sv_buffer_text(path, authority + (s3->endpoint ? authority_length : 0)) || sv_buffer_byte(path, '/');
    if (s3->path_style)
        code = code || mlf_url_encode(path, s3->bucket, 0) || (*key && sv_buffer_byte(path, '/'));
    return code || mlf_url_encode(path, key, 1);
}

/* Everything of a request that a signature needs, ready to send. */
struct prepared {
    sv_buffer url;
    mlf_sigv4 signature;
    const char *headers[MLF_SIGV4_LINES + 1];
};

static int prepare(struct prepared *out, mlf_store *store, mlf_s3 *s3, const mlf_s3_request *request, mlf_http_call *call, mlf_error *error)
{
    sv_buffer host = SV_BUFFER_INIT(0), path = SV_BUFFER_INIT(0);
    out->url = (sv_buffer)SV_BUFFER_INIT(0);
    out->signature.n_lines = 0;
    pthread_mutex_lock(&s3->lock);
    int code = refresh_keys(store, s3, error);
    if (!code && (address(&host, &out->url, &path, s3, request->key) || sv_buffer_text(&out->url, path.data) ||
                  (*request->query && (sv_buffer_byte(&out->url, '?') || sv_buffer_text(&out->url, request->query)))))
        code = mlf_error_memory(error);
    if (!code) {
        const mlf_sigv4_request signing = {request->method, host.data, path.data, request->query, request->payload_sha256 ? request->payload_sha256 : MLF_SHA256_OF_NOTHING, s3->region, "s3", request->checksum};
        code = mlf_sigv4_sign(&out->signature, &signing, &s3->keys, time(NULL), error);
    }
    pthread_mutex_unlock(&s3->lock);
    *call = request->call;
    call->method = request->method;
    call->url = out->url.data;
    call->headers = out->headers;
    call->n_headers = 0;
    call->flags = (call->flags & (MLF_HTTP_STREAM | MLF_HTTP_TIDY)) | MLF_HTTP_NO_AUTH | (s3->insecure_tls ? MLF_HTTP_INSECURE_TLS : 0);
    call->max_retries = store->max_retries;
    for (size_t i = 0; i < out->signature.n_lines; i++)
        out->headers[call->n_headers++] = out->signature.lines[i];
    if (request->checksum)
        out->headers[call->n_headers++] = request->checksum;
    sv_buffer_free(&host);
    sv_buffer_free(&path);
    return code;
}

static void release(struct prepared *prepared)
{
    sv_buffer_free(&prepared->url);
    mlf_sigv4_free(&prepared->signature);
}

/* What S3's own names of errors mean here, and what helps. */
#define PASSES "; it may go well the next time"

static const struct {
    const char *name;
    int code;
    const char *hint;
} ERRORS[] = {
    {"NoSuchBucket", MLF_E_NOT_FOUND, "; check the bucket's name and MLFLOW_S3_ENDPOINT_URL"},
    {"NoSuchKey", MLF_E_NOT_FOUND, "; check the path behind the bucket's name"},
    {"InvalidAccessKeyId", MLF_E_AUTH, "; check AWS_ACCESS_KEY_ID or the profile"},
    {"SignatureDoesNotMatch", MLF_E_AUTH, "; check AWS_SECRET_ACCESS_KEY"},
    {"ExpiredToken", MLF_E_AUTH, "; get fresh credentials"},
    {"InvalidToken", MLF_E_AUTH, "; check AWS_SESSION_TOKEN"},
    {"RequestTimeTooSkewed", MLF_E_AUTH, "; this machine's clock is wrong"},
    {"AccessDenied", MLF_E_AUTH, "; these keys may not do that"},
    {"BadDigest", MLF_E_INTEGRITY, PASSES},
    {"XAmzContentSHA256Mismatch", MLF_E_INTEGRITY, PASSES},
    {"RequestTimeout", MLF_E_SERVER, PASSES},
    {"SlowDown", MLF_E_SERVER, PASSES},
    {"OperationAborted", MLF_E_SERVER, PASSES},
};

/* Fills *error from an error document, or from an empty body with its status. */
static int explain(const mlf_store *store, const mlf_s3 *s3, const mlf_s3_request *request, const mlf_http_reply *reply, mlf_error *error)
{
    const char *body = reply->body.data ? reply->body.data : "", *hint = "";
    char *name = mlf_xml_find(body, reply->body.size, "Code"), *message = mlf_xml_find(body, reply->body.size, "Message");
    int code = reply->status == 404 ? MLF_E_NOT_FOUND : reply->status == 401 || reply->status == 403 ? MLF_E_AUTH : MLF_E_SERVER;
    for (size_t i = 0; name && i < sizeof ERRORS / sizeof *ERRORS; i++)
        if (!strcmp(ERRORS[i].name, name)) {
            code = ERRORS[i].code;
            hint = ERRORS[i].hint;
        }
    if (error && !error->code) {
        mlf_error_set(error, code, "s3://%.100s/%.300s: %s: %d %.60s%s%.300s%s (keys from %s)", s3->bucket, request->key, request->method, reply->status, name ? name : "",
                      name && message ? ": " : "", message ? message : "", hint, s3->keys.id ? s3->keys.from : "nowhere: sent unsigned");
        error->http_status = reply->status;
        error->retriable = reply->status >= 500 || reply->status == 429 || !strcmp(hint, PASSES);
    }
    (void)store;
    sv_free(name);
    sv_free(message);
    return code;
}

/* 1 when the answer says that the bucket is in another region, which is then taken. */
static int moved_region(mlf_s3 *s3, const mlf_http_reply *reply)
{
    char region[40];
    if ((reply->status != 301 && reply->status != 307 && reply->status != 400) || s3->endpoint || !mlf_http_header(reply, "x-amz-bucket-region", region, sizeof region) ||
        strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(region))
        return 0;
    pthread_mutex_lock(&s3->lock);
    int differs = strcmp(region, s3->region) != 0;
    char *copy = differs ? sv_strdup(region) : NULL;
    if (copy) {
        sv_free(s3->region);
        s3->region = copy;
    }
    pthread_mutex_unlock(&s3->lock);
    return copy != NULL;
}

int mlf_s3_call(mlf_store *store, const mlf_s3_request *request, mlf_http_reply *reply, mlf_error *error)
{
    mlf_s3 *s3 = store->state;
    int code = 0;
    for (int turn = 0; turn < 2; turn++) {
        struct prepared prepared;
        mlf_http_call call;
        code = prepare(&prepared, store, s3, request, &call, error);
        call.flags |= MLF_HTTP_ANY_STATUS;
        if (!code)
            code = mlf_http(store->client, &call, reply, error);
        release(&prepared);
        if (code || (reply->status >= 200 && reply->status < 300))
            return code;
        if (turn || !moved_region(s3, reply))
            break;
    }
    return explain(store, s3, request, reply, error);
}

/* Of an object made of parts it is "…-3", the checksum of checksums, which is not that of its bytes. */
int mlf_s3_crc32c(uint32_t *crc32c, const mlf_http_reply *reply)
{
    char text[24];
    return mlf_http_header(reply, "x-amz-checksum-crc32c", text, sizeof text) && !mlf_crc32c_from_base64(crc32c, text);
}

static void describe_crc32c(mlf_object *object, const mlf_http_reply *reply)
{
    object->has_crc32c = mlf_s3_crc32c(&object->crc32c, reply);
}

/* Its CRC32C, when the store knows it (it was asked to say it); otherwise the ETag of an object that was stored by one request is its MD5, unless the
   store encrypts with keys of its own. */
static void describe(mlf_object *object, const mlf_http_reply *reply)
{
    describe_crc32c(object, reply);
    if (object->has_crc32c)
        return;
    char encryption[40] = "", digits[3] = "", *end;
    mlf_http_header(reply, "x-amz-server-side-encryption", encryption, sizeof encryption);
    const char *etag = object->etag + (*object->etag == '"');
    if (strspn(etag, "0123456789abcdefABCDEF") != 32 || (etag[32] && etag[32] != '"') || strstr(encryption, "kms"))
        return;
    for (size_t i = 0; i < sizeof object->md5; i++) {
        memcpy(digits, etag + 2 * i, 2);
        object->md5[i] = (unsigned char)strtoul(digits, &end, 16);
    }
    object->has_md5 = 1;
}

int mlf_s3_download(mlf_store *store, const mlf_s3_request *request, mlf_http_reply *reply, int64_t offset, mlf_object *object, mlf_bytes_fn *each, void *context, mlf_error *error)
{
    mlf_s3 *s3 = store->state;
    mlf_error sent = MLF_ERROR_INIT;
    int code = 0;
    for (int turn = 0; turn < 2; turn++) {
        struct prepared prepared;
        mlf_http_call call;
        sent = (mlf_error)MLF_ERROR_INIT;
        code = prepare(&prepared, store, s3, request, &call, &sent);
        if (!code)
            code = mlf_ranged_get(store, &call, reply, offset, object, strstr(s3->bucket, "--x-s3") ? describe_crc32c : describe, each, context, &sent);
        release(&prepared);
        if (!code || turn || !moved_region(s3, reply))
            break;
    }
    if (!code)
        return 0;
    if (reply->status >= 300)
        return explain(store, s3, request, reply, error);
    if (error && !error->code)
        *error = sent;
    return code;
}
