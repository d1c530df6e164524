/* live_figures.c: see live_figures.h. */
#include "live_figures.h"

#include "json_out.h"
#include "request_id.h"

#include <float.h>
#include <math.h>

double sv_class_number(sv_span name)
{
    return (double)(sv_request_hash(name) >> 11);
}

/* log-loss = -y ln p - (1 - y) ln(1 - p), p kept off 0 and 1 by the smallest step of a double, as scikit-learn does;
   Brier score = (p - y)^2 (Brier 1950). */
static void add_probability(sv_live_figures *figures, double p, double truth)
{
    double kept = fmin(fmax(p, DBL_EPSILON), 1 - DBL_EPSILON);
    size_t bin = p < 1 ? (size_t)(p * SV_CALIBRATION_BINS) : SV_CALIBRATION_BINS - 1;
    figures->log_loss -= truth > 0.5 ? log(kept) : log1p(-kept);
    figures->bins[bin].rows++;
    figures->bins[bin].predicted += p;
    figures->bins[bin].observed += truth;
}

void sv_live_add(sv_live_figures *figures, sv_task task, const sv_tapped *prediction, double truth)
{
    figures->labels++;
    figures->correct += prediction->label == truth;
    if (task == SV_TASK_BINARY)
        add_probability(figures, prediction->value, truth);
    if (task != SV_TASK_MULTINOMIAL) {
        figures->absolute_error += fabs(prediction->value - truth);
        figures->squared_error += (prediction->value - truth) * (prediction->value - truth);
    }
}

static double mean(double sum, unsigned long n)
{
    return n ? sum / (double)n : NAN;
}

void sv_live_metrics(const sv_live_figures *figures, sv_task task, sv_live_metric out[SV_N_LIVE_METRICS])
{
    unsigned long n = figures->labels, binary = task == SV_TASK_BINARY ? n : 0, classes = binary || task == SV_TASK_MULTINOMIAL ? n : 0, numbers = n - classes;
    out[0] = (sv_live_metric){"accuracy", "Share of predicted labels that were true.", mean((double)figures->correct, classes)};
    out[1] = (sv_live_metric){"log_loss", "Mean log-loss of the probabilities.", mean(figures->log_loss, binary)};
    out[2] = (sv_live_metric){"brier", "Mean squared difference of probability and truth.", mean(figures->squared_error, binary)};
    out[3] = (sv_live_metric){"mean_absolute_error", "Mean absolute difference of prediction and truth.", mean(figures->absolute_error, numbers)};
    out[4] = (sv_live_metric){"root_mean_squared_error", "Root of the mean squared difference of prediction and truth.", sqrt(mean(figures->squared_error, numbers))};
}

static void write_bins(const sv_live_figures *figures, sv_buffer *json)
{
    sv_buffer_text(json, ",\"calibration\":[");
    for (size_t b = 0; b < SV_CALIBRATION_BINS; b++) {
        const struct sv_calibration_bin *bin = &figures->bins[b];
        sv_buffer_format(json, "%s{\"from\":%g,\"to\":%g,\"rows\":%lu,\"predicted\":", b ? "," : "", (double)b / SV_CALIBRATION_BINS, (double)(b + 1) / SV_CALIBRATION_BINS, bin->rows);
        sv_json_write_double(json, mean(bin->predicted, bin->rows));
        sv_buffer_text(json, ",\"observed\":");
        sv_json_write_double(json, mean(bin->observed, bin->rows));
        sv_buffer_text(json, "}");
    }
    sv_buffer_text(json, "]");
}

void sv_live_write(const sv_live_figures *figures, sv_task task, sv_buffer *json)
{
    sv_live_metric metrics[SV_N_LIVE_METRICS];
    sv_live_metrics(figures, task, metrics);
    sv_buffer_format(json, "\"labels\":%lu", figures->labels);
    for (size_t m = 0; m < SV_N_LIVE_METRICS; m++) {
        sv_buffer_format(json, ",\"%s\":", metrics[m].name);
        sv_json_write_double(json, metrics[m].value);
    }
    if (task == SV_TASK_BINARY)
        write_bins(figures, json);
}
