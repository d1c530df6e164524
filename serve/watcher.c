/* watcher.c: see watcher.h. */
#include "watcher.h"

#include "alloc.h"
#include "log.h"
#include "prediction_log.h"
#include "tls.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

struct sv_watcher {
    sv_service *service;
    sv_source *const *sources;
    struct sv_tls *tls; /* NULL: plain */
    int poll_ms;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int asked, stopping;
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
    if (code == SV_E_NETWORK) {
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

static struct timespec after_ms(int ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* Waits for the next round. Returns 0 when the watcher shall end. */
static int wait_round(sv_watcher *watcher)
{
    struct timespec until = after_ms(watcher->poll_ms);
    pthread_mutex_lock(&watcher->lock);
    while (!watcher->stopping && !watcher->asked)
        if (pthread_cond_timedwait(&watcher->changed, &watcher->lock, &until) == ETIMEDOUT)
            break;
    watcher->asked = 0;
    int go_on = !watcher->stopping;
    pthread_mutex_unlock(&watcher->lock);
    return go_on;
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

static void *watch(void *argument)
{
    sv_watcher *watcher = argument;
    while (wait_round(watcher)) {
        look_at_certificate(watcher);
        for (size_t slot = 0; slot < watcher->service->n_slots; slot++)
            if (!sv_source_is_folder(watcher->sources[slot]))
                sv_watcher_look(watcher->service, slot, watcher->sources[slot]);
    }
    return NULL;
}

int sv_watcher_start(sv_watcher **out, sv_service *service, sv_source *const *sources, struct sv_tls *tls, int poll_ms, sv_error *error)
{
    sv_watcher *watcher = sv_calloc(1, sizeof *watcher);
    if (!watcher)
        return sv_error_set(error, SV_E_MEMORY, "watcher: out of memory");
    *watcher = (sv_watcher){.service = service, .sources = sources, .tls = tls, .poll_ms = poll_ms};
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&watcher->lock, NULL);
    pthread_cond_init(&watcher->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    int reason = pthread_create(&watcher->thread, NULL, watch, watcher);
    if (reason) {
        sv_free(watcher);
        return sv_error_set(error, SV_E_MEMORY, "watcher: no thread: %s", strerror(reason));
    }
    *out = watcher;
    return 0;
}

static void signal_watcher(sv_watcher *watcher, int stop)
{
    pthread_mutex_lock(&watcher->lock);
    watcher->asked = 1;
    watcher->stopping |= stop;
    pthread_cond_signal(&watcher->changed);
    pthread_mutex_unlock(&watcher->lock);
}

void sv_watcher_wake(sv_watcher *watcher)
{
    signal_watcher(watcher, 0);
}

void sv_watcher_stop(sv_watcher *watcher)
{
    if (!watcher)
        return;
    signal_watcher(watcher, 1);
    for (size_t slot = 0; slot < watcher->service->n_slots; slot++)
        sv_source_stop(watcher->sources[slot]); /* the registry may be slow to answer */
    pthread_join(watcher->thread, NULL);
    pthread_mutex_destroy(&watcher->lock);
    pthread_cond_destroy(&watcher->changed);
    sv_free(watcher);
}
