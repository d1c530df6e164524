/* monitor_run.h: drift and live figures of each version, logged to an MLflow run of that version in one experiment. The run is tagged with model and
   version and found again by its tags, after a restart too; while the server does not answer, what is logged waits in the client's journal. */
#ifndef SV_MONITOR_RUN_H
#define SV_MONITOR_RUN_H

#include "service.h"

typedef struct sv_monitor_run sv_monitor_run;

/* Begins the thread that logs every monitor.every_seconds; worker: its own among the service's workers. SV_E_CONFIG: no tracking server is named. */
int sv_monitor_run_start(sv_monitor_run **out, sv_service *service, unsigned worker, sv_error *error);
void sv_monitor_run_stop(sv_monitor_run *monitor); /* logs once more, sends for at most two seconds; the rest waits in the journal and
   the client is left to the end of the process. Accepts NULL */

#endif
