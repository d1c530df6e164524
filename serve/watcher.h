/* watcher.h: follows the registry: a thread that asks for each model's version, checks a new one beside the old, and swaps it in whole. */
#ifndef SV_WATCHER_H
#define SV_WATCHER_H

#include "service.h"
#include "source.h"

struct sv_tls;
typedef struct sv_watcher sv_watcher;

/* One source a slot of the service, in the same order; borrowed. tls (may be NULL) is read again when its files change. poll_ms: time between two questions. The thread begins at once. */
int sv_watcher_start(sv_watcher **out, sv_service *service, sv_source *const *sources, struct sv_tls *tls, int poll_ms, sv_error *error);

void sv_watcher_wake(sv_watcher *watcher); /* asks now; any thread, does not block */
void sv_watcher_stop(sv_watcher *watcher); /* ends the thread and frees; accepts NULL */

/* Once, from the caller's thread: asks, fetches, checks, swaps. 1: a new version answers now, 0: nothing new, negative: refused or unreachable (said
   in the log and counted). */
int sv_watcher_look(sv_service *service, size_t slot, sv_source *source);

#endif
