#include "client.h"

#include "alloc.h"
#include "buffer.h"
#include "client_error.h"
#include "json_text.h"
#include "reply.h"
#include "url.h"
#include "validate.h"

#include <string.h>
#include <unistd.h>

const char *mlf_version(void)
{
    return MLF_VERSION;
}

void mlf_free(void *block)
{
    sv_free(block);
}

int mlf_client_new(mlf_client **out, const mlf_client_options *options, mlf_error *error)
{
    static const mlf_client_options usual = MLF_CLIENT_OPTIONS_INIT;
    *out = NULL;
    if (!options) options = &usual;
    if (options->version != MLF_ABI_VERSION)
        return mlf_error_set(error, MLF_E_ARGUMENT,
                             "client options: expected version %d (begin from MLF_CLIENT_OPTIONS_INIT), got %d",
                             MLF_ABI_VERSION, options->version);
    mlf_client *client = sv_calloc(1, sizeof *client);
    if (!client) return mlf_error_memory(error);
    pthread_mutex_init(&client->mutex, NULL);
    client->pid = getpid();
    int code = mlf_settings_read(&client->settings, options, error);
    if (!code && client->settings.workspace) code = mlf_check_workspace(client->settings.workspace, error);
    if (!code) code = mlf_transport_new(&client->transport, &client->settings, error);
    if (code)
        mlf_client_free(client);
    else
        *out = client;
    return code;
}

void mlf_client_free(mlf_client *client)
{
    if (!client) return;
    int forked = client->pid != getpid();
    for (int i = 0; !forked && i < MLF_SLOTS; i++)
        if (client->slots[i].free) client->slots[i].free(client->slots[i].what);
    if (!forked) mlf_transport_free(client->transport); /* a child must not say goodbye on its parent's connections */
    mlf_settings_free(&client->settings);
    pthread_mutex_destroy(&client->mutex);
    sv_free(client);
}

void mlf_client_stop(mlf_client *client)
{
    if (client) atomic_store(&client->stopped, 1);
}

const char *mlf_client_tracking_uri(const mlf_client *client)
{
    return client->settings.tracking_uri;
}

int mlf_client_may_tidy(const mlf_client *client, mlf_error *error)
{
    if (client->pid != getpid())
        return mlf_error_set(error, MLF_E_STATE, "this client belongs to process %ld: a forked child makes its own",
                             (long)client->pid);
    if (client->settings.offline)
        return mlf_error_set(error, MLF_E_STATE,
                             "offline (MLFLOW_OFFLINE): this needs the server, and is not recorded for later");
    return MLF_OK;
}

int mlf_client_may_send(const mlf_client *client, mlf_error *error)
{
    int code = mlf_client_may_tidy(client, error);
    if (!code && atomic_load_explicit(&client->stopped, memory_order_relaxed))
        code = mlf_error_set_retriable(error, MLF_E_TIMEOUT, "the server is not waited for any longer");
    return code;
}

void *mlf_client_slot(mlf_client *client, mlf_slot slot,
                      int (*make)(mlf_attachment *attachment, mlf_client *client, mlf_error *error), mlf_error *error)
{
    if (client->pid != getpid()) {
        mlf_error_set(error, MLF_E_STATE, "this client belongs to process %ld: a forked child makes its own",
                      (long)client->pid);
        return NULL;
    }
    pthread_mutex_lock(&client->mutex);
    mlf_attachment *attachment = &client->slots[slot];
    if (!attachment->what && make(attachment, client, error)) memset(attachment, 0, sizeof *attachment);
    void *what = attachment->what;
    pthread_mutex_unlock(&client->mutex);
    return what;
}

int mlf_flush(mlf_client *client, int timeout_ms, mlf_error *error)
{
    pthread_mutex_lock(&client->mutex);
    mlf_attachment journal = client->slots[MLF_SLOT_JOURNAL];
    pthread_mutex_unlock(&client->mutex);
    return journal.flush ? journal.flush(journal.what, timeout_ms, error) : MLF_OK;
}

/* ---- JSON over HTTP ---- */

int mlf_json_call(json_t **reply, mlf_client *client, const char *method, const char *path, const json_t *arguments,
                  mlf_http_flags flags, mlf_error *error)
{
    sv_buffer url = SV_BUFFER_INIT(65536);
    mlf_http_reply http = MLF_HTTP_REPLY_INIT;
    sv_buffer body = SV_BUFFER_INIT(0);
    int code = MLF_OK, in_query = !strcmp(method, "GET");
    if (reply) *reply = NULL;
    if (sv_buffer_text(&url, path)) code = mlf_error_memory(error);
    if (!code && arguments && in_query) code = mlf_url_query(&url, arguments, error);
    int bare = !strcmp(method, "DELETE") && !json_object_size(arguments);
    if (!code && arguments && !in_query && !bare && mlf_json_text(&body, arguments))
        code = mlf_error_memory(error);
    if (!code) {
        mlf_http_call call = {.method = method,
                              .url = url.data,
                              .flags = flags,
                              .body = body.data,
                              .body_bytes = (int64_t)body.size};
        code = mlf_http(client, &call, &http, error);
    }
    json_t *answer = NULL; /* read also where nobody wants it: a login page with status 200 has done nothing */
    if (!code) {
        code = mlf_reply_json(&answer, http.body.data, http.body.size, error);
        if (code) mlf_error_prefix(error, "%s %s%s: ", method, client->settings.tracking_uri, path);
    }
    if (reply)
        *reply = answer;
    else
        json_decref(answer);
    sv_buffer_free(&body);
    mlf_http_reply_free(&http);
    sv_buffer_free(&url);
    return code;
}
