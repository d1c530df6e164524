/* store_gs.c: gs://bucket/prefix by Google Cloud Storage's JSON API, at Google's own address, another that leads there
   (CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE), or an emulator's (STORAGE_EMULATOR_HOST), which is told no token. */
#include "alloc.h"
#include "client_error.h"
#include "digest.h"
#include "gs.h"
#include "ranged.h"
#include "reply.h"
#include "secret.h"
#include "settings.h"
#include "url.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void gs_free(mlf_gs *gs)
{
    if (!gs)
        return;
    sv_free(gs->bucket);
    sv_free(gs->endpoint);
    mlf_google_token_free(&gs->token);
    pthread_mutex_destroy(&gs->lock);
    sv_free(gs);
}

static void gs_close(mlf_store *store)
{
    gs_free(store->state);
}

/* STORAGE_EMULATOR_HOST is "host:port" or "http://host:port"; of gcloud's own variable, "https://host/storage/v1/", the path is the same for all. */
static int read_endpoint(mlf_gs *gs, mlf_error *error)
{
    const char *host = mlf_env("STORAGE_EMULATOR_HOST"), *other = mlf_env("CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE");
    sv_buffer url = SV_BUFFER_INIT(0);
    gs->is_emulator = host != NULL;
    if (!host && other && !mlf_url_origin_length(other))
        return mlf_error_set(error, MLF_E_ARGUMENT, "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE: '%.200s' is no http(s) address", other);
    int bad = !host && other ? sv_buffer_append(&url, other, mlf_url_origin_length(other))
              : !host        ? sv_buffer_text(&url, "https://storage.googleapis.com") : sv_buffer_format(&url, "%s%s", mlf_url_origin_length(host) ? "" : "http://", host);
    while (!bad && url.size && url.data[url.size - 1] == '/')
        url.data[--url.size] = '\0';
    gs->endpoint = bad ? NULL : sv_buffer_take(&url);
    sv_buffer_free(&url);
    return gs->endpoint ? 0 : mlf_error_memory(error);
}

static int gs_open(mlf_store *store, const mlf_uri *uri, mlf_error *error)
{
    const char *bucket = uri->authority;
    size_t bucket_length = strlen(bucket);
    if (bucket_length < 1 || bucket_length > 222 || strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789._-") != bucket_length)
        return mlf_error_set(error, MLF_E_ARGUMENT, "%.300s: expected gs://bucket/path", store->uri);
    mlf_gs *gs = sv_calloc(1, sizeof *gs);
    if (!gs)
        return mlf_error_memory(error);
    pthread_mutex_init(&gs->lock, NULL);
    gs->bucket = sv_strdup(bucket);
    store->prefix = mlf_uri_prefix(uri);
    int code = gs->bucket && store->prefix ? read_endpoint(gs, error) : mlf_error_memory(error);
    store->state = gs;
    if (code)
        gs_free(gs);
    return code;
}

/* ---- listing ---- */

static int list_url(sv_buffer *url, const mlf_gs *gs, const char *prefix, const char *token)
{
    return sv_buffer_format(url, "%s/storage/v1/b/%s/o?delimiter=%%2F&fields=items(name%%2Csize)%%2Cprefixes%%2CnextPageToken&prefix=", gs->endpoint, gs->bucket) ||
           mlf_url_encode(url, prefix, 0) || (token && (sv_buffer_text(url, "&pageToken=") || mlf_url_encode(url, token, 0)));
}

/* What follows the prefix, without the slash of a folder; NULL when it is not below it. The caller's. */
static char *rest_of(const char *name, const char *prefix, int is_dir)
{
    size_t length = strlen(prefix), size = name ? strlen(name) : 0;
    if (!name || strncmp(name, prefix, length))
        return NULL;
    return sv_strndup(name + length, size - length - (is_dir && size > length && name[size - 1] == '/'));
}

static int tell(const char *name, const char *prefix, int is_dir, int64_t size_bytes, mlf_entry_fn *each, void *context, mlf_error *error)
{
    char *rest = rest_of(name, prefix, is_dir);
    if (!rest)
        return mlf_error_set(error, MLF_E_REPLY, "a listing of the bucket: an entry outside of what was asked for");
    if (is_dir && !*rest) {
        sv_free(rest);
        return mlf_error_set(error, MLF_E_REPLY, "a listing of the bucket: a folder without a name ('%.200s'), which no folder here can hold", name);
    }
    const mlf_entry entry = {rest, is_dir, is_dir ? -1 : size_bytes};
    int code = *rest ? each(context, &entry, error) : 0; /* an empty one is the folder's own marker */
    sv_free(rest);
    return code;
}

int mlf_gs_read_listing(const char *text, size_t length, const char *prefix, mlf_entry_fn *each, void *context, char **next, mlf_error *error)
{
    json_t *json = NULL;
    *next = NULL;
    int code = mlf_reply_json(&json, text, length, error);
    const json_t *items = json_object_get(json, "items"), *prefixes = json_object_get(json, "prefixes");
    const char *token = json_string_value(json_object_get(json, "nextPageToken"));
    for (size_t i = 0; !code && i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        const char *size = json_string_value(json_object_get(item, "size"));
        code = tell(json_string_value(json_object_get(item, "name")), prefix, 0, size ? strtoll(size, NULL, 10) : -1, each, context, error);
    }
    for (size_t i = 0; !code && i < json_array_size(prefixes); i++)
        code = tell(json_string_value(json_array_get(prefixes, i)), prefix, 1, -1, each, context, error);
    if (!code && token && *token && !(*next = sv_strdup(token)))
        code = mlf_error_memory(error);
    json_decref(json);
    return code;
}

static int read_page(mlf_store *store, const char *prefix, const char *token, mlf_entry_fn *each, void *context, char **next, mlf_error *error)
{
    sv_buffer url = SV_BUFFER_INIT(0);
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    int code = list_url(&url, store->state, prefix, token) ? mlf_error_memory(error) : 0;
    const mlf_http_call call = {.method = "GET", .url = url.data};
    if (!code)
        code = mlf_gs_call(store, &call, prefix, &reply, error);
    if (!code)
        code = mlf_gs_read_listing(reply.body.data ? reply.body.data : "", reply.body.size, prefix, each, context, next, error);
    sv_buffer_free(&url);
    mlf_http_reply_free(&reply);
    return code;
}

static int gs_list(mlf_store *store, const char *path, mlf_entry_fn *each, void *context, mlf_error *error)
{
    return mlf_bucket_list(store, path, read_page, each, context, error);
}

/* ---- files ---- */

/* "x-goog-hash: crc32c=…,md5=…", in one line or several. */
void mlf_gs_describe(mlf_object *object, const mlf_http_reply *reply)
{
    static const char name[] = "x-goog-hash:";
    for (const char *line = reply->headers.data; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncasecmp(line, name, sizeof name - 1) != 0)
            continue;
        size_t length = strcspn(line, "\n");
        const char *crc = memmem(line, length, "crc32c=", 7), *md5 = memmem(line, length, "md5=", 4);
        char text[32];
        if (crc && (size_t)(crc + 15 - line) <= length) {
            memcpy(text, crc + 7, 8);
            text[8] = '\0';
            object->has_crc32c = !mlf_crc32c_from_base64(&object->crc32c, text);
        }
        if (md5 && (size_t)(md5 + 28 - line) <= length) {
            memcpy(text, md5 + 4, 24);
            text[24] = '\0';
            object->has_md5 = !mlf_base64_exact(object->md5, 16, text);
        }
    }
    if (object->has_crc32c)
        object->has_md5 = 0; /* one is enough, and this one is cheap */
}

