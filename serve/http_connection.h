/* http_connection.h: one connection of the server: bytes in, requests, answers out. Private to http_server.c and http_connection.c. */
#ifndef SV_HTTP_CONNECTION_H
#define SV_HTTP_CONNECTION_H

#include "http_server.h"

#include <netinet/in.h>

typedef struct ssl_st sv_ssl;

typedef enum sv_phase { SV_PHASE_HANDSHAKE, SV_PHASE_READ, SV_PHASE_LINGER, SV_PHASE_DEAD } sv_phase;

typedef struct sv_connection {
    struct sv_connection *previous, *next; /* all of the worker's */
    int fd;
    sv_phase phase;
    uint32_t events;     /* what epoll watches */
    sv_ssl *ssl;         /* NULL: plain */
    sv_buffer in;        /* an unfinished request; empty and without memory between requests */
    sv_buffer out;       /* an answer that the peer has not taken yet */
    size_t out_sent;
    uint64_t body_needed; /* bytes of `in` needed before the request is whole; 0: the head is not whole */
    int is_chunked;
    size_t head_size;     /* of a chunked request */
    sv_chunked chunked;
    int continue_sent, close_after_out;
    int64_t began_ms;    /* first byte of the unfinished request; 0: none */
    int64_t active_ms;   /* last time bytes moved */
    char peer[INET6_ADDRSTRLEN];
} sv_connection;

typedef struct sv_http_worker {
    struct sv_http_server *server;
    unsigned index;
    int epoll_fd, listen_fd, wake_fd;
    sv_connection *connections; /* all open ones */
    sv_connection *spare;       /* closed, for the next accept */
    unsigned n_connections, n_spare;
    size_t buffered_bytes; /* of all connections' in and out */
    int draining;          /* seen by this thread */
    int has_dead;          /* a released connection waits to be unlinked */
    int64_t now_ms;        /* of this round */
    char date[32];
    int64_t date_s;
    sv_http_request request;
    sv_reply reply;
    char *scratch; /* SV_SCRATCH_BYTES: what one read brings */
} sv_http_worker;

#define SV_SCRATCH_BYTES (64 * 1024)

const sv_http_options *sv_http_server_options(const struct sv_http_server *server);

void sv_connection_readable(sv_http_worker *worker, sv_connection *connection);
void sv_connection_writable(sv_http_worker *worker, sv_connection *connection);
void sv_connection_tick(sv_http_worker *worker, sv_connection *connection); /* once a second or so: time-outs, draining */
void sv_connection_refuse(sv_http_worker *worker, sv_connection *connection, int status); /* answers and begins to close */
void sv_connection_release(sv_http_worker *worker, sv_connection *connection); /* its memory and its TLS state; the fd is closed */

/* Implemented by http_server.c: what epoll should watch. */
void sv_worker_watch(sv_http_worker *worker, sv_connection *connection, uint32_t events);
const char *sv_worker_date(sv_http_worker *worker);

#endif
