/* guard.c: see guard.h. Keys are kept and compared as SHA-256 alone, in a time that does not depend on them. */
#include "guard.h"

#include "alloc.h"
#include "clock.h"
#include "json_out.h"
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#define DIGEST_BYTES 32
#define LINE_MAX_BYTES 4096

struct sv_guard {
    const sv_serve_config *config;
    unsigned char (*digests)[DIGEST_BYTES]; /* (config->api_keys.n) */
    int log_fd;                             /* -1: none */
};

static unsigned char nibble(char c)
{
    return (unsigned char)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

int sv_guard_new(sv_guard **out, const sv_serve_config *config, sv_error *error)
{
    sv_guard *guard = sv_calloc(1, sizeof *guard);
    if (guard)
        guard->digests = sv_calloc(config->api_keys.n + 1, DIGEST_BYTES);
    if (!guard || !guard->digests) {
        sv_guard_free(guard);
        return sv_error_set(error, SV_E_MEMORY, "out of memory");
    }
    guard->config = config;
    guard->log_fd = -1;
    for (size_t k = 0; k < config->api_keys.n; k++)
        for (size_t i = 0; i < DIGEST_BYTES; i++)
            guard->digests[k][i] = (unsigned char)(nibble(config->api_keys.texts[k][i * 2]) << 4 | nibble(config->api_keys.texts[k][i * 2 + 1]));
    if (config->access_log) {
        int to_stderr = strcmp(config->access_log, "-") == 0;
        guard->log_fd = to_stderr ? dup(STDERR_FILENO) : open(config->access_log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (guard->log_fd < 0) {
            int code = sv_error_set(error, SV_E_IO, "access_log %s: %s", config->access_log, strerror(errno));
            sv_guard_free(guard);
            return code;
        }
    }
    *out = guard;
    return 0;
}

void sv_guard_free(sv_guard *guard)
{
    if (!guard)
        return;
    if (guard->log_fd >= 0)
        close(guard->log_fd);
    sv_free(guard->digests);
    sv_free(guard);
}

/* ---- keys ---- */

static int is_open_path(sv_span path)
{
    return sv_span_is(path, "/ping") || sv_span_is(path, "/health") || sv_span_starts(path, "/v2/health/");
}

static sv_span given_key(const sv_http_request *request)
{
    sv_span authorization = sv_http_header_value(request, "authorization");
    if (authorization.size > 7 && strncasecmp(authorization.text, "bearer ", 7) == 0)
        return (sv_span){authorization.text + 7, authorization.size - 7};
    return sv_http_header_value(request, "x-api-key");
}

static int key_is_known(const sv_guard *guard, sv_span key)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    int known = 0;
    if (!key.text || !EVP_Digest(key.text, key.size, digest, &size, EVP_sha256(), NULL))
        return 0;
    for (size_t k = 0; k < guard->config->api_keys.n; k++)
        known |= sv_secret_equal(digest, guard->digests[k], DIGEST_BYTES);
    return known;
}

/* ---- origins ---- */

static int origin_is_known(const sv_guard *guard, sv_span origin)
{
    for (size_t i = 0; i < guard->config->cors_origins.n; i++)
        if (strcmp(guard->config->cors_origins.texts[i], "*") == 0 || sv_span_is(origin, guard->config->cors_origins.texts[i]))
            return 1;
    return 0;
}

/* 1 when this was a preflight, which is answered. */
static int answer_origin(const sv_guard *guard, const sv_http_request *request, sv_reply *reply)
{
    sv_span origin = sv_http_header_value(request, "origin");
    if (!origin.text || !origin_is_known(guard, origin))
        return 0;
    sv_reply_field(reply, "Access-Control-Allow-Origin", origin);
    sv_reply_field(reply, "Access-Control-Expose-Headers", sv_span_of("X-Request-Id, X-Model-Name, X-Model-Version, X-Run-Id, X-Model-Id"));
    sv_reply_field(reply, "Vary", sv_span_of("Origin"));
    if (!sv_span_is(request->method, "OPTIONS") || !sv_http_header_value(request, "access-control-request-method").text)
        return 0;
    sv_reply_field(reply, "Access-Control-Allow-Methods", sv_span_of("GET, POST"));
    sv_reply_field(reply, "Access-Control-Allow-Headers", sv_span_of("Content-Type, Authorization, X-API-Key, X-Request-Id, X-Split-Key, traceparent"));
    sv_reply_field(reply, "Access-Control-Max-Age", sv_span_of("600"));
    sv_reply_text(reply, 204, NULL, "");
    return 1;
}

int sv_guard_check(const sv_guard *guard, const sv_http_request *request, sv_reply *reply)
{
    if (guard->config->cors_origins.n && answer_origin(guard, request, reply))
        return 1;
    if (!guard->config->api_keys.n || is_open_path(request->path) || key_is_known(guard, given_key(request)))
        return 0;
    sv_reply_detail(reply, 401, "a known API key is required: Authorization: Bearer KEY");
    sv_reply_field(reply, "WWW-Authenticate", sv_span_of("Bearer"));
    return 1;
}

/* ---- the log ---- */

static void put(sv_buffer *line, const char *name, sv_span value)
{
    sv_buffer_format(line, ",\"%s\":", name);
    sv_json_write_text(line, value.size > 300 ? (sv_span){value.text, 300} : value);
}

void sv_guard_log(const sv_guard *guard, const sv_access *access)
{
    const sv_http_request *request = access->request;
    if (guard->log_fd < 0)
        return;
    sv_buffer line = SV_BUFFER_INIT(LINE_MAX_BYTES);
    sv_span id = access->id.text ? access->id : sv_http_header_value(request, "x-request-id"), trace = sv_http_header_value(request, "traceparent");
    sv_buffer_format(&line, "{\"time_ms\":%lld,\"status\":%d,\"us\":%.1f,\"in\":%zu,\"out\":%zu", (long long)sv_epoch_ms(), access->reply->status,
                     (double)access->took_ns / 1000, request->body.size, access->reply->body.size);
    put(&line, "peer", sv_span_of(access->peer));
    put(&line, "method", request->method);
    put(&line, "path", request->path);
    if (access->version)
        put(&line, "version", sv_span_of(access->version));
    if (id.text)
        put(&line, "request_id", id);
    if (trace.text)
        put(&line, "traceparent", trace);
    sv_buffer_text(&line, "}\n");
    if (line.size && write(guard->log_fd, line.data, line.size) < 0)
        (void)0; /* a full disk must not stop answers */
    sv_buffer_free(&line);
}
