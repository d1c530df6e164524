#include "endpoints.h"

#include "alloc.h"
#include "client.h"
#include "client_error.h"
#include "fields.h"
#include "object.h"
#include "reply.h"
#include "url.h"

#include <stdio.h>
#include <string.h>

#define ONCE MLF_EP_ONCE
#define RAW MLF_EP_RAW
#define OPEN MLF_EP_OPEN
#define LARGE MLF_EP_LARGE
#define AUTH MLF_EP_AUTH
#define DEAD MLF_EP_DEAD

static const mlf_endpoint endpoints[] = {
#define E(name, method, ...) {#name, #method, __VA_ARGS__},
#include "endpoints.def"
#undef E
};

const mlf_endpoint *mlf_endpoint_at(size_t i)
{
    return &endpoints[i];
}

const mlf_endpoint *mlf_endpoint_named(const char *name)
{
    for (size_t i = 0; i < MLF_N_ENDPOINTS; i++)
        if (!strcmp(endpoints[i].name, name)) return &endpoints[i];
    return NULL;
}

/* 1 when the path fits the template: {x} takes one segment, {x*} one or more. */
static int fits(const char *template, const char *path)
{
    for (; *template; template ++) {
        if (*template != '{') {
            if (*template != *path++) return 0;
            continue;
        }
        const char *close = strchr(template, '}');
        int many = close[-1] == '*';
        template = close;
        for (size_t length = 1; path[length - 1] && (many || path[length - 1] != '/'); length++)
            if (fits(close + 1, path + length)) return 1;
        return 0;
    }
    return !*path;
}

/* The most literal row wins: "…/traces/get" before "…/traces/{trace_id}". */
const mlf_endpoint *mlf_endpoint_matching(const char *method, const char *path)
{
    const mlf_endpoint *best = NULL;
    size_t fewest = SIZE_MAX;
    for (size_t i = 0; i < MLF_N_ENDPOINTS; i++) {
        size_t parameters = 0;
        for (const char *c = endpoints[i].path; *c; c++)
            parameters += *c == '{' ? 1 : *c == '*' ? 8 : 0;
        if (parameters < fewest && !strcmp(endpoints[i].method, method) && fits(endpoints[i].path, path)) {
            best = &endpoints[i];
            fewest = parameters;
        }
    }
    return best;
}

int mlf_endpoint_list(const mlf_endpoint *endpoint, char *into, size_t size)
{
    for (const char *at = endpoint->reply; *at; at += strcspn(at, " "), at += *at == ' ') {
        size_t length = strcspn(at, " *");
        if (at[length] != '*' || length >= size) continue;
        memcpy(into, at, length);
        into[length] = '\0';
        return 0;
    }
    return -1;
}

/* ---- the call ---- */

static int append_path(sv_buffer *url, const mlf_endpoint *endpoint, json_t *arguments, mlf_error *error)
{
    for (const char *at = endpoint->path; *at;) {
        size_t literal = strcspn(at, "{");
        if (sv_buffer_append(url, at, literal)) return mlf_error_memory(error);
        at += literal;
        if (!*at) break;
        size_t name = strcspn(at + 1, "*}");
        const json_t *value = json_object_getn(arguments, at + 1, name);
        const char *text = json_string_value(value);
        char number[32];
        if (json_is_integer(value))
            snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value)), text = number;
        if (!text || !*text)
            return mlf_error_set(error, MLF_E_ARGUMENT,
                                 "%s: field \"%.*s\" belongs into the path and must not be empty", endpoint->name,
                                 (int)name, at + 1);
        if (!strcmp(text, ".") || !strcmp(text, ".."))
            return mlf_error_set(error, MLF_E_ARGUMENT, "%s: \"%s\" cannot stand in a path", endpoint->name, text);
        if (mlf_url_encode(url, text, at[1 + name] == '*')) return mlf_error_memory(error);
        at = strchr(at, '}') + 1;
    }
    return MLF_OK;
}

/* What stands in the path need not stand in the query too; a JSON body keeps it, for some endpoints want it in both
 * places. */
static void drop_path_parameters(const mlf_endpoint *endpoint, json_t *arguments)
{
    for (const char *at = endpoint->path; (at = strchr(at, '{')); at++) {
        char name[64];
        size_t length = strcspn(at + 1, "*}");
        if (length >= sizeof name) continue;
        memcpy(name, at + 1, length);
        name[length] = '\0';
        json_object_del(arguments, name);
    }
}

int mlf_endpoint_call(json_t **reply, mlf_client *client, const mlf_endpoint *endpoint, json_t *arguments,
                      mlf_error *error)
{
    sv_buffer path = SV_BUFFER_INIT(65536);
    int code = MLF_OK;
    if (reply) *reply = NULL;
    if (!arguments)
        code = mlf_error_set(error, MLF_E_ARGUMENT, "%s: an argument is missing or no valid UTF-8", endpoint->name);
    if (!code) code = mlf_fields_check(endpoint->fields, arguments, endpoint->flags & MLF_EP_OPEN, error);
    if (code) mlf_error_prefix(error, "%s: ", endpoint->name);
    if (!code) code = append_path(&path, endpoint, arguments, error);
    if (!code) {
        if (!strcmp(endpoint->method, "GET") || endpoint->flags & MLF_EP_OPEN)
            drop_path_parameters(endpoint, arguments);
        int flags = (endpoint->flags & MLF_EP_ONCE ? MLF_HTTP_ONCE : 0) | (endpoint->flags & MLF_EP_LARGE ? MLF_HTTP_LARGE : 0);
        if (!strcmp(endpoint->group, "registered-models") || !strcmp(endpoint->group, "model-versions") ||
            !strcmp(endpoint->group, "aliases") || !strcmp(endpoint->group, "webhooks"))
            flags |= MLF_HTTP_REGISTRY;
        code = mlf_json_call(reply, client, endpoint->method, path.data, arguments, (mlf_http_flags)flags, error);
    }
    if (code == MLF_E_UNSUPPORTED && error && (error->http_status == 404 || error->http_status == 405))
        mlf_error_prefix(error, "%s needs MLflow %d.%d or later: ", endpoint->name, endpoint->since / 100,
                         endpoint->since % 100);
    sv_buffer_free(&path);
    json_decref(arguments);
    return code;
}

int mlf_endpoint_object(mlf_object **out, mlf_client *client, const mlf_endpoint *endpoint, json_t *arguments,
                        const char *path, mlf_error *error)
{
    json_t *reply;
    *out = NULL;
    int code = mlf_endpoint_call(&reply, client, endpoint, arguments, error);
    if (code) return code;
    json_t *found = mlf_json_at(reply, path);
    if (json_is_object(found))
        *out = mlf_object_of(json_incref(found));
    else
        code = mlf_error_set(error, MLF_E_REPLY, "%s: the answer has no object \"%s\"", endpoint->name, path);
    json_decref(reply);
    return code;
}

int mlf_endpoint_text(char **out, mlf_client *client, const mlf_endpoint *endpoint, json_t *arguments, const char *path,
                      mlf_error *error)
{
    json_t *reply;
    *out = NULL;
    int code = mlf_endpoint_call(&reply, client, endpoint, arguments, error);
    if (code) return code;
    const char *found = json_string_value(mlf_json_at(reply, path));
    if (!found)
        code = mlf_error_set(error, MLF_E_REPLY, "%s: the answer has no text \"%s\"", endpoint->name, path);
    else if (!(*out = sv_strdup(found)))
        code = mlf_error_memory(error);
    json_decref(reply);
    return code;
}
