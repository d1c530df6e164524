/* mlflow_client.h: MLflow for C. The one public header of libmlflow-client.

   Every function returns 0 or a negative mlf_code; detail goes to the caller's own mlf_error (may be NULL; the first error wins).
   Handles are opaque. `**out` belongs to the caller, who frees it with the function named beside; a returned `const char *` lives with its parent.
   Options begin from MLF_…_OPTIONS_INIT and may be NULL. Unless said otherwise a function blocks on the network and may be called from any thread.
   Signals: the library's own threads take none, and it raises none. After fork() the child's handles answer MLF_E_STATE; it makes its own client. */
#ifndef MLFLOW_CLIENT_H
#define MLFLOW_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MLF_VERSION "0.1.0"
#define MLF_ABI_VERSION 1

#if defined(__GNUC__)
#define MLF_API __attribute__((visibility("default")))
#else
#define MLF_API
#endif

/* ---- errors ---- */

typedef enum mlf_code {
    MLF_OK = 0,
    MLF_E_MEMORY = -1,
    MLF_E_ARGUMENT = -2,     /* a key, value or option that MLflow cannot take; nothing was sent */
    MLF_E_CONNECT = -3,      /* no answer: name, route, refused, broken connection, time-out */
    MLF_E_TLS = -4,          /* a certificate that does not match or is not trusted */
    MLF_E_AUTH = -5,         /* 401 or 403 */
    MLF_E_NOT_FOUND = -6,    /* RESOURCE_DOES_NOT_EXIST */
    MLF_E_EXISTS = -7,       /* RESOURCE_ALREADY_EXISTS */
    MLF_E_UNSUPPORTED = -8,  /* this server does not have that endpoint */
    MLF_E_SERVER = -9,       /* any other refusal: see http_status and error_code */
    MLF_E_REPLY = -10,       /* the answer is not what MLflow would send (HTML, truncated, too large, too deep) */
    MLF_E_IO = -11,          /* a local file or folder */
    MLF_E_INTEGRITY = -12,   /* size or digest differ after a transfer */
    MLF_E_TIMEOUT = -13,     /* the caller's deadline passed */
    MLF_E_STATE = -14,       /* the handle cannot do that now (run ended, forked child, client closing) */
    MLF_E_END = -15          /* an iterator has no more */
} mlf_code;

typedef struct mlf_error {
    int code;             /* mlf_code; 0 while nothing is wrong */
    int http_status;      /* 0 when no HTTP answer came */
    char error_code[48];  /* MLflow's name, such as RESOURCE_DOES_NOT_EXIST; empty when it gave none */
    char message[1024];   /* for a person: what, where, expected, got */
    int retriable;        /* 1: the same call may succeed later */
    char reserved[60];
} mlf_error;

#define MLF_ERROR_INIT {0}

MLF_API const char *mlf_code_name(int code);             /* "MLF_E_CONNECT", never NULL; static */
MLF_API int mlf_error_is_retriable(const mlf_error *error);
MLF_API const char *mlf_version(void);

/* ---- client: one server, its credentials, its connections ---- */

typedef struct mlf_client mlf_client;

typedef struct mlf_client_options {
    int version;                 /* MLF_ABI_VERSION */
    const char *tracking_uri;    /* NULL: MLFLOW_TRACKING_URI; copied */
    const char *registry_uri;    /* NULL: MLFLOW_REGISTRY_URI, else the tracking URI */
    const char *journal_dir;     /* where logged data waits; NULL: MLFLOW_JOURNAL_DIR, else $XDG_STATE_HOME/mlflow-client */
    int offline;                 /* 1: never use the network, journal alone; -1: as MLFLOW_OFFLINE says; default -1 */
    int timeout_ms;              /* one request; 0: MLFLOW_HTTP_REQUEST_TIMEOUT, else 120,000 */
    int deadline_ms;             /* one call with its retries; 0: 10 minutes */
    int max_retries;             /* -1: MLFLOW_HTTP_REQUEST_MAX_RETRIES, else 7 */
    const char *user_agent;      /* NULL: "mlflow-client-c/VERSION" */
    void *reserved[8];
} mlf_client_options;

#define MLF_CLIENT_OPTIONS_INIT {.version = MLF_ABI_VERSION, .offline = -1, .max_retries = -1}

/* Reads the environment (MLFLOW_TRACKING_USERNAME and so on) but does not talk to the server. Freed by mlf_client_free(), which flushes. */
MLF_API int mlf_client_new(mlf_client **out, const mlf_client_options *options, mlf_error *error);
MLF_API void mlf_client_free(mlf_client *client); /* accepts NULL */

/* What this client has under way ends within a second, what comes later fails at once (MLF_E_TIMEOUT), and nobody waits for the server any more: what was logged
   is in the journal, for mlf_sync(). From any thread, also from a signal handler; the client must still be freed. Accepts NULL. */
MLF_API void mlf_client_stop(mlf_client *client);

MLF_API const char *mlf_client_tracking_uri(const mlf_client *client);

/* Sends until everything logged by every run of this client has been taken by the server. MLF_E_TIMEOUT when timeout_ms (-1: no limit) passes first;
   the data then stays in the journal. MLF_E_IO: neither the disk nor the server took some of it; the message says how much. */
MLF_API int mlf_flush(mlf_client *client, int timeout_ms, mlf_error *error);

