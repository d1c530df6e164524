/* mlflow_client.h: MLflow for C. The one public header of libmlflow-client.

   Every function returns 0 or a negative mlf_code; detail goes to the caller's own mlf_error (may be NULL; the first error wins).
   Handles are opaque. `**out` belongs to the caller, who frees it with the function named beside; a returned `const char *` lives with its parent.
   Options begin from MLF_…_OPTIONS_INIT and may be NULL. Unless said otherwise a function blocks on the network and may be called from any thread. */
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
MLF_API const char *mlf_client_tracking_uri(const mlf_client *client);

/* Sends until everything logged by every run of this client has been taken by the server. MLF_E_TIMEOUT when timeout_ms (-1: no limit) passes first;
   the data then stays in the journal. */
MLF_API int mlf_flush(mlf_client *client, int timeout_ms, mlf_error *error);

/* Any endpoint: path begins with "/api/…"; body is JSON text or NULL. *reply is the body (mlf_free), NUL-terminated. */
MLF_API int mlf_request(char **reply, mlf_client *client, const char *method, const char *path, const char *body, mlf_error *error);
MLF_API void mlf_free(void *block); /* accepts NULL */

typedef struct mlf_pair { const char *key, *value; } mlf_pair;

/* ---- experiments ---- */

/* The id of the experiment of that name, made when it is missing. NULL: MLFLOW_EXPERIMENT_NAME, MLFLOW_EXPERIMENT_ID, "0". *id: mlf_free(). */
MLF_API int mlf_experiment_ensure(char **id, mlf_client *client, const char *name, mlf_error *error);

/* ---- runs: logging never waits for the network ---- */

typedef struct mlf_run mlf_run;

typedef enum mlf_status { MLF_RUNNING, MLF_SCHEDULED, MLF_FINISHED, MLF_FAILED, MLF_KILLED } mlf_status;

typedef struct mlf_run_options {
    int version;               /* MLF_ABI_VERSION */
    const char *experiment;    /* name; NULL: as mlf_experiment_ensure(NULL) */
    const char *run_id;        /* go on with this run; NULL: MLFLOW_RUN_ID once, else a new run */
    const char *name;          /* NULL: the server invents one */
    const char *parent_run_id; /* nested below it; NULL: none */
    const char *description;   /* Markdown; NULL: none */
    const mlf_pair *tags;      /* (n_tags), copied; user, source and git tags are added */
    size_t n_tags;
    const char *source_name;   /* NULL: the program's path */
    int system_metrics;        /* 1 on, 0 off, -1: as MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING says; default -1 */
    void *reserved[8];
} mlf_run_options;

#define MLF_RUN_OPTIONS_INIT {.version = MLF_ABI_VERSION, .system_metrics = -1}

/* A new run, or one continued. When the server cannot be reached the run begins in the journal and this still succeeds. Freed by mlf_run_end() or mlf_run_free(). */
MLF_API int mlf_run_create(mlf_run **out, mlf_client *client, const mlf_run_options *options, mlf_error *error);

/* The server's id; while the run is only in the journal, the client-made key of 32 hex digits. */
MLF_API const char *mlf_run_id(const mlf_run *run);
MLF_API const char *mlf_run_experiment_id(const mlf_run *run); /* empty while only in the journal */

/* Queue and return: no system call, no lock held during I/O, safe from any thread. MLF_E_ARGUMENT for a key MLflow would refuse. Now is the timestamp. */
MLF_API int mlf_run_log_metric(mlf_run *run, const char *key, double value, int64_t step);
MLF_API int mlf_run_log_metrics(mlf_run *run, const char *const *keys, const double *values, size_t n, int64_t step);             /* several keys, one step */
MLF_API int mlf_run_log_series(mlf_run *run, const char *key, const int64_t *steps, const double *values, size_t n);              /* one key, several steps */
MLF_API int mlf_run_log_param(mlf_run *run, const char *key, const char *value, mlf_error *error);
MLF_API int mlf_run_set_tag(mlf_run *run, const char *key, const char *value, mlf_error *error);

