/* solver.h: minimising an objective (objective.h). Each solver's file states its method, its stopping rule and the paper it comes from.
   All stop by the same certificate, measured at the weights that are returned:

       |gradient of f|_inf <= tolerance * c * sum of weights                                       (the mean loss is flat)
       and, where a factored Hessian is at hand, |H^-1 gradient|_inf <= tolerance * max(1, |w|_inf)   (the weights are near)

   With an l1 penalty the gradient is the minimal-norm subgradient, and the duality gap is reported. */
#ifndef SV_SOLVER_H
#define SV_SOLVER_H

#include "config.h"
#include "objective.h"

#include <stdint.h>

/* What an iteration reports. */
typedef struct sv_fit_step {
    int64_t iteration;       /* from 1 */
    double objective;        /* f */
    double loss;             /* f / (c * sum of weights): comparable between sizes */
    double gradient_norm;    /* |gradient|_inf / (c * sum of weights) */
    double step;             /* length along the direction; the learning rate for gradient descent */
    double validation_loss;  /* mean; NaN unless early stopping asks for it */
} sv_fit_step;

/* Anything but 0 ends the fit with SV_E_INTERRUPTED. */
typedef int (*sv_fit_watch)(void *context, const sv_fit_step *step);

typedef struct sv_solver_options {
    sv_solver solver;        /* SV_SOLVER_AUTO chooses by shape */
    double c, l2, l1;        /* penalty: l2/2 |w|^2 + l1 |w|_1 */
    double tolerance;        /* > 0 */
    int64_t max_iter;
    sv_step step;            /* gradient descent: fixed or backtracking */
    double learning_rate;    /* of the mean loss; 0: from the curvature */
    double momentum;         /* 0 … 1 */
    int64_t batch_size;
    sv_schedule schedule;
    int64_t seed, patience;
    const sv_design *validation; /* for early stopping; NULL: none */
    const char *checkpoint, *resume; /* files; NULL: none */
    int64_t checkpoint_every;
    sv_fit_watch watch;
    void *watch_context;
} sv_solver_options;

typedef struct sv_solution {
    double *weights;         /* (n_scores, n_weights); sv_solution_free */
    double objective, loss;
    double gradient_norm;    /* the certificate, as in sv_fit_step */
    double weight_error;     /* |H^-1 gradient|_inf: how far the weights may be off; NaN when no Hessian was at hand */
    double duality_gap;      /* l1: f minus a lower bound of it; else NaN */
    int64_t iterations;
    size_t passes;           /* over all rows */
    size_t products;         /* rows whose outer product a Hessian took, samples with it: what dsyrk does in a dense fit */
    int converged;
    const char *solver;      /* "newton" … */
    char why[160];           /* of auto's choice */
} sv_solution;

/* Minimises over design from w = 0 (or the checkpoint). share as in objective.h; NULL: the ranks of an mpirun, when there are any (ranks.h). */
int sv_solve(sv_solution *out, const sv_design *design, sv_loss loss, const sv_solver_options *options, sv_team *team, const sv_share *share, sv_error *error);
void sv_solution_free(sv_solution *solution); /* the contents; accepts NULL */

#endif
