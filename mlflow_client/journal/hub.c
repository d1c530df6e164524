#include "hub.h"

#include "alloc.h"
#include "client.h"
#include "client_error.h"
#include "clock.h"
#include "json_text.h"
#include "log.h"
#include "thread.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MS INT64_C(1000000)

/* ---- from the queues to each run's pending frames; the lock is held ---- */

static int find_key(mlf_run *run, uint32_t index)
{
    if (index < run->n_keys)
        return SV_OK;
    uint32_t n = run->n_keys ? run->n_keys : 16;
    while (n <= index)
        n *= 2;
    mlf_hub_key *keys = sv_realloc(run->keys, n * sizeof *keys);
    if (!keys)
        return SV_E_MEMORY;
    memset(keys + run->n_keys, 0, (n - run->n_keys) * sizeof *keys);
    run->keys = keys;
    run->n_keys = n;
    return SV_OK;
}

static void close_frame(mlf_run *run)
{
    if (run->frame_open && run->writer.n_points)
        mlf_frame_end(&run->writer);
    else if (run->frame_open)
        mlf_frame_cancel(&run->writer);
    run->frame_open = 0;
}

static int keep_point(mlf_run *run, const mlf_point *point)
{
    int code = find_key(run, point->key->index);
    if (!code && !run->frame_open) {
        code = mlf_frame_begin(&run->writer, &run->pending);
        run->frame_open = !code;
    }
    if (!code)
        code = mlf_frame_point(&run->writer, &run->keys[point->key->index].writer, point->key->text, point->key->length, point->value, point->timestamp_ms, point->step);
    run->logged.points += !code;
    if (!code)
        run->keys[point->key->index].last = (mlf_metric_point){point->value, point->timestamp_ms, point->step};
    if (!code && mlf_frame_full(&run->writer))
        close_frame(run);
    return code;
}

/* A point that nothing takes must not hold up those of other runs behind it. */
static void turn_away(mlf_run *run)
{
    atomic_fetch_add(&run->turned_away, 1);
    atomic_store(&run->full, 1);
}

/* Stops at a point that memory does not take now: it stays in its queue. How many are out of it. */
static unsigned drain(mlf_queue *queue)
{
    unsigned count = 0;
    const mlf_point *point;
    while ((point = mlf_queue_front(queue))) {
        if (point->run && keep_point(point->run, point)) {
            if (!atomic_load(&point->run->choked))
                break;
            turn_away(point->run);
        }
        mlf_queue_pop(queue);
        count++;
    }
    return count;
}

static void drain_all(mlf_hub *hub)
{
    unsigned count = 0;
    for (int i = 0; i < MLF_HUB_QUEUES; i++) {
        mlf_queue *queue = atomic_load_explicit(&hub->queues[i], memory_order_acquire);
        if (queue)
            count += drain(queue);
    }
    if (count)
        hub->logged_ns = sv_monotonic_ns();
}

/* ---- waiting on a condition until a monotonic moment ---- */

static void wait_ms(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t ms)
{
    int64_t until = sv_monotonic_ns() + (ms > 0 ? ms : 1) * MS;
    struct timespec moment = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
    pthread_cond_timedwait(condition, lock, &moment);
}

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* ---- the writer ---- */

