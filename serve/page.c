/* page.c: GET /ui, /docs and /ui/card, which tells the page about the model. */
#include "page.h"

#include "json_out.h"
#include "service.h"

static void send_page(sv_call *call, const sv_page *page)
{
    call->reply->content_type = "text/html; charset=utf-8";
    sv_reply_field(call->reply, "Content-Security-Policy", sv_span_of(page->policy));
    sv_reply_field(call->reply, "X-Content-Type-Options", sv_span_of("nosniff"));
    sv_reply_field(call->reply, "Referrer-Policy", sv_span_of("no-referrer"));
    sv_reply_field(call->reply, "Cache-Control", sv_span_of("no-cache"));
    sv_buffer_append(&call->reply->body, page->html.text, page->html.size);
}

void sv_handle_page(sv_call *call)
{
    send_page(call, &sv_page_ui);
}

void sv_handle_docs(sv_call *call)
{
    send_page(call, &sv_page_docs);
}

static void write_member(sv_buffer *json, const char *name, const char *value)
{
    if (!value)
        return;
    sv_buffer_format(json, ",\"%s\":", name);
    sv_json_write_text(json, sv_span_of(value));
}

static void write_number(sv_buffer *json, const char *name, double value)
{
    sv_buffer_format(json, ",\"%s\":", name);
    sv_json_write_double(json, value);
}

static void write_choices(sv_buffer *json, const sv_levels *choices)
{
    sv_buffer_text(json, ",\"choices\":[");
    for (size_t i = 0; i < sv_levels_count(choices); i++) {
        size_t length;
        const char *text = sv_levels_text(choices, i, &length);
        sv_buffer_text(json, i ? "," : "");
        sv_json_write_text(json, (sv_span){text, length});
    }
    sv_buffer_text(json, "]");
}

static void write_input(sv_buffer *json, const sv_served *served, size_t i)
{
    const sv_input *input = &served->inputs[i];
    const sv_profile_value *value = served->package.profile ? sv_profile_find(served->package.profile, input->name.text) : NULL;
    sv_buffer_text(json, i ? ",{\"name\":" : "{\"name\":");
    sv_json_write_text(json, input->name);
    sv_buffer_format(json, ",\"type\":\"%s\",\"required\":%s", sv_type_name(input->type), input->optional ? "false" : "true");
    if (input->choices)
        write_choices(json, input->choices);
    if (value && (input->type == SV_LONG || input->type == SV_DOUBLE)) {
        write_number(json, "min", value->min);
        write_number(json, "max", value->max);
        write_number(json, "median", value->median);
    }
    sv_buffer_text(json, "}");
}

static void write_training(sv_buffer *json, const sv_profile *profile)
{
    sv_buffer_format(json, ",\"n_rows\":%llu", (unsigned long long)profile->n_rows);
    write_number(json, "label_rate", profile->label_rate);
    sv_buffer_text(json, ",\"metrics\":[");
    for (size_t m = 0; m < profile->n_metrics; m++) {
        sv_buffer_text(json, m ? ",{\"name\":" : "{\"name\":");
        sv_json_write_text(json, sv_span_of(profile->metrics[m].name));
        write_number(json, "value", profile->metrics[m].value);
        sv_buffer_text(json, "}");
    }
    sv_buffer_text(json, "]");
}

void sv_handle_card(sv_call *call)
{
    const sv_served *served = call->served;
    const sv_identity *identity = &served->identity;
    const sv_profile *profile = served->package.profile;
    sv_buffer *json = &call->reply->body;
    sv_buffer_text(json, "{\"model\":");
    sv_json_write_text(json, sv_span_of(identity->name ? identity->name : call->service->slots[call->slot].key));
    write_member(json, "version", identity->version);
    write_member(json, "run_id", identity->run_id);
    write_member(json, "model_id", identity->model_id);
    write_member(json, "uri", identity->uri);
    write_member(json, "description", profile && profile->description ? profile->description : identity->description);
    write_member(json, "task", sv_task_name(sv_pipeline_task(served->pipeline)));
    sv_buffer_format(json, ",\"takes_feedback\":%s,\"has_challenger\":%s", call->service->ledger ? "true" : "false", call->service->shadow && call->slot == 0 ? "true" : "false");
    if (profile)
        write_training(json, profile);
    sv_buffer_text(json, ",\"inputs\":[");
    for (size_t i = 0; i < served->n_inputs; i++)
        write_input(json, served, i);
    sv_buffer_text(json, "],\"outputs\":[");
    for (size_t o = 0; o < served->n_outputs; o++) {
        sv_buffer_text(json, o ? "," : "");
        sv_json_write_text(json, served->outputs[o].name);
    }
    sv_buffer_text(json, "],\"example\":");
    sv_buffer_text(json, served->package.input_example ? served->package.input_example : "null");
    sv_buffer_text(json, "}");
}
