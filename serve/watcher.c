/* watcher.c: see watcher.h. */
#include "watcher.h"

#include "alloc.h"
#include "log.h"
#include "periodic.h"
#include "prediction_log.h"
#include "tls.h"

struct sv_watcher {
    sv_service *service;
    sv_source *const *sources;
    struct sv_tls *tls; /* NULL: plain */
    sv_periodic *thread;
};

static const char *version_of(const sv_served *served)
{
    return served && served->identity.version ? served->identity.version : "(none)";
}

int sv_watcher_look(sv_service *service, size_t slot, sv_source *source)
{
    sv_error error = SV_ERROR_INIT;
    sv_served *fresh = NULL;
    const char *key = service->slots[slot].key;
    int code = sv_source_poll(source, &fresh, &error);
    if (code && !*sv_source_offered(source)) { /* no registry, no such alias, no room: whatever it is may be over at the next round */
        sv_log(SV_LOG_WARN, "%s: %s; the version being served goes on", key, error.message);
        return code;
    }
    if (code == 0 && !fresh)
        return 0;
    const sv_served *old = atomic_load(&service->slots[slot].current); /* only this thread replaces it */
    if (code == 0)
        code = sv_served_check(fresh, &error);
    if (code == 0 && old)
        code = sv_served_compatible(old, fresh, &error);
    if (code) {
        sv_log(SV_LOG_ERROR, "%s: version %s is refused, version %s goes on: %s", key, sv_source_offered(source), version_of(old), error.message);
        sv_metrics_reload(service->metrics, 0);
        sv_source_reject(source);
        sv_served_free(fresh);
        return code;
    }
    sv_log(SV_LOG_INFO, "%s: version %s follows version %s", key, version_of(fresh), version_of(old));
    sv_redacted_warn(service->config, key, old, fresh);
    sv_source_accept(source, fresh);
    sv_service_swap(service, slot, fresh);
    sv_metrics_reload(service->metrics, 1);
    return 1;
}

static void look_at_certificate(sv_watcher *watcher)
{
    sv_error error = SV_ERROR_INIT;
    int taken = watcher->tls ? sv_tls_reload(watcher->tls, &error) : 0;
    if (taken < 0)
        sv_log(SV_LOG_ERROR, "%s; the old certificate goes on", error.message);
    else if (taken)
        sv_log(SV_LOG_INFO, "tls: the certificate was read again");
}

static void watch(void *argument, int is_last)
{
    sv_watcher *watcher = argument;
    if (is_last)
        return;
    look_at_certificate(watcher);
    for (size_t slot = 0; slot < watcher->service->n_slots; slot++)
        if (!sv_source_is_folder(watcher->sources[slot]))
            sv_watcher_look(watcher->service, slot, watcher->sources[slot]);
}

int sv_watcher_start(sv_watcher **out, sv_service *service, sv_source *const *sources, struct sv_tls *tls, int poll_ms, sv_error *error)
{
    sv_watcher *watcher = sv_calloc(1, sizeof *watcher);
    int code = watcher ? 0 : sv_error_set(error, SV_E_MEMORY, "watcher: out of memory");
    for (size_t slot = 0; slot < service->n_slots && !code; slot++)
        code = sv_source_follow(sources[slot], error);
    if (code) {
        sv_free(watcher);
        return code;
    }
    *watcher = (sv_watcher){.service = service, .sources = sources, .tls = tls};
    code = sv_periodic_start(&watcher->thread, "watcher", poll_ms, 0, watch, watcher, error);
    if (code)
        sv_free(watcher);
    else
        *out = watcher;
    return code;
}

void sv_watcher_wake(sv_watcher *watcher)
{
    sv_periodic_wake(watcher->thread);
}

void sv_watcher_stop(sv_watcher *watcher)
{
    if (!watcher)
        return;
    if (sv_periodic_stop(watcher->thread, 0)) {
        for (size_t slot = 0; slot < watcher->service->n_slots; slot++)
            sv_source_stop(watcher->sources[slot]); /* the registry may be slow to answer */
        sv_periodic_stop(watcher->thread, -1);
    }
    sv_free(watcher);
}
