/* pipeline.h: a trained model: features -> encoders ("terms") -> linear scores -> calibration -> outputs. The trainer builds one, sets constants and
   weights, and writes it (package.h); the server loads one and scores.

       score[k] = intercept[k] + Σ_term contribution[term][k]        summed from left to right, the intercept first
       contribution[term][k] = Σ_j encoded[term][j] * weights[term][j][k]

   K scores: 1 for binary, linear and poisson; one for each class in multinomial. */
#ifndef SV_PIPELINE_H
#define SV_PIPELINE_H

#include "csv_form.h"
#include "error.h"
#include "feature.h"

typedef enum sv_task { SV_TASK_BINARY, SV_TASK_MULTINOMIAL, SV_TASK_LINEAR, SV_TASK_POISSON } sv_task;
const char *sv_task_name(sv_task task); /* "binary", "multinomial", "linear", "poisson" */

typedef enum sv_encoder {
    SV_ENCODER_NUMBER,   /* x, or fill when missing; width 1 */
    SV_ENCODER_MISSING,  /* 1 when x is missing, else 0; width 1 */
    SV_ENCODER_CATEGORY, /* one-hot of text: category i sets encoded column columns[i]; -1: dropped */
    SV_ENCODER_ORDINAL,  /* position of the text in categories, as a number; width 1 */
    SV_ENCODER_HASH,     /* text -> low 30 bits of its MurmurHash3 (x86, 32 bits, seed 0) modulo width; one-hot */
    SV_ENCODER_BINS,     /* one-hot of the count of points <= x; width n_points + 1, the first dropped when drop_first (then n_points) */
    SV_ENCODER_SPLINE,   /* natural cubic spline with knots points; width n_points - 1 (Hastie, Tibshirani, Friedman: ESL 5.2.1, x and knots scaled to [0, 1]) */
    SV_ENCODER_PAIR      /* products of the encoded columns of two earlier terms (no pairs themselves), the second's varying fastest */
} sv_encoder;

const char *sv_encoder_name(sv_encoder encoder); /* "number", "missing", "category", "ordinal", "hash", "bins", "spline", "pair" */
int sv_encoder_from_name(sv_encoder *encoder, const char *name); /* 0, or -1 when no such encoder */
int sv_encoder_has_fill(sv_encoder encoder); /* 1: sv_term.fill means something */

/* What a text that is none of the categories does. */
typedef enum sv_unknown { SV_UNKNOWN_ZEROS, SV_UNKNOWN_ERROR, SV_UNKNOWN_COLUMN /* sets encoded column unknown_column (rare levels' group) */ } sv_unknown;

#define SV_SCORES_MAX 1024   /* K */
#define SV_TERMS_MAX 8192
#define SV_WIDTH_MAX 1048576 /* encoded columns of one term */

/* One encoder on one value. The trainer sets constants and weights in place; everything is owned by the pipeline. Encoded column j is
   (raw[j] - mean[j]) / scale[j] where mean is there, else raw[j]. */
typedef struct sv_term {
    sv_encoder encoder;
    int value;     /* id in the features; PAIR: -1 */
    int left, right; /* PAIR: indices of two earlier terms, else -1 */
    size_t width;  /* encoded columns */
    double fill;   /* in place of a missing number; NaN: missing is an error. Default NaN */
    double *mean;  /* (width) or NULL for one-hot encoders; default 0 */
    double *scale; /* (width) or NULL; > 0; default 1 */
    double *weights; /* (width, K); default 0 */
    sv_levels *categories;  /* CATEGORY, ORDINAL */
    int32_t *columns;       /* CATEGORY: (n_categories), the encoded column or -1 */
    sv_unknown unknown;
    int32_t unknown_column; /* SV_UNKNOWN_COLUMN */
    double *points;         /* (n_points) ascending: BINS, SPLINE */
    size_t n_points;
    int drop_first;         /* BINS */
    int shadow;             /* 1: not added to the score; it only feeds PAIR terms */
    int32_t *map;           /* CATEGORY, ORDINAL, HASH: (n_levels + 1) by max(code, -1) + 1 of the feature's level: the encoded column (ORDINAL: the
                               position), -1: none, -2: refused. A code below -1 is an unknown text with its hash: see sv_features_code */
} sv_term;

typedef struct sv_pipeline sv_pipeline;

/* Takes features (compiled), also on failure. n_scores: K. */
int sv_pipeline_new(sv_pipeline **out, sv_features *features, sv_task task, size_t n_scores, sv_error *error);
void sv_pipeline_free(sv_pipeline *pipeline); /* accepts NULL */

/* Each adds a term at the end and returns its index, or an error: SV_E_CONFIG (the value's kind does not fit the encoder), SV_E_INPUT
   (a category is not UTF-8), SV_E_LIMIT, SV_E_MEMORY. */
int sv_pipeline_add_number(sv_pipeline *pipeline, int value, sv_error *error);
int sv_pipeline_add_missing(sv_pipeline *pipeline, int value, sv_error *error);
/* categories and columns are copied; columns NULL: category i is encoded column i. width: 1 + the largest column (also unknown_column). */
int sv_pipeline_add_category(sv_pipeline *pipeline, int value, const sv_levels *categories, const int32_t *columns, sv_unknown unknown,
                             int32_t unknown_column, sv_error *error);
int sv_pipeline_add_ordinal(sv_pipeline *pipeline, int value, const sv_levels *categories, sv_unknown unknown, sv_error *error);
int sv_pipeline_add_hash(sv_pipeline *pipeline, int value, size_t n_buckets, sv_error *error);
int sv_pipeline_add_bins(sv_pipeline *pipeline, int value, const double *points, size_t n_points, int drop_first, sv_error *error);
int sv_pipeline_add_spline(sv_pipeline *pipeline, int value, const double *knots, size_t n_knots, sv_error *error);
int sv_pipeline_add_pair(sv_pipeline *pipeline, int left, int right, sv_error *error);

