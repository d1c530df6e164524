/* request_metrics.h: counts that workers keep and /metrics shows. Each worker writes its own cache lines; reading adds them up. */
#ifndef SV_REQUEST_METRICS_H
#define SV_REQUEST_METRICS_H

#include "buffer.h"
#include "ledger.h"

#include <stdint.h>

/* Routes as /metrics names them. */
typedef enum sv_route {
    SV_ROUTE_OTHER,
    SV_ROUTE_ROOT,
    SV_ROUTE_HEALTH,
    SV_ROUTE_PREDICT,
    SV_ROUTE_INVOCATIONS,
    SV_ROUTE_INFER,
    SV_ROUTE_EXPLAIN,
    SV_ROUTE_METRICS,
    SV_ROUTE_DOCS,
    SV_ROUTE_PAGE,
    SV_ROUTE_FEEDBACK,
    SV_ROUTE_ADMIN,
    SV_N_ROUTES
} sv_route;

typedef struct sv_metrics sv_metrics;

int sv_metrics_new(sv_metrics **out, unsigned n_workers); /* 0 or SV_E_MEMORY */
void sv_metrics_free(sv_metrics *metrics);                /* accepts NULL */

/* From worker's thread. */
void sv_metrics_begin(sv_metrics *metrics, unsigned worker);
void sv_metrics_end(sv_metrics *metrics, unsigned worker, sv_route route, int status, int64_t nanoseconds, size_t n_rows);
void sv_metrics_refused(sv_metrics *metrics, unsigned worker, int status);
void sv_metrics_score(sv_metrics *metrics, unsigned worker, const double *probabilities, size_t n);

void sv_metrics_feedback(sv_metrics *metrics, unsigned worker, sv_ledger_found found);

/* From any thread. */
void sv_metrics_reload(sv_metrics *metrics, int accepted);

/* Prometheus' text format 0.0.4. */
int sv_metrics_write(const sv_metrics *metrics, sv_buffer *text);

#endif
