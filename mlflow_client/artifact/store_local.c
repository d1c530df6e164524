/* store_local.c: a folder of this machine: plain paths and file: URIs. */
#include "alloc.h"
#include "client_error.h"
#include "file.h"
#include "inside.h"
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES (256u * 1024)
#define LINK_BYTES (1 << 20) /* below it a copy costs little, and a file that is changed in place later is no matter */

struct mlf_upload {
    mlf_incoming incoming;
};

static int local_open(mlf_store *store, const mlf_uri *uri, mlf_error *error)
{
    store->state = sv_strdup(uri->path);
    return store->state ? 0 : mlf_error_memory(error);
}

static void local_close(mlf_store *store)
{
    sv_free(store->state);
}

/* The file's whole path, the caller's; NULL with *error filled. */
static char *whole_path(const mlf_store *store, const char *path, mlf_error *error)
{
    if (*path && !sv_path_is_inside(path)) {
        mlf_error_set(error, MLF_E_ARGUMENT, "'%.300s': a path that does not stay inside its folder", path);
        return NULL;
    }
    char *whole = mlf_uri_join(store->state, path);
    if (!whole)
        mlf_error_memory(error);
    return whole;
}

static int failed(mlf_error *error, const char *path, const char *what)
{
    int code = errno == ENOENT || errno == ENOTDIR ? MLF_E_NOT_FOUND : MLF_E_IO;
    return mlf_error_set(error, code, "%.600s: %s: %s", path, what, strerror(errno));
}

static int tell(int folder_fd, const char *name, mlf_entry_fn *each, void *context, mlf_error *error)
{
    struct stat about;
    int is_link = !fstatat(folder_fd, name, &about, AT_SYMLINK_NOFOLLOW) && S_ISLNK(about.st_mode);
    if (fstatat(folder_fd, name, &about, 0) || !(S_ISREG(about.st_mode) || (S_ISDIR(about.st_mode) && !is_link)))
        return 0; /* a socket, a dangling link, a link to a folder (which may lead in a circle) */
    const mlf_entry entry = {name, S_ISDIR(about.st_mode), S_ISDIR(about.st_mode) ? -1 : (int64_t)about.st_size};
    return each(context, &entry, error);
}

