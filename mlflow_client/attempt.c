#include "attempt.h"

#include "alloc.h"
#include "client_error.h"
#include "clock.h"
#include "thread.h"
#include "url.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DEFAULT_REPLY_BYTES = 64 << 20,
    MOST_REPLY_BYTES = 1 << 30,
    MAX_HEADER_BYTES = 256 << 10,
    MAX_REDIRECTS = 10,
    SILENCE = 256, /* bytes a second: who sends no more, byte by byte, says nothing */
    STREAM_BUFFER = 512 << 10,
    MAX_IDLE_S = 3
};

typedef struct attempt {
    mlf_channel *channel;
    const mlf_settings *settings;
    const atomic_int *client_stopped;
    const mlf_http_call *call;
    mlf_http_reply *reply;
    struct curl_slist *headers;
    int64_t position; /* of the request body */
    int begun;        /* the sink was told where the bytes begin */
    mlf_stop stopped;
} attempt;

/* ---- sockets ---- */

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    mlf_channel *channel = context;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    for (int i = 0; fd >= 0 && purpose == CURLSOCKTYPE_IPCXN && i < MLF_CHANNEL_SOCKETS; i++)
        if (channel->sockets[i] < 0) {
            channel->sockets[i] = fd;
            break;
        }
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int close_socket(void *context, curl_socket_t fd)
{
    mlf_channel *channel = context;
    for (int i = 0; i < MLF_CHANNEL_SOCKETS; i++)
        if (channel->sockets[i] == fd) channel->sockets[i] = -1;
    return close(fd);
}

/* The server sends head and body as two segments and, by Nagle, holds the second until the first is acknowledged, which
   the kernel here puts off for 40 ms. The option does not last, so it is set anew when the head of each answer has
   come: that sends the waiting acknowledgement at once. */
