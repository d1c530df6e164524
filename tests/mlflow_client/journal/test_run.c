/* Runs without a server: what is logged is read from the journal again. */
#include "alloc.h"
#include "file.h"
#include "log.h"
#include "mlflow_client.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];

static mlf_client *new_client(void)
{
    mlf_client *client = NULL;
    mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
    snprintf(dir, sizeof dir, "/tmp/mlf_run_XXXXXX");
    cr_assert(mkdtemp(dir));
    options.offline = 1;
    options.journal_dir = dir;
    cr_assert_eq(mlf_client_new(&client, &options, NULL), 0);
    return client;
}

static mlf_run *new_run(mlf_client *client)
{
    mlf_run *run = NULL;
    mlf_error error = MLF_ERROR_INIT;
    cr_assert_eq(mlf_run_create(&run, client, NULL, &error), 0, "%s", error.message);
    return run;
}

/* What the journals in dir hold: points and operations. */
static void count_records(long *points, long *operations)
{
    mlf_client *client = NULL;
    char **paths;
    *points = *operations = 0;
    cr_assert_eq(mlf_client_new(&client, NULL, NULL), 0);
    cr_assert_eq(mlf_journal_list(&paths, client, dir, NULL), 0);
    for (char **path = paths; *path; path++) {
        mlf_journal *journal;
        mlf_journal_record record;
        cr_assert_eq(mlf_journal_open(&journal, *path, NULL), 0);
        int code;
        while (!(code = mlf_journal_next(journal, &record, NULL)))
            ++*(record.is_point ? points : operations);
        cr_assert_eq(code, MLF_E_END);
        mlf_journal_close(journal);
    }
    mlf_free(paths);
    mlf_client_free(client);
}

static void clean_up(void)
{
    sv_folder_remove(dir, NULL);
}

Test(run, all_that_is_logged_stands_in_the_journal)
{
    mlf_client *client = new_client();
    mlf_run *run = new_run(client);
    const char *keys[] = {"a", "b/c"};
    const double values[] = {1, NAN};
    const int64_t steps[] = {-5, 5};
    long points, operations;
    cr_assert_eq(strlen(mlf_run_id(run)), 32);
    cr_assert_str_eq(mlf_run_experiment_id(run), "");
    cr_assert_eq(mlf_run_log_metric(run, "loss", 0.5, 0), 0);
    cr_assert_eq(mlf_run_log_metrics(run, keys, values, 2, 7), 0);
    cr_assert_eq(mlf_run_log_series(run, "loss", steps, values, 2), 0);
    cr_assert_eq(mlf_run_log_param(run, "p", "v", NULL), 0);
    cr_assert_eq(mlf_run_set_tag(run, "t", "v", NULL), 0);
    cr_assert_eq(mlf_run_log_input(run, &(mlf_dataset){.name = "d", .digest = "1", .context = "training"}, NULL), 0);
    cr_assert_eq(mlf_run_end(run, MLF_FINISHED, NULL), 0);
    mlf_client_free(client);
    count_records(&points, &operations);
    cr_assert_eq(points, 5);
    cr_assert_eq(operations, 5); /* create, param, tag, input, end */
    clean_up();
}

static int keys_told;

static void count_keys(void *context, sv_log_level level, const char *line)
{
    if (level == SV_LOG_WARN && strstr(line, "not logged"))
        keys_told += strstr(line, "metric key \"a?b\": ") && strstr(line, "U+003F at character 1") ? 1 : 100;
}

