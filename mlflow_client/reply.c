#include "reply.h"

#include "client_error.h"
#include "error.h"
#include "json_text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_ERROR_BODY = 1 << 20 };

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
    json_t *json;
    mlf_json_fault fault;
    int code = mlf_json_parse(&json, text, length, 0, &fault);
    if (code == SV_E_MEMORY) return mlf_error_memory(error);
    if (code)
        return mlf_error_set(error, MLF_E_REPLY, "expected JSON, got %zu bytes that break at line %d, column %d: %s",
                             length, fault.line, fault.column, fault.why);
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
    json_t *json = NULL;
    if (body && length && length <= MAX_ERROR_BODY && body[0] == '{') mlf_json_parse(&json, body, length, 0, NULL);
    return json;
}

void mlf_reply_error_code(char *into, size_t size, const char *body, size_t length)
{
    json_t *json = error_object(body, length);
    const char *name = json_string_value(json_object_get(json, "error_code"));
    mlf_text_copy(into, size, name ? name : "", name ? strlen(name) : 0);
    json_decref(json);
}

/* What a person should read of the body: "message", FastAPI's "detail", OAuth's "error" and "error_description" (RFC 6749, 5.2), else its first words without tags. */
static void error_message(char *into, size_t size, const json_t *json, const char *body, size_t length)
{
    const json_t *message = json_object_get(json, "message"), *detail = json_object_get(json, "detail");
    const char *refusal = json_string_value(json_object_get(json, "error")), *why = json_string_value(json_object_get(json, "error_description"));
    if (json_is_string(message)) {
        mlf_text_copy(into, size, json_string_value(message), json_string_length(message));
    } else if (json_is_string(detail)) {
        mlf_text_copy(into, size, json_string_value(detail), json_string_length(detail));
    } else if (detail) {
        size_t written = json_dumpb(detail, into, size - 1, JSON_COMPACT | JSON_ENCODE_ANY);
        into[written < size ? written : size - 1] = '\0';
    } else if (refusal) {
        char text[sizeof((mlf_error *)0)->message];
        int written = snprintf(text, sizeof text, "%s%s%s", refusal, why ? ": " : "", why ? why : "");
        mlf_text_copy(into, size, text, written < (int)sizeof text ? (size_t)written : sizeof text - 1);
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

static const char *hint_of(int code, int status, const char *message)
{
    if (status == 401) return "; check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN";
    if (status == 403 && !strncmp(message, "Permission denied", 17)) /* MLflow's own words; it says 403 of a host name, too */
        return "; the login is right, but its user may not do this: ask the server's administrator for the permission";
    if (code == MLF_E_UNSUPPORTED && status == 404)
        return "; this server does not have that endpoint (an older version, or another path prefix)";
    return "";
}

/* MLflow names an error_code in all that it refuses, but for logins. Anything else is of somebody on the way (a proxy whose server is being moved answers 404), or of a
   server that has no such address; in either case it says nothing of what was asked, which may pass. */
static int is_strangers(int status, const char *error_code)
{
    return status >= 300 && status < 500 && !*error_code && status != 401 && status != 403;
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
                      message, hint_of(code, status, message));
        error->http_status = status;
        error->retriable = retriable || is_strangers(status, error_code);
        memcpy(error->error_code, error_code, sizeof error_code);
    }
    return code;
}
