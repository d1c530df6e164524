#include "parallel.h"

#include "thread.h"

#include <pthread.h>

#define MAX_THREADS 16u

struct gang {
    pthread_mutex_t lock;
    size_t next, count;
    mlf_job_fn *job;
    void *context;
    int code; /* of the first failure */
    mlf_error error;
};

static int take(struct gang *gang, size_t *index)
{
    pthread_mutex_lock(&gang->lock);
    int any = !gang->code && gang->next < gang->count;
    if (any)
        *index = gang->next++;
    pthread_mutex_unlock(&gang->lock);
    return any;
}

static void *work(void *argument)
{
    struct gang *gang = argument;
    size_t index;
    while (take(gang, &index)) {
        mlf_error error = MLF_ERROR_INIT;
        int code = gang->job(gang->context, index, &error);
        if (!code)
            continue;
        pthread_mutex_lock(&gang->lock);
        if (!gang->code) {
            gang->code = code;
            gang->error = error;
        }
        pthread_mutex_unlock(&gang->lock);
    }
    return NULL;
}

int mlf_parallel(size_t count, unsigned threads, mlf_job_fn *job, void *context, mlf_error *error)
{
    struct gang gang = {.lock = PTHREAD_MUTEX_INITIALIZER, .count = count, .job = job, .context = context};
    pthread_t helpers[MAX_THREADS];
    unsigned started = 0, wanted = threads > MAX_THREADS ? MAX_THREADS : threads;
    if (wanted > count)
        wanted = (unsigned)count;
    while (started + 1 < wanted && !mlf_thread_start(&helpers[started], work, &gang))
        started++; /* a thread that cannot be had is no failure: the others do its share */
    work(&gang);
    while (started)
        pthread_join(helpers[--started], NULL);
    if (gang.code && error && !error->code)
        *error = gang.error;
    return gang.code;
}
