/* search.h: what all solvers share: the weights on their way, the certificate, reporting, early stopping, checkpoints. For the solvers alone. */
#ifndef SV_SEARCH_H
#define SV_SEARCH_H

#include "fingerprint.h"
#include "solver.h"

typedef struct sv_search {
    sv_objective *objective;
    const sv_solver_options *options;
    sv_team *team;
    size_t n, n_scores, n_weights; /* n = n_scores * n_weights */
    double total;                  /* c * sum of weights */
    double *w, *gradient;          // (n)
    double value;                  /* f at w, smooth part and l1 */
    size_t n_blocks;               /* of a Hessian, as objective.h's */
    double *factor;                /* (n_blocks, n / n_blocks, n / n_blocks) Cholesky factors of a Hessian near the optimum, or NULL; row i is weight i's */
    double *diagonal;              /* (n) when no factor is: the Hessian's diagonal, or NULL */
    int64_t iteration;
    size_t sampled;                /* products of rows in Hessians of samples */
    double weight_error, duality_gap;
    sv_objective *validation;      /* early stopping, or NULL */
    double *best_w, best_validation;
    double since_best;             /* iterations; a double, so that a checkpoint holds it like the others */
    struct { double *data; size_t count; } state[8]; /* what a checkpoint holds beside w */
    size_t n_state;
    uint64_t fingerprint[SV_FINGERPRINT_WORDS]; /* of this training, when a checkpoint is written or read */
} sv_search;

/* Scratch: n doubles that live as long as the search; NULL when memory is out. */
double *sv_search_array(size_t count);

/* |gradient|_inf over c * sum of weights; with l1 of the minimal-norm subgradient. */
double sv_search_gradient_norm(const sv_search *search);

/* 1 when the certificate holds at search->w (solver.h). Sets weight_error where a factor is at hand. */
int sv_search_converged(sv_search *search);

/* |w without intercepts|_1, what l1 multiplies. */
double sv_search_absolute_sum(const sv_search *search, const double *w);

/* direction = -H^-1 gradient by factor or diagonal, or -gradient without either. */
void sv_search_precondition(const sv_search *search, double *x);

/* After each iteration: watch, early stopping, checkpoint. 0: go on; 1: stop, it is good enough; below 0: error. */
int sv_search_report(sv_search *search, double step, sv_error *error);

/* Arrays that a checkpoint must hold to go on with the same bits; call before sv_search_resume. */
void sv_search_keep(sv_search *search, double *data, size_t count);
/* Reads options.resume, when given, into w, iteration and the kept arrays. *resumed says whether it did. SV_E_INPUT: no checkpoint, or one of another training. */
int sv_search_resume(sv_search *search, int *resumed, sv_error *error);

/* The solvers: from search->w to the minimum. 0 also when max_iter ended it. */
int sv_newton(sv_search *search, sv_error *error);
int sv_lbfgs(sv_search *search, sv_error *error);
int sv_gradient_descent(sv_search *search, sv_error *error);
int sv_nesterov(sv_search *search, sv_error *error);
int sv_stochastic(sv_search *search, sv_error *error);
int sv_coordinate_descent(sv_search *search, sv_error *error);

/* Newton on a sample of the rows, growing: leaves w near the optimum and factor a Hessian's. Does nothing for small data. */
int sv_sample_start(sv_search *search, sv_error *error);

/* A step along direction from search->w that lowers f enough: w, value and gradient are moved. *step: the length tried first, then the one taken; 0 where none
   was found (f cannot be lowered any more in this arithmetic). */
int sv_search_line(sv_search *search, const double *direction, double *step, double *trial_w, double *trial_gradient, double *hessian, sv_error *error);

double sv_dot(const double *a, const double *b, size_t n);

#endif
