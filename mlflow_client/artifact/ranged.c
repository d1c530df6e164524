#include "ranged.h"

#include "client_error.h"

#include <stdio.h>
#include <string.h>

enum { MAX_HEADERS = 16 };

struct ranged {
    mlf_store *store;
    const mlf_http_reply *reply;
    mlf_object *object;
    mlf_object_fn *describe;
    mlf_bytes_fn *each;
    void *context;
    mlf_error *error;
    int64_t at, wanted; /* offset in the file of the next byte to come; of the next byte to hand on */
    int code;           /* why it was stopped from our side */
    int begun, restart; /* restart: the transport would have begun again from the first byte */
};

static int stop(struct ranged *ranged, int code)
{
    ranged->code = code;
    return 1;
}

/* What the answer's headers say, and whether it is still the same file. */
static int begin(void *context, int64_t offset, int64_t total_bytes)
{
    struct ranged *ranged = context;
    mlf_object fresh = {.size_bytes = total_bytes};
    if (ranged->begun) {
        ranged->restart = 1;
        return 1;
    }
    ranged->begun = 1;
    mlf_http_header(ranged->reply, "ETag", fresh.etag, sizeof fresh.etag);
    if (ranged->describe)
        ranged->describe(&fresh, ranged->reply);
    const mlf_object *known = ranged->object;
    if (ranged->wanted && ((*known->etag && strcmp(known->etag, fresh.etag)) || (known->size_bytes >= 0 && total_bytes >= 0 && known->size_bytes != total_bytes)))
        return stop(ranged, mlf_error_set(ranged->error, MLF_E_INTEGRITY, "%.600s: the file changed while it was read", ranged->store->uri));
    if (offset > ranged->wanted)
        return stop(ranged, mlf_error_set(ranged->error, MLF_E_REPLY, "%.600s: asked for bytes from %lld on, got those from %lld on", ranged->store->uri, (long long)ranged->wanted, (long long)offset));
    int is_first = !ranged->wanted || (*known->etag && !known->has_md5 && !known->has_crc32c); /* of this call, when an earlier one has left its part */
    if (fresh.size_bytes < 0)
        fresh.size_bytes = ranged->wanted ? known->size_bytes : -1;
    if (is_first)
        *ranged->object = fresh;
    ranged->at = offset;
    return 0;
}

static int pass_on(void *context, const void *bytes, size_t length)
{
    struct ranged *ranged = context;
    size_t skip = 0;
    if (ranged->at < ranged->wanted) {
        int64_t before = ranged->wanted - ranged->at;
        skip = before < (int64_t)length ? (size_t)before : length;
    }
    ranged->at += (int64_t)length;
    if (skip == length)
        return 0;
    ranged->wanted = ranged->at;
    int code = ranged->each(ranged->context, (const char *)bytes + skip, length - skip, ranged->error);
    mlf_store_progress(ranged->store, (int64_t)(length - skip));
    return code ? stop(ranged, code) : 0;
}

int mlf_ranged_get(mlf_store *store, mlf_http_call *call, mlf_http_reply *reply, int64_t offset, mlf_object *object, mlf_object_fn *describe,
                   mlf_bytes_fn *each, void *context, mlf_error *error)
{
    struct ranged ranged = {.store = store, .reply = reply, .object = object, .describe = describe, .each = each, .context = context, .error = error, .at = offset, .wanted = offset};
    const char *headers[MAX_HEADERS];
    char range[48];
    size_t n = call->n_headers < MAX_HEADERS - 1 ? call->n_headers : MAX_HEADERS - 1;
    if (n)
        memcpy(headers, call->headers, n * sizeof *headers);
    snprintf(range, sizeof range, "Range: bytes=%lld-", (long long)offset);
    if (offset)
        headers[n++] = range;
    call->headers = headers;
    call->n_headers = n;
    call->method = "GET";
    call->flags |= MLF_HTTP_STREAM;
    call->begin = begin;
    call->write = pass_on;
    call->write_context = &ranged;
    mlf_error sent = MLF_ERROR_INIT;
    int code = mlf_http(store->client, call, reply, &sent);
    if (ranged.code)
        return ranged.code; /* its message is in *error already */
    if (!code)
        return 0;
    if (error && !error->code)
        *error = sent;
    if (error && ranged.wanted > offset && (ranged.restart || code == MLF_E_CONNECT || code == MLF_E_TIMEOUT || code == MLF_E_REPLY))
        error->retriable = 1;
    return code;
}

int mlf_sending_progress(void *context, int64_t sent_bytes, int64_t received_bytes)
{
    mlf_sending *sending = context;
    (void)received_bytes;
    if (sent_bytes > sending->told_bytes) {
        mlf_store_progress(sending->store, sent_bytes - sending->told_bytes);
        sending->told_bytes = sent_bytes;
    }
    return 0;
}
