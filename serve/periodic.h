/* periodic.h: a thread that does one thing again and again, rests between, and can be woken and ended in the middle of a rest. */
#ifndef SV_PERIODIC_H
#define SV_PERIODIC_H

#include "error.h"

#include <stdint.h>

typedef struct sv_periodic sv_periodic;

/* Begins a thread that rests, calls work(context, 0), rests, …; when it is to end it calls work(context, 1) once, and nothing more. nice: how far it yields
   to other threads, 0 to 19. name is for messages. SV_E_MEMORY: no memory or no thread. */
typedef void sv_periodic_work(void *context, int is_last);
int sv_periodic_start(sv_periodic **out, const char *name, int64_t rest_ms, int nice, sv_periodic_work *work, void *context, sv_error *error);

/* The rest under way, or the next one, ends at once. Any thread, does not block. */
void sv_periodic_wake(sv_periodic *periodic);

/* Asks the thread to end, and waits for it as long as wait_ms; negative: as long as it takes. 0: it has ended, and periodic is freed. -1: it is still at
   work; call again. From one thread. */
int sv_periodic_stop(sv_periodic *periodic, int64_t wait_ms);

#endif
