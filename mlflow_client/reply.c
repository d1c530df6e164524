#include "reply.h"

#include "client_error.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_ERROR_BODY = 1 << 20 };

/* The deepest nesting of brackets outside strings. jansson recurses, so it is looked at before it parses. */
static size_t nesting(const char *text, size_t length)
{
    size_t depth = 0, deepest = 0;
    int in_string = 0;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = 0;
        } else if (c == '"') {
            in_string = 1;
        } else if (c == '{' || c == '[') {
            if (++depth > deepest) deepest = depth;
        } else if ((c == '}' || c == ']') && depth) {
            depth--;
        }
    }
    return deepest;
}

static int looks_like_html(const char *text, size_t length)
{
    size_t i = 0;
    while (i < length && strchr(" \t\r\n", text[i]))
        i++;
    return i < length && text[i] == '<';
}

int mlf_reply_json(json_t **out, const char *text, size_t length, mlf_error *error)
{
    int start = length < 100 ? (int)length : 100; /* what of it a message shows */
    *out = NULL;
    if (!length) return (*out = json_object()) ? MLF_OK : mlf_error_memory(error);
    if (looks_like_html(text, length))
        return mlf_error_set_retriable(
            error, MLF_E_REPLY,
            "expected JSON, got a web page (a proxy or a login page between here and the server?): %.*s", start, text);
    size_t depth = nesting(text, length);
    if (depth > MLF_MAX_REPLY_DEPTH)
        return mlf_error_set(error, MLF_E_REPLY, "expected JSON nested at most %d deep, got %zu", MLF_MAX_REPLY_DEPTH,
                             depth);
    json_error_t where;
    json_t *json = json_loadb(text, length, JSON_ALLOW_NUL, &where);
    if (!json && json_error_code(&where) == json_error_out_of_memory) return mlf_error_memory(error);
    if (!json)
        return mlf_error_set(error, MLF_E_REPLY, "expected JSON, got %zu bytes that break at line %d, column %d: %s",
                             length, where.line, where.column, where.text);
    if (!json_is_object(json)) {
        json_decref(json);
        return mlf_error_set(error, MLF_E_REPLY, "expected a JSON object, got %.*s", start, text);
    }
    *out = json;
    return MLF_OK;
}

/* The parsed body of an error, NULL when it is no JSON object. */
static json_t *error_object(const char *body, size_t length)
{
    if (!body || !length || length > MAX_ERROR_BODY || body[0] != '{' || nesting(body, length) > MLF_MAX_REPLY_DEPTH)
        return NULL;
    json_t *json = json_loadb(body, length, JSON_ALLOW_NUL, NULL);
    if (json_is_object(json)) return json;
    json_decref(json);
    return NULL;
}

void mlf_reply_error_code(char *into, size_t size, const char *body, size_t length)
{
    json_t *json = error_object(body, length);
    const char *name = json_string_value(json_object_get(json, "error_code"));
    mlf_text_copy(into, size, name ? name : "", name ? strlen(name) : 0);
    json_decref(json);
}

/* What a person should read of the body: "message", FastAPI's "detail", else its first words without tags. */
static void error_message(char *into, size_t size, const json_t *json, const char *body, size_t length)
{
    const json_t *message = json_object_get(json, "message"), *detail = json_object_get(json, "detail");
    if (json_is_string(message)) {
        mlf_text_copy(into, size, json_string_value(message), json_string_length(message));
    } else if (json_is_string(detail)) {
        mlf_text_copy(into, size, json_string_value(detail), json_string_length(detail));
    } else if (detail) {
        size_t written = json_dumpb(detail, into, size - 1, JSON_COMPACT | JSON_ENCODE_ANY);
        into[written < size ? written : size - 1] = '\0';
    } else {
        const char *title = length ? memmem(body, length, "<title>", 7) : NULL; /* of a page, the title says enough */
        const char *end = title ? memmem(title, length - (size_t)(title - body), "</title>", 8) : NULL;
        if (end) {
            body = title;
            length = (size_t)(end - title);
        }
        size_t used = 0;
        int tag = 0, blank = 1;
        for (size_t i = 0; i < length && used + 1 < size && used < 300; i++) {
            char c = body[i];
            if (c == '<') tag = 1;
            int space = tag || (unsigned char)c <= ' ';
            if (!space || !blank) into[used++] = space ? ' ' : c;
            blank = space;
            if (c == '>') tag = 0;
        }
        into[used] = '\0';
    }
}

/* The name of the error decides where it is known, the status elsewhere. */
static int code_of(int status, const char *error_code, const char *message)
{
    static const struct {
        const char *name;
        int code;
    } known[] = {
        {"RESOURCE_DOES_NOT_EXIST", MLF_E_NOT_FOUND},
        {"NOT_FOUND", MLF_E_NOT_FOUND},
        {"RESOURCE_ALREADY_EXISTS", MLF_E_EXISTS},
        {"ALREADY_EXISTS", MLF_E_EXISTS},
        {"ENDPOINT_NOT_FOUND", MLF_E_UNSUPPORTED},
        {"NOT_IMPLEMENTED", MLF_E_UNSUPPORTED},
        {"FEATURE_DISABLED", MLF_E_UNSUPPORTED},
        {"PERMISSION_DENIED", MLF_E_AUTH},
        {"UNAUTHENTICATED", MLF_E_AUTH},
        {"CUSTOMER_UNAUTHORIZED", MLF_E_AUTH},
        {"INVALID_PARAMETER_VALUE", MLF_E_SERVER},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(error_code, known[i].name)) return known[i].code;
    if (status == 401 || status == 403 || status == 407) return MLF_E_AUTH;
    if (status == 404) return *error_code ? MLF_E_NOT_FOUND : MLF_E_UNSUPPORTED;
    if (status == 405 || status == 501) return MLF_E_UNSUPPORTED;
    if (status == 503 && strstr(message, "Endpoint") && strstr(message, "disabled"))
        return MLF_E_UNSUPPORTED; /* switched off */
    return MLF_E_SERVER;
}

static const char *hint_of(int code, int status)
{
    if (status == 401) return "; check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN";
    if (code == MLF_E_UNSUPPORTED && status == 404)
        return "; this server does not have that endpoint (an older version, or another path prefix)";
    return "";
}

int mlf_reply_error(mlf_error *error, const char *what, int status, const char *body, size_t length, int retriable)
{
    char error_code[sizeof error->error_code], message[sizeof error->message];
    json_t *json = error_object(body, length);
    const char *name = json_string_value(json_object_get(json, "error_code"));
    mlf_text_copy(error_code, sizeof error_code, name ? name : "", name ? strlen(name) : 0);
    error_message(message, sizeof message, json, body, body ? length : 0);
    int code = code_of(status, error_code, message);
    json_decref(json);
    if (error && error->code == MLF_OK) {
        mlf_error_set(error, code, "%s: %d %s%s%s%s", what, status, error_code, *error_code && *message ? ": " : "",
                      message, hint_of(code, status));
        error->http_status = status;
        error->retriable = retriable;
        memcpy(error->error_code, error_code, sizeof error_code);
    }
    return code;
}
