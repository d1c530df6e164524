/* openapi.c: GET /openapi.json: OpenAPI 3.1, made from the signature, the choices and the ranges that the package knows. */
#include "json_out.h"
#include "service.h"

#include <math.h>

static void name_of(sv_buffer *json, sv_span name, int further)
{
    sv_buffer_text(json, further ? "," : "");
    sv_json_write_text(json, name);
}

static void write_choices(sv_buffer *json, const sv_input *input)
{
    sv_buffer_text(json, "\"enum\":[");
    int has_empty = 0;
    for (size_t i = 0; i < sv_levels_count(input->choices); i++) {
        size_t length;
        const char *text = sv_levels_text(input->choices, i, &length);
        has_empty |= length == 0;
        name_of(json, (sv_span){text, length}, i > 0);
    }
    sv_buffer_text(json, input->optional ? has_empty ? ",null" : ",\"\",null" : "");
    sv_buffer_text(json, "]");
}

/* The type's own schema, without braces. */
static void write_type(sv_buffer *json, const sv_input *input)
{
    static const char *const types[] = {[SV_LONG] = "integer", [SV_DOUBLE] = "number", [SV_STRING] = "string", [SV_BOOLEAN] = "boolean", [SV_DATE] = "string"};
    if (input->optional)
        sv_buffer_format(json, "\"type\":[\"%s\",\"null\"]", types[input->type]);
    else
        sv_buffer_format(json, "\"type\":\"%s\"", types[input->type]);
    if (input->type == SV_LONG)
        sv_buffer_text(json, ",\"format\":\"int64\",\"minimum\":-9223372036854775808,\"maximum\":9223372036854775807");
    if (input->type == SV_DATE)
        sv_buffer_text(json, ",\"format\":\"date\"");
    if (input->strict_choice) {
        sv_buffer_text(json, ",");
        write_choices(json, input);
    }
}

static void write_property(sv_buffer *json, const sv_served *served, size_t i)
{
    const sv_input *input = &served->inputs[i];
    const sv_profile_value *value = served->package.profile ? sv_profile_find(served->package.profile, input->name.text) : NULL;
    name_of(json, input->name, i > 0);
    sv_buffer_text(json, ":{");
    write_type(json, input);
    if (value && (input->type == SV_LONG || input->type == SV_DOUBLE) && isfinite(value->min) && isfinite(value->max)) {
        sv_buffer_text(json, ",\"description\":\"in training ");
        sv_json_write_double(json, value->min);
        sv_buffer_text(json, " to ");
        sv_json_write_double(json, value->max);
        sv_buffer_text(json, "\",\"x-training-range\":[");
        sv_json_write_double(json, value->min);
        sv_buffer_text(json, ",");
        sv_json_write_double(json, value->max);
        sv_buffer_text(json, "]");
    }
    sv_buffer_text(json, "}");
}

static void write_row_schema(sv_buffer *json, const sv_served *served)
{
    sv_buffer_text(json, "\"Row\":{\"type\":\"object\",\"properties\":{");
    for (size_t i = 0; i < served->n_inputs; i++)
        write_property(json, served, i);
    sv_buffer_text(json, "}");
    if (served->n_required) {
        int further = 0;
        sv_buffer_text(json, ",\"required\":[");
        for (size_t i = 0; i < served->n_inputs; i++)
            if (!served->inputs[i].optional)
                name_of(json, served->inputs[i].name, further++);
        sv_buffer_text(json, "]");
    }
    sv_buffer_text(json, "}");
}

static void write_answer_schema(sv_buffer *json, const sv_served *served, const char *name, int explained)
{
    static const char *const types[] = {[SV_LONG] = "integer", [SV_DOUBLE] = "number", [SV_STRING] = "string", [SV_BOOLEAN] = "boolean", [SV_DATE] = "string"};
    sv_buffer_format(json, "\"%s\":{\"type\":\"object\",\"properties\":{", name);
    for (size_t o = 0; o < served->n_outputs; o++) {
        name_of(json, served->outputs[o].name, o > 0);
        sv_buffer_format(json, ":{\"type\":\"%s\"}", types[served->outputs[o].type]);
    }
    sv_buffer_text(json, explained ? ",\"explanation\":{\"type\":\"object\"}},\"required\":[" : "},\"required\":[");
    for (size_t o = 0; o < served->n_outputs; o++)
        name_of(json, served->outputs[o].name, o > 0);
    sv_buffer_text(json, explained ? ",\"explanation\"]}" : "]}");
}

static const char problem_schemas[] =
    "\"Problem\":{\"type\":\"object\",\"required\":[\"detail\"],\"properties\":{\"detail\":{}}},"
    "\"ValidationError\":{\"type\":\"object\",\"required\":[\"detail\"],\"properties\":{\"detail\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
    "\"required\":[\"type\",\"loc\",\"msg\",\"input\"],\"properties\":{\"type\":{\"type\":\"string\"},\"loc\":{\"type\":\"array\",\"items\":{\"type\":[\"string\",\"integer\"]}},"
    "\"msg\":{\"type\":\"string\"},\"input\":{}}}}}}";