/* Takes a run's pending frames to its journal. The lock is given up meanwhile; only the writer frees runs, so the run stays. */
static void write_run(mlf_hub *hub, mlf_run *run, int64_t now)
{
    close_frame(run);
    if (!run->writing.size) {
        sv_buffer empty = run->writing;
        run->writing = run->pending;
        run->pending = empty;
        run->moving = run->logged;
    }
    int urgent = hub->n_waiting > 0;
    pthread_mutex_unlock(&hub->lock);
    int code = run->writing.size ? mlf_stream_append(&run->folder.stream, run->writing.data, run->writing.size) : SV_OK;
    if (code && !atomic_exchange(&run->choked, 1))
        sv_log(SV_LOG_ERROR, "%s: neither the disk nor the memory for it takes more: what is logged from now on is refused", run->folder.key);
    else if (!code) {
        atomic_store(&run->choked, 0);
        atomic_store(&run->full, 0);
    }
    mlf_stream_settle(&run->folder.stream);
    if (now - run->committed_ns >= MLF_HUB_COMMIT_MS * MS || (urgent && !hub->sending)) {
        mlf_folder_commit(&run->folder);
        run->committed_ns = now;
    }
    pthread_mutex_lock(&hub->lock);
    if (!code && !mlf_stream_is_refusing(&run->folder.stream))
        run->kept = run->moving;
    if (!code && run->writing.capacity > (1 << 20))
        sv_buffer_free(&run->writing);
    else if (!code)
        sv_buffer_clear(&run->writing);
}

static void free_run(mlf_run *run)
{
    mlf_sender_free(&run->sender);
    mlf_folder_close(&run->folder);
    sv_buffer_free(&run->pending);
    sv_buffer_free(&run->writing);
    sv_free(run->keys);
    sv_free(run);
}

static int is_written(const mlf_run *run)
{
    return !run->pending.size && !run->writing.size;
}

/* A run without a handle goes when there is nothing left to do for it: sent whole (its journal goes too), halted, or offline. */
static int may_go(mlf_hub *hub, mlf_run *run)
{
    if (!run->detached || run->users || (!is_written(run) && !(hub->stopping && atomic_load(&run->choked))))
        return 0;
    return hub->stopping || !hub->sending || run->sender.halted || mlf_sender_is_done(&run->sender);
}

static void let_go(mlf_hub *hub, mlf_run *run)
{
    mlf_run **place = &hub->runs;
    mlf_error error = MLF_ERROR_INIT;
    while (*place != run)
        place = &(*place)->next;
    *place = run->next;
    pthread_mutex_unlock(&hub->lock);
    run->folder.stream.retry_ns = 0; /* the disk's last chance */
    mlf_stream_settle(&run->folder.stream);
    pthread_mutex_lock(&hub->lock);
    if (is_written(run) && !mlf_stream_is_refusing(&run->folder.stream))
        run->kept = run->moving;
    mlf_tally lost;
    int loses = mlf_hub_lost(hub, run, 1, &lost);
    pthread_mutex_unlock(&hub->lock);
    if (loses)
        sv_log(SV_LOG_ERROR, "run %s: %llu points and %llu operations are lost: neither the disk nor the server took them", run->folder.key, (unsigned long long)lost.points,
               (unsigned long long)lost.ops);
    int all_sent = hub->sending && mlf_sender_is_done(&run->sender);
    if (!all_sent)
        mlf_folder_commit(&run->folder);
    else if (mlf_folder_remove(&run->folder, &error))
        sv_log(SV_LOG_WARN, "%s", error.message);
    free_run(run);
    pthread_mutex_lock(&hub->lock);
}

static uint64_t total_backlog(mlf_hub *hub)
{
    uint64_t total = 0;
    for (mlf_run *run = hub->runs; run; run = run->next)
        total += run->sender.halted ? 0 : mlf_sender_backlog(&run->sender);
    return total;
}

static void *send_loop(void *argument);

/* One sender at first, more when one is not enough. */
static void hire(mlf_hub *hub)
{
    if (!hub->sending || !hub->runs || hub->n_senders == MLF_HUB_SENDERS)
        return;
    if (hub->n_senders && total_backlog(hub) < (uint64_t)hub->n_senders * 4 * MLF_HUB_FULL_BYTES)
        return;
    if (!mlf_thread_start(&hub->senders[hub->n_senders], send_loop, hub))
        hub->n_senders++;
}

