/* package_mlmodel.c: MLmodel as MLflow 3.17 and 2.22 read it. Keys in alphabetical order, as MLflow writes them. */
#include "package_mlmodel.h"

#include "alloc.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define PIPELINE_JSON 4 /* in sv_package_files */

typedef struct writer {
    sv_buffer *yaml;
    int code;
} writer;

static void raw(writer *w, const char *text)
{
    w->code = w->code ? w->code : sv_buffer_text(w->yaml, text);
}

/* A single-quoted scalar: any text of one line; ' is doubled, control characters become blanks. */
static void quoted(writer *w, const char *text, size_t length)
{
    raw(w, "'");
    for (size_t i = 0; i < length && !w->code; i++) {
        w->code = sv_buffer_byte(w->yaml, (unsigned char)text[i] < 0x20 ? ' ' : text[i]);
        if (text[i] == '\'')
            raw(w, "'");
    }
    raw(w, "'\n");
}

static void line(writer *w, const char *key, const char *value)
{
    raw(w, key);
    raw(w, ": ");
    quoted(w, value, strlen(value));
}

static void json_line(writer *w, const char *key, int (*write)(sv_buffer *, const sv_pipeline *), const sv_pipeline *pipeline)
{
    sv_buffer json = SV_BUFFER_INIT(0);
    w->code = w->code ? w->code : write(&json, pipeline);
    raw(w, key);
    if (!w->code)
        quoted(w, json.data, json.size);
    sv_buffer_free(&json);
}

static void write_flavors(writer *w)
{
    raw(w, "flavors:\n"
           "  native_tabular:\n"
           "    data: pipeline.json\n"
           "    format_version: 1\n"
           "  onnx:\n"
           "    data: model.onnx\n"
           "    onnx_version: 1.8.0\n"
           "    providers:\n"
           "    - CPUExecutionProvider\n"
           "  python_function:\n"
           "    code: code\n"
           "    config:\n"
           "      output: all\n"
           "    data: model.onnx\n"
           "    env:\n"
           "      conda: conda.yaml\n"
           "      virtualenv: python_env.yaml\n"
           "    loader_module: native_tabular_v1\n"
           "    python_version: 3.11.2\n"
           "is_signature_from_type_hint: false\n");
}

static void write_created(writer *w, int64_t created_ms)
{
    time_t seconds = (time_t)(created_ms / 1000);
    char text[64], fraction[16];
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &utc);
    snprintf(fraction, sizeof fraction, ".%03d000", (int)(created_ms % 1000));
    strcat(text, fraction);
    line(w, "utc_time_created", text);
}

/* pipeline.json's has a name of its own, which model.onnx carries too. */
static void write_digests(writer *w, const char (*digests)[SV_SHA256_TEXT])
{
    char key[80];
    raw(w, "metadata:\n");
    line(w, "  pipeline_sha256", digests[PIPELINE_JSON]);
    raw(w, "  sha256:\n");
    for (size_t i = 0; sv_package_files[i + 1]; i++) { /* MLmodel, the last, cannot state its own */
        snprintf(key, sizeof key, "    %s", sv_package_files[i]);
        if (i != PIPELINE_JSON)
            line(w, key, digests[i]);
    }
}

int sv_mlmodel_write(sv_buffer *yaml, const sv_pipeline *pipeline, const sv_package_options *options, const char (*digests)[SV_SHA256_TEXT], size_t size)
{
    writer w = {yaml, 0};
    const char *pipeline_sha256 = digests[PIPELINE_JSON];
    char uuid[33], number[32];
    snprintf(uuid, sizeof uuid, "%.32s", options->model_uuid ? options->model_uuid : pipeline_sha256);
    snprintf(number, sizeof number, "%zu\n", size);
    line(&w, "artifact_path", options->artifact_path ? options->artifact_path : "model");
    write_flavors(&w);
    write_digests(&w, digests);
    line(&w, "mlflow_version", options->mlflow_version ? options->mlflow_version : "3.17.2");
    if (options->model_id)
        line(&w, "model_id", options->model_id);
    raw(&w, "model_size_bytes: ");
    raw(&w, number);
    line(&w, "model_uuid", options->model_id ? options->model_id : uuid);
    if (options->run_id)
        line(&w, "run_id", options->run_id);
    raw(&w, "saved_input_example_info:\n"
            "  artifact_path: input_example.json\n"
            "  pandas_orient: split\n"
            "  serving_input_path: serving_input_example.json\n"
            "  type: dataframe\n"
            "signature:\n");
    json_line(&w, "  inputs: ", sv_signature_inputs, pipeline);
    json_line(&w, "  outputs: ", sv_signature_outputs, pipeline);
    raw(&w, "  params: null\n"
            "type_hint_from_example: false\n");
    write_created(&w, options->created_ms);
    return w.code;
}

/* ---- reading */

/* The value's bytes without quotes and blanks; '' inside single quotes stays doubled, which no id or digest has. */
static char *scalar(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\'' || *at == '"'))
        at++;
    while (end > at && strchr(" \r'\"", end[-1]) && end[-1])
        end--;
    return end > at ? sv_strndup(at, (size_t)(end - at)) : NULL;
}

char *sv_mlmodel_get(const char *yaml, size_t length, const char *parent, const char *key)
{
    const char *end = yaml + length, *next;
    size_t parent_length = parent ? strlen(parent) : 0, key_length = strlen(key);
    int inside = !parent;
    for (const char *at = yaml; at < end; at = next) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        next = stop + 1;
        size_t indent = 0, n = (size_t)(stop - at);
        while (indent < n && at[indent] == ' ')
            indent++;
        if (indent == 0 && parent)
            inside = n == parent_length + 1 && !memcmp(at, parent, parent_length) && at[parent_length] == ':';
        else if (!inside || (indent > 0) != (parent != NULL))
            continue;
        const char *name = at + indent;
        n -= indent;
        if ((indent > 0) == (parent != NULL) && n > key_length && !memcmp(name, key, key_length) && name[key_length] == ':')
            return scalar(name + key_length + 1, stop);
    }
    return NULL;
}

char *sv_mlmodel_digest(const char *yaml, size_t length, const char *name)
{
    return sv_mlmodel_get(yaml, length, "metadata", strcmp(name, sv_package_files[PIPELINE_JSON]) ? name : "pipeline_sha256");
}
