/* info.c: what the service says of itself: GET /, /ping, /health, /version, /metrics. */
#include "json_out.h"
#include "prediction_log.h"
#include "prometheus.h"
#include "service.h"

#include <math.h>

#define MLFLOW_VERSION "3.17.2" /* of the scoring protocol that we answer */

void sv_handle_ping(sv_call *call)
{
    int ready = call->served != NULL;
    sv_reply_text(call->reply, ready ? 200 : 503, "application/json", ready ? "\n" : "{\"detail\":\"no model is loaded yet\"}");
}

void sv_handle_version(sv_call *call)
{
    sv_reply_text(call->reply, 200, "application/json", MLFLOW_VERSION);
}

static void write_member(sv_buffer *json, const char *name, const char *value)
{
    sv_buffer_format(json, ", \"%s\": ", name);
    if (value)
        sv_json_write_text(json, sv_span_of(value));
    else
        sv_buffer_text(json, "null");
}

/* One feature: {"name", "type", "required"(, "choices")}. */
static void write_input(sv_buffer *json, const sv_input *input)
{
    sv_buffer_text(json, "{\"name\": ");
    sv_json_write_text(json, input->name);
    sv_buffer_format(json, ", \"type\": \"%s\", \"required\": %s", sv_type_name(input->type), input->optional ? "false" : "true");
    if (input->choices) {
        sv_buffer_text(json, ", \"choices\": [");
        for (size_t i = 0; i < sv_levels_count(input->choices); i++) {
            size_t length;
            const char *text = sv_levels_text(input->choices, i, &length);
            sv_buffer_text(json, i ? ", " : "");
            sv_json_write_text(json, (sv_span){text, length});
        }
        sv_buffer_text(json, "]");
    }
    sv_buffer_text(json, "}");
}

/* A browser asks for HTML before anything else; programs do not. */
static int is_browser(const sv_http_request *request)
{
    return sv_span_starts(sv_http_header_value(request, "accept"), "text/html");
}

void sv_handle_root(sv_call *call)
{
    const sv_served *served = call->served;
    const sv_identity *identity = &served->identity;
    sv_buffer *json = &call->reply->body;
    if (is_browser(call->request)) {
        sv_reply_text(call->reply, 303, NULL, "");
        sv_reply_field(call->reply, "Location", sv_span_of(sv_span_is(call->request->path, "/") ? "/ui" : "ui"));
        return;
    }
    sv_buffer_text(json, "{\"service\": \"solvent-serve\"");
    write_member(json, "model", identity->name ? identity->name : call->service->slots[call->slot].key);
    write_member(json, "version", identity->version);
    write_member(json, "run_id", identity->run_id);
    write_member(json, "model_id", identity->model_id);
    write_member(json, "uri", identity->uri);
    write_member(json, "task", sv_task_name(sv_pipeline_task(served->pipeline)));
    sv_buffer_text(json, ", \"features\": [");
    for (size_t i = 0; i < served->n_inputs; i++) {
        sv_buffer_text(json, i ? ", " : "");
        write_input(json, &served->inputs[i]);
    }
    sv_buffer_text(json, "], \"outputs\": [");
    for (size_t i = 0; i < served->n_outputs; i++) {
        sv_buffer_text(json, i ? ", " : "");
        sv_json_write_text(json, served->outputs[i].name);
    }
    sv_buffer_text(json, "], \"models\": [");
    for (size_t s = 0; s < call->service->n_slots; s++) {
        sv_buffer_text(json, s ? ", " : "");
        sv_json_write_text(json, sv_span_of(call->service->slots[s].key));
    }
    sv_buffer_text(json, "]}");
}

void sv_handle_drift(sv_call *call)
{
    sv_drift_rule rule = sv_service_drift_rule(call->service);
    sv_monitor_write(call->served->monitor, &rule, &call->reply->body);
}