MLF_API void mlf_free(void *block); /* accepts NULL */

typedef struct mlf_pair { const char *key, *value; } mlf_pair;

/* ---- objects: what MLflow's endpoints take and give ---- */

/* A JSON object. A path names what is inside it: "info.run_id", "data.params[0].key". Not for two threads at once when one of them writes. */
typedef struct mlf_object mlf_object;

MLF_API mlf_object *mlf_object_new(void); /* empty; NULL when memory is out; freed by mlf_object_free() */
MLF_API int mlf_object_parse(mlf_object **out, const char *json, mlf_error *error);
MLF_API void mlf_object_free(mlf_object *object); /* accepts NULL; never for a borrowed one */
MLF_API char *mlf_object_text(const mlf_object *object, int indent); /* as JSON: mlf_free(); indent 0: one line */

/* Readers accept a NULL object. What they return lives with it. */
MLF_API const char *mlf_object_string(const mlf_object *object, const char *path);                  /* NULL: absent or no text */
MLF_API int mlf_object_integer(int64_t *out, const mlf_object *object, const char *path);           /* MLF_E_NOT_FOUND: absent or no whole number; "12" is one */
MLF_API int mlf_object_double(double *out, const mlf_object *object, const char *path);             /* "NaN", "Infinity" and what SQL made of it come back as such */
MLF_API int mlf_object_flag(const mlf_object *object, const char *path);                            /* 1: true; 0: false or absent */
MLF_API size_t mlf_object_count(const mlf_object *object, const char *path);                        /* items of a list; 0 when absent */
MLF_API const mlf_object *mlf_object_item(const mlf_object *object, const char *path, size_t i);    /* object i of a list, or NULL */
MLF_API const mlf_object *mlf_object_inner(const mlf_object *object, const char *path);             /* the object there, or NULL */
MLF_API const char *mlf_object_item_string(const mlf_object *object, const char *path, size_t i);   /* text i of a list, or NULL */
MLF_API const char *mlf_object_lookup(const mlf_object *object, const char *path, const char *key); /* the value in a list of {key, value}: tags, params */

/* Writers make the objects on the way. 0, MLF_E_MEMORY, or MLF_E_ARGUMENT (no valid UTF-8, a path through something that is no object). A NULL text or
   object leaves the place absent and is no error. */
MLF_API int mlf_object_set_string(mlf_object *object, const char *path, const char *value);
MLF_API int mlf_object_set_integer(mlf_object *object, const char *path, int64_t value);
MLF_API int mlf_object_set_double(mlf_object *object, const char *path, double value);
MLF_API int mlf_object_set_flag(mlf_object *object, const char *path, int value);
MLF_API int mlf_object_set_object(mlf_object *object, const char *path, const mlf_object *value);        /* copied */
MLF_API int mlf_object_add_string(mlf_object *object, const char *path, const char *value);              /* at the end of a list */
MLF_API int mlf_object_add_object(mlf_object *object, const char *path, const mlf_object *value);        /* copied */
MLF_API int mlf_object_add_pair(mlf_object *object, const char *path, const char *key, const char *value); /* {"key": …, "value": …} */

/* ---- the server ---- */

MLF_API int mlf_server_version(char **version, mlf_client *client, mlf_error *error); /* "3.17.2": mlf_free(); MLF_E_AUTH where it needs a login */
MLF_API int mlf_server_info(mlf_object **info, mlf_client *client, mlf_error *error); /* what it says of itself; empty before MLflow 3.9 */

/* ---- any endpoint ---- */

/* By its name in endpoints.def ("gateway_secrets_list"); arguments are checked against the table first and may be NULL. *reply: mlf_object_free(); NULL: not wanted.
   MLF_E_UNSUPPORTED: this server is older than the endpoint. */
MLF_API int mlf_call(mlf_object **reply, mlf_client *client, const char *endpoint, const mlf_object *arguments, mlf_error *error);

/* By method and path, which begins with "/"; body is JSON text (for a GET it becomes the query) or NULL. Where the table knows the path the body is checked as
   above, but unknown fields pass. *reply is the body (mlf_free), NUL-terminated; MLF_E_REPLY where a NUL stands in it. */
MLF_API int mlf_request(char **reply, mlf_client *client, const char *method, const char *path, const char *body, mlf_error *error);
/* The same for bodies of any bytes: *reply has *length of them, and a NUL behind. reply and length may be NULL. */
MLF_API int mlf_request_bytes(char **reply, size_t *length, mlf_client *client, const char *method, const char *path, const void *body, size_t body_bytes, mlf_error *error);

/* What the table says of endpoint i, 0 at first; NULL behind the last. Static. */
typedef struct mlf_endpoint_info {
    const char *name, *method, *path, *group, *fields, *reply, *purpose;
    int since_major, since_minor; /* first MLflow that has it */
    int idempotent;               /* 1: may be sent twice */
} mlf_endpoint_info;

MLF_API int mlf_endpoint_describe(mlf_endpoint_info *out, size_t i); /* MLF_E_END behind the last */

/* ---- searches: iterators that fetch page after page ---- */

typedef struct mlf_iterator mlf_iterator;

typedef enum mlf_view { MLF_VIEW_ACTIVE, MLF_VIEW_DELETED, MLF_VIEW_ALL } mlf_view;

