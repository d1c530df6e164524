#include "alloc.h"
#include "package.h"
#include "package_mlmodel.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Any bytes as pipeline.json (or profile.json, or MLmodel): refused, or a pipeline that writes itself the same again, scores a row, and has a graph. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_written(const sv_pipeline *pipeline)
{
    sv_buffer once = SV_BUFFER_INIT(0), twice = SV_BUFFER_INIT(0), graph = SV_BUFFER_INIT(0);
    sv_pipeline *again;
    if (sv_pipeline_write_json(&once, pipeline, NULL) || sv_pipeline_read_json(&again, once.data, once.size, NULL) ||
        sv_pipeline_write_json(&twice, again, NULL) || strcmp(once.data, twice.data))
        abort();
    if (sv_features_n_columns(sv_pipeline_features(pipeline)) && sv_pipeline_write_onnx(&graph, pipeline, NULL, NULL))
        abort();
    sv_pipeline_free(again);
    sv_buffer_free(&once);
    sv_buffer_free(&twice);
    sv_buffer_free(&graph);
}

static void check_scored(const sv_pipeline *pipeline)
{
    const sv_features *features = sv_pipeline_features(pipeline);
    size_t n = sv_features_n_columns(features);
    double *numbers = sv_calloc(n, sizeof *numbers);
    int32_t *codes = sv_calloc(n, sizeof *codes);
    const void **columns = sv_calloc(n, sizeof *columns);
    sv_scorer *scorer;
    if (!numbers || !codes || !columns || sv_scorer_new(&scorer, pipeline))
        abort();
    for (size_t c = 0; c < n; c++) {
        int text = sv_features_type(features, (int)c) == SV_STRING;
        numbers[c] = c % 3 == 2 ? NAN : 1.5;
        if (text)
            codes[c] = sv_features_code(features, (int)c, "a", c % 2);
        columns[c] = text ? (const void *)&codes[c] : &numbers[c];
    }
    sv_scorer_run(scorer, &(sv_block){1, columns}, NULL);
    sv_scorer_free(scorer);
    sv_free(numbers);
    sv_free(codes);
    sv_free(columns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sv_pipeline *pipeline;
    sv_profile profile;
    sv_error error = SV_ERROR_INIT;
    sv_free(sv_mlmodel_get((const char *)data, size, "metadata", "pipeline_sha256"));
    sv_free(sv_mlmodel_get((const char *)data, size, NULL, "run_id"));
    if (!sv_profile_read(&profile, (const char *)data, size, NULL))
        sv_profile_free(&profile);
    if (sv_pipeline_read_json(&pipeline, (const char *)data, size, &error)) {
        if (pipeline || !*error.message)
            abort();
        return 0;
    }
    check_written(pipeline);
    check_scored(pipeline);
    sv_pipeline_free(pipeline);
    return 0;
}
