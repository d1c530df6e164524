/* drift.h: a model's own training rows, as its package remembers them (profile.json), against rows of today: did the values, the scores, the calibration move?
   Leaves out: shifts between the parts of one table (judge.c), the server's window (serve/monitor.h). */
#ifndef SV_DRIFT_H
#define SV_DRIFT_H

#include "evaluate.h"
#include "profile.h"

/* PSI = sum over bins of (now - then) ln(now / then), shares with half a row added; KS = the largest distance of the two distributions at the bins' edges
   (texts: half the sum of differences). Bins are the profile's; missing values are one more. */
typedef struct sv_drift_value {
    char name[128]; /* a column, a feature, or "score" */
    double psi, ks;
} sv_drift_value;

/* A figure of the same part when the model was made, and now. */
typedef struct sv_drift_figure {
    char name[64];
    double then, now;
} sv_drift_figure;

typedef struct sv_drift {
    size_t n_values, n_figures;
    sv_drift_value *values;   /* (n_values), the score last */
    sv_drift_figure *figures; /* (n_figures): label_rate, then what profile and evaluation both have: calibration (ece, log_loss) among them */
} sv_drift;

/* Over all rows of the dataset that have a part. SV_E_MEMORY, SV_E_INPUT. */
int sv_drift_measure(sv_drift *out, const sv_profile *profile, const sv_pipeline *pipeline, const sv_dataset *dataset, const sv_evaluation *evaluation, sv_team *team,
                     sv_error *error);
void sv_drift_free(sv_drift *drift); /* the contents; accepts NULL */

#endif
