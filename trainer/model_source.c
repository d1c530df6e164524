#include "model_source.h"
#include "alloc.h"
#include "file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int is_folder(const char *path)
{
    struct stat about;
    return !stat(path, &about) && S_ISDIR(about.st_mode);
}

static int refused(const char *uri, const mlf_error *inner, sv_error *error)
{
    int code = inner->code == MLF_E_MEMORY ? SV_E_MEMORY : inner->code == MLF_E_ARGUMENT ? SV_E_CONFIG : SV_E_NETWORK;
    sv_error_set(error, code, "%s: %s", uri, inner->message[0] ? inner->message : mlf_code_name(inner->code));
    if (inner->code == MLF_E_CONNECT || inner->code == MLF_E_TIMEOUT)
        sv_error_hint(error, "is the tracking server up? MLFLOW_TRACKING_URI names it");
    else if (inner->code == MLF_E_NOT_FOUND)
        sv_error_hint(error, "models:/NAME@ALIAS, models:/NAME/VERSION, models:/m-…, runs:/ID/PATH or a folder");
    return code;
}

static int fetch(sv_package *out, const char *uri, mlf_client *client, sv_error *error)
{
    const char *base = getenv("TMPDIR");
    char *folder = sv_path_join(base && *base ? base : "/tmp", "solvent-XXXXXX");
    mlf_error inner = MLF_ERROR_INIT;
    mlf_client *own = NULL;
    int code = folder ? 0 : sv_error_set(error, SV_E_MEMORY, "%s: out of memory", uri);
    if (!code && !mkdtemp(folder))
        code = sv_error_set(error, SV_E_IO, "%s: cannot be made: %s", folder, strerror(errno));
    if (code) {
        sv_free(folder);
        return code;
    }
    if ((!client && mlf_client_new(&own, NULL, &inner)) || mlf_artifacts_download(client ? client : own, uri, folder, &inner))
        code = refused(uri, &inner, error);
    if (!code && (code = sv_package_load(out, folder, error)))
        sv_error_prefix(error, "%s: ", uri);
    sv_folder_remove(folder, NULL);
    mlf_client_free(own);
    sv_free(folder);
    return code;
}

int sv_model_load(sv_package *out, const char *uri, mlf_client *client, sv_error *error)
{
    const char *path = !strncmp(uri, "file://", 7) ? uri + 7 : uri;
    *out = (sv_package){0};
    if (is_folder(path))
        return sv_package_load(out, path, error);
    if (!strstr(uri, ":/"))
        return sv_error_set(error, SV_E_IO, "%s: expected a folder or a URI such as models:/NAME@ALIAS, got neither", uri);
    return fetch(out, uri, client, error);
}
