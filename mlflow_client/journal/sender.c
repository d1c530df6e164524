#include "sender.h"

#include "client.h"
#include "client_error.h"
#include "clock.h"
#include "endpoints.h"
#include "json_text.h"
#include "log.h"
#include "prng.h"
#include "reply.h"
#include "retry.h"
#include "transport.h"

#include <stdio.h>
#include <string.h>

enum { STRANGE_MOST = 6 /* failures of an operation in a row, some six seconds */ };
enum { PAUSE_FIRST_MS = 100, PAUSE_MOST_MS = 15000, PAUSE_CREATE_MS = 500 /* the server may still be at what broke off */ };

int mlf_sender_init(mlf_sender *sender, mlf_client *client, mlf_folder *folder, int fresh, const atomic_int *cancel, mlf_error *error)
{
    *sender = (mlf_sender){.client = client, .folder = folder, .fresh = fresh, .progress_ns = sv_monotonic_ns()};
    sender->replay = (mlf_replay){.client = client, .folder = folder, .maybe_done = !fresh, .cancel = cancel};
    sender->next = sender->frame_at = folder->position.offset;
    sender->skip = folder->position.skip;
    mlf_folder_id(folder, folder->key, sender->replay.run_id, sizeof sender->replay.run_id);
    mlf_folder_id(folder, "experiment", sender->replay.experiment_id, sizeof sender->replay.experiment_id);
    sender->known = *sender->replay.run_id && *sender->replay.experiment_id;
    sender->cut = sender->done = sender->next;
    pthread_mutex_init(&sender->lock, NULL);
    pthread_mutex_init(&sender->facts, NULL);
    return MLF_OK;
}

void mlf_sender_free(mlf_sender *sender)
{
    if (!sender->client)
        return;
    for (mlf_batch *batch = sender->first, *next; batch; batch = next) {
        next = batch->next;
        mlf_batch_free(batch);
    }
    mlf_batch_free(sender->spare);
    mlf_reader_free(&sender->reader);
    sv_buffer_free(&sender->frame);
    pthread_mutex_destroy(&sender->lock);
    pthread_mutex_destroy(&sender->facts);
    sender->client = NULL;
}

/* ---- what others may ask ---- */

static void note_failure(mlf_sender *sender, const mlf_error *why)
{
    pthread_mutex_lock(&sender->facts);
    sender->failure = *why;
    pthread_mutex_unlock(&sender->facts);
}

static void count_refused(mlf_sender *sender)
{
    pthread_mutex_lock(&sender->facts);
    sender->refused++;
    pthread_mutex_unlock(&sender->facts);
}

static void count_taken(mlf_sender *sender, uint64_t points, uint64_t ops)
{
    pthread_mutex_lock(&sender->facts);
    sender->points += points;
    sender->ops += ops;
    pthread_mutex_unlock(&sender->facts);
}

/* ---- from the stream to batches; the lock is held ---- */

static void halt(mlf_sender *sender, const mlf_error *why)
{
    note_failure(sender, why);
    sender->halted = 1;
}

static void halt_damaged(mlf_sender *sender, const char *what)
{
    mlf_error error = MLF_ERROR_INIT;
    mlf_error_set(&error, MLF_E_INTEGRITY, "journal %s: %s", sender->folder->path ? sender->folder->path : sender->folder->key, what);
    halt(sender, &error);
}

/* The next record in sender->record: 1; 0 at the end of the stream; -1 when it halted or memory is out. */
static int read_record(mlf_sender *sender)
{
    while (!sender->has_record) {
        sv_error base = SV_ERROR_INIT;
        int got = sender->frame.size ? mlf_reader_next(&sender->reader, &sender->record) : 0;
        if (got > 0 && sender->in_frame < sender->skip) {
            sender->in_frame++;
            continue;
        }
        if (got > 0)
            sender->has_record = 1;
        else if (got == -1)
            halt_damaged(sender, "a record is not what it should be");
        if (got)
            return got > 0 ? 1 : -1;
        if (sender->frame.size)
            sender->skip = 0;
        uint64_t next = mlf_folder_pass_gap(sender->folder, sender->next);
        if (next != sender->next)
            sender->skip = 0;
        sender->frame_at = sender->next = next;
        sender->in_frame = 0;
        got = mlf_stream_read(&sender->folder->stream, sender->next, &sender->frame, &base);
        if (got <= 0) {
            sv_buffer_clear(&sender->frame);
            if (got == SV_E_INPUT)
                halt_damaged(sender, base.message);
            return got ? -1 : 0;
        }
        sender->next += sender->frame.size;
        mlf_reader_begin(&sender->reader, sender->frame.data + MLF_FRAME_HEAD, sender->frame.size - MLF_FRAME_HEAD);
    }
    return 1;
}

