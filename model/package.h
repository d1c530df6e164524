/* package.h: a model as a folder: MLmodel, pipeline.json (what this project reads), model.onnx and a Python loader (what everybody else reads), profile.json,
   examples, requirements. One writer, one reader. Leaves out: up- and downloading (the trainer and server, through mlflow_client). */
#ifndef SV_PACKAGE_H
#define SV_PACKAGE_H

#include "buffer.h"
#include "error.h"
#include "pipeline.h"
#include "profile.h"

#define SV_PIPELINE_JSON_MAX (64u << 20) /* bytes */
#define SV_PACKAGE_FILE_MAX SV_PIPELINE_JSON_MAX
#define SV_PACKAGE_FILES 11
#define SV_PACKAGE_MAX (SV_PACKAGE_FILES * (int64_t)SV_PACKAGE_FILE_MAX) /* bytes of a whole package */
#define SV_PACKAGE_ANSWERS "serving_output_example.json" /* what /invocations answers to serving_input_example.json; older packages have none */

/* What only the tracking side knows; every field may be NULL or 0. Texts are borrowed. */
typedef struct sv_package_options {
    const char *artifact_path;  /* MLmodel's; MLflow 3: the logged model's artifact_uri; 2: "model" */
    const char *run_id;
    const char *model_id;       /* MLflow 3 alone; NULL leaves it out and writes a model_uuid */
    const char *model_uuid;     /* 32 hexadecimal digits; NULL: derived from pipeline.json's digest */
    const char *mlflow_version; /* default "3.17.2" */
    int64_t created_ms;         /* utc_time_created; milliseconds since 1970 */
    const sv_profile *profile;  /* becomes profile.json */
    const sv_block *example;    /* rows (up to 5 are taken) for input_example.json; columns in order of the pipeline's schema. NULL: made from the profile or categories */
} sv_package_options;

#define SV_PACKAGE_OPTIONS_INIT {0}

/* Names of the files that sv_package_write makes, MLmodel last (upload it last), NULL-terminated; relative, '/' inside. */
extern const char *const sv_package_files[SV_PACKAGE_FILES + 1];

/* Writes the whole package into folder (made when absent). The same pipeline and options give the same bytes. pipeline must be finished. */
int sv_package_write(const char *folder, const sv_pipeline *pipeline, const sv_package_options *options, sv_error *error);
/* Only MLmodel, over the one in folder: when the ids are known after the other files were made. */
int sv_package_write_mlmodel(const char *folder, const sv_pipeline *pipeline, const sv_package_options *options, sv_error *error);

typedef struct sv_package {
    sv_pipeline *pipeline;
    sv_profile *profile; /* NULL when the package has none */
    char *model_id, *run_id; /* from MLmodel; NULL when it names none */
    char *sha256;            /* of pipeline.json, 64 hexadecimal digits */
    char *input_example;     /* the text of serving_input_example.json, or NULL */
    char *output_example;    /* of SV_PACKAGE_ANSWERS; NULL: the package was written before there was such a file */
} sv_package;

/* Reads a folder. All files of sv_package_files must be there (SV_PACKAGE_ANSWERS unless MLmodel names none), none beyond them but hidden ones, Python's caches and what MLflow adds to a download, and
   each must have the SHA-256 that MLmodel states; MLmodel itself has none. SV_E_INPUT names file and place. */
int sv_package_load(sv_package *package, const char *folder, sv_error *error);
void sv_package_free(sv_package *package); /* the contents; accepts NULL */

/* MLflow's signature: one line of JSON each, as MLmodel and model versions hold them. */
int sv_signature_inputs(sv_buffer *json, const sv_pipeline *pipeline);
int sv_signature_outputs(sv_buffer *json, const sv_pipeline *pipeline);

/* pipeline.json and model.onnx as bytes. */
int sv_pipeline_write_json(sv_buffer *json, const sv_pipeline *pipeline, sv_error *error);
int sv_pipeline_read_json(sv_pipeline **out, const char *json, size_t length, sv_error *error);
int sv_pipeline_write_onnx(sv_buffer *bytes, const sv_pipeline *pipeline, const char *pipeline_sha256, sv_error *error);

#endif
