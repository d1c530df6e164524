/* registry.h: logging a model and registering a version, now, at the server: what mlf_run_log_model(), mlf_model_register() and the journal's replay share.
   A client-made key (32 hex digits) in the tag MLF_TAG_KEY lets a repeated call find what an earlier one already made. */
#ifndef MLF_REGISTRY_H
#define MLF_REGISTRY_H

#include "mlflow_client.h"
#include "replay.h"


typedef struct mlf_model_home {
    const char *run_id, *experiment_id; /* the server's */
    const char *key;                    /* the client's own */
    int64_t time_ms;                    /* when it was logged: of its metrics */
    int may_exist;                      /* 1: an earlier call with this key may have made it: look before making */
} mlf_model_home;

/* *model_uri (sv_free): "models:/m-…" or, on a 2.x server, "runs:/ID/name". */
int mlf_log_model_now(char **model_uri, mlf_client *client, const mlf_model_home *home, const char *folder, const mlf_model_options *options, mlf_error *error);

/* *version (sv_free). run_id may be NULL. */
int mlf_register_now(char **version, mlf_client *client, const mlf_model_home *home, const char *model_uri, const char *name, const mlf_register_options *options, mlf_error *error);

#endif
