/* report_plots.h: the charts of a report, each a table row: name, whether it applies, how it is drawn. For report.c alone. */
#ifndef SV_REPORT_PLOTS_H
#define SV_REPORT_PLOTS_H

#include "report.h"

typedef struct sv_report_plot {
    const char *name; /* plots/NAME.svg */
    int (*draw)(sv_buffer *svg, const sv_report *report); /* 0; 1: does not apply, nothing written; SV_E_MEMORY */
} sv_report_plot;

extern const sv_report_plot sv_report_plots[];
extern const size_t sv_n_report_plots;

#endif
