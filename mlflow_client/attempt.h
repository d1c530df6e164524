/* attempt.h: one HTTP request on one kept-alive connection, redirects included. No retries, no waits: transport.h. */
#ifndef MLF_ATTEMPT_H
#define MLF_ATTEMPT_H

#include "client.h"
#include "outcome.h"
#include "settings.h"
#include "transport.h"

#include <curl/curl.h>

enum { MLF_CHANNEL_SOCKETS = 4 };

/* A curl handle with the one connection it keeps. One thread at a time. */
typedef struct mlf_channel {
    struct mlf_channel *next;
    CURL *easy;
    char *origin;                     /* where its connection leads: "http://host:port" */
    int sockets[MLF_CHANNEL_SOCKETS]; /* open ones, -1 elsewhere; two while IPv6 and IPv4 race */
} mlf_channel;

int mlf_channel_new(mlf_channel **out, const char *origin, size_t origin_length, mlf_error *error);
void mlf_channel_free(mlf_channel *channel); /* accepts NULL */

/* url is absolute. timeout_ms: of this attempt, -1 for none. reply's body and headers are emptied first. */
void mlf_attempt(mlf_outcome *outcome, mlf_channel *channel, const mlf_client *client, const mlf_http_call *call, const char *url, int timeout_ms,
                 mlf_http_reply *reply);

#endif
