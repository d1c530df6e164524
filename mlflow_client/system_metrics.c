#include "system_metrics.h"

#include "alloc.h"
#include "client_error.h"
#include "clock.h"
#include "gpu.h"
#include "settings.h"
#include "thread.h"

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

enum { N_HOST = 8, N_MOST = N_HOST + MLF_GPU_METRICS * MLF_GPU_MOST, NODE_MOST = 100 };

/* The order is that of read_host(). */
static const char *const host_names[N_HOST] = {
    "cpu_utilization_percentage", "system_memory_usage_megabytes", "system_memory_usage_percentage", "disk_usage_percentage",
    "disk_usage_megabytes",       "disk_available_megabytes",      "network_receive_megabytes",      "network_transmit_megabytes",
};

typedef struct traffic {
    double received, sent; /* bytes since the machine began */
} traffic;

struct mlf_sampler {
    mlf_run *run;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int stopping;
    double interval_s;
    int samples; /* averaged into one point */
    char node[NODE_MOST + 1];
    double cpu_busy, cpu_total; /* ticks at the last sample */
    traffic begin;
    mlf_gpus *gpus;
};

/* ---- what the kernel says ---- */

static void read_cpu(double *busy, double *total)
{
    unsigned long long tick[8] = {0};
    FILE *file = fopen("/proc/stat", "re");
    *busy = *total = NAN;
    if (!file)
        return;
    if (fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &tick[0], &tick[1], &tick[2], &tick[3], &tick[4], &tick[5], &tick[6], &tick[7]) >= 4) {
        *total = 0;
        for (int i = 0; i < 8; i++)
            *total += (double)tick[i];
        *busy = *total - (double)tick[3] - (double)tick[4]; /* idle, iowait */
    }
    fclose(file);
}

static void read_memory(double *used_mb, double *percent)
{
    char line[256];
    double total = NAN, available = NAN;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && fgets(line, sizeof line, file)) {
        unsigned long long kb;
        if (sscanf(line, "MemTotal: %llu", &kb) == 1)
            total = (double)kb * 1024;
        if (sscanf(line, "MemAvailable: %llu", &kb) == 1)
            available = (double)kb * 1024;
    }
    if (file)
        fclose(file);
    *used_mb = (total - available) / 1e6;
    *percent = 100 * (total - available) / total;
}

static void read_disk(double *percent, double *used_mb, double *available_mb)
{
    struct statvfs about;
    *percent = *used_mb = *available_mb = NAN;
    if (statvfs("/", &about))
        return;
    double block = (double)about.f_frsize, used = (double)(about.f_blocks - about.f_bfree), available = (double)about.f_bavail;
    *percent = 100 * used / (used + available);
    *used_mb = used * block / 1e6;
    *available_mb = available * block / 1e6;
}

static traffic read_network(void)
{
    char line[512];
    traffic total = {0, 0};
    FILE *file = fopen("/proc/net/dev", "re");
    while (file && fgets(line, sizeof line, file)) {
        unsigned long long received, sent;
        const char *colon = strchr(line, ':');
        if (colon && sscanf(colon + 1, "%llu %*u %*u %*u %*u %*u %*u %*u %llu", &received, &sent) == 2) {
            total.received += (double)received;
            total.sent += (double)sent;
        }
    }
    if (file)
        fclose(file);
    return total;
}

static void read_host(mlf_sampler *sampler, double values[N_HOST])
{
    double busy, all;
    traffic now = read_network();
    read_cpu(&busy, &all);
    values[0] = all > sampler->cpu_total ? 100 * (busy - sampler->cpu_busy) / (all - sampler->cpu_total) : NAN;
    sampler->cpu_busy = busy;
    sampler->cpu_total = all;
    read_memory(&values[1], &values[2]);
    read_disk(&values[3], &values[4], &values[5]);
    values[6] = (now.received - sampler->begin.received) / 1e6;
    values[7] = (now.sent - sampler->begin.sent) / 1e6;
}

/* ---- the thread ---- */

/* 1: it is to stop. */
static int sleep_until(mlf_sampler *sampler, int64_t moment_ns)
{
    struct timespec moment = {.tv_sec = moment_ns / 1000000000, .tv_nsec = moment_ns % 1000000000};
    pthread_mutex_lock(&sampler->lock);
    while (!sampler->stopping && sv_monotonic_ns() < moment_ns)
        pthread_cond_timedwait(&sampler->wake, &sampler->lock, &moment);
    int stopping = sampler->stopping;
    pthread_mutex_unlock(&sampler->lock);
    return stopping;
}

