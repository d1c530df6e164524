/* capabilities.h: what this server can, found out by asking it, once for each client and only when somebody wants to know. */
#ifndef MLF_CAPABILITIES_H
#define MLF_CAPABILITIES_H

#include "mlflow_client.h"

/* *out: 1 when the server has logged models (MLflow 3), 0 when it has not (2.x). */
int mlf_has_logged_models(int *out, mlf_client *client, mlf_error *error);

/* *out: the server-info object, {} on a server older than 3.9. Borrowed from the client. */
int mlf_server_capabilities(const mlf_object **out, mlf_client *client, mlf_error *error);

#endif
