/* background.c: see background.h. */
#include "background.h"

#include "alloc.h"
#include "clock.h"
#include "log.h"
#include "periodic.h"
#include "prediction_line.h"
#include "router.h"

#include <math.h>

#define QUEUE_BYTES (1u << 20) /* of each worker */
#define REST_MS 10             /* between two looks at empty queues; without queues: DRIFT_EVERY_MS */
#define DRIFT_EVERY_MS 1000
#define LOG_EVERY_MS 60000
#define NICE 10                /* answers come first */

struct sv_background {
    sv_service *service;
    unsigned worker;  /* its own place among the service's workers */
    sv_record_queue **queues; /* (worker): one of every other worker; NULL: nobody wants records */
    size_t shadow_slot;
    sv_http_request request; /* the one that is replayed */
    sv_reply reply;   /* what replays answer; read by nobody */
    int64_t drift_ns, log_ns;
    size_t noticed[SV_MODELS_MAX];
    sv_periodic *thread;
};

/* ---- what workers do ---- */

void sv_background_offer(sv_background *background, const sv_call *call, size_t answered_by, const sv_row *row)
{
    if (!background->queues || call->batch->n_tapped == 0)
        return;
    const sv_service *service = call->service;
    sv_record record = {.slot = call->slot, .answered_by = answered_by, .row = row, .stats = call->served->stats, .time_ms = sv_epoch_ms(), .n_rows = call->n_rows};
    record.is_compared = service->shadow && call->slot == 0;
    record.is_logged = service->prediction_log && sv_prediction_log_wants(service->prediction_log, call->id);
    if (!record.is_compared && !record.is_logged)
        return;
    record.n_tapped = call->batch->n_tapped;
    record.tapped = call->batch->tapped;
    record.texts[SV_RECORD_ID] = call->id;
    record.texts[SV_RECORD_TRACE] = call->trace;
    record.texts[SV_RECORD_TYPE] = sv_http_header_value(call->request, "content-type");
    record.texts[SV_RECORD_JSON_SIZE] = sv_http_header_value(call->request, "inference-header-content-length");
    record.texts[SV_RECORD_BODY] = call->request->body;
    sv_record_queue_put(background->queues[call->worker], &record);
}

unsigned long sv_background_dropped(const sv_background *background)
{
    unsigned long dropped = 0;
    for (unsigned w = 0; background && background->queues && w < background->worker; w++)
        dropped += sv_record_queue_dropped(background->queues[w]);
    return dropped;
}

/* ---- replays ---- */

static void add_header(sv_http_request *request, const char *name, sv_span value)
{
    if (value.text)
        request->headers[request->n_headers++] = (sv_http_header){sv_span_of(name), value};
}

/* The record's request once more, for that version, counting nowhere. */
static sv_call call_again(sv_background *background, const sv_record *record, sv_served *served)
{
    sv_worker *worker = &background->service->workers[background->worker];
    sv_http_request *request = &background->request;
    *request = (sv_http_request){.method = {"POST", 4}, .body = record->texts[SV_RECORD_BODY]};
    add_header(request, "Content-Type", record->texts[SV_RECORD_TYPE]);
    add_header(request, "Inference-Header-Content-Length", record->texts[SV_RECORD_JSON_SIZE]);
    sv_call call = {.service = background->service, .worker = background->worker, .request = request, .reply = &background->reply, .arena = &worker->arena, .slot = record->slot,
                    .served = served, .batch = &served->batches[background->worker], .argument = sv_span_of("x/infer"), .is_what_if = 1};
    sv_reply_clear(&background->reply);
    call.batch->n_tapped = 0;
    call.batch->unwatched = 1;
    return call;
}

/* The rows' answers by that version; NULL when it refuses the request. */
static const sv_batch *replay(sv_background *background, const sv_record *record, sv_served *served)
{
    sv_call call = call_again(background, record, served);
    record->row->handle(&call);
    sv_arena_reset(call.arena);
    return background->reply.status == 200 ? call.batch : NULL;
}

static void log_record(sv_background *background, const sv_record *record)
{
    sv_served *served = atomic_load(&background->service->slots[record->answered_by].current);
    if (!served)
        return;
    sv_call call = call_again(background, record, served);
    sv_prediction_lines(background->service->prediction_log, record, &call);
    sv_arena_reset(call.arena);
}

/* The other version answers the same request. The one that answered it before is only looked at for its name; when it has been replaced since, the
   record is of no use any more. */
static void compare(sv_background *background, const sv_record *record)
{
    sv_service *service = background->service;
    int by_challenger = record->answered_by == background->shadow_slot;
    sv_served *own = atomic_load(&service->slots[record->answered_by].current);
    sv_served *other = atomic_load(&service->slots[by_challenger ? record->slot : background->shadow_slot].current);
    if (!own || !other || own->stats != record->stats)
        return;
    const sv_batch *batch = replay(background, record, other);
    if (!batch || batch->n_tapped != record->n_tapped)
        sv_shadow_failed(service->shadow);
    else if (by_challenger)
        sv_shadow_compare(service->shadow, other, batch->tapped, own, record->tapped, record->n_tapped);
    else
        sv_shadow_compare(service->shadow, own, record->tapped, other, batch->tapped, record->n_tapped);
}