typedef struct mlf_query {
    int version;                       /* MLF_ABI_VERSION */
    const char *filter;                /* as in MLflow: "metrics.loss < 0.5 AND tags.team = 'a'"; NULL: all */
    const char *const *order_by;       /* (n_order_by) "metrics.loss ASC" */
    size_t n_order_by;
    const char *const *experiment_ids; /* (n_experiment_ids), for runs, logged models and traces */
    size_t n_experiment_ids;
    mlf_view view;                     /* for experiments and runs; active ones */
    int page_size;                     /* items asked for at once; 0: the endpoint's own good size */
    void *reserved[8];
} mlf_query;

#define MLF_QUERY_INIT {.version = MLF_ABI_VERSION}

/* Any paged endpoint of the table. Nothing is sent before the first mlf_iterator_next(). The client must outlive the iterator. */
MLF_API int mlf_search(mlf_iterator **out, mlf_client *client, const char *endpoint, const mlf_object *arguments, mlf_error *error);

/* The next item, borrowed until the next call (a text item comes as {"value": …}). MLF_E_END after the last; an error may be tried again by calling again. */
MLF_API int mlf_iterator_next(const mlf_object **item, mlf_iterator *iterator, mlf_error *error);
MLF_API void mlf_iterator_free(mlf_iterator *iterator); /* accepts NULL */

/* ---- experiments ---- */

/* The id of the experiment of that name, made when it is missing. NULL: MLFLOW_EXPERIMENT_NAME, MLFLOW_EXPERIMENT_ID, "0". *id: mlf_free(). */
MLF_API int mlf_experiment_ensure(char **id, mlf_client *client, const char *name, mlf_error *error);

/* Functions with a plural noun stand for the REST collection of that name. A char ** is the caller's (mlf_free), an mlf_object ** too (mlf_object_free). */
MLF_API int mlf_experiments_create(char **id, mlf_client *client, const char *name, const char *artifact_location, const mlf_pair *tags, size_t n_tags, mlf_error *error);
MLF_API int mlf_experiments_get(mlf_object **experiment, mlf_client *client, const char *id, mlf_error *error);
MLF_API int mlf_experiments_get_by_name(mlf_object **experiment, mlf_client *client, const char *name, mlf_error *error); /* a deleted one, too: see "lifecycle_stage" */
MLF_API int mlf_experiments_search(mlf_iterator **out, mlf_client *client, const mlf_query *query, mlf_error *error);
MLF_API int mlf_experiments_rename(mlf_client *client, const char *id, const char *new_name, mlf_error *error);
MLF_API int mlf_experiments_delete(mlf_client *client, const char *id, mlf_error *error);
MLF_API int mlf_experiments_restore(mlf_client *client, const char *id, mlf_error *error);
MLF_API int mlf_experiments_set_tag(mlf_client *client, const char *id, const char *key, const char *value, mlf_error *error);
MLF_API int mlf_experiments_delete_tag(mlf_client *client, const char *id, const char *key, mlf_error *error);

/* ---- runs as the server has them ---- */

/* {"info", "data": {"metrics", "params", "tags"}, "inputs", "outputs"}; mlf_object_lookup(run, "data.params", "alpha") reads a param. */
MLF_API int mlf_runs_get(mlf_object **run, mlf_client *client, const char *run_id, mlf_error *error);
MLF_API int mlf_runs_search(mlf_iterator **out, mlf_client *client, const mlf_query *query, mlf_error *error); /* without experiment_ids: no run at all */
/* status: "RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED" or NULL; end_time_ms 0 and name NULL: left as they are. */
MLF_API int mlf_runs_update(mlf_client *client, const char *run_id, const char *status, int64_t end_time_ms, const char *name, mlf_error *error);
MLF_API int mlf_runs_delete(mlf_client *client, const char *run_id, mlf_error *error);
MLF_API int mlf_runs_restore(mlf_client *client, const char *run_id, mlf_error *error);
MLF_API int mlf_runs_set_tag(mlf_client *client, const char *run_id, const char *key, const char *value, mlf_error *error);
MLF_API int mlf_runs_delete_tag(mlf_client *client, const char *run_id, const char *key, mlf_error *error);

typedef struct mlf_dataset {
    const char *name, *digest, *source_type, *source; /* source: JSON text */
    const char *schema, *profile;                     /* JSON text; may be NULL */
    const char *context;                              /* "training", "validation", …; may be NULL */
} mlf_dataset;

/* At once; mlf_run_log_input() goes by the journal. The same dataset twice is one. */
MLF_API int mlf_runs_log_input(mlf_client *client, const char *run_id, const mlf_dataset *dataset, mlf_error *error);
/* Logged models that the run made, at one step. Not to be repeated: a model that the run names already is refused. MLflow 3. */
MLF_API int mlf_runs_log_outputs(mlf_client *client, const char *run_id, const char *const *model_ids, size_t n_models, int64_t step, mlf_error *error);

/* Every point of one metric, ordered by time, step, value. */
typedef struct mlf_metric_point {
    double value;
    int64_t timestamp_ms, step;
} mlf_metric_point;

MLF_API int mlf_metrics_history(mlf_iterator **out, mlf_client *client, const char *run_id, const char *key, mlf_error *error);
MLF_API int mlf_iterator_next_point(mlf_metric_point *point, mlf_iterator *iterator, mlf_error *error); /* of mlf_metrics_history(); MLF_E_END after the last */

