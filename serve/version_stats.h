/* version_stats.h: what each version did since the start: requests, rows, time. A version's figures stay when it no longer answers, since labels come
   late; of the oldest that do not answer they are given up when SV_VERSIONS_MAX are known. */
#ifndef SV_VERSION_STATS_H
#define SV_VERSION_STATS_H

#include "buffer.h"
#include "live_figures.h"

#include <stdint.h>

#define SV_VERSIONS_MAX 128

typedef struct sv_version_stats sv_version_stats; /* of one version in one place */
typedef struct sv_versions sv_versions;           /* all of a service */

int sv_versions_new(sv_versions **out, unsigned n_workers); /* 0 or SV_E_MEMORY */
void sv_versions_free(sv_versions *versions);               /* accepts NULL */

/* The figures of that version, found again or begun; they are not given up before sv_versions_release (accepts NULL). version NULL: "". NULL only when
   SV_VERSIONS_MAX versions answer at once. Any thread. */
sv_version_stats *sv_versions_take(sv_versions *versions, const char *model, const char *version, sv_task task);
void sv_versions_release(sv_versions *versions, sv_version_stats *stats);

/* A request answered, from worker's thread. NULL stats: nothing. */
void sv_version_count(sv_version_stats *stats, unsigned worker, int status, size_t n_rows, int64_t nanoseconds);

const char *sv_version_text(const sv_version_stats *stats); /* "3"; "" when it has none. As long as it is not given up */

/* What the ledger remembers a version by; 0 of NULL. */
uint32_t sv_version_serial(const sv_version_stats *stats);

/* The truth of a prediction that the version of that serial made; nothing when its figures were given up. Any thread. */
void sv_versions_tell(sv_versions *versions, uint32_t serial, const sv_tapped *prediction, double truth);

/* What was told of that version so far. Any thread. */
void sv_versions_live(sv_versions *versions, const sv_version_stats *stats, sv_live_figures *out);

/* {"model", "version", "labels", …}, … of the versions of these places (NULL: none) that were told anything, the newest first. Any thread. */
void sv_versions_write_live(sv_versions *versions, const char *const *models, size_t n_models, sv_buffer *json);

/* Prometheus' text format. Any thread. */
void sv_versions_write(sv_versions *versions, sv_buffer *text);

#endif
