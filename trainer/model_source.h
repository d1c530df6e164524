/* model_source.h: a package by its URI: a folder, or something that is fetched into a temporary one first. */
#ifndef SV_MODEL_SOURCE_H
#define SV_MODEL_SOURCE_H

#include "mlflow_client.h"
#include "package.h"

/* client NULL: one is made from the environment when the URI needs it. SV_E_NETWORK, SV_E_INPUT, SV_E_IO. */
int sv_model_load(sv_package *out, const char *uri, mlf_client *client, sv_error *error);

#endif
