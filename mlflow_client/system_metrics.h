/* system_metrics.h: a run's CPU, memory, disk, network and GPU use under MLflow's own names, sampled by a thread of its own (PROTOCOL 12). */
#ifndef MLF_SYSTEM_METRICS_H
#define MLF_SYSTEM_METRICS_H

#include "client.h"

typedef struct mlf_sampler mlf_sampler;

/* Begins when the options (-1: MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING) ask for it, else *out stays NULL. Errors of the environment's variables alone. */
int mlf_sampler_start(mlf_sampler **out, mlf_run *run, int wanted, mlf_error *error);
void mlf_sampler_stop(mlf_sampler *sampler); /* waits for the thread; accepts NULL */

#endif