/* What may fly beside others: points. Everything else waits until all before it is taken, and holds up what comes after. */
static int must_go_alone(const mlf_record *record)
{
    return record->type == MLF_RECORD_OP;
}

static int skip_record(mlf_sender *sender, const char *why)
{
    mlf_folder_note_refused(sender->folder, mlf_op_name(sender->record.op), sender->record.json, sender->record.json_length, why);
    count_refused(sender);
    sender->has_record = 0;
    sender->in_frame++;
    return 1;
}

/* Fills the batch as far as the records allow. */
static int fill(mlf_sender *sender, mlf_batch *batch)
{
    int got;
    batch->begin = sender->has_record ? sender->frame_at : sender->next;
    while ((got = read_record(sender)) > 0) {
        if (sender->first && must_go_alone(&sender->record))
            break;
        int added = mlf_batch_add(batch, &sender->record);
        if (added == SV_E_INPUT) {
            skip_record(sender, "not what the journal should hold");
            continue;
        }
        if (added <= 0)
            break;
        sender->has_record = 0;
        sender->in_frame++;
        if (batch->op)
            break;
    }
    int at_frame_end = !sender->has_record && sender->reader.at == sender->reader.size;
    batch->end = at_frame_end ? sender->next : sender->frame_at;
    batch->end_skip = at_frame_end ? 0 : sender->in_frame;
    return got < 0 && mlf_batch_is_empty(batch) ? -1 : 0;
}

static mlf_batch *new_batch(mlf_sender *sender)
{
    mlf_batch *batch = sender->spare ? sender->spare : mlf_batch_new();
    sender->spare = NULL;
    if (!batch)
        return NULL;
    if (fill(sender, batch) || mlf_batch_is_empty(batch)) {
        sender->spare = batch;
        mlf_batch_clear(batch);
        return NULL;
    }
    if (sender->last)
        sender->last->next = batch;
    else
        sender->first = batch;
    sender->last = batch;
    return batch;
}

static mlf_batch *waiting(const mlf_sender *sender)
{
    mlf_batch *batch = sender->first;
    while (batch && batch->state != MLF_BATCH_WAITS)
        batch = batch->next;
    return batch;
}

/* For is_done and backlog, which take no lock. */
static void publish(mlf_sender *sender)
{
    int whole = !sender->has_record && (!sender->frame.size || sender->reader.at == sender->reader.size);
    uint64_t cut = whole ? sender->next : sender->frame_at;
    sender->cut = cut;
    sender->done = sender->first ? sender->first->begin : cut;
}

/* The next to send, now flying; NULL when there is none or none may go. After a failure one goes alone, to see. */
static mlf_batch *take(mlf_sender *sender)
{
    if (sender->halted || sv_monotonic_ns() < sender->retry_ns || sender->n_flight >= (sender->failures ? 1 : MLF_SENDER_FLIGHT))
        return NULL;
    mlf_batch *batch = waiting(sender);
    if (!batch && sender->last && !mlf_batch_is_metrics(sender->last))
        return NULL;
    if (!batch)
        batch = new_batch(sender);
    if (batch) {
        batch->state = MLF_BATCH_FLIES;
        sender->n_flight++;
    }
    return batch;
}

/* ---- on the wire; no lock ---- */

typedef struct outcome {
    int code;
    mlf_error error;
    int64_t retry_after_ms; /* -1: the server did not say */
    int ambiguous;
} outcome;

