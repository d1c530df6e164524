#include "tree.h"

#include "alloc.h"
#include "client.h"
#include "client_error.h"
#include "file.h"
#include "inside.h"
#include "parallel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
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

/* ---- downloading ---- */

struct download {
    mlf_store *store;
    const mlf_leaves *leaves;
    const char *only; /* the name under which the store's root, a single file, is kept; else NULL */
    int stage_fd, folder_fd;
    _Atomic int64_t n_bytes; /* that have come */
};

struct arrival {
    struct download *download;
    mlf_incoming incoming;
    int64_t n_bytes;
};

static int check_size(const mlf_store *store, int64_t bytes, mlf_error *error)
{
    if (!store->max_bytes || bytes <= store->max_bytes)
        return 0;
    return mlf_error_set(error, MLF_E_REPLY, "%.600s: more than %lld bytes, which is the most that is taken; nothing was kept", store->uri, (long long)store->max_bytes);
}

/* What the listing says, so that nothing is fetched in vain. */
static int check_listed_sizes(const mlf_store *store, const mlf_leaves *leaves, mlf_error *error)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < leaves->count; i++)
        if (leaves->items[i].size_bytes > 0 && __builtin_add_overflow(bytes, leaves->items[i].size_bytes, &bytes))
            bytes = INT64_MAX;
    return check_size(store, bytes, error);
}

/* A folder's files come without a request that could be cut short: mlf_client_stop() is looked for between pieces. */
static int check_stopped(const mlf_store *store, mlf_error *error)
{
    return store->client && atomic_load(&store->client->stopped) ? mlf_error_set(error, MLF_E_TIMEOUT, "%.600s: not waited for any longer", store->uri) : 0;
}

static int keep(void *context, const void *bytes, size_t length, mlf_error *error)
{
    struct arrival *arrival = context;
    struct download *download = arrival->download;
    int code = check_size(download->store, atomic_fetch_add(&download->n_bytes, (int64_t)length) + (int64_t)length, error);
    code = code ? code : check_stopped(download->store, error);
    arrival->n_bytes += (int64_t)length;
    return code ? code : mlf_inside_write(&arrival->incoming, bytes, length, error);
}

static const char *target_of(const struct download *download, size_t index)
{
    return download->only ? download->only : download->leaves->items[index].path;
}

/* A proxy may end a cut file as if it were whole; the server's listing knows better. It leaves out a size of 0, and one that its store does not say. */
static int check_arrived(const struct arrival *arrival, const mlf_leaf *leaf, mlf_error *error)
{
    const mlf_store *store = arrival->download->store;
    if (store->ops != &MLF_STORE_PROXY || !leaf || leaf->size_bytes <= 0 || leaf->size_bytes == arrival->n_bytes)
        return 0;
    return mlf_error_set(error, MLF_E_INTEGRITY, "%.300s %.300s: the listing says %lld bytes, %lld came", store->uri, leaf->path, (long long)leaf->size_bytes, (long long)arrival->n_bytes);
}

static int fetch_one(void *context, size_t index, mlf_error *error)
{
    struct download *download = context;
    struct arrival arrival = {.download = download};
    const mlf_leaf *leaf = download->only ? NULL : &download->leaves->items[index];
    int code = check_stopped(download->store, error);
    if (code)
        return code;
    code = mlf_inside_create(&arrival.incoming, download->stage_fd, target_of(download, index), error);
    if (!code)
        code = mlf_store_fetch(download->store, leaf ? leaf->path : "", NULL, keep, &arrival, error);
    if (!code)
        code = check_arrived(&arrival, leaf, error);
    if (!code)
        code = mlf_inside_commit(&arrival.incoming, error);
    mlf_inside_abort(&arrival.incoming);
    return code;
}

#define STAGE ".mlf-download-"

/* Removes the folders that downloads which were killed left in this one. Whoever is alive holds a lock on his. */
static void sweep(const char *folder)
{
    DIR *listing = opendir(folder);
    struct stat about;
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        if (strncmp(entry->d_name, STAGE, strlen(STAGE)))
            continue;
        int fd = openat(dirfd(listing), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        char *path = mlf_uri_join(folder, entry->d_name);
        if (fd >= 0 && path && !fstat(fd, &about) && about.st_uid == geteuid() && !flock(fd, LOCK_EX | LOCK_NB))
            sv_folder_remove(path, NULL);
        if (fd >= 0)
            close(fd);
        sv_free(path);
    }
    if (listing)
        closedir(listing);
}

