/* training.h: one training from configuration to evaluated pipeline, step by step, so that `train`, `sweep` and tests take the same way. */
#ifndef SV_TRAINING_H
#define SV_TRAINING_H

#include "audit.h"
#include "config.h"
#include "dataset.h"
#include "evaluate.h"
#include "fit.h"
#include "progress.h"
#include "tracker.h"

typedef struct sv_training {
    const sv_config *config; /* borrowed */
    sv_team *team;
    int owns_team;
    sv_progress *progress;   /* borrowed */
    sv_tracker *tracker;     /* borrowed; NULL: none */
    sv_dataset dataset;
    sv_features *features;
    const char **used;       /* (n_used) names that enter the model */
    size_t n_used;
    sv_audit audit;
    sv_pipeline *pipeline;
    sv_fit_report fit;
    sv_evaluation evaluation;
    sv_fit_step *steps;      /* (n_steps), one an iteration */
    size_t n_steps;
    double read_seconds, audit_seconds, fit_seconds, evaluate_seconds;
} sv_training;

/* What needs the command line's word beside the configuration's: the output can be written, and a checkpoint has one to stand in. SV_E_CONFIG. */
int sv_training_check(const sv_config *config, sv_error *error);

/* team NULL: one of config.train.threads threads, made here. */
int sv_training_begin(sv_training *training, const sv_config *config, sv_team *team, sv_progress *progress, sv_tracker *tracker, sv_error *error);

/* Instead of reading: takes over what another one of the same data, features and split has read. */
void sv_training_adopt(sv_training *training, sv_training *other);

/* Rows, target, split alone. */
int sv_training_read_rows(sv_training *training, sv_error *error);

/* Rows, target, split; features, and which of them enter. */
int sv_training_read(sv_training *training, sv_error *error);

/* The leakage audit, as config.evaluate.audit says: loud. SV_E_INPUT when it must stop. */
int sv_training_audit(sv_training *training, sv_error *error);

/* Fits, calibrates. SV_E_INTERRUPTED once a signal came. checkpoint: the file to write as config.train.checkpoint_every says, and at a signal; resume: such a file.
   Either may be NULL. */
int sv_training_fit(sv_training *training, const char *checkpoint, const char *resume, sv_error *error);

/* 1 when an interrupted fit has left its checkpoint: a training interrupted before or after the fit has not. */
int sv_training_left_checkpoint(const sv_training *training);

int sv_training_evaluate(sv_training *training, sv_error *error);

/* The parts whose rows chose more than the weights: {"validation": "calibration"}. The caller's. */
json_t *sv_training_in_sample(const sv_training *training);

void sv_training_free(sv_training *training); /* the contents; accepts NULL */

#endif
