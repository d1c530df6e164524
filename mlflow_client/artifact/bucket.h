/* bucket.h: what the stores of buckets share. A bucket knows keys alone: a folder is what keys begin with, up to a slash. */
#ifndef MLF_BUCKET_H
#define MLF_BUCKET_H

#include "store.h"

/* store->prefix/path, the key of an object; the caller's (sv_free), NULL with *error filled. */
char *mlf_bucket_key(const mlf_store *store, const char *path, mlf_error *error);
/* The same; refuses the bucket itself. */
int mlf_bucket_object_key(char **out, const mlf_store *store, const char *path, mlf_error *error);

/* Asks for one page of what is directly below `prefix` ("" or "…/") and hands each entry on. token: of this page, NULL for the first; *next (sv_free): of the
   one after it, or NULL. */
typedef int mlf_bucket_page_fn(mlf_store *store, const char *prefix, const char *token, mlf_entry_fn *each, void *context, char **next, mlf_error *error);

/* All pages. A listing without end: MLF_E_REPLY. */
int mlf_bucket_list(mlf_store *store, const char *path, mlf_bucket_page_fn *read_page, mlf_entry_fn *each, void *context, mlf_error *error);

/* Every object below path, several at once, and that of path itself, each by remove_key(), to which one that is gone already is fine. */
typedef int mlf_bucket_remove_fn(mlf_store *store, const char *key, mlf_error *error);
int mlf_bucket_remove(mlf_store *store, const char *path, mlf_bucket_remove_fn *remove_key, mlf_error *error);

#endif
