/* package.c: writing a model's folder; package_read.c reads it back. */
#include "package.h"

#include "alloc.h"
#include "pipeline_digest.h"
#include "example.h"
#include "file.h"
#include "loader_text.h"
#include "package_mlmodel.h"

#include <stdio.h>
#include <string.h>

const char *const sv_package_files[SV_PACKAGE_FILES + 1] = {"code/native_tabular_v1.py", "conda.yaml", "input_example.json", "model.onnx", "pipeline.json", "profile.json",
                                        "python_env.yaml", "requirements.txt", "serving_input_example.json", SV_PACKAGE_ANSWERS, "MLmodel", NULL};

static const char requirements[] = "mlflow\nnumpy\nonnx\nonnxruntime\npandas\n";
static const char python_env[] = "python: \"3.11\"\nbuild_dependencies:\n- pip\n- setuptools\n- wheel\ndependencies:\n- -r requirements.txt\n";
static const char conda[] = "name: mlflow-env\nchannels:\n- conda-forge\ndependencies:\n- python=3.11\n- pip\n- pip:\n  - mlflow\n  - numpy\n  - onnx\n"
                            "  - onnxruntime\n  - pandas\n";

typedef struct files {
    const char *folder;
    sv_error *error;
    size_t size; // bytes written
    sv_digests digests;
    int code;
} files;

/* The digest of a file of the package, for MLmodel. */
static int note_digest(files *f, const char *name, const void *bytes, size_t length)
{
    for (size_t i = 0; sv_package_files[i]; i++)
        if (!strcmp(name, sv_package_files[i]) && sv_sha256_text(f->digests[i], bytes, length))
            return sv_error_set(f->error, SV_E_MEMORY, "%s: out of memory", name);
    return 0;
}

static void write_file(files *f, const char *name, const void *bytes, size_t length)
{
    char *path = f->code ? NULL : sv_path_join(f->folder, name);
    if (!f->code)
        f->code = path ? sv_file_write(path, bytes, length, f->error) : sv_error_set(f->error, SV_E_MEMORY, "out of memory");
    f->code = f->code ? f->code : note_digest(f, name, bytes, length);
    f->size += length;
    sv_free(path);
}

static void make_folder(files *f, const char *name)
{
    char *path = f->code ? NULL : sv_path_join(f->folder, name);
    if (!f->code)
        f->code = path ? sv_folder_make(path, f->error) : sv_error_set(f->error, SV_E_MEMORY, "out of memory");
    sv_free(path);
}

/* The example, the request that it makes, and what the model answers to that request. */
static void write_examples(files *f, const sv_pipeline *pipeline, const sv_package_options *options)
{
    sv_example rows = {0};
    sv_buffer example = SV_BUFFER_INIT(0), serving = SV_BUFFER_INIT(0), answers = SV_BUFFER_INIT(0);
    int code = f->code ? f->code : sv_example_take(&rows, pipeline, options->example, options->profile);
    code = code ? code : sv_example_write(&example, pipeline, &rows);
    code = code ? code : sv_buffer_format(&serving, "{\"dataframe_split\": %s}", example.data);
    code = code ? code : sv_example_write_answers(&answers, pipeline, &rows);
    if (code && !f->code)
        f->code = sv_error_set(f->error, code, "input_example.json: %s", code == SV_E_MEMORY ? "out of memory" : "a value that JSON cannot hold");
    write_file(f, "input_example.json", example.data, example.size);
    write_file(f, "serving_input_example.json", serving.data, serving.size);
    write_file(f, SV_PACKAGE_ANSWERS, answers.data, answers.size);
    sv_example_free(&rows);
    sv_buffer_free(&example);
    sv_buffer_free(&serving);
    sv_buffer_free(&answers);
}

/* pipeline.json and, from the same pipeline, model.onnx, tied by the digest. */
static void write_model(files *f, const sv_pipeline *pipeline)
{
    char sha256[65] = "";
    sv_buffer json = SV_BUFFER_INIT(SV_PIPELINE_JSON_MAX), onnx = SV_BUFFER_INIT(0);
    f->code = sv_pipeline_write_json(&json, pipeline, f->error);
    if (!f->code && sv_sha256_text(sha256, json.data, json.size))
        f->code = sv_error_set(f->error, SV_E_MEMORY, "out of memory");
    if (!f->code)
        f->code = sv_pipeline_write_onnx(&onnx, pipeline, sha256, f->error);
    write_file(f, "pipeline.json", json.data, json.size);
    write_file(f, "model.onnx", onnx.data, onnx.size);
    sv_buffer_free(&json);
    sv_buffer_free(&onnx);
}

static void write_profile(files *f, const sv_profile *profile)
{
    sv_buffer json = SV_BUFFER_INIT(0);
    sv_profile none = {.label_rate = __builtin_nan("")};
    if (!f->code)
        f->code = sv_profile_write(&json, profile ? profile : &none, f->error);
    write_file(f, "profile.json", json.data, json.size);
    sv_buffer_free(&json);
}

static void write_mlmodel(files *f, const sv_pipeline *pipeline, const sv_package_options *options)
{
    sv_buffer yaml = SV_BUFFER_INIT(0);
    if (!f->code && sv_mlmodel_write(&yaml, pipeline, options, (const char(*)[SV_SHA256_TEXT])f->digests, f->size))
        f->code = sv_error_set(f->error, SV_E_MEMORY, "MLmodel: out of memory");
    write_file(f, "MLmodel", yaml.data, yaml.size);
    sv_buffer_free(&yaml);
}

int sv_package_write(const char *folder, const sv_pipeline *pipeline, const sv_package_options *options, sv_error *error)
{
    static const sv_package_options defaults = SV_PACKAGE_OPTIONS_INIT;
    files f = {.folder = folder, .error = error};
    options = options ? options : &defaults;
    f.code = sv_folder_make(folder, error);
    make_folder(&f, "code");
    if (f.code)
        return f.code;
    write_model(&f, pipeline);
    write_file(&f, "code/native_tabular_v1.py", sv_loader_text, sv_loader_length);
    write_file(&f, "conda.yaml", conda, sizeof conda - 1);
    write_file(&f, "python_env.yaml", python_env, sizeof python_env - 1);
    write_file(&f, "requirements.txt", requirements, sizeof requirements - 1);
    write_profile(&f, options->profile);
    write_examples(&f, pipeline, options);
    write_mlmodel(&f, pipeline, options);
    return f.code;
}

/* The size and digest of a file that is there. */
static void note_file(files *f, const char *name)
{
    sv_buffer bytes = SV_BUFFER_INIT(SV_PACKAGE_FILE_MAX);
    char *path = f->code ? NULL : sv_path_join(f->folder, name);
    if (!f->code)
        f->code = path ? sv_file_read(&bytes, path, SV_PACKAGE_FILE_MAX, f->error) : sv_error_set(f->error, SV_E_MEMORY, "out of memory");
    f->code = f->code ? f->code : note_digest(f, name, bytes.data, bytes.size);
    f->size += bytes.size;
    sv_buffer_free(&bytes);
    sv_free(path);
}

int sv_package_write_mlmodel(const char *folder, const sv_pipeline *pipeline, const sv_package_options *options, sv_error *error)
{
    files f = {.folder = folder, .error = error};
    for (size_t i = 0; sv_package_files[i + 1]; i++)
        note_file(&f, sv_package_files[i]);
    write_mlmodel(&f, pipeline, options);
    return f.code;
}
