/* training_loop.c: the twenty lines that make a C training loop visible in MLflow. cc training_loop.c $(pkg-config --cflags --libs mlflow-client) -lm */
#include <math.h>
#include <mlflow_client.h>
#include <stdio.h>

int main(void)
{
    mlf_error error = MLF_ERROR_INIT;
    mlf_client *client = NULL;
    mlf_run *run = NULL;
    mlf_run_options options = MLF_RUN_OPTIONS_INIT;
    options.experiment = "examples";
    if (mlf_client_new(&client, NULL, &error) || mlf_run_create(&run, client, &options, &error))
        return fprintf(stderr, "%s\n", error.message), 1;
    mlf_run_log_param(run, "learning_rate", "0.1", NULL);
    double x = 4.0;
    for (int step = 0; step < 100; step++) {
        mlf_run_log_metric(run, "loss", x * x, step); /* queues and returns: the network is somebody else's thread */
        x -= 0.1 * 2.0 * x;
    }
    printf("run %s, minimum at %.3g\n", mlf_run_id(run), fabs(x));
    int failed = mlf_run_end(run, MLF_FINISHED, &error); /* waits until the server has it all, or says where it waits */
    mlf_client_free(client);
    return failed ? fprintf(stderr, "%s\n", error.message), 1 : 0;
}
