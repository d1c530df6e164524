#include "waiting.h"

#include "alloc.h"
#include "client_error.h"
#include "digest.h"
#include "file.h"
#include "folder.h"
#include "json_text.h"
#include "memory_file.h"
#include "object.h"
#include "tree.h"
#include "validate.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder of its own below the journal's files/, as a store. */
struct place {
    sv_buffer name; /* "files/KEY" */
    char *path;
    mlf_store *store;
};

static int open_place(struct place *place, const char *journal, const char *what, int64_t *room, mlf_error *error)
{
    char key[MLF_JOURNAL_KEY + 1];
    place->name = (sv_buffer)SV_BUFFER_INIT(MLF_PATH_MAX_BYTES);
    place->path = NULL;
    place->store = NULL;
    if (!journal)
        return mlf_error_set(error, MLF_E_STATE, "%.300s: the server cannot be reached, and the journal has no folder where an artifact could wait", what);
    int code = mlf_journal_key(key, error);
    if (!code && (sv_buffer_format(&place->name, "files/%s", key) || !(place->path = mlf_uri_join(journal, place->name.data))))
        code = mlf_error_memory(error);
    if (!code)
        code = mlf_store_open_folder(&place->store, place->path, error);
    if (!code)
        place->store->room = room;
    return code;
}

/* *file: what was put there: all of it, or the one file of that name. A place that was put to no use goes. */
static int close_place(char **file, struct place *place, const char *name, int code, mlf_error *error)
{
    if (!code && ((name && (sv_buffer_byte(&place->name, '/') || sv_buffer_text(&place->name, name))) || !(*file = sv_buffer_take(&place->name))))
        code = mlf_error_memory(error);
    mlf_store_close(place->store);
    if (code && place->path)
        sv_folder_remove(place->path, NULL);
    sv_free(place->path);
    sv_buffer_free(&place->name);
    return code;
}

int mlf_waiting_copy(char **file, const char *journal, const char *local_path, int64_t *room, mlf_error *error)
{
    struct stat about;
    struct place place;
    const char *slash = strrchr(local_path, '/'), *name = slash ? slash + 1 : local_path;
    *file = NULL;
    int code = open_place(&place, journal, local_path, room, error);
    if (!code && stat(local_path, &about))
        code = mlf_error_set(error, MLF_E_IO, "%.600s: cannot be read: %s", local_path, strerror(errno));
    if (!code)
        code = mlf_tree_upload(place.store, local_path, "", NULL, 1, error);
    return close_place(file, &place, !code && S_ISDIR(about.st_mode) ? NULL : name, code, error);
}

int mlf_waiting_text(char **file, const char *journal, const char *text, size_t length, const char *artifact_file, int64_t *room, mlf_error *error)
{
    struct place place;
    const char *slash = strrchr(artifact_file, '/'), *name = slash ? slash + 1 : artifact_file;
    *file = NULL;
    int fd = -1, code = open_place(&place, journal, artifact_file, room, error);
    if (!code)
        code = mlf_memory_file(&fd, text, length, error);
    if (!code)
        code = place.store->ops->put(place.store, name, fd, (int64_t)length, error);
    if (fd >= 0)
        close(fd);
    return close_place(file, &place, name, code, error);
}