/* What MLflow would refuse is refused at once, and nothing of it is kept. */
Test(run, bad_input_is_refused)
{
    mlf_client *client = new_client();
    mlf_run *run = new_run(client);
    char longest[252];
    memset(longest, 'k', 251);
    longest[251] = '\0';
    sv_log_set_sink(count_keys, NULL);
    const char *const bad[] = {"a?b", "", "a//b", "/a", "a/", "a/../b", ".", "what?", "a\nb", "a\xff", longest};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(mlf_run_log_metric(run, bad[i], 1, 0), MLF_E_ARGUMENT, "'%s'", bad[i]);
        cr_assert_eq(mlf_run_log_param(run, bad[i], "v", NULL), MLF_E_ARGUMENT, "'%s'", bad[i]);
        cr_assert_eq(mlf_run_set_tag(run, bad[i], "v", NULL), MLF_E_ARGUMENT, "'%s'", bad[i]);
    }
    cr_assert_eq(keys_told, 1, "%d warnings", keys_told); /* the first; the others are to be asked for */
    mlf_error error = MLF_ERROR_INIT;
    cr_assert_eq(mlf_metric_key_check("a/b c", &error), 0);
    cr_assert_eq(mlf_metric_key_check("what?", &error), MLF_E_ARGUMENT);
    cr_assert(strstr(error.message, "\"what?\"") && strstr(error.message, "U+003F at character 4"), "%s", error.message);
    cr_assert_eq(mlf_run_log_metric(NULL, "a", 1, 0), MLF_E_ARGUMENT);
    cr_assert_eq(mlf_run_log_metric(run, NULL, 1, 0), MLF_E_ARGUMENT);
    cr_assert_eq(mlf_run_log_param(run, "k", NULL, NULL), MLF_E_ARGUMENT);
    cr_assert_eq(mlf_run_log_param(run, "k", "\xff", NULL), MLF_E_ARGUMENT);
    const char *keys[] = {"good", "bad?"};
    const double values[] = {1, 2};
    cr_assert_eq(mlf_run_log_metrics(run, keys, values, 2, 0), MLF_E_ARGUMENT);
    cr_assert_eq(mlf_run_end(run, (mlf_status)99, NULL), MLF_E_ARGUMENT);
    cr_assert_eq(mlf_run_end(run, MLF_FAILED, NULL), 0);
    mlf_client_free(client);
    long points, operations;
    count_records(&points, &operations);
    cr_assert_eq(points, 0);
    cr_assert_eq(operations, 2);
    clean_up();
}

enum { N_THREADS = 8, N_EACH = 30000 };

static void *log_many(void *run)
{
    char key[32];
    for (int i = 0; i < N_EACH; i++) {
        snprintf(key, sizeof key, "metric_%d", i % 50);
        if (mlf_run_log_metric(run, key, i, i))
            return run;
    }
    return NULL;
}

Test(run, many_threads_many_runs_lose_nothing)
{
    mlf_client *client = new_client();
    mlf_run *runs[3] = {new_run(client), new_run(client), new_run(client)};
    pthread_t threads[N_THREADS];
    for (int t = 0; t < N_THREADS; t++)
        pthread_create(&threads[t], NULL, log_many, runs[t % 3]);
    for (int t = 0; t < N_THREADS; t++) {
        void *bad;
        pthread_join(threads[t], &bad);
        cr_assert_null(bad);
    }
    for (int i = 0; i < 3; i++)
        cr_assert_eq(mlf_run_end(runs[i], MLF_FINISHED, NULL), 0);
    mlf_client_free(client);
    long points, operations;
    count_records(&points, &operations);
    cr_assert_eq(points, (long)N_THREADS * N_EACH);
    cr_assert_eq(operations, 6);
    clean_up();
}

Test(run, once_warm_logging_allocates_nothing_on_the_callers_thread)
{
    mlf_client *client = new_client();
    mlf_run *run = new_run(client);
    for (int i = 0; i < 20000; i++)
        mlf_run_log_metric(run, "loss", i, i);
    mlf_flush(client, -1, NULL);
    /* Fewer points than a queue holds: the writer may or may not look meanwhile, and it has its memory, too. */
    unsigned long before = sv_alloc_count();
    for (int i = 0; i < 2000; i++)
        mlf_run_log_metric(run, "loss", i, i);
    cr_assert_leq(sv_alloc_count() - before, 8); /* the writer's buffers alone, however many points */
    mlf_run_end(run, MLF_FINISHED, NULL);
    mlf_client_free(client);
    clean_up();
}

static atomic_long trapped;
static atomic_int has_logged;

static void on_system_call(int number)
{
    (void)number;
    atomic_fetch_add(&trapped, 1);
}

/* From here on each system call of this thread is a SIGSYS instead (but for the clock, where the kernel lends no page for it); it can never end, as that
   takes system calls. */
