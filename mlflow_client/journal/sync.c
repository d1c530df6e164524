/* sync.c: mlf_sync(): takes the journals that earlier programs left to their servers. */
#include "alloc.h"
#include "client.h"
#include "client_error.h"
#include "clock.h"
#include "cut_off.h"
#include "file.h"
#include "folder.h"
#include "log.h"
#include "sender.h"
#include "thread.h"
#include "url.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 4, CONNECTIONS_MOST = 16, TIMEOUT_MS = 60000, POLL_MS = 2, SAY_MS = 5000, CUT_OFF_TIMEOUT_MS = 10000 };

/* One server that journals go to. */
typedef struct sync_server {
    struct sync_server *next;
    mlf_client *client; /* the caller's own for the first */
    int is_bare;        /* 1: the environment's login is for another host, and not sent here */
    int away;           /* 1: it does not answer: no use trying it with further journals */
} sync_server;

typedef struct sync_job {
    mlf_client *client;
    mlf_sync_options options;
    mlf_sync_report report;
    mlf_error first; /* why not all was taken */
    sync_server *servers;
} sync_job;

static void say(const sync_job *job, const char *journal, const char *run_id, const char *state, uint64_t points)
{
    if (job->options.progress)
        job->options.progress(job->options.context, journal, run_id, state, points);
}

/* ---- which server ---- */

static int make_server(sync_server **out, const sync_job *job, const char *uri, mlf_error *error)
{
    const mlf_settings *given = &job->client->settings;
    mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
    sync_server *server = sv_calloc(1, sizeof *server);
    *out = NULL;
    if (!server)
        return mlf_error_memory(error);
    options.tracking_uri = uri;
    options.offline = 0;
    options.timeout_ms = given->timeout_ms;
    options.deadline_ms = given->deadline_ms;
    options.max_retries = given->max_retries;
    options.user_agent = given->user_agent;
    int code = mlf_client_new(&server->client, &options, error);
    if (code) {
        sv_free(server);
        return code;
    }
    server->is_bare = *given->tracking_uri && !mlf_url_same_origin(given->tracking_uri, uri);
    if (server->is_bare)
        mlf_settings_forget_login(&server->client->settings);
    *out = server;
    return MLF_OK;
}

/* The one that the caller's options name, else the one that the journal was recorded for, else the environment's. */
static int find_server(sync_server **out, sync_job *job, mlf_folder *folder, mlf_error *error)
{
    char uri[2048];
    int recorded = !job->client->settings.server_is_asked && mlf_folder_id(folder, MLF_FOLDER_SERVER, uri, sizeof uri);
    sync_server **place = &job->servers;
    *out = NULL;
    if (!recorded && !*job->client->settings.tracking_uri)
        return mlf_error_set(error, MLF_E_STATE, "journal %s: recorded without a server, and none is named: --tracking-uri or MLFLOW_TRACKING_URI", folder->path);
    for (; recorded && *place && strcmp((*place)->client->settings.tracking_uri, uri) != 0; place = &(*place)->next)
        ;
    if (*place) {
        *out = *place;
        return MLF_OK;
    }
    int code = make_server(out, job, uri, error);
    if (code)
        mlf_error_prefix(error, "journal %s: ", folder->path);
    *place = *out;
    return code;
}

static void free_servers(sync_job *job)
{
    for (sync_server *server = job->servers, *next; server; server = next) {
        next = server->next;
        if (server->client != job->client)
            mlf_client_free(server->client);
        if (server != job->servers)
            sv_free(server);
    }
}

/* What a person needs to know beside the failure itself. */
static void explain(const sync_job *job, const sync_server *server, mlf_error *error)
{
    if (server->client == job->client)
        return;
    if (error->code == MLF_E_AUTH && server->is_bare && !job->client->settings.credentials_from)
        mlf_error_prefix(error, "recorded for %.200s; its login is taken from the environment when --tracking-uri or MLFLOW_TRACKING_URI names it: ", server->client->settings.tracking_uri);
    else if (error->code == MLF_E_AUTH && server->is_bare)
        mlf_error_prefix(error, "recorded for %.200s; the environment's login is for %.200s, and goes there only with --tracking-uri: ",
                         server->client->settings.tracking_uri, job->client->settings.tracking_uri);
    else if (server->away)
        mlf_error_prefix(error, "recorded for %.200s, which does not answer (--tracking-uri sends it elsewhere): ", server->client->settings.tracking_uri);
}

/* ---- one journal ---- */

