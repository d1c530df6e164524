/* monitor.h: what live rows look like beside the training rows: the population stability index of every input and of the first output over a sliding
   window, and, where true labels come back, accuracy and calibration. Each thread counts for itself; reading adds up.

       PSI = Σ_b (live_b - train_b) ln(live_b / train_b)      shares by bin, each with half a row added (Siddiqi, "Credit Risk Scorecards", 2006) */
#ifndef SV_MONITOR_H
#define SV_MONITOR_H

#include "buffer.h"
#include "served.h"

typedef struct sv_monitor sv_monitor;

/* For one version; NULL in *out (and 0) when its package has no profile. */
int sv_monitor_new(sv_monitor **out, const sv_served *served, unsigned n_workers, long window_seconds);
void sv_monitor_free(sv_monitor *monitor); /* accepts NULL */

/* Rows just scored, from worker's thread; of large blocks a sample. NULL monitor: nothing. */
void sv_monitor_rows(sv_monitor *monitor, unsigned worker, const sv_block *block, const double *outputs);

typedef struct sv_drift {
    const char *name; /* borrowed from the version */
    double psi;       /* NaN while fewer rows than the rule asks for were counted: of few rows a PSI is mostly chance */
} sv_drift;

typedef struct sv_drift_rule {
    unsigned long min_rows; /* in the window before a figure is shown */
    double threshold;       /* a PSI of at least this is noticed */
} sv_drift_rule;

/* Rows counted in the window, and the PSI of each profiled input and, last, of the first output: drifts is (sv_monitor_size()). Any thread. */
size_t sv_monitor_size(const sv_monitor *monitor);
unsigned long sv_monitor_read(const sv_monitor *monitor, const sv_drift_rule *rule, sv_drift *drifts);

/* How many of them the rule notices. */
size_t sv_drift_noticed(const sv_drift_rule *rule, const sv_drift *drifts, size_t n);

/* {"rows", "min_rows", "window_seconds", "threshold", "noticed", "features": [{"name", "psi", "noticed"}]}; psi is null while there are too few rows;
   NULL monitor: no rows, no features. */
int sv_monitor_write(const sv_monitor *monitor, const sv_drift_rule *rule, sv_buffer *json);

#endif
