/* prometheus.c: see prometheus.h. */
#include "prometheus.h"

void sv_prometheus_head(sv_buffer *text, const char *metric, const char *type, const char *help)
{
    sv_buffer_format(text, "# HELP %s %s\n# TYPE %s %s\n", metric, help, metric, type);
}

void sv_prometheus_label(sv_buffer *text, const char *name, const char *value)
{
    sv_buffer_format(text, "%s=\"", name);
    for (const char *p = value ? value : ""; *p; p++) {
        if (*p == '\\' || *p == '"' || *p == '\n')
            sv_buffer_byte(text, '\\');
        sv_buffer_byte(text, *p == '\n' ? 'n' : *p);
    }
    sv_buffer_text(text, "\"");
}