static outcome post(mlf_sender *sender, const sv_buffer *body)
{
    outcome result = {.retry_after_ms = -1};
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    mlf_http_call call = {.method = EP(runs_log_batch)->method, .url = EP(runs_log_batch)->path, .body = body->data, .body_bytes = (int64_t)body->size, .max_retries = -1, .cancel = sender->replay.cancel};
    result.code = mlf_http(sender->client, &call, &reply, &result.error);
    json_t *answer = NULL;
    if (!result.code)
        result.code = mlf_reply_json(&answer, reply.body.data, reply.body.size, &result.error);
    json_decref(answer);
    char after[64];
    if (result.code && mlf_http_header(&reply, "Retry-After", after, sizeof after))
        result.retry_after_ms = mlf_retry_after_ms(after, sv_epoch_ms());
    mlf_http_reply_free(&reply);
    return result;
}

static int may_pass(const outcome *result)
{
    int code = result->code;
    return code == MLF_E_CONNECT || code == MLF_E_TIMEOUT || code == MLF_E_REPLY || code == MLF_E_MEMORY || mlf_error_is_retriable(&result->error);
}

/* MLflow looked at it and will not have it. Anything else that does not pass (a certificate, a login, a missing feature) is no fault of what was sent. */
static int is_refusal(const outcome *result)
{
    int status = result->error.http_status;
    return !may_pass(result) && result->code != MLF_E_AUTH && status >= 400 && status < 500 && status != 401 && status != 403;
}

/* A proxy's limit of a body: the halves may be under it. Of one item alone it says nothing, as each is small. */
static int is_too_large(const outcome *result)
{
    return result->error.http_status == 413;
}

/* Whether what was refused is itself at fault: code 0; else why it is not, or why that cannot be told now. Where the run is gone or closed to us no item will ever be
   taken, and the journal stays for a run that is restored. */
static outcome ask_for_run(mlf_sender *sender)
{
    outcome result = {.retry_after_ms = -1};
    json_t *reply = NULL, *arguments = json_pack("{s:s}", "run_id", sender->replay.run_id);
    result.code = arguments ? mlf_replay_call(&reply, &sender->replay, EP(runs_get), arguments, &result.error) : mlf_error_memory(&result.error);
    const json_t *stage = json_object_get(json_object_get(json_object_get(reply, "run"), "info"), "lifecycle_stage");
    if (json_is_string(stage) && !strcmp(json_string_value(stage), "deleted"))
        result.code = mlf_error_set(&result.error, MLF_E_STATE, "run %s was deleted on the server", sender->replay.run_id);
    json_decref(arguments);
    json_decref(reply);
    return result;
}

static void put_aside(mlf_sender *sender, const mlf_batch *batch, const uint32_t from[MLF_LISTS], const mlf_error *why)
{
    static const char *const what[MLF_LISTS] = {"metric", "param", "tag"};
    for (int list = 0; list < MLF_LISTS; list++) {
        if (from[list] >= batch->lists[list].count)
            continue;
        const mlf_batch_item *item = &batch->lists[list].items[from[list]];
        mlf_folder_note_refused(sender->folder, what[list], batch->lists[list].json.data + item->at, item->length, why->message);
        sv_log(SV_LOG_WARN, "run %s: the server refused a %s: %.300s", sender->replay.run_id, what[list], why->message);
        count_refused(sender);
        return;
    }
}

/* A journal whose beginning cannot be read: it stays as it is, for whoever can mend it, and nothing of it is refused piece by piece. */
static outcome without_run(void)
{
    outcome result = {.retry_after_ms = -1};
    result.code = mlf_error_set(&result.error, MLF_E_INTEGRITY, "the journal does not say which run it belongs to: its first record is damaged");
    return result;
}

static outcome post_part(mlf_sender *sender, const mlf_batch *batch, const uint32_t from[MLF_LISTS], const uint32_t to[MLF_LISTS])
{
    sv_buffer body = SV_BUFFER_INIT(0);
    outcome result = {.retry_after_ms = -1};
    if (mlf_batch_body(&body, batch, sender->replay.run_id, from, to))
        result.code = mlf_error_memory(&result.error);
    if (!result.code)
        result = post(sender, &body);
    sv_buffer_free(&body);
    return result;
}

