/* transport.h: one HTTP call with its retries, on kept-alive connections, from any thread. JSON is not known here (reply.h); which endpoint may be
   sent twice is the caller's to say (endpoints.h). Sends Content-Length always, never Expect, never Origin. */
#ifndef MLF_TRANSPORT_H
#define MLF_TRANSPORT_H

#include "buffer.h"
#include "mlflow_client.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef enum mlf_http_flags {
    MLF_HTTP_ONCE = 1,       /* not sent again once the server may have acted on it (a create); see mlf_http_reply.ambiguous */
    MLF_HTTP_NO_AUTH = 2,    /* no credentials, no workspace header: a signed address, somebody else's server */
    MLF_HTTP_REGISTRY = 4,   /* a path is below the registry URI, not the tracking URI */
    MLF_HTTP_STREAM = 8,     /* a big body: timeout_ms bounds silence, not the whole transfer, and there is no deadline unless deadline_ms is given */
    MLF_HTTP_ANY_STATUS = 16, /* every HTTP answer is a success; the caller looks at reply->status */
    MLF_HTTP_FORCE_AUTH = 32, /* credentials also to an origin that is neither the tracking nor the registry server */
    MLF_HTTP_INSECURE_TLS = 64, /* this call alone does not check certificates */
    MLF_HTTP_LARGE = 128,    /* reply->body may take a sixteenth of the memory, at least 64 MiB and at most 1 GiB */
    MLF_HTTP_TIDY = 256      /* takes back what an effort left that is given up: done by a client that was stopped, too */
} mlf_http_flags;

/* Everything is borrowed for the call. Zero is a good default for each field but method and url. */
typedef struct mlf_http_call {
    const char *method; /* "GET", "PUT"… */
    const char *url;    /* "http(s)://…", or a path with its query that begins with '/', below the tracking URI */
    mlf_http_flags flags;
    const char *const *headers; /* (n_headers) "Name: value"; "Name:" leaves out one that would be sent */
    size_t n_headers;

    /* The request body, one of: none; bytes in memory; a part of a file, read by pread; what a callback gives. */
    const void *body; /* (body_bytes); NULL with body_bytes > 0: read() or body_fd gives them */
    int64_t body_bytes;
    const char *content_type; /* NULL: application/json when there is a body in memory, application/octet-stream for a streamed one */
    int body_fd;              /* used when has_body_fd */
    int has_body_fd;
    int64_t body_offset; /* where in the file the body begins */
    /* The bytes at `offset` of the body: how many were given (at most size), -1 to abort. Asked again from an earlier offset on a retry. */
    int64_t (*read)(void *context, void *into, size_t size, int64_t offset);
    void *read_context;

    /* Where a 2xx body goes: reply->body, or this. Called in order; 0 to go on. begin() comes before the first byte of each attempt, with the offset
       in the resource of that byte (0, or where a 206 Content-Range begins) and the total size (-1: unknown). */
    int (*write)(void *context, const void *bytes, size_t size);
    int (*begin)(void *context, int64_t offset, int64_t total_bytes);
    void *write_context;

    int (*progress)(void *context, int64_t sent_bytes, int64_t received_bytes); /* of this attempt; 0 to go on */
    void *progress_context;

    size_t max_reply_bytes; /* ceiling for reply->body; 0: 64 MiB */
    int timeout_ms;         /* one attempt; 0: the client's; -1: none */
    int deadline_ms;        /* all attempts and the waits between; 0: the client's; -1: none */
    int max_retries;        /* 0: the client's; -1: one attempt alone */
    const atomic_int *cancel; /* non-zero ends a wait within 50 ms and a transfer within a second (MLF_E_STATE); NULL: never */
} mlf_http_call;

typedef struct mlf_http_reply {
    int status;         /* of the last attempt that was answered; 0: none was */
    sv_buffer body;     /* of that attempt, NUL-terminated when not empty; an error's body, too */
    sv_buffer headers;  /* its header lines, "Name: value\n" each */
    int attempts;       /* requests sent */
    int ambiguous;      /* 1: it failed, but the server may have acted on it */
    int64_t round_trip_us; /* of the last attempt */
} mlf_http_reply;

#define MLF_HTTP_REPLY_INIT {0}

/* 0 when the last answer was 2xx; else as reply.h reads the status and body. MLF_E_CONNECT, MLF_E_TLS, MLF_E_TIMEOUT (the deadline), MLF_E_REPLY
   (too large, not HTTP), MLF_E_STATE (cancelled, forked child, offline, no server named), MLF_E_IO (a callback or the file failed).
   *reply (may be NULL when nobody looks) is emptied first; freed by mlf_http_reply_free(). Blocks; any thread. */
int mlf_http(mlf_client *client, const mlf_http_call *call, mlf_http_reply *reply, mlf_error *error);
void mlf_http_reply_free(mlf_http_reply *reply); /* may be used again afterwards */

/* The value of a header of the reply, case-insensitive, without blanks around; NULL when absent. into: where it is copied. */
const char *mlf_http_header(const mlf_http_reply *reply, const char *name, char *into, size_t size);

typedef struct mlf_transport mlf_transport;
struct mlf_settings;

int mlf_transport_new(mlf_transport **out, const struct mlf_settings *settings, mlf_error *error); /* borrows settings for its life */
void mlf_transport_free(mlf_transport *transport);

/* Where in the resource the body of an answer begins (0, or where a 206 does), and the whole size (-1: not said). */
void mlf_http_range(const mlf_http_reply *reply, int64_t *offset, int64_t *total);

#endif
