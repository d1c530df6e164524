/* parallel.h: the same job for many items on a few threads. */
#ifndef MLF_PARALLEL_H
#define MLF_PARALLEL_H

#include "mlflow_client.h"

typedef int mlf_job_fn(void *context, size_t index, mlf_error *error);

/* Calls job for 0 … count-1 on at most `threads` threads (the caller's is one of them). The first failure stops the handing out of further
   items, and is the result once the jobs already begun have ended. */
int mlf_parallel(size_t count, unsigned threads, mlf_job_fn *job, void *context, mlf_error *error);

#endif
