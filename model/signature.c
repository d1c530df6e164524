/* signature.c: MLflow's signature of a pipeline: what goes in and what comes out, as one line of JSON each. */
#include "package_json.h"
#include "package.h"
#include "pipeline_private.h"

static const char *mlflow_type(sv_type type)
{
    return (const char *const[]){"long", "double", "string", "boolean", "datetime"}[type];
}

static int write_column(sv_buffer *json, size_t i, const char *name, sv_type type, int required)
{
    int code = sv_buffer_format(json, "%s{\"type\": \"%s\", \"name\": ", i ? ", " : "[", mlflow_type(type));
    code = code ? code : sv_json_text(json, name);
    return code ? code : sv_buffer_format(json, ", \"required\": %s}", required ? "true" : "false");
}

int sv_signature_inputs(sv_buffer *json, const sv_pipeline *pipeline)
{
    const sv_features *features = pipeline->features;
    int code = features->n_columns ? 0 : sv_buffer_text(json, "[");
    for (size_t i = 0; i < features->n_columns && !code; i++)
        code = write_column(json, i, features->columns[i].name, features->columns[i].type, !features->columns[i].optional);
    return code ? code : sv_buffer_text(json, "]");
}

int sv_signature_outputs(sv_buffer *json, const sv_pipeline *pipeline)
{
    int code = 0;
    for (size_t i = 0; i < pipeline->n_outputs && !code; i++)
        code = write_column(json, i, pipeline->outputs[i], sv_pipeline_output_type(pipeline, i), 1);
    return code ? code : sv_buffer_text(json, "]");
}