static void acknowledge_now(const mlf_channel *channel)
{
    int on = 1;
    for (int i = 0; i < MLF_CHANNEL_SOCKETS; i++)
        if (channel->sockets[i] >= 0) setsockopt(channel->sockets[i], IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

int mlf_channel_new(mlf_channel **out, const char *origin, size_t origin_length, mlf_error *error)
{
    mlf_channel *channel = sv_calloc(1, sizeof *channel);
    *out = NULL;
    if (!channel || !(channel->origin = sv_strndup(origin, origin_length)) || !(channel->easy = curl_easy_init())) {
        mlf_channel_free(channel);
        return mlf_error_memory(error);
    }
    for (int i = 0; i < MLF_CHANNEL_SOCKETS; i++)
        channel->sockets[i] = -1;
    *out = channel;
    return MLF_OK;
}

void mlf_channel_free(mlf_channel *channel)
{
    mlf_sigpipe held;
    if (!channel) return;
    mlf_sigpipe_hold(&held);
    curl_easy_cleanup(channel->easy);
    mlf_sigpipe_release(&held);
    sv_free(channel->origin);
    sv_free(channel);
}

/* ---- the answer ---- */

static long status_now(const attempt *a)
{
    long status = 0;
    curl_easy_getinfo(a->channel->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static int is_success(long status)
{
    return status >= 200 && status < 300;
}

/* As JSON in memory an answer takes several times its length. */
static size_t large_reply_bytes(void)
{
    double memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / 16;
    return memory < DEFAULT_REPLY_BYTES ? DEFAULT_REPLY_BYTES : memory < MOST_REPLY_BYTES ? (size_t)memory : MOST_REPLY_BYTES;
}

static size_t reply_ceiling(const mlf_http_call *call)
{
    return call->max_reply_bytes ? call->max_reply_bytes : call->flags & MLF_HTTP_LARGE ? large_reply_bytes() : DEFAULT_REPLY_BYTES;
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    attempt *a = context;
    size_t length = size * count, text = length;
    if (length > 5 && !memcmp(line, "HTTP/", 5)) { /* the head of a new answer; an interim one before it is forgotten */
        acknowledge_now(a->channel);
        sv_buffer_clear(&a->reply->headers);
        sv_buffer_clear(&a->reply->body);
        return length;
    }
    while (text && strchr("\r\n", line[text - 1]))
        text--;
    if (!text || memchr(line, '\0', text)) return length;
    if (!sv_buffer_append(&a->reply->headers, line, text) && !sv_buffer_byte(&a->reply->headers, '\n')) return length;
    a->stopped = MLF_STOP_HEADERS;
    return 0;
}

/* "Content-Range: bytes 100-199/1000". */
void mlf_http_range(const mlf_http_reply *reply, int64_t *offset, int64_t *total)
{
    char text[96];
    long long from, to, all;
    *offset = 0;
    *total = -1;
    if (reply->status == 206 && mlf_http_header(reply, "Content-Range", text, sizeof text)) {
        int fields = sscanf(text, "bytes %lld-%lld/%lld", &from, &to, &all);
        *offset = fields >= 2 && from >= 0 ? from : 0;
        *total = fields == 3 && all >= 0 ? all : -1;
    } else if (mlf_http_header(reply, "Content-Length", text, sizeof text)) {
        all = strtoll(text, NULL, 10);
        *total = all >= 0 ? all : -1;
    }
}

/* Tells the sink once where its bytes begin. */
static int begin_sink(attempt *a)
{
    const mlf_http_call *call = a->call;
    if (a->begun || !call->begin) return 0;
    int64_t offset, total;
    a->begun = 1;
    a->reply->status = (int)status_now(a);
    mlf_http_range(a->reply, &offset, &total);
    return call->begin(call->write_context, offset, total);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    attempt *a = context;
    size_t length = size * count;
    if (a->call->write && is_success(status_now(a))) {
        if (!begin_sink(a) && !a->call->write(a->call->write_context, bytes, length)) return length;
        a->stopped = MLF_STOP_WRITE;
        return 0;
    }
    int failed = sv_buffer_append(&a->reply->body, bytes, length);
    if (!failed) return length;
    if (failed == SV_E_LIMIT && !is_success(status_now(a))) return length; /* enough of an error page */
    a->stopped = failed == SV_E_LIMIT ? MLF_STOP_TOO_LARGE : MLF_STOP_MEMORY;
    return 0;
}

/* ---- the request ---- */

static int64_t read_file(const mlf_http_call *call, void *into, size_t size, int64_t offset)
{
    ssize_t got;
    do
        got = pread(call->body_fd, into, size, call->body_offset + offset);
    while (got < 0 && errno == EINTR);
    return got;
}

static size_t on_read(char *into, size_t size, size_t count, void *context)
{
    attempt *a = context;
    const mlf_http_call *call = a->call;
    int64_t left = call->body_bytes - a->position, want = (int64_t)(size * count);
    if (want > left) want = left;
    if (want <= 0) return 0;
    int64_t got = call->has_body_fd ? read_file(call, into, (size_t)want, a->position)
                                    : call->read(call->read_context, into, (size_t)want, a->position);
    if (got <= 0 || got > want) {
        a->stopped = got == 0 ? MLF_STOP_SHORT : MLF_STOP_READ;
        return CURL_READFUNC_ABORT;
    }
    a->position += got;
    return (size_t)got;
}

static int on_seek(void *context, curl_off_t offset, int origin)
{
    attempt *a = context;
    if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
    a->position = offset;
    return CURL_SEEKFUNC_OK;
}

static int on_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    attempt *a = context;
    if (atomic_load_explicit(a->client_stopped, memory_order_relaxed) ||
        (a->call->cancel && atomic_load_explicit(a->call->cancel, memory_order_relaxed)) ||
        (a->call->progress && a->call->progress(a->call->progress_context, up, down)))
        a->stopped = MLF_STOP_CANCELLED;
    return a->stopped == MLF_STOP_CANCELLED;
}

static int add_header(attempt *a, const char *line)
{
    struct curl_slist *longer = curl_slist_append(a->headers, line);
    if (!longer) return MLF_E_MEMORY;
    a->headers = longer;
    return MLF_OK;
}

static int names_header(const mlf_http_call *call, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < call->n_headers; i++)
        if (!strncasecmp(call->headers[i], name, length) && call->headers[i][length] == ':') return 1;
    return 0;
}

/* 1 for the server the client was made for: it gets credentials and the workspace. */
static int is_ours(const mlf_settings *settings, const mlf_http_call *call, const char *url)
{
    if (call->flags & MLF_HTTP_NO_AUTH) return 0;
    return call->flags & MLF_HTTP_FORCE_AUTH || mlf_url_same_origin(url, settings->tracking_uri) ||
           mlf_url_same_origin(url, settings->registry_uri);
}

static int set_headers(attempt *a, int ours)
{
    const mlf_http_call *call = a->call;
    char line[512];
    int code = add_header(a, "Expect:");
    int streamed = call->has_body_fd || call->read;
    if (!code && (call->body || streamed) && !names_header(call, "Content-Type")) {
        const char *type = call->content_type ? call->content_type
                           : streamed         ? "application/octet-stream"
                                              : "application/json";
        snprintf(line, sizeof line, "Content-Type: %s", type);
        code = add_header(a, line);
    } else if (!code && !call->body && !streamed && !names_header(call, "Content-Type")) {
        code = add_header(a, "Content-Type:"); /* curl would call an empty POST a form */
    }
    if (!code && ours && a->settings->workspace) {
        snprintf(line, sizeof line, "X-MLFLOW-WORKSPACE: %s", a->settings->workspace);
        code = add_header(a, line);
    }
    for (size_t i = 0; !code && i < call->n_headers; i++)
        code = strpbrk(call->headers[i], "\r\n") ? MLF_E_ARGUMENT : add_header(a, call->headers[i]);
    return code;
}

static void set_credentials(CURL *easy, const mlf_settings *settings, const char *url, int ours)
{
    if (!ours) return;
    int own = settings->registry_username && mlf_url_same_origin(url, settings->registry_uri) &&
              !mlf_url_same_origin(url, settings->tracking_uri);
    if (own || settings->username) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(easy, CURLOPT_USERNAME, own ? settings->registry_username : settings->username);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, own ? settings->registry_password : settings->password);
    } else if (settings->token) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, settings->token);
    } else if (settings->netrc) {
        curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
    }
}

