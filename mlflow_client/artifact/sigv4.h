/* sigv4.h: AWS Signature Version 4 in headers. libcurl's own (CURLOPT_AWS_SIGV4) is not used: up to 8.x it signs queries unsorted and paths unencoded
   (curl issues 9717, 11794, 13754), which breaks listings and keys with blanks, and Debian 12 has 7.88.
   Source: AWS, "Create a signed AWS API request". */
#ifndef MLF_SIGV4_H
#define MLF_SIGV4_H

#include "aws_keys.h"

#include <time.h>

enum { MLF_SIGV4_LINES = 4 };

/* What is signed. Each text as it goes over the wire: path and query percent-encoded, the query's parameters sorted. */
typedef struct mlf_sigv4_request {
    const char *method, *host, *path, *query; /* query without '?'; "" for none */
    const char *payload_sha256;               /* hex digits, or UNSIGNED-PAYLOAD */
    const char *region, *service;
    const char *checksum;                     /* one more line, "x-amz-checksum-…:value", as it is sent beside these; NULL: none */
} mlf_sigv4_request;

/* The header lines to send, "Name: value". */
typedef struct mlf_sigv4 {
    char *lines[MLF_SIGV4_LINES];
    size_t n_lines;
} mlf_sigv4;

/* MLF_E_MEMORY. Freed by mlf_sigv4_free(), which also wipes. */
int mlf_sigv4_sign(mlf_sigv4 *out, const mlf_sigv4_request *request, const mlf_aws_keys *keys, time_t now, mlf_error *error);
void mlf_sigv4_free(mlf_sigv4 *sigv4);

#endif