/* A folder of its own inside the target, locked: *stage is the caller's. */
static int make_stage(char **stage, int *fd, const char *folder, mlf_error *error)
{
    enum { TRIES = 10 }; /* somebody's sweep may have been quicker than our lock */
    int code = 0, held = 0;
    for (int i = 0; !code && !held && i < TRIES; i++) {
        *stage = mlf_uri_join(folder, STAGE "XXXXXX");
        if (!*stage)
            return mlf_error_memory(error);
        code = mkdtemp(*stage) ? 0 : mlf_error_set(error, MLF_E_IO, "%.600s: cannot be written: %s", folder, strerror(errno));
        *fd = code ? -1 : open(*stage, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        held = *fd >= 0 && (!flock(*fd, LOCK_EX | LOCK_NB) || errno != EWOULDBLOCK) && !access(*stage, F_OK); /* a file system without locks has no sweeps */
        if (code || held)
            break;
        if (*fd >= 0)
            close(*fd);
        *fd = -1;
        sv_free(*stage);
        *stage = NULL;
    }
    return code || held ? code : mlf_error_set(error, MLF_E_IO, "%.600s: a folder made in it is gone", folder);
}

/* Everything is fetched there and moved out only when all is here. */
static int fetch_all(struct download *download, const char *folder, size_t count, unsigned threads, mlf_error *error)
{
    char *stage = NULL;
    sweep(folder);
    int code = make_stage(&stage, &download->stage_fd, folder, error);
    if (!code)
        code = mlf_parallel(count, threads, fetch_one, download, error);
    for (size_t i = 0; !code && i < count; i++)
        code = mlf_inside_move(download->stage_fd, download->folder_fd, target_of(download, i), error);
    if (download->stage_fd >= 0) {
        sv_folder_remove(stage, NULL);
        close(download->stage_fd);
    }
    sv_free(stage);
    return code;
}

/* The last segment of the store's URI: the name of the file that it stands for. The caller's. */
static char *last_name(const mlf_store *store)
{
    size_t end = strcspn(store->uri, "?#"), begin;
    while (end && store->uri[end - 1] == '/')
        end--;
    for (begin = end; begin && store->uri[begin - 1] != '/'; begin--)
        ;
    return sv_strndup(store->uri + begin, end - begin);
}

int mlf_tree_download(mlf_store *store, const char *folder, unsigned threads, mlf_error *error)
{
    mlf_leaves leaves = {NULL, 0, 0};
    struct download download = {store, &leaves, NULL, -1, -1, 0};
    char *name = last_name(store);
    int code = name ? mlf_tree_walk(&leaves, store, "", error) : mlf_error_memory(error), made = access(folder, F_OK) != 0;
    if (!code && !leaves.count)
        download.only = sv_path_is_inside(name) ? name : "artifact";
    if (!code)
        code = check_listed_sizes(store, &leaves, error);
    if (!code)
        code = mlf_inside_root(&download.folder_fd, folder, error);
    if (!code)
        code = fetch_all(&download, folder, download.only ? 1 : leaves.count, threads, error);
    if (download.folder_fd >= 0)
        close(download.folder_fd);
    if (code && made)
        rmdir(folder); /* only when it is empty */
    mlf_leaves_free(&leaves);
    sv_free(name);
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

static int local_leaves(mlf_leaves *leaves, const char *local_path, mlf_error *error)
{
    mlf_store *local = NULL;
    int code = mlf_store_open_folder(&local, local_path, error);
    if (!code)
        code = mlf_tree_walk(leaves, local, "", error);
    mlf_store_close(local);
    return code;
}

static int find_leaves(struct upload *upload, mlf_leaves *leaves, mlf_error *error)
{
    struct stat about;
    if (stat(upload->local, &about))
        return mlf_error_set(error, MLF_E_IO, "%.600s: cannot be read: %s", upload->local, strerror(errno));
    if (S_ISDIR(about.st_mode))
        return local_leaves(leaves, upload->local, error);
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
