/* store_proxy.c: mlflow-artifacts: (the tracking server's own tree) and http(s): addresses, which speak the same verbs (PROTOCOL 9).
   Left out: WebDAV and other ways of writing over HTTP. Big files go up in parts where the server says that it can (proxy_parts.c). */
#include "alloc.h"
#include "client_error.h"
#include "file.h"
#include "mime.h"
#include "proxy.h"
#include "ranged.h"
#include "reply.h"
#include "url.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "http://host:port" of a host-addressed mlflow-artifacts: URI is the tracking server's scheme and path with another host. */
static int other_host(sv_buffer *base, const mlf_store *store, const mlf_uri *uri, mlf_error *error)
{
    const char *tracking = mlf_client_tracking_uri(store->client);
    size_t origin = mlf_url_origin_length(tracking), length = strlen(uri->authority);
    const char *host = strstr(tracking, "://");
    if (!origin || !host)
        return mlf_error_set(error, MLF_E_ARGUMENT, "%.300s: needs an http(s) tracking server, got '%.200s'", store->uri, tracking);
    if (strspn(uri->authority, "0123456789") == length)
        return mlf_error_set(error, MLF_E_ARGUMENT, "%.300s: expected a host, got the number %.60s", store->uri, uri->authority);
    int bad = sv_buffer_append(base, tracking, (size_t)(host - tracking) + 3) || sv_buffer_text(base, uri->authority) || sv_buffer_text(base, tracking + origin);
    return bad ? mlf_error_memory(error) : 0;
}

static int proxy_open(mlf_store *store, const mlf_uri *uri, mlf_error *error)
{
    mlf_proxy *proxy = sv_calloc(1, sizeof *proxy);
    sv_buffer base = SV_BUFFER_INIT(4 * MLF_URI_MAX_BYTES);
    int code = proxy ? 0 : mlf_error_memory(error), is_proxied = !strcmp(uri->scheme, "mlflow-artifacts");
    if (!code && is_proxied) {
        code = *uri->authority ? other_host(&base, store, uri, error) : 0;
        if (!code && sv_buffer_text(&base, MLF_PROXY_API))
            code = mlf_error_memory(error);
    } else if (!code && (!*uri->authority || sv_buffer_format(&base, "%s://%s", uri->scheme, uri->authority)))
        code = mlf_error_set(error, MLF_E_ARGUMENT, "%.300s: names no host", store->uri);
    if (!code) {
        const char *path = uri->path + strspn(uri->path, is_proxied ? "/" : "");
        proxy->base = sv_buffer_take(&base);
        proxy->root = sv_strdup(path);
        proxy->query = sv_strdup(uri->query);
        proxy->is_proxied = is_proxied;
        proxy->flags = is_proxied || mlf_url_same_origin(proxy->base, mlf_client_tracking_uri(store->client)) ? 0 : MLF_HTTP_NO_AUTH;
        if (!proxy->base || !proxy->root || !proxy->query)
            code = mlf_error_memory(error);
    }
    sv_buffer_free(&base);
    store->state = proxy;
    if (code)
        mlf_proxy_free(proxy);
    return code;
}

void mlf_proxy_free(mlf_proxy *proxy)
{
    if (!proxy)
        return;
    sv_free(proxy->base);
    sv_free(proxy->root);
    sv_free(proxy->query);
    sv_free(proxy);
}

static void proxy_close(mlf_store *store)
{
    mlf_proxy_free(store->state);
}

/* Names that the server would store as others (PROTOCOL 9: it decodes % escapes repeatedly, and refuses '#'). */
int mlf_proxy_check_name(const char *path, mlf_error *error)
{
    if (*path && !sv_path_is_inside(path))
        return mlf_error_set(error, MLF_E_ARGUMENT, "'%.300s': an artifact path that does not stay inside its folder", path);
    for (const char *p = path; *p; p++)
        if (*p == '#' || (*p == '%' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2])))
            return mlf_error_set(error, MLF_E_ARGUMENT, "'%.300s': MLflow's artifact server cannot keep a name with '#' or '%%' and two hexadecimal digits", path);
    return 0;
}

