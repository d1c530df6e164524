/* openapi.c: GET /openapi.json: OpenAPI 3.1, made from the router's table and the signature, choices and ranges that the package knows. */
#include "json_out.h"
#include "router.h"

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

/* Further names are passed over; see check_unknown in predict.c for those that are refused. */
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
    sv_buffer_text(json, ",\"additionalProperties\":true,\"description\":\"Further names are passed over, but for one that looks like an input which the row leaves out: 422.\"}");
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

/* What a label may be. */
static void write_truth(sv_buffer *json, const sv_served *served)
{
    sv_task task = sv_pipeline_task(served->pipeline);
    sv_buffer_text(json, task == SV_TASK_BINARY ? "{\"enum\":[0,1,true,false]}" : task == SV_TASK_MULTINOMIAL ? "{\"type\":\"string\",\"enum\":[" : "{\"type\":\"number\"}");
    if (task != SV_TASK_MULTINOMIAL)
        return;
    for (size_t k = 0; k < sv_pipeline_n_scores(served->pipeline); k++)
        name_of(json, sv_span_of(sv_pipeline_class(served->pipeline, k)), k > 0);
    sv_buffer_text(json, "]}");
}

static void write_label_example(sv_buffer *json, const sv_served *served)
{
    sv_buffer_text(json, ",\"example\":{\"request_id\":\"the X-Request-Id of a prediction\",\"label\":");
    if (sv_pipeline_task(served->pipeline) == SV_TASK_MULTINOMIAL)
        sv_json_write_text(json, sv_span_of(sv_pipeline_class(served->pipeline, 0)));
    else
        sv_buffer_text(json, "1");
    sv_buffer_text(json, "}");
}

static void write_label_schema(sv_buffer *json, const sv_served *served)
{
    sv_buffer_format(json,
                     ",\"Label\":{\"type\":\"object\",\"required\":[\"request_id\",\"label\"],\"additionalProperties\":false,\"properties\":{\"request_id\":{\"type\":\"string\","
                     "\"description\":\"X-Request-Id of the prediction\"},\"row\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":%d,\"default\":0},\"label\":",
                     SV_TAP_ROWS - 1);
    write_truth(json, served);
    sv_buffer_text(json, "}}");
}

#define ONE_OR_MANY(one) "{\"anyOf\":[{\"$ref\":\"#/components/schemas/" one "\"},{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/" one "\"}}]}"
#define COUNT "{\"type\":\"integer\",\"minimum\":0}"
#define FIGURE "{\"type\":[\"number\",\"null\"]}"
#define LIST_OF(item) "{\"type\":\"array\",\"items\":" item "}"
#define OBJECT(required, properties) "{\"type\":\"object\",\"required\":[" required "],\"properties\":{" properties "}}"

static const char fixed_schemas[] =
    ",\"Rows\":" ONE_OR_MANY("Row") ",\"Answers\":" ONE_OR_MANY("Answer") ",\"Explanations\":" ONE_OR_MANY("Explained") ",\"Labels\":" ONE_OR_MANY("Label") ""
    ",\"Service\":" OBJECT("\"service\",\"model\",\"features\",\"outputs\"", "\"service\":{\"const\":\"solvent-serve\"},\"model\":{\"type\":\"string\"},\"features\":"
                            LIST_OF("{\"type\":\"object\"}") ",\"outputs\":" LIST_OF("{\"type\":\"string\"}"))
    ",\"Taken\":" OBJECT("\"taken\"", "\"taken\":" COUNT ",\"unknown\":" LIST_OF(COUNT) ",\"duplicate\":" LIST_OF(COUNT))
    ",\"LiveFigures\":" OBJECT("\"kept\",\"versions\"", "\"kept\":" COUNT ",\"versions\":" LIST_OF(OBJECT("\"model\",\"version\",\"labels\"",
        "\"model\":{\"type\":\"string\"},\"version\":{\"type\":\"string\"},\"labels\":" COUNT ",\"accuracy\":" FIGURE ",\"log_loss\":" FIGURE ",\"brier\":" FIGURE
        ",\"mean_absolute_error\":" FIGURE ",\"root_mean_squared_error\":" FIGURE ",\"calibration\":" LIST_OF("{\"type\":\"object\"}"))))
    ",\"Drift\":" OBJECT("\"rows\",\"min_rows\",\"window_seconds\",\"threshold\",\"noticed\",\"features\"", "\"rows\":" COUNT ",\"min_rows\":" COUNT ",\"window_seconds\":" COUNT
        ",\"threshold\":{\"type\":\"number\"},\"noticed\":{\"type\":\"boolean\"},\"features\":" LIST_OF(OBJECT("\"name\",\"psi\",\"noticed\"",
        "\"name\":{\"type\":\"string\"},\"psi\":" FIGURE ",\"noticed\":{\"type\":\"boolean\"}")))
    ",\"Shadow\":" OBJECT("\"champion\",\"challenger\",\"rows\",\"disagreements\",\"failed\",\"dropped\"",
        "\"champion\":{\"type\":[\"string\",\"null\"]},\"challenger\":{\"type\":[\"string\",\"null\"]},\"rows\":" COUNT ",\"disagreements\":" COUNT ",\"mean_difference\":" FIGURE
        ",\"mean_absolute_difference\":" FIGURE ",\"largest_difference\":" FIGURE ",\"histogram\":" LIST_OF("{\"type\":\"object\"}") ",\"failed\":" COUNT ",\"dropped\":" COUNT)
    ",\"Problem\":" OBJECT("\"detail\"", "\"detail\":{}")
    ",\"ValidationError\":" OBJECT("\"detail\"", "\"detail\":" LIST_OF(OBJECT("\"type\",\"loc\",\"msg\",\"input\"",
        "\"type\":{\"type\":\"string\"},\"loc\":" LIST_OF("{\"type\":[\"string\",\"integer\"]}") ",\"msg\":{\"type\":\"string\"},\"input\":{}")));

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

