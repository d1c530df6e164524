/* served.h: one version of a model, loaded, checked and ready to answer: immutable but for the workspaces, of which each thread has its own. */
#ifndef SV_SERVED_H
#define SV_SERVED_H

#include "buffer.h"
#include "error.h"
#include "package.h"
#include "span.h"

/* Where a model came from; texts may be NULL. */
typedef struct sv_identity {
    char *uri, *name, *version, *alias, *run_id, *model_id, *description;
} sv_identity;

typedef struct sv_input {
    sv_span name;
    sv_span key; /* the name as JSON writes it, with its quotes */
    sv_type type;
    int optional;
    int strict_choice;          /* 1: a text beyond choices is refused by /predict */
    const sv_levels *choices;   /* what training saw, or NULL */
    unsigned char *is_choice;   /* strict_choice: (n_levels) by code */
} sv_input;

typedef struct sv_output {
    sv_span name;
    sv_span key; /* `"name": ` */
    sv_type type;
} sv_output;

#define SV_TAP_ROWS 64

/* What a row was answered. */
typedef struct sv_tapped {
    double value; /* the first output: a probability, a number; several classes: the probability of the class that was answered */
    double label; /* two classes: 0 or 1; several: the class's index; a number: NaN */
} sv_tapped;

/* Rows on their way to a score: one for each thread. columns[i] is (SV_BLOCK_ROWS) of double, or of int32_t for texts. */
typedef struct sv_batch {
    sv_scorer *scorer;
    void **columns;            /* (n_inputs) */
    size_t n_rows;             /* filled so far */
    uint32_t *seen;            /* (n_inputs): stamp of the row that last set this column */
    uint32_t stamp;
    int unwatched;             /* 1: these rows count nowhere: not in drift, not in the prediction histogram */
    size_t n_tapped;           /* what the request's first rows were answered: at most SV_TAP_ROWS; set to 0 when a request begins or is read anew */
    sv_tapped *tapped;         /* (SV_TAP_ROWS) */
} sv_batch;

struct sv_monitor;
struct sv_metrics;

typedef struct sv_served {
    sv_identity identity;
    sv_package package;
    const sv_pipeline *pipeline;
    const sv_features *features;
    size_t n_inputs, n_outputs, n_required;
    sv_input *inputs;
    sv_output *outputs;
    sv_span *classes; /* multinomial: (n_scores), each as JSON text with quotes; else NULL */
    sv_batch *batches; /* (n_batches) */
    unsigned n_batches;
    struct sv_monitor *monitor; /* counts the rows it answers; NULL: nobody does. Owned */
    struct sv_metrics *metrics; /* borrowed; NULL: none */
    struct sv_version_stats *stats; /* borrowed; NULL: none */
    sv_buffer fields;   /* header lines that name this version */
    int64_t loaded_ms;  /* epoch */
    sv_buffer schema_text; /* the signature as MLflow prints it in messages */
} sv_served;

/* From a package already read. Takes package and identity (their contents), also on failure. */
int sv_served_new(sv_served **out, sv_package *package, sv_identity *identity, unsigned n_batches, sv_error *error);

/* Loads the package in folder. n_batches: threads that will score. Takes identity (its texts) also on failure. */
int sv_served_load(sv_served **out, const char *folder, sv_identity *identity, unsigned n_batches, sv_error *error);
void sv_served_free(sv_served *served); /* accepts NULL */

void sv_identity_free(sv_identity *identity);

/* 1 unless the code is a text that /predict shall refuse. */
static inline int sv_input_takes(const sv_input *input, int32_t code)
{
    return !input->strict_choice || (code >= 0 && input->is_choice[code]); /* codes below 0 are unknown texts */
}

/* The input of that name, or -1. Any thread. */
int sv_served_input(const sv_served *served, const char *name, size_t size);

/* What an input holds when it is missing: NaN for numbers, "" for texts. */
void sv_batch_set_missing(const sv_served *served, sv_batch *batch, size_t input, size_t row);

/* Scores rows columns[i][0..n_rows) and appends each as a JSON object, separated by ", ". A row without an answer: SV_E_INPUT, *bad_row within the block. */
int sv_served_answer(const sv_served *served, sv_batch *batch, const sv_block *block, sv_buffer *json, long *bad_row, sv_error *error);

/* After sv_scorer_run on the batch's scorer: taps the rows and counts them, unless the batch is unwatched. */
void sv_served_watch(const sv_served *served, sv_batch *batch, const sv_block *block);

/* The block of the batch's own columns. storage: (n_inputs) pointers. */
sv_block sv_batch_block(const sv_batch *batch);

/* The model's input example scored: finite answers, those that the package records. A package of before answers were recorded passes without, which is
   logged. SV_E_INPUT: row, output, what was answered and what was recorded. */
int sv_served_check(sv_served *served, sv_error *error);

/* The new version answers what the old one's callers send: no new required input, no changed type, the same outputs. */
int sv_served_compatible(const sv_served *old, const sv_served *fresh, sv_error *error);

#endif
