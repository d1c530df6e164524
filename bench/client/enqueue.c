/* enqueue.c: what logging costs the caller, and what a million points cost offline. No server.

       enqueue [--points N] [--pause-ns N]     (journals go to $MLFLOW_JOURNAL_DIR)

   Each call is timed by itself with the monotonic clock, whose own cost (the median of empty measurements) is taken off. Threads: 1, 2, 4, 8. */
#include "mlflow_client.h"
#include "process.h"

#include <dirent.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static long n_points = 200000, pause_ns;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

typedef struct worker {
    pthread_t thread;
    mlf_run *run;
    uint32_t *took_ns; /* (n_points) */
} worker;

static void *log_points(void *argument)
{
    static const char *const keys[] = {"train/loss", "train/accuracy", "learning_rate", "gradient_norm", "epoch"};
    worker *mine = argument;
    for (long i = 0; i < n_points; i++) {
        int64_t before = now_ns();
        mlf_run_log_metric(mine->run, keys[i % 5], (double)i * 0.1, i);
        int64_t took = now_ns() - before;
        mine->took_ns[i] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
        for (int64_t until = pause_ns ? now_ns() + pause_ns : 0; until && now_ns() < until;)
            ;
    }
    return NULL;
}

static uint32_t clock_cost(void)
{
    static uint32_t took[100001];
    for (size_t i = 0; i < 100001; i++) {
        int64_t before = now_ns();
        took[i] = (uint32_t)(now_ns() - before);
    }
    qsort(took, 100001, sizeof *took, by_size);
    return took[50000];
}

static mlf_run *begin(mlf_client **client)
{
    mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
    mlf_error error = MLF_ERROR_INIT;
    mlf_run *run = NULL;
    options.offline = 1;
    if (mlf_client_new(client, &options, &error) || mlf_run_create(&run, *client, NULL, &error)) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    return run;
}

static void time_threads(int n_threads, uint32_t cost)
{
    mlf_client *client;
    mlf_run *run = begin(&client);
    worker workers[8];
    uint32_t *all = malloc(sizeof *all * (size_t)(n_threads * n_points));
    for (int i = 0; i < 100; i++) /* warm: every key known */
        mlf_run_log_metric(run, (const char *[]){"train/loss", "train/accuracy", "learning_rate", "gradient_norm", "epoch"}[i % 5], 0, 0);
    for (int t = 0; t < n_threads; t++) {
        workers[t] = (worker){.run = run, .took_ns = all + t * n_points};
        memset(workers[t].took_ns, 0, sizeof *all * (size_t)n_points);
        pthread_create(&workers[t].thread, NULL, log_points, &workers[t]);
    }
    for (int t = 0; t < n_threads; t++)
        pthread_join(workers[t].thread, NULL);
    size_t n = (size_t)(n_threads * n_points);
    qsort(all, n, sizeof *all, by_size);
    uint32_t p50 = all[n / 2], p99 = all[n / 100 * 99], p999 = all[n / 1000 * 999];
    printf("enqueue, %d thread%s: p50 %u ns, p99 %u ns, p99.9 %u ns, worst %.3f ms\n", n_threads, n_threads > 1 ? "s" : "", p50 > cost ? p50 - cost : 0, p99 > cost ? p99 - cost : 0,
           p999 > cost ? p999 - cost : 0, all[n - 1] / 1e6);
    mlf_run_end(run, MLF_FINISHED, NULL);
    mlf_client_free(client);
    free(all);
}

static long long size_of_journals(const char *dir)
{
    long long total = 0;
    char path[4096];
    struct stat about;
    DIR *listing = opendir(dir);
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        snprintf(path, sizeof path, "%s/%s/data.jrn", dir, entry->d_name);
        if (!stat(path, &about) && about.st_size > total)
            total = about.st_size;
    }
    if (listing)
        closedir(listing);
    return total;
}

/* From the first call until the run has ended and its journal is synced to the disk. */
static void time_million(void)
{
    mlf_client *client;
    mlf_run *run = begin(&client);
    double cpu = process_cpu_s();
    int64_t before = now_ns();
    for (long i = 0; i < 1000000; i++)
        mlf_run_log_metric(run, (i & 1) ? "loss" : "accuracy", (double)i / 3, i / 2);
    int64_t logged = now_ns();
    mlf_run_end(run, MLF_FINISHED, NULL);
    int64_t after = now_ns();
    mlf_client_free(client);
    printf("offline, a million points: %.3f s to the last call, %.3f s until on disk, %.3f s CPU, %.1f bytes a point\n", (double)(logged - before) / 1e9, (double)(after - before) / 1e9,
           process_cpu_s() - cpu, (double)size_of_journals(getenv("MLFLOW_JOURNAL_DIR")) / 1e6);
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (!strcmp(argv[i], "--points"))
            n_points = atol(argv[i + 1]);
        if (!strcmp(argv[i], "--pause-ns"))
            pause_ns = atol(argv[i + 1]);
    }
    if (!getenv("MLFLOW_JOURNAL_DIR")) {
        fprintf(stderr, "enqueue: set MLFLOW_JOURNAL_DIR to a folder that may be filled\n");
        return 2;
    }
    time_million();
    uint32_t cost = clock_cost();
    printf("the clock itself: %u ns\n", cost);
    for (int threads = 1; threads <= 8; threads *= 2)
        time_threads(threads, cost);
    return 0;
}
