/* profile_rows.h: the training rows' distributions for the package's profile.json. */
#ifndef SV_PROFILE_ROWS_H
#define SV_PROFILE_ROWS_H

#include "profile.h"
#include "training.h"

/* The raw columns that the pipeline reads and its derived features, over the training rows; scores and metrics from the evaluation. *out: sv_profile_free(). */
int sv_profile_rows(sv_profile *out, const sv_training *training, sv_error *error);

#endif
