/* complaint.h: what is wrong with a body, in the form of FastAPI's 422: {"detail": [{"type", "loc", "msg", "input"(, "ctx")}]}. */
#ifndef SV_COMPLAINT_H
#define SV_COMPLAINT_H

#include "http_reply.h"
#include "json_value.h"

/* The list being written; all of a body's errors, of which the first thousand are listed. */
typedef struct sv_complaints {
    sv_buffer *out; /* borrowed: stands behind {"detail":[ */
    size_t n;       /* found so far, listed or not */
    long row;       /* in the body's array; -1: the body is one object */
} sv_complaints;

/* Adds {"type", "loc": ["body", (row,) (field)], "msg", "input"(, "ctx": {"expected"})}. field.text, input, expected: NULL for none. */
void sv_complain(sv_complaints *complaints, const char *type, sv_span field, const char *msg, const sv_json *input, const char *expected);

/* The whole 422 of a body that is no JSON. */
void sv_complain_of_json(sv_reply *reply, const sv_json_fault *fault);

#endif