static void name_metric(const mlf_sampler *sampler, int i, char name[256])
{
    const char *slash = *sampler->node ? "/" : "";
    if (i < N_HOST)
        snprintf(name, 256, "system/%s%s%s", sampler->node, slash, host_names[i]);
    else
        snprintf(name, 256, "system/%s%sgpu_%d_%s", sampler->node, slash, (i - N_HOST) / MLF_GPU_METRICS, mlf_gpu_metric_names[(i - N_HOST) % MLF_GPU_METRICS]);
}

static void publish(mlf_sampler *sampler, const double *sums, const int *counts, int n, int64_t step)
{
    for (int i = 0; i < n; i++) {
        char name[256];
        name_metric(sampler, i, name);
        if (counts[i])
            mlf_run_log_metric(sampler->run, name, round(10 * sums[i] / counts[i]) / 10, step);
    }
}

static void *sample_loop(void *argument)
{
    mlf_sampler *sampler = argument;
    int n = N_HOST + MLF_GPU_METRICS * mlf_gpus_count(sampler->gpus);
    int64_t next_ns = sv_monotonic_ns(), step = 0;
    for (;; step++) {
        double sums[N_MOST] = {0}, values[N_MOST];
        int counts[N_MOST] = {0};
        for (int sample = 0; sample < sampler->samples; sample++) {
            next_ns += (int64_t)(sampler->interval_s * 1e9);
            if (sleep_until(sampler, next_ns))
                return NULL;
            read_host(sampler, values);
            mlf_gpus_read(sampler->gpus, values + N_HOST);
            for (int i = 0; i < n; i++)
                if (isfinite(values[i])) {
                    sums[i] += values[i];
                    counts[i]++;
                }
        }
        publish(sampler, sums, counts, n, step);
    }
}

/* ---- beginning and end ---- */

static int read_settings(mlf_sampler *sampler, mlf_error *error)
{
    double samples = 1;
    int code = mlf_env_number(&sampler->interval_s, "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", 10, 0.01, 86400, error);
    if (!code)
        code = mlf_env_number(&samples, "MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", 1, 1, 1e6, error);
    sampler->samples = (int)samples;
    const char *node = mlf_env("MLFLOW_SYSTEM_METRICS_NODE_ID");
    if (!code && node && strlen(node) > NODE_MOST)
        code = mlf_error_set(error, MLF_E_ARGUMENT, "MLFLOW_SYSTEM_METRICS_NODE_ID: expected at most %d bytes, got %zu", NODE_MOST, strlen(node));
    if (!code && node)
        snprintf(sampler->node, sizeof sampler->node, "%s", node);
    return code;
}

static void free_sampler(mlf_sampler *sampler)
{
    mlf_gpus_close(sampler->gpus);
    pthread_cond_destroy(&sampler->wake);
    pthread_mutex_destroy(&sampler->lock);
    sv_free(sampler);
}

int mlf_sampler_start(mlf_sampler **out, mlf_run *run, int wanted, mlf_error *error)
{
    int code = wanted < 0 ? mlf_env_flag(&wanted, "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", 0, error) : MLF_OK;
    *out = NULL;
    if (code || !wanted)
        return code;
    mlf_sampler *sampler = sv_calloc(1, sizeof *sampler);
    if (!sampler)
        return mlf_error_memory(error);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&sampler->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&sampler->lock, NULL);
    sampler->run = run;
    sampler->begin = read_network();
    read_cpu(&sampler->cpu_busy, &sampler->cpu_total);
    code = read_settings(sampler, error);
    if (!code)
        sampler->gpus = mlf_gpus_open();
    if (!code && mlf_thread_start(&sampler->thread, sample_loop, sampler))
        code = mlf_error_memory(error);
    if (code)
        free_sampler(sampler);
    else
        *out = sampler;
    return code;
}

void mlf_sampler_stop(mlf_sampler *sampler)
{
    if (!sampler)
        return;
    pthread_mutex_lock(&sampler->lock);
    sampler->stopping = 1;
    pthread_cond_signal(&sampler->wake);
    pthread_mutex_unlock(&sampler->lock);
    pthread_join(sampler->thread, NULL);
    free_sampler(sampler);
}
