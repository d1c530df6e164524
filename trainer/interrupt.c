#include "interrupt.h"

#include <mlflow_client.h>

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

enum { PATIENCE_S = 5 };

static volatile sig_atomic_t interrupted;
static mlf_client *_Atomic client_to_stop;

static void on_signal(int number)
{
    if (interrupted)
        _exit(130);
    interrupted = number;
    alarm(PATIENCE_S);
}

static void on_alarm(int number)
{
    (void)number;
    mlf_client_stop(atomic_load(&client_to_stop));
}

void sv_interrupt_watch(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = on_alarm;
    sigaction(SIGALRM, &action, NULL);
}

void sv_interrupt_stops(mlf_client *client)
{
    atomic_store(&client_to_stop, client);
}

int sv_interrupted(void)
{
    return interrupted != 0;
}
