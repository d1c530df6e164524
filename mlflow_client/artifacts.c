/* artifacts.c: listing, fetching, sending and deleting artifacts by any URI: models:/…, runs:/…, a store's own, a folder. */
#include "alloc.h"
#include "client.h"
#include "client_error.h"
#include "tree.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_THREADS = 4 };

/* The store behind a URI, resolved first. */
static int open_store(mlf_store **out, mlf_client *client, const char *uri, const mlf_transfer_options *options, mlf_error *error)
{
    mlf_model_info *info = NULL;
    *out = NULL;
    int code = mlf_model_resolve(&info, client, uri, error);
    if (!code)
        code = mlf_store_open(out, client, info->artifact_uri, error);
    if (!code && options) {
        (*out)->progress = options->progress;
        (*out)->progress_context = options->context;
        (*out)->max_bytes = options->max_bytes;
    }
    mlf_model_info_free(info);
    return code;
}

static unsigned threads_of(const mlf_transfer_options *options)
{
    return options && options->threads > 0 ? (unsigned)options->threads : DEFAULT_THREADS;
}

int mlf_artifacts_fetch(mlf_client *client, const char *uri, const char *folder, const mlf_transfer_options *options, mlf_error *error)
{
    mlf_store *store = NULL;
    int code = open_store(&store, client, uri, options, error);
    if (!code)
        code = mlf_tree_download(store, folder, threads_of(options), error);
    mlf_store_close(store);
    return code;
}

int mlf_artifacts_download(mlf_client *client, const char *uri, const char *folder, mlf_error *error)
{
    return mlf_artifacts_fetch(client, uri, folder, NULL, error);
}

int mlf_artifacts_upload(mlf_client *client, const char *local_path, const char *uri, const mlf_transfer_options *options, mlf_error *error)
{
    mlf_store *store = NULL;
    int code = open_store(&store, client, uri, options, error);
    if (!code)
        code = mlf_tree_upload(store, local_path, "", NULL, threads_of(options), error);
    mlf_store_close(store);
    return code;
}

int mlf_artifacts_delete(mlf_client *client, const char *uri, mlf_error *error)
{
    mlf_store *store = NULL;
    int code = open_store(&store, client, uri, NULL, error);
    if (!code)
        code = store->ops->remove(store, "", error);
    mlf_store_close(store);
    return code;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const mlf_artifact *)a)->path, ((const mlf_artifact *)b)->path);
}

struct listing {
    mlf_artifact *items; /* (count) */
    size_t count, capacity;
};

static int collect(void *context, const mlf_entry *entry, mlf_error *error)
{
    struct listing *listing = context;
    if (listing->count == MLF_TREE_MAX_FILES)
        return mlf_error_set(error, MLF_E_REPLY, "a listing of more than %d entries", MLF_TREE_MAX_FILES);
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity ? 2 * listing->capacity : 32;
        mlf_artifact *grown = sv_realloc(listing->items, capacity * sizeof *grown);
        if (!grown)
            return mlf_error_memory(error);
        listing->items = grown;
        listing->capacity = capacity;
    }
    mlf_artifact *item = &listing->items[listing->count];
    *item = (mlf_artifact){sv_strdup(entry->name), entry->is_dir, entry->size_bytes};
    if (!item->path)
        return mlf_error_memory(error);
    listing->count++;
    return 0;
}

int mlf_artifacts_list(mlf_artifact **items, size_t *count, mlf_client *client, const char *uri, mlf_error *error)
{
    struct listing listing = {NULL, 0, 0};
    mlf_store *store = NULL;
    int code = open_store(&store, client, uri, NULL, error);
    if (!code)
        code = store->ops->list(store, "", collect, &listing, error);
    if (!code && listing.count)
        qsort(listing.items, listing.count, sizeof *listing.items, by_name);
    if (code) {
        mlf_artifacts_free(listing.items, listing.count);
        listing = (struct listing){NULL, 0, 0};
    }
    *items = listing.items;
    *count = listing.count;
    mlf_store_close(store);
    return code;
}

void mlf_artifacts_free(mlf_artifact *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sv_free(items[i].path);
    sv_free(items);
}
