/* mlflowc artifacts. */
#include "alloc.h"
#include "client_error.h"
#include "mlflowc.h"

#include <string.h>

static int is_local_path(const char *what)
{
    return *what == '/' || !strncmp(what, "./", 2) || !strncmp(what, "../", 3);
}

/* "runs:/RUN" for a word that is neither a URI nor the path of a folder here, what it is otherwise, with --path behind it: sv_free. */
static char *uri_of(const mlc *m)
{
    const char *what = m->arguments[0], *path = mlc_option_value(m, "path");
    sv_buffer uri = SV_BUFFER_INIT(65536);
    int failed = sv_buffer_format(&uri, "%s%s", strchr(what, ':') || is_local_path(what) ? "" : "runs:/", what);
    if (!failed && path) failed = sv_buffer_format(&uri, "/%s", path);
    if (!failed) return sv_buffer_take(&uri);
    sv_buffer_free(&uri);
    return NULL;
}

static int transfer_options(mlc *m, mlf_transfer_options *options)
{
    long threads;
    int code = mlc_option_number(m, "threads", 0, 1, &threads);
    *options = (mlf_transfer_options)MLF_TRANSFER_OPTIONS_INIT;
    if (!code) options->threads = threads > 16 ? 16 : (int)threads;
    return code;
}

/* The same of a run that the server knows. */
static char *known_uri(mlc *m)
{
    char *uri = uri_of(m);
    if (uri) mlc_know_run_of(m, uri);
    return uri;
}

int mlc_artifacts_list(mlc *m)
{
    static const mlc_column columns[] = {{"PATH", "path"}, {"SIZE", "file_size#"}};
    mlf_artifact *items = NULL;
    size_t n = 0;
    char *uri = known_uri(m);
    int code = uri ? mlf_artifacts_list(&items, &n, m->client, uri, &m->error) : mlf_error_memory(&m->error);
    mlc_table *table = code ? NULL : mlc_table_begin(m, columns, 2);
    for (size_t i = 0; table && i < n; i++) {
        json_t *row = items[i].is_dir ? json_pack("{s:s, s:b}", "path", items[i].path, "is_dir", 1)
                                      : json_pack("{s:s, s:b, s:I}", "path", items[i].path, "is_dir", 0, "file_size",
                                                  (json_int_t)items[i].size_bytes);
        if (row) mlc_table_row(table, mlf_object_of(row));
        json_decref(row);
    }
    if (table) mlc_table_end(table);
    mlf_artifacts_free(items, n);
    sv_free(uri);
    return code;
}

int mlc_artifacts_download(mlc *m)
{
    mlf_transfer_options options;
    char *uri = known_uri(m);
    int code = uri ? transfer_options(m, &options) : mlf_error_memory(&m->error);
    if (!code) code = mlf_artifacts_fetch(m->client, uri, m->arguments[1], &options, &m->error);
    sv_free(uri);
    return code;
}

typedef struct upload {
    mlf_transfer_options options;
    const char *folder; /* below the run's artifacts; "" for their root */
} upload;

static int send_upload(mlc *m, const char *run_id, void *what, mlf_error *error)
{
    const upload *u = what;
    sv_buffer uri = SV_BUFFER_INIT(65536);
    int code = sv_buffer_format(&uri, "runs:/%s%s%s", run_id, *u->folder ? "/" : "", u->folder) ? mlf_error_memory(error) : MLF_OK;
    if (!code) code = mlf_artifacts_upload(m->client, m->arguments[1], uri.data, &u->options, error);
    sv_buffer_free(&uri);
    return code;
}

static int keep_upload(mlc *m, mlf_run *run, void *what)
{
    const upload *u = what;
    return mlf_run_log_artifact(run, m->arguments[1], u->folder, &m->error);
}

int mlc_artifacts_upload(mlc *m)
{
    upload u;
    char run_id[MLC_RUN_SIZE], *uri = uri_of(m);
    int code = uri ? transfer_options(m, &u.options) : mlf_error_memory(&m->error);
    u.folder = code ? NULL : mlc_run_of_uri(uri, run_id);
    if (u.folder)
        code = mlc_send_or_keep(m, run_id, &(mlc_deed){send_upload, keep_upload, &u});
    else if (!code)
        code = mlf_artifacts_upload(m->client, m->arguments[1], uri, &u.options, &m->error);
    sv_free(uri);
    return code;
}

int mlc_artifacts_delete(mlc *m)
{
    if (is_local_path(m->arguments[0]))
        return mlf_error_set(&m->error, MLF_E_ARGUMENT, "artifacts delete: %.300s is a path of this machine; what is meant to go there is named as file:…", m->arguments[0]);
    char *uri = known_uri(m);
    int code = uri ? mlf_artifacts_delete(m->client, uri, &m->error) : mlf_error_memory(&m->error);
    sv_free(uri);
    return code;
}
