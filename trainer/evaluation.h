/* evaluation.h: the parts of an evaluation, for evaluate.c alone. */
#ifndef SV_EVALUATION_H
#define SV_EVALUATION_H

#include "evaluate.h"

typedef struct sv_judging {
    const sv_pipeline *pipeline;
    const sv_dataset *dataset;
    const sv_config *config;
    sv_team *team;
    const double *predictions; /* (n_outputs, n_rows) */
    const double *targets;     /* (n_rows) */
} sv_judging;

/* Each appends to out; SV_E_MEMORY. */
int sv_judge_segments(sv_evaluation *out, const sv_judging *judging, sv_error *error);
int sv_judge_baselines(sv_evaluation *out, const sv_judging *judging, sv_error *error);
int sv_judge_shifts(sv_evaluation *out, const sv_judging *judging, sv_error *error);

/* Expected cost by threshold on the rows that choose it; binary only. */
int sv_judge_costs(sv_evaluation *out, const sv_judging *judging, sv_error *error);

/* Rows of a part with a prediction, gathered: p and y (n), the caller's. */
int sv_gather_part(double **p, uint8_t **y, size_t *n, const sv_judging *judging, sv_part part, sv_error *error);

/* The threshold of least expected cost among the predictions p; ties: the one nearest to 0.5. curve (may be NULL): n_curve points over [0, 1]. */
int sv_best_threshold(double *threshold, const double *p, const uint8_t *y, size_t n, double cost_false_positive, double cost_false_negative, sv_cost_point *curve, size_t n_curve);

#endif
