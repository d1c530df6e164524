/* encoders.h: fitting what turns values into encoded columns: fills, means, deviations, levels, edges, knots; on the training rows alone.
   Leaves out: what an encoder computes (model/pipeline.h), the design over its columns (fit.c). */
#ifndef SV_ENCODERS_H
#define SV_ENCODERS_H

#include "config.h"
#include "dataset.h"
#include "pipeline.h"
#include "values.h"

/* What training rows say about one number. Missing values are left out of all but their count. */
typedef struct sv_number_statistics {
    size_t n_present, n_missing;
    double mean, deviation; /* population's */
    double min, max, median, quartile_low, quartile_high;
    double most_frequent;   /* the smallest of equals */
} sv_number_statistics;

/* sorted: also what needs the values in order (median, quartiles, most frequent); otherwise these may be NaN. parts NULL: all rows. */
int sv_number_statistics_measure(sv_number_statistics *out, const void *data, sv_store store, size_t n_rows, const uint8_t *parts, uint8_t part, int sorted, sv_error *error);

/* Adds the pipeline's terms for values->columns in order, then interactions, as config.encode says, and sets their constants. Weights stay 0.
   SV_E_CONFIG: an encoder that does not fit; SV_E_INPUT: a column without any value. */
int sv_encoders_fit(sv_pipeline *pipeline, const sv_values *values, const sv_config *config, const sv_dataset *dataset, sv_team *team, sv_error *error);

#endif
