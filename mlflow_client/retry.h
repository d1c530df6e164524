/* retry.h: which failures are worth another try, and after how long (PROTOCOL 10.1). Pure: no clock, no network. */
#ifndef MLF_RETRY_H
#define MLF_RETRY_H

#include "settings.h"

#include <stddef.h>
#include <stdint.h>

/* 1 when this HTTP answer may be different next time. error_code and body as the server sent them (may be NULL). Answers that only look
   transient (an endpoint that is switched off, a feature that is missing) are not. */
int mlf_retry_status(int status, int has_retry_after, const char *error_code, const char *body);

/* Milliseconds before retry number `retry` (1 is the first): 0, then factor * 2^(retry-1) seconds, at most 120, and up to `jitter` more. uniform: in [0, 1). */
int64_t mlf_retry_wait_ms(const mlf_settings *settings, int retry, double uniform);

/* A Retry-After header (seconds, or a date measured from now_ms) in milliseconds, at most 6 hours; -1 when it says nothing. */
int64_t mlf_retry_after_ms(const char *header, int64_t now_ms);

#endif
