/* calls.c: what one call to the server costs its caller, made again and again on one kept connection.

       calls N      makes a run, then N times runs/log-metric; prints one JSON object: median and 99th percentile of a call, ms */
#include "mlflow_client.h"
#include "process.h"

#include <stdio.h>
#include <stdlib.h>

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The run's id in *run, or an error. */
static int make_run(mlf_object **run, mlf_client *client, mlf_error *error)
{
    mlf_object *arguments = mlf_object_new();
    int code = mlf_object_set_string(arguments, "experiment_id", "0");
    if (!code)
        code = mlf_object_set_integer(arguments, "start_time", 1);
    if (!code)
        code = mlf_call(run, client, "runs_create", arguments, error);
    mlf_object_free(arguments);
    return code;
}

static int log_once(mlf_client *client, const char *run_id, long step, mlf_error *error)
{
    mlf_object *arguments = mlf_object_new();
    int code = mlf_object_set_string(arguments, "run_id", run_id);
    if (!code)
        code = mlf_object_set_string(arguments, "key", "loss");
    if (!code)
        code = mlf_object_set_double(arguments, "value", (double)step / 3);
    if (!code)
        code = mlf_object_set_integer(arguments, "timestamp", 1 + step);
    if (!code)
        code = mlf_object_set_integer(arguments, "step", step);
    if (!code)
        code = mlf_call(NULL, client, "runs_log_metric", arguments, error);
    mlf_object_free(arguments);
    return code;
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? (size_t)atol(argv[1]) : 100;
    double *took = n ? calloc(n, sizeof *took) : NULL;
    mlf_client *client = NULL;
    mlf_object *run = NULL;
    mlf_error error = MLF_ERROR_INIT;
    int code = !took || mlf_client_new(&client, NULL, &error) || make_run(&run, client, &error);
    for (size_t i = 0; !code && i < n; i++) {
        double before = process_seconds();
        code = log_once(client, mlf_object_string(run, "run.info.run_id"), (long)i, &error);
        took[i] = 1e3 * (process_seconds() - before);
    }
    if (code) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    qsort(took, n, sizeof *took, by_size);
    printf("{\"calls\": %zu, \"median_ms\": %.3f, \"p99_ms\": %.3f}\n", n, took[n / 2], took[n * 99 / 100]);
    mlf_object_free(run);
    mlf_client_free(client);
    free(took);
    return 0;
}