/* The example row: the first of the package's input example, as an object. */
static void write_example(sv_buffer *json, sv_call *call)
{
    sv_json_fault fault;
    const char *text = call->served->package.input_example;
    const sv_json *root = text ? sv_json_read(call->arena, sv_span_of(text), &fault) : NULL;
    const sv_json *split = root ? sv_json_member(root, "dataframe_split") : NULL;
    const sv_json *columns = split ? sv_json_member(split, "columns") : NULL, *data = split ? sv_json_member(split, "data") : NULL;
    if (!columns || !data || data->n == 0 || data->items[0].n != columns->n)
        return;
    sv_buffer_text(json, ",\"example\":{");
    for (uint32_t c = 0, further = 0; c < columns->n; c++) {
        const sv_json *value = &data->items[0].items[c];
        if (value->kind == SV_JSON_LIST || value->kind == SV_JSON_OBJECT || columns->items[c].kind != SV_JSON_TEXT)
            continue;
        name_of(json, columns->items[c].text, (int)further++);
        sv_buffer_text(json, ":");
        if (value->kind == SV_JSON_TEXT)
            sv_json_write_text(json, value->text);
        else
            sv_buffer_append(json, value->text.text, value->text.size);
    }
    sv_buffer_text(json, "}");
}

static void write_problems(sv_buffer *json)
{
    static const struct {
        int status;
        const char *what, *schema;
    } rows[] = {{413, "More than one request may hold", "Problem"}, {415, "Another Content-Type than JSON", "Problem"}, {422, "Fields that are wrong, all at once", "ValidationError"}, {503, "No model is loaded yet", "Problem"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        sv_buffer_format(json, ",\"%d\":{\"description\":\"%s\",\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/%s\"}}}}", rows[i].status,
                         rows[i].what, rows[i].schema);
}

static void write_post(sv_buffer *json, sv_call *call, const char *path, const char *summary, const char *answer)
{
    sv_buffer_format(json,
                     ",\"%s\":{\"post\":{\"operationId\":\"%s\",\"summary\":\"%s\",\"requestBody\":{\"required\":true,\"content\":{\"application/json\":{\"schema\":"
                     "{\"anyOf\":[{\"$ref\":\"#/components/schemas/Row\"},{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/Row\"}}]}",
                     path, path + 1, summary);
    write_example(json, call);
    sv_buffer_format(json,
                     "}}},\"responses\":{\"200\":{\"description\":\"The answer, or one for each row\",\"content\":{\"application/json\":{\"schema\":{\"anyOf\":"
                     "[{\"$ref\":\"#/components/schemas/%s\"},{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/%s\"}}]}}}}",
                     answer, answer);
    write_problems(json);
    sv_buffer_text(json, "}}}");
}

static void write_get(sv_buffer *json, const char *path, const char *summary, const char *type)
{
    sv_buffer_format(json, "\"%s\":{\"get\":{\"operationId\":\"get_%s\",\"summary\":\"%s\",\"responses\":{\"200\":{\"description\":\"OK\",\"content\":{\"%s\":{}}},\"503\":"
                           "{\"description\":\"No model is loaded yet\",\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}}}}",
                     path, path[1] ? path + 1 : "service", summary, type);
}

void sv_handle_openapi(sv_call *call)
{
    const sv_served *served = call->served;
    sv_buffer *json = &call->reply->body;
    sv_buffer_text(json, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":");
    sv_json_write_text(json, sv_span_of(call->service->slots[call->slot].key));
    sv_buffer_text(json, ",\"version\":");
    sv_json_write_text(json, sv_span_of(served->identity.version ? served->identity.version : "1"));
    sv_buffer_text(json, ",\"description\":\"MLflow's scoring protocol is at POST /invocations, the Open Inference Protocol at /v2.\"}");
    if (call->slot)
        sv_buffer_format(json, ",\"servers\":[{\"url\":\"/models/%s\"}]", call->service->slots[call->slot].key);
    sv_buffer_text(json, ",\"paths\":{");
    write_get(json, "/", "What is served", "application/json");
    sv_buffer_text(json, ",");
    write_get(json, "/ping", "Whether a model is loaded", "application/json");
    write_post(json, call, "/predict", "Predict one row or several", "Answer");
    write_post(json, call, "/explain", "Predict and say what each feature adds", "Explained");
    sv_buffer_text(json, "},\"components\":{\"schemas\":{");
    write_row_schema(json, served);
    sv_buffer_text(json, ",");
    write_answer_schema(json, served, "Answer", 0);
    sv_buffer_text(json, ",");
    write_answer_schema(json, served, "Explained", 1);
    sv_buffer_text(json, ",");
    sv_buffer_text(json, problem_schemas);
    sv_buffer_text(json, "}}}");
}
