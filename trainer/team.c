/* team.c: the ticket is one word, (loop number << 32) | tasks left, so that a worker that slept through a loop can never take a task of the next by mistake. */
#include "team.h"

#include "alloc.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

enum { SPINS = 4000 }; /* some 40 µs: passes over the data follow each other faster than a thread can be woken */

typedef struct worker {
    sv_team *team;
    pthread_t thread;
    size_t number;
} worker;

struct sv_team {
    size_t n_threads, n_started;
    worker *workers; /* (n_threads); the first is the caller */
    _Alignas(64) _Atomic uint64_t ticket;
    _Alignas(64) _Atomic size_t done;
    size_t n_tasks;
    sv_team_task task;
    void *context;
    _Alignas(64) atomic_int sleepers, stop;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
};

static void pause_a_little(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* Takes tasks until none is left in the present loop. */
static void work(sv_team *team, size_t number)
{
    uint64_t ticket = atomic_load(&team->ticket);
    while ((uint32_t)ticket) {
        if (!atomic_compare_exchange_weak(&team->ticket, &ticket, ticket - 1))
            continue;
        team->task(team->context, team->n_tasks - (uint32_t)ticket, number); /* held: the loop cannot end before this task is counted */
        atomic_fetch_add(&team->done, 1);
        ticket = atomic_load(&team->ticket);
    }
}

static int idle(sv_team *team)
{
    return !(uint32_t)atomic_load(&team->ticket) && !atomic_load(&team->stop);
}

static void sleep_until_wanted(sv_team *team)
{
    for (int i = 0; i < SPINS; i++) {
        if (!idle(team)) return;
        pause_a_little();
    }
    pthread_mutex_lock(&team->mutex);
    atomic_fetch_add(&team->sleepers, 1);
    while (idle(team))
        pthread_cond_wait(&team->wake, &team->mutex);
    atomic_fetch_sub(&team->sleepers, 1);
    pthread_mutex_unlock(&team->mutex);
}

static void *worker_main(void *context)
{
    worker *self = context;
    while (!atomic_load(&self->team->stop)) {
        work(self->team, self->number);
        sleep_until_wanted(self->team);
    }
    return NULL;
}

static void wake_all(sv_team *team)
{
    if (!atomic_load(&team->sleepers)) return;
    pthread_mutex_lock(&team->mutex);
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->mutex);
}

static size_t processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set)) return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (size_t)count : 1;
}

int sv_team_new(sv_team **out, size_t n_threads, sv_error *error)
{
    *out = NULL;
    if (n_threads == 0) n_threads = processors();
    if (n_threads > 1024) return sv_error_set(error, SV_E_LIMIT, "threads: expected at most 1024, got %zu", n_threads);
    sv_team *team = sv_aligned(64, sizeof *team);
    worker *workers = sv_calloc(n_threads, sizeof *workers);
    if (!team || !workers) {
        sv_free(team);
        sv_free(workers);
        return sv_error_set(error, SV_E_MEMORY, "threads: out of memory");
    }
    *team = (sv_team){.n_threads = n_threads, .n_started = 1, .workers = workers};
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->wake, NULL);
    for (size_t i = 1; i < n_threads; i++) {
        workers[i] = (worker){.team = team, .number = i};
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i])) {
            sv_team_free(team);
            return sv_error_set(error, SV_E_LIMIT, "threads: the system gave %zu of %zu", i, n_threads);
        }
        team->n_started++;
    }
    *out = team;
    return 0;
}

void sv_team_free(sv_team *team)
{
    if (!team) return;
    pthread_mutex_lock(&team->mutex);
    atomic_store(&team->stop, 1);
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->mutex);
    for (size_t i = 1; i < team->n_started; i++)
        pthread_join(team->workers[i].thread, NULL);
    pthread_cond_destroy(&team->wake);
    pthread_mutex_destroy(&team->mutex);
    sv_free(team->workers);
    sv_free(team);
}

size_t sv_team_size(const sv_team *team)
{
    return team->n_threads;
}

void sv_team_run(sv_team *team, size_t n_tasks, sv_team_task task, void *context)
{
    assert(n_tasks < UINT32_MAX);
    if (!team || team->n_threads == 1 || n_tasks <= 1) {
        for (size_t i = 0; i < n_tasks; i++)
            task(context, i, 0);
        return;
    }
    team->task = task;
    team->context = context;
    team->n_tasks = n_tasks;
    atomic_store(&team->done, 0);
    uint64_t loop = (atomic_load(&team->ticket) >> 32) + 1;
    atomic_store(&team->ticket, loop << 32 | n_tasks);
    wake_all(team);
    work(team, 0);
    for (unsigned spins = 0; atomic_load(&team->done) < n_tasks; spins++) {
        if (spins > SPINS) sched_yield();
        else pause_a_little();
    }
}
