/* url.h: addresses and query strings. */
#ifndef MLF_URL_H
#define MLF_URL_H

#include "buffer.h"
#include "mlflow_client.h"

#include <jansson.h>

/* Appends text with everything but unreserved characters (and, keep_slash, '/') percent-encoded. 0 or an sv_code. */
int mlf_url_encode(sv_buffer *buffer, const char *text, int keep_slash);

/* Appends "?a=b&c=d" for the object's members: strings, numbers, true/false; an array repeats its key; null is left out. MLF_E_ARGUMENT for a nested object. */
int mlf_url_query(sv_buffer *buffer, const json_t *arguments, mlf_error *error);

/* What stands before the path: "https://host:port", as a length; 0 when url is no http or https URL. */
size_t mlf_url_origin_length(const char *url);

/* 1 when both have the same scheme, host and port. */
int mlf_url_same_origin(const char *a, const char *b);

#endif
