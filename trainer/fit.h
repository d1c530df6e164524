/* fit.h: from columns to a trained pipeline: encoders fitted on the training rows, the design, a solver, weights written into the pipeline.
   Leaves out: reading (dataset.h), judging (evaluate.h). */
#ifndef SV_FIT_H
#define SV_FIT_H

#include "config.h"
#include "dataset.h"
#include "pipeline.h"
#include "solver.h"

typedef struct sv_fit_options {
    sv_fit_watch watch;       /* called after every iteration by the calling thread; NULL: nobody watches */
    void *watch_context;
    sv_team *team;            /* NULL: one of config.train.threads threads for the time of the call */
    const sv_share *share;    /* the other processes; NULL: none */
    const char *checkpoint;   /* file written every config.train.checkpoint_every iterations, and when the watch ends the fit; NULL: none */
    const char *resume;       /* such a file, to go on from; NULL: from the start */
} sv_fit_options;

#define SV_FIT_OPTIONS_INIT {0}

/* One encoded column with its weight, for tables of coefficients. NaN where there is no such figure. */
typedef struct sv_coefficient {
    char name[128];           /* "balance", "job=admin.", "(intercept)"; for several scores "class: balance" */
    double weight;            /* of the encoded (standardised) column */
    double standard_error, z, p, low, high; /* unpenalised fits; low, high: 95% */
} sv_coefficient;

typedef struct sv_fit_report {
    sv_solution solution;     /* iterations, objective, certificate; its weights are (n_scores, n_weights) as in design.h */
    size_t n_rows, n_weights, n_scores;
    size_t n_coefficients;
    sv_coefficient *coefficients; /* (n_coefficients), intercepts last */
    double encode_seconds, solve_seconds;
} sv_fit_report;

/* Trains. features holds all raw columns of dataset->table and the derived features, compiled; used[0..n_used) are the names that enter the model, in order.
   Rows of SV_PART_TRAIN are fitted on. *out: a finished pipeline, the caller's. options may be NULL. Blocks; one call at a time for one team.
   SV_E_CONFIG: encoders or solver do not fit the columns; SV_E_INPUT: a constant target, a value that is not finite (feature and row named);
   SV_E_NUMERIC: no optimum; SV_E_INTERRUPTED: the watch said so. Not converged within max_iter is no error: report->solution.converged is 0. */
int sv_fit(sv_pipeline **out, sv_fit_report *report, const sv_config *config, const sv_features *features, const char *const *used, size_t n_used,
           const sv_dataset *dataset, const sv_fit_options *options, sv_error *error);
void sv_fit_report_free(sv_fit_report *report); /* the contents; accepts NULL */

#endif
