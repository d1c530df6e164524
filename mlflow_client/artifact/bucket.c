#include "bucket.h"

#include "alloc.h"
#include "buffer.h"
#include "client_error.h"
#include "parallel.h"
#include "tree.h"

#include <string.h>

enum { MAX_PAGES = 1000, REMOVE_THREADS = 4 };

char *mlf_bucket_key(const mlf_store *store, const char *path, mlf_error *error)
{
    char *key = mlf_uri_join(store->prefix, path);
    if (!key)
        mlf_error_memory(error);
    return key;
}

int mlf_bucket_object_key(char **out, const mlf_store *store, const char *path, mlf_error *error)
{
    *out = mlf_bucket_key(store, path, error);
    if (!*out)
        return MLF_E_MEMORY;
    return **out ? 0 : mlf_error_set(error, MLF_E_ARGUMENT, "%.300s: names a bucket, expected an object in it", store->uri);
}

int mlf_bucket_list(mlf_store *store, const char *path, mlf_bucket_page_fn *read_page, mlf_entry_fn *each, void *context, mlf_error *error)
{
    char *key = mlf_bucket_key(store, path, error), *token = NULL;
    sv_buffer prefix = SV_BUFFER_INIT(0);
    int code = !key || sv_buffer_text(&prefix, key) || (*key && sv_buffer_byte(&prefix, '/')) ? mlf_error_memory(error) : 0;
    for (int page = 0; !code; page++) {
        char *next = NULL;
        code = read_page(store, prefix.data ? prefix.data : "", token, each, context, &next, error);
        if (!code && next && (page == MAX_PAGES || (token && !strcmp(token, next))))
            code = mlf_error_set(error, MLF_E_REPLY, "%.300s: a listing without end", store->uri);
        sv_free(token);
        token = next;
        if (!token)
            break;
    }
    sv_free(key);
    sv_free(token);
    sv_buffer_free(&prefix);
    return code;
}

/* ---- removing ---- */

struct removal {
    mlf_store *store;
    const mlf_leaves *leaves;
    mlf_bucket_remove_fn *remove_key;
};

static int remove_path(const struct removal *removal, const char *path, mlf_error *error)
{
    char *key = mlf_bucket_key(removal->store, path, error);
    int code = key ? removal->remove_key(removal->store, key, error) : MLF_E_MEMORY;
    sv_free(key);
    return code;
}

static int remove_leaf(void *context, size_t index, mlf_error *error)
{
    const struct removal *removal = context;
    return remove_path(removal, removal->leaves->items[index].path, error);
}

int mlf_bucket_remove(mlf_store *store, const char *path, mlf_bucket_remove_fn *remove_key, mlf_error *error)
{
    mlf_leaves leaves = {NULL, 0, 0};
    struct removal removal = {store, &leaves, remove_key};
    int code = mlf_tree_walk(&leaves, store, path, error);
    if (!code)
        code = mlf_parallel(leaves.count, REMOVE_THREADS, remove_leaf, &removal, error);
    if (!code && (*path || *store->prefix))
        code = remove_path(&removal, path, error);
    mlf_leaves_free(&leaves);
    return code;
}
