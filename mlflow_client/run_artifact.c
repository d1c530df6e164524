/* run_artifact.c: artifacts of a run: sent by the call itself while the server answers (noted in the journal while it lasts, cut_off.h), else copied into the
   journal, which sends them later. */
#include "alloc.h"
#include "client.h"
#include "client_error.h"
#include "cut_off.h"
#include "file.h"
#include "folder.h"
#include "memory_file.h"
#include "run.h"
#include "tree.h"
#include "validate.h"
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
static int note_copy(mlf_run *run, const char *file, const char *target, mlf_error *error)
{
    json_t *records = json_array(), *record;
    size_t i;
    int code = records ? mlf_waiting_artifacts(records, mlf_run_folder(run), file, target, error) : mlf_error_memory(error);
    json_array_foreach(records, i, record)
        if (!code)
            code = mlf_run_op(run, MLF_OP_ARTIFACT, record, error);
    json_decref(records);
    return code;
}

static int keep_for_later(mlf_run *run, const char *local_path, const char *target, mlf_error *error)
{
    char *file = NULL;
    int code = mlf_waiting_copy(&file, mlf_run_folder(run), local_path, NULL, error);
    if (!code)
        code = note_copy(run, file, target, error);
    sv_free(file);
    return code;
}

/* What the artifact is called in the run: a file keeps its name below the folder, what is in a folder its path. *target: sv_free. */
static int find_target(char **target, const char *local_path, const char *folder, mlf_error *error)
{
    struct stat about;
    const char *slash = strrchr(local_path, '/');
    if (stat(local_path, &about))
        return mlf_error_set(error, MLF_E_IO, "%.600s: cannot be read: %s", local_path, strerror(errno));
    *target = S_ISDIR(about.st_mode) ? sv_strdup(folder) : mlf_uri_join(folder, slash ? slash + 1 : local_path);
    return *target ? 0 : mlf_error_memory(error);
}

/* ---- now, or later ---- */

/* What the call is about to send, as far as its bytes are not known yet; NULL for a name that is no UTF-8, of which nothing is noted. */
static int new_call(json_t **call, const char *target, mlf_error *error)
{
    char key[MLF_JOURNAL_KEY + 1];
    *call = NULL;
    if (mlf_text_length(target) == SIZE_MAX)
        return MLF_OK;
    int code = mlf_journal_key(key, error);
    if (!code && !(*call = json_pack("{s:s, s:s}", "key", key, "path", target)))
        code = mlf_error_memory(error);
    return code;
}

static int send_path(mlf_run *run, const char *local_path, const char *folder, mlf_error *error)
{
    mlf_store *store = NULL;
    int code = open_run(&store, run, error);
    if (!code)
        code = mlf_tree_upload(store, local_path, folder, NULL, UPLOAD_THREADS, error);
    mlf_store_close(store);
    return code;
}

static int send_or_keep(mlf_run *run, const char *local_path, const char *folder, const char *target, mlf_error *error)
{
    mlf_error sent = MLF_ERROR_INIT;
    json_t *call;
    int code = new_call(&call, target, error);
    if (!code)
        code = mlf_cut_off_keep(call, run, "file", local_path, error);
    if (!code)
        code = mlf_cut_off_begin(run, MLF_OP_ARTIFACT, call, error);
    if (code) {
        mlf_cut_off_drop(run, call);
        return code;
    }
    code = send_path(run, local_path, folder, &sent);
    int later = is_for_later(code, &sent);
    if (later)
        code = keep_for_later(run, local_path, target, error);
    else if (code && error && !error->code)
        *error = sent;
    mlf_cut_off_end(run, call, later);
    return code;
}

int mlf_run_log_artifact(mlf_run *run, const char *local_path, const char *artifact_path, mlf_error *error)
{
    const char *folder = artifact_path ? artifact_path : "";
    char *target = NULL;
    int code = mlf_run_check(run, error);
    if (!code)
        code = check_target(folder, error);
    if (!code)
        code = find_target(&target, local_path, folder, error);
    if (code)
        return code;
    mlf_run_hold(run);
    code = mlf_run_is_online(run) ? send_or_keep(run, local_path, folder, target, error) : keep_for_later(run, local_path, target, error);
    mlf_run_release(run);
    sv_free(target);
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
        code = note_copy(run, file.data, artifact_file, error);
    sv_free(path);
    sv_buffer_free(&file);
    sv_buffer_free(&folder);
    return code;
}

static int send_text(mlf_run *run, const char *text, size_t length, const char *artifact_file, mlf_error *error)
{
    mlf_store *store = NULL;
    int fd = -1, code = open_run(&store, run, error);
    if (!code)
        code = mlf_memory_file(&fd, text, length, error);
    if (!code)
        code = store->ops->put(store, artifact_file, fd, (int64_t)length, error);
    if (fd >= 0)
        close(fd);
    mlf_store_close(store);
    return code;
}

static int send_or_keep_text(mlf_run *run, const char *text, size_t length, const char *artifact_file, mlf_error *error)
{
    const char *slash = strrchr(artifact_file, '/');
    mlf_error sent = MLF_ERROR_INIT;
    json_t *call;
    int code = new_call(&call, artifact_file, error);
    if (!code)
        code = mlf_cut_off_keep_text(call, run, text, length, slash ? slash + 1 : artifact_file, error);
    if (!code)
        code = mlf_cut_off_begin(run, MLF_OP_ARTIFACT, call, error);
    if (code) {
        mlf_cut_off_drop(run, call);
        return code;
    }
    code = send_text(run, text, length, artifact_file, &sent);
    int later = is_for_later(code, &sent);
    if (later)
        code = keep_text(run, text, length, artifact_file, error);
    else if (code && error && !error->code)
        *error = sent;
    mlf_cut_off_end(run, call, later);
    return code;
}

int mlf_run_log_text(mlf_run *run, const char *text, size_t length, const char *artifact_file, mlf_error *error)
{
    int code = mlf_run_check(run, error);
    if (!code)
        code = *artifact_file ? check_target(artifact_file, error) : mlf_error_set(error, MLF_E_ARGUMENT, "an artifact needs a name");
    if (code)
        return code;
    mlf_run_hold(run);
    code = mlf_run_is_online(run) ? send_or_keep_text(run, text, length, artifact_file, error) : keep_text(run, text, length, artifact_file, error);
    mlf_run_release(run);
    return code;
}
