/* fingerprint.h: what is minimised, and over which rows, as a few words: a checkpoint holds them, so that no other training goes on from it. */
#ifndef SV_FINGERPRINT_H
#define SV_FINGERPRINT_H

#include "buffer.h"
#include "objective.h"
#include "solver.h"

enum { SV_FINGERPRINT_WORDS = 11 };

/* The same on any number of threads and ranks. solver: the one in use, not auto. Reads every row once. SV_E_MEMORY. */
int sv_fingerprint_take(uint64_t out[SV_FINGERPRINT_WORDS], const sv_design *design, sv_loss loss, sv_solver solver, const sv_solver_options *options, sv_team *team,
                        sv_error *error);

/* Appends what differs, for a person: "train.c (10, here 1), the target". Nothing when all is the same. */
int sv_fingerprint_differences(sv_buffer *text, const uint64_t there[SV_FINGERPRINT_WORDS], const uint64_t here[SV_FINGERPRINT_WORDS]);

#endif
