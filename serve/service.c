/* service.c: see service.h. */
#include "service.h"

#include "alloc.h"
#include "clock.h"
#include "log.h"
#include "router.h"

#include <math.h>
#include <sched.h>
#include <time.h>

int sv_service_new(sv_service **out, const sv_service_options *options, unsigned n_workers, sv_error *error)
{
    sv_service *service = sv_calloc(1, sizeof *service);
    if (service) {
        service->options = *options;
        service->n_workers = n_workers;
        service->workers = sv_aligned(64, n_workers * sizeof *service->workers);
    }
    if (!service || !service->workers || sv_metrics_new(&service->metrics, n_workers)) {
        sv_service_free(service);
        return sv_error_set(error, SV_E_MEMORY, "service: out of memory");
    }
    memset(service->workers, 0, n_workers * sizeof *service->workers);
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

void sv_service_swap(sv_service *service, size_t slot, sv_served *fresh)
{
    fresh->metrics = service->metrics;
    if (!fresh->monitor && sv_monitor_new(&fresh->monitor, fresh, service->n_workers, service->config ? service->config->drift_window_seconds : 3600))
        sv_log(SV_LOG_WARN, "%s: no memory to watch its rows", service->slots[slot].key);
    sv_served *old = atomic_exchange(&service->slots[slot].current, fresh);
    wait_for_quiet(service);
    sv_served_free(old);
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

void sv_service_handle(void *context, unsigned worker_index, const sv_http_request *request, const char *peer, sv_reply *reply)
{
    sv_service *service = context;
    sv_worker *worker = &service->workers[worker_index];
    int64_t began_ns = sv_monotonic_ns();
    sv_metrics_begin(service->metrics, worker_index);
    atomic_fetch_add(&worker->rounds, 1); /* odd: a version may be in use */
    sv_call call = {.service = service, .worker = worker_index, .request = request, .reply = reply, .arena = &worker->arena};
    int refused = service->guard && sv_guard_check(service->guard, request, reply);
    const sv_row *row = refused ? NULL : sv_route_request(&call);
    if (row) {
        call.served = atomic_load(&service->slots[call.slot].current);
        if (call.served) {
            call.batch = &call.served->batches[worker_index];
            sv_buffer_append(&reply->fields, call.served->fields.data, call.served->fields.size);
        }
        if (row->needs_model && !call.served)
            sv_reply_detail(reply, 503, "no model is loaded yet");
        else
            row->handle(&call);
    }
    if (service->guard)
        sv_guard_log(service->guard, request, peer, reply, call.served ? call.served->identity.version : NULL, sv_monotonic_ns() - began_ns);
    sv_arena_reset(&worker->arena);
    atomic_fetch_add(&worker->rounds, 1);
    sv_metrics_end(service->metrics, worker_index, row ? row->route : SV_ROUTE_OTHER, reply->status, sv_monotonic_ns() - began_ns, call.n_rows);
}