static int local_list(mlf_store *store, const char *path, mlf_entry_fn *each, void *context, mlf_error *error)
{
    char *whole = whole_path(store, path, error);
    if (!whole)
        return MLF_E_ARGUMENT;
    int code = 0;
    DIR *folder = opendir(whole);
    if (!folder && errno != ENOTDIR)
        code = failed(error, whole, "cannot be listed");
    for (struct dirent *entry; folder && !code && (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            code = tell(dirfd(folder), entry->d_name, each, context, error);
    if (folder)
        closedir(folder);
    sv_free(whole);
    return code;
}

static int copy_out(mlf_store *store, int fd, int64_t offset, const char *path, mlf_bytes_fn *each, void *context, mlf_error *error)
{
    char *chunk = sv_malloc(CHUNK_BYTES);
    int code = chunk ? 0 : mlf_error_memory(error);
    while (!code) {
        ssize_t got = pread(fd, chunk, CHUNK_BYTES, offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            code = failed(error, path, "cannot be read");
        if (got <= 0)
            break;
        offset += got;
        code = each(context, chunk, (size_t)got, error);
        mlf_store_progress(store, got);
    }
    sv_free(chunk);
    return code;
}

static int local_get(mlf_store *store, const char *path, int64_t offset, mlf_object *object, mlf_bytes_fn *each, void *context, mlf_error *error)
{
    char *whole = whole_path(store, path, error);
    if (!whole)
        return MLF_E_ARGUMENT;
    struct stat about;
    int fd = open(whole, O_RDONLY | O_CLOEXEC), code = 0;
    if (fd < 0 || fstat(fd, &about))
        code = failed(error, whole, "cannot be opened");
    else if (!S_ISREG(about.st_mode) && !S_ISFIFO(about.st_mode) && !S_ISCHR(about.st_mode))
        code = mlf_error_set(error, MLF_E_NOT_FOUND, "%.600s: expected a file, got a folder", whole);
    else {
        object->size_bytes = S_ISREG(about.st_mode) ? (int64_t)about.st_size : -1;
        code = copy_out(store, fd, offset, whole, each, context, error);
    }
    if (fd >= 0)
        close(fd);
    sv_free(whole);
    return code;
}

static int local_begin(mlf_upload **out, mlf_store *store, const char *path, mlf_error *error)
{
    const char *root = store->state, *last = strrchr(root, '/');
    char *folder = *path ? sv_strdup(root) : last ? sv_strndup(root, last == root ? 1 : (size_t)(last - root)) : sv_strdup(".");
    const char *name = *path ? path : last ? last + 1 : root;
    mlf_upload *upload = sv_calloc(1, sizeof *upload);
    int root_fd = -1, code = folder && upload ? 0 : mlf_error_memory(error);
    if (!code)
        code = mlf_inside_root(&root_fd, folder, error);
    if (!code)
        code = mlf_inside_create(&upload->incoming, root_fd, name, error);
    if (root_fd >= 0)
        close(root_fd);
    sv_free(folder);
    if (code)
        sv_free(upload);
    else
        *out = upload;
    return code;
}

static int local_write(mlf_upload *upload, const void *bytes, size_t length, mlf_error *error)
{
    return mlf_inside_write(&upload->incoming, bytes, length, error);
}

static int local_commit(mlf_upload *upload, mlf_error *error)
{
    return mlf_inside_commit(&upload->incoming, error);
}

static void local_abort(mlf_upload *upload)
{
    mlf_inside_abort(&upload->incoming);
    sv_free(upload);
}

struct copying {
    mlf_upload *upload;
    int64_t bytes;
};

static int copy_in(void *context, const void *bytes, size_t length, mlf_error *error)
{
    struct copying *copying = context;
    copying->bytes += (int64_t)length;
    return local_write(copying->upload, bytes, length, error);
}

/* 0: it has its second name; 1: it is to be copied. */
static int hold(mlf_store *store, const char *path, int fd, int64_t size, mlf_error *error)
{
    int root_fd = -1, code = size < LINK_BYTES && size <= *store->room ? 1 : mlf_inside_root(&root_fd, store->state, error);
    if (!code)
        code = mlf_inside_link(root_fd, path, fd, error);
    if (root_fd >= 0)
        close(root_fd);
    if (code == 1 && size > *store->room)
        return mlf_error_set(error, MLF_E_UNSUPPORTED, "%.600s: too large to be copied", path);
    *store->room -= code == 1 ? size : 0;
    return code;
}

static int local_put(mlf_store *store, const char *path, int fd, int64_t size, mlf_error *error)
{
    struct copying copying = {NULL, 0};
    int copies = store->room ? hold(store, path, fd, size, error) : 1;
    if (copies != 1)
        return copies;
    int code = local_begin(&copying.upload, store, path, error);
    if (!code)
        copying.upload->incoming.unsynced = store->room != NULL;
    if (!code)
        code = copy_out(store, fd, 0, path, copy_in, &copying, error);
    if (!code && copying.bytes != size)
        code = mlf_error_set(error, MLF_E_INTEGRITY, "%.600s: expected %lld bytes, copied %lld", path, (long long)size, (long long)copying.bytes);
    if (!code)
        code = local_commit(copying.upload, error);
    if (copying.upload)
        local_abort(copying.upload);
    return code;
}

static int local_remove(mlf_store *store, const char *path, mlf_error *error)
{
    char *whole = whole_path(store, path, error);
    if (!whole)
        return MLF_E_ARGUMENT;
    sv_error removed = SV_ERROR_INIT;
    int code = sv_folder_remove(whole, &removed) ? mlf_error_from_base(error, &removed) : 0;
    sv_free(whole);
    return code;
}

const mlf_store_ops MLF_STORE_LOCAL = {
    .schemes = "",
    .open = local_open,
    .close = local_close,
    .list = local_list,
    .get = local_get,
    .put = local_put,
    .remove = local_remove,
    .begin = local_begin,
    .write = local_write,
    .commit = local_commit,
    .abort = local_abort,
};
