/* interrupt.h: Ctrl-C as something to ask for. */
#ifndef SV_INTERRUPT_H
#define SV_INTERRUPT_H

/* Set by SIGINT and SIGTERM once sv_interrupt_watch() was called; long work looks at it and returns SV_E_INTERRUPTED. A second signal ends the process. */
void sv_interrupt_watch(void);
int sv_interrupted(void);

/* Five seconds after the first signal nobody waits for a server any more: this client is stopped (NULL: none is there). It must live until the next call. */
struct mlf_client;
void sv_interrupt_stops(struct mlf_client *client);

#endif
