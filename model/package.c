/* package.c: writing a model's folder and reading it back. */
#include "package.h"

#include "alloc.h"
#include "pipeline_digest.h"
#include "example.h"
#include "file.h"
#include "loader_text.h"
#include "package_mlmodel.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char *const sv_package_files[] = {"code/native_tabular_v1.py", "conda.yaml", "input_example.json", "model.onnx", "pipeline.json", "profile.json",
                                        "python_env.yaml", "requirements.txt", "serving_input_example.json", "MLmodel", NULL};

static const char requirements[] = "mlflow\nnumpy\nonnx\nonnxruntime\npandas\n";
static const char python_env[] = "python: \"3.11\"\nbuild_dependencies:\n- pip\n- setuptools\n- wheel\ndependencies:\n- -r requirements.txt\n";
static const char conda[] = "name: mlflow-env\nchannels:\n- conda-forge\ndependencies:\n- python=3.11\n- pip\n- pip:\n  - mlflow\n  - numpy\n  - onnx\n"
                            "  - onnxruntime\n  - pandas\n";

enum { MLMODEL_MAX = 1 << 20, EXAMPLE_MAX = 4 << 20 };

typedef struct files {
    const char *folder;
    sv_error *error;
    size_t size; // bytes written
    int code;
} files;

static void write_file(files *f, const char *name, const void *bytes, size_t length)
{
    char *path = f->code ? NULL : sv_path_join(f->folder, name);
    if (!f->code)
        f->code = path ? sv_file_write(path, bytes, length, f->error) : sv_error_set(f->error, SV_E_MEMORY, "out of memory");
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

static void write_examples(files *f, const sv_pipeline *pipeline, const sv_package_options *options)
{
    sv_buffer example = SV_BUFFER_INIT(0), serving = SV_BUFFER_INIT(0);
    int code = f->code ? f->code : sv_example_write(&example, pipeline, options->example, options->profile);
    code = code ? code : sv_buffer_format(&serving, "{\"dataframe_split\": %s}", example.data);
    if (code && !f->code)
        f->code = sv_error_set(f->error, code, "input_example.json: %s", code == SV_E_MEMORY ? "out of memory" : "a value that JSON cannot hold");
    write_file(f, "input_example.json", example.data, example.size);
    write_file(f, "serving_input_example.json", serving.data, serving.size);
    sv_buffer_free(&example);
    sv_buffer_free(&serving);
}

/* pipeline.json and, from the same pipeline, model.onnx, tied by the digest. */
static void write_model(files *f, const sv_pipeline *pipeline, char sha256[65])
{
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

static void write_mlmodel(files *f, const sv_pipeline *pipeline, const sv_package_options *options, const char *sha256)
{
    sv_buffer yaml = SV_BUFFER_INIT(0);
    if (!f->code && sv_mlmodel_write(&yaml, pipeline, options, sha256, f->size))
        f->code = sv_error_set(f->error, SV_E_MEMORY, "MLmodel: out of memory");
    write_file(f, "MLmodel", yaml.data, yaml.size);
    sv_buffer_free(&yaml);
}

int sv_package_write(const char *folder, const sv_pipeline *pipeline, const sv_package_options *options, sv_error *error)
{
    static const sv_package_options defaults = SV_PACKAGE_OPTIONS_INIT;
    files f = {.folder = folder, .error = error};
    char sha256[65] = "";
    options = options ? options : &defaults;
    f.code = sv_folder_make(folder, error);
    make_folder(&f, "code");
    if (f.code)
        return f.code;
    write_model(&f, pipeline, sha256);
    write_file(&f, "code/native_tabular_v1.py", sv_loader_text, sv_loader_length);
    write_file(&f, "conda.yaml", conda, sizeof conda - 1);
    write_file(&f, "python_env.yaml", python_env, sizeof python_env - 1);
    write_file(&f, "requirements.txt", requirements, sizeof requirements - 1);
    write_profile(&f, options->profile);
    write_examples(&f, pipeline, options);
    write_mlmodel(&f, pipeline, options, sha256);
    return f.code;
}

/* The size of the files that are there, MLmodel excepted. */
static size_t folder_size(const char *folder)
{
    size_t size = 0;
    for (size_t i = 0; sv_package_files[i + 1]; i++) {
        char *path = sv_path_join(folder, sv_package_files[i]);
        struct stat status;
        if (path && !stat(path, &status))
            size += (size_t)status.st_size;
        sv_free(path);
    }
    return size;
}

int sv_package_write_mlmodel(const char *folder, const sv_pipeline *pipeline, const sv_package_options *options, sv_error *error)
{
    sv_buffer json = SV_BUFFER_INIT(SV_PIPELINE_JSON_MAX);
    files f = {.folder = folder, .error = error, .size = folder_size(folder)};
    char sha256[65] = "";
    f.code = sv_pipeline_write_json(&json, pipeline, error);
    if (!f.code && sv_sha256_text(sha256, json.data, json.size))
        f.code = sv_error_set(error, SV_E_MEMORY, "out of memory");
    sv_buffer_free(&json);
    write_mlmodel(&f, pipeline, options, sha256);
    return f.code;
}

/* ---- reading */

/* The file's bytes; an absent optional file leaves the buffer empty. */
static int read_file(sv_buffer *buffer, const char *folder, const char *name, size_t max, int optional, sv_error *error)
{
    char *path = sv_path_join(folder, name);
    struct stat status;
    int code = path ? 0 : sv_error_set(error, SV_E_MEMORY, "out of memory");
    if (!code && (!optional || !stat(path, &status)))
        code = sv_file_read(buffer, path, max, error);
    sv_free(path);
    return code;
}

static int read_pipeline(sv_package *package, const char *folder, sv_error *error)
{
    sv_buffer json = SV_BUFFER_INIT(SV_PIPELINE_JSON_MAX);
    int code = read_file(&json, folder, "pipeline.json", SV_PIPELINE_JSON_MAX, 0, error);
    code = code ? code : sv_pipeline_read_json(&package->pipeline, json.data ? json.data : "", json.size, error);
    if (!code && (!(package->sha256 = sv_calloc(1, 65)) || sv_sha256_text(package->sha256, json.data, json.size)))
        code = sv_error_set(error, SV_E_MEMORY, "out of memory");
    sv_buffer_free(&json);
    return code;
}

/* Ids for display, and the digest that ties MLmodel to pipeline.json. */
static int read_mlmodel(sv_package *package, const char *folder, sv_error *error)
{
    sv_buffer yaml = SV_BUFFER_INIT(MLMODEL_MAX);
    int code = read_file(&yaml, folder, "MLmodel", MLMODEL_MAX, 1, error);
    if (!code && yaml.size) {
        char *stated = sv_mlmodel_get(yaml.data, yaml.size, "metadata", "pipeline_sha256");
        package->model_id = sv_mlmodel_get(yaml.data, yaml.size, NULL, "model_id");
        package->run_id = sv_mlmodel_get(yaml.data, yaml.size, NULL, "run_id");
        if (stated && strcmp(stated, package->sha256)) {
            code = sv_error_set(error, SV_E_INPUT, "%s/pipeline.json: its SHA-256 is %s, MLmodel says %.64s", folder, package->sha256, stated);
            sv_error_hint(error, "the package was changed or only partly copied; fetch it again");
        }
        sv_free(stated);
    }
    sv_buffer_free(&yaml);
    return code;
}

static int read_profile(sv_package *package, const char *folder, sv_error *error)
{
    sv_buffer json = SV_BUFFER_INIT(SV_PIPELINE_JSON_MAX);
    int code = read_file(&json, folder, "profile.json", SV_PIPELINE_JSON_MAX, 1, error);
    if (!code && json.size) {
        package->profile = sv_calloc(1, sizeof *package->profile);
        code = package->profile ? sv_profile_read(package->profile, json.data, json.size, error) : sv_error_set(error, SV_E_MEMORY, "out of memory");
    }
    sv_buffer_free(&json);
    return code;
}

static int read_example(sv_package *package, const char *folder, sv_error *error)
{
    sv_buffer json = SV_BUFFER_INIT(EXAMPLE_MAX);
    int code = read_file(&json, folder, "serving_input_example.json", EXAMPLE_MAX, 1, error);
    if (!code && json.size && !(package->input_example = sv_buffer_take(&json)))
        code = sv_error_set(error, SV_E_MEMORY, "out of memory");
    sv_buffer_free(&json);
    return code;
}

int sv_package_load(sv_package *package, const char *folder, sv_error *error)
{
    *package = (sv_package){0};
    int code = read_pipeline(package, folder, error);
    code = code ? code : read_mlmodel(package, folder, error);
    code = code ? code : read_profile(package, folder, error);
    code = code ? code : read_example(package, folder, error);
    if (code) {
        if (error && !strstr(error->message, folder))
            sv_error_prefix(error, "%s: ", folder);
        sv_package_free(package);
    }
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
    *package = (sv_package){0};
}
