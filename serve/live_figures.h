/* live_figures.h: how predictions fared once the truth was told. Two classes: accuracy, log-loss, Brier score, calibration; several: accuracy; numbers:
   mean absolute and root mean squared error. */
#ifndef SV_LIVE_FIGURES_H
#define SV_LIVE_FIGURES_H

#include "served.h"

#define SV_CALIBRATION_BINS 10 /* of equal width over [0, 1] */

typedef struct sv_live_figures {
    unsigned long labels, correct;
    double log_loss, squared_error, absolute_error; /* sums */
    struct sv_calibration_bin {
        unsigned long rows;
        double predicted, observed; /* sums */
    } bins[SV_CALIBRATION_BINS];
} sv_live_figures;

/* truth: two classes 0 or 1; several: the class's name as sv_class_number(); a number. */
void sv_live_add(sv_live_figures *figures, sv_task task, const sv_tapped *prediction, double truth);

/* A class's name as a number that double holds exactly, the same in every version. */
double sv_class_number(sv_span name);

/* "labels", "accuracy", …: the members of an object, without braces; means over the labels, null where there are none. */
void sv_live_write(const sv_live_figures *figures, sv_task task, sv_buffer *json);

typedef struct sv_live_metric {
    const char *name, *help;
    double value; /* NaN: none yet, or not of this task */
} sv_live_metric;

#define SV_N_LIVE_METRICS 5 /* accuracy, log_loss, brier, mean_absolute_error, root_mean_squared_error */

void sv_live_metrics(const sv_live_figures *figures, sv_task task, sv_live_metric out[SV_N_LIVE_METRICS]);

#endif
