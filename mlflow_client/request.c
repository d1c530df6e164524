/* Endpoints by name (mlf_call) and by method and path (mlf_request). */
#include "alloc.h"
#include "client.h"
#include "client_error.h"
#include "endpoints.h"
#include "fields.h"
#include "json_text.h"
#include "object.h"
#include "secret.h"
#include "url.h"

#include <stdlib.h>
#include <string.h>

int mlf_call(mlf_object **reply, mlf_client *client, const char *endpoint, const mlf_object *arguments,
             mlf_error *error)
{
    const mlf_endpoint *row = endpoint ? mlf_endpoint_named(endpoint) : NULL;
    json_t *json = NULL;
    if (reply) *reply = NULL;
    if (!row)
        return mlf_error_set(error, MLF_E_ARGUMENT,
                             "there is no endpoint \"%.80s\"; `mlflowc endpoints` shows them", endpoint ? endpoint : "");
    if (row->flags & MLF_EP_RAW)
        return mlf_error_set(error, MLF_E_ARGUMENT, "%s answers no JSON: use mlf_request() or the artifact functions",
                             endpoint);
    int code = mlf_endpoint_call(&json, client, row,
                                 arguments ? json_deep_copy(mlf_object_json(arguments)) : json_object(), error);
    if (reply)
        *reply = mlf_object_of(json);
    else
        json_decref(json);
    return code;
}

int mlf_endpoint_describe(mlf_endpoint_info *out, size_t i)
{
    memset(out, 0, sizeof *out);
    if (i >= MLF_N_ENDPOINTS) return MLF_E_END;
    const mlf_endpoint *row = mlf_endpoint_at(i);
    *out = (mlf_endpoint_info){.name = row->name,
                               .method = row->method,
                               .path = row->path,
                               .group = row->group,
                               .fields = row->fields,
                               .reply = row->reply,
                               .purpose = row->purpose,
                               .since_major = row->since / 100,
                               .since_minor = row->since % 100,
                               .idempotent = !(row->flags & MLF_EP_ONCE)};
    return MLF_OK;
}

/* The body as an object, checked where the table knows the endpoint. */
static int check_body(json_t **out, const mlf_endpoint *row, const char *body, size_t length, mlf_error *error)
{
    mlf_json_fault fault;
    int parsed = mlf_json_parse(out, body, length, 1, &fault);
    if (parsed == SV_E_MEMORY) return mlf_error_memory(error);
    if (parsed)
        return mlf_error_set(error, MLF_E_ARGUMENT,
                             "body: no JSON at line %d, column %d: %s (numbers that are none are written \"NaN\", "
                             "\"Infinity\", \"-Infinity\" in quotes)",
                             fault.line, fault.column, fault.why);
    int code = json_is_object(*out) ? MLF_OK : mlf_error_set(error, MLF_E_ARGUMENT, "body: expected a JSON object");
    if (!code && row) code = mlf_fields_check(row->fields, *out, 1, error);
    return code;
}

/* path/to?query without the query, in a buffer. */
static const mlf_endpoint *row_of(const char *method, const char *path, sv_buffer *plain)
{
    if (sv_buffer_append(plain, path, strcspn(path, "?"))) return NULL;
    return mlf_endpoint_matching(method, plain->data);
}

/* Path parameters count as given: required fields that stand in the path are not asked for in the body. */
static void add_path_parameters(json_t *arguments, const mlf_endpoint *row)
{
    for (const char *at = row ? row->path : ""; (at = strchr(at, '{')); at++) {
        size_t length = strcspn(at + 1, "*}");
        if (!json_object_getn(arguments, at + 1, length))
            json_object_setn_new(arguments, at + 1, length, json_string("-"));
    }
}

int mlf_request(char **reply, mlf_client *client, const char *method, const char *path, const char *body,
                mlf_error *error)
{
    char *bytes = NULL;
    size_t length = 0;
    int code = mlf_request_bytes(reply ? &bytes : NULL, &length, client, method, path, body, body ? strlen(body) : 0, error);
    if (!code && bytes && strlen(bytes) != length) {
        code = mlf_error_set(error, MLF_E_REPLY, "%s %.300s: the answer is no text (a NUL at byte %zu of %zu): mlf_request_bytes() takes any", method, path, strlen(bytes), length);
        mlf_free(bytes);
        bytes = NULL;
    }
    if (reply) *reply = bytes;
    return code;
}

int mlf_request_bytes(char **reply, size_t *length, mlf_client *client, const char *method, const char *path, const void *body, size_t body_bytes,
                      mlf_error *error)
{
    sv_buffer plain = SV_BUFFER_INIT(65536), url = SV_BUFFER_INIT(65536);
    mlf_http_reply http = MLF_HTTP_REPLY_INIT;
    json_t *arguments = NULL, *checked = NULL;
    int code = MLF_OK, is_get = method && !strcmp(method, "GET");
    if (reply) *reply = NULL;
    if (length) *length = 0;
    if (!method || !path) return mlf_error_set(error, MLF_E_ARGUMENT, "a request needs a method and a path");
    if (path[0] != '/') {
        char *shown = sv_secret_hidden(path);
        code = mlf_error_set(error, MLF_E_ARGUMENT,
                             "path \"%.200s\": expected it to begin with '/', as in /api/2.0/mlflow/runs/get",
                             shown ? shown : "***");
        sv_free(shown);
    }
    const mlf_endpoint *row = code ? NULL : row_of(method, path, &plain);
    int raw = row && row->flags & MLF_EP_RAW && !is_get;
    if (!code && sv_buffer_text(&url, path)) code = mlf_error_memory(error);
    if (!code && body && !raw) {
        code = check_body(&arguments, NULL, body, body_bytes, error);
        checked = code ? NULL : json_copy(arguments);
        if (checked) add_path_parameters(checked, row);
        /* With a query in the path as well, what is required may stand there. */
        if (checked && row && !strchr(path, '?')) code = mlf_fields_check(row->fields, checked, 1, error);
    }
    if (!code && is_get && arguments) code = mlf_url_query(&url, arguments, error);
    if (!code) {
        mlf_http_call call = {.method = method,
                              .url = url.data,
                              .flags = row && row->flags & MLF_EP_ONCE ? MLF_HTTP_ONCE : (mlf_http_flags)0,
                              .content_type = raw ? "application/octet-stream" : NULL};
        if (body && !is_get) call.body = body, call.body_bytes = (int64_t)body_bytes;
        code = mlf_http(client, &call, &http, error);
    }
    if (!code && length) *length = http.body.size;
    if (!code && reply && !sv_buffer_append(&http.body, "", 0)) *reply = sv_buffer_take(&http.body);
    if (!code && reply && !*reply) code = mlf_error_memory(error);
    mlf_http_reply_free(&http);
    sv_buffer_free(&plain);
    sv_buffer_free(&url);
    json_decref(arguments);
    json_decref(checked);
    return code;
}