/* Sends a part of a batch; when it is refused, its halves, down to the one item that is at fault. */
static outcome send_part(mlf_sender *sender, const mlf_batch *batch, const uint32_t from[MLF_LISTS], const uint32_t to[MLF_LISTS])
{
    if (!*sender->replay.run_id)
        return without_run();
    outcome result = post_part(sender, batch, from, to);
    uint32_t count = to[0] - from[0] + to[1] - from[1] + to[2] - from[2];
    if (!result.code || !(is_refusal(&result) || (is_too_large(&result) && count > 1)))
        return result;
    if (count == 1) {
        outcome run = ask_for_run(sender);
        if (!run.code)
            put_aside(sender, batch, from, &result.error);
        return run;
    }
    uint32_t left[MLF_LISTS], half = count / 2;
    for (int i = 0; i < MLF_LISTS; i++) {
        uint32_t n = to[i] - from[i] < half ? to[i] - from[i] : half;
        left[i] = from[i] + n;
        half -= n;
    }
    outcome first = send_part(sender, batch, from, left);
    return first.code ? first : send_part(sender, batch, left, to);
}

static void put_op_aside(mlf_sender *sender, const mlf_batch *batch, const mlf_error *why)
{
    sv_buffer text = SV_BUFFER_INIT(0);
    mlf_json_text(&text, batch->payload);
    mlf_folder_note_refused(sender->folder, mlf_op_name(batch->op), text.data ? text.data : "", text.size, why->message);
    sv_log(SV_LOG_WARN, "run %s: refused: %s: %.300s", sender->replay.run_id, mlf_op_name(batch->op), why->message);
    sv_buffer_free(&text);
    mlf_replay_refused(&sender->replay, batch->op, batch->payload);
    count_refused(sender);
}

/* It fails the same way however often it is tried: MLflow refused it, or its record or copy is not what was written. A copy that cannot be read now (no permission, too
   many files open) stays, and the journal with it. */
static int is_hopeless(const outcome *result)
{
    int code = result->code;
    return is_refusal(result) || (!may_pass(result) && (code == MLF_E_INTEGRITY || code == MLF_E_UNSUPPORTED || code == MLF_E_ARGUMENT));
}

/* A stranger's answer (a proxy's limit of a body, a file server that takes no PUT), or bytes that never arrive as they are: it stays so, while MLflow answers for the run. */
static int persists(const mlf_sender *sender, const outcome *result)
{
    int status = result->error.http_status;
    int is_strange = status >= 400 && status < 500 && status != 408 && status != 429 && result->code != MLF_E_AUTH && !*result->error.error_code;
    return sender->failures >= STRANGE_MOST && (is_strange || result->code == MLF_E_INTEGRITY);
}

static outcome send_op(mlf_sender *sender, const mlf_batch *batch)
{
    outcome result = {.retry_after_ms = -1};
    int makes_run = batch->op == MLF_OP_RUN_CREATE || batch->op == MLF_OP_RUN_CONTINUE;
    if (!*sender->replay.run_id && !makes_run && batch->op != MLF_OP_ALIAS)
        return without_run();
    result.code = mlf_replay_op(&sender->replay, batch->op, batch->payload, &result.error);
    result.ambiguous = result.code != 0;
    if (!result.code || makes_run || !(is_hopeless(&result) || persists(sender, &result)))
        return result;
    outcome run = *sender->replay.run_id ? ask_for_run(sender) : (outcome){0};
    if (!run.code)
        put_op_aside(sender, batch, &result.error);
    return run;
}

/* ---- what came of it; the lock is held ---- */

static void plan_retry(mlf_sender *sender, const mlf_batch *batch, const outcome *result)
{
    static _Thread_local sv_prng prng;
    static _Thread_local int seeded;
    if (!seeded)
        sv_prng_seed(&prng, (uint64_t)sv_monotonic_ns());
    seeded = 1;
    int64_t wait_ms = PAUSE_FIRST_MS;
    for (int i = 0; i < sender->failures && wait_ms < PAUSE_MOST_MS; i++)
        wait_ms *= 2;
    if (wait_ms > PAUSE_MOST_MS)
        wait_ms = PAUSE_MOST_MS;
    wait_ms = wait_ms / 2 + (int64_t)((double)wait_ms * sv_prng_uniform(&prng) / 2);
    if (batch->op == MLF_OP_RUN_CREATE && wait_ms < PAUSE_CREATE_MS)
        wait_ms = PAUSE_CREATE_MS;
    if (result->retry_after_ms > wait_ms)
        wait_ms = result->retry_after_ms;
    int64_t now = sv_monotonic_ns();
    if (!sender->failures)
        sender->failing_ns = now;
    sender->failed_ns = now;
    sender->failures++;
    note_failure(sender, &result->error);
    sender->retry_ns = now + wait_ms * 1000000;
}

