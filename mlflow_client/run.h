/* run.h: what the rest of this room may ask of a run: to put an operation into its journal, and whether the server can be spoken to directly. */
#ifndef MLF_RUN_H
#define MLF_RUN_H

#include "client.h"
#include "record.h"

/* MLF_E_STATE when the run has ended or belongs to another process. */
int mlf_run_check(const mlf_run *run, mlf_error *error);

/* Puts an operation into the journal, behind everything logged before: it is replayed in order, until it is done. payload is borrowed. */
int mlf_run_op(mlf_run *run, mlf_op_kind kind, const json_t *payload, mlf_error *error);

/* What a call is about to bring to the server itself stands in the journal first (journal/calls.h), with its "key", and again when there is more to say; nothing to do for one in memory alone. */
int mlf_run_call_begin(mlf_run *run, mlf_op_kind kind, const json_t *payload, mlf_error *error);

/* It is over. kept 1: it was put into the journal instead, which then has it on the disk before the call is forgotten. 0: the disk does not take that, and it is not. */
int mlf_run_call_end(mlf_run *run, const char *key, int kept);

/* Between them a run that another thread ends stays there. */
void mlf_run_hold(mlf_run *run);
void mlf_run_release(mlf_run *run);

/* 1: the run exists on the server and the last thing sent was taken, so a direct call makes sense; 0: put it into the journal. */
int mlf_run_is_online(const mlf_run *run);

/* The journal's folder, for files that wait in "files/"; NULL when it is in memory alone. Lives as long as the run. */
const char *mlf_run_folder(const mlf_run *run);

/* The key of the run's journal, 32 hex digits. */
const char *mlf_run_key(const mlf_run *run);

mlf_client *mlf_run_client(const mlf_run *run);

/* The server's id of a thing that a replay made under a client-made key: copied, 1; 0 when there is none yet. */
int mlf_run_made(mlf_run *run, const char *key, char *id, size_t size);

#endif