static int trap_system_calls(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_rt_sigreturn, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clock_gettime, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static mlf_client *watched_client;
static mlf_run *watched_run;

static void *log_without_system_calls(void *unused)
{
    (void)unused;
    mlf_run *run = watched_run;
    long refused = 0;
    for (int i = 0; i < 20000; i++)
        mlf_run_log_metric(run, "loss", i, i);
    mlf_flush(watched_client, -1, NULL);
    if (trap_system_calls())
        return NULL;
    syscall(__NR_getppid); /* the trap works */
    for (int i = 0; i < 2000; i++)
        refused += mlf_run_log_metric(run, "loss", i, i) != 0;
    atomic_store(&has_logged, refused ? -1 : 1);
    while (atomic_load(&has_logged))
        ;
    return NULL;
}

Test(run, once_warm_logging_makes_no_system_call_on_the_callers_thread)
{
    pthread_t thread;
    watched_client = new_client();
    watched_run = new_run(watched_client);
    signal(SIGSYS, on_system_call);
    pthread_create(&thread, NULL, log_without_system_calls, NULL);
    while (!atomic_load(&has_logged))
        cr_assert_neq(pthread_tryjoin_np(thread, NULL), 0, "no filter for system calls can be set");
    cr_expect_eq(atomic_load(&has_logged), 1);
    cr_expect_eq(atomic_load(&trapped), 1, "%ld system calls", atomic_load(&trapped) - 1);
    clean_up(); /* the thread, and so the client, stays until the process ends */
}

Test(run, a_forked_child_is_told_and_does_no_harm)
{
    mlf_client *client = new_client();
    mlf_run *run = new_run(client);
    mlf_run_log_metric(run, "loss", 1, 1);
    pid_t child = fork();
    if (!child) {
        int told = mlf_run_log_metric(run, "loss", 2, 2) == MLF_E_STATE && mlf_run_log_param(run, "p", "v", NULL) == MLF_E_STATE && mlf_run_end(run, MLF_FINISHED, NULL) == MLF_E_STATE;
        mlf_run_free(run);
        mlf_client_free(client);
        _exit(told ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_assert_eq(mlf_run_log_metric(run, "loss", 3, 3), 0);
    cr_assert_eq(mlf_run_end(run, MLF_FINISHED, NULL), 0);
    mlf_client_free(client);
    long points, operations;
    count_records(&points, &operations);
    cr_assert_eq(points, 2);
    clean_up();
}

/* The characters of the value that the journal keeps for the first operation of that kind. */
static size_t kept_length(const char *kind)
{
    mlf_client *client = NULL;
    mlf_journal *journal;
    mlf_journal_record record;
    char **paths;
    size_t length = 0;
    cr_assert_eq(mlf_client_new(&client, NULL, NULL), 0);
    cr_assert_eq(mlf_journal_list(&paths, client, dir, NULL), 0);
    cr_assert_eq(mlf_journal_open(&journal, paths[0], NULL), 0);
    while (!length && !mlf_journal_next(journal, &record, NULL)) {
        mlf_object *operation = NULL;
        if (!record.is_point && !strcmp(record.kind, kind) && !mlf_object_parse(&operation, record.json, NULL))
            for (const char *c = mlf_object_string(operation, "value"); c && *c; c++)
                length += (*c & 0xC0) != 0x80;
        mlf_object_free(operation);
    }
    mlf_journal_close(journal);
    mlf_free(paths);
    mlf_client_free(client);
    return length;
}

/* Cut between characters, as the server would; or refused, when MLFLOW_TRUNCATE_LONG_VALUES says so. */
Test(run, a_value_over_the_limit)
{
    enum { CHARACTERS = 8001 };
    static char text[2 * CHARACTERS + 1];
    for (size_t i = 0; i < CHARACTERS; i++)
        memcpy(text + 2 * i, "\u00e9", 2);
    for (int refuses = 0; refuses < 2; refuses++) {
        setenv("MLFLOW_TRUNCATE_LONG_VALUES", refuses ? "false" : "true", 1);
        mlf_client *client = new_client();
        mlf_run *run = new_run(client);
        mlf_error param = MLF_ERROR_INIT, tag = MLF_ERROR_INIT, input = MLF_ERROR_INIT;
        cr_assert_eq(mlf_run_log_param(run, "p", text, &param), refuses ? MLF_E_ARGUMENT : 0);
        cr_assert_eq(mlf_run_set_tag(run, "t", text, &tag), refuses ? MLF_E_ARGUMENT : 0);
        if (refuses)
            cr_assert(strstr(param.message, "at most 6000 characters, got 8001") && strstr(tag.message, "at most 8000 characters, got 8001"), "%s %s", param.message, tag.message);
        cr_assert_eq(mlf_run_log_input(run, &(mlf_dataset){.name = text, .digest = "1"}, &input), MLF_E_ARGUMENT);
        cr_assert(strstr(input.message, "characters, got 8001"), "%s", input.message);
        cr_assert_eq(mlf_run_end(run, MLF_FINISHED, NULL), 0);
        mlf_client_free(client);
        cr_expect_eq(kept_length("param"), refuses ? 0 : 6000);
        if (!refuses)
            cr_expect_eq(kept_length("tag"), 8000);
        clean_up();
    }
}

/* The disk is full after 200 bytes a file, and the memory for what it does not take is, too. */
static mlf_run *new_choked_run(mlf_client *client)
{
    static char text[6001];
    mlf_run *run = new_run(client);
    int code = 0;
    memset(text, 'x', 6000);
    for (int i = 0; i < 20000 && !code; i++)
        code = mlf_run_log_param(run, "p", text, NULL);
    cr_assert_eq(code, MLF_E_IO);
    return run;
}

/* Points of one thread share a queue whatever run they are of. */
Test(run, one_that_neither_disk_nor_memory_takes_holds_up_no_other)
{
    enum { POINTS = 20000 };
    mlf_client *client = new_client();
    mlf_error full = MLF_ERROR_INIT, end = MLF_ERROR_INIT;
    int refused = 0;
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){200, RLIM_INFINITY}), 0);
    sv_log_set_level(SV_LOG_OFF);
    mlf_run *choked = new_choked_run(client), *run = new_run(client);
    for (int i = 0; i < POINTS; i++)
        refused += mlf_run_log_metric(choked, "loss", i, i) != 0;
    cr_expect_gt(refused, POINTS / 2, "%d refused", refused);
    int wrong = 0;
    for (int i = 0; i < POINTS; i++)
        wrong += mlf_run_log_metric(run, "loss", i, i) != 0;
    cr_expect_eq(wrong, 0);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}), 0);
    usleep(2500000); /* the disk is asked again */
    cr_expect_eq(mlf_run_end(run, MLF_FINISHED, &end), 0, "%s", end.message);
    cr_expect_eq(mlf_run_end(choked, MLF_FINISHED, &full), MLF_E_IO);
    mlf_client_free(client);
    long points, operations, lost = 0;
    cr_expect_eq(sscanf(strstr(full.message, ": ") ? strstr(full.message, ": ") : "", ": %ld points lost, 0 operations lost", &lost), 1, "%s", full.message);
    count_records(&points, &operations);
    cr_expect_eq(points, 2 * POINTS - lost, "%ld points, %ld said to be lost", points, lost);
    clean_up();
}