typedef struct mlf_dataset {
    const char *name, *digest, *source_type, *source; /* source: JSON text */
    const char *schema, *profile;                     /* JSON text; may be NULL */
    const char *context;                              /* "training", "validation", …; may be NULL */
} mlf_dataset;

MLF_API int mlf_run_log_input(mlf_run *run, const mlf_dataset *dataset, mlf_error *error);

/* A file or a whole folder (recursively) below the run's artifacts. artifact_path is the folder there, NULL for the root. */
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
    const char *const *metric_keys; /* (n_metrics): final metrics that stand on the model's page too */
    const double *metric_values;
    size_t n_metrics;
    /* Called after the model has its id and before its files are sent, so that MLmodel can name it; model_id is NULL on a 2.x server. 0 to go on. */
    int (*prepare)(void *context, const char *folder, const char *model_id, const char *artifact_uri, const char *run_id);
    void *context;
    void *reserved[8];
} mlf_model_options;

#define MLF_MODEL_OPTIONS_INIT {.version = MLF_ABI_VERSION}

/* Logs a folder that holds an MLmodel: as a LoggedModel where the server has them (MLflow 3), else below the run. *model_uri ("models:/m-…" or "runs:/…/model"): mlf_free(). */
MLF_API int mlf_run_log_model(char **model_uri, mlf_run *run, const char *folder, const mlf_model_options *options, mlf_error *error);

typedef struct mlf_register_options {
    int version;              /* MLF_ABI_VERSION */
    const char *description;  /* Markdown; NULL: none */
    const mlf_pair *tags;
    size_t n_tags;
    const char *alias;        /* set on the new version; NULL: none */
    void *reserved[8];
} mlf_register_options;

#define MLF_REGISTER_OPTIONS_INIT {.version = MLF_ABI_VERSION}

/* Makes the registered model when it is missing and a new version of it. *version (decimal): mlf_free(); NULL: not wanted. */
MLF_API int mlf_model_register(char **version, mlf_run *run, const char *model_uri, const char *name, const mlf_register_options *options, mlf_error *error);
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

/* Fetches everything below the URI's artifacts into folder (made when missing). Nothing is ever written outside it; all or nothing becomes visible. */
MLF_API int mlf_artifacts_download(mlf_client *client, const char *uri, const char *folder, mlf_error *error);

typedef struct mlf_transfer_options {
    int version;  /* MLF_ABI_VERSION */
    int threads;  /* files on their way at once, at most 16; 0: 4 */
    void (*progress)(void *context, int64_t bytes); /* further bytes have gone or come; called from any thread; NULL: nobody asks */
    void *context;
    void *reserved[8];
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
/* *got: 1 … size bytes, or 0 at the end. A file that is cut short or has another digest fails at the last read, not silently. */
MLF_API int mlf_source_read(mlf_source *source, void *bytes, size_t size, size_t *got, mlf_error *error);
MLF_API int64_t mlf_source_size(const mlf_source *source); /* bytes, -1 when the store does not say; known after the first read */
MLF_API void mlf_source_close(mlf_source *source);         /* accepts NULL */

/* A stream of bytes to a URI. Nothing is visible there before commit; abort leaves nothing behind. One thread at a time. */
typedef struct mlf_sink mlf_sink;
MLF_API int mlf_sink_open(mlf_sink **out, mlf_client *client, const char *uri, mlf_error *error);
MLF_API int mlf_sink_write(mlf_sink *sink, const void *bytes, size_t length, mlf_error *error);
MLF_API int mlf_sink_commit(mlf_sink *sink, mlf_error *error); /* frees the sink, also on failure (then nothing is visible) */
MLF_API void mlf_sink_abort(mlf_sink *sink);                   /* frees it; accepts NULL */

#ifdef __cplusplus
}
#endif
#endif