/* The address of path, for which `what` stands in the API's path ("artifacts", "mpu/create"…). The caller's; NULL with *error filled. */
char *mlf_proxy_url(const mlf_proxy *proxy, const char *what, const char *path, mlf_error *error)
{
    sv_buffer url = SV_BUFFER_INIT(8 * MLF_URI_MAX_BYTES);
    int bad = sv_buffer_text(&url, proxy->base);
    if (proxy->is_proxied) {
        char *whole = mlf_uri_join(proxy->root, path);
        bad = bad || !whole || sv_buffer_text(&url, what) || sv_buffer_byte(&url, '/') || mlf_url_encode(&url, whole, 1);
        sv_free(whole);
    } else { /* what stands in the address is as its author wrote it */
        bad = bad || sv_buffer_text(&url, proxy->root);
        if (*path && (!url.size || url.data[url.size - 1] != '/'))
            bad = bad || sv_buffer_byte(&url, '/');
        bad = bad || mlf_url_encode(&url, path, 1) || (*proxy->query && (sv_buffer_byte(&url, '?') || sv_buffer_text(&url, proxy->query)));
    }
    char *text = bad ? NULL : sv_buffer_take(&url);
    sv_buffer_free(&url);
    if (!text)
        mlf_error_memory(error);
    return text;
}

/* ---- listing ---- */

static char *list_url(const mlf_proxy *proxy, const char *path, mlf_error *error)
{
    sv_buffer url = SV_BUFFER_INIT(8 * MLF_URI_MAX_BYTES);
    char *folder = mlf_uri_join(proxy->is_proxied ? proxy->root : "", path);
    int bad = !folder || sv_buffer_text(&url, proxy->base) || sv_buffer_text(&url, proxy->is_proxied ? "artifacts" : proxy->root) ||
              sv_buffer_text(&url, "?path=") || mlf_url_encode(&url, folder, 0);
    char *text = bad ? NULL : sv_buffer_take(&url);
    sv_buffer_free(&url);
    sv_free(folder);
    if (!text)
        mlf_error_memory(error);
    return text;
}

/* One level of {"files": [{path, is_dir, file_size}]}; what is of another shape is refused. */
static int tell_files(const json_t *reply, mlf_entry_fn *each, void *context, mlf_error *error)
{
    const json_t *files = json_object_get(reply, "files");
    if (!files)
        return 0;
    if (!json_is_array(files))
        return mlf_error_set(error, MLF_E_REPLY, "a listing of artifacts: expected a list of files");
    int code = 0;
    for (size_t i = 0; !code && i < json_array_size(files); i++) {
        const json_t *file = json_array_get(files, i), *size = json_object_get(file, "file_size");
        const char *name = json_string_value(json_object_get(file, "path"));
        int is_dir = json_is_true(json_object_get(file, "is_dir"));
        if (!name)
            return mlf_error_set(error, MLF_E_REPLY, "a listing of artifacts: entry %zu has no path", i);
        int64_t bytes = json_is_integer(size) ? (int64_t)json_integer_value(size) : json_is_string(size) ? strtoll(json_string_value(size), NULL, 10) : 0;
        const mlf_entry entry = {name, is_dir, is_dir || bytes < 0 ? -1 : bytes};
        code = each(context, &entry, error);
    }
    return code;
}

int mlf_proxy_read_listing(const char *text, size_t length, mlf_entry_fn *each, void *context, mlf_error *error)
{
    json_t *json = NULL;
    int code = mlf_reply_json(&json, text, length, error);
    if (!code)
        code = tell_files(json, each, context, error);
    json_decref(json);
    return code;
}

static int proxy_list(mlf_store *store, const char *path, mlf_entry_fn *each, void *context, mlf_error *error)
{
    const mlf_proxy *proxy = store->state;
    char *url = list_url(proxy, path, error);
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    const mlf_http_call call = {.method = "GET", .url = url, .max_retries = store->max_retries, .flags = proxy->flags};
    int code = url ? mlf_http(store->client, &call, &reply, error) : MLF_E_MEMORY;
    if (!code)
        code = mlf_proxy_read_listing(reply.body.data ? reply.body.data : "", reply.body.size, each, context, error);
    mlf_http_reply_free(&reply);
    sv_free(url);
    return code;
}

/* ---- files ---- */

static int proxy_get(mlf_store *store, const char *path, int64_t offset, mlf_object *object, mlf_bytes_fn *each, void *context, mlf_error *error)
{
    const mlf_proxy *proxy = store->state;
    char *url = mlf_proxy_url(proxy, "artifacts", path, error);
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    mlf_http_call call = {.url = url, .max_retries = store->max_retries, .flags = proxy->flags};
    int code = url ? mlf_ranged_get(store, &call, &reply, offset, object, NULL, each, context, error) : MLF_E_MEMORY;
    if (reply.status == 404 && error) {
        mlf_error_clear(error);
        code = mlf_error_set(error, MLF_E_NOT_FOUND, "%.300s: no such artifact%s%.200s (404)", store->uri, *path ? " " : "", path);
        error->http_status = 404;
    }
    mlf_http_reply_free(&reply);
    sv_free(url);
    return code;
}

