/* service.c: see service.h. */
#include "service.h"

#include "alloc.h"
#include "background.h"
#include "clock.h"
#include "log.h"
#include "request_id.h"
#include "router.h"

#include <math.h>
#include <sched.h>
#include <sys/random.h>
#include <time.h>

int sv_service_new(sv_service **out, const sv_service_options *options, unsigned n_workers, sv_error *error)
{
    sv_service *service = sv_calloc(1, sizeof *service);
    if (service) {
        service->options = *options;
        service->n_workers = n_workers;
        service->workers = sv_aligned(64, n_workers * sizeof *service->workers);
    }
    if (!service || !service->workers || sv_metrics_new(&service->metrics, n_workers) || sv_versions_new(&service->versions, n_workers)) {
        sv_service_free(service);
        return sv_error_set(error, SV_E_MEMORY, "service: out of memory");
    }
    memset(service->workers, 0, n_workers * sizeof *service->workers);
    uint64_t seed = (uint64_t)sv_monotonic_ns();
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) < 0)
        seed ^= (uint64_t)sv_epoch_ms() << 20;
    for (unsigned w = 0; w < n_workers; w++)
        sv_prng_seed(&service->workers[w].prng, seed + w);
    for (unsigned w = 0; w < n_workers; w++)
        service->workers[w].arena = (sv_arena)SV_ARENA_INIT(16 * 1024, options->max_arena_bytes);
    *out = service;
    return 0;
}

void sv_service_free(sv_service *service)
{
    if (!service)
        return;
    for (size_t s = 0; s < service->n_slots; s++) {
        sv_served_free(atomic_load(&service->slots[s].current));
        sv_free(service->slots[s].key);
        sv_free(service->slots[s].uri);
    }
    for (unsigned w = 0; service->workers && w < service->n_workers; w++)
        sv_arena_free(&service->workers[w].arena);
    sv_free(service->workers);
    sv_metrics_free(service->metrics);
    sv_versions_free(service->versions);
    sv_ledger_free(service->ledger);
    sv_shadow_free(service->shadow);
    sv_free(service);
}

int sv_service_add(sv_service *service, const char *key, const char *uri, sv_error *error)
{
    if (service->n_slots == SV_MODELS_MAX)
        return sv_error_set(error, SV_E_LIMIT, "models: at most %d in one process", SV_MODELS_MAX);
    for (size_t s = 0; s < service->n_slots; s++)
        if (strcmp(service->slots[s].key, key) == 0)
            return sv_error_set(error, SV_E_CONFIG, "models: the name '%s' is there twice", key);
    sv_slot *slot = &service->slots[service->n_slots];
    slot->key = sv_strdup(key);
    slot->uri = sv_strdup(uri);
    if (!slot->key || !slot->uri)
        return sv_error_set(error, SV_E_MEMORY, "models: out of memory");
    return (int)service->n_slots++;
}

/* Waits until every worker has been between two requests since the call: none can still hold what it read before. */
static void wait_for_quiet(sv_service *service)
{
    for (unsigned w = 0; w < service->n_workers; w++) {
        unsigned long seen = atomic_load(&service->workers[w].rounds);
        while (seen % 2 && atomic_load(&service->workers[w].rounds) == seen)
            nanosleep(&(struct timespec){0, 200000}, NULL);
    }
}

/* Whether requests may be split: the challenger must take what the champion takes, and answer in the same form. */
static void check_split(sv_service *service)
{
    const sv_served *champion = atomic_load(&service->slots[0].current), *challenger = atomic_load(&service->slots[service->split.challenger].current);
    sv_error error = SV_ERROR_INIT;
    int fits = champion && challenger && sv_served_compatible(champion, challenger, &error) == 0;
    if (error.code)
        sv_log(SV_LOG_ERROR, "split: version %s gets no requests, the champion answers them all: %s", challenger->identity.version ? challenger->identity.version : "(none)", error.message);
    atomic_store(&service->split.ready, fits);
}

void sv_service_swap(sv_service *service, size_t slot, sv_served *fresh)
{
    int is_split = service->split.share > 0 && (slot == 0 || slot == service->split.challenger);
    if (is_split) {
        atomic_store(&service->split.ready, 0);
        wait_for_quiet(service);
    }
    fresh->metrics = service->metrics;
    fresh->stats = sv_versions_take(service->versions, service->slots[slot].key, fresh->identity.version, sv_pipeline_task(fresh->pipeline));
    if (!fresh->monitor && sv_monitor_new(&fresh->monitor, fresh, service->n_workers, service->config ? service->config->drift_window_seconds : 3600))
        sv_log(SV_LOG_WARN, "%s: no memory to watch its rows", service->slots[slot].key);
    sv_served *old = atomic_exchange(&service->slots[slot].current, fresh);
    wait_for_quiet(service);
    sv_versions_release(service->versions, old ? old->stats : NULL);
    sv_served_free(old);
    if (is_split)
        check_split(service);
}

sv_drift_rule sv_service_drift_rule(const sv_service *service)
{
    const sv_serve_config *config = service->config;
    return config ? (sv_drift_rule){(unsigned long)config->drift_min_rows, config->drift_threshold} : (sv_drift_rule){200, 0.25};
}

