/* objective.h: what is minimised, over a design:

       f(w) = l2/2 |w without intercepts|^2 + c * sum over rows of weight * loss(target, score),   score = offset + intercept + encoded features . w

   with its gradient and Hessian. X is read once a pass, a block of rows at a time while it is in cache. Rows are cut into chunks whose number
   depends on the data alone; each chunk's sums are kept apart and added up by a fixed tree, so any number of threads gives the same bits.
   Leaves out: how it is minimised (solver.h). */
#ifndef SV_OBJECTIVE_H
#define SV_OBJECTIVE_H

#include "design.h"
#include "team.h"

typedef enum sv_loss {
    SV_LOSS_LOGISTIC, /* log(1 + e^s) - y s, y 0 or 1 */
    SV_LOSS_SOFTMAX,  /* log sum_k e^s_k - s_y, one score for each class */
    SV_LOSS_SQUARED,  /* (y - s)^2 / 2 */
    SV_LOSS_POISSON   /* e^s - y s */
} sv_loss;

/* Chunks are shared among processes: each computes its own, then all exchange theirs, so that everyone adds up the same numbers. */
typedef struct sv_share {
    size_t rank, n_ranks;
    /* Fills partials (n_chunks, stride) with the chunks of the others; rank q computed [q * n_chunks / n_ranks, (q + 1) * n_chunks / n_ranks). */
    int (*exchange)(void *context, double *partials, size_t n_chunks, size_t stride, sv_error *error);
    void *context;
} sv_share;

typedef struct sv_objective sv_objective;

/* design and team are borrowed. share: NULL for one process. */
int sv_objective_new(sv_objective **out, const sv_design *design, sv_loss loss, double c, double l2, sv_team *team, const sv_share *share, sv_error *error);
/* The same over a sample of the rows (design_block.h's runs), c raised so that the total is the whole's; for this process alone. Total 0: no row has a weight. */
int sv_objective_sample(sv_objective **out, const sv_objective *whole, size_t stride, sv_error *error);
void sv_objective_free(sv_objective *objective); /* accepts NULL */

size_t sv_objective_scores(const sv_objective *objective);  /* scores a row: the classes for softmax, else 1 */
size_t sv_objective_blocks(const sv_objective *objective);  /* of the Hessian: the scores, or 1 once they are joined */
size_t sv_objective_size(const sv_objective *objective);    /* n_scores * n_weights */
size_t sv_objective_weights(const sv_objective *objective); /* n_weights: of one score, intercept last */
double sv_objective_total(const sv_objective *objective);   /* c * sum of weights */
size_t sv_objective_passes(const sv_objective *objective);  /* how often the rows have been read */
size_t sv_objective_products(const sv_objective *objective); /* rows whose outer product a Hessian took, each time */

/* From now on a Hessian is one block with the second derivatives between the scores in it, n_scores (n_scores + 1) / 2 products a row instead of n_scores; samples
   made later inherit it. SV_E_MEMORY. */
int sv_objective_join_scores(sv_objective *objective, sv_error *error);

/* f at w (n_scores, n_weights). gradient (the same shape) may be NULL. hessian (n_blocks, size / n_blocks, size / n_blocks), each block of one score alone or the
   one of all, symmetric, penalty included, may be NULL. SV_E_NUMERIC when the value is not finite, SV_E_MEMORY. */
int sv_objective_value(sv_objective *objective, const double *w, double *value, double *gradient, double *hessian, sv_error *error);

/* f's second derivatives on the diagonal alone, (n_scores, n_weights). */
int sv_objective_diagonal(sv_objective *objective, const double *w, double *diagonal, sv_error *error);

/* The score of every row, whatever its part: (n_scores, n_rows). */
int sv_objective_predict(sv_objective *objective, const double *w, double *scores, sv_error *error);

/* The gradient of the mean objective f / (c * sum of weights), estimated from rows [first, first + n), on the calling thread.
   Returns 1, and leaves gradient alone, when no row there has a weight. */
int sv_objective_batch(sv_objective *objective, const double *w, size_t first, size_t n, double *gradient, sv_error *error);

const sv_design *sv_objective_design(const sv_objective *objective);
sv_loss sv_objective_loss(const sv_objective *objective);

#endif
