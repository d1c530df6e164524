/* download.c: a tree or a file out of a store: everything comes into a folder inside the target (the stage) and is moved out when all of it is here. The stage of an address
   is found again: a download that was cut off goes on where it was, file by file, where the store says which version it sends (ETag). */
#include "tree.h"

#include "alloc.h"
#include "client.h"
#include "client_error.h"
#include "digest.h"
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

enum { BOOT_ID = 37, PART_NAME = 33, TAG_NAME = PART_NAME + 4, TAG_TEXT = 300, KEEP_BYTES = 1 << 20 };

struct download {
    mlf_store *store;
    const mlf_leaves *leaves;
    const char *only; /* the name under which the store's root, a single file, is kept; else NULL */
    int stage_fd, folder_fd;
    int is_found_again; /* 1: the stage has the address's name */
    char boot[BOOT_ID]; /* of the machine; empty: not known. What a power cut left of a part may be anything of the right size */
    _Atomic int64_t n_bytes; /* that have come */
    atomic_int n_tagged;     /* parts that a later download can go on with */
};

struct arrival {
    struct download *download;
    const char *target;
    char name[PART_NAME], tag[TAG_NAME]; /* in the stage */
    mlf_begun begun;
    int64_t n_bytes;
    int is_tagged;
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

/* ---- one file ---- */

/* Which version the part is of: "BOOT SIZE ETAG\n". A part without it is begun anew. */
static void write_tag(struct arrival *arrival)
{
    struct download *download = arrival->download;
    const mlf_object *object = &arrival->begun.object;
    arrival->is_tagged = 1;
    if (!*object->etag || !*download->boot || !download->is_found_again)
        return;
    int fd = openat(download->stage_fd, arrival->tag, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 && dprintf(fd, "%s %lld %s\n", download->boot, (long long)object->size_bytes, object->etag) > 0)
        atomic_fetch_add(&download->n_tagged, 1);
    if (fd >= 0)
        close(fd);
}

static void read_tag(struct arrival *arrival)
{
    char text[TAG_TEXT], boot[BOOT_ID];
    mlf_object *object = &arrival->begun.object;
    long long size_bytes;
    int at = 0, fd = openat(arrival->download->stage_fd, arrival->tag, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = '\0';
    if (sscanf(text, "%36s %lld %n", boot, &size_bytes, &at) != 2 || !at || strcmp(boot, arrival->download->boot))
        return;
    size_t length = strcspn(text + at, "\n");
    if (!length || text[(size_t)at + length] != '\n' || length >= sizeof object->etag)
        return;
    object->size_bytes = size_bytes;
    memcpy(object->etag, text + at, length);
    object->etag[length] = '\0';
}

/* From its first byte. */
static void begin_anew(struct arrival *arrival)
{
    atomic_fetch_sub(&arrival->download->n_bytes, arrival->n_bytes);
    arrival->n_bytes = arrival->begun.bytes = 0;
    arrival->is_tagged = 0;
    arrival->begun.object = (mlf_object){.size_bytes = -1};
}

static int open_part(struct arrival *arrival, mlf_error *error)
{
    struct download *download = arrival->download;
    mlf_begun *begun = &arrival->begun;
    struct stat about;
    begun->fd = openat(download->stage_fd, arrival->name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (begun->fd < 0 || fstat(begun->fd, &about) || !S_ISREG(about.st_mode) || about.st_nlink != 1)
        return mlf_error_set(error, MLF_E_IO, "%.300s: cannot be written: %s", arrival->target, begun->fd < 0 ? strerror(errno) : "its part is no file of ours");
    begin_anew(arrival);
    read_tag(arrival);
    if (*begun->object.etag)
        begun->bytes = about.st_size;
    if (begun->bytes && begun->bytes == begun->object.size_bytes)
        begun->bytes--; /* something is asked for, so that the store says whether it still is that version */
    if (begun->object.size_bytes >= 0 && begun->bytes > begun->object.size_bytes)
        begin_anew(arrival);
    return 0;
}

static int keep(void *context, const void *bytes, size_t length, mlf_error *error)
{
    struct arrival *arrival = context;
    struct download *download = arrival->download;
    if (!arrival->is_tagged)
        write_tag(arrival);
    int code = check_size(download->store, atomic_fetch_add(&download->n_bytes, (int64_t)length) + (int64_t)length, error);
    code = code ? code : check_stopped(download->store, error);
    arrival->n_bytes += (int64_t)length;
    if (!code && sv_write_all(arrival->begun.fd, bytes, length))
        code = mlf_error_set(error, MLF_E_IO, "%.300s: cannot be written: %s", arrival->target, strerror(errno));
    return code;
}

static const char *target_of(const struct download *download, size_t index)
{
    return download->only ? download->only : download->leaves->items[index].path;
}

static void name_part(char name[PART_NAME], const char *target)
{
    char hash[65];
    mlf_sha256_hex(hash, target, strlen(target));
    snprintf(name, PART_NAME, "%.32s", hash);
}

/* A proxy may end a cut file as if it were whole; the server's listing knows better. It leaves out a size of 0, and one that its store does not say. */
static int check_arrived(const struct arrival *arrival, const mlf_leaf *leaf, mlf_error *error)
{
    const mlf_store *store = arrival->download->store;
    if (store->ops != &MLF_STORE_PROXY || !leaf || leaf->size_bytes <= 0 || leaf->size_bytes == arrival->n_bytes)
        return 0;
    return mlf_error_set(error, MLF_E_INTEGRITY, "%.300s %.300s: the listing says %lld bytes, %lld came", store->uri, leaf->path, (long long)leaf->size_bytes, (long long)arrival->n_bytes);
}

/* From begun.bytes on, which stay. */
static int fetch_rest(struct arrival *arrival, const mlf_leaf *leaf, mlf_error *error)
{
    struct download *download = arrival->download;
    mlf_begun *begun = &arrival->begun;
    if (ftruncate(begun->fd, (off_t)begun->bytes) || lseek(begun->fd, (off_t)begun->bytes, SEEK_SET) < 0)
        return mlf_error_set(error, MLF_E_IO, "%.300s: cannot be written: %s", arrival->target, strerror(errno));
    arrival->n_bytes = begun->bytes;
    int code = check_size(download->store, atomic_fetch_add(&download->n_bytes, begun->bytes) + begun->bytes, error);
    mlf_store_progress(download->store, code ? 0 : begun->bytes);
    if (!code)
        code = mlf_store_fetch(download->store, leaf ? leaf->path : "", NULL, begun, keep, arrival, error);
    return code ? code : check_arrived(arrival, leaf, error);
}

static int fetch_one(void *context, size_t index, mlf_error *error)
{
    struct download *download = context;
    struct arrival arrival = {.download = download, .target = target_of(download, index), .begun = {.fd = -1}};
    const mlf_leaf *leaf = download->only ? NULL : &download->leaves->items[index];
    mlf_error fetched = MLF_ERROR_INIT;
    name_part(arrival.name, arrival.target);
    snprintf(arrival.tag, sizeof arrival.tag, "%s.tag", arrival.name);
    int code = check_stopped(download->store, &fetched);
    if (!code)
        code = open_part(&arrival, &fetched);
    int64_t had = arrival.begun.bytes;
    if (!code)
        code = fetch_rest(&arrival, leaf, &fetched);
    if (had && (code == MLF_E_INTEGRITY || fetched.http_status == 416)) { /* another version by now, or the part is not what it should be */
        mlf_store_progress(download->store, -had);
        fetched = (mlf_error)MLF_ERROR_INIT;
        begin_anew(&arrival);
        code = fetch_rest(&arrival, leaf, &fetched);
    }
    if (code == MLF_E_INTEGRITY)
        unlinkat(download->stage_fd, arrival.tag, 0);
    if (!code && fsync(arrival.begun.fd))
        code = mlf_error_set(&fetched, MLF_E_IO, "%.300s: cannot be written: %s", arrival.target, strerror(errno));
    if (arrival.begun.fd >= 0)
        close(arrival.begun.fd);
    if (code && error && !error->code)
        *error = fetched;
    return code;
}

/* ---- the stage ---- */

#define STAGE ".mlf-download-"

/* Removes the folders that downloads of other addresses left in this one when they were killed. Whoever is alive holds a lock on his. */
static void sweep(const char *folder, const char *own)
{
    DIR *listing = opendir(folder);
    struct stat about;
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        if (strncmp(entry->d_name, STAGE, strlen(STAGE)) || !strcmp(entry->d_name, own))
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

/* The one that a download of this address left, or makes: 1; 0: somebody is at it now, or it is not to be trusted, or the file system keeps no locks. */
static int find_stage(char **stage, int *fd, const char *folder, const char *name)
{
    struct stat about, named;
    *stage = mlf_uri_join(folder, name);
    int is_there = *stage && (!mkdir(*stage, 0700) || errno == EEXIST);
    *fd = is_there ? open(*stage, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    int held = *fd >= 0 && !fstat(*fd, &about) && about.st_uid == geteuid() && !(about.st_mode & 022) && !flock(*fd, LOCK_EX | LOCK_NB) && !stat(*stage, &named) &&
               named.st_ino == about.st_ino && named.st_dev == about.st_dev; /* somebody's sweep may have been quicker than our lock */
    if (held)
        return 1;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    sv_free(*stage);
    *stage = NULL;
    return 0;
}

/* A new one, locked: *stage is the caller's. */
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

static void read_boot(char boot[BOOT_ID])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, boot, BOOT_ID - 1);
    boot[got == BOOT_ID - 1 ? got : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

/* Is what has come worth keeping for the next try? */
static int goes_on(const struct download *download, int code, const mlf_error *error)
{
    int passes = error->retriable || code == MLF_E_CONNECT || code == MLF_E_TIMEOUT;
    return code && passes && atomic_load(&download->n_tagged) && atomic_load(&download->n_bytes) >= KEEP_BYTES;
}

static int move_out(const struct download *download, size_t count, mlf_error *error)
{
    int code = 0;
    for (size_t i = 0; !code && i < count; i++) {
        char name[PART_NAME];
        name_part(name, target_of(download, i));
        code = mlf_inside_move_as(download->stage_fd, name, download->folder_fd, target_of(download, i), error);
    }
    return code;
}

/* Everything is fetched there and moved out only when all is here. */
static int fetch_all(struct download *download, const char *folder, size_t count, unsigned threads, mlf_error *error)
{
    char *stage = NULL, hash[65], name[sizeof STAGE + 16];
    mlf_error fetched = MLF_ERROR_INIT;
    mlf_sha256_hex(hash, download->store->uri, strlen(download->store->uri));
    snprintf(name, sizeof name, STAGE "%.16s", hash);
    sweep(folder, name);
    read_boot(download->boot);
    download->is_found_again = find_stage(&stage, &download->stage_fd, folder, name);
    int code = download->is_found_again ? 0 : make_stage(&stage, &download->stage_fd, folder, &fetched);
    if (!code)
        code = mlf_parallel(count, threads, fetch_one, download, &fetched);
    if (!code)
        code = move_out(download, count, &fetched);
    if (download->stage_fd >= 0 && !goes_on(download, code, &fetched))
        sv_folder_remove(stage, NULL);
    if (download->stage_fd >= 0)
        close(download->stage_fd);
    sv_free(stage);
    if (code && error && !error->code)
        *error = fetched;
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
    struct download download = {.store = store, .leaves = &leaves, .stage_fd = -1, .folder_fd = -1};
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