/* ---- the registry: registered models, versions, aliases, stages ---- */

MLF_API int mlf_registered_models_create(mlf_object **model, mlf_client *client, const char *name, const char *description, const mlf_pair *tags, size_t n_tags,
                                         mlf_error *error); /* model and description may be NULL */
MLF_API int mlf_registered_models_get(mlf_object **model, mlf_client *client, const char *name, mlf_error *error);
MLF_API int mlf_registered_models_search(mlf_iterator **out, mlf_client *client, const mlf_query *query, mlf_error *error);
MLF_API int mlf_registered_models_rename(mlf_client *client, const char *name, const char *new_name, mlf_error *error);
MLF_API int mlf_registered_models_describe(mlf_client *client, const char *name, const char *description, mlf_error *error);
MLF_API int mlf_registered_models_delete(mlf_client *client, const char *name, mlf_error *error); /* with all its versions */
MLF_API int mlf_registered_models_set_tag(mlf_client *client, const char *name, const char *key, const char *value, mlf_error *error);
MLF_API int mlf_registered_models_delete_tag(mlf_client *client, const char *name, const char *key, mlf_error *error);
MLF_API int mlf_registered_models_latest(mlf_iterator **out, mlf_client *client, const char *name, const char *stage, mlf_error *error); /* stage NULL: the newest of each */
MLF_API int mlf_aliases_get(mlf_object **version, mlf_client *client, const char *name, const char *alias, mlf_error *error); /* MLF_E_NOT_FOUND: no such alias or model */
MLF_API int mlf_aliases_delete(mlf_client *client, const char *name, const char *alias, mlf_error *error);

/* source: "models:/m-…" with its model_id, "runs:/…" or a URI below the run's artifacts with its run_id. Low level: mlf_model_register() does the whole. */
MLF_API int mlf_model_versions_create(char **version, mlf_client *client, const char *name, const char *source, const char *run_id, const char *model_id,
                                      const char *description, const mlf_pair *tags, size_t n_tags, mlf_error *error);
MLF_API int mlf_model_versions_get(mlf_object **out, mlf_client *client, const char *name, const char *version, mlf_error *error);
MLF_API int mlf_model_versions_search(mlf_iterator **out, mlf_client *client, const mlf_query *query, mlf_error *error);
MLF_API int mlf_model_versions_describe(mlf_client *client, const char *name, const char *version, const char *description, mlf_error *error);
MLF_API int mlf_model_versions_delete(mlf_client *client, const char *name, const char *version, mlf_error *error);
MLF_API int mlf_model_versions_set_stage(mlf_client *client, const char *name, const char *version, const char *stage, int archive_others, mlf_error *error);
MLF_API int mlf_model_versions_download_uri(char **uri, mlf_client *client, const char *name, const char *version, mlf_error *error);
MLF_API int mlf_model_versions_set_tag(mlf_client *client, const char *name, const char *version, const char *key, const char *value, mlf_error *error);
MLF_API int mlf_model_versions_delete_tag(mlf_client *client, const char *name, const char *version, const char *key, mlf_error *error);

/* ---- logged models as the server has them (MLflow 3) ---- */

/* In state PENDING; its "info.model_id" and "info.artifact_uri" say where the files go. Low level: mlf_run_log_model() does the whole. */
MLF_API int mlf_logged_models_create(mlf_object **model, mlf_client *client, const char *experiment_id, const char *name, const char *model_type,
                                     const char *source_run_id, const mlf_pair *params, size_t n_params, const mlf_pair *tags, size_t n_tags, mlf_error *error);
MLF_API int mlf_logged_models_finalize(mlf_client *client, const char *model_id, int is_ready, mlf_error *error); /* READY, or UPLOAD_FAILED */
MLF_API int mlf_logged_models_get(mlf_object **model, mlf_client *client, const char *model_id, mlf_error *error);
MLF_API int mlf_logged_models_search(mlf_iterator **out, mlf_client *client, const mlf_query *query, mlf_error *error);
MLF_API int mlf_logged_models_delete(mlf_client *client, const char *model_id, mlf_error *error);
MLF_API int mlf_logged_models_log_params(mlf_client *client, const char *model_id, const mlf_pair *params, size_t n_params, mlf_error *error);
MLF_API int mlf_logged_models_set_tag(mlf_client *client, const char *model_id, const char *key, const char *value, mlf_error *error);
MLF_API int mlf_logged_models_delete_tag(mlf_client *client, const char *model_id, const char *key, mlf_error *error);

/* ---- webhooks (MLflow 3.3) ---- */

MLF_API int mlf_webhooks_create(char **id, mlf_client *client, const char *name, const char *url, const char *const *events, size_t n_events, const char *secret,
                                const char *description, mlf_error *error); /* events: "MODEL_VERSION.CREATED" */
MLF_API int mlf_webhooks_list(mlf_iterator **out, mlf_client *client, mlf_error *error);
MLF_API int mlf_webhooks_get(mlf_object **webhook, mlf_client *client, const char *id, mlf_error *error);
MLF_API int mlf_webhooks_set_active(mlf_client *client, const char *id, int is_active, mlf_error *error);
MLF_API int mlf_webhooks_delete(mlf_client *client, const char *id, mlf_error *error);
MLF_API int mlf_webhooks_test(mlf_object **result, mlf_client *client, const char *id, mlf_error *error);

