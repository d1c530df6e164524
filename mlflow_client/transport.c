#include "transport.h"

#include "alloc.h"
#include "attempt.h"
#include "client.h"
#include "client_error.h"
#include "clock.h"
#include "prng.h"
#include "reply.h"
#include "retry.h"
#include "secret.h"
#include "url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* Channels at rest, the one used last in front; a call takes one to its own address or makes one. */
struct mlf_transport {
    const mlf_settings *settings;
    pthread_mutex_t mutex;
    mlf_channel *idle;
    int n_idle;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_state;

static void start_curl(void)
{
    curl_state = curl_global_init(CURL_GLOBAL_DEFAULT);
}

int mlf_transport_new(mlf_transport **out, const mlf_settings *settings, mlf_error *error)
{
    *out = NULL;
    pthread_once(&curl_once, start_curl);
    if (curl_state != CURLE_OK)
        return mlf_error_set(error, MLF_E_STATE, "libcurl cannot start: %s", curl_easy_strerror(curl_state));
    mlf_transport *transport = sv_calloc(1, sizeof *transport);
    if (!transport) return mlf_error_memory(error);
    transport->settings = settings;
    pthread_mutex_init(&transport->mutex, NULL);
    *out = transport;
    return MLF_OK;
}

void mlf_transport_free(mlf_transport *transport)
{
    if (!transport) return;
    for (mlf_channel *channel = transport->idle, *next; channel; channel = next) {
        next = channel->next;
        mlf_channel_free(channel);
    }
    pthread_mutex_destroy(&transport->mutex);
    sv_free(transport);
}

static int take_channel(mlf_channel **out, mlf_transport *transport, const char *url, mlf_error *error)
{
    size_t length = mlf_url_origin_length(url);
    *out = NULL;
    pthread_mutex_lock(&transport->mutex);
    for (mlf_channel **at = &transport->idle; *at; at = &(*at)->next)
        if (!strncmp((*at)->origin, url, length) && !(*at)->origin[length]) {
            *out = *at;
            *at = (*at)->next;
            transport->n_idle--;
            break;
        }
    pthread_mutex_unlock(&transport->mutex);
    return *out ? MLF_OK : mlf_channel_new(out, url, length, error);
}

static void return_channel(mlf_transport *transport, mlf_channel *channel)
{
    mlf_channel *oldest = NULL;
    pthread_mutex_lock(&transport->mutex);
    channel->next = transport->idle;
    transport->idle = channel;
    if (++transport->n_idle > transport->settings->max_connections) {
        mlf_channel **at = &transport->idle;
        while ((*at)->next)
            at = &(*at)->next;
        oldest = *at;
        *at = NULL;
        transport->n_idle--;
    }
    pthread_mutex_unlock(&transport->mutex);
    mlf_channel_free(oldest);
}

/* ---- the call ---- */

typedef struct effort {
    mlf_client *client;
    const mlf_http_call *call;
    mlf_http_reply *reply;
    const char *url;
    int64_t end_ns; /* of the deadline; INT64_MAX: none */
    sv_prng prng;
} effort;

static int is_stopped(const effort *e)
{
    return !(e->call->flags & MLF_HTTP_TIDY) && atomic_load_explicit(&e->client->stopped, memory_order_relaxed);
}

static int is_cancelled(const effort *e)
{
    return is_stopped(e) ||
           (e->call->cancel && atomic_load_explicit(e->call->cancel, memory_order_relaxed));
}

/* Sleeps in slices, so that a cancelled call is not waited for. */
static void rest(const effort *e, int64_t wait_ms)
{
    for (int64_t end = sv_monotonic_ns() + wait_ms * 1000000, left;
         (left = end - sv_monotonic_ns()) > 0 && !is_cancelled(e);) {
        int64_t slice = left < 50000000 ? left : 50000000;
        nanosleep(&(struct timespec){.tv_nsec = slice}, NULL);
    }
}

/* The attempt's own time limit: the call's or the client's, cut to what the deadline leaves. */
static int attempt_timeout_ms(const effort *e)
{
    int timeout = e->call->timeout_ms ? e->call->timeout_ms : e->client->settings.timeout_ms;
    if (e->end_ns == INT64_MAX) return timeout;
    int64_t left = (e->end_ns - sv_monotonic_ns()) / 1000000 + 1;
    return timeout < 0 || left < timeout ? (int)(left < 1 ? 1 : left) : timeout;
}

/* Whether the last attempt should be followed by another. */
static int is_worth_another(const effort *e, const mlf_outcome *outcome, const char *error_code)
{
    int status = e->reply->status, once = e->call->flags & MLF_HTTP_ONCE;
    char after[64];
    if (outcome->code != MLF_OK) return outcome->retriable && !(once && outcome->may_have_acted);
    if (once && status != 408 && status != 413 && status != 429 && status != 503) return 0;
    return mlf_retry_status(status, mlf_http_header(e->reply, "Retry-After", after, sizeof after) != NULL, error_code,
                            e->reply->body.data);
}

static int64_t wait_before(effort *e, int retry)
{
    const mlf_settings *settings = &e->client->settings;
    int status = e->reply->status;
    char text[64];
    const char *after = status == 413 || status == 429 || status == 503
                            ? mlf_http_header(e->reply, "Retry-After", text, sizeof text)
                            : NULL;
    int64_t wait = settings->respect_retry_after ? mlf_retry_after_ms(after, sv_epoch_ms()) : -1;
    return wait >= 0 ? wait : mlf_retry_wait_ms(settings, retry, sv_prng_uniform(&e->prng));
}

/* "POST http://host/api/…" without the query, which may hold a signature, and without a login. */
static void describe(char *into, size_t size, const effort *e)
{
    char *shown = sv_secret_hidden(e->url);
    snprintf(into, size, "%s %.*s", e->call->method, shown ? (int)strcspn(shown, "?") : 0, shown ? shown : "");
    sv_free(shown);
}

static int finish(const effort *e, const mlf_outcome *outcome, int retriable, mlf_error *error)
{
    const mlf_http_reply *reply = e->reply;
    char what[320], tries[48] = "";
    describe(what, sizeof what, e);
    if (outcome->code == MLF_OK &&
        ((reply->status >= 200 && reply->status < 300) || e->call->flags & MLF_HTTP_ANY_STATUS))
        return MLF_OK;
    if (reply->attempts > 1) snprintf(tries, sizeof tries, " (%d attempts)", reply->attempts);
    e->reply->ambiguous =
        outcome->code == MLF_OK ? reply->status >= 500 && reply->status != 503 : outcome->may_have_acted;
    if (is_stopped(e))
        return mlf_error_set_retriable(error, MLF_E_TIMEOUT, "%s: not waited for any longer", what);
    if (outcome->code == MLF_OK) {
        if (reply->attempts > 1) snprintf(what + strlen(what), sizeof what - strlen(what), "%s", tries);
        return mlf_reply_error(error, what, reply->status, reply->body.data, reply->body.size, retriable);
    }
    if (outcome->code == MLF_E_CONNECT && e->call->deadline_ms > 0 && sv_monotonic_ns() >= e->end_ns)
        return mlf_error_set_retriable(error, MLF_E_TIMEOUT, "%s: not done within %d ms%s: %s", what,
                                       e->call->deadline_ms, tries, outcome->message);
    if (outcome->retriable)
        return mlf_error_set_retriable(error, outcome->code, "%s: %s%s", what, outcome->message, tries);
    return mlf_error_set(error, outcome->code, "%s: %s%s", what, outcome->message, tries);
}

/* Attempts and waits until one is answered for good. */
static int persist(effort *e, mlf_error *error)
{
    mlf_transport *transport = e->client->transport;
    int max_retries = e->call->max_retries ? e->call->max_retries : e->client->settings.max_retries;
    for (int retry = 1;; retry++) {
        mlf_channel *channel;
        mlf_outcome outcome;
        char error_code[48];
        int code = take_channel(&channel, transport, e->url, error);
        if (code) return code;
        e->reply->attempts++;
        mlf_attempt(&outcome, channel, e->client, e->call, e->url, attempt_timeout_ms(e), e->reply);
        return_channel(transport, channel);
        mlf_reply_error_code(error_code, sizeof error_code, e->reply->body.data,
                             e->reply->status >= 400 ? e->reply->body.size : 0);
        int again = is_worth_another(e, &outcome, error_code);
        int64_t wait = again ? wait_before(e, retry) : 0;
        int in_time = e->end_ns == INT64_MAX || wait < (e->end_ns - sv_monotonic_ns()) / 1000000;
        if (!again || retry > max_retries || !in_time) return finish(e, &outcome, again, error);
        rest(e, wait);
        if (is_stopped(e)) return finish(e, &outcome, again, error);
        if (is_cancelled(e))
            return mlf_error_set(error, MLF_E_STATE, "cancelled after %d attempts", e->reply->attempts);
    }
}

static int refuse_address(const char *url, const char *why, mlf_error *error)
{
    char *shown = sv_secret_hidden(url);
    int code = mlf_error_set(error, MLF_E_ARGUMENT, "address \"%.200s\": %s", shown ? shown : "***", why);
    sv_free(shown);
    return code;
}

/* The absolute address: as given, or a path below the tracking or registry URI. */
static int absolute_url(sv_buffer *buffer, const mlf_client *client, const mlf_http_call *call, mlf_error *error)
{
    const char *base = call->flags & MLF_HTTP_REGISTRY ? client->settings.registry_uri : client->settings.tracking_uri;
    if (call->url[0] == '/') {
        if (!*base)
            return mlf_error_set(error, MLF_E_STATE,
                                 "no tracking server is named: set MLFLOW_TRACKING_URI, such as http://127.0.0.1:5000");
        if (sv_buffer_text(buffer, base) || sv_buffer_text(buffer, call->url)) return mlf_error_memory(error);
        return MLF_OK;
    }
    if (!mlf_url_origin_length(call->url)) return refuse_address(call->url, "no http or https address", error);
    return sv_buffer_text(buffer, call->url) ? mlf_error_memory(error) : MLF_OK;
}

static int check_call(const mlf_http_call *call, mlf_error *error)
{
    for (const char *c = call->method; *c; c++)
        if (*c < 'A' || *c > 'Z')
            return mlf_error_set(error, MLF_E_ARGUMENT, "method \"%.40s\": expected capital letters, such as GET",
                                 call->method);
    for (const char *c = call->url; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 127)
            return refuse_address(call->url, "blanks and control bytes must be percent-encoded", error);
    return MLF_OK;
}

int mlf_http(mlf_client *client, const mlf_http_call *call, mlf_http_reply *reply, mlf_error *error)
{
    mlf_http_reply own = MLF_HTTP_REPLY_INIT;
    sv_buffer url = SV_BUFFER_INIT(65536);
    if (!reply) reply = &own;
    mlf_http_reply_free(reply);
    int code = call->flags & MLF_HTTP_TIDY ? mlf_client_may_tidy(client, error) : mlf_client_may_send(client, error);
    if (!code) code = check_call(call, error);
    if (!code) code = absolute_url(&url, client, call, error);
    if (!code) {
        int deadline = call->deadline_ms               ? call->deadline_ms
                       : call->flags & MLF_HTTP_STREAM ? -1
                                                       : client->settings.deadline_ms;
        int64_t now = sv_monotonic_ns();
        effort e = {.client = client,
                    .call = call,
                    .reply = reply,
                    .url = url.data,
                    .end_ns = deadline < 0 ? INT64_MAX : now + (int64_t)deadline * 1000000};
        sv_prng_seed(&e.prng, (uint64_t)now ^ (uint64_t)(uintptr_t)&e);
        code = persist(&e, error);
    }
    sv_buffer_free(&url);
    mlf_http_reply_free(&own);
    return code;
}

void mlf_http_reply_free(mlf_http_reply *reply)
{
    sv_buffer_free(&reply->body);
    sv_buffer_free(&reply->headers);
    memset(reply, 0, sizeof *reply);
}

const char *mlf_http_header(const mlf_http_reply *reply, const char *name, char *into, size_t size)
{
    size_t length = strlen(name);
    for (const char *line = reply->headers.data; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncasecmp(line, name, length) != 0 || line[length] != ':') continue;
        const char *value = line + length + 1;
        value += strspn(value, " \t");
        size_t bytes = strcspn(value, "\n");
        while (bytes && strchr(" \t", value[bytes - 1]))
            bytes--;
        if (bytes >= size) bytes = size - 1;
        memcpy(into, value, bytes);
        into[bytes] = '\0';
        return into;
    }
    return NULL;
}
