/* sink.c: writing a URI as a stream: the store's own way of uploading what has no known size. */
#include "alloc.h"
#include "client_error.h"
#include "store.h"

struct mlf_sink {
    mlf_store *store;
    mlf_upload *upload;
    int failed; /* a write did: commit refuses */
};

int mlf_sink_open(mlf_sink **out, mlf_client *client, const char *uri, mlf_error *error)
{
    mlf_model_info *info = NULL;
    *out = NULL;
    mlf_sink *sink = sv_calloc(1, sizeof *sink);
    int code = sink ? mlf_model_resolve(&info, client, uri, error) : mlf_error_memory(error);
    if (!code)
        code = mlf_store_open(&sink->store, client, info->artifact_uri, error);
    if (!code)
        code = sink->store->ops->begin(&sink->upload, sink->store, "", error);
    mlf_model_info_free(info);
    if (code)
        mlf_sink_abort(sink);
    else
        *out = sink;
    return code;
}

int mlf_sink_write(mlf_sink *sink, const void *bytes, size_t length, mlf_error *error)
{
    int code = length ? sink->store->ops->write(sink->upload, bytes, length, error) : 0;
    sink->failed |= code != 0;
    return code;
}

int mlf_sink_commit(mlf_sink *sink, mlf_error *error)
{
    int code = sink->failed ? mlf_error_set(error, MLF_E_STATE, "%.300s: a write failed, nothing is stored", sink->store->uri)
                            : sink->store->ops->commit(sink->upload, error);
    mlf_sink_abort(sink);
    return code;
}

void mlf_sink_abort(mlf_sink *sink)
{
    if (!sink)
        return;
    if (sink->upload)
        sink->store->ops->abort(sink->upload);
    mlf_store_close(sink->store);
    sv_free(sink);
}
