/* uri.h: an artifact URI taken apart, and put together (url.h encodes). Leaves out: user-info, fragments, relative resolution. */
#ifndef MLF_URI_H
#define MLF_URI_H

#include "mlflow_client.h"

#define MLF_URI_MAX_BYTES 8192

/* Raw text of each part; only file: URIs are percent-decoded. Each the struct's own, never NULL once parsed. */
typedef struct mlf_uri {
    char scheme[20];  /* lower case; "" for a plain path, which "file" becomes too */
    char *authority;  /* "host:port", a bucket; may be empty */
    char *path;       /* as it stood, with its leading slash when an authority came before it */
    char *query;      /* what follows '?' in an http(s) URI; other schemes keep '?' in the path */
} mlf_uri;

#define MLF_URI_INIT {"", NULL, NULL, NULL}

/* MLF_E_ARGUMENT when the text is empty, too long, holds control bytes, or names a file on another host. */
int mlf_uri_parse(mlf_uri *out, const char *text, mlf_error *error);
void mlf_uri_free(mlf_uri *uri); /* the parts, not the struct */

/* Decodes %XX in place; 0, or -1 when an escape is broken or hides a NUL. */
int mlf_uri_decode(char *text);

/* a, a slash when both sides need one, b; the caller's (sv_free), NULL when memory is out. Either may be NULL or empty. */
char *mlf_uri_join(const char *a, const char *b);

/* The path without slashes at its ends: a bucket's prefix. The caller's (sv_free), NULL when memory is out. */
char *mlf_uri_prefix(const mlf_uri *uri);

#endif
