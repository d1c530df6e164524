/* throughput.c: one run of N points to a real server, from its creation to its end.

       throughput N      prints one JSON object: seconds of the whole, CPU seconds of this process, its largest resident size */
#include "mlflow_client.h"
#include "process.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    long n = argc > 1 ? atol(argv[1]) : 10;
    mlf_client *client = NULL;
    mlf_run *run = NULL;
    mlf_error error = MLF_ERROR_INIT;
    double begin = process_seconds();
    int code = mlf_client_new(&client, NULL, &error);
    if (!code)
        code = mlf_run_create(&run, client, NULL, &error);
    for (long i = 0; !code && i < n; i++)
        code = mlf_run_log_metric(run, i & 1 ? "loss" : "accuracy", (double)i / 3, i / 2);
    double logged = process_seconds();
    if (!code)
        code = mlf_run_end(run, MLF_FINISHED, &error);
    double end = process_seconds();
    mlf_client_free(client);
    double cpu = process_cpu_s();
    printf("{\"points\": %ld, \"code\": %d, \"to_last_call_s\": %.4f, \"seconds\": %.4f, \"cpu_s\": %.4f, \"resident_kb\": %ld}\n", n, code, logged - begin, end - begin, cpu, process_resident_kb());
    if (code)
        fprintf(stderr, "%s\n", error.message);
    return code != 0;
}
