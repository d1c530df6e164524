/* waiting.h: the offline form of artifacts, models and versions: a copy in the journal's folder and a record of what is to be done with it. */
#ifndef MLF_WAITING_H
#define MLF_WAITING_H

#include "mlflow_client.h"

#include <jansson.h>

/* What a model logged offline is called until the journal has been sent: "journal:/KEY". */
#define MLF_JOURNAL_URI "journal:/"

/* In ids.json in the place of its URI, once the server has refused it. */
#define MLF_MODEL_REFUSED "refused"

/* Copies a file or folder below the journal folder's files/. *file: its name relative to that folder (sv_free). journal NULL (one in memory alone): MLF_E_STATE.
   room: as mlf_store's; NULL for a copy that stays. */
int mlf_waiting_copy(char **file, const char *journal, const char *local_path, int64_t *room, mlf_error *error);

/* The same of a text, as a file with the last name of artifact_file. */
int mlf_waiting_text(char **file, const char *journal, const char *text, size_t length, const char *artifact_file, int64_t *room, mlf_error *error);

/* The whole path of a copy (*path: sv_free). MLF_E_INTEGRITY when its name leaves the journal's folder, or it, what is below it or a folder on the way to it is a symbolic
   link: the client never puts one there; a journal that somebody else left could reach a file of ours by it. */
int mlf_waiting_path(char **path, const char *journal, const char *file, mlf_error *error);

/* Appends to the array the records of a copied file, or of each file below a copied folder, which is to be called `target` below the run's artifacts. MLF_E_INTEGRITY: the
   copy is not there, or no file. */
int mlf_waiting_artifacts(json_t *records, const char *journal, const char *file, const char *target, mlf_error *error);

/* The records' payloads (record.h): new reference, NULL when memory is out or a text is no UTF-8. */
json_t *mlf_waiting_artifact(const char *file, const char *artifact_file, int64_t size_bytes, const char *sha256);
json_t *mlf_waiting_model(const char *key, const char *file /* NULL: not yet */, const mlf_metric_point *points /* (options->n_metrics) */, const mlf_model_options *options);
json_t *mlf_waiting_register(const char *key, const char *model_uri, const char *name, const mlf_register_options *options);

/* Does the journal at path hold the model that is called "journal:/KEY"? 1: it is still to be sent; 2: it was sent or refused; 0: no; an mlf_code: that cannot be read. */
int mlf_waiting_holds_model(const char *path, const char *key, mlf_error *error);

/* The SHA-256 of a file as 64 hex digits, and its size. */
int mlf_waiting_digest(char sha256[65], int64_t *size_bytes, const char *path, mlf_error *error);

#endif
