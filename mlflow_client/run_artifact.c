/* run_artifact.c: artifacts of a run: sent at once while the server answers, else copied into the journal, which sends them later. */
#include "alloc.h"
#include "client.h"
#include "client_error.h"
#include "file.h"
#include "folder.h"
#include "memory_file.h"
#include "run.h"
#include "tree.h"
#include "waiting.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { UPLOAD_THREADS = 4 };

/* The run's artifacts on the server. One quick look: when it fails, the journal is the better place to wait. */
static int open_run(mlf_store **out, mlf_run *run, mlf_error *error)
{
    char uri[300];
    mlf_model_info *info = NULL;
    snprintf(uri, sizeof uri, "runs:/%s", mlf_run_id(run));
    int code = mlf_model_resolve(&info, mlf_run_client(run), uri, error);
    if (!code)
        code = mlf_store_open(out, mlf_run_client(run), info->artifact_uri, error);
    if (!code)
        (*out)->max_retries = 1;
    mlf_model_info_free(info);
    return code;
}

static int check_target(const char *path, mlf_error *error)
{
    if (*path && (!sv_path_is_inside(path) || strlen(path) >= MLF_PATH_MAX_BYTES))
        return mlf_error_set(error, MLF_E_ARGUMENT, "'%.300s': an artifact path that does not stay inside the run's", path);
    return 0;
}

/* 1 when the journal should take over: the server may be back later. */
static int is_for_later(int code, const mlf_error *error)
{
    return code && (error->retriable || code == MLF_E_CONNECT || code == MLF_E_TIMEOUT);
}

/* ---- later ---- */

/* One record for each file of the copy. */
static int note_file(mlf_run *run, const char *file, const char *target, mlf_error *error)
{
    char sha256[65];
    int64_t size_bytes = 0;
    char *path = mlf_uri_join(mlf_run_folder(run), file);
    int code = path ? mlf_waiting_digest(sha256, &size_bytes, path, error) : mlf_error_memory(error);
    json_t *payload = code ? NULL : mlf_waiting_artifact(file, target, size_bytes, sha256);
    if (!code)
        code = payload ? mlf_run_op(run, MLF_OP_ARTIFACT, payload, error) : mlf_error_set(error, MLF_E_ARGUMENT, "%.300s: the name is no UTF-8", target);
    json_decref(payload);
    sv_free(path);
    return code;
}

static int note_folder(mlf_run *run, const char *file, const char *target, mlf_error *error)
{
    mlf_leaves leaves = {NULL, 0, 0};
    mlf_store *store = NULL;
    char *path = mlf_uri_join(mlf_run_folder(run), file);
    int code = path ? mlf_store_open_folder(&store, path, error) : mlf_error_memory(error);
    int is_empty = !code && access(path, F_OK) && errno == ENOENT; /* the copy is made with its first file */
    if (!code && !is_empty)
        code = mlf_tree_walk(&leaves, store, "", error);
    for (size_t i = 0; !code && i < leaves.count; i++) {
        char *from = mlf_uri_join(file, leaves.items[i].path), *to = mlf_uri_join(target, leaves.items[i].path);
        code = from && to ? note_file(run, from, to, error) : mlf_error_memory(error);
        sv_free(from);
        sv_free(to);
    }
    mlf_leaves_free(&leaves);
    mlf_store_close(store);
    sv_free(path);
    return code;
}

static int keep_for_later(mlf_run *run, const char *local_path, const char *folder, mlf_error *error)
{
    struct stat about;
    char *file = NULL, *target = NULL;
    int code = mlf_waiting_copy(&file, mlf_run_folder(run), local_path, error);
    if (!code && stat(local_path, &about))
        code = mlf_error_set(error, MLF_E_IO, "%.600s: cannot be read: %s", local_path, strerror(errno));
    if (!code && S_ISDIR(about.st_mode))
        code = note_folder(run, file, folder, error);
    else if (!code) {
        target = mlf_uri_join(folder, strrchr(file, '/') + 1);
        code = target ? note_file(run, file, target, error) : mlf_error_memory(error);
    }
    sv_free(file);
    sv_free(target);
    return code;
}

/* ---- now, or later ---- */

int mlf_run_log_artifact(mlf_run *run, const char *local_path, const char *artifact_path, mlf_error *error)
{
    const char *folder = artifact_path ? artifact_path : "";
    mlf_error sent = MLF_ERROR_INIT;
    mlf_store *store = NULL;
    int code = mlf_run_check(run, error);
    if (!code)
        code = check_target(folder, error);
    if (code)
        return code;
    if (!mlf_run_is_online(run))
        return keep_for_later(run, local_path, folder, error);
    code = open_run(&store, run, &sent);
    if (!code)
        code = mlf_tree_upload(store, local_path, folder, NULL, UPLOAD_THREADS, &sent);
    mlf_store_close(store);
    if (is_for_later(code, &sent))
        return keep_for_later(run, local_path, folder, error);
    if (code && error && !error->code)
        *error = sent;
    return code;
}

/* The bytes as a file of the right name in a folder of the journal's making. */
static int keep_text(mlf_run *run, const char *text, size_t length, const char *artifact_file, mlf_error *error)
{
    char key[MLF_JOURNAL_KEY + 1];
    sv_buffer file = SV_BUFFER_INIT(MLF_PATH_MAX_BYTES), folder = SV_BUFFER_INIT(MLF_PATH_MAX_BYTES);
    const char *slash = strrchr(artifact_file, '/');
    sv_error made = SV_ERROR_INIT;
    char *path = NULL;
    if (!mlf_run_folder(run))
        return mlf_error_set(error, MLF_E_STATE, "%.300s: the server cannot be reached, and the journal has no folder where an artifact could wait", artifact_file);
    int code = mlf_journal_key(key, error);
    if (!code && (sv_buffer_format(&folder, "%s/files/%s", mlf_run_folder(run), key) || sv_buffer_format(&file, "files/%s/%s", key, slash ? slash + 1 : artifact_file) ||
                  !(path = mlf_uri_join(mlf_run_folder(run), file.data))))
        code = mlf_error_memory(error);
    if (!code && (sv_folder_make(folder.data, &made) || sv_file_write(path, text, length, &made)))
        code = mlf_error_from_base(error, &made);
    if (!code)
        code = note_file(run, file.data, artifact_file, error);
    sv_free(path);
    sv_buffer_free(&file);
    sv_buffer_free(&folder);
    return code;
}

int mlf_run_log_text(mlf_run *run, const char *text, size_t length, const char *artifact_file, mlf_error *error)
{
    mlf_error sent = MLF_ERROR_INIT;
    mlf_store *store = NULL;
    int fd = -1, code = mlf_run_check(run, error);
    if (!code)
        code = *artifact_file ? check_target(artifact_file, error) : mlf_error_set(error, MLF_E_ARGUMENT, "an artifact needs a name");
    if (code)
        return code;
    if (!mlf_run_is_online(run))
        return keep_text(run, text, length, artifact_file, error);
    code = open_run(&store, run, &sent);
    if (!code)
        code = mlf_memory_file(&fd, text, length, &sent);
    if (!code)
        code = store->ops->put(store, artifact_file, fd, (int64_t)length, &sent);
    if (fd >= 0)
        close(fd);
    mlf_store_close(store);
    if (is_for_later(code, &sent))
        return keep_text(run, text, length, artifact_file, error);
    if (code && error && !error->code)
        *error = sent;
    return code;
}