/* MLflow answers {}; a page with status 200 is of somebody on the way, who kept nothing. Any other server may say what it likes. */
static int check_taken(const mlf_proxy *proxy, const char *url, const mlf_http_reply *reply, mlf_error *error)
{
    json_t *json = NULL;
    int code = proxy->is_proxied ? mlf_reply_json(&json, reply->body.data ? reply->body.data : "", reply->body.size, error) : 0;
    if (code)
        mlf_error_prefix(error, "%.600s: ", url);
    json_decref(json);
    return code;
}

static int put_whole(mlf_store *store, const char *path, int fd, int64_t size, mlf_error *error)
{
    const mlf_proxy *proxy = store->state;
    char *url = mlf_proxy_url(proxy, "artifacts", path, error);
    mlf_sending sending = {store, 0};
    const mlf_http_call call = {.method = "PUT", .url = url, .max_retries = store->max_retries, .flags = proxy->flags | MLF_HTTP_STREAM, .body_fd = fd, .has_body_fd = 1, .body_bytes = size,
                                .content_type = mlf_mime_type(*path ? path : proxy->root), .progress = mlf_sending_progress, .progress_context = &sending};
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    int code = url ? mlf_http(store->client, &call, &reply, error) : MLF_E_MEMORY;
    if (!code)
        code = check_taken(proxy, url, &reply, error);
    mlf_http_reply_free(&reply);
    sv_free(url);
    return code;
}

static int proxy_put(mlf_store *store, const char *path, int fd, int64_t size, mlf_error *error)
{
    int handled = 0, code = mlf_proxy_check_name(path, error);
    if (!code)
        code = mlf_proxy_put_parts(&handled, store, path, fd, size, error);
    return code || handled ? code : put_whole(store, path, fd, size, error);
}

static int proxy_remove(mlf_store *store, const char *path, mlf_error *error)
{
    const mlf_proxy *proxy = store->state;
    char *url = mlf_proxy_url(proxy, "artifacts", path, error);
    const mlf_http_call call = {.method = "DELETE", .url = url, .max_retries = store->max_retries, .flags = proxy->flags};
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    int code = url ? mlf_http(store->client, &call, &reply, error) : MLF_E_MEMORY;
    if (!code)
        code = check_taken(proxy, url, &reply, error);
    mlf_http_reply_free(&reply);
    sv_free(url);
    return code;
}

/* ---- an upload of unknown size: MLflow needs a Content-Length, so the bytes wait in a file that has no name ---- */

struct mlf_upload {
    mlf_store *store;
    char *path;
    int fd;
    int64_t bytes;
};

static void proxy_abort(mlf_upload *upload)
{
    if (upload->fd >= 0)
        close(upload->fd);
    sv_free(upload->path);
    sv_free(upload);
}

static int proxy_begin(mlf_upload **out, mlf_store *store, const char *path, mlf_error *error)
{
    int code = mlf_proxy_check_name(path, error);
    mlf_upload *upload = code ? NULL : sv_calloc(1, sizeof *upload);
    if (code || !upload)
        return code ? code : mlf_error_memory(error);
    const char *folder = getenv("TMPDIR");
    char *name = mlf_uri_join(folder && *folder ? folder : "/tmp", "mlf-upload-XXXXXX");
    upload->store = store;
    upload->path = sv_strdup(path);
    upload->fd = name ? mkostemp(name, O_CLOEXEC) : -1;
    if (upload->fd >= 0)
        unlink(name);
    if (!upload->path || !name)
        code = mlf_error_memory(error);
    else if (upload->fd < 0)
        code = mlf_error_set(error, MLF_E_IO, "%.300s: cannot be written: %s", name, strerror(errno));
    sv_free(name);
    if (code)
        proxy_abort(upload);
    else
        *out = upload;
    return code;
}

static int proxy_write(mlf_upload *upload, const void *bytes, size_t length, mlf_error *error)
{
    for (const char *from = bytes; length;) {
        ssize_t put = write(upload->fd, from, length);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return mlf_error_set(error, MLF_E_IO, "the file that collects an upload: cannot be written: %s", strerror(errno));
        from += put;
        length -= (size_t)put;
        upload->bytes += put;
    }
    return 0;
}

static int proxy_commit(mlf_upload *upload, mlf_error *error)
{
    return proxy_put(upload->store, upload->path, upload->fd, upload->bytes, error);
}

const mlf_store_ops MLF_STORE_PROXY = {
    .schemes = "mlflow-artifacts http https",
    .open = proxy_open,
    .close = proxy_close,
    .list = proxy_list,
    .get = proxy_get,
    .check_name = mlf_proxy_check_name,
    .put = proxy_put,
    .remove = proxy_remove,
    .begin = proxy_begin,
    .write = proxy_write,
    .commit = proxy_commit,
    .abort = proxy_abort,
};