static void set_tls(CURL *easy, const mlf_settings *settings, const mlf_http_call *call, int ours)
{
    struct stat about;
    if ((ours && settings->insecure_tls) || call->flags & MLF_HTTP_INSECURE_TLS) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (settings->ca_path)
        curl_easy_setopt(easy,
                         !stat(settings->ca_path, &about) && S_ISDIR(about.st_mode) ? CURLOPT_CAPATH : CURLOPT_CAINFO,
                         settings->ca_path);
    if (ours && settings->client_cert_path) {
        curl_easy_setopt(easy, CURLOPT_SSLCERT, settings->client_cert_path);
        curl_easy_setopt(easy, CURLOPT_SSLKEY, settings->client_cert_path);
    }
}

static void set_body(CURL *easy, attempt *a)
{
    const mlf_http_call *call = a->call;
    const char *method = call->method;
    if (call->has_body_fd || call->read) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->body_bytes);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(easy, CURLOPT_READDATA, a);
        curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(easy, CURLOPT_SEEKDATA, a);
    } else if (call->body || !strcmp(method, "POST") || !strcmp(method, "PUT") || !strcmp(method, "PATCH")) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(call->body ? call->body_bytes : 0));
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body ? call->body : "");
    } else if (!strcmp(method, "HEAD")) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    if (call->flags & MLF_HTTP_STREAM && call->body_bytes > 0)
        curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)STREAM_BUFFER);
    if (strcmp(method, "HEAD") != 0) curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
}

static void set_timeouts(CURL *easy, const mlf_settings *settings, const mlf_http_call *call, int timeout_ms)
{
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)MAX_IDLE_S);
    if (settings->tcp_keepalive) {
        curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
        curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)settings->tcp_keepalive_idle_s);
        curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)settings->tcp_keepalive_interval_s);
    }
    if (timeout_ms < 0) return;
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(timeout_ms ? timeout_ms : 1));
    if (call->flags & MLF_HTTP_STREAM) {
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, (long)SILENCE);
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)(timeout_ms / 1000 + 1));
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)STREAM_BUFFER);
    } else {
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(timeout_ms ? timeout_ms : 1));
    }
}

static void set_protocol(CURL *easy, const mlf_settings *settings, const char *url)
{
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXCONNECTS, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, settings->user_agent);
    if (settings->proxy && !strncasecmp(url, "http://", 7)) curl_easy_setopt(easy, CURLOPT_PROXY, settings->proxy);
}

/* Everything about one request on a handle that was reset. */
static int prepare(attempt *a, const char *url, int timeout_ms, char *text)
{
    CURL *easy = a->channel->easy;
    int ours = is_ours(a->settings, a->call, url), code = set_headers(a, ours);
    if (code) return code;
    curl_easy_reset(easy);
    set_protocol(easy, a->settings, url);
    set_timeouts(easy, a->settings, a->call, timeout_ms);
    set_tls(easy, a->settings, a->call, ours);
    set_credentials(easy, a->settings, url, ours);
    set_body(easy, a);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, text);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, a->headers);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, a);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, a->channel);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, a->channel);
    if (!a->call->write) curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)reply_ceiling(a->call));
    /* curl resends by itself on a kept connection that died before the first byte; a request that must go out once gets
     * a connection of its own. */
    if (a->call->flags & MLF_HTTP_ONCE) curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, a);
    return MLF_OK;
}