static void *write_loop(void *argument)
{
    mlf_hub *hub = argument;
    pthread_mutex_lock(&hub->lock);
    for (;;) {
        drain_all(hub);
        int64_t now = sv_monotonic_ns();
        int wrote = 0;
        for (mlf_run *run = hub->runs, *next; run; run = next) {
            int pending = run->pending.size || run->writing.size;
            if (pending || mlf_stream_is_refusing(&run->folder.stream) || now - run->committed_ns >= MLF_HUB_COMMIT_MS * MS)
                write_run(hub, run, now);
            wrote |= pending;
            next = run->next;
            if (may_go(hub, run))
                let_go(hub, run);
        }
        hire(hub);
        if (wrote) {
            pthread_cond_broadcast(&hub->work);
            pthread_cond_broadcast(&hub->moved);
        }
        if (hub->stopping && !hub->runs)
            break;
        wait_ms(&hub->wake, &hub->lock, hub->stopping ? 1 : now - hub->logged_ns > 1000 * MS ? MLF_HUB_IDLE_MS : MLF_HUB_TICK_MS);
    }
    pthread_mutex_unlock(&hub->lock);
    return NULL;
}

/* ---- senders ---- */

static int is_ready(mlf_hub *hub, mlf_run *run, int who, int64_t now)
{
    if (run->sender.halted || now < run->sender.retry_ns)
        return 0;
    uint64_t backlog = mlf_sender_backlog(&run->sender);
    int retrying = run->sender.failures > 0;
    int hurried = hub->n_waiting || run->detached; /* the last batches go side by side, too */
    if (who > 0)
        return !retrying && backlog >= (hurried ? 1 : (uint64_t)who * 2) * MLF_HUB_FULL_BYTES;
    return retrying || (backlog && (hurried || backlog >= MLF_HUB_FULL_BYTES || now - run->sent_ns >= MLF_HUB_LINGER_MS * MS));
}

/* Of those that are ready the one that has waited longest, so that each run gets its turn. */
static mlf_run *find_ready(mlf_hub *hub, int who)
{
    int64_t now = sv_monotonic_ns();
    mlf_run *found = NULL;
    for (mlf_run *run = hub->runs; run; run = run->next)
        if ((!found || run->sent_ns < found->sent_ns) && is_ready(hub, run, who, now))
            found = run;
    return found;
}

static void *send_loop(void *argument)
{
    mlf_hub *hub = argument;
    pthread_mutex_lock(&hub->lock);
    int who = 0;
    while (who < hub->n_senders && !pthread_equal(hub->senders[who], pthread_self()))
        who++;
    while (!hub->stopping) {
        mlf_run *run = find_ready(hub, who);
        mlf_work work = MLF_WORK_NONE;
        if (run) {
            run->users++;
            run->sent_ns = sv_monotonic_ns();
            pthread_mutex_unlock(&hub->lock);
            work = mlf_sender_work(&run->sender);
            pthread_mutex_lock(&hub->lock);
            run->users--;
            pthread_cond_broadcast(&hub->moved);
            if (run->detached)
                pthread_cond_signal(&hub->wake);
        }
        if (work != MLF_WORK_DONE)
            wait_ms(&hub->work, &hub->lock, MLF_HUB_IDLE_MS);
    }
    pthread_mutex_unlock(&hub->lock);
    return NULL;
}

/* ---- a hub's life ---- */

