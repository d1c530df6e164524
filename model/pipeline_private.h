/* pipeline_private.h: what a pipeline is made of. Private to model/. */
#ifndef SV_PIPELINE_PRIVATE_H
#define SV_PIPELINE_PRIVATE_H

#include "feature_private.h"
#include "pipeline.h"

typedef enum sv_calibration_kind { SV_CALIBRATION_NONE, SV_CALIBRATION_PLATT, SV_CALIBRATION_ISOTONIC } sv_calibration_kind;

/* Isotonic: piece i = count of x <= score (the score kept within [x[0], x[n-1]]) holds: probability = y0[i] + (score - x0[i]) * slope[i]. */
typedef struct sv_calibration {
    sv_calibration_kind kind;
    double slope, offset; /* PLATT */
    size_t n;
    double *x, *y;                     /* (n) ISOTONIC */
    double *piece_x, *piece_y, *piece_slope; /* (n + 1); in one block with x and y */
} sv_calibration;

/* How a term is computed: Σ_j dense[j] * table[j][index]. A term without dense part has one j and no factor; without index, one row. */
typedef struct sv_plan {
    size_t n_dense, n_index;            /* 0: it has no such part */
    size_t dense_stride, index_stride; /* encoded column = j * dense_stride + index * index_stride */
    double *table; /* (max(n_dense, 1), n_index ? n_index + 2 : 1, K): a NaN row for index -2, zeros for -1, then the weights */
} sv_plan;

struct sv_pipeline {
    sv_features *features;
    sv_task task;
    size_t n_scores; /* K */
    sv_term *terms;
    sv_plan *plans; /* (n_terms) */
    size_t n_terms, terms_capacity;
    double *intercept; /* (K) */
    double threshold;
    char *target;
    sv_csv_form *csv_form; /* NULL: the usual */
    char **classes; /* (K) or NULL */
    char **outputs; /* (n_outputs) names; made by finish */
    size_t n_outputs;
    sv_calibration calibration;
    int finished;
};

/* A term's parts over the evaluator's rows [first, first + n). */
void sv_term_dense(const sv_pipeline *pipeline, size_t term, const sv_evaluator *evaluator, size_t j, size_t first, size_t n, double *out);
void sv_term_index(const sv_pipeline *pipeline, size_t term, const sv_evaluator *evaluator, size_t first, size_t n, int32_t *out);

#endif
