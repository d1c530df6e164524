/* router.h: which handler answers a path and a method: one table. */
#ifndef SV_ROUTER_H
#define SV_ROUTER_H

#include "service.h"

typedef struct sv_row {
    const char *method;
    const char *path; /* below the root or below /models/{name}; a trailing '*' takes any rest, which becomes call->argument */
    void (*handle)(sv_call *call);
    sv_route route;
    int needs_model; /* 503 while none is loaded */
    int is_scoring;  /* rows are scored: the request has an id, and what it was answered counts */
    const char *summary;        /* of the operation in /openapi.json; NULL: it is not there */
    const char *takes, *gives;  /* the schemas of its body and answer there (openapi.c); NULL: no body, plain text; "": said to be JSON, as MLflow does */
} sv_row;

/* The whole table; rows of one path need not stand together. */
const sv_row *sv_routes(size_t *n);

/* The row for the call's request; sets call->slot and call->argument. NULL when there is none: the reply then holds 404, 405 (with Allow) or a
   redirect. */
const sv_row *sv_route_request(sv_call *call);

#endif