/* ---- traces and assessments (MLflow 3) ---- */

/* trace_info as MLflow's TraceInfoV3: trace_id, trace_location, request_time, state, tags… trace (may be NULL): what the server made of it. */
MLF_API int mlf_traces_log(mlf_object **trace, mlf_client *client, const mlf_object *trace_info, mlf_error *error);
MLF_API int mlf_traces_get(mlf_object **trace, mlf_client *client, const char *trace_id, mlf_error *error);
MLF_API int mlf_traces_search(mlf_iterator **out, mlf_client *client, const mlf_query *query, mlf_error *error); /* in query->experiment_ids */
MLF_API int mlf_traces_set_tag(mlf_client *client, const char *trace_id, const char *key, const char *value, mlf_error *error);
MLF_API int mlf_traces_delete_tag(mlf_client *client, const char *trace_id, const char *key, mlf_error *error);
MLF_API int mlf_traces_delete(mlf_client *client, const char *experiment_id, const char *trace_id, mlf_error *error);
MLF_API int mlf_traces_link_to_run(mlf_client *client, const char *trace_id, const char *run_id, mlf_error *error);
MLF_API int mlf_assessments_create(mlf_object **out, mlf_client *client, const char *trace_id, const mlf_object *assessment, mlf_error *error);
MLF_API int mlf_assessments_get(mlf_object **out, mlf_client *client, const char *trace_id, const char *assessment_id, mlf_error *error);
MLF_API int mlf_assessments_update(mlf_client *client, const char *trace_id, const char *assessment_id, const mlf_object *assessment, const char *update_mask,
                                   mlf_error *error); /* update_mask: "feedback,rationale" */
MLF_API int mlf_assessments_delete(mlf_client *client, const char *trace_id, const char *assessment_id, mlf_error *error);

/* ---- evaluation datasets (MLflow 3.4) ---- */

MLF_API int mlf_datasets_create(char **id, mlf_client *client, const char *name, const char *const *experiment_ids, size_t n_experiment_ids, mlf_error *error);
MLF_API int mlf_datasets_get(mlf_object **dataset, mlf_client *client, const char *id, mlf_error *error);
MLF_API int mlf_datasets_delete(mlf_client *client, const char *id, mlf_error *error);
MLF_API int mlf_datasets_search(mlf_iterator **out, mlf_client *client, const mlf_query *query, mlf_error *error);
MLF_API int mlf_datasets_upsert_records(mlf_client *client, const char *id, const mlf_object *records, mlf_error *error); /* {"records": [{"inputs": …}, …]} */
MLF_API int mlf_datasets_records(mlf_object **page, mlf_client *client, const char *id, const char *page_token, mlf_error *error); /* {"records", "next_page_token"} */
MLF_API int mlf_datasets_list_records(mlf_iterator **out, mlf_client *client, const char *id, mlf_error *error); /* all of them, page after page */
MLF_API int mlf_datasets_set_tag(mlf_client *client, const char *id, const char *key, const char *value, mlf_error *error);
MLF_API int mlf_datasets_delete_tag(mlf_client *client, const char *id, const char *key, mlf_error *error);
MLF_API int mlf_datasets_link(mlf_client *client, const char *id, const char *experiment_id, int is_linked, mlf_error *error);

/* ---- prompts ---- */

MLF_API int mlf_prompts_register(char **version, mlf_client *client, const char *name, const char *text, const char *message, mlf_error *error);
MLF_API int mlf_prompts_get(char **text, mlf_client *client, const char *name, const char *version, mlf_error *error); /* version: "3" or "@alias" */
MLF_API int mlf_prompts_search(mlf_iterator **out, mlf_client *client, const char *filter, mlf_error *error);
MLF_API int mlf_prompts_delete(mlf_client *client, const char *name, mlf_error *error);

/* ---- users and permissions (servers with basic-auth) ---- */

MLF_API int mlf_users_create(mlf_client *client, const char *username, const char *password, mlf_error *error);
MLF_API int mlf_users_get(mlf_object **out, mlf_client *client, const char *username, mlf_error *error);
MLF_API int mlf_users_list(mlf_iterator **out, mlf_client *client, mlf_error *error);
MLF_API int mlf_users_set_password(mlf_client *client, const char *username, const char *password, const char *current_password, mlf_error *error);
MLF_API int mlf_users_set_admin(mlf_client *client, const char *username, int is_admin, mlf_error *error);
MLF_API int mlf_users_delete(mlf_client *client, const char *username, mlf_error *error);

/* MLflow 3.13. resource_type "experiment", "registered_model"…; permission "READ", "USE", "EDIT", "MANAGE", "DENY", "NO_PERMISSIONS". */
MLF_API int mlf_permissions_grant(mlf_client *client, const char *username, const char *resource_type, const char *resource_id, const char *permission, mlf_error *error);
MLF_API int mlf_permissions_revoke(mlf_client *client, const char *username, const char *resource_type, const char *resource_id, mlf_error *error);
MLF_API int mlf_permissions_get(mlf_object **out, mlf_client *client, const char *username, const char *resource_type, const char *resource_id, mlf_error *error);
MLF_API int mlf_permissions_list(mlf_iterator **out, mlf_client *client, const char *username, mlf_error *error);

