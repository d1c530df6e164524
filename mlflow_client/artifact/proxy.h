/* proxy.h: what store_proxy.c and its multipart half share. */
#ifndef MLF_PROXY_H
#define MLF_PROXY_H

#include "store.h"
#include "transport.h"

#define MLF_PROXY_API "/api/2.0/mlflow-artifacts/"

typedef struct mlf_proxy {
    char *base;     /* what comes before the verb's path: the API's, below the tracking server or another host; or scheme and host of an http(s): URI */
    char *root;     /* mlflow-artifacts: the tree's raw path without its leading slash; http(s): the path as written */
    char *query;    /* of an http(s): URI, as written */
    int is_proxied; /* mlflow-artifacts: */
    mlf_http_flags flags;
} mlf_proxy;

void mlf_proxy_free(mlf_proxy *proxy);
int mlf_proxy_check_name(const char *path, mlf_error *error);
char *mlf_proxy_url(const mlf_proxy *proxy, const char *what, const char *path, mlf_error *error);

/* Sends a big file in parts where the server can. *handled 0: it was not, nothing has happened. */
int mlf_proxy_put_parts(int *handled, mlf_store *store, const char *path, int fd, int64_t size, mlf_error *error);

/* What the server answers of one folder. */
int mlf_proxy_read_listing(const char *text, size_t length, mlf_entry_fn *each, void *context, mlf_error *error);

#endif
