/* sync.c: mlf_sync(): takes the journals that earlier programs left to the server. */
#include "alloc.h"
#include "client.h"
#include "client_error.h"
#include "clock.h"
#include "file.h"
#include "folder.h"
#include "log.h"
#include "sender.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { CONNECTIONS = 4, CONNECTIONS_MOST = 16, TIMEOUT_MS = 60000, POLL_MS = 2 };

typedef struct sync_job {
    mlf_client *client;
    mlf_sync_options options;
    mlf_sync_report report;
    mlf_error first; /* why not all was taken */
    int away;        /* 1: the server does not answer: no use trying the others */
} sync_job;

static void say(const sync_job *job, const char *journal, const char *run_id, const char *state, uint64_t points)
{
    if (job->options.progress)
        job->options.progress(job->options.context, journal, run_id, state, points);
}

/* ---- one journal ---- */

typedef struct sync_one {
    mlf_sender *sender;
    int64_t timeout_ns; /* -1: never */
    atomic_int stop;
} sync_one;

static int gives_up(const sync_one *one)
{
    int64_t progress_ns = one->sender->progress_ns;
    return one->timeout_ns >= 0 && sv_monotonic_ns() - progress_ns > one->timeout_ns;
}

/* What each connection does. */
static void *work(void *argument)
{
    sync_one *one = argument;
    while (!atomic_load(&one->stop)) {
        mlf_work result = mlf_sender_work(one->sender);
        if (result == MLF_WORK_DONE)
            continue;
        if (result == MLF_WORK_HALT || mlf_sender_is_done(one->sender) || gives_up(one))
            break;
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000}, NULL);
    }
    atomic_store(&one->stop, 1);
    return NULL;
}

/* How many connections are worth it: one for small journals. */
static int connections_for(const sync_job *job, mlf_sender *sender)
{
    int most = job->options.connections ? job->options.connections : CONNECTIONS;
    uint64_t useful = 1 + mlf_sender_backlog(sender) / 50000;
    return useful < (uint64_t)most ? (int)useful : most;
}

static void send_all(sync_job *job, mlf_sender *sender)
{
    int timeout_ms = job->options.timeout_ms ? job->options.timeout_ms : TIMEOUT_MS;
    sync_one one = {.sender = sender, .timeout_ns = timeout_ms < 0 ? -1 : timeout_ms * INT64_C(1000000)};
    pthread_t threads[CONNECTIONS_MOST];
    int wanted = connections_for(job, sender), n = 0;
    while (n < wanted - 1 && !pthread_create(&threads[n], NULL, work, &one))
        n++;
    work(&one);
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}

static void note_failure(sync_job *job, const mlf_error *error)
{
    if (error->code && !job->first.code)
        job->first = *error;
}

/* Removes a journal that is sent whole; counts what came of it. */
static void conclude(sync_job *job, mlf_folder *folder, mlf_sender *sender)
{
    mlf_error error = MLF_ERROR_INIT;
    int done = mlf_sender_is_done(sender) && !mlf_replay_settle(&sender->replay, &error);
    char run_id[MLF_RUN_ID_SIZE];
    snprintf(run_id, sizeof run_id, "%s", sender->replay.run_id);
    job->report.points += sender->points;
    job->report.operations += sender->ops;
    job->report.refused += sender->refused;
    job->report.sent += done;
    job->report.waiting += !done;
    if (!done)
        mlf_sender_failure(sender, &error);
    if (!done && !error.code)
        mlf_error_set(&error, MLF_E_TIMEOUT, "journal %s: not all of it was sent", folder->path);
    job->away = !done && !sender->halted;
    say(job, folder->path, run_id, done ? "sent" : error.message, sender->points);
    mlf_sender_free(sender);
    if (done)
        mlf_folder_remove(folder, &error);
    else
        mlf_folder_close(folder);
    note_failure(job, &error);
}

static void sync_folder(sync_job *job, const char *dir, const char *key)
{
    mlf_folder folder;
    mlf_sender sender;
    mlf_error error = MLF_ERROR_INIT;
    int code = mlf_folder_open(&folder, dir, key, &error);
    if (code == MLF_E_NOT_FOUND)
        return; /* somebody else was quicker */
    job->report.journals++;
    job->report.busy += code == MLF_E_STATE;
    job->report.waiting += code && code != MLF_E_STATE;
    if (code) {
        say(job, key, "", error.message, 0);
        if (code != MLF_E_STATE)
            note_failure(job, &error);
        return;
    }
    say(job, folder.path, "", "sending", 0);
    if (mlf_sender_init(&sender, job->client, &folder, 0, NULL, &error)) {
        note_failure(job, &error);
        mlf_folder_close(&folder);
        return;
    }
    send_all(job, &sender);
    conclude(job, &folder, &sender);
}

/* ---- all of them ---- */

static int sync_dir(sync_job *job, const char *dir, mlf_error *error)
{
    char (*keys)[MLF_JOURNAL_KEY + 1];
    size_t n_keys;
    int code = mlf_folder_list(&keys, &n_keys, dir, error);
    for (size_t i = 0; !code && !job->away && i < n_keys; i++)
        sync_folder(job, dir, keys[i]);
    sv_free(keys);
    return code;
}

/* A journal itself, or a folder of them. */
static int sync_path(sync_job *job, const char *path, mlf_error *error)
{
    char *copy = sv_strdup(path);
    if (!copy)
        return mlf_error_memory(error);
    size_t length = strlen(copy);
    while (length > 1 && copy[length - 1] == '/')
        copy[--length] = '\0';
    char *slash = strrchr(copy, '/'), *name = slash ? slash + 1 : copy;
    int code = MLF_OK;
    if (mlf_is_journal_key(name)) {
        char key[MLF_JOURNAL_KEY + 1];
        memcpy(key, name, sizeof key);
        *name = '\0';
        sync_folder(job, *copy ? copy : ".", key);
    } else {
        code = sync_dir(job, copy, error);
    }
    sv_free(copy);
    return code;
}

int mlf_sync(mlf_client *client, const char *const *dirs, size_t n_dirs, const mlf_sync_options *options, mlf_sync_report *report, mlf_error *error)
{
    sync_job job = {.client = client, .options = MLF_SYNC_OPTIONS_INIT};
    if (options)
        job.options = *options;
    if (job.options.version != MLF_ABI_VERSION || job.options.connections < 0 || job.options.connections > CONNECTIONS_MOST)
        return mlf_error_set(error, MLF_E_ARGUMENT, "sync options: expected version %d and 0 to %d connections, got %d and %d", MLF_ABI_VERSION, CONNECTIONS_MOST, job.options.version,
                             job.options.connections);
    int code = mlf_client_may_send(client, error);
    const char *own = client->settings.journal_dir;
    if (!code && !n_dirs)
        code = sync_dir(&job, own, error);
    for (size_t i = 0; !code && !job.away && i < n_dirs; i++)
        code = sync_path(&job, dirs[i], error);
    if (report)
        *report = job.report;
    if (!code && job.first.code && error && !error->code)
        *error = job.first;
    return code ? code : job.first.code;
}
