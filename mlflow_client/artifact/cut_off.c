#include "cut_off.h"

#include "alloc.h"
#include "client_error.h"
#include "file.h"
#include "json_text.h"
#include "run.h"
#include "tree.h"
#include "validate.h"
#include "waiting.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEAL_SIZE = 64 };

/* ---- the bytes ---- */

/* Adds up what would change when somebody wrote to one of the files. */
static int add_to_seal(int64_t *bytes, int64_t *newest_ns, const char *path, mlf_error *error)
{
    struct stat about;
    if (stat(path, &about))
        return mlf_error_set(error, errno == ENOENT ? MLF_E_INTEGRITY : MLF_E_IO, "%.600s: cannot be read: %s", path, strerror(errno));
    int64_t changed_ns = (int64_t)about.st_mtim.tv_sec * 1000000000 + about.st_mtim.tv_nsec;
    *bytes += about.st_size;
    if (changed_ns > *newest_ns)
        *newest_ns = changed_ns;
    return 0;
}

/* Of a file, or of all below a folder; of one that is not there: of no bytes. */
static int make_seal(char seal[SEAL_SIZE], const char *path, mlf_error *error)
{
    struct stat about;
    mlf_leaves leaves = {NULL, 0, 0};
    int64_t bytes = 0, newest_ns = 0;
    int is_folder = !stat(path, &about) && S_ISDIR(about.st_mode), code = 0;
    if (is_folder)
        code = mlf_tree_walk_folder(&leaves, path, error);
    else if (!access(path, F_OK))
        code = add_to_seal(&bytes, &newest_ns, path, error);
    for (size_t i = 0; !code && i < leaves.count; i++) {
        char *file = mlf_uri_join(path, leaves.items[i].path);
        code = file ? add_to_seal(&bytes, &newest_ns, file, error) : mlf_error_memory(error);
        sv_free(file);
    }
    snprintf(seal, SEAL_SIZE, "%lld bytes, %lld ns", (long long)bytes, (long long)newest_ns);
    mlf_leaves_free(&leaves);
    return code;
}

/* Removes the folder below files/ that was made for it: "files/KEY" of "files/KEY/name". */
static void drop(const char *journal, const char *file)
{
    char path[MLF_PATH_MAX_BYTES];
    const char *key = file ? strchr(file, '/') : NULL;
    if (key && snprintf(path, sizeof path, "%s/%.*s", journal, (int)(key - file) + 1 + (int)strcspn(key + 1, "/"), file) < (int)sizeof path)
        sv_folder_remove(path, NULL);
}

/* The kept bytes get their seal; where they cannot be kept they are only named. */
static int say_kept(json_t *payload, const char *journal, const char *name, const char *file, int kept, mlf_error *error)
{
    char seal[SEAL_SIZE];
    mlf_error passed = MLF_ERROR_INIT;
    char *path = kept ? NULL : mlf_uri_join(journal, file);
    int code = kept ? kept : path ? make_seal(seal, path, &passed) : MLF_E_MEMORY;
    sv_free(path);
    if (!code && (json_object_set_new(payload, "seal", json_string(seal)) || json_object_set_new(payload, name, json_string(file))))
        code = mlf_text_length(file) == SIZE_MAX ? MLF_E_ARGUMENT : MLF_E_MEMORY;
    if (code && !kept)
        drop(journal, file);
    return code == MLF_E_MEMORY ? mlf_error_memory(error) : MLF_OK;
}

/* Is it worth to begin? On another disk everything is copied. What cannot be told is tried. */
static int is_small_or_near(const char *local_path, const char *journal)
{
    struct stat there, here;
    mlf_leaves leaves = {NULL, 0, 0};
    int64_t bytes = 0;
    if (stat(local_path, &there) || stat(journal, &here) || there.st_dev == here.st_dev)
        return 1;
    if (!S_ISDIR(there.st_mode))
        return there.st_size <= MLF_CUT_OFF_COPIES;
    mlf_tree_walk_folder(&leaves, local_path, NULL);
    for (size_t i = 0; i < leaves.count && bytes <= MLF_CUT_OFF_COPIES; i++)
        bytes += leaves.items[i].size_bytes;
    mlf_leaves_free(&leaves);
    return bytes <= MLF_CUT_OFF_COPIES;
}

int mlf_cut_off_keep(json_t *payload, mlf_run *run, const char *name, const char *local_path, mlf_error *error)
{
    const char *journal = mlf_run_folder(run);
    int64_t room = MLF_CUT_OFF_COPIES;
    char *file = NULL;
    mlf_error passed = MLF_ERROR_INIT;
    if (!journal || !payload)
        return MLF_OK;
    if (json_object_set_new(payload, "from", json_string(local_path)))
        json_object_del(payload, "from"); /* no UTF-8 */
    int kept = is_small_or_near(local_path, journal) ? mlf_waiting_copy(&file, journal, local_path, &room, &passed) : MLF_E_UNSUPPORTED;
    int code = say_kept(payload, journal, name, file, kept, error);
    sv_free(file);
    return code;
}

int mlf_cut_off_keep_text(json_t *payload, mlf_run *run, const char *text, size_t length, const char *artifact_file, mlf_error *error)
{
    const char *journal = mlf_run_folder(run);
    int64_t room = MLF_CUT_OFF_COPIES;
    char *file = NULL;
    mlf_error passed = MLF_ERROR_INIT;
    if (!journal || !payload)
        return MLF_OK;
    int kept = mlf_waiting_text(&file, journal, text, length, artifact_file, &room, &passed);
    int code = say_kept(payload, journal, "file", file, kept, error);
    sv_free(file);
    return code;
}

