/* team.h: threads that wait for one loop after another. Leaves out: task graphs, futures, nested loops.
   Which worker runs a task never matters to the answer: every task writes only its own results, and the caller adds them up in a fixed order. */
#ifndef SV_TEAM_H
#define SV_TEAM_H

#include "error.h"

#include <stddef.h>

typedef struct sv_team sv_team;

/* n_threads workers, the calling thread being one of them; 0: one for each processor that this process may use. */
int sv_team_new(sv_team **out, size_t n_threads, sv_error *error);
void sv_team_free(sv_team *team); /* joins the threads; accepts NULL */

size_t sv_team_size(const sv_team *team);

/* worker: 0 … size-1, for scratch memory; the same worker never runs two tasks at once. */
typedef void (*sv_team_task)(void *context, size_t task, size_t worker);

/* Runs task(context, 0 … n_tasks-1) and returns when all are done. One caller at a time; team NULL: the caller alone. n_tasks < 2^32. */
void sv_team_run(sv_team *team, size_t n_tasks, sv_team_task task, void *context);

#endif
