/* inference.h: how sure the weights of an unpenalised fit are, by the curvature of the likelihood. Leaves out: penalised fits, whose weights are biased on purpose. */
#ifndef SV_INFERENCE_H
#define SV_INFERENCE_H

#include "objective.h"

/* Standard errors of the weights w of one score, (n_weights): the roots of the diagonal of the inverse Fisher information, for the squared loss times the residual
   variance RSS / (n - n_weights). *degrees: n - n_weights for the squared loss (Student's t), else 0 (the normal curve). c = 1, l2 = 0.
   SV_E_NUMERIC when a direction has no curvature (collinear columns): then every error is NaN. */
int sv_standard_errors(double *errors, double *degrees, const sv_design *design, sv_loss loss, const double *w, sv_team *team, sv_error *error);

/* Two-sided p of a statistic: Student's with so many degrees, or the normal curve for 0. */
double sv_two_sided_p(double statistic, double degrees);

/* The value that a share of 1 - 2 * tail lies within. */
double sv_two_sided_quantile(double tail, double degrees);

#endif