typedef struct sync_one {
    mlf_sender *sender;
    int64_t timeout_ns; /* -1: never */
    int64_t said_ns;    /* when a person was last told how it goes; the caller's thread alone */
    uint64_t begin;     /* offset where this sync began */
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

/* What has gone so far, of a journal that takes long. */
static void say_way(const sync_job *job, const sync_one *one, uint64_t points)
{
    mlf_folder *folder = one->sender->folder;
    char state[100];
    uint64_t done = one->sender->done - one->begin, all = mlf_stream_end(&folder->stream) - one->begin;
    snprintf(state, sizeof state, "%.1f of %.1f MB sent (%d %%)", 1e-6 * (double)done, 1e-6 * (double)all, all ? (int)(100 * done / all) : 100);
    say(job, folder->path, "", state, points);
}

/* What is waited for, and for how long yet. */
static void say_wait(const sync_job *job, const sync_one *one, int64_t quiet_ns, uint64_t points)
{
    mlf_sender *sender = one->sender;
    char state[1400], left[64] = "";
    mlf_error error = MLF_ERROR_INIT;
    if (one->timeout_ns >= 0 && quiet_ns < one->timeout_ns)
        snprintf(left, sizeof left, " (given up in %d s)", (int)((one->timeout_ns - quiet_ns) / 1000000000));
    mlf_sender_failure(sender, &error);
    snprintf(state, sizeof state, "waiting %d s for %.300s%s%s%.900s", (int)(quiet_ns / 1000000000), mlf_client_tracking_uri(sender->client), left, error.code ? ": " : "", error.message);
    say(job, sender->folder->path, "", state, points);
}

/* Tells a person every SAY_MS how it goes. */
static void say_state(const sync_job *job, sync_one *one)
{
    int64_t now = sv_monotonic_ns(), quiet_ns = now - one->sender->progress_ns;
    uint64_t points, ops;
    if (now - one->said_ns < SAY_MS * INT64_C(1000000))
        return;
    one->said_ns = now;
    mlf_sender_taken(one->sender, &points, &ops);
    if (quiet_ns < SAY_MS * INT64_C(1000000))
        say_way(job, one, points);
    else
        say_wait(job, one, quiet_ns, points);
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
    sync_one one = {.sender = sender, .timeout_ns = timeout_ms < 0 ? -1 : timeout_ms * INT64_C(1000000), .said_ns = sv_monotonic_ns(), .begin = sender->done};
    pthread_t threads[CONNECTIONS_MOST];
    int wanted = connections_for(job, sender), n = 0;
    while (n < wanted && !mlf_thread_start(&threads[n], work, &one))
        n++;
    if (!n)
        work(&one);
    for (; !atomic_load(&one.stop); say_state(job, &one))
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000}, NULL);
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}

static void note_failure(sync_job *job, const mlf_error *error)
{
    if (error->code && !job->first.code)
        job->first = *error;
}

/* What it says is of this journal: the server is there for the others. */
static int is_answer(const mlf_error *error)
{
    int status = error->http_status;
    return status >= 400 && status < 500 && status != 408 && status != 429;
}

/* Removes a journal that is sent whole; counts what came of it. */
static void conclude(sync_job *job, sync_server *server, mlf_folder *folder, mlf_sender *sender, const mlf_error *stays)
{
    mlf_error error = MLF_ERROR_INIT;
    int done = mlf_sender_is_done(sender) && !stays->code && !mlf_replay_settle(&sender->replay, &error);
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
        error = *stays;
    if (!done && !error.code)
        mlf_error_set(&error, MLF_E_TIMEOUT, "journal %s: not all of it was sent", folder->path);
    server->away = !done && !stays->code && !sender->halted && !is_answer(&error);
    explain(job, server, &error);
    say(job, folder->path, run_id, done ? "sent" : error.message, sender->points);
    mlf_sender_free(sender);
    if (done)
        mlf_folder_remove(folder, &error);
    else
        mlf_folder_close(folder);
    note_failure(job, &error);
}

/* A journal that cannot be sent now. */
static void leave(sync_job *job, mlf_folder *folder, const char *state, const mlf_error *why)
{
    job->report.waiting++;
    say(job, folder->path, "", state, 0);
    note_failure(job, why);
    mlf_folder_close(folder);
}

static void say_loss(sync_job *job, const mlf_folder *folder, const char *where, const mlf_loss *loss)
{
    char state[200];
    snprintf(state, sizeof state, "%s: %llu bytes with at least %llu points and %llu operations are lost", where, (unsigned long long)loss->bytes, (unsigned long long)loss->points,
             (unsigned long long)loss->ops);
    say(job, folder->path, "", state, 0);
    job->report.lost_bytes += loss->bytes;
    job->report.lost_points += loss->points;
    job->report.lost_operations += loss->ops;
}

/* What the program was sending itself when it was killed goes behind the rest. Where that cannot be, the rest is sent, and the journal stays: *stays says why. */
static void finish_calls(sync_job *job, mlf_folder *folder, mlf_error *stays)
{
    char state[100];
    size_t n = 0;
    mlf_loss loss = {0};
    if (mlf_cut_off_adopt(&n, &loss, folder, stays))
        say(job, folder->path, "", stays->message, 0);
    snprintf(state, sizeof state, "finishing %zu call%s that the end of the program cut off", n, n == 1 ? "" : "s");
    if (!stays->code && n)
        say(job, folder->path, "", state, 0);
    if (!stays->code && loss.bytes)
        say_loss(job, folder, "calls.jrn is damaged", &loss);
}