int mlf_waiting_digest(char sha256[65], int64_t *size_bytes, const char *path, mlf_error *error)
{
    enum { CHUNK = 1 << 18 };
    mlf_digest digest;
    char *chunk = sv_malloc(CHUNK);
    int fd = -1, code = chunk ? mlf_digest_begin(&digest, MLF_DIGEST_SHA256, error) : mlf_error_memory(error);
    int began = !code;
    if (!code && (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        code = mlf_error_set(error, errno == ENOENT ? MLF_E_INTEGRITY : MLF_E_IO, "%.600s: cannot be read: %s", path, strerror(errno));
    while (!code) {
        ssize_t got = read(fd, chunk, CHUNK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            code = mlf_error_set(error, MLF_E_IO, "%.600s: cannot be read: %s", path, strerror(errno));
        if (got <= 0)
            break;
        mlf_digest_add(&digest, chunk, (size_t)got);
    }
    if (!code) {
        unsigned char bytes[32];
        mlf_digest_sha256(&digest, bytes);
        mlf_hex(sha256, bytes, sizeof bytes);
        *size_bytes = digest.bytes;
    }
    if (began)
        mlf_digest_free(&digest);
    if (fd >= 0)
        close(fd);
    sv_free(chunk);
    return code;
}

static int is_link(const char *path, const struct stat *about, int type, struct FTW *where)
{
    return type == FTW_SL || type == FTW_SLN;
}

static int holds_link(const char *journal, const char *path)
{
    char prefix[4096];
    struct stat about;
    for (const char *at = path + strlen(journal); (at = strchr(at + 1, '/'));) {
        int length = snprintf(prefix, sizeof prefix, "%.*s", (int)(at - path), path);
        if ((size_t)length >= sizeof prefix || (!lstat(prefix, &about) && S_ISLNK(about.st_mode)))
            return 1;
    }
    return nftw(path, is_link, 16, FTW_PHYS) > 0;
}

int mlf_waiting_path(char **path, const char *journal, const char *file, mlf_error *error)
{
    *path = NULL;
    if (!file || !sv_path_is_inside(file) || !journal)
        return mlf_error_set(error, MLF_E_INTEGRITY, "the journal's record of an artifact is damaged");
    if (!(*path = mlf_uri_join(journal, file)))
        return mlf_error_memory(error);
    if (!holds_link(journal, *path))
        return MLF_OK;
    mlf_error_set(error, MLF_E_INTEGRITY, "%.600s: is or holds a symbolic link, which no journal does", *path);
    sv_free(*path);
    *path = NULL;
    return MLF_E_INTEGRITY;
}

static int add_record(json_t *records, const char *journal, const char *file, const char *target, mlf_error *error)
{
    char sha256[65];
    int64_t size_bytes = 0;
    char *path = mlf_uri_join(journal, file);
    int code = path ? mlf_waiting_digest(sha256, &size_bytes, path, error) : mlf_error_memory(error);
    json_t *record = code ? NULL : mlf_waiting_artifact(file, target, size_bytes, sha256);
    if (!code && !record)
        code = mlf_error_set(error, MLF_E_ARGUMENT, "%.300s: the name is no UTF-8", target);
    else if (!code && json_array_append(records, record))
        code = mlf_error_memory(error);
    json_decref(record);
    sv_free(path);
    return code;
}

static int add_folder(json_t *records, const char *journal, const char *file, const char *target, mlf_error *error)
{
    mlf_leaves leaves = {NULL, 0, 0};
    char *path = mlf_uri_join(journal, file);
    int code = path ? mlf_tree_walk_folder(&leaves, path, error) : mlf_error_memory(error);
    for (size_t i = 0; !code && i < leaves.count; i++) {
        char *from = mlf_uri_join(file, leaves.items[i].path), *to = mlf_uri_join(target, leaves.items[i].path);
        code = from && to ? add_record(records, journal, from, to, error) : mlf_error_memory(error);
        sv_free(from);
        sv_free(to);
    }
    mlf_leaves_free(&leaves);
    sv_free(path);
    return code;
}

int mlf_waiting_artifacts(json_t *records, const char *journal, const char *file, const char *target, mlf_error *error)
{
    struct stat about;
    char *path = mlf_uri_join(journal, file);
    if (!path)
        return mlf_error_memory(error);
    int missing = lstat(path, &about) != 0, code = 0;
    if (missing && (errno != ENOENT || strchr(file, '/') != strrchr(file, '/'))) /* the copy of an empty folder is made with its first file: there is none */
        code = mlf_error_set(error, errno == ENOENT ? MLF_E_INTEGRITY : MLF_E_IO, "%.600s: cannot be read: %s", path, strerror(errno));
    else if (!missing && S_ISDIR(about.st_mode))
        code = add_folder(records, journal, file, target, error);
    else if (!missing && S_ISREG(about.st_mode))
        code = add_record(records, journal, file, target, error);
    else if (!missing)
        code = mlf_error_set(error, MLF_E_INTEGRITY, "%.600s: is neither a file nor a folder", path);
    sv_free(path);
    return code;
}

static int is_model(const mlf_journal_record *record, const char *key)
{
    json_t *model = NULL;
    if (!strcmp(record->kind, "model"))
        mlf_json_parse(&model, record->json, strlen(record->json), 0, NULL);
    const char *own = json_string_value(json_object_get(model, "key"));
    int same = own && !strcmp(own, key);
    json_decref(model);
    return same;
}

int mlf_waiting_holds_model(const char *path, const char *key, mlf_error *error)
{
    mlf_journal *journal = NULL;
    mlf_journal_record record;
    int code = mlf_journal_open(&journal, path, error), found = 0;
    while (!code && !found) {
        mlf_error passed = MLF_ERROR_INIT;
        code = mlf_journal_next(journal, &record, &passed);
        if (!code && is_model(&record, key))
            found = record.is_taken ? 2 : 1;
        if (code == MLF_E_INTEGRITY) /* damage: it goes on behind */
            code = MLF_OK;
        else if (code && code != MLF_E_END && error && !error->code)
            *error = passed;
    }
    mlf_journal_close(journal);
    return found || code == MLF_E_END ? found : code;
}

static json_t *pairs(const mlf_pair *items, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        list = mlf_json_append(list, json_pack("[s, s]", items[i].key, items[i].value ? items[i].value : ""));
    return list;
}

json_t *mlf_waiting_artifact(const char *file, const char *artifact_file, int64_t size_bytes, const char *sha256)
{
    return json_pack("{s:s, s:s, s:I, s:s}", "file", file, "path", artifact_file, "size", (json_int_t)size_bytes, "sha256", sha256);
}

json_t *mlf_waiting_model(const char *key, const char *file, const mlf_metric_point *points, const mlf_model_options *options)
{
    json_t *metrics = json_array();
    for (size_t i = 0; i < options->n_metrics; i++)
        metrics = mlf_json_append(metrics, json_pack("[s, o, I, I]", options->metric_keys[i], mlf_json_double(points[i].value), (json_int_t)points[i].timestamp_ms, (json_int_t)points[i].step));
    return json_pack("{s:s, s:s*, s:s, s:s*, s:o, s:o, s:o}", "key", key, "folder", file, "name", options->name ? options->name : "model", "model_type",
                     options->model_type, "params", pairs(options->params, options->n_params), "tags", pairs(options->tags, options->n_tags), "metrics", metrics);
}

json_t *mlf_waiting_register(const char *key, const char *model_uri, const char *name, const mlf_register_options *options)
{
    return json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:s*, s:o}", "key", key, "source", model_uri, "name", name, "description", options->description, "model_description",
                     options->model_description, "alias", options->alias, "tags", pairs(options->tags, options->n_tags));
}