void sv_handle_shadow(sv_call *call)
{
    if (call->service->shadow && call->slot == 0)
        sv_shadow_write(call->service->shadow, sv_background_dropped(call->service->background), &call->reply->body);
    else
        sv_reply_detail(call->reply, 404, "this model has no challenger: solvent-serve --shadow URI");
}

static void write_models(sv_call *call)
{
    sv_buffer *text = &call->reply->body;
    sv_buffer_text(text, "# HELP solvent_model_info The version that answers.\n# TYPE solvent_model_info gauge\n");
    for (size_t s = 0; s < call->service->n_slots; s++) {
        const sv_served *served = atomic_load(&call->service->slots[s].current);
        if (!served)
            continue;
        sv_buffer_text(text, "solvent_model_info{");
        sv_prometheus_label(text, "model", call->service->slots[s].key);
        sv_prometheus_label(text, ",version", served->identity.version);
        sv_prometheus_label(text, ",run_id", served->identity.run_id);
        sv_prometheus_label(text, ",model_id", served->identity.model_id);
        sv_buffer_text(text, "} 1\n");
    }
}

/* One gauge of every model that is watched. what: 0 rows, 1 each PSI, 2 how many are noticed. */
static void write_drift(sv_call *call, int what)
{
    sv_buffer *text = &call->reply->body;
    sv_drift_rule rule = sv_service_drift_rule(call->service);
    for (size_t s = 0; s < call->service->n_slots; s++) {
        const sv_served *served = atomic_load(&call->service->slots[s].current);
        size_t n = served ? sv_monitor_size(served->monitor) : 0;
        sv_drift *drifts = n ? sv_arena_alloc(call->arena, n * sizeof *drifts) : NULL;
        if (!drifts)
            continue;
        unsigned long rows = sv_monitor_read(served->monitor, &rule, drifts);
        for (size_t i = 0; i < (what == 1 ? n : 1); i++) {
            if (what == 1 && isnan(drifts[i].psi))
                continue;
            sv_buffer_text(text, what == 0 ? "solvent_drift_rows{" : what == 1 ? "solvent_drift_psi{" : "solvent_drift_noticed{");
            sv_prometheus_label(text, "model", call->service->slots[s].key);
            if (what == 1) {
                sv_prometheus_label(text, ",feature", drifts[i].name);
                sv_buffer_format(text, "} %.6g\n", drifts[i].psi);
            } else {
                sv_buffer_format(text, "} %lu\n", what == 0 ? rows : (unsigned long)sv_drift_noticed(&rule, drifts, n));
            }
        }
    }
}

static void write_drifts(sv_call *call)
{
    sv_buffer *text = &call->reply->body;
    sv_buffer_text(text, "# HELP solvent_drift_rows Rows counted in the window.\n# TYPE solvent_drift_rows gauge\n");
    write_drift(call, 0);
    sv_buffer_text(text, "# HELP solvent_drift_psi Population stability index against training, over the window.\n# TYPE solvent_drift_psi gauge\n");
    write_drift(call, 1);
    sv_buffer_text(text, "# HELP solvent_drift_noticed Features and scores whose index is at or above the threshold.\n# TYPE solvent_drift_noticed gauge\n");
    write_drift(call, 2);
}

void sv_handle_metrics(sv_call *call)
{
    call->reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
    sv_metrics_write(call->service->metrics, &call->reply->body);
    write_models(call);
    sv_versions_write(call->service->versions, &call->reply->body);
    write_drifts(call);
    if (call->service->shadow)
        sv_shadow_write_metrics(call->service->shadow, &call->reply->body);
    if (call->service->prediction_log)
        sv_prediction_log_metrics(call->service->prediction_log, &call->reply->body);
    sv_prometheus_head(&call->reply->body, "solvent_background_dropped_total", "counter", "Answered requests that were not compared or logged: the queue was full, or the body too long.");
    sv_buffer_format(&call->reply->body, "solvent_background_dropped_total %lu\n", sv_background_dropped(call->service->background));
}
