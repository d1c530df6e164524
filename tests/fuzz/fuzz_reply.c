/* Everything a tracking server may answer with: JSON, error bodies, headers. What was taken for an object can be walked
 * and written again. */
#include "fields.h"
#include "gs.h"
#include "object.h"
#include "reply.h"
#include "retry.h"
#include "transport.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void walk(const json_t *json)
{
    const mlf_object *object = mlf_object_of((json_t *)(uintptr_t)json);
    int64_t integer;
    double number;
    mlf_object_string(object, "run.info.run_id");
    mlf_object_integer(&integer, object, "metrics[0].step");
    mlf_object_double(&number, object, "metrics[0].value");
    mlf_object_lookup(object, "run.data.params", "a");
    mlf_object_count(object, "runs");
    char *text = mlf_object_text(object, 2);
    json_t *again = NULL;
    if (!text || mlf_reply_json(&again, text, strlen(text), NULL)) abort();
    if (!json_equal(json, again)) abort();
    mlf_free(text);
    json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    mlf_error error = MLF_ERROR_INIT, refusal = MLF_ERROR_INIT;
    json_t *json = NULL;
    int code = mlf_reply_json(&json, text, size, &error);
    if ((code == MLF_OK) != (json != NULL) || (code && !error.message[0])) abort();
    if (json) {
        walk(json);
        for (int open = 0; open < 2; open++)
            mlf_fields_check("run_id!:s metrics:@Metric* params:@Param* status:%RunStatus tags:m trace:@Trace", json,
                             open, NULL);
    }
    json_decref(json);
    if (mlf_reply_error(&refusal, "GET x", 400 + (int)(size % 120), text, size, 0) == MLF_OK || !refusal.code) abort();
    /* The same bytes as the head of an answer. */
    char value[64];
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    if (!sv_buffer_append(&reply.headers, data, size)) {
        mlf_http_header(&reply, "Retry-After", value, sizeof value);
        if (mlf_http_header(&reply, "a", value, sizeof value) && strlen(value) >= sizeof value) abort();
    }
    if (reply.headers.data && mlf_retry_after_ms(reply.headers.data, 0) > 6 * 3600 * 1000) abort();
    for (reply.status = 200; reply.status <= 206; reply.status += 6) {
        int64_t offset, total;
        mlf_object object = {.size_bytes = -1};
        mlf_http_range(&reply, &offset, &total);
        if (offset < 0 || total < -1) abort();
        mlf_gs_describe(&object, &reply);
        if (object.has_crc32c && object.has_md5) abort();
    }
    mlf_http_reply_free(&reply);
    return 0;
}