/* ---- one request ---- */

/* The address a redirect leads to, when it may be followed: a body is not sent again as something else. */
static const char *redirect_target(const attempt *a)
{
    const char *target = NULL;
    int status = a->reply->status, keeps = status == 307 || status == 308;
    int safe = !strcmp(a->call->method, "GET") || !strcmp(a->call->method, "HEAD");
    if (!a->settings->allow_redirects || !(keeps || (safe && status >= 301 && status <= 303)))
        return NULL;
    curl_easy_getinfo(a->channel->easy, CURLINFO_REDIRECT_URL, &target);
    return target;
}

/* Whose address failed, when it is not the one that was asked for; without a login that stands in it. */
static void say_redirect(mlf_outcome *outcome, const char *target)
{
    char message[sizeof outcome->message];
    size_t origin = mlf_url_origin_length(target), length = origin ? origin : strcspn(target, "?#");
    const char *scheme = strstr(target, "://"), *at = memrchr(target, '@', length), *host = scheme ? scheme + 3 : target;
    if (at && at >= host) host = at + 1;
    length -= (size_t)(host - target);
    snprintf(message, sizeof message, "redirected to host %.*s: %.250s", (int)(length < 100 ? length : 100), host, outcome->message);
    snprintf(outcome->message, sizeof outcome->message, "%s", message);
}

/* One request to one address. */
static void exchange(mlf_outcome *outcome, attempt *a, const char *url, int timeout_ms)
{
    char text[CURL_ERROR_SIZE] = "";
    long sent = 0;
    int64_t start = sv_monotonic_ns();
    a->position = 0;
    a->stopped = MLF_GO_ON;
    int code = prepare(a, url, timeout_ms, text);
    mlf_sigpipe held;
    mlf_sigpipe_hold(&held);
    CURLcode result = code ? CURLE_OK : curl_easy_perform(a->channel->easy);
    mlf_sigpipe_release(&held);
    if (!code) curl_easy_getinfo(a->channel->easy, CURLINFO_REQUEST_SIZE, &sent);
    outcome->may_have_acted = sent > 0;
    if (code)
        mlf_outcome_set(outcome, code, 0, code == MLF_E_MEMORY ? "out of memory" : "a header holds a line break");
    else if (a->stopped != MLF_GO_ON)
        mlf_outcome_of_stop(outcome, a->stopped, reply_ceiling(a->call));
    else if (result != CURLE_OK)
        mlf_outcome_of_curl(outcome, result, text);
    else
        mlf_outcome_set(outcome, MLF_OK, 0, "");
    if (outcome->code == MLF_OK) {
        a->reply->status = (int)status_now(a);
        if (a->call->write && is_success(a->reply->status) && begin_sink(a)) /* an empty file has no first byte */
            mlf_outcome_set(outcome, MLF_E_IO, 0, "what came could not be written");
    }
    a->reply->round_trip_us = (sv_monotonic_ns() - start) / 1000;
    curl_slist_free_all(a->headers);
    a->headers = NULL;
}

void mlf_attempt(mlf_outcome *outcome, mlf_channel *channel, const mlf_client *client, const mlf_http_call *call,
                 const char *url, int timeout_ms, mlf_http_reply *reply)
{
    static const atomic_int never;
    attempt a = {.channel = channel, .settings = &client->settings, .client_stopped = call->flags & MLF_HTTP_TIDY ? &never : &client->stopped, .call = call, .reply = reply};
    char *next = NULL;
    memset(outcome, 0, sizeof *outcome);
    for (int hops = 0;; hops++) {
        sv_buffer_free(&reply->body); /* nothing of an earlier answer stays */
        sv_buffer_clear(&reply->headers);
        reply->body.max = reply_ceiling(call);
        reply->headers.max = MAX_HEADER_BYTES;
        reply->status = 0;
        exchange(outcome, &a, next ? next : url, timeout_ms);
        const char *target = outcome->code == MLF_OK ? redirect_target(&a) : NULL;
        if (!target || hops == MAX_REDIRECTS) break;
        char *copy = sv_strdup(target);
        sv_free(next);
        next = copy;
        if (!next) {
            mlf_outcome_set(outcome, MLF_E_MEMORY, 0, "out of memory");
            break;
        }
    }
    if (next && outcome->code && !mlf_url_same_origin(url, next)) say_redirect(outcome, next);
    sv_free(next);
    /* The handle waits in the pool without a pointer into this frame. */
    curl_easy_setopt(channel->easy, CURLOPT_ERRORBUFFER, NULL);
}
