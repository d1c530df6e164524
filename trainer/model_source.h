/* model_source.h: a package by its URI: a folder, or something that is fetched into a temporary one first. */
#ifndef SV_MODEL_SOURCE_H
#define SV_MODEL_SOURCE_H

#include "mlflow_client.h"
#include "package.h"

/* client NULL: one is made from the environment when the URI needs it, which a server that is away keeps for 20 s at most; signals are watched
   (interrupt.h) from its answer on, not before. SV_E_NETWORK, SV_E_INPUT, SV_E_IO. */
int sv_model_load(sv_package *out, const char *uri, mlf_client *client, sv_error *error);

/* Are the columns there that the model cannot do without? SV_E_INPUT names the first that the header of the file `name` lacks. */
int sv_model_check_columns(const sv_pipeline *pipeline, const char *const *columns, size_t n_columns, const char *name, sv_error *error);

#endif
