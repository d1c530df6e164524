/* threads.c: what many threads do to one client at once, as a program of its own: Criterion does not run under the thread sanitizer. Exit 0: nothing was lost. */
#include "file.h"
#include "lock.h"
#include "log.h"
#include "mlflow_client.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8, EACH = 10000, RUNS = 3, CHILDREN = 20 };

static char dir[64] = "/tmp/mlf_threads_XXXXXX";

static void expect(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "threads: %s\n", what);
    exit(1);
}

/* ---- logging ---- */

static mlf_client *new_client(void)
{
    mlf_client *client = NULL;
    mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
    options.offline = 1;
    options.journal_dir = dir;
    expect(!mlf_client_new(&client, &options, NULL), "no client");
    return client;
}

static atomic_int logging, disk_full;

static void *log_many(void *run)
{
    char key[32];
    for (int i = 0; i < EACH; i++) {
        snprintf(key, sizeof key, "metric_%d", i % 50);
        expect(!mlf_run_log_metric(run, key, i, i), "a point was refused");
        if (i % 1000 == 0)
            expect(!mlf_run_log_param(run, key, "v", NULL), "a param was refused");
    }
    return NULL;
}

/* Others wait for all of it, and begin and leave runs of their own, meanwhile. */
static void *disturb(void *client)
{
    while (atomic_load(&logging)) {
        mlf_run *run = NULL;
        expect(!mlf_run_create(&run, client, NULL, NULL), "no run");
        expect(!mlf_run_set_tag(run, "t", "v", NULL), "a tag was refused");
        expect(!mlf_flush(client, atomic_load(&disk_full) ? 20 : -1, NULL) || atomic_load(&disk_full), "a flush failed");
        expect(mlf_run_id(run) && mlf_run_experiment_id(run), "a run without an id");
        mlf_run_free(run);
    }
    return NULL;
}

static long count_points(void)
{
    mlf_client *client = NULL;
    char **paths = NULL;
    long points = 0;
    expect(!mlf_client_new(&client, NULL, NULL) && !mlf_journal_list(&paths, client, dir, NULL), "no journals");
    for (char **path = paths; path && *path; path++) {
        mlf_journal *journal;
        mlf_journal_record record;
        expect(!mlf_journal_open(&journal, *path, NULL), "a journal that cannot be opened");
        int code;
        while (!(code = mlf_journal_next(journal, &record, NULL)))
            points += record.is_point;
        expect(code == MLF_E_END, "a journal that cannot be read");
        mlf_journal_close(journal);
    }
    mlf_free(paths);
    mlf_client_free(client);
    return points;
}

static void limit_files(rlim_t bytes)
{
    expect(!setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, RLIM_INFINITY}), "no limit");
}

/* full: no file takes more than 200 bytes until all is logged. */
static void many_threads_log(int full)
{
    mlf_client *client = new_client();
    mlf_run *runs[RUNS] = {NULL};
    pthread_t threads[THREADS], other;
    atomic_store(&logging, 1);
    for (int i = 0; i < RUNS; i++)
        expect(!mlf_run_create(&runs[i], client, NULL, NULL), "no run");
    atomic_store(&disk_full, full);
    if (full)
        limit_files(200);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, log_many, runs[i % RUNS]);
    pthread_create(&other, NULL, disturb, client);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&logging, 0);
    pthread_join(other, NULL);
    limit_files(RLIM_INFINITY);
    for (int i = 0; i < RUNS; i++)
        expect(!mlf_run_end(runs[i], MLF_FINISHED, NULL), "a run that did not end");
    mlf_client_free(client);
    expect(count_points() == (long)THREADS * EACH, "points were lost");
    sv_folder_remove(dir, NULL);
}

/* ---- locks and fork() ---- */

static atomic_int forking;

static void *take_and_release(void *unused)
{
    char path[96];
    (void)unused;
    snprintf(path, sizeof path, "%s/lock", dir);
    while (atomic_load(&forking)) {
        mlf_lock lock = MLF_LOCK_INIT;
        expect(!mlf_lock_take(&lock, path), "a child has the lock");
        mlf_lock_release(&lock);
    }
    return NULL;
}

static void children_hold_nothing(void)
{
    pid_t children[CHILDREN];
    pthread_t thread;
    atomic_store(&forking, 1);
    pthread_create(&thread, NULL, take_and_release, NULL);
    for (int i = 0; i < CHILDREN; i++) {
        usleep(500);
        if (!(children[i] = fork()))
            for (;;)
                pause();
    }
    atomic_store(&forking, 0);
    pthread_join(thread, NULL);
    for (int i = 0; i < CHILDREN; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
}

int main(void)
{
    expect(mkdtemp(dir) != NULL, "no folder");
    signal(SIGXFSZ, SIG_IGN);
    sv_log_set_level(SV_LOG_OFF);
    many_threads_log(0);
    many_threads_log(1);
    expect(!mkdir(dir, 0777), "no folder again");
    children_hold_nothing();
    sv_folder_remove(dir, NULL);
    return 0;
}
