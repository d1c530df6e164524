/* endpoints.h: the one table of MLflow's endpoints (endpoints.def) and the call that every typed function, mlf_call() and mlflowc go through. */
#ifndef MLF_ENDPOINTS_H
#define MLF_ENDPOINTS_H

#include "mlflow_client.h"

#include <jansson.h>
#include <stddef.h>

typedef enum mlf_endpoint_flags {
    MLF_EP_ONCE = 1,  /* not idempotent: never sent again once the server may have acted on it */
    MLF_EP_RAW = 2,   /* the body or the answer is no JSON: bytes, text or a page */
    MLF_EP_OPEN = 4,  /* the fields are not all known: further ones pass unchecked */
    MLF_EP_AUTH = 8,  /* routed by the basic-auth app alone */
    MLF_EP_DEAD = 16, /* declared by the server but answered with 404 */
    MLF_EP_LARGE = 32 /* an answer may be very large: a server before 3.0 knows no pages of it */
} mlf_endpoint_flags;

typedef struct mlf_endpoint {
    const char *name;    /* "runs_get" */
    const char *method;  /* "GET" */
    const char *path;    /* "/api/2.0/mlflow/logged-models/{model_id}" */
    const char *group;   /* "runs" */
    int since;           /* 209 for MLflow 2.9 */
    int flags;           /* mlf_endpoint_flags */
    const char *fields;  /* of the request, see endpoints.def */
    const char *reply;   /* "runs* next_page_token": names of the answer's fields, '*' behind a list */
    const char *purpose; /* one line */
} mlf_endpoint;

typedef enum mlf_endpoint_id {
#define E(name, ...) MLF_EP_ID_##name,
#include "endpoints.def"
#undef E
    MLF_N_ENDPOINTS
} mlf_endpoint_id;

const mlf_endpoint *mlf_endpoint_at(size_t i);                            /* i < MLF_N_ENDPOINTS */
const mlf_endpoint *mlf_endpoint_named(const char *name);                 /* NULL: there is none */
const mlf_endpoint *mlf_endpoint_matching(const char *method, const char *path); /* path without query; NULL: none */

/* The name of the list in the answer of a paged endpoint, copied; 0 when the endpoint has pages, -1 when it has none. */
int mlf_endpoint_list(const mlf_endpoint *endpoint, char *into, size_t size);

/* Checks the arguments against the row's fields and sends them: path parameters into the path, the others into the query of a GET or else the body.
   arguments is stolen, also on failure; NULL: memory was out or a text no UTF-8 when they were built (MLF_E_ARGUMENT). *reply (may be NULL): new reference. */
int mlf_endpoint_call(json_t **reply, mlf_client *client, const mlf_endpoint *endpoint, json_t *arguments, mlf_error *error);

/* The same, and hands out what stands at a path of the answer: an object (new reference), a text (mlf_free). MLF_E_REPLY when it is not there. */
int mlf_endpoint_object(mlf_object **out, mlf_client *client, const mlf_endpoint *endpoint, json_t *arguments, const char *path, mlf_error *error);
int mlf_endpoint_text(char **out, mlf_client *client, const mlf_endpoint *endpoint, json_t *arguments, const char *path, mlf_error *error);

/* For the typed functions: EP(runs_get) names a row and a spelling mistake does not compile. */
#define EP(name) mlf_endpoint_at(MLF_EP_ID_##name)

#endif