static void note_taken(mlf_sender *sender)
{
    uint64_t points = 0, ops = 0, end = 0, skip = 0;
    while (sender->first && sender->first->state == MLF_BATCH_DONE) {
        mlf_batch *batch = sender->first;
        points += batch->lists[MLF_LIST_METRICS].count;
        ops += batch->lists[MLF_LIST_PARAMS].count + batch->lists[MLF_LIST_TAGS].count + (batch->op != 0);
        if (batch->op == MLF_OP_RUN_END)
            sender->folder->position.ended = 1;
        end = batch->end;
        skip = batch->end_skip;
        sender->first = batch->next;
        if (!sender->first)
            sender->last = NULL;
        mlf_batch_clear(batch);
        if (sender->spare)
            mlf_batch_free(batch);
        else
            sender->spare = batch;
    }
    count_taken(sender, points, ops);
    if (end)
        mlf_folder_note_position(sender->folder, end, skip, points, ops);
}

static mlf_work conclude(mlf_sender *sender, mlf_batch *batch, const outcome *result)
{
    sender->n_flight--;
    if (!result->code) {
        batch->state = MLF_BATCH_DONE;
        atomic_store_explicit(&sender->known, *sender->replay.run_id != 0, memory_order_release);
        sender->failures = 0;
        note_failure(sender, &(mlf_error)MLF_ERROR_INIT);
        sender->replay.maybe_done = !sender->fresh;
        sender->progress_ns = sv_monotonic_ns();
        note_taken(sender);
        return MLF_WORK_DONE;
    }
    batch->state = MLF_BATCH_WAITS;
    if (result->ambiguous)
        sender->replay.maybe_done = 1;
    if (may_pass(result)) {
        plan_retry(sender, batch, result);
        return MLF_WORK_PAUSE;
    }
    halt(sender, &result->error);
    return MLF_WORK_HALT;
}

mlf_work mlf_sender_work(mlf_sender *sender)
{
    pthread_mutex_lock(&sender->lock);
    mlf_batch *batch = take(sender);
    publish(sender);
    int paused = sender->failures && sv_monotonic_ns() < sender->retry_ns;
    mlf_work work = sender->halted ? MLF_WORK_HALT : paused ? MLF_WORK_PAUSE : MLF_WORK_NONE;
    pthread_mutex_unlock(&sender->lock);
    if (!batch)
        return work;
    const uint32_t from[MLF_LISTS] = {0}, to[MLF_LISTS] = {batch->lists[0].count, batch->lists[1].count, batch->lists[2].count};
    outcome result = batch->op ? send_op(sender, batch) : send_part(sender, batch, from, to);
    pthread_mutex_lock(&sender->lock);
    work = conclude(sender, batch, &result);
    publish(sender);
    pthread_mutex_unlock(&sender->lock);
    return work;
}

int mlf_sender_is_done(mlf_sender *sender)
{
    return sender->done >= mlf_stream_end(&sender->folder->stream);
}

uint64_t mlf_sender_backlog(mlf_sender *sender)
{
    uint64_t end = mlf_stream_end(&sender->folder->stream), cut = sender->cut;
    return end > cut ? end - cut : 0;
}

void mlf_sender_failure(mlf_sender *sender, mlf_error *error)
{
    pthread_mutex_lock(&sender->facts);
    if (sender->failure.code && error && !error->code)
        *error = sender->failure;
    pthread_mutex_unlock(&sender->facts);
}

void mlf_sender_taken(mlf_sender *sender, uint64_t *points, uint64_t *ops)
{
    pthread_mutex_lock(&sender->facts);
    *points = sender->points;
    *ops = sender->ops;
    pthread_mutex_unlock(&sender->facts);
}

uint64_t mlf_sender_refused(mlf_sender *sender)
{
    pthread_mutex_lock(&sender->facts);
    uint64_t refused = sender->refused;
    pthread_mutex_unlock(&sender->facts);
    return refused;
}
