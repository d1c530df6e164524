/* http_reply.h: an answer being written. A handler sets the status, appends to the body and returns; the connection sends it. */
#ifndef SV_HTTP_REPLY_H
#define SV_HTTP_REPLY_H

#include "buffer.h"
#include "span.h"

typedef struct sv_reply {
    int status;               /* 200 unless set */
    const char *content_type; /* static text; NULL: none */
    sv_buffer fields;         /* further header lines, each "Name: value\r\n" */
    sv_buffer body;
    int close;                /* 1: the connection ends after this answer */
} sv_reply;

void sv_reply_clear(sv_reply *reply); /* 200, nothing in it; memory kept unless a large body stretched it */
void sv_reply_free(sv_reply *reply);

/* Adds a header line. Control bytes in value are dropped, so that no value can end the line. */
void sv_reply_field(sv_reply *reply, const char *name, sv_span value);

/* {"detail": "text"} with that status, as FastAPI says it; the body so far is dropped. */
void sv_reply_detail(sv_reply *reply, int status, const char *text);

void sv_reply_text(sv_reply *reply, int status, const char *content_type, const char *text);

const char *sv_http_reason(int status); /* "Not Found"; never NULL */

#define SV_REPLY_HEAD_MAX 512

/* The status line and the fields every answer has, without `fields` and the empty line; written to out. Returns the length. date: RFC 9110's form. */
size_t sv_reply_head(char out[SV_REPLY_HEAD_MAX], const sv_reply *reply, const char *date, int keep_alive);

#endif
