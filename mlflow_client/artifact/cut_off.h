/* cut_off.h: an online program's artifacts, models and versions are sent by the calls that log them. Each is written down first, with its bytes, so that what a kill cuts
   off is finished by a sync. The bytes: a second name for a large file on the journal's own file system, else a copy, up to MLF_CUT_OFF_COPIES bytes a call. */
#ifndef MLF_CUT_OFF_H
#define MLF_CUT_OFF_H

#include "folder.h"
#include "mlflow_client.h"
#include "record.h"

#include <jansson.h>

enum { MLF_CUT_OFF_COPIES = 64 << 20 };

/* Begins a call: payload (borrowed; it carries "key") into the journal. NULL: nothing is noted of a name that is no UTF-8. */
int mlf_cut_off_begin(mlf_run *run, mlf_op_kind kind, const json_t *payload, mlf_error *error);

/* Keeps the bytes of a file or folder and says so in the payload: `name` is "file" or "folder", and "seal" tells whether they are still those; what cannot be kept is only
   named. Does nothing for a run whose journal is in memory alone, and for a payload that is NULL. MLF_E_MEMORY. */
int mlf_cut_off_keep(json_t *payload, mlf_run *run, const char *name, const char *local_path, mlf_error *error);
int mlf_cut_off_keep_text(json_t *payload, mlf_run *run, const char *text, size_t length, const char *artifact_file, mlf_error *error);

/* The call is over; its bytes go. kept as mlf_run_call_end(). Steals payload, which may be NULL: then nothing was begun. */
void mlf_cut_off_end(mlf_run *run, json_t *payload, int kept);

/* It could not begin. Steals payload. */
void mlf_cut_off_drop(mlf_run *run, json_t *payload);

/* Puts what was cut off behind all else in a journal that nobody logs to any more: *n calls; *loss: what cannot be read of them. May be repeated. Errors as mlf_calls_read(). */
int mlf_cut_off_adopt(size_t *n, mlf_loss *loss, mlf_folder *folder, mlf_error *error);

#endif
