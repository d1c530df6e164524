/* webhook.c: POST /webhook: MLflow says that something in the registry changed. The signature is checked (HMAC-SHA256 over id.timestamp.body); then the
   registry is asked at once. What the message says is not believed beyond that. */
#include "alloc.h"
#include "clock.h"
#include "number.h"
#include "secret.h"
#include "service.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#define MAX_AGE_S 300 /* older messages may be replays; younger ones are known by their signature */

/* 1: that message came before. Of two that come at the same moment both may be new, which costs one question to the registry. */
static int is_replay(sv_service *service, sv_span signature)
{
    uint64_t mark;
    memcpy(&mark, signature.text + 3, sizeof mark); /* behind "v1,": 48 bits of it, as text */
    for (size_t i = 0; i < SV_WEBHOOKS_SEEN; i++)
        if (atomic_load(&service->webhooks[i]) == mark)
            return 1;
    atomic_store(&service->webhooks[atomic_fetch_add(&service->n_webhooks, 1) % SV_WEBHOOKS_SEEN], mark);
    return 0;
}

static int signature_fits(const char *secret, sv_span id, sv_span timestamp, sv_span body, sv_span signature)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char expected[3 + 64];
    unsigned size = 0;
    sv_buffer text = SV_BUFFER_INIT(0);
    int bad = sv_buffer_append(&text, id.text, id.size) || sv_buffer_byte(&text, '.') || sv_buffer_append(&text, timestamp.text, timestamp.size) ||
              sv_buffer_byte(&text, '.') || sv_buffer_append(&text, body.text, body.size);
    if (!bad)
        bad = !HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)text.data, text.size, digest, &size);
    sv_buffer_free(&text);
    if (bad)
        return 0;
    memcpy(expected, "v1,", 3);
    size_t length = 3 + (size_t)EVP_EncodeBlock((unsigned char *)expected + 3, digest, (int)size);
    return signature.size == length && sv_secret_equal(signature.text, expected, length);
}

void sv_handle_webhook(sv_call *call)
{
    const char *secret = call->service->config ? call->service->config->webhook_secret : NULL;
    sv_span id = sv_http_header_value(call->request, "x-mlflow-delivery-id"), timestamp = sv_http_header_value(call->request, "x-mlflow-timestamp");
    sv_span signature = sv_http_header_value(call->request, "x-mlflow-signature");
    int64_t seconds;
    if (!secret) {
        sv_reply_detail(call->reply, 404, "Not Found");
        return;
    }
    if (!id.text || !timestamp.text || !signature.text || !signature_fits(secret, id, timestamp, call->request->body, signature)) {
        sv_reply_detail(call->reply, 401, "the signature does not fit");
        return;
    }
    if (sv_parse_int64(timestamp.text, timestamp.size, &seconds) || llabs(sv_epoch_ms() / 1000 - seconds) > MAX_AGE_S) {
        sv_reply_detail(call->reply, 401, "the message is too old");
        return;
    }
    if (is_replay(call->service, signature)) {
        sv_reply_detail(call->reply, 409, "the message came before");
        return;
    }
    if (call->service->wake)
        call->service->wake(call->service->wake_context);
    sv_reply_text(call->reply, 200, "application/json", "{\"ok\": true}");
}