/* A journal of which something is there, but not its data. */
static int is_robbed(const char *dir, const char *key)
{
    sv_buffer path = SV_BUFFER_INIT(0);
    int is_there = !sv_buffer_format(&path, "%s/%s/ids.json", dir, key) && !access(path.data, F_OK);
    sv_buffer_free(&path);
    return is_there;
}

static void sync_folder(sync_job *job, const char *dir, const char *key)
{
    char state[2100];
    sync_server *server;
    mlf_folder folder;
    mlf_sender sender;
    mlf_error error = MLF_ERROR_INIT, stays = MLF_ERROR_INIT;
    int code = mlf_folder_open(&folder, dir, key, &error);
    if (code == MLF_E_NOT_FOUND && !is_robbed(dir, key))
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
    if (folder.n_gaps)
        say_loss(job, &folder, "it is damaged, and whole again behind", &folder.missing);
    if (folder.cut.bytes)
        say_loss(job, &folder, "its end cannot be read", &folder.cut);
    if (find_server(&server, job, &folder, &error)) {
        leave(job, &folder, error.message, &error);
        return;
    }
    snprintf(state, sizeof state, server->away ? "waiting: %s does not answer" : "sending to %s", mlf_client_tracking_uri(server->client));
    if (!server->away)
        finish_calls(job, &folder, &stays);
    if (server->away || mlf_sender_init(&sender, server->client, &folder, 0, NULL, &error)) {
        leave(job, &folder, state, &error);
        return;
    }
    say(job, folder.path, "", state, 0);
    send_all(job, &sender);
    conclude(job, server, &folder, &sender, &stays);
}

/* ---- all of them ---- */

static int sync_dir(sync_job *job, const char *dir, mlf_error *error)
{
    char (*keys)[MLF_JOURNAL_KEY + 1];
    size_t n_keys;
    mlf_folder_sweep(dir);
    int code = mlf_folder_list(&keys, &n_keys, dir, error);
    for (size_t i = 0; !code && i < n_keys; i++)
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
    sync_server first = {.client = client};
    sync_job job = {.client = client, .options = MLF_SYNC_OPTIONS_INIT, .servers = &first};
    if (options)
        job.options = *options;
    if (job.options.version != MLF_ABI_VERSION || job.options.connections < 0 || job.options.connections > CONNECTIONS_MOST)
        return mlf_error_set(error, MLF_E_ARGUMENT, "sync options: expected version %d and 0 to %d connections, got %d and %d", MLF_ABI_VERSION, CONNECTIONS_MOST, job.options.version,
                             job.options.connections);
    int code = mlf_client_may_send(client, error);
    const char *own = client->settings.journal_dir;
    if (!code && !n_dirs)
        code = sync_dir(&job, own, error);
    for (size_t i = 0; !code && i < n_dirs; i++)
        code = sync_path(&job, dirs[i], error);
    free_servers(&job);
    if (report)
        *report = job.report;
    if (!code && job.first.code && error && !error->code)
        *error = job.first;
    return code ? code : job.first.code;
}

/* Does the journal at path hold what was being sent of the run when its program was killed? */
static int holds_cut_off(const char *path, const char *run_id)
{
    mlf_journal *journal = NULL;
    mlf_journal_info info;
    json_t *calls = NULL;
    if (mlf_calls_read(&calls, NULL, path, NULL) || !json_array_size(calls) || mlf_journal_open(&journal, path, NULL)) {
        json_decref(calls);
        return 0;
    }
    mlf_journal_info_get(journal, &info);
    int holds = !*info.holder && (!strcmp(info.run_id, run_id) || !strcmp(info.key, run_id));
    json_decref(calls);
    mlf_journal_close(journal);
    return holds;
}

void mlf_sync_cut_off(mlf_client *client, const char *run_id)
{
    char **paths = NULL;
    mlf_sync_options options = MLF_SYNC_OPTIONS_INIT;
    options.timeout_ms = CUT_OFF_TIMEOUT_MS;
    mlf_journal_list(&paths, client, NULL, NULL);
    for (size_t i = 0; paths && paths[i]; i++) {
        const char *path = paths[i];
        mlf_error error = MLF_ERROR_INIT;
        if (holds_cut_off(path, run_id) && mlf_sync(client, &path, 1, &options, NULL, &error))
            sv_log(SV_LOG_WARN, "%s: what was being sent of run %.64s when its program was killed is not whole yet (%.300s): a later sync may put it in the place of what is logged from now on", path, run_id,
                   error.message);
    }
    mlf_free(paths);
}