/* What the answer's status may be beside 200. for_body: only where a body of that schema is taken ("": any body; NULL: always). */
static const struct {
    int status;
    const char *what, *schema, *for_body;
} problems[] = {{404, "No such prediction is kept", "Problem", "Labels"}, {409, "Its label was taken before", "Problem", "Labels"}, {413, "More than one request may hold", "Problem", ""},
                {415, "Another Content-Type than JSON", "Problem", ""}, {422, "Fields that are wrong, all at once", "ValidationError", ""}, {503, "No model is loaded yet", "Problem", NULL}};

static void write_problems(sv_buffer *json, const char *takes)
{
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        const char *body = problems[i].for_body;
        if (!body || (takes && (!*body || !strcmp(body, takes))))
            sv_buffer_format(json, ",\"%d\":{\"description\":\"%s\",\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/%s\"}}}}", problems[i].status,
                             problems[i].what, problems[i].schema);
    }
}

static void write_body(sv_buffer *json, sv_call *call, const char *takes)
{
    sv_buffer_format(json, ",\"requestBody\":{\"required\":true,\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/%s\"}", takes);
    if (!strcmp(takes, "Rows"))
        write_example(json, call);
    else
        write_label_example(json, call->served);
    sv_buffer_text(json, "}}}");
}

/* The name is the path's last part; a GET's has get_ before it. */
static void write_operation(sv_buffer *json, sv_call *call, const sv_row *row)
{
    int is_get = !strcmp(row->method, "GET");
    sv_buffer_format(json, "\"%s\":{\"operationId\":\"%s%s\",\"summary\":\"%s\"", is_get ? "get" : "post", is_get ? "get_" : "", row->path[1] ? row->path + 1 : "service", row->summary);
    if (row->takes)
        write_body(json, call, row->takes);
    sv_buffer_text(json, ",\"responses\":{\"200\":{\"description\":\"OK\",\"content\":{");
    if (row->gives && *row->gives)
        sv_buffer_format(json, "\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/%s\"}}}}", row->gives);
    else
        sv_buffer_format(json, "\"%s\":{}}}", row->gives ? "application/json" : "text/plain");
    write_problems(json, row->takes);
    sv_buffer_text(json, "}}");
}

/* Some routes answer only where the server was started with what they tell of. */
static int is_offered(const sv_call *call, const sv_row *row)
{
    const sv_service *service = call->service;
    return row->summary && (row->route != SV_ROUTE_FEEDBACK || service->ledger) && (row->handle != sv_handle_shadow || (service->shadow && call->slot == 0));
}

static void write_paths(sv_buffer *json, sv_call *call)
{
    size_t n;
    int further = 0;
    const sv_row *rows = sv_routes(&n);
    for (size_t i = 0; i < n; i++) {
        int is_known = 0;
        for (size_t before = 0; before < i; before++)
            is_known |= is_offered(call, &rows[before]) && !strcmp(rows[before].path, rows[i].path);
        if (is_known || !is_offered(call, &rows[i]))
            continue;
        sv_buffer_format(json, "%s\"%s\":{", further++ ? "," : "", rows[i].path);
        for (size_t same = i; same < n; same++)
            if (!strcmp(rows[same].path, rows[i].path) && is_offered(call, &rows[same])) {
                sv_buffer_text(json, same > i ? "," : "");
                write_operation(json, call, &rows[same]);
            }
        sv_buffer_text(json, "}");
    }
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
    write_paths(json, call);
    sv_buffer_text(json, "},\"components\":{\"schemas\":{");
    write_row_schema(json, served);
    sv_buffer_text(json, ",");
    write_answer_schema(json, served, "Answer", 0);
    sv_buffer_text(json, ",");
    write_answer_schema(json, served, "Explained", 1);
    write_label_schema(json, served);
    sv_buffer_text(json, fixed_schemas);
    sv_buffer_text(json, "}}}");
}
