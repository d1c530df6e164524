/* replay_server.h: a server on a free port of 127.0.0.1 that expects given requests, byte for byte, and answers what it
 * was told. For tests. */
#ifndef REPLAY_SERVER_H
#define REPLAY_SERVER_H

#include <stddef.h>

typedef struct replay_exchange {
    const char *expect; /* request line, then its body behind a blank: "POST /path {\"a\":1}"; NULL: any request */
    const char *reply;  /* the whole answer; beginning with '{' a body sent with 200; NULL: the connection is closed
                           without one */
    size_t reply_size;  /* 0: strlen(reply) */
    int close_after;    /* 1: the connection is closed behind the answer */
    int wait_ms;        /* before the answer */
    int linger_ms;      /* between the head and the body */
} replay_exchange;

typedef struct replay_server replay_server;

replay_server *replay_start(const replay_exchange *exchanges, size_t n_exchanges); /* borrowed until replay_stop() */
const char *replay_uri(const replay_server *server);                               /* "http://127.0.0.1:PORT" */
size_t replay_connections(const replay_server *server);
size_t replay_served(const replay_server *server);
const char *replay_request(const replay_server *server,
                           size_t i); /* head and body of request i as they came; "" when there was none */
const char *replay_complaint(
    const replay_server *server);        /* the first difference between expected and sent; "" when there is none */
void replay_stop(replay_server *server); /* frees it */

#endif
