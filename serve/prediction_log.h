/* prediction_log.h: answered rows as JSON lines in a file, which is rotated by size and count. From the background thread; a disk that takes nothing costs
   lines, which are counted and said once, never an answer. */
#ifndef SV_PREDICTION_LOG_H
#define SV_PREDICTION_LOG_H

#include "buffer.h"
#include "error.h"
#include "serve_config.h"
#include "span.h"

typedef struct sv_prediction_log sv_prediction_log;

struct sv_service;
struct sv_served;

/* SV_E_CONFIG: a name in prediction_log.redact is no input column of any version that is served. */
int sv_redacted_check(const struct sv_service *service, sv_error *error);

/* Warns of redacted columns that old has and fresh, which follows it, has not. */
void sv_redacted_warn(const sv_serve_config *config, const char *key, const struct sv_served *old, const struct sv_served *fresh);

/* Opens prediction_log.file (borrowed, as the whole config). SV_E_IO: it cannot be written. */
int sv_prediction_log_new(sv_prediction_log **out, const sv_serve_config *config, sv_error *error);
void sv_prediction_log_free(sv_prediction_log *log); /* accepts NULL; first what waits */

/* Whether this request is of the sample: the same id always is or never is. Any thread. */
int sv_prediction_log_wants(const sv_prediction_log *log, sv_span request_id);

/* 1: the field's value shall not stand in the file. */
int sv_prediction_log_hides(const sv_prediction_log *log, sv_span field);

/* Whole lines go here, then sv_prediction_log_lines says how many were added; they wait in memory until sv_prediction_log_flush, or until they are 64 KiB or
   a quarter of a file. */
sv_buffer *sv_prediction_log_buffer(sv_prediction_log *log);
void sv_prediction_log_lines(sv_prediction_log *log, size_t n);
void sv_prediction_log_flush(sv_prediction_log *log);

/* Prometheus' text format. Any thread. */
void sv_prediction_log_metrics(const sv_prediction_log *log, sv_buffer *text);

#endif
