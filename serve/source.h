/* source.h: from a model URI to a served version: resolve, fetch, load, check; the last good one is kept on disk. */
#ifndef SV_SOURCE_H
#define SV_SOURCE_H

#include "served.h"

typedef struct sv_source sv_source;

typedef struct sv_source_options {
    const char *uri;       /* a folder, models:/…, runs:/… */
    const char *cache_dir; /* where fetched packages are kept; NULL: $XDG_CACHE_HOME/solvent-serve, else ~/.cache/solvent-serve, else a temporary folder */
    unsigned n_batches;    /* threads that will score */
} sv_source_options;

int sv_source_new(sv_source **out, const sv_source_options *options, sv_error *error);
void sv_source_free(sv_source *source); /* accepts NULL */

/* The version the URI stands for now. *out is NULL (and 0 returned) when it is the one returned last. SV_E_NETWORK: the registry cannot be asked. */
int sv_source_poll(sv_source *source, sv_served **out, sv_error *error);

/* The last version that was taken, from disk. SV_E_IO when there is none. */
int sv_source_kept(sv_source *source, sv_served **out, sv_error *error);

/* From now on something is being served, and sv_source_poll gives a silent registry up sooner (10 s a question, not 60; so it does when there is a kept
   copy): the next round asks again. Before any other thread polls or stops. */
int sv_source_follow(sv_source *source, sv_error *error);

/* A poll under way fails within a second, later ones at once. From any thread, also from a signal handler. */
void sv_source_stop(sv_source *source);

/* The version that sv_source_poll returned last was found good (it becomes the kept one) or bad (it is not offered again, and
   its files are removed; nothing happens when the last poll fetched nothing). */
void sv_source_accept(sv_source *source, const sv_served *served);
void sv_source_reject(sv_source *source);

/* The version whose package the last sv_source_poll fetched, also when it could not be loaded: "3", a model id; "": nothing new was fetched. Valid until
   the next poll. */
const char *sv_source_offered(const sv_source *source);

/* 1 when the URI is a folder: nothing to follow. */
int sv_source_is_folder(const sv_source *source);

/* A short name for routes: the registered name, else the folder's last part. Static as long as the source. */
const char *sv_source_name(const sv_source *source);

#endif
