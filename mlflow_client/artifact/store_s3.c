/* store_s3.c: s3://bucket/prefix, at Amazon's or at an endpoint of its own (MinIO, Ceph, R2…). Signed by sigv4.c with what aws_keys.c finds. */
#include "alloc.h"
#include "client.h"
#include "client_error.h"
#include "digest.h"
#include "s3.h"
#include "settings.h"
#include "url.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static void s3_free(mlf_s3 *s3)
{
    if (!s3)
        return;
    sv_free(s3->bucket);
    sv_free(s3->region);
    sv_free(s3->endpoint);
    mlf_aws_keys_free(&s3->keys);
    pthread_mutex_destroy(&s3->lock);
    sv_free(s3);
}

static void s3_close(mlf_store *store)
{
    s3_free(store->state);
}

/* The endpoint without slashes at its end; *out NULL for Amazon's own. */
static int read_endpoint(char **out, mlf_error *error)
{
    static const char *const names[] = {"MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"};
    const char *found = NULL;
    for (size_t i = 0; !found && i < sizeof names / sizeof *names; i++)
        found = mlf_env(names[i]);
    *out = NULL;
    if (!found)
        return 0;
    if (!mlf_url_origin_length(found))
        return mlf_error_set(error, MLF_E_ARGUMENT, "the S3 endpoint '%.200s' is no http(s) address", found);
    size_t length = strlen(found);
    while (found[length - 1] == '/')
        length--;
    *out = sv_strndup(found, length);
    return *out ? 0 : mlf_error_memory(error);
}

/* A bucket's name can be a part of the host's when it is a DNS label; with dots the certificate would not match. */
static int is_label(const char *bucket)
{
    for (const char *p = bucket; *p; p++)
        if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '-')
            return 0;
    return 1;
}

static int check_bucket(const mlf_store *store, const char *bucket, mlf_error *error)
{
    size_t length = strlen(bucket);
    if (length < 1 || length > 255 || strspn(bucket, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != length)
        return mlf_error_set(error, MLF_E_ARGUMENT, "%.300s: expected s3://bucket/path", store->uri);
    return 0;
}

/* 1 for http:// to another machine, or through a proxy: bytes under way can be changed there. */
static int is_open_to_others(const mlf_store *store, const char *endpoint)
{
    static const char *const own[] = {"127.0.0.1", "[::1]", "localhost"};
    if (!endpoint || strncasecmp(endpoint, "http://", 7))
        return 0;
    const char *host = endpoint + 7;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        size_t length = strlen(own[i]);
        if (!strncasecmp(host, own[i], length) && (!host[length] || strchr(":/", host[length])))
            return store->client->settings.proxy || mlf_env("http_proxy") || mlf_env("all_proxy") || mlf_env("ALL_PROXY");
    }
    return 1;
}

static int s3_open(mlf_store *store, const mlf_uri *uri, mlf_error *error)
{
    const char *style = mlf_env("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE");
    int code = check_bucket(store, uri->authority, error);
    mlf_s3 *s3 = code ? NULL : sv_calloc(1, sizeof *s3);
    if (!s3)
        return code ? code : mlf_error_memory(error);
    pthread_mutex_init(&s3->lock, NULL);
    s3->keys = (mlf_aws_keys)MLF_AWS_KEYS_INIT;
    s3->bucket = sv_strdup(uri->authority);
    store->prefix = mlf_uri_prefix(uri);
    s3->region = mlf_aws_region();
    code = s3->bucket && store->prefix && s3->region ? read_endpoint(&s3->endpoint, error) : mlf_error_memory(error);
    if (!code)
        code = mlf_env_flag(&s3->insecure_tls, "MLFLOW_S3_IGNORE_TLS", 0, error);
    s3->signs_payload = s3->insecure_tls || is_open_to_others(store, s3->endpoint);
    s3->path_style = style && !strcasecmp(style, "path") ? 1 : style && !strcasecmp(style, "virtual") ? 0 : s3->endpoint || !is_label(uri->authority);
    store->state = s3;
    if (code)
        s3_free(s3);
    return code;
}

/* ---- listing ---- */

static int page_query(sv_buffer *query, const char *prefix, const char *token)
{
    return (token && (sv_buffer_text(query, "continuation-token=") || mlf_url_encode(query, token, 0) || sv_buffer_byte(query, '&'))) ||
           sv_buffer_text(query, "delimiter=%2F&encoding-type=url&list-type=2&prefix=") || mlf_url_encode(query, prefix, 0);
}

static int read_page(mlf_store *store, const char *prefix, const char *token, mlf_entry_fn *each, void *context, char **next, mlf_error *error)
{
    sv_buffer query = SV_BUFFER_INIT(0);
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    int code = page_query(&query, prefix, token) ? mlf_error_memory(error) : 0;
    const mlf_s3_request request = {.method = "GET", .key = "", .query = query.data};
    if (!code)
        code = mlf_s3_call(store, &request, &reply, error);
    if (!code)
        code = mlf_s3_read_listing(reply.body.data ? reply.body.data : "", reply.body.size, prefix, each, context, next, error);
    sv_buffer_free(&query);
    mlf_http_reply_free(&reply);
    return code;
}

static int s3_list(mlf_store *store, const char *path, mlf_entry_fn *each, void *context, mlf_error *error)
{
    return mlf_bucket_list(store, path, read_page, each, context, error);
}

/* ---- files ---- */

static int s3_get(mlf_store *store, const char *path, int64_t offset, mlf_object *object, mlf_bytes_fn *each, void *context, mlf_error *error)
{
    char *key = mlf_bucket_key(store, path, error);
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    const mlf_s3_request request = {.method = "GET", .key = key, .query = "", .checksum = "x-amz-checksum-mode:ENABLED"};
    int code = key ? mlf_s3_download(store, &request, &reply, offset, object, each, context, error) : MLF_E_MEMORY;
    mlf_http_reply_free(&reply);
    sv_free(key);
    return code;
}

/* Already gone is fine. */
static int remove_key(mlf_store *store, const char *key, mlf_error *error)
{
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    const mlf_s3_request request = {.method = "DELETE", .key = key, .query = ""};
    mlf_error sent = MLF_ERROR_INIT;
    int code = mlf_s3_call(store, &request, &reply, &sent);
    if (code && reply.status == 404 && strstr(sent.message, "NoSuchKey"))
        code = 0;
    if (code && error && !error->code)
        *error = sent;
    mlf_http_reply_free(&reply);
    return code;
}

static int s3_remove(mlf_store *store, const char *path, mlf_error *error)
{
    return mlf_bucket_remove(store, path, remove_key, error);
}

const mlf_store_ops MLF_STORE_S3 = {
    .schemes = "s3 s3a",
    .digests = MLF_DIGEST_MD5 | MLF_DIGEST_CRC32C,
    .open = s3_open,
    .close = s3_close,
    .list = s3_list,
    .get = s3_get,
    .put = mlf_s3_put,
    .remove = s3_remove,
    .begin = mlf_s3_begin,
    .write = mlf_s3_write,
    .commit = mlf_s3_commit,
    .abort = mlf_s3_abort,
};
