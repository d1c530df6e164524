/* tracker.h: a training as an MLflow run. The run is made by a thread of its own while the rows are read, so that training does not wait for the
   network; what is logged meanwhile is kept and follows. Without tracking every function is a no-op that succeeds. */
#ifndef SV_TRACKER_H
#define SV_TRACKER_H

#include "config.h"
#include "dataset.h"
#include "error.h"
#include "evaluate.h"
#include "mlflow_client.h"
#include "solver.h"

typedef struct sv_tracker sv_tracker;

typedef struct sv_tracker_options {
    int offline;               /* into the journal alone */
    const char *parent_run_id; /* NULL: none */
    const char *run_name;      /* NULL: the configuration's */
    mlf_client *client;        /* the caller's, shared by nested runs; NULL: one is made */
} sv_tracker_options;

/* Starts the thread. *out NULL when config.tracking is off. SV_E_CONFIG when the server's address or another setting cannot be right. */
int sv_tracker_begin(sv_tracker **out, const sv_config *config, const sv_tracker_options *options, sv_error *error);

/* Never waits: what cannot be passed on yet is kept. */
void sv_tracker_step(sv_tracker *tracker, const sv_fit_step *step);

/* SV_E_NETWORK once the server has refused the run (a login, a deleted experiment, no MLflow at all): a fit that may take hours is for nothing. Never waits. */
int sv_tracker_check(sv_tracker *tracker, sv_error *error);

/* The caller's time that the functions above took: what tracking costs a training before its end. */
double sv_tracker_seconds(const sv_tracker *tracker);

/* Waits until the run exists, at the server or, when that does not answer, in the journal. Everything below does. SV_E_NETWORK when the server refuses it. */
int sv_tracker_join(sv_tracker *tracker, sv_error *error);

int sv_tracker_settings(sv_tracker *tracker, const sv_config *config, sv_error *error); /* every setting as a param, the whole as config.yaml */
int sv_tracker_dataset(sv_tracker *tracker, const sv_dataset *dataset, const sv_config *config, sv_error *error);
int sv_tracker_param(sv_tracker *tracker, const char *key, const char *value, sv_error *error);
int sv_tracker_tag(sv_tracker *tracker, const char *key, const char *value, sv_error *error);
int sv_tracker_metric(sv_tracker *tracker, const char *key, double value, int64_t step);
int sv_tracker_evaluation(sv_tracker *tracker, const sv_evaluation *evaluation); /* "test.roc_auc" and so on */
/* folder: or a single file. */
int sv_tracker_folder(sv_tracker *tracker, const char *folder, const char *artifact_path, sv_error *error);
int sv_tracker_text(sv_tracker *tracker, const char *text, size_t length, const char *file, sv_error *error);

/* Logs the package in folder as a model. The texts live with the tracker. */
int sv_tracker_model(sv_tracker *tracker, const char *folder, const sv_config *config, const sv_evaluation *evaluation, sv_error *error);

/* A version of the registered model. */
typedef struct sv_tracker_release {
    const char *card;  /* the version's description where the configuration gives none */
    const char *audit; /* what the leakage audit said, for the tag solvent.audit; NULL: none */
    const char *alias; /* set on it; NULL: none */
} sv_tracker_release;

int sv_tracker_register(sv_tracker *tracker, const sv_config *config, const sv_tracker_release *release, sv_error *error);

int sv_tracker_is_waiting(const sv_tracker *tracker);       /* 1: the model is in the journal, for `mlflowc sync` */
const char *sv_tracker_run_id(const sv_tracker *tracker);   /* NULL without tracking */
const char *sv_tracker_model_id(const sv_tracker *tracker); /* NULL when there is none (MLflow 2, journal) */
const char *sv_tracker_version(const sv_tracker *tracker);  /* NULL when none was registered, or it waits in the journal */
const char *sv_tracker_address(sv_tracker *tracker);        /* of the run's page, or NULL */
mlf_client *sv_tracker_client(sv_tracker *tracker);
mlf_run *sv_tracker_run(sv_tracker *tracker);

/* Ends the run: failure NULL: FINISHED; SV_E_INTERRUPTED: KILLED; else FAILED, with the reason in the tag solvent.failure. Frees the tracker in any case.
   A server that is away is warned of and is no error: the journal has all. *waits (may be NULL): 1 when something is in the journal that no server has. */
int sv_tracker_end(sv_tracker *tracker, const sv_error *failure, int *waits, sv_error *error);

#endif
