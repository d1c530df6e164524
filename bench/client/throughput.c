/* throughput.c: one run of N points to a real server, from its creation to its end.

       throughput N      prints one JSON object: seconds of the whole, CPU seconds of this process, its largest resident size */
#include "mlflow_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Not getrusage's, which remembers the program that this one was started by. */
static long resident_kb(void)
{
    char line[256];
    long kb = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file))
        sscanf(line, "VmHWM: %ld", &kb);
    if (file)
        fclose(file);
    return kb;
}

int main(int argc, char **argv)
{
    long n = argc > 1 ? atol(argv[1]) : 10;
    mlf_client *client = NULL;
    mlf_run *run = NULL;
    mlf_error error = MLF_ERROR_INIT;
    struct rusage usage;
    double begin = seconds();
    int code = mlf_client_new(&client, NULL, &error);
    if (!code)
        code = mlf_run_create(&run, client, NULL, &error);
    for (long i = 0; !code && i < n; i++)
        code = mlf_run_log_metric(run, i & 1 ? "loss" : "accuracy", (double)i / 3, i / 2);
    double logged = seconds();
    if (!code)
        code = mlf_run_end(run, MLF_FINISHED, &error);
    double end = seconds();
    mlf_client_free(client);
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"points\": %ld, \"code\": %d, \"to_last_call_s\": %.4f, \"seconds\": %.4f, \"cpu_s\": %.4f, \"resident_kb\": %ld}\n", n, code, logged - begin, end - begin, cpu, resident_kb());
    if (code)
        fprintf(stderr, "%s\n", error.message);
    return code != 0;
}