static void stop(void *what)
{
    mlf_hub *hub = what;
    pthread_mutex_lock(&hub->lock);
    hub->leaving = 1;
    pthread_mutex_unlock(&hub->lock);
    mlf_hub_flush(hub, NULL, -1, NULL);
    pthread_mutex_lock(&hub->lock);
    for (mlf_run *run = hub->runs; run; run = run->next)
        run->detached = 1;
    hub->stopping = 1;
    atomic_store(&hub->cancel, 1);
    pthread_cond_broadcast(&hub->work);
    pthread_cond_broadcast(&hub->wake);
    pthread_mutex_unlock(&hub->lock);
    for (int i = 0; i < hub->n_senders; i++)
        pthread_join(hub->senders[i], NULL);
    if (hub->has_writer)
        pthread_join(hub->writer, NULL);
    for (int i = 0; i < MLF_HUB_QUEUES; i++) {
        mlf_queue *queue = atomic_load(&hub->queues[i]);
        if (queue)
            mlf_queue_free(queue);
        sv_free(queue);
    }
    mlf_keys_free(&hub->keys);
    pthread_cond_destroy(&hub->wake);
    pthread_cond_destroy(&hub->work);
    pthread_cond_destroy(&hub->moved);
    pthread_mutex_destroy(&hub->lock);
    sv_free(hub);
}

static int flush_all(void *what, int timeout_ms, mlf_error *error)
{
    return mlf_hub_flush(what, NULL, timeout_ms, error);
}

static int make_hub(mlf_attachment *attachment, mlf_client *client, mlf_error *error)
{
    mlf_hub *hub = sv_aligned(64, sizeof *hub);
    if (!hub)
        return mlf_error_memory(error);
    memset(hub, 0, sizeof *hub);
    hub->client = client;
    hub->sending = !client->settings.offline && *client->settings.tracking_uri;
    pthread_mutex_init(&hub->lock, NULL);
    init_condition(&hub->wake);
    init_condition(&hub->work);
    init_condition(&hub->moved);
    int code = mlf_keys_init(&hub->keys, error);
    if (!code && mlf_thread_start(&hub->writer, write_loop, hub))
        code = mlf_error_memory(error);
    if (code) {
        mlf_keys_free(&hub->keys);
        sv_free(hub);
        return code;
    }
    hub->has_writer = 1;
    *attachment = (mlf_attachment){.what = hub, .free = stop, .flush = flush_all};
    return MLF_OK;
}

mlf_hub *mlf_hub_of(mlf_client *client, mlf_error *error)
{
    return mlf_client_slot(client, MLF_SLOT_JOURNAL, make_hub, error);
}

void mlf_hub_adopt(mlf_hub *hub, mlf_run *run)
{
    pthread_mutex_lock(&hub->lock);
    run->committed_ns = sv_monotonic_ns(); /* a run that is over in a moment syncs nothing to the disk */
    run->next = hub->runs;
    hub->runs = run;
    pthread_mutex_unlock(&hub->lock);
}

/* ---- callers ---- */

static mlf_queue *own_queue(mlf_hub *hub)
{
    static atomic_uint turn;
    static _Thread_local unsigned mine;
    if (!mine)
        mine = 1 + atomic_fetch_add(&turn, 1) % MLF_HUB_QUEUES;
    _Atomic(mlf_queue *) *place = &hub->queues[mine - 1];
    mlf_queue *queue = atomic_load_explicit(place, memory_order_acquire);
    if (queue)
        return queue;
    mlf_queue *fresh = sv_aligned(64, sizeof *fresh);
    if (!fresh)
        return NULL;
    if (mlf_queue_init(fresh, NULL)) {
        sv_free(fresh);
        return NULL;
    }
    if (atomic_compare_exchange_strong(place, &queue, fresh))
        return fresh;
    mlf_queue_free(fresh);
    sv_free(fresh);
    return queue;
}

/* The queue is full: the caller empties it itself, which is quick; when the memory behind it is full too it waits for the disk. */
static void help(mlf_hub *hub, mlf_queue *queue)
{
    pthread_mutex_lock(&hub->lock);
    if (drain(queue)) {
        hub->logged_ns = sv_monotonic_ns();
    } else {
        pthread_cond_signal(&hub->wake);
        wait_ms(&hub->moved, &hub->lock, MLF_HUB_TICK_MS);
    }
    pthread_mutex_unlock(&hub->lock);
}

