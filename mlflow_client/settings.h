/* settings.h: what the options, the environment and ~/.mlflow/credentials say, read once when a client is made. Later changes of the environment are not seen. */
#ifndef MLF_SETTINGS_H
#define MLF_SETTINGS_H

#include "mlflow_client.h"

#include <stdint.h>

typedef struct mlf_settings {
    char *tracking_uri, *registry_uri; /* "http(s)://host:port/prefix" without user-info or trailing '/'; empty: none was named */
    int server_is_asked;               /* 1: the options name the tracking server, not the environment */
    char *username, *password, *token; /* NULL: none; a user name wins over a token */
    char *registry_username, *registry_password; /* the user-info of the registry URI, when it had its own */
    const char *credentials_from;      /* where they were found, for doctor: "MLFLOW_TRACKING_USERNAME", "~/.mlflow/credentials"…; static */
    char *workspace;                   /* X-MLFLOW-WORKSPACE, or NULL */
    char *ca_path, *client_cert_path;  /* PEM files, or NULL */
    char *proxy;                       /* for http:// (HTTP_PROXY); https is curl's own reading; NULL: none */
    char *user_agent;
    char *journal_dir;
    int insecure_tls;
    int netrc;                         /* 1: nothing else names credentials, ask ~/.netrc */
    int offline;
    int timeout_ms, deadline_ms, max_retries;
    double backoff_factor, backoff_jitter; /* seconds */
    int respect_retry_after, allow_redirects;
    int max_connections;               /* idle ones kept */
    int tcp_keepalive, tcp_keepalive_idle_s, tcp_keepalive_interval_s;
    int truncate_long_values;          /* MLFLOW_TRUNCATE_LONG_VALUES: 1 cut, 0 refuse */
} mlf_settings;

/* Fills *settings; freed by mlf_settings_free(), on failure too. */
int mlf_settings_read(mlf_settings *settings, const mlf_client_options *options, mlf_error *error);
void mlf_settings_free(mlf_settings *settings);

/* For a server that the environment's login is not meant for: ~/.netrc, which names hosts, alone is asked. */
void mlf_settings_forget_login(mlf_settings *settings);

/* The variable's value, NULL when unset or empty. */
const char *mlf_env(const char *name);

/* true/1/yes/on and false/0/no/off in any case; MLF_E_ARGUMENT names the variable otherwise. */
int mlf_env_flag(int *out, const char *name, int otherwise, mlf_error *error);
int mlf_env_number(double *out, const char *name, double otherwise, double least, double most, mlf_error *error);

#endif
