#include "thread.h"

#include <errno.h>
#include <time.h>

int mlf_thread_start(pthread_t *thread, void *(*work)(void *), void *argument)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF}; /* what the thread itself brings about */
    sigset_t others, before;
    sigfillset(&others);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&others, own[i]);
    pthread_sigmask(SIG_BLOCK, &others, &before);
    int reason = pthread_create(thread, NULL, work, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return reason;
}

static sigset_t sigpipe_alone(void)
{
    sigset_t alone;
    sigemptyset(&alone);
    sigaddset(&alone, SIGPIPE);
    return alone;
}

void mlf_sigpipe_hold(mlf_sigpipe *held)
{
    sigset_t pending, alone = sigpipe_alone();
    sigpending(&pending);
    held->was_pending = sigismember(&pending, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &alone, &held->before);
}

void mlf_sigpipe_release(const mlf_sigpipe *held)
{
    const struct timespec at_once = {0, 0};
    sigset_t alone = sigpipe_alone();
    while (!held->was_pending && sigtimedwait(&alone, NULL, &at_once) < 0 && errno == EINTR)
        ;
    pthread_sigmask(SIG_SETMASK, &held->before, NULL);
}
