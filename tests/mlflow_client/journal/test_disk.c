/* A disk that takes its time, and that is watched: this program's own pread(), pwrite(), fdatasync() and fsync() stand in front of the C library's. */
#include "clock.h"
#include "file.h"
#include "log.h"
#include "mlflow_client.h"
#include "sender.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int is_slow; /* 1: a call does not return */
static atomic_int waiting; /* calls that do not */

static void take_time(void)
{
    if (!atomic_load(&is_slow))
        return;
    atomic_fetch_add(&waiting, 1);
    while (atomic_load(&is_slow))
        usleep(1000);
    atomic_fetch_sub(&waiting, 1);
}

ssize_t pread(int fd, void *bytes, size_t length, off_t offset)
{
    take_time();
    return syscall(SYS_pread64, fd, bytes, length, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    take_time();
    return syscall(SYS_pwrite64, fd, bytes, length, offset);
}

static struct {
    char path[256];
    int data; /* calls of fdatasync() before it */
} synced[64]; /* what fsync() was called for */
static atomic_int n_synced, n_data;

int fdatasync(int fd)
{
    take_time();
    atomic_fetch_add(&n_data, 1);
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    char name[64];
    int i = atomic_fetch_add(&n_synced, 1) % 64;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, synced[i].path, sizeof synced[i].path - 1);
    synced[i].path[length > 0 ? length : 0] = '\0';
    synced[i].data = atomic_load(&n_data);
    return (int)syscall(SYS_fsync, fd);
}

/* How often since the beginning. */
static int times_synced(const char *path)
{
    int times = 0;
    for (int i = 0; i < 64 && i < atomic_load(&n_synced); i++)
        times += !strcmp(synced[i].path, path);
    return times;
}

static char dir[64];
static char leaving[128]; /* the journal that another process takes away just before its lock is had; empty: none */

int fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (command == F_OFD_SETLK && *leaving)
        sv_folder_remove(leaving, NULL);
    return (int)syscall(SYS_fcntl, fd, command, argument);
}

static mlf_client *new_client(int offline)
{
    mlf_client *client = NULL;
    mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
    snprintf(dir, sizeof dir, "/tmp/mlf_disk_XXXXXX");
    cr_assert(mkdtemp(dir));
    options.offline = offline;
    options.tracking_uri = "http://127.0.0.1:1";
    options.journal_dir = dir;
    cr_assert_eq(mlf_client_new(&client, &options, NULL), 0);
    return client;
}

/* Lets the disk go on after two seconds at the latest, so that who waits for it is late instead of stuck. */
static void *lose_patience(void *unused)
{
    (void)unused;
    for (int i = 0; i < 2000 && atomic_load(&is_slow); i++)
        usleep(1000);
    atomic_store(&is_slow, 0);
    return NULL;
}

static void wait_until_somebody_waits(pthread_t *patience)
{
    pthread_create(patience, NULL, lose_patience, NULL);
    while (!atomic_load(&waiting) && atomic_load(&is_slow))
        usleep(1000);
    cr_assert(atomic_load(&is_slow), "nobody asked the disk");
}

static void *work(void *sender)
{
    mlf_sender_work(sender);
    return NULL;
}

/* While the journal is read for sending, who waits for it may ask how it stands. */
Test(disk, no_question_to_a_sender_waits_for_it)
{
    mlf_client *client = new_client(0);
    char key[MLF_JOURNAL_KEY + 1];
    mlf_folder folder;
    mlf_sender sender;
    sv_buffer frame = SV_BUFFER_INIT(0);
    cr_assert(!mlf_journal_key(key, NULL) && !mlf_folder_create(&folder, dir, key, NULL) && !mlf_sender_init(&sender, client, &folder, 1, NULL, NULL));
    cr_assert(!mlf_frame_op(&frame, MLF_OP_TAG, "{}", 2) && !mlf_stream_append(&folder.stream, frame.data, frame.size));
    pthread_t worker, patience;
    atomic_store(&is_slow, 1);
    pthread_create(&worker, NULL, work, &sender);
    wait_until_somebody_waits(&patience);
    uint64_t points, ops;
    mlf_error error = MLF_ERROR_INIT;
    mlf_sender_failure(&sender, &error);
    mlf_sender_taken(&sender, &points, &ops);
    cr_expect_eq(mlf_sender_refused(&sender) + points + ops, 0);
    cr_expect(!mlf_sender_is_done(&sender));
    cr_expect(atomic_load(&is_slow), "the answer came when the disk had");
    atomic_store(&is_slow, 0);
    pthread_join(worker, NULL);
    pthread_join(patience, NULL);
    sv_buffer_free(&frame);
    mlf_sender_free(&sender);
    mlf_folder_remove(&folder, NULL);
    mlf_client_free(client);
    sv_folder_remove(dir, NULL);
}