/* ---- workspaces (MLflow 3.10) ---- */

MLF_API int mlf_workspaces_list(mlf_iterator **out, mlf_client *client, mlf_error *error);
MLF_API int mlf_workspaces_create(mlf_client *client, const char *name, const char *description, mlf_error *error);
MLF_API int mlf_workspaces_get(mlf_object **workspace, mlf_client *client, const char *name, mlf_error *error);
MLF_API int mlf_workspaces_describe(mlf_client *client, const char *name, const char *description, mlf_error *error);
MLF_API int mlf_workspaces_delete(mlf_client *client, const char *name, mlf_error *error);

/* ---- runs: logging never waits for the network ---- */

typedef struct mlf_run mlf_run;

typedef enum mlf_status { MLF_RUNNING, MLF_SCHEDULED, MLF_FINISHED, MLF_FAILED, MLF_KILLED } mlf_status;

typedef struct mlf_run_options {
    int version;               /* MLF_ABI_VERSION */
    const char *experiment;    /* name; NULL: as mlf_experiment_ensure(NULL) */
    const char *run_id;        /* go on with this run; NULL: MLFLOW_RUN_ID or MLFLOW_RUN_KEY once, else a new run */
    const char *name;          /* NULL: the server invents one */
    const char *parent_run_id; /* nested below it; NULL: none */
    const char *description;   /* Markdown; NULL: none */
    const mlf_pair *tags;      /* (n_tags), copied; user, source and git tags are added */
    size_t n_tags;
    const char *source_name;   /* NULL: the program's path */
    int system_metrics;        /* 1 on, 0 off, -1: as MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING says; default -1 */
    int keep_status;           /* with run_id: 1 adds to the run and leaves its status alone; 0: it is RUNNING again */
    void *reserved[8];
} mlf_run_options;

#define MLF_RUN_OPTIONS_INIT {.version = MLF_ABI_VERSION, .system_metrics = -1}

/* A new run, or one continued. When the server cannot be reached the run begins in the journal and this still succeeds. Freed by mlf_run_end() or mlf_run_free(). */
MLF_API int mlf_run_create(mlf_run **out, mlf_client *client, const mlf_run_options *options, mlf_error *error);

/* The server's id; while the run is only in the journal, the client-made key of 32 hex digits. */
MLF_API const char *mlf_run_id(const mlf_run *run);
MLF_API const char *mlf_run_experiment_id(const mlf_run *run); /* empty while only in the journal */

/* Queue and return: no system call, no lock, safe from any thread. Who finds the queue full (4,096 points since the writer last looked, 10 ms ago) empties it into memory, under
   a lock that nobody holds while the disk or the network is used; only when 8 MiB of the run wait in memory for the disk does the call wait, too. MLF_E_IO: neither the disk
   nor memory takes more. MLF_E_ARGUMENT for a key MLflow would refuse: the log names the first of a run
   with the reason, mlf_metric_key_check() any. Now is the timestamp. */
MLF_API int mlf_run_log_metric(mlf_run *run, const char *key, double value, int64_t step);
MLF_API int mlf_run_log_metrics(mlf_run *run, const char *const *keys, const double *values, size_t n, int64_t step);             /* several keys, one step */
MLF_API int mlf_run_log_series(mlf_run *run, const char *key, const int64_t *steps, const double *values, size_t n);              /* one key, several steps */
/* Would MLflow take this name of a metric? Else MLF_E_ARGUMENT, and *error says which key and why not. Any thread; no network. */
MLF_API int mlf_metric_key_check(const char *key, mlf_error *error);
MLF_API int mlf_run_log_param(mlf_run *run, const char *key, const char *value, mlf_error *error);
MLF_API int mlf_run_set_tag(mlf_run *run, const char *key, const char *value, mlf_error *error);

MLF_API int mlf_run_log_input(mlf_run *run, const mlf_dataset *dataset, mlf_error *error);

/* A file or a whole folder (recursively; links to files are followed, pipes left out) below the run's artifacts. artifact_path is the folder there, NULL for the root.
   Online it is sent before the call returns; a process that is killed meanwhile leaves the rest to `mlflowc sync`. Else a copy waits in the journal. */
MLF_API int mlf_run_log_artifact(mlf_run *run, const char *local_path, const char *artifact_path, mlf_error *error);
MLF_API int mlf_run_log_text(mlf_run *run, const char *text, size_t length, const char *artifact_file, mlf_error *error);

/* Flushes, sets the status and the end time, frees the run (also on failure; then the end waits in the journal). NULL is fine. */
MLF_API int mlf_run_end(mlf_run *run, mlf_status status, mlf_error *error);
MLF_API void mlf_run_free(mlf_run *run); /* without ending it; accepts NULL */

/* ---- logged models and the registry ---- */

typedef struct mlf_model_options {
    int version;              /* MLF_ABI_VERSION */
    const char *name;         /* of the logged model; NULL: "model" */
    const char *model_type;   /* NULL: none */
    const mlf_pair *params;   /* (n_params) */
    size_t n_params;
    const mlf_pair *tags;     /* (n_tags) */
    size_t n_tags;
    const char *const *metric_keys; /* (n_metrics): final metrics that stand on the model's page too; what the run logged last under a key, with that value, stays one point */
    const double *metric_values;
    size_t n_metrics;
    /* Called after the model has its id and before its files are sent, so that MLmodel can name it; model_id is NULL on a 2.x server. 0 to go on. */
    int (*prepare)(void *context, const char *folder, const char *model_id, const char *artifact_uri, const char *run_id);
    void *context;
    void *reserved[8];
} mlf_model_options;

