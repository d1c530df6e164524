/* prometheus.h: Prometheus' text format 0.0.4, in its smallest parts. */
#ifndef SV_PROMETHEUS_H
#define SV_PROMETHEUS_H

#include "buffer.h"

void sv_prometheus_head(sv_buffer *text, const char *metric, const char *type, const char *help);

/* name="value", escaped; value NULL: empty. */
void sv_prometheus_label(sv_buffer *text, const char *name, const char *value);

#endif