int mlf_hub_log(mlf_hub *hub, const mlf_point *point)
{
    mlf_queue *queue = own_queue(hub);
    if (!queue)
        return MLF_E_MEMORY;
    while (!atomic_load_explicit(&point->run->full, memory_order_relaxed)) {
        if (mlf_queue_push(queue, point))
            return MLF_OK;
        help(hub, queue);
    }
    atomic_fetch_add(&point->run->turned_away, 1);
    return MLF_E_IO;
}

int mlf_hub_last(mlf_run *run, const char *key, mlf_metric_point *point)
{
    const mlf_key *known = mlf_keys_get(&run->hub->keys, key, NULL);
    pthread_mutex_lock(&run->hub->lock);
    drain_all(run->hub);
    int found = known && known->index < run->n_keys && run->keys[known->index].writer.serial;
    if (found)
        *point = run->keys[known->index].last;
    pthread_mutex_unlock(&run->hub->lock);
    return found;
}

int mlf_hub_op(mlf_run *run, int kind, const json_t *payload, mlf_error *error)
{
    mlf_hub *hub = run->hub;
    sv_buffer text = SV_BUFFER_INIT(0);
    int code = payload ? mlf_json_text(&text, payload) : SV_E_MEMORY;
    pthread_mutex_lock(&hub->lock);
    drain_all(hub);
    close_frame(run);
    while (!code && (code = mlf_frame_op(&run->pending, kind, text.data, text.size)) == SV_E_LIMIT && !atomic_load(&run->choked) && text.size < MLF_HUB_PENDING / 2) {
        pthread_cond_signal(&hub->wake);
        wait_ms(&hub->moved, &hub->lock, MLF_HUB_TICK_MS);
        close_frame(run);
        code = SV_OK;
    }
    run->logged.ops += !code;
    hub->logged_ns = sv_monotonic_ns();
    pthread_cond_signal(&hub->wake);
    pthread_mutex_unlock(&hub->lock);
    sv_buffer_free(&text);
    if (code == SV_E_LIMIT)
        return mlf_error_set(error, MLF_E_IO, "journal %s: neither the disk nor the memory for it takes more (%s)", run->folder.key, mlf_op_name(kind));
    return code ? mlf_error_memory(error) : MLF_OK;
}

void mlf_hub_hold(mlf_run *run, int by)
{
    mlf_hub *hub = run->hub;
    pthread_mutex_lock(&hub->lock);
    run->users += by;
    if (run->detached)
        pthread_cond_signal(&hub->wake);
    pthread_mutex_unlock(&hub->lock);
}

int mlf_hub_settle(mlf_run *run)
{
    mlf_hub *hub = run->hub;
    int64_t until = sv_monotonic_ns() + MLF_HUB_SETTLE_MS * MS;
    pthread_mutex_lock(&hub->lock);
    while (!is_written(run) && sv_monotonic_ns() < until) {
        pthread_cond_signal(&hub->wake);
        wait_ms(&hub->moved, &hub->lock, MLF_HUB_TICK_MS);
    }
    int written = is_written(run) && !mlf_stream_is_refusing(&run->folder.stream);
    pthread_mutex_unlock(&hub->lock);
    return written;
}

static int settled(mlf_hub *hub, mlf_run *run)
{
    return is_written(run) && (hub->sending ? mlf_sender_is_done(&run->sender) : !mlf_stream_is_refusing(&run->folder.stream)) && !atomic_load(&run->turned_away);
}

/* Everything is with the server, or memory alone has it and the disk was asked again since the caller began to wait. */
static int is_over(mlf_hub *hub, mlf_run *run, int64_t began)
{
    if (!is_written(run) || (hub->sending && !mlf_sender_is_done(&run->sender)))
        return 0;
    return hub->sending || run->folder.stream.fd < 0 || sv_monotonic_ns() - began > 2 * MLF_STREAM_RETRY_MS * MS || !mlf_stream_is_refusing(&run->folder.stream);
}

