#include "gs.h"

#include "alloc.h"
#include "client_error.h"
#include "clock.h"
#include "reply.h"
#include "secret.h"
#include "url.h"

#include <string.h>

enum { MAX_HEADERS = 8, REFRESH_BEFORE_MS = 2 * 60 * 1000 };

int mlf_gs_authorization(char **line, mlf_store *store, int fresh, mlf_error *error)
{
    mlf_gs *gs = store->state;
    sv_buffer text = SV_BUFFER_INIT(32768);
    int code = 0;
    *line = NULL;
    if (gs->is_emulator)
        return 0;
    pthread_mutex_lock(&gs->lock);
    if (fresh || !gs->has_token || (gs->token.text && gs->token.expires_ms - REFRESH_BEFORE_MS < sv_epoch_ms())) {
        mlf_google_token_free(&gs->token);
        code = mlf_google_token_get(&gs->token, store->client, error);
        gs->has_token = !code;
    }
    if (!code && gs->token.text && (sv_buffer_format(&text, "Authorization: Bearer %s", gs->token.text) || !(*line = sv_buffer_take(&text))))
        code = mlf_error_memory(error);
    pthread_mutex_unlock(&gs->lock);
    sv_buffer_free(&text);
    return code;
}

int mlf_gs_explain(const mlf_store *store, const char *what, const mlf_http_reply *reply, mlf_error *error)
{
    const mlf_gs *gs = store->state;
    json_t *json = NULL;
    int status = reply->status, code = status == 404 ? MLF_E_NOT_FOUND : status == 401 || status == 403 ? MLF_E_AUTH : MLF_E_SERVER;
    const char *body = reply->body.data ? reply->body.data : "", *hint = "";
    if (mlf_reply_json(&json, body, reply->body.size, NULL))
        json = NULL;
    const json_t *said = json_object_get(json, "error");
    const char *message = json_string_value(json_object_get(said, "message"));
    if (!message)
        message = json_string_value(said);
    if (status == 401)
        hint = gs->has_token && gs->token.text ? "; the token was refused: get fresh credentials" : "; set GOOGLE_APPLICATION_CREDENTIALS to a service account's key file";
    else if (status == 404)
        hint = "; check the bucket's and the object's name";
    if (error && !error->code) {
        char text[320];
        mlf_text_copy(text, sizeof text, message ? message : body, strlen(message ? message : body));
        mlf_error_set(error, code, "gs://%.100s/%.300s: %d%s%s%s", gs->bucket, what, status, *text ? ": " : "", text, hint);
        error->http_status = status;
        error->retriable = status >= 500 || status == 429 || status == 408;
    }
    json_decref(json);
    return code;
}

int mlf_gs_call(mlf_store *store, const mlf_http_call *call, const char *what, mlf_http_reply *reply, mlf_error *error)
{
    const mlf_gs *gs = store->state;
    for (int turn = 0;; turn++) {
        const char *headers[MAX_HEADERS];
        mlf_http_call full = *call;
        char *authorization = NULL;
        size_t n = call->n_headers < MAX_HEADERS - 1 ? call->n_headers : MAX_HEADERS - 1;
        if (n)
            memcpy(headers, call->headers, n * sizeof *headers);
        /* An upload's address is its own key: the token goes to Google alone. */
        int code = mlf_url_same_origin(call->url, gs->endpoint) ? mlf_gs_authorization(&authorization, store, turn, error) : 0;
        if (authorization)
            headers[n++] = authorization;
        full.headers = headers;
        full.n_headers = n;
        full.flags |= MLF_HTTP_NO_AUTH | MLF_HTTP_ANY_STATUS;
        if (!full.max_retries)
            full.max_retries = store->max_retries;
        if (!code)
            code = mlf_http(store->client, &full, reply, error);
        if (authorization)
            sv_secret_wipe(authorization, strlen(authorization));
        sv_free(authorization);
        if (code || (reply->status >= 200 && reply->status < 300) || reply->status == 308)
            return code;
        if (reply->status != 401 || turn || !gs->token.text)
            return mlf_gs_explain(store, what, reply, error);
    }
}