int sv_call_answer(sv_call *call, void *const *columns, size_t n_rows, long *bad_row, sv_error *error)
{
    size_t n_inputs = call->served->n_inputs;
    const void **at = sv_arena_alloc(call->arena, (n_inputs + 1) * sizeof *at);
    if (!at)
        return sv_error_set(error, SV_E_MEMORY, "answer: out of memory");
    for (size_t first = 0; first < n_rows; first += SV_BLOCK_ROWS) {
        size_t n = n_rows - first < SV_BLOCK_ROWS ? n_rows - first : SV_BLOCK_ROWS;
        for (size_t i = 0; i < n_inputs; i++)
            at[i] = (const char *)columns[i] + first * (call->served->inputs[i].type == SV_STRING ? sizeof(int32_t) : sizeof(double));
        sv_block block = {n, at};
        int code = first ? sv_buffer_append(&call->reply->body, ", ", 2) : 0;
        code = code ? code : sv_served_answer(call->served, call->batch, &block, &call->reply->body, bad_row, error);
        if (code) {
            *bad_row += (long)first;
            return code;
        }
    }
    call->n_rows = n_rows;
    return 0;
}

/* Names the request, and says in the answer what it is called. */
static void mark_request(sv_call *call, sv_worker *worker, char made[SV_MADE_ID_SIZE])
{
    call->id = sv_request_id(call->request, &worker->prng, made);
    call->trace = sv_request_trace(call->request);
    call->is_what_if = sv_http_header_value(call->request, "x-what-if").text != NULL;
    sv_reply_field(call->reply, "X-Request-Id", call->id);
    if (call->trace.text)
        sv_request_trace_answer(call->trace, &worker->prng, call->reply);
}

/* The place whose version answers: the one that was asked, or the challenger's for its share of the first one's requests. One key (X-Split-Key, else
   the request id) always meets the same version. */
static size_t pick_slot(const sv_call *call, const sv_row *row)
{
    const sv_split *split = &call->service->split;
    if (split->share <= 0 || !row->is_scoring || call->slot != 0 || call->is_what_if || !atomic_load_explicit(&split->ready, memory_order_relaxed))
        return call->slot;
    if (call->argument.size && memmem(call->argument.text, call->argument.size, "/versions/", 10)) /* the caller chose */
        return call->slot;
    sv_span key = sv_http_header_value(call->request, "x-split-key");
    return sv_split_picks(split, key.size ? key : call->id) ? split->challenger : call->slot;
}

/* What was answered, for those who come back with the truth and for the background. */
static void remember(sv_call *call, size_t answered_by, const sv_row *row)
{
    const sv_service *service = call->service;
    sv_batch *batch = call->batch;
    if (service->background)
        sv_background_offer(service->background, call, answered_by, row);
    if (!service->ledger)
        return;
    for (size_t i = 0; call->served->classes && i < batch->n_tapped; i++) /* each version numbers its own classes: their names are what stays */
        batch->tapped[i].label = sv_class_number(sv_span_of(sv_pipeline_class(call->served->pipeline, (size_t)batch->tapped[i].label)));
    sv_ledger_add(service->ledger, call->slot, call->id, sv_version_serial(call->served->stats), batch->tapped, batch->n_tapped);
}

enum { MAX_PIECE = 4096 }; /* of what is appended to an answer at once without looking whether it fits */

/* Nearly as much as an answer may be: some of it may not have found room. */
static int is_cut(const sv_buffer *body)
{
    return body->max && body->max - body->size < MAX_PIECE;
}

/* A request is not wrong because there was no memory to read it, and an answer is not whole because its status is 200: who asks again may be answered. */
static void handle(sv_call *call, const sv_row *row)
{
    unsigned long failures = sv_alloc_failures();
    row->handle(call);
    if (sv_alloc_failures() != failures)
        sv_reply_detail(call->reply, 503, "out of memory");
    else if ((call->arena->was_full || is_cut(&call->reply->body)) && call->reply->status != 413)
        sv_reply_detail(call->reply, 413, "the request needs more memory than one request may take");
}

static void answer_row(sv_call *call, const sv_row *row)
{
    size_t slot = pick_slot(call, row);
    call->served = atomic_load(&call->service->slots[slot].current);
    if (call->served) {
        call->batch = &call->served->batches[call->worker];
        call->batch->n_tapped = 0;
        call->batch->unwatched = call->is_what_if;
        sv_buffer_append(&call->reply->fields, call->served->fields.data, call->served->fields.size);
    }
    if (row->needs_model && !call->served)
        sv_reply_detail(call->reply, 503, "no model is loaded yet");
    else
        handle(call, row);
    if (row->is_scoring && call->served && call->reply->status == 200 && !call->is_what_if)
        remember(call, slot, row);
}

void sv_service_handle(void *context, unsigned worker_index, const sv_http_request *request, const char *peer, sv_reply *reply)
{
    sv_service *service = context;
    sv_worker *worker = &service->workers[worker_index];
    int64_t began_ns = sv_monotonic_ns();
    sv_metrics_begin(service->metrics, worker_index);
    sv_worker_enter(worker);
    sv_call call = {.service = service, .worker = worker_index, .request = request, .reply = reply, .arena = &worker->arena};
    int refused = service->guard && sv_guard_check(service->guard, request, reply);
    const sv_row *row = refused ? NULL : sv_route_request(&call);
    char made[SV_MADE_ID_SIZE];
    if (row && row->is_scoring)
        mark_request(&call, worker, made);
    if (row)
        answer_row(&call, row);
    int64_t took_ns = sv_monotonic_ns() - began_ns;
    if (service->guard)
        sv_guard_log(service->guard, &(sv_access){request, reply, peer, call.served ? call.served->identity.version : NULL, call.id, took_ns});
    if (row && row->is_scoring && call.served && !call.is_what_if)
        sv_version_count(call.served->stats, worker_index, reply->status, call.n_rows, took_ns);
    sv_arena_reset(&worker->arena);
    sv_worker_leave(worker);
    sv_metrics_end(service->metrics, worker_index, call.is_what_if ? SV_ROUTE_PAGE : row ? row->route : SV_ROUTE_OTHER, reply->status, took_ns, call.is_what_if ? 0 : call.n_rows);
}
