/* evaluate.h: how good a pipeline is, on each part of the rows, with bootstrap intervals; calibration and threshold, which are fitted on the validation rows.
   The order of a training: sv_fit, sv_calibrate, sv_evaluate, sv_report_write (report.h). Leaves out: the audit of features, promotion. */
#ifndef SV_EVALUATE_H
#define SV_EVALUATE_H

#include "config.h"
#include "dataset.h"
#include "pipeline.h"
#include "ranking.h"
#include "team.h"

typedef struct sv_metric {
    char name[40];           /* "roc_auc"; the run's metric is PART.NAME, e.g. test.roc_auc */
    double value, low, high; /* low, high: the interval of config.evaluate.confidence, NaN without a bootstrap */
} sv_metric;

/* One part's figures. Binary: accuracy balanced_accuracy log_loss brier roc_auc pr_auc f1 mcc ks ece precision recall; multinomial: accuracy
   balanced_accuracy log_loss; linear and Poisson: rmse mae r2 (deviance for Poisson). rows comes with all. */
typedef struct sv_part_evaluation {
    sv_part part;
    char fitted[64];           /* what these rows chose beside the weights ("calibration, threshold"), so that their figures flatter it; "": nothing */
    size_t n_rows, n_positive;
    size_t n_metrics;
    sv_metric metrics[24];
    uint64_t confusion[2][2];  /* binary: [actual][predicted] */
    sv_ranked ranked;          /* binary: cells for curves, bars by probability */
} sv_part_evaluation;

enum { SV_SEGMENT_LEAST_ROWS = 30 }; /* smaller ones are not judged */

/* A group of test rows that share a value of a segment column. */
typedef struct sv_segment {
    char column[64], level[96];
    size_t n_rows, n_positive;
    double metric, low, high; /* roc_auc for binary, else accuracy or rmse */
    double rate, predicted;   /* mean of the target and of the prediction */
    int fails;                /* its interval lies wholly on the bad side of all test rows' figure */
} sv_segment;

typedef struct sv_baseline {
    char name[40];            /* "majority", "last value" */
    sv_part part;
    double accuracy, log_loss; /* linear and Poisson: accuracy is NaN and log_loss the rmse */
} sv_baseline;

/* How a distribution moved between two parts. */
typedef struct sv_shift {
    char name[128];           /* a used value, or "score" */
    sv_part from, to;
    double psi, ks;           /* population stability index over ten bins; Kolmogorov-Smirnov distance */
} sv_shift;

typedef struct sv_cost_point {
    double threshold, cost;   /* mean cost a row on the part that chose the threshold */
} sv_cost_point;

typedef struct sv_evaluation {
    size_t n_parts;
    sv_part_evaluation parts[3]; /* train, validation, test; those that have rows */
    size_t n_segments, n_baselines, n_shifts, n_costs;
    sv_segment *segments;
    sv_baseline *baselines;
    sv_shift *shifts;
    sv_cost_point *costs;     /* binary: ascending thresholds */
    double threshold;         /* in use */
    size_t n_rows, n_outputs;
    double *predictions;      /* binary: the probability; linear, Poisson: the prediction; multinomial: (classes, n_rows) of probabilities */
} sv_evaluation;

/* The first output (multinomial: each class's probability) of every row of the table, in parallel: (1 or K, n_rows), the caller's (sv_free). */
int sv_predict_table(double **out, const sv_pipeline *pipeline, const sv_table *table, sv_team *team, sv_error *error);

/* Fits what config.evaluate asks on the validation rows (training rows where there are none): Platt's or isotonic calibration, then the threshold of least
   expected cost. Changes pipeline and finishes it again. Nothing to do for tasks other than binary. */
int sv_calibrate(sv_pipeline *pipeline, const sv_dataset *dataset, const sv_config *config, sv_team *team, sv_error *error);

/* Are the columns there that config.evaluate names? SV_E_CONFIG, before anything is fitted. */
int sv_evaluate_check(const sv_config *config, const sv_table *table, sv_error *error);

int sv_evaluate(sv_evaluation *out, const sv_pipeline *pipeline, const sv_dataset *dataset, const sv_config *config, sv_team *team, sv_error *error);
void sv_evaluation_free(sv_evaluation *evaluation); /* the contents; accepts NULL */

/* NaN when that part has no such metric. */
double sv_evaluation_metric(const sv_evaluation *evaluation, sv_part part, const char *name);

#endif
