#include "model_source.h"
#include "alloc.h"
#include "clock.h"
#include "expr.h"
#include "file.h"
#include "interrupt.h"
#include "log.h"
#include "secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATIENCE_MS = 20000, RETRIES = 3 }; /* somebody sits before the screen */

static int is_folder(const char *path)
{
    struct stat about;
    return !stat(path, &about) && S_ISDIR(about.st_mode);
}

static int refused(const char *uri, const mlf_error *inner, sv_error *error)
{
    int code = inner->code == MLF_E_MEMORY ? SV_E_MEMORY : inner->code == MLF_E_ARGUMENT ? SV_E_CONFIG : SV_E_NETWORK;
    int is_named = !strncmp(inner->message, uri, strlen(uri));
    sv_error_set(error, code, "%s%s%s", is_named ? "" : uri, is_named ? "" : ": ", inner->message[0] ? inner->message : mlf_code_name(inner->code));
    if (inner->code == MLF_E_CONNECT || inner->code == MLF_E_TIMEOUT)
        sv_error_hint(error, "is the tracking server up? MLFLOW_TRACKING_URI names it");
    else if (inner->code == MLF_E_NOT_FOUND)
        sv_error_hint(error, "models:/NAME@ALIAS, models:/NAME/VERSION, models:/m-…, runs:/ID/PATH or a folder");
    return code;
}

static int ask(mlf_client **client, mlf_model_info **info, const char *uri, int max_retries, int64_t patience_ms, mlf_error *error)
{
    mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
    options.max_retries = max_retries;
    options.deadline_ms = (int)patience_ms;
    mlf_client_free(*client);
    *client = NULL;
    int code = mlf_client_new(client, &options, error);
    return code ? code : mlf_model_resolve(info, *client, uri, error);
}

/* A client for the files of the model, and where they are. The first failure is told at once, and what follows ends soon. */
static int find(mlf_client **client, mlf_model_info **info, const char *uri, const char *shown, sv_error *error)
{
    int retries = getenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES") ? -1 : RETRIES;
    int64_t begun = sv_monotonic_ns();
    mlf_error inner = MLF_ERROR_INIT;
    int code = ask(client, info, uri, 0, PATIENCE_MS, &inner);
    int64_t left = PATIENCE_MS - (sv_monotonic_ns() - begun) / 1000000;
    if (code && mlf_error_is_retriable(&inner) && left > 0) {
        sv_log(SV_LOG_WARN, "%s: %s; tried again for %lld s", shown, inner.message, (long long)(left + 999) / 1000);
        inner = (mlf_error)MLF_ERROR_INIT;
        code = ask(client, info, uri, retries, left, &inner);
    }
    return code ? refused(shown, &inner, error) : 0;
}

/* shown: the URI as messages tell it. */
static int fetch(sv_package *out, const char *uri, const char *shown, mlf_client *client, sv_error *error)
{
    const char *base = getenv("TMPDIR");
    char *folder = sv_path_join(base && *base ? base : "/tmp", "solvent-XXXXXX");
    mlf_error inner = MLF_ERROR_INIT;
    int code = folder ? 0 : sv_error_set(error, SV_E_MEMORY, "%s: out of memory", shown);
    if (!code && !mkdtemp(folder))
        code = sv_error_set(error, SV_E_IO, "%s: cannot be made: %s", folder, strerror(errno));
    if (code) {
        sv_free(folder);
        return code;
    }
    if (mlf_artifacts_download(client, uri, folder, &inner))
        code = refused(shown, &inner, error);
    if (!code && (code = sv_package_load(out, folder, error)))
        sv_error_prefix(error, "%s: ", shown);
    sv_folder_remove(folder, NULL);
    sv_free(folder);
    return code;
}

/* Until the server has answered a signal ends the process as ever; from then on there is a folder to remove. */
static int find_and_fetch(sv_package *out, const char *uri, const char *shown, sv_error *error)
{
    mlf_client *client = NULL;
    mlf_model_info *info = NULL;
    int code = find(&client, &info, uri, shown, error);
    if (!code) {
        sv_interrupt_watch();
        code = fetch(out, info->artifact_uri, shown, client, error);
    }
    mlf_model_info_free(info);
    mlf_client_free(client);
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
    char *shown = sv_secret_hidden(uri);
    int code = !shown   ? sv_error_set(error, SV_E_MEMORY, "model: out of memory")
               : client ? fetch(out, uri, shown, client, error)
                        : find_and_fetch(out, uri, shown, error);
    sv_free(shown);
    return code;
}

int sv_model_check_columns(const sv_pipeline *pipeline, const char *const *columns, size_t n_columns, const char *name, sv_error *error)
{
    const sv_features *features = sv_pipeline_features(pipeline);
    for (size_t c = 0; c < sv_features_n_columns(features); c++) {
        const char *wanted = sv_features_name(features, (int)c);
        size_t i = 0;
        while (i < n_columns && strcmp(columns[i], wanted) != 0)
            i++;
        if (i < n_columns || sv_features_optional(features, (int)c))
            continue;
        char names[300] = "";
        for (i = 0; i < n_columns && strlen(names) < sizeof names - 80; i++)
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s%.60s", i ? ", " : "", columns[i]);
        sv_error_set(error, SV_E_INPUT, "%s: no column '%s', which the model reads", name, wanted);
        const char *near = sv_nearest_name(wanted, columns, n_columns);
        sv_error_hint(error, "the header has: %s%s%s%s%s", names, i < n_columns ? ", …" : "", near ? "; is '" : "", near ? near : "", near ? "' meant?" : "");
        return SV_E_INPUT;
    }
    return 0;
}
