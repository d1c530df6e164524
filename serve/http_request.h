/* http_request.h: the head of an HTTP/1.x request and its chunked body, read strictly (RFC 9112). Allocates nothing.
   Strict means: CRLF alone ends a line, no folded lines, no blank before a colon, one Content-Length, never beside Transfer-Encoding. What two
   readers could understand differently is refused, so that nothing is smuggled past a proxy in front. Leaves out: HTTP/2, trailers (read, dropped). */
#ifndef SV_HTTP_REQUEST_H
#define SV_HTTP_REQUEST_H

#include "span.h"

#include <stdint.h>

#define SV_HTTP_MAX_HEADERS 64

typedef struct sv_http_header {
    sv_span name, value; /* value without the blanks around it */
} sv_http_header;

typedef struct sv_http_limits {
    size_t max_target_bytes; /* else 414 */
    size_t max_head_bytes;   /* else 431; more than SV_HTTP_MAX_HEADERS lines also */
    uint64_t max_body_bytes; /* else 413 */
} sv_http_limits;

typedef struct sv_http_request {
    sv_span method, target; /* as sent */
    sv_span path, query;    /* target cut at the first '?'; not decoded */
    int minor;              /* HTTP/1.minor: 0 or 1 */
    size_t n_headers;
    sv_http_header headers[SV_HTTP_MAX_HEADERS];
    int64_t content_length; /* bytes; -1 when none was given */
    int chunked, keep_alive, expect_continue;
    size_t head_size; /* bytes of the head with its empty line */
    sv_span body;     /* set by the connection once all of it is there */
} sv_http_request;

/* Reads one head from bytes. Returns its size; 0 when more bytes are needed; -status (400, 413, 414, 417, 431, 501, 505) when it is refused. The spans
   point into bytes. */
int sv_http_parse_head(sv_http_request *request, const char *bytes, size_t size, const sv_http_limits *limits);

/* The value of the first header of that name (any case), or an empty span with text NULL. */
sv_span sv_http_header_value(const sv_http_request *request, const char *name);

typedef struct sv_chunked {
    int state;          /* 0 at the beginning */
    uint64_t remaining; /* of the chunk being read */
    size_t line_bytes;  /* of the size line or of the trailers so far */
    size_t in, out;     /* bytes of the buffer read, bytes of body written from its beginning */
} sv_chunked;

/* Decodes bytes[chunked->in .. size) in place: the body grows in bytes[0 .. chunked->out). Returns 1 when the body is whole (the next request
   begins at chunked->in), 0 when more is needed, -400 or -413 when it is refused. */
int sv_http_decode_chunks(sv_chunked *chunked, char *bytes, size_t size, uint64_t max_body_bytes);

#endif