size_t sv_pipeline_n_terms(const sv_pipeline *pipeline);
sv_term *sv_pipeline_term(sv_pipeline *pipeline, size_t term);
const sv_term *sv_pipeline_term_const(const sv_pipeline *pipeline, size_t term);
/* "balance", "job=admin.", "balance is missing", "age in [30, 40)", "age:job=admin.": the name of an encoded column. Returns the length, as snprintf. */
int sv_pipeline_column_name(const sv_pipeline *pipeline, size_t term, size_t column, char *out, size_t size);

double *sv_pipeline_intercept(sv_pipeline *pipeline); /* (K), default 0 */
const double *sv_pipeline_intercept_const(const sv_pipeline *pipeline);
sv_task sv_pipeline_task(const sv_pipeline *pipeline);
size_t sv_pipeline_n_scores(const sv_pipeline *pipeline);
const sv_features *sv_pipeline_features(const sv_pipeline *pipeline);

/* Binary: the prediction is 1 when probability >= threshold. Default 0.5. */
void sv_pipeline_set_threshold(sv_pipeline *pipeline, double threshold);
double sv_pipeline_threshold(const sv_pipeline *pipeline);
/* The target's name: outputs are NAME_probability and NAME_prediction (binary), else `prediction` and probability_CLASS. Copied. Default "target". */
int sv_pipeline_set_target(sv_pipeline *pipeline, const char *name, sv_error *error);
const char *sv_pipeline_target(const sv_pipeline *pipeline);
/* How the training files were written. Copied. Default: the usual. SV_E_CONFIG, SV_E_MEMORY. */
int sv_pipeline_set_csv_form(sv_pipeline *pipeline, const sv_csv_form *form, sv_error *error);
const sv_csv_form *sv_pipeline_csv_form(const sv_pipeline *pipeline); /* the pipeline's, never NULL */
/* Multinomial: the K classes' texts. Copied. */
int sv_pipeline_set_classes(sv_pipeline *pipeline, const char *const *classes, size_t n, sv_error *error);
const char *sv_pipeline_class(const sv_pipeline *pipeline, size_t k);

/* Binary: probability = 1 / (1 + exp(-(slope * score + offset))) (Platt 1999). Default 1, 0. */
int sv_pipeline_set_platt(sv_pipeline *pipeline, double slope, double offset, sv_error *error);
/* Binary: probability = linear interpolation of y over the points x of the score, constant beyond the ends (isotonic regression: Zadrozny, Elkan 2002).
   x ascending strictly, y within [0, 1] not descending. Copied. */
int sv_pipeline_set_isotonic(sv_pipeline *pipeline, const double *x, const double *y, size_t n, sv_error *error);
void sv_pipeline_set_uncalibrated(sv_pipeline *pipeline);
int sv_pipeline_is_calibrated(const sv_pipeline *pipeline);

/* To be called once constants and weights are set, before a scorer is made: everything finite, scales > 0, tables for scoring built. SV_E_NUMERIC names
   the term. May be called again after a change. */
int sv_pipeline_finish(sv_pipeline *pipeline, sv_error *error);

/* What a model answers, in order. Types: SV_DOUBLE, SV_LONG (binary's prediction), SV_STRING (multinomial's: the value is the class's index). */
size_t sv_pipeline_n_outputs(const sv_pipeline *pipeline);
const char *sv_pipeline_output_name(const sv_pipeline *pipeline, size_t output);
sv_type sv_pipeline_output_type(const sv_pipeline *pipeline, size_t output);

/* Encoded columns of a term for the evaluator's last block of n_rows: out is (width, n_rows). A refused or missing value without fill is NaN throughout.
   The naive form, for training on wide terms and for tests. */
void sv_pipeline_encode(const sv_pipeline *pipeline, size_t term, const sv_evaluator *evaluator, size_t n_rows, double *out);

/* sv_features_code of the pipeline's features: a request's text as a block's code. */
int32_t sv_pipeline_code(const sv_pipeline *pipeline, int column, const char *text, size_t length);

/* A thread's workspace for scoring; the pipeline must be finished and outlive it. */
typedef struct sv_scorer sv_scorer;
int sv_scorer_new(sv_scorer **out, const sv_pipeline *pipeline); /* 0 or SV_E_MEMORY */
void sv_scorer_free(sv_scorer *scorer);

/* Scores the block: features, scores, outputs. Allocates nothing. SV_E_INPUT: a row has no answer (a refused category, a missing number without fill, an
   infinite term): names the row (from 0 within the block), the column and what it held; the outputs of other rows are valid all the same. */
int sv_scorer_run(sv_scorer *scorer, const sv_block *block, sv_error *error);
/* The first row of the last run without an answer, or -1. */
long sv_scorer_bad_row(const sv_scorer *scorer);
const double *sv_scorer_score(const sv_scorer *scorer, size_t k);       /* (n_rows) */
const double *sv_scorer_output(const sv_scorer *scorer, size_t output); /* (n_rows) */
const sv_evaluator *sv_scorer_evaluator(const sv_scorer *scorer);       /* derived features of the last run */

/* After sv_scorer_run, of one row: out[0] is the intercept, out[1 + t] term t's contribution to score k. Added up in this order they give the score,
   bit for bit. */
void sv_scorer_explain(const sv_scorer *scorer, size_t row, size_t k, double *out);

#endif
