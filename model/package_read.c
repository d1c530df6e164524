/* package_read.c: a model's folder read back. Nothing is believed before all files are there, no other is, and each has the digest that MLmodel states. */
#include "alloc.h"
#include "file.h"
#include "package_mlmodel.h"
#include "pipeline_digest.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MLMODEL_MAX = 1 << 20 };

typedef struct reader {
    sv_package *package;
    const char *folder;
    sv_buffer mlmodel;
    sv_error *error;
} reader;

static int no_memory(reader *r)
{
    return sv_error_set(r->error, SV_E_MEMORY, "%s: out of memory", r->folder);
}

static int read_file(reader *r, sv_buffer *bytes, const char *name, size_t max)
{
    char *path = sv_path_join(r->folder, name);
    int code = path ? sv_file_read(bytes, path, max, r->error) : no_memory(r);
    if (code == SV_E_IO)
        sv_error_hint(r->error, "a package holds all files that training wrote; fetch it again");
    sv_free(path);
    return code;
}

/* ---- no file but those of a package */

static int is_known(const char *name)
{
    static const char *const from_others[] = {"__pycache__", "registered_model_meta"}; /* Python writes the one, MLflow's client the other */
    for (size_t i = 0; i < sizeof from_others / sizeof *from_others; i++)
        if (!strcmp(name, from_others[i]))
            return 1;
    for (size_t i = 0; sv_package_files[i]; i++) {
        const char *slash = strchr(sv_package_files[i], '/');
        if (!strcmp(name, sv_package_files[i]) || (slash && strlen(name) == (size_t)(slash - sv_package_files[i]) && !strncmp(name, sv_package_files[i], strlen(name))))
            return 1;
    }
    return 0;
}

/* sub "": the folder itself, else one within, with its slash. Hidden names are of file systems and mounts, not of models. */
static int check_names(reader *r, const char *sub)
{
    char name[512];
    char *path = sv_path_join(r->folder, sub);
    DIR *folder = path ? opendir(path) : NULL;
    int code = folder ? 0 : path ? sv_error_set(r->error, SV_E_IO, "%s: cannot be opened: %s", path, strerror(errno)) : no_memory(r);
    for (struct dirent *entry; folder && !code && (entry = readdir(folder));) {
        int length = snprintf(name, sizeof name, "%s%s", strcmp(entry->d_name, "__pycache__") ? sub : "", entry->d_name);
        if (*entry->d_name == '.' || (length < (int)sizeof name && is_known(name)))
            continue;
        code = sv_error_set(r->error, SV_E_INPUT, "%s/%s%s: is no file of a package", r->folder, sub, entry->d_name);
        sv_error_hint(r->error, "expected the files that training wrote and no others");
    }
    if (folder)
        closedir(folder);
    sv_free(path);
    return code;
}

/* ---- each file */

static int check_digest(reader *r, const char *name, const sv_buffer *bytes, char found[SV_SHA256_TEXT])
{
    char *stated = sv_mlmodel_digest(r->mlmodel.data ? r->mlmodel.data : "", r->mlmodel.size, name);
    int code = sv_sha256_text(found, bytes->data ? bytes->data : "", bytes->size) ? no_memory(r) : 0;
    if (!code && !stated)
        code = sv_error_set(r->error, SV_E_INPUT, "%s/MLmodel: expected the SHA-256 of %s under metadata, got none", r->folder, name);
    else if (!code && strcmp(stated, found))
        code = sv_error_set(r->error, SV_E_INPUT, "%s/%s: its SHA-256 is %s, MLmodel says %.64s", r->folder, name, found, stated);
    if (code == SV_E_INPUT)
        sv_error_hint(r->error, "the package was changed or only partly copied; fetch it again");
    sv_free(stated);
    return code;
}

static int take_profile(reader *r, const sv_buffer *json)
{
    r->package->profile = sv_calloc(1, sizeof *r->package->profile);
    return r->package->profile ? sv_profile_read(r->package->profile, json->data, json->size, r->error) : no_memory(r);
}

/* What this project reads of the files; the others are Python's. */
static int take_file(reader *r, const char *name, sv_buffer *bytes, const char *digest)
{
    if (!strcmp(name, "pipeline.json")) {
        int code = sv_pipeline_read_json(&r->package->pipeline, bytes->data ? bytes->data : "", bytes->size, r->error);
        return code ? code : (r->package->sha256 = sv_strdup(digest)) ? 0 : no_memory(r);
    }
    if (!strcmp(name, "profile.json") && bytes->size)
        return take_profile(r, bytes);
    if (!strcmp(name, "serving_input_example.json") && bytes->size)
        return (r->package->input_example = sv_buffer_take(bytes)) ? 0 : no_memory(r);
    if (!strcmp(name, SV_PACKAGE_ANSWERS) && bytes->size)
        return (r->package->output_example = sv_buffer_take(bytes)) ? 0 : no_memory(r);
    return 0;
}

/* A package from before there was the file: neither it nor a word of it in MLmodel. */
static int lacks_answers(const reader *r, const char *name)
{
    char *stated = strcmp(name, SV_PACKAGE_ANSWERS) ? NULL : sv_mlmodel_digest(r->mlmodel.data ? r->mlmodel.data : "", r->mlmodel.size, name);
    char *path = strcmp(name, SV_PACKAGE_ANSWERS) || stated ? NULL : sv_path_join(r->folder, name);
    int is_older = path && access(path, F_OK) != 0;
    sv_free(stated);
    sv_free(path);
    return is_older;
}

static int read_checked(reader *r, const char *name)
{
    char digest[SV_SHA256_TEXT];
    sv_buffer bytes = SV_BUFFER_INIT(SV_PACKAGE_FILE_MAX);
    int code = read_file(r, &bytes, name, SV_PACKAGE_FILE_MAX);
    code = code ? code : check_digest(r, name, &bytes, digest);
    code = code ? code : take_file(r, name, &bytes, digest);
    sv_buffer_free(&bytes);
    return code;
}

int sv_package_load(sv_package *package, const char *folder, sv_error *error)
{
    sv_error own = SV_ERROR_INIT;
    reader r = {.package = package, .folder = folder, .mlmodel = SV_BUFFER_INIT(MLMODEL_MAX), .error = error ? error : &own};
    *package = (sv_package){0};
    int code = read_file(&r, &r.mlmodel, "MLmodel", MLMODEL_MAX);
    code = code ? code : check_names(&r, "");
    code = code ? code : check_names(&r, "code/");
    for (size_t i = 0; sv_package_files[i + 1] && !code; i++)
        code = lacks_answers(&r, sv_package_files[i]) ? 0 : read_checked(&r, sv_package_files[i]);
    if (!code) {
        package->model_id = sv_mlmodel_get(r.mlmodel.data, r.mlmodel.size, NULL, "model_id");
        package->run_id = sv_mlmodel_get(r.mlmodel.data, r.mlmodel.size, NULL, "run_id");
    } else {
        if (!strstr(r.error->message, folder))
            sv_error_prefix(r.error, "%s: ", folder);
        sv_package_free(package);
    }
    sv_buffer_free(&r.mlmodel);
    return code;
}

void sv_package_free(sv_package *package)
{
    if (!package)
        return;
    sv_pipeline_free(package->pipeline);
    sv_profile_free(package->profile);
    sv_free(package->profile);
    sv_free(package->model_id);
    sv_free(package->run_id);
    sv_free(package->sha256);
    sv_free(package->input_example);
    sv_free(package->output_example);
    *package = (sv_package){0};
}
