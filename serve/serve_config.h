/* serve_config.h: what solvent-serve is told: one struct, one table of keys (serve_config.c), read from a strict YAML file and from options. */
#ifndef SV_SERVE_CONFIG_H
#define SV_SERVE_CONFIG_H

#include "arena.h"
#include "error.h"

#include <stddef.h>

typedef struct sv_text_list {
    const char **texts; /* (n) */
    size_t n;
} sv_text_list;

typedef struct sv_serve_config {
    sv_arena arena; /* holds every text below */
    const char *model, *host, *cache, *shadow, *split;
    sv_text_list model_names, model_uris; /* models: {name: URI}, in order; the first answers at the root */
    long port, threads, poll_seconds;
    const char *webhook_secret;
    sv_text_list api_keys;   /* SHA-256 of each key, 64 hexadecimal digits */
    sv_text_list cors_origins;
    const char *tls_certificate, *tls_key;
    const char *access_log;  /* a file, or "-" for standard error; NULL: none */
    long feedback_keep;
    const char *monitor_experiment; /* NULL: off */
    long monitor_every_seconds;
    const char *prediction_log_file;
    long prediction_log_max_bytes, prediction_log_files;
    double prediction_log_sample;
    sv_text_list prediction_log_redact;
    long drift_window_seconds, drift_min_rows;
    double drift_threshold;
    long max_body_bytes, max_head_bytes, max_target_bytes, max_rows, max_connections, max_buffered_bytes;
    long head_timeout_ms, request_timeout_ms, idle_timeout_ms, drain_timeout_ms;
} sv_serve_config;

/* Every key at its default. */
void sv_serve_config_init(sv_serve_config *config);
void sv_serve_config_free(sv_serve_config *config);

/* Reads a file over what is there. SV_E_CONFIG: "FILE:LINE:COLUMN: …" with the nearest known key. ${NAME} in a text is the environment's. */
int sv_serve_config_read(sv_serve_config *config, const char *path, sv_error *error);

/* One key, as --set would: a number, a text. */
int sv_serve_config_set(sv_serve_config *config, const char *key, const char *text, sv_error *error);

/* What needs more than one key: a model is there, both halves of TLS, the keys' form. */
int sv_serve_config_check(const sv_serve_config *config, sv_error *error);

/* Every key with its default and meaning, one line each, to standard output. */
void sv_serve_config_help(void);


#endif
