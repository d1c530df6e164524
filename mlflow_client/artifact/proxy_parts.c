/* proxy_parts.c: big files through the tracking server go in parts straight to the store behind it, by addresses that the server signs (PROTOCOL 9.1). */
#include "alloc.h"
#include "capabilities.h"
#include "client.h"
#include "client_error.h"
#include "digest.h"
#include "object.h"
#include "parallel.h"
#include "proxy.h"
#include "ranged.h"
#include "settings.h"
#include "url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_PARTS = 10000, THREADS = 3, MAX_HEADERS = 16, ETAG_BYTES = 160 };

struct parts {
    mlf_store *store;
    int fd;
    int64_t size, part_bytes;
    size_t count;
    json_t *credentials;       /* (count) by part */
    char (*etags)[ETAG_BYTES]; /* (count) */
};

/* 1 when files of that size should go in parts. Only asks the server when the environment leaves it open. */
static int is_wanted(mlf_store *store, const mlf_proxy *proxy, int64_t size, int64_t *part_bytes)
{
    double least = 0, chunk = 0;
    int enabled = -1;
    if (!proxy->is_proxied || strcmp(proxy->base, MLF_PROXY_API) || mlf_env_number(&least, "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", 500.0 * 1024 * 1024, 1, 1e15, NULL) || (double)size < least ||
        mlf_env_number(&chunk, "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", 10.0 * 1024 * 1024, 1024, 5e9, NULL) || mlf_env_flag(&enabled, "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", -1, NULL))
        return 0;
    *part_bytes = (int64_t)chunk * MAX_PARTS >= size ? (int64_t)chunk : size / MAX_PARTS + 1;
    if (enabled >= 0)
        return enabled;
    const mlf_object *info;
    return !mlf_server_capabilities(&info, store->client, NULL) && mlf_object_flag(info, "multipart_uploads_enabled");
}

/* One of the three calls about an upload: the folder is in the address, the name in the body. arguments: stolen; "path" is added. */
static int call_about(json_t **reply, mlf_store *store, const char *verb, const char *path, json_t *arguments, mlf_error *error)
{
    const mlf_proxy *proxy = store->state;
    char *whole = mlf_uri_join(proxy->root, path), *slash = whole ? strrchr(whole, '/') : NULL;
    sv_buffer url = SV_BUFFER_INIT(0);
    int code = whole && arguments && !json_object_set_new(arguments, "path", json_string(slash ? slash + 1 : whole)) ? 0 : mlf_error_memory(error);
    if (slash)
        *slash = '\0';
    if (!code && (sv_buffer_format(&url, "%s%s/", proxy->base, verb) || (slash && mlf_url_encode(&url, whole, 1))))
        code = mlf_error_memory(error);
    if (!code)
        code = mlf_json_call(reply, store->client, "POST", url.data, arguments, 0, error);
    json_decref(arguments);
    sv_buffer_free(&url);
    sv_free(whole);
    return code;
}

/* Is it the MD5 of what was sent? A store that encrypts with keys of its own, and a directory bucket, make ETags of the same form that are none. */
static int is_md5(const char *etag, const char *url, const mlf_http_reply *reply)
{
    char encryption[64] = "", customer[64];
    mlf_http_header(reply, "x-amz-server-side-encryption", encryption, sizeof encryption);
    int is_keyed = strstr(encryption, "kms") || mlf_http_header(reply, "x-amz-server-side-encryption-customer-algorithm", customer, sizeof customer);
    return strspn(etag, "0123456789abcdefABCDEF") == 32 && !etag[32 + strspn(etag + 32, "\"")] && !is_keyed && !strstr(url, "--x-s3");
}

/* The bytes that the store has against those of the file. */
static int check_part(const struct parts *parts, size_t index, const mlf_http_call *call, const mlf_http_reply *reply, mlf_error *error)
{
    const char *etag = parts->etags[index] + strspn(parts->etags[index], "\"");
    mlf_digest digest;
    unsigned char bytes[16];
    char md5[33];
    if (!is_md5(etag, call->url, reply))
        return 0;
    int code = mlf_digest_begin(&digest, MLF_DIGEST_MD5, error);
    if (code)
        return code;
    code = mlf_digest_add_file(&digest, parts->fd, call->body_offset, call->body_bytes, error);
    mlf_digest_md5(&digest, bytes);
    mlf_digest_free(&digest);
    mlf_hex(md5, bytes, sizeof bytes);
    if (code || !strncasecmp(etag, md5, 32))
        return code;
    return mlf_error_set_retriable(error, MLF_E_INTEGRITY, "part %zu: the store has other bytes than those sent: expected the MD5 %s, got %.32s", index + 1, md5, etag);
}

