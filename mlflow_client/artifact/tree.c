#include "tree.h"

#include "alloc.h"
#include "client_error.h"
#include "file.h"
#include "parallel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void mlf_leaves_free(mlf_leaves *leaves)
{
    for (size_t i = 0; i < leaves->count; i++)
        sv_free(leaves->items[i].path);
    sv_free(leaves->items);
    *leaves = (mlf_leaves){NULL, 0, 0};
}

/* Steals path, also on failure. */
static int add_leaf(mlf_leaves *leaves, char *path, int64_t size_bytes, mlf_error *error)
{
    if (leaves->count == leaves->capacity) {
        size_t capacity = leaves->capacity ? 2 * leaves->capacity : 64;
        mlf_leaf *grown = sv_realloc(leaves->items, capacity * sizeof *grown);
        if (!grown) {
            sv_free(path);
            return mlf_error_memory(error);
        }
        leaves->items = grown;
        leaves->capacity = capacity;
    }
    leaves->items[leaves->count++] = (mlf_leaf){path, size_bytes};
    return 0;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const mlf_leaf *)a)->path, ((const mlf_leaf *)b)->path);
}

/* ---- walking ---- */

struct walk {
    mlf_leaves *files, folders; /* folders still to be listed */
    const char *at;             /* the folder being listed */
    size_t seen;
};

/* A name that a store sent: one segment, inside, short enough. */
static int check_name(const char *at, const char *name, mlf_error *error)
{
    if (!sv_path_is_inside(name) || strchr(name, '/') || strlen(name) > 255 || strlen(at) + strlen(name) + 2 > MLF_PATH_MAX_BYTES)
        return mlf_error_set(error, MLF_E_REPLY, "the folder '%.200s' holds '%.200s', which is no name that a file can have everywhere; nothing was kept", at, name);
    size_t depth = 1;
    for (const char *p = at; (p = strchr(p, '/')); p++)
        depth++;
    if (depth > MLF_TREE_MAX_DEPTH)
        return mlf_error_set(error, MLF_E_REPLY, "'%.200s': folders nested deeper than %d", at, MLF_TREE_MAX_DEPTH);
    return 0;
}

static int visit(void *context, const mlf_entry *entry, mlf_error *error)
{
    struct walk *walk = context;
    int code = check_name(walk->at, entry->name, error);
    if (code)
        return code;
    if (++walk->seen > MLF_TREE_MAX_FILES)
        return mlf_error_set(error, MLF_E_REPLY, "more than %d files and folders", MLF_TREE_MAX_FILES);
    char *path = mlf_uri_join(walk->at, entry->name);
    if (!path)
        return mlf_error_memory(error);
    return add_leaf(entry->is_dir ? &walk->folders : walk->files, path, entry->size_bytes, error);
}

int mlf_tree_walk(mlf_leaves *out, mlf_store *store, const char *path, mlf_error *error)
{
    *out = (mlf_leaves){NULL, 0, 0};
    struct walk walk = {out, {NULL, 0, 0}, path, 0};
    int code = store->ops->list(store, path, visit, &walk, error);
    for (size_t i = 0; !code && i < walk.folders.count; i++) {
        walk.at = walk.folders.items[i].path;
        code = store->ops->list(store, walk.at, visit, &walk, error);
    }
    mlf_leaves_free(&walk.folders);
    if (out->count)
        qsort(out->items, out->count, sizeof *out->items, by_path);
    if (code)
        mlf_leaves_free(out);
    return code;
}

int mlf_tree_walk_folder(mlf_leaves *out, const char *folder, mlf_error *error)
{
    mlf_store *local = NULL;
    *out = (mlf_leaves){NULL, 0, 0};
    int code = mlf_store_open_folder(&local, folder, error);
    if (!code)
        code = mlf_tree_walk(out, local, "", error);
    mlf_store_close(local);
    return code;
}

/* ---- uploading ---- */

struct upload {
    mlf_store *store;
    const mlf_leaves *leaves;
    const char *local, *path;
    const char *except; /* a relative path that stays here, or NULL */
    int is_file; /* local is a file: the leaf's path is its name, not below local */
};

static int send_one(void *context, size_t index, mlf_error *error)
{
    struct upload *upload = context;
    const char *relative = upload->leaves->items[index].path;
    if (upload->except && !strcmp(relative, upload->except))
        return 0;
    char *from = upload->is_file ? sv_strdup(upload->local) : mlf_uri_join(upload->local, relative);
    char *to = mlf_uri_join(upload->path, relative);
    int fd = -1, code = from && to ? 0 : mlf_error_memory(error);
    struct stat about;
    if (!code && ((fd = open(from, O_RDONLY | O_CLOEXEC)) < 0 || fstat(fd, &about)))
        code = mlf_error_set(error, MLF_E_IO, "%.600s: cannot be read: %s", from, strerror(errno));
    if (!code)
        code = upload->store->ops->put(upload->store, to, fd, (int64_t)about.st_size, error);
    if (fd >= 0)
        close(fd);
    sv_free(from);
    sv_free(to);
    return code;
}

/* All names before the first byte: a folder is taken or refused as a whole. */
static int check_names(const struct upload *upload, mlf_error *error)
{
    int code = 0;
    for (size_t i = 0; !code && upload->store->ops->check_name && i < upload->leaves->count; i++) {
        char *to = mlf_uri_join(upload->path, upload->leaves->items[i].path);
        code = to ? upload->store->ops->check_name(to, error) : mlf_error_memory(error);
        sv_free(to);
    }
    return code;
}

static int find_leaves(struct upload *upload, mlf_leaves *leaves, mlf_error *error)
{
    struct stat about;
    if (stat(upload->local, &about))
        return mlf_error_set(error, MLF_E_IO, "%.600s: cannot be read: %s", upload->local, strerror(errno));
    if (S_ISDIR(about.st_mode))
        return mlf_tree_walk_folder(leaves, upload->local, error);
    if (!S_ISREG(about.st_mode)) /* its size is not known, and what stat says of it is 0 */
        return mlf_error_set(error, MLF_E_ARGUMENT, "%.600s: expected a file or a folder, got a pipe or a device: write what it gives to a file first", upload->local);
    upload->is_file = 1;
    const char *slash = strrchr(upload->local, '/');
    char *name = sv_strdup(slash ? slash + 1 : upload->local);
    return name ? add_leaf(leaves, name, (int64_t)about.st_size, error) : mlf_error_memory(error);
}

int mlf_tree_upload(mlf_store *store, const char *local_path, const char *path, const char *except, unsigned threads, mlf_error *error)
{
    mlf_leaves leaves = {NULL, 0, 0};
    struct upload upload = {store, &leaves, local_path, path, except, 0};
    int code = *path && !sv_path_is_inside(path)
                   ? mlf_error_set(error, MLF_E_ARGUMENT, "'%.300s': an artifact path that does not stay inside the run's", path)
                   : find_leaves(&upload, &leaves, error);
    if (!code)
        code = check_names(&upload, error);
    if (!code)
        code = mlf_parallel(leaves.count, threads, send_one, &upload, error);
    mlf_leaves_free(&leaves);
    return code;
}