#define MLF_MODEL_OPTIONS_INIT {.version = MLF_ABI_VERSION}

/* Logs a folder that holds an MLmodel: as a LoggedModel where the server has them (MLflow 3), else below the run. The top-level lines of MLmodel that
   say where it belongs (artifact_path, run_id, model_id, model_uuid) are filled in on the way. Offline a copy waits in the journal; prepare gets NULL for what is not known then.
   *model_uri ("models:/m-…", "runs:/…/model", or "journal:/…" while it waits, which mlf_model_register() takes): mlf_free(). */
MLF_API int mlf_run_log_model(char **model_uri, mlf_run *run, const char *folder, const mlf_model_options *options, mlf_error *error);

typedef struct mlf_register_options {
    int version;              /* MLF_ABI_VERSION */
    const char *description;  /* Markdown; NULL: none */
    const mlf_pair *tags;
    size_t n_tags;
    const char *alias;        /* set on the new version; NULL: none */
    const char *model_description; /* Markdown, of the registered model where this call makes it; NULL: none */
    void *reserved[7];
} mlf_register_options;

#define MLF_REGISTER_OPTIONS_INIT {.version = MLF_ABI_VERSION}

/* Makes the registered model when it is missing and a new version of it. *version (decimal; NULL while it waits in the journal): mlf_free(); version NULL: not wanted. */
MLF_API int mlf_model_register(char **version, mlf_run *run, const char *model_uri, const char *name, const mlf_register_options *options, mlf_error *error);
/* Offline, or when the server does not answer, it waits in a journal of its own for mlf_sync(), and this still succeeds. */
MLF_API int mlf_alias_set(mlf_client *client, const char *name, const char *alias, const char *version, mlf_error *error);

/* What a URI stands for: models:/name@alias, models:/name/3, models:/name/latest, models:/m-…, runs:/ID/path, a folder, or a store's own URI. */
typedef struct mlf_model_info {
    char *uri;          /* as asked */
    char *name;         /* registered name, or NULL */
    char *version;      /* or NULL */
    char *alias;        /* or NULL */
    char *run_id;       /* or NULL */
    char *model_id;     /* or NULL */
    char *artifact_uri; /* where the files are */
    char *description;  /* of the version, or NULL */
} mlf_model_info;

MLF_API int mlf_model_resolve(mlf_model_info **out, mlf_client *client, const char *uri, mlf_error *error);
MLF_API void mlf_model_info_free(mlf_model_info *info); /* accepts NULL */

/* ---- artifacts, by any URI above; client may be NULL where the URI needs no tracking server ---- */

/* Fetches everything below the URI's artifacts into folder (made when missing). Nothing is ever written outside it; all or nothing becomes visible. What came of a
   download that was cut off waits in the folder (.mlf-download-…), and the same call goes on with it where the store names versions (ETag: buckets, web servers) and
   the machine was not started anew; the next download of something else into the folder removes it. */
MLF_API int mlf_artifacts_download(mlf_client *client, const char *uri, const char *folder, mlf_error *error);

typedef struct mlf_transfer_options {
    int version;  /* MLF_ABI_VERSION */
    int threads;  /* files on their way at once, at most 16; 0: 4 */
    void (*progress)(void *context, int64_t bytes); /* further bytes have gone or come; called from any thread; NULL: nobody asks */
    void *context;
    int64_t max_bytes; /* of a download altogether: beyond it MLF_E_REPLY, at once where the store says the sizes, and nothing is kept; 0: no limit */
    void *reserved[7];
} mlf_transfer_options;

#define MLF_TRANSFER_OPTIONS_INIT {.version = MLF_ABI_VERSION}

/* As mlf_artifacts_download(), with options (may be NULL). */
MLF_API int mlf_artifacts_fetch(mlf_client *client, const char *uri, const char *folder, const mlf_transfer_options *options, mlf_error *error);
/* A file (which keeps its name), or everything in a folder, below the URI. */
MLF_API int mlf_artifacts_upload(mlf_client *client, const char *local_path, const char *uri, const mlf_transfer_options *options, mlf_error *error);
/* What the URI stands for: a file, or all below a folder. Already gone is fine. */
MLF_API int mlf_artifacts_delete(mlf_client *client, const char *uri, mlf_error *error);

typedef struct mlf_artifact {
    char *path;         /* the name in the listed folder */
    int is_dir;
    int64_t size_bytes; /* -1: a folder, or not said */
} mlf_artifact;

/* What stands directly below the URI, sorted by name. *items (count): mlf_artifacts_free(). */
MLF_API int mlf_artifacts_list(mlf_artifact **items, size_t *count, mlf_client *client, const char *uri, mlf_error *error);
MLF_API void mlf_artifacts_free(mlf_artifact *items, size_t count); /* accepts NULL */

/* A stream of bytes from a URI (a file, http(s)://, s3://, gs://, mlflow-artifacts:, runs:/…, models:/…), gone on with after a cut connection and
   checked at its end against the store's size and digest. One thread at a time. */
