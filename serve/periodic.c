/* periodic.c: see periodic.h. */
#include "periodic.h"

#include "alloc.h"
#include "clock.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct sv_periodic {
    int64_t rest_ms;
    int nice;
    sv_periodic_work *work;
    void *context;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int is_woken, is_ending;
};

static struct timespec after_ms(int64_t ms)
{
    int64_t ns = sv_monotonic_ns() + ms * 1000000;
    return (struct timespec){ns / 1000000000, ns % 1000000000};
}

/* Returns 0 when the thread shall end. */
static int rest(sv_periodic *periodic)
{
    struct timespec until = after_ms(periodic->rest_ms);
    pthread_mutex_lock(&periodic->lock);
    while (!periodic->is_ending && !periodic->is_woken)
        if (pthread_cond_timedwait(&periodic->changed, &periodic->lock, &until) == ETIMEDOUT)
            break;
    periodic->is_woken = 0;
    int go_on = !periodic->is_ending;
    pthread_mutex_unlock(&periodic->lock);
    return go_on;
}

static void *run(void *argument)
{
    sv_periodic *periodic = argument;
    if (periodic->nice)
        setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), periodic->nice);
    while (rest(periodic))
        periodic->work(periodic->context, 0);
    periodic->work(periodic->context, 1);
    return NULL;
}

static void free_periodic(sv_periodic *periodic)
{
    pthread_mutex_destroy(&periodic->lock);
    pthread_cond_destroy(&periodic->changed);
    sv_free(periodic);
}

int sv_periodic_start(sv_periodic **out, const char *name, int64_t rest_ms, int nice, sv_periodic_work *work, void *context, sv_error *error)
{
    sv_periodic *periodic = sv_calloc(1, sizeof *periodic);
    if (!periodic)
        return sv_error_set(error, SV_E_MEMORY, "%s: out of memory", name);
    *periodic = (sv_periodic){.rest_ms = rest_ms, .nice = nice, .work = work, .context = context};
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&periodic->lock, NULL);
    pthread_cond_init(&periodic->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    int reason = pthread_create(&periodic->thread, NULL, run, periodic);
    if (reason) {
        free_periodic(periodic);
        return sv_error_set(error, SV_E_MEMORY, "%s: no thread: %s", name, strerror(reason));
    }
    *out = periodic;
    return 0;
}

static void notify(sv_periodic *periodic, int is_ending)
{
    pthread_mutex_lock(&periodic->lock);
    periodic->is_woken = 1;
    periodic->is_ending |= is_ending;
    pthread_cond_signal(&periodic->changed);
    pthread_mutex_unlock(&periodic->lock);
}

void sv_periodic_wake(sv_periodic *periodic)
{
    notify(periodic, 0);
}

int sv_periodic_stop(sv_periodic *periodic, int64_t wait_ms)
{
    notify(periodic, 1);
    struct timespec until = after_ms(wait_ms);
    int reason = wait_ms < 0 ? pthread_join(periodic->thread, NULL) : pthread_clockjoin_np(periodic->thread, NULL, CLOCK_MONOTONIC, &until);
    if (reason)
        return -1;
    free_periodic(periodic);
    return 0;
}
