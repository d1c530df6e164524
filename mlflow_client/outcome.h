/* outcome.h: what became of one HTTP attempt, in this room's words. */
#ifndef MLF_OUTCOME_H
#define MLF_OUTCOME_H

#include <curl/curl.h>
#include <stddef.h>

/* What became of one attempt. code is MLF_OK when an HTTP answer came, whatever its status: it is in *reply. */
typedef struct mlf_outcome {
    int code;
    int retriable;
    int may_have_acted; /* the request, or a part of it, was sent */
    char message[400];
} mlf_outcome;

/* Why a callback of ours ended the transfer; curl itself only says "aborted". */
typedef enum mlf_stop {
    MLF_GO_ON,
    MLF_STOP_TOO_LARGE,
    MLF_STOP_MEMORY,
    MLF_STOP_READ,
    MLF_STOP_SHORT,
    MLF_STOP_WRITE,
    MLF_STOP_CANCELLED,
    MLF_STOP_HEADERS
} mlf_stop;

/* Each fills the outcome and returns its code. */
int mlf_outcome_set(mlf_outcome *outcome, int code, int retriable, const char *message);
int mlf_outcome_of_stop(mlf_outcome *outcome, mlf_stop stopped, size_t ceiling); /* ceiling: of the answer, bytes */
int mlf_outcome_of_curl(mlf_outcome *outcome, CURLcode result, const char *text);

#endif