static char *object_url(const mlf_gs *gs, const char *key, const char *query)
{
    sv_buffer url = SV_BUFFER_INIT(0);
    int bad = sv_buffer_format(&url, "%s/storage/v1/b/%s/o/", gs->endpoint, gs->bucket) || mlf_url_encode(&url, key, 0) || sv_buffer_text(&url, query);
    char *text = bad ? NULL : sv_buffer_take(&url);
    sv_buffer_free(&url);
    return text;
}

static int gs_get(mlf_store *store, const char *path, int64_t offset, mlf_object *object, mlf_bytes_fn *each, void *context, mlf_error *error)
{
    const mlf_gs *gs = store->state;
    char *key = mlf_bucket_key(store, path, error), *url = key ? object_url(gs, key, "?alt=media") : NULL;
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    int code = url ? 0 : mlf_error_memory(error);
    for (int turn = 0; !code; turn++) {
        char *authorization = NULL;
        code = mlf_gs_authorization(&authorization, store, turn, error);
        /* Accept-Encoding: bytes as they are stored, which the digests are of. */
        const char *const headers[] = {"Accept-Encoding: gzip", authorization};
        mlf_http_call call = {.url = url, .flags = MLF_HTTP_NO_AUTH, .headers = headers, .n_headers = authorization ? 2 : 1};
        mlf_error sent = MLF_ERROR_INIT;
        int got = code ? code : mlf_ranged_get(store, &call, &reply, offset, object, mlf_gs_describe, each, context, &sent);
        if (authorization)
            sv_secret_wipe(authorization, strlen(authorization));
        sv_free(authorization);
        if (!got || code)
            break;
        if (reply.status == 401 && !turn && gs->token.text)
            continue;
        code = reply.status >= 300 ? mlf_gs_explain(store, key, &reply, error) : got;
        if (error && !error->code)
            *error = sent;
    }
    mlf_http_reply_free(&reply);
    sv_free(url);
    sv_free(key);
    return code;
}

int mlf_gs_remove_key(mlf_store *store, const char *key, mlf_error *error)
{
    char *url = object_url(store->state, key, "");
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    mlf_error sent = MLF_ERROR_INIT;
    const mlf_http_call call = {.method = "DELETE", .url = url};
    int code = url ? mlf_gs_call(store, &call, key, &reply, &sent) : mlf_error_memory(&sent);
    if (code && reply.status == 404)
        code = 0;
    if (code && error && !error->code)
        *error = sent;
    mlf_http_reply_free(&reply);
    sv_free(url);
    return code;
}

static int gs_remove(mlf_store *store, const char *path, mlf_error *error)
{
    return mlf_bucket_remove(store, path, mlf_gs_remove_key, error);
}

const mlf_store_ops MLF_STORE_GS = {
    .schemes = "gs",
    .digests = MLF_DIGEST_MD5 | MLF_DIGEST_CRC32C,
    .open = gs_open,
    .close = gs_close,
    .list = gs_list,
    .get = gs_get,
    .put = mlf_gs_put,
    .remove = gs_remove,
    .begin = mlf_gs_begin,
    .write = mlf_gs_write,
    .commit = mlf_gs_commit,
    .abort = mlf_gs_abort,
};
