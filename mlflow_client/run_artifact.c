/* run_artifact.c: artifacts of a run: sent by the call itself while the server answers (noted in the journal while it lasts, cut_off.h), else copied into the
   journal, which sends them later. */
#include "alloc.h"
#include "client.h"
#include "client_error.h"
#include "cut_off.h"
#include "file.h"
#include "folder.h"
#include "memory_file.h"
#include "registry.h"
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

/* What is logged: a file or folder of this machine, or (local_path NULL) a text. */
typedef struct artifact {
    const char *local_path, *folder; /* folder: below the run's artifacts */
    const char *text;
    size_t length;
    const char *target; /* what it is called in the run; of a folder, where its files are */
} artifact;

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

static int keep_for_later(mlf_run *run, const artifact *a, mlf_error *error)
{
    const char *journal = mlf_run_folder(run);
    char *file = NULL;
    int code = a->local_path ? mlf_waiting_copy(&file, journal, a->local_path, NULL, error) : mlf_waiting_text(&file, journal, a->text, a->length, a->target, NULL, error);
    if (!code)
        code = note_copy(run, file, a->target, error);
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

static int put_text(mlf_store *store, const artifact *a, mlf_error *error)
{
    int fd = -1, code = mlf_memory_file(&fd, a->text, a->length, error);
    if (!code)
        code = store->ops->put(store, a->target, fd, (int64_t)a->length, error);
    if (fd >= 0)
        close(fd);
    return code;
}

static int send_now(mlf_run *run, const artifact *a, mlf_error *error)
{
    mlf_store *store = NULL;
    int code = open_run(&store, run, error);
    if (!code)
        code = a->local_path ? mlf_tree_upload(store, a->local_path, a->folder, NULL, UPLOAD_THREADS, error) : put_text(store, a, error);
    mlf_store_close(store);
    return code;
}

static int send_or_keep(mlf_run *run, const artifact *a, mlf_error *error)
{
    mlf_error sent = MLF_ERROR_INIT;
    json_t *call;
    int code = new_call(&call, a->target, error);
    if (!code)
        code = a->local_path ? mlf_cut_off_keep(call, run, "file", a->local_path, error) : mlf_cut_off_keep_text(call, run, a->text, a->length, a->target, error);
    if (!code)
        code = mlf_cut_off_begin(run, MLF_OP_ARTIFACT, call, error);
    if (code) {
        mlf_cut_off_drop(run, call);
        return code;
    }
    code = send_now(run, a, &sent);
    int later = mlf_is_for_later(code, &sent);
    if (later)
        code = keep_for_later(run, a, error);
    else if (code && error && !error->code)
        *error = sent;
    mlf_cut_off_end(run, call, later);
    return code;
}

static int log_artifact(mlf_run *run, const artifact *a, mlf_error *error)
{
    mlf_run_hold(run);
    int code = mlf_run_is_online(run) ? send_or_keep(run, a, error) : keep_for_later(run, a, error);
    mlf_run_release(run);
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
    if (!code)
        code = log_artifact(run, &(artifact){.local_path = local_path, .folder = folder, .target = target}, error);
    sv_free(target);
    return code;
}

int mlf_run_log_text(mlf_run *run, const char *text, size_t length, const char *artifact_file, mlf_error *error)
{
    int code = mlf_run_check(run, error);
    if (!code)
        code = *artifact_file ? check_target(artifact_file, error) : mlf_error_set(error, MLF_E_ARGUMENT, "an artifact needs a name");
    return code ? code : log_artifact(run, &(artifact){.text = text, .length = length, .target = artifact_file}, error);
}