typedef struct mlf_source mlf_source;
MLF_API int mlf_source_open(mlf_source **out, mlf_client *client, const char *uri, mlf_error *error);
/* *got: size bytes, fewer only where the stream ends or breaks, 0 at the end. A file that is cut short or has another digest fails at the last read, not silently. */
MLF_API int mlf_source_read(mlf_source *source, void *bytes, size_t size, size_t *got, mlf_error *error);
MLF_API int64_t mlf_source_size(const mlf_source *source); /* bytes, -1 when the store does not say; known after the first read */
MLF_API void mlf_source_close(mlf_source *source);         /* accepts NULL */

/* A stream of bytes to a URI. Nothing is visible there before commit; abort leaves nothing behind. One thread at a time. */
typedef struct mlf_sink mlf_sink;
MLF_API int mlf_sink_open(mlf_sink **out, mlf_client *client, const char *uri, mlf_error *error);
MLF_API int mlf_sink_write(mlf_sink *sink, const void *bytes, size_t length, mlf_error *error);
MLF_API int mlf_sink_commit(mlf_sink *sink, mlf_error *error); /* frees the sink, also on failure (then nothing is visible) */
MLF_API void mlf_sink_abort(mlf_sink *sink);                   /* frees it; accepts NULL */

/* ---- journals: what waits on disk, and sending it later ---- */

typedef struct mlf_sync_report {
    uint64_t journals;             /* found */
    uint64_t sent, waiting, busy;  /* of these: taken whole by the server and removed; left for the next time; in use by another process */
    uint64_t points, operations;   /* taken by the server now */
    uint64_t refused;              /* records the server will never take: DIR/refused-KEY.jsonl names each with its reason */
    uint64_t lost_bytes;           /* that could not be read (a torn or damaged write): at a journal's end, cut off, or before frames that are whole, passed over */
    uint64_t lost_points, lost_operations; /* made out in those bytes: at least so many will never arrive */
    uint64_t reserved[5];
} mlf_sync_report;

typedef struct mlf_sync_options {
    int version;       /* MLF_ABI_VERSION */
    int connections;   /* used at once; 0: 4 */
    int timeout_ms;    /* give up when the server took nothing for so long; 0: 60,000; -1: never */
    void (*progress)(void *context, const char *journal, const char *run_id, const char *state, uint64_t points); /* a line for a person each time one begins, waits for its server or ends */
    void *context;
    void *reserved[8];
} mlf_sync_options;

#define MLF_SYNC_OPTIONS_INIT {.version = MLF_ABI_VERSION}

/* Sends the journals in dirs (n_dirs; each a journal folder or a folder of them; none: the client's own), oldest first. May be repeated and interrupted at any
   point: what the server has is not sent again, and nothing is made twice. Each goes to the server that the client's options name; where they name none, to the one
   it was recorded for (with the environment's login only where that is MLFLOW_TRACKING_URI's host, or none is set), else to MLFLOW_TRACKING_URI. 0 when all that could be opened was taken, also where a part of a journal was lost (see report->lost_bytes); else the first reason why not.
   *report (may be NULL) is filled in either case. Blocks. */
MLF_API int mlf_sync(mlf_client *client, const char *const *dirs, size_t n_dirs, const mlf_sync_options *options, mlf_sync_report *report, mlf_error *error);

typedef struct mlf_journal mlf_journal; /* one journal, open for reading; its owner may go on writing */

typedef struct mlf_journal_info {
    const char *path, *key;     /* live with the journal */
    const char *run_id;         /* the server's; empty while it has none */
    const char *holder;         /* "host process" of who writes or sends it now; empty when nobody does */
    const char *tracking_uri;   /* the server it was recorded for; empty when none was named */
    int ended;                  /* 1: the run's end was taken by the server */
    uint64_t bytes, bytes_taken; /* of the log; of these the server has */
    uint64_t points_taken, operations_taken, refused;
    void *reserved[3];
} mlf_journal_info;

typedef struct mlf_journal_record {
    int is_point, is_taken;     /* is_taken 1: the server has it */
    const char *kind;           /* "metric", "create", "param", "tag", "input", "artifact", "model", "register", "alias", "end", "continue" */
    const char *key;            /* of a point; NUL-terminated; until the next call */
    double value;               /* of a point */
    int64_t timestamp_ms, step; /* of a point */
    const char *json;           /* of an operation; NUL-terminated; until the next call */
} mlf_journal_record;

/* The paths of the journals below dir (NULL: the client's own), oldest first, NULL at the end: one block, mlf_free(). Any thread; no network. */
MLF_API int mlf_journal_list(char ***paths, mlf_client *client, const char *dir, mlf_error *error);
MLF_API int mlf_journal_open(mlf_journal **out, const char *path, mlf_error *error);
MLF_API void mlf_journal_info_get(const mlf_journal *journal, mlf_journal_info *info);
MLF_API int mlf_journal_next(mlf_journal *journal, mlf_journal_record *record, mlf_error *error); /* MLF_E_END after the last; MLF_E_INTEGRITY where it is damaged, once: the next call goes on behind */
MLF_API void mlf_journal_close(mlf_journal *journal); /* accepts NULL */

#ifdef __cplusplus
}
#endif
#endif