/* Each allocation fails once, from the run's beginning to the client's end: every call says so or succeeds, nothing crashes, and what was accepted stands in the
   journal. Goes on until no allocation is left to fail; which thread makes the k-th one is chance, so a few more are tried. */
Test(run, allocation_k_fails_for_every_k, .timeout = 120)
{
    long k = 0;
    json_set_alloc_funcs(sv_malloc, sv_free); /* jansson's, too */
    sv_log_set_level(SV_LOG_OFF);
    for (int unreached = 0; unreached < 20; k++) {
        mlf_client *client = new_client();
        mlf_run *run = NULL;
        long points, operations, accepted = 0, expected = 0;
        unsigned long before = sv_alloc_count();
        sv_alloc_fail_after(k, 1);
        if (!mlf_run_create(&run, client, NULL, NULL)) {
            expected = 1;
            for (int i = 0; i < 100; i++)
                accepted += !mlf_run_log_metric(run, i % 2 ? "loss" : "acc", i, i);
            expected += !mlf_run_log_param(run, "p", "v", NULL);
            expected += !mlf_run_set_tag(run, "t", "v", NULL);
            expected += !mlf_run_end(run, MLF_FINISHED, NULL);
        }
        mlf_client_free(client);
        unreached = sv_alloc_count() - before > (unsigned long)k ? 0 : unreached + 1;
        sv_alloc_fail_after(-1, 0);
        count_records(&points, &operations);
        cr_assert_eq(points, accepted, "k %ld: %ld points accepted, %ld kept", k, accepted, points);
        cr_assert_geq(operations, expected, "k %ld", k);
        cr_assert_lt(k, 5000, "there is no end to the allocations");
        clean_up();
    }
    fprintf(stderr, "# run: each of %ld allocations failed once\n", k - 20);
    cr_expect_gt(k, 100);
}
