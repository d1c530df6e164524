/* evaluation.h: the parts of an evaluation, for evaluate.c alone. */
#ifndef SV_EVALUATION_H
#define SV_EVALUATION_H

#include "design.h"
#include "evaluate.h"

typedef struct sv_judging {
    const sv_pipeline *pipeline;
    const sv_dataset *dataset;
    const sv_config *config;
    sv_team *team;
    const double *predictions; /* (n_outputs, n_rows) */
    double centre;             /* a typical target of numbers: sums of squares about it cancel nothing */
} sv_judging;

/* The row's target as a number: 0 or 1, the class, the value. */
static inline double sv_judging_target(const sv_judging *judging, size_t row)
{
    const sv_column *target = &judging->dataset->target;
    double value;
    if (target->store == SV_STORE_I8) return ((const int8_t *)target->data)[row];
    if (target->store == SV_STORE_F64) return ((const double *)target->data)[row];
    sv_design_widen(&value, target->data, target->store, row, 1);
    return value;
}

/* The rows of each part with a prediction, as ranking.h's keys, one part behind the other. */
typedef struct sv_keys {
    uint64_t *keys; /* owned */
    size_t begins[SV_PART_NONE], counts[SV_PART_NONE];
} sv_keys;

/* Binary only; in the order of the rows. SV_E_MEMORY. */
int sv_gather_keys(sv_keys *out, const sv_judging *judging, sv_error *error);

/* The part whose rows calibration and threshold are fitted on: validation, or what there is. */
sv_part sv_choosing_part(const sv_dataset *dataset);

/* Each appends to out; SV_E_MEMORY. */
int sv_judge_segments(sv_evaluation *out, const sv_judging *judging, sv_error *error);
int sv_judge_baselines(sv_evaluation *out, const sv_judging *judging, sv_error *error);
int sv_judge_shifts(sv_evaluation *out, const sv_judging *judging, sv_error *error);

/* Expected cost by threshold on the rows that choose it; binary only. keys: sorted within each part. */
int sv_judge_costs(sv_evaluation *out, const sv_judging *judging, const sv_keys *keys, sv_error *error);

/* Bootstrap intervals of all figures, as the configuration says (NaN without); another stream, other draws. SV_E_MEMORY. */
int sv_judge_intervals(double low[SV_FIGURES], double high[SV_FIGURES], const sv_judging *judging, const sv_ranked *ranked, uint64_t stream);

/* The figure that stands for a model (ROC AUC, accuracy, rmse) over some rows with a prediction, and its bootstrap interval. SV_E_MEMORY. */
int sv_judge_rows(double *value, double *low, double *high, const sv_judging *judging, const uint32_t *rows, size_t n, uint64_t stream);

/* The threshold of least expected cost among sorted keys; ties: the one nearest to 0.5. curve (may be NULL): n_curve points over [0, 1]. */
void sv_best_threshold(double *threshold, const uint64_t *keys, size_t n, double cost_false_positive, double cost_false_negative, sv_cost_point *curve, size_t n_curve);

#endif