/* ---- the thread ---- */

/* Everything that is queued now. */
static void drain(sv_background *background)
{
    sv_record record;
    sv_worker *worker = &background->service->workers[background->worker];
    for (unsigned w = 0; background->queues && w < background->worker; w++)
        while (sv_record_queue_get(background->queues[w], &record)) {
            sv_worker_enter(worker);
            if (record.is_compared)
                compare(background, &record);
            if (record.is_logged)
                log_record(background, &record);
            sv_worker_leave(worker);
            sv_record_queue_drop(background->queues[w]);
        }
    if (background->service->prediction_log)
        sv_prediction_log_flush(background->service->prediction_log);
}

/* One line when drift begins to be noticed in a place, one when it no longer is. */
static void look_for_drift(sv_background *background)
{
    sv_service *service = background->service;
    sv_worker *worker = &service->workers[background->worker];
    sv_drift_rule rule = sv_service_drift_rule(service);
    for (size_t s = 0; s < service->n_slots; s++) {
        sv_worker_enter(worker);
        const sv_served *served = atomic_load(&service->slots[s].current);
        size_t n = served ? sv_monitor_size(served->monitor) : 0, noticed = 0, largest = 0;
        sv_drift *drifts = n ? sv_calloc(n, sizeof *drifts) : NULL;
        if (drifts) {
            unsigned long rows = sv_monitor_read(served->monitor, &rule, drifts);
            noticed = sv_drift_noticed(&rule, drifts, n);
            for (size_t i = 1; i < n; i++)
                largest = drifts[i].psi > drifts[largest].psi ? i : largest;
            const char *version = served->identity.version ? served->identity.version : "(none)";
            if (noticed && !background->noticed[s])
                sv_log(SV_LOG_WARN, "%s: drift noticed in version %s: %zu of %zu indices are at least %g over %lu rows, the largest %g of '%s'", service->slots[s].key, version, noticed,
                       n, rule.threshold, rows, drifts[largest].psi, drifts[largest].name);
            else if (!noticed && background->noticed[s])
                sv_log(SV_LOG_INFO, "%s: drift is no longer noticed in version %s", service->slots[s].key, version);
        }
        background->noticed[s] = noticed;
        sv_worker_leave(worker);
        sv_free(drifts);
    }
}

static void look_around(sv_background *background)
{
    int64_t now_ns = sv_monotonic_ns();
    if (now_ns - background->drift_ns >= DRIFT_EVERY_MS * INT64_C(1000000)) {
        background->drift_ns = now_ns;
        look_for_drift(background);
    }
    if (background->service->shadow && now_ns - background->log_ns >= LOG_EVERY_MS * INT64_C(1000000)) {
        background->log_ns = now_ns;
        sv_shadow_log(background->service->shadow);
    }
}

static void work(void *argument, int is_last)
{
    sv_background *background = argument;
    drain(background);
    if (!is_last)
        look_around(background);
    else if (background->service->shadow)
        sv_shadow_log(background->service->shadow);
}

static void free_background(sv_background *background)
{
    for (unsigned w = 0; background->queues && w < background->worker; w++)
        sv_record_queue_free(background->queues[w]);
    sv_free(background->queues);
    sv_reply_free(&background->reply);
    sv_free(background);
}

static int make_queues(sv_background *background)
{
    background->queues = sv_calloc(background->worker, sizeof(sv_record_queue *));
    for (unsigned w = 0; background->queues && w < background->worker; w++)
        if (sv_record_queue_new(&background->queues[w], QUEUE_BYTES))
            return SV_E_MEMORY;
    return background->queues ? 0 : SV_E_MEMORY;
}

int sv_background_start(sv_background **out, sv_service *service, size_t shadow_slot, sv_error *error)
{
    sv_background *background = sv_calloc(1, sizeof *background);
    if (!background)
        return sv_error_set(error, SV_E_MEMORY, "background: out of memory");
    background->service = service;
    background->worker = service->n_workers - 1;
    background->shadow_slot = shadow_slot;
    background->log_ns = sv_monotonic_ns();
    int code = 0;
    if ((shadow_slot != SIZE_MAX || service->prediction_log) && make_queues(background))
        code = sv_error_set(error, SV_E_MEMORY, "background: out of memory");
    if (code == 0)
        code = sv_periodic_start(&background->thread, "background", background->queues ? REST_MS : DRIFT_EVERY_MS, NICE, work, background, error);
    if (code) {
        free_background(background);
        return code;
    }
    service->background = background;
    *out = background;
    return 0;
}

void sv_background_stop(sv_background *background)
{
    if (!background)
        return;
    sv_periodic_stop(background->thread, -1);
    free_background(background);
}
