/* guard.h: what stands before the routes: API keys, origins, and the line in the access log behind them. */
#ifndef SV_GUARD_H
#define SV_GUARD_H

#include "http_request.h"
#include "http_reply.h"
#include "serve_config.h"

typedef struct sv_guard sv_guard;

/* config is borrowed. Opens the access log. */
int sv_guard_new(sv_guard **out, const sv_serve_config *config, sv_error *error);
void sv_guard_free(sv_guard *guard); /* accepts NULL */

/* 0 when the request may go on; 1 when the reply is already written (401, or a CORS preflight). Any thread. */
int sv_guard_check(const sv_guard *guard, const sv_http_request *request, sv_reply *reply);

/* A request that was answered. */
typedef struct sv_access {
    const sv_http_request *request;
    const sv_reply *reply;
    const char *peer, *version; /* version NULL: no model answered */
    sv_span id;                 /* text NULL: it has none of ours */
    int64_t took_ns;
} sv_access;

/* One JSON line; nothing without an access log. */
void sv_guard_log(const sv_guard *guard, const sv_access *access);

#endif
