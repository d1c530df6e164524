/* http_server.h: an HTTP/1.1 server on epoll, a thread per core, each with its own listening socket (SO_REUSEPORT). Handlers run on the thread
   that read the request and return before the next one is read. Leaves out: HTTP/2, TLS by itself (see tls.h), routes (router.h).

   libmicrohttpd 0.9.75 was measured first: 51,600 requests/s a core with an empty handler, but it takes two Content-Length fields, Content-Length
   beside Transfer-Encoding, folded lines and bare LF (all answered 200); refusing those is what we promise, hence an engine of our own. */
#ifndef SV_HTTP_SERVER_H
#define SV_HTTP_SERVER_H

#include "error.h"
#include "http_request.h"
#include "http_reply.h"

#include <stdint.h>

struct sv_tls;
typedef struct sv_http_server sv_http_server;

typedef struct sv_http_options {
    const char *host;         /* address or name; NULL: 127.0.0.1 */
    int port;                 /* 0: a free one */
    unsigned threads;         /* 0: one a core that this process may use */
    sv_http_limits limits;
    unsigned max_connections; /* of all threads; the next one gets 503 */
    size_t max_buffered_bytes; /* unfinished requests and unsent answers of all connections, bytes; beyond it 503 */
    size_t max_reply_bytes;   /* of an answer's body, which its writer finds full then; 0: no ceiling */
    int head_timeout_ms;      /* from the first byte to the end of the head, else 408 */
    int request_timeout_ms;   /* from the first byte to the end of the body, and for each stretch of an unread answer, else 408 or closed */
    int idle_timeout_ms;      /* between requests, then closed */
    int drain_timeout_ms;     /* at the end, for requests in progress */
    struct sv_tls *tls;       /* NULL: plain; borrowed */
    /* Writes the answer. worker: 0 … threads-1. peer: the other end's address, numeric. Runs on that worker's thread alone. */
    void (*handle)(void *context, unsigned worker, const sv_http_request *request, const char *peer, sv_reply *reply);
    /* A request that was refused before there was one (status 400, 408, 413, 414, 417, 431, 501, 503, 505); may be NULL. */
    void (*refused)(void *context, unsigned worker, int status, const char *peer);
    void *context;
} sv_http_options;

#define SV_HTTP_OPTIONS_INIT                                                                                                                         \
    {                                                                                                                                                \
        .limits = {8192, 16384, 16u << 20}, .max_connections = 4096, .max_buffered_bytes = 256u << 20, .head_timeout_ms = 10000,                     \
        .request_timeout_ms = 60000, .idle_timeout_ms = 75000, .drain_timeout_ms = 8000                                                              \
    }

/* Binds and listens; connections wait until sv_http_server_run(). SV_E_IO when the address is taken or unknown. */
int sv_http_server_new(sv_http_server **out, const sv_http_options *options, sv_error *error);
int sv_http_server_port(const sv_http_server *server);
unsigned sv_http_server_threads(const sv_http_server *server);

int sv_http_server_start(sv_http_server *server, sv_error *error); /* the threads begin */

/* No new connections; requests in progress and those that still come on open connections are answered with Connection: close. Any thread. */
void sv_http_server_drain(sv_http_server *server);
void sv_http_server_wait(sv_http_server *server); /* until every thread has ended after a drain */
void sv_http_server_free(sv_http_server *server); /* accepts NULL; drains first */

unsigned sv_http_cores(void); /* cores that this process may use */
unsigned sv_http_server_connections(const sv_http_server *server); /* open now */

#endif