static mlf_run *new_run(mlf_client *client)
{
    mlf_run *run = NULL;
    cr_assert_eq(mlf_run_create(&run, client, NULL, NULL), 0);
    return run;
}

/* Nor does another run's call while the last of a run that goes is written. */
Test(disk, no_call_waits_for_another_runs_end)
{
    sv_log_set_level(SV_LOG_OFF);
    signal(SIGXFSZ, SIG_IGN);
    mlf_client *client = new_client(1);
    mlf_run *goes = new_run(client), *stays = new_run(client);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){64, RLIM_INFINITY}), 0);
    cr_assert_eq(mlf_run_log_param(goes, "p", "v", NULL), 0);
    usleep(200000); /* it is in memory now, as the disk is full */
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}), 0);
    pthread_t patience;
    atomic_store(&is_slow, 1);
    mlf_run_free(goes);
    wait_until_somebody_waits(&patience);
    cr_expect_eq(mlf_run_log_param(stays, "p", "v", NULL), 0);
    cr_expect(atomic_load(&is_slow), "the call returned when the disk did");
    atomic_store(&is_slow, 0);
    pthread_join(patience, NULL);
    cr_expect_eq(mlf_run_end(stays, MLF_FINISHED, NULL), 0);
    mlf_client_free(client);
    sv_folder_remove(dir, NULL);
}

/* A file of which no folder knows is lost with the power, however often it was synced; the folders are new, too. */
Test(disk, the_folders_of_a_new_journal_are_synced_once)
{
    mlf_client *client = new_client(1);
    char path[128];
    mlf_run *run = new_run(client);
    snprintf(path, sizeof path, "%s/%s", dir, mlf_run_id(run));
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(mlf_run_log_metric(run, "loss", i, i), 0);
        cr_assert_eq(mlf_flush(client, -1, NULL), 0);
        usleep(300000);
    }
    cr_expect_geq(atomic_load(&n_data), 3);
    cr_expect_eq(times_synced(path), 1);
    cr_expect_eq(times_synced(dir), 1);
    cr_expect_eq(times_synced("/tmp"), 1);
    cr_expect_eq(mlf_run_end(run, MLF_FINISHED, NULL), 0);
    mlf_client_free(client);
    sv_folder_remove(dir, NULL);
}

/* refused.jsonl is synced before the journal it is of goes. */
Test(disk, what_was_refused_is_synced)
{
    new_client(1);
    char key[MLF_JOURNAL_KEY + 1], path[256], kept[256];
    mlf_folder folder;
    cr_assert(!mlf_journal_key(key, NULL) && !mlf_folder_create(&folder, dir, key, NULL));
    mlf_folder_note_refused(&folder, "param", "{}", 2, "no");
    snprintf(path, sizeof path, "%s/%s/refused.jsonl", dir, key);
    snprintf(kept, sizeof kept, "%s/refused-%s.jsonl", dir, key);
    cr_assert_eq(mlf_folder_remove(&folder, NULL), 0);
    cr_expect_eq(times_synced(path) + times_synced(kept), 1);
    cr_expect_eq(times_synced(dir), 1);
    sv_folder_remove(dir, NULL);
}

/* The other has sent it and removed it while this one waited for its lock: nothing is wrong. */
Test(disk, a_journal_that_goes_while_it_is_locked_is_not_there)
{
    new_client(1);
    char key[MLF_JOURNAL_KEY + 1];
    mlf_folder folder;
    mlf_error error = MLF_ERROR_INIT;
    cr_assert(!mlf_journal_key(key, NULL) && !mlf_folder_create(&folder, dir, key, NULL));
    mlf_folder_close(&folder);
    snprintf(leaving, sizeof leaving, "%s/%s", dir, key);
    cr_expect_eq(mlf_folder_open(&folder, dir, key, &error), MLF_E_NOT_FOUND, "%s", error.message);
    sv_folder_remove(dir, NULL);
}
