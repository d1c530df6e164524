/* registry.h: logging a model and registering a version, now, at the server: what mlf_run_log_model(), mlf_model_register() and the journal's replay share.
   A client-made key (32 hex digits) in the tag MLF_TAG_KEY lets a repeated call find what an earlier one already made. */
#ifndef MLF_REGISTRY_H
#define MLF_REGISTRY_H

#include "mlflow_client.h"
#include "replay.h"

typedef struct mlf_model_home {
    const char *run_id, *experiment_id; /* the server's */
    const char *key;                    /* the client's own */
    const mlf_metric_point *points;     /* (options->n_metrics): its metrics' values, times and steps; NULL where there are none */
    int may_exist;                      /* 1: an earlier call with this key may have made it: look before making */
} mlf_model_home;

/* *model_uri (sv_free): "models:/m-…" or, on a 2.x server, "runs:/ID/name". */
int mlf_log_model_now(char **model_uri, mlf_client *client, const mlf_model_home *home, const char *folder, const mlf_model_options *options, mlf_error *error);

/* MLF_E_ARGUMENT where mlf_log_model_now() would refuse the folder: it holds no MLmodel, or one that is none. */
int mlf_model_folder_check(const char *folder, mlf_error *error);

/* What mlf_log_model_now() made of that key, once its files are there: *model_uri (sv_free); NULL: nothing. */
int mlf_find_model(char **model_uri, mlf_client *client, const mlf_model_home *home, mlf_error *error);

/* MLF_E_ARGUMENT for what the registry would refuse. */
int mlf_register_check(const char *name, const mlf_register_options *options, mlf_error *error);

/* *version (sv_free). run_id may be NULL. */
int mlf_register_now(char **version, mlf_client *client, const mlf_model_home *home, const char *model_uri, const char *name, const mlf_register_options *options, mlf_error *error);

/* What mlf_alias_set() does while the server answers. */
int mlf_alias_set_now(mlf_client *client, const char *name, const char *alias, const char *version, mlf_error *error);

/* 1: the call failed because of the network or a busy server: its turn comes later, by the journal. */
int mlf_is_for_later(int code, const mlf_error *error);

#endif