static int put_part(void *context, size_t index, mlf_error *error)
{
    struct parts *parts = context;
    const json_t *credential = json_array_get(parts->credentials, index), *value;
    const char *url = json_string_value(json_object_get(credential, "url")), *name;
    int64_t offset = (int64_t)index * parts->part_bytes, left = parts->size - offset;
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    mlf_sending sending = {parts->store, 0};
    char *lines[MAX_HEADERS];
    size_t n = 0;
    int code = url ? 0 : mlf_error_set(error, MLF_E_REPLY, "mpu/create: part %zu has no address", index + 1);
    for (void *at = json_object_iter(json_object_get(credential, "headers")); !code && at && n < MAX_HEADERS; at = json_object_iter_next(json_object_get(credential, "headers"), at)) {
        sv_buffer line = SV_BUFFER_INIT(8192);
        name = json_object_iter_key(at);
        value = json_object_iter_value(at);
        if (!json_is_string(value) || sv_buffer_format(&line, "%s: %s", name, json_string_value(value)) || !(lines[n] = sv_buffer_take(&line)))
            code = mlf_error_set(error, MLF_E_REPLY, "mpu/create: part %zu has a header that is none", index + 1);
        else
            n++;
        sv_buffer_free(&line);
    }
    const mlf_http_call call = {.method = "PUT", .url = url, .flags = MLF_HTTP_NO_AUTH | MLF_HTTP_STREAM, .headers = (const char *const *)lines, .n_headers = n, .has_body_fd = 1, .body_fd = parts->fd,
                                .body_offset = offset, .body_bytes = left < parts->part_bytes ? left : parts->part_bytes, .max_retries = parts->store->max_retries,
                                .progress = mlf_sending_progress, .progress_context = &sending};
    if (!code)
        code = mlf_http(parts->store->client, &call, &reply, error);
    if (!code && !mlf_http_header(&reply, "ETag", parts->etags[index], ETAG_BYTES))
        code = mlf_error_set(error, MLF_E_REPLY, "part %zu: the answer has no ETag", index + 1);
    if (!code)
        code = check_part(parts, index, &call, &reply, error);
    while (n)
        sv_free(lines[--n]);
    mlf_http_reply_free(&reply);
    return code;
}

static int complete(struct parts *parts, const char *path, const char *upload_id, mlf_error *error)
{
    json_t *list = json_array();
    for (size_t i = 0; i < parts->count; i++)
        list = mlf_json_append(list, json_pack("{s:i, s:s, s:s}", "part_number", (int)i + 1, "etag", parts->etags[i], "url",
                                              json_string_value(json_object_get(json_array_get(parts->credentials, i), "url"))));
    return call_about(NULL, parts->store, "mpu/complete", path, json_pack("{s:s, s:o}", "upload_id", upload_id, "parts", list), error);
}

int mlf_proxy_put_parts(int *handled, mlf_store *store, const char *path, int fd, int64_t size, mlf_error *error)
{
    struct parts parts = {.store = store, .fd = fd, .size = size};
    json_t *created = NULL;
    mlf_error asked = MLF_ERROR_INIT;
    *handled = is_wanted(store, store->state, size, &parts.part_bytes);
    if (!*handled)
        return 0;
    parts.count = (size_t)((size + parts.part_bytes - 1) / parts.part_bytes);
    int code = call_about(&created, store, "mpu/create", path, json_pack("{s:i}", "num_parts", (int)parts.count), &asked);
    if (code == MLF_E_UNSUPPORTED) { /* a server that said yes, before a store that cannot: whole, then */
        *handled = 0;
        return 0;
    }
    if (code && error && !error->code)
        *error = asked;
    const char *upload_id = json_string_value(json_object_get(created, "upload_id"));
    parts.credentials = json_object_get(created, "credentials");
    if (!code && (!upload_id || json_array_size(parts.credentials) != parts.count))
        code = mlf_error_set(error, MLF_E_REPLY, "mpu/create: expected an upload_id and %zu parts, got %zu", parts.count, json_array_size(parts.credentials));
    if (!code && !(parts.etags = sv_calloc(parts.count, sizeof *parts.etags)))
        code = mlf_error_memory(error);
    if (!code)
        code = mlf_parallel(parts.count, THREADS, put_part, &parts, error);
    if (!code)
        code = complete(&parts, path, upload_id, error);
    if (code && upload_id)
        call_about(NULL, store, "mpu/abort", path, json_pack("{s:s}", "upload_id", upload_id), NULL);
    sv_free(parts.etags);
    json_decref(created);
    return code;
}
