/* request_id.h: what a request is called: X-Request-Id, and W3C's trace context (https://www.w3.org/TR/trace-context/). */
#ifndef SV_REQUEST_ID_H
#define SV_REQUEST_ID_H

#include "http_reply.h"
#include "http_request.h"
#include "prng.h"

#define SV_REQUEST_ID_MAX 128 /* bytes of a caller's own id */
#define SV_MADE_ID_SIZE 16

/* The caller's X-Request-Id when it is 1 to SV_REQUEST_ID_MAX visible ASCII characters, else 16 new hexadecimal digits, written to made. */
sv_span sv_request_id(const sv_http_request *request, sv_prng *prng, char made[SV_MADE_ID_SIZE]);

/* The caller's traceparent when it is well-formed, else text NULL. */
sv_span sv_request_trace(const sv_http_request *request);

/* Adds `traceresponse`: the caller's trace, a span id of ours, the caller's flags. trace: from sv_request_trace, not empty. */
void sv_request_trace_answer(sv_span trace, sv_prng *prng, sv_reply *reply);

/* A well-mixed number of any text; the same text, the same number, in every process. */
uint64_t sv_request_hash(sv_span text);

#endif