/* It has been failing for long and failed again since the caller began to wait, or there was no sign of the server at all. */
static int is_stuck(mlf_hub *hub, mlf_run *run, int64_t began)
{
    int64_t now = sv_monotonic_ns(), since = run->sender.progress_ns > began ? run->sender.progress_ns : began;
    int kept = hub->leaving && run->folder.path && !mlf_stream_is_refusing(&run->folder.stream);
    int64_t patience_ns = (atomic_load(&run->sender.known) && !kept ? MLF_HUB_PATIENCE_MS : MLF_HUB_STRANGER_MS) * MS;
    if (!hub->sending || !is_written(run))
        return 0;
    if (atomic_load(&hub->client->stopped))
        return 1;
    if (run->sender.failures && run->sender.failed_ns > began && now - run->sender.failing_ns > patience_ns)
        return 1;
    return now - since > 3 * patience_ns;
}

/* A caller waits: what is in a pause tries again at once. */
static void hurry(mlf_hub *hub, mlf_run *only)
{
    for (mlf_run *run = hub->runs; run; run = run->next)
        if (!only || run == only)
            run->sender.retry_ns = 0;
}

/* The first run (or the one that is meant) which still has something to do; given-up ones go to *error. */
static mlf_run *find_unsettled(mlf_hub *hub, mlf_run *only, int64_t began, mlf_error *error)
{
    for (mlf_run *run = hub->runs; run; run = run->next) {
        if ((only && run != only) || settled(hub, run))
            continue;
        if (!run->sender.halted && !is_stuck(hub, run, began) && !atomic_load(&run->choked) && !is_over(hub, run, began))
            return run;
        mlf_tally lost;
        if (!run->sender.halted && mlf_hub_lost(hub, run, 0, &lost)) { /* of one that the server will have no more of, that is what is said */
            mlf_error_set(error, MLF_E_IO, "%llu points lost, %llu operations lost (unless the disk or the server takes them before this program ends): journal %s cannot be written",
                          (unsigned long long)lost.points, (unsigned long long)lost.ops, run->folder.path ? run->folder.path : run->folder.key);
            continue;
        }
        mlf_sender_failure(&run->sender, error);
        mlf_error_set(error, MLF_E_IO, "journal %s: neither the disk nor the memory for it takes more", run->folder.key);
    }
    return NULL;
}

int mlf_hub_flush(mlf_hub *hub, mlf_run *only, int timeout_ms, mlf_error *error)
{
    int64_t began = sv_monotonic_ns();
    mlf_error first = MLF_ERROR_INIT;
    int timed_out = 0;
    pthread_mutex_lock(&hub->lock);
    hub->n_waiting++;
    hurry(hub, only);
    drain_all(hub);
    pthread_cond_signal(&hub->wake);
    pthread_cond_broadcast(&hub->work);
    while (find_unsettled(hub, only, began, &first)) {
        int64_t left_ms = timeout_ms < 0 ? 1000 : timeout_ms - (sv_monotonic_ns() - began) / MS;
        timed_out = left_ms <= 0;
        if (timed_out)
            break;
        wait_ms(&hub->moved, &hub->lock, left_ms < 100 ? left_ms : 100);
    }
    hub->n_waiting--;
    pthread_mutex_unlock(&hub->lock);
    if (timed_out)
        return mlf_error_set_retriable(error, MLF_E_TIMEOUT, "flush: not everything was sent within %d ms; the rest waits in the journal", timeout_ms);
    if (first.code && error && !error->code)
        *error = first;
    return first.code;
}

void mlf_hub_detach(mlf_run *run)
{
    mlf_hub *hub = run->hub;
    pthread_mutex_lock(&hub->lock);
    drain_all(hub);
    run->detached = 1;
    pthread_cond_signal(&hub->wake);
    pthread_mutex_unlock(&hub->lock);
}