/* ---- a call ---- */

int mlf_cut_off_begin(mlf_run *run, mlf_op_kind kind, const json_t *payload, mlf_error *error)
{
    return payload ? mlf_run_call_begin(run, kind, payload, error) : MLF_OK;
}

static const char *kept_file(const json_t *payload)
{
    const char *file = json_string_value(json_object_get(payload, "file"));
    return file ? file : json_string_value(json_object_get(payload, "folder"));
}

void mlf_cut_off_end(mlf_run *run, json_t *payload, int kept)
{
    if (!payload)
        return;
    if (mlf_run_call_end(run, json_string_value(json_object_get(payload, "key")), kept))
        drop(mlf_run_folder(run), kept_file(payload));
    json_decref(payload);
}

void mlf_cut_off_drop(mlf_run *run, json_t *payload)
{
    if (mlf_run_folder(run))
        drop(mlf_run_folder(run), kept_file(payload));
    json_decref(payload);
}

/* ---- after a kill ---- */

/* Are the kept bytes still those? MLF_OK; MLF_E_INTEGRITY with the reason why not. */
static int check_bytes(const char *journal, const json_t *payload, mlf_error *error)
{
    char seal[SEAL_SIZE];
    const char *file = kept_file(payload), *expected = json_string_value(json_object_get(payload, "seal")), *from = json_string_value(json_object_get(payload, "from"));
    if (!from)
        from = json_string_value(json_object_get(payload, "path"));
    if (!file)
        return mlf_error_set(error, MLF_E_INTEGRITY, "the program ended while it sent %.600s, of which the journal had no copy: send it again", from ? from : "it");
    if (!expected)
        return mlf_error_set(error, MLF_E_INTEGRITY, "calls.jrn: not what it should hold");
    char *path;
    int code = mlf_waiting_path(&path, journal, file, error);
    if (!code)
        code = make_seal(seal, path, error);
    sv_free(path);
    if (!code && strcmp(seal, expected))
        code = mlf_error_set(error, MLF_E_INTEGRITY, "the program ended while it sent %.600s, which was changed since: send it again", from ? from : file);
    return code;
}

/* The records that finish one call, appended to the array. */
static int records_of(json_t *records, const char *journal, int kind, json_t *payload, mlf_error *error)
{
    mlf_error why = MLF_ERROR_INIT;
    const char *target = json_string_value(json_object_get(payload, "path"));
    int code = kind == MLF_OP_REGISTER ? MLF_OK : check_bytes(journal, payload, &why);
    if (!code && kind == MLF_OP_ARTIFACT)
        code = mlf_waiting_artifacts(records, journal, kept_file(payload), target ? target : "", &why);
    else if (!code)
        code = json_array_append(records, payload) ? MLF_E_MEMORY : MLF_OK;
    if (code == MLF_E_INTEGRITY || code == MLF_E_ARGUMENT) { /* it is put aside with its reason when its turn comes */
        int is_text = mlf_text_length(why.message) != SIZE_MAX; /* a name in it may be cut inside a letter, or no UTF-8 */
        json_t *reason = json_string(is_text ? why.message : "the program ended while it sent this, which cannot be sent by its name: send it again");
        code = json_array_clear(records) || json_object_set_new(payload, "why", reason) || json_array_append(records, payload) ? MLF_E_MEMORY : MLF_OK;
    } else if (code && error && !error->code)
        *error = why;
    return code == MLF_E_MEMORY ? mlf_error_memory(error) : code;
}

static int put_records(sv_buffer *frames, int kind, const json_t *records, mlf_error *error)
{
    int code = MLF_OK;
    for (size_t i = 0; !code && i < json_array_size(records); i++) {
        sv_buffer text = SV_BUFFER_INIT(0);
        if (mlf_json_text(&text, json_array_get(records, i)) || mlf_frame_op(frames, kind, text.data, text.size))
            code = mlf_error_memory(error);
        sv_buffer_free(&text);
    }
    return code;
}

int mlf_cut_off_adopt(size_t *n, mlf_loss *loss, mlf_folder *folder, mlf_error *error)
{
    sv_buffer frames = SV_BUFFER_INIT(0);
    json_t *calls = NULL, *call;
    size_t i;
    int code = mlf_calls_read(&calls, loss, folder->path, error);
    *n = json_array_size(calls);
    json_array_foreach(calls, i, call) {
        int kind = (int)json_integer_value(json_object_get(call, "op"));
        json_t *records = code ? NULL : json_array();
        if (!code)
            code = records ? records_of(records, folder->path, kind, json_object_get(call, "payload"), error) : mlf_error_memory(error);
        if (!code)
            code = put_records(&frames, kind, records, error);
        json_decref(records);
    }
    if (!code && frames.size && mlf_stream_append(&folder->stream, frames.data, frames.size))
        code = mlf_error_memory(error);
    if (!code && frames.size && !mlf_stream_is_refusing(&folder->stream) && mlf_folder_commit(folder) >= 0)
        mlf_calls_clear(folder->path);
    json_decref(calls);
    sv_buffer_free(&frames);
    return code;
}
