/* Any bytes as a scoring body. The first one says which: 'j' JSON and 'c' CSV for /invocations, where the fast scanner and the careful path must agree;
   'p' /predict; 'x' /explain; 'f' /feedback; 'i' the request's id and trace, 't' parts of a split; 'v' V2, the JSON part as long as the second byte says. */
#include "request_id.h"
#include "row_scan.h"
#include "service.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static sv_levels *levels_of(const char *const *texts, size_t n)
{
    sv_levels *levels = NULL;
    if (sv_levels_new(&levels))
        abort();
    for (size_t i = 0; i < n; i++)
        if (sv_levels_add(levels, texts[i], strlen(texts[i])) < 0)
            abort();
    return levels;
}

/* n: long, x: double, s: text of a strict choice, o: optional text, d: optional date */
static sv_service *make_service(void)
{
    static const char *const texts[] = {"a", "bb", "no"};
    static const sv_service_options options = {1000, 10000, 1u << 24};
    sv_error error = SV_ERROR_INIT;
    sv_place place;
    sv_features *features = NULL;
    sv_pipeline *pipeline = NULL;
    sv_service *service = NULL;
    sv_served *served = NULL;
    sv_levels *levels = levels_of(texts, 3);
    sv_identity identity = {0};
    if (sv_features_new(&features) || sv_features_add_column(features, "n", SV_LONG, NULL, &error) < 0 || sv_features_add_column(features, "x", SV_DOUBLE, NULL, &error) < 0 ||
        sv_features_add_column(features, "s", SV_STRING, levels, &error) < 0 || sv_features_add_column(features, "o", SV_STRING, levels, &error) < 0 ||
        sv_features_add_column(features, "d", SV_DATE, NULL, &error) < 0)
        abort();
    sv_features_set_optional(features, 3, 1);
    sv_features_set_optional(features, 4, 1);
    if (sv_features_define(features, "m", "month(d)", &place, &error) < 0 || sv_features_compile(features, NULL, &place, &error) || sv_pipeline_new(&pipeline, features, SV_TASK_BINARY, 1, &error))
        abort();
    for (int v = 0; v < 6; v++) {
        if (v == 4)
            continue; /* of the date, its month is used */
        int t = v < 2 || v == 5 ? sv_pipeline_add_number(pipeline, v, &error) : sv_pipeline_add_category(pipeline, v, levels, NULL, SV_UNKNOWN_ZEROS, -1, &error);
        if (t < 0)
            abort();
        sv_pipeline_term(pipeline, (size_t)t)->weights[0] = 0.25 * (v + 1);
        sv_pipeline_term(pipeline, (size_t)t)->fill = 0.5;
    }
    if (sv_pipeline_finish(pipeline, &error))
        abort();
    sv_levels_free(levels);
    sv_package package = {.pipeline = pipeline};
    if (sv_served_new(&served, &package, &identity, 1, &error) || sv_service_new(&service, &options, 1, &error) || sv_service_add(service, "m", "m", &error) < 0)
        abort();
    if (sv_ledger_new(&service->ledger, 64))
        abort();
    sv_service_swap(service, 0, served);
    return service;
}

static void compare_paths(sv_call *call, int is_csv)
{
    sv_buffer fast = SV_BUFFER_INIT(0);
    long n = is_csv ? sv_scan_csv(call->served, call->batch, call->request->body, 1000, &fast) : sv_scan_invocation(call->served, call->batch, call->request->body, 1000, &fast);
    sv_call_answer_carefully(call, is_csv);
    if (n >= 0 && (call->reply->status != 200 || fast.size != call->reply->body.size || memcmp(fast.data, call->reply->body.data, fast.size) != 0))
        abort();
    sv_buffer_free(&fast);
}

/* An id that is taken holds nothing that could end a header line; a trace that is taken is answered in the same form. */
static void read_marks(sv_call *call, sv_http_request *request)
{
    char made[SV_MADE_ID_SIZE];
    sv_prng *prng = &call->service->workers[0].prng;
    request->n_headers = 2;
    request->headers[0] = (sv_http_header){sv_span_of("X-Request-Id"), request->body};
    request->headers[1] = (sv_http_header){sv_span_of("traceparent"), request->body};
    sv_span id = sv_request_id(request, prng, made), trace = sv_request_trace(request);
    for (size_t i = 0; i < id.size; i++)
        if (id.text[i] <= ' ' || id.text[i] >= 0x7f)
            abort();
    if (id.size == 0 || id.size > SV_REQUEST_ID_MAX)
        abort();
    sv_reply_text(call->reply, 200, NULL, "ok");
    if (trace.text)
        sv_request_trace_answer(trace, prng, call->reply);
    if (trace.text && (call->reply->fields.size != 72 || memcmp(call->reply->fields.data + 18, trace.text + 3, 32) != 0))
        abort();
}

static void read_split(sv_call *call)
{
    sv_error error = SV_ERROR_INIT;
    double share = 0;
    char *text = sv_arena_strndup(call->arena, call->request->body.text, call->request->body.size);
    if (text && sv_split_parse(text, &share, &error) == 0 && !(share >= 0 && share <= 1))
        abort();
    sv_reply_text(call->reply, 200, NULL, "ok");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static sv_service *service;
    static sv_reply reply;
    if (!service)
        service = make_service();
    if (size < 2)
        return 0;
    char digits[8];
    sv_http_request request = {.method = {"POST", 4}, .body = {(const char *)bytes + 2, size - 2}};
    sv_call call = {.service = service, .request = &request, .reply = &reply, .arena = &service->workers[0].arena, .served = service->slots[0].current};
    call.batch = &call.served->batches[0];
    sv_reply_clear(&reply);
    switch (bytes[0]) {
    case 'j':
    case 'c':
        compare_paths(&call, bytes[0] == 'c');
        break;
    case 'p':
        sv_handle_predict(&call);
        break;
    case 'x':
        sv_handle_explain(&call);
        break;
    case 'f':
        sv_ledger_add(service->ledger, 0, sv_span_of("a"), sv_version_serial(call.served->stats), &(sv_tapped){0.25, 0}, 1);
        sv_handle_feedback(&call);
        break;
    case 'i':
        read_marks(&call, &request);
        break;
    case 't':
        read_split(&call);
        break;
    default:
        request.n_headers = 1;
        request.headers[0].name = sv_span_of("Inference-Header-Content-Length");
        request.headers[0].value = (sv_span){digits, (size_t)snprintf(digits, sizeof digits, "%u", (unsigned)bytes[1])};
        call.argument = sv_span_of("m/infer");
        sv_handle_v2_infer(&call);
    }
    if (reply.body.size == 0 && reply.status == 200)
        abort();
    sv_arena_reset(call.arena);
    return 0;
}
