/* thread.h: threads of the client's own, and signals. */
#ifndef MLF_THREAD_H
#define MLF_THREAD_H

#include <pthread.h>
#include <signal.h>

/* As pthread_create(). The thread takes none of the signals that are sent to the process: the program's threads know what to do with them. */
int mlf_thread_start(pthread_t *thread, void *(*work)(void *), void *argument);

/* Around what may write to a connection that the other side has closed: SIGPIPE, which would end the program, is held back and forgotten. libcurl's TLS backends
   may raise it (OpenSSL's own socket writer before libcurl 7.87), and it leaves that to us, as it does all signals (CURLOPT_NOSIGNAL). */
typedef struct mlf_sigpipe {
    sigset_t before;
    int was_pending;
} mlf_sigpipe;

void mlf_sigpipe_hold(mlf_sigpipe *held);
void mlf_sigpipe_release(const mlf_sigpipe *held);

#endif
