/* feedback.c: POST /feedback: {"request_id", "label"(, "row")} or an array of them: what a prediction should have been. GET /feedback: how each version
   fared. Wrong bodies get 422 with every error at once and take nothing. */
#include "complaint.h"
#include "json_out.h"
#include "live_figures.h"
#include "service.h"

#include <math.h>
#include <stdio.h>

typedef struct told {
    sv_span id;
    size_t row;
    double truth;
} told;

typedef struct reading {
    sv_call *call;
    sv_complaints found;
} reading;

static void complain(reading *r, const char *type, const char *field, const char *msg, const sv_json *input)
{
    sv_complain(&r->found, type, field ? sv_span_of(field) : (sv_span){NULL, 0}, msg, input, NULL);
}

/* ---- reading ---- */

static int is_class(const sv_served *served, sv_span name)
{
    for (size_t k = 0; k < sv_pipeline_n_scores(served->pipeline); k++)
        if (sv_span_is(name, sv_pipeline_class(served->pipeline, k)))
            return 1;
    return 0;
}

static double number_of(const sv_json *value)
{
    return value->kind == SV_JSON_LONG ? (double)value->whole : value->kind == SV_JSON_REAL || value->kind == SV_JSON_BIG ? value->real : NAN;
}

static void read_truth(reading *r, const sv_json *value, double *truth)
{
    const sv_served *served = r->call->served;
    sv_task task = sv_pipeline_task(served->pipeline);
    double number = number_of(value);
    if (task == SV_TASK_MULTINOMIAL) {
        if (value->kind == SV_JSON_TEXT && is_class(served, value->text))
            *truth = sv_class_number(value->text);
        else
            complain(r, "enum", "label", "Input should be one of the model's classes", value);
        return;
    }
    if (task == SV_TASK_BINARY && (value->kind == SV_JSON_TRUE || value->kind == SV_JSON_FALSE))
        number = value->kind == SV_JSON_TRUE;
    *truth = number;
    if (task == SV_TASK_BINARY && number != 0 && number != 1)
        complain(r, "enum", "label", "Input should be 0, 1, true or false", value);
    else if (!isfinite(number))
        complain(r, "finite_number", "label", "Input should be a finite number", value);
}

static void read_row(reading *r, const sv_json *value, size_t *row)
{
    double number = number_of(value);
    if (number >= 0 && number < SV_TAP_ROWS && number == floor(number))
        *row = (size_t)number;
    else
        complain(r, "out_of_range", "row", "Input should be a row from 0 to 63: the first 64 of a request are kept", value);
}

/* Nothing is passed over: a misspelt "row" would tell the truth of another one. */
static void read_item(reading *r, const sv_json *item, told *out)
{
    if (item->kind != SV_JSON_OBJECT) {
        complain(r, "model_attributes_type", NULL, "Input should be an object with request_id and label", item);
        return;
    }
    const sv_json *id = sv_json_member(item, "request_id"), *label = sv_json_member(item, "label"), *row = sv_json_member(item, "row");
    if (!id || id->kind != SV_JSON_TEXT)
        complain(r, id ? "string_type" : "missing", "request_id", id ? "Input should be a valid string" : "Field required", id ? id : item);
    else
        out->id = id->text;
    if (!label)
        complain(r, "missing", "label", "Field required", item);
    else
        read_truth(r, label, &out->truth);
    if (row)
        read_row(r, row, &out->row);
    for (uint32_t m = 0; m < item->n; m++)
        if (&item->items[m] != id && &item->items[m] != label && &item->items[m] != row)
            sv_complain(&r->found, "extra_forbidden", item->names[m], "Extra inputs are not permitted", &item->items[m], NULL);
}

/* The body's items, in the arena; 1: they are a list. -1 with the refusal in the reply. */
static int read_body(sv_call *call, told **items, size_t *n)
{
    reading r = {.call = call, .found = {.out = &call->reply->body, .row = -1}};
    const sv_json *root = sv_call_read_json(call);
    if (!root)
        return -1;
    int is_list = root->kind == SV_JSON_LIST;
    *n = is_list ? root->n : 1;
    if (*n > call->service->options.max_rows || !(*items = sv_arena_zero(call->arena, *n + 1, sizeof **items))) {
        sv_reply_detail(call->reply, 413, "more labels than one request may hold");
        return -1;
    }
    sv_reply_text(call->reply, 422, "application/json", "{\"detail\":[");
    for (size_t i = 0; i < *n; i++) {
        r.found.row = is_list ? (long)i : -1;
        read_item(&r, is_list ? &root->items[i] : root, &(*items)[i]);
    }
    sv_buffer_text(&call->reply->body, "]}");
    if (r.found.n)
        return -1;
    sv_reply_text(call->reply, 200, "application/json", "");
    return is_list;
}

/* ---- taking ---- */

static sv_ledger_found take(sv_call *call, const told *item)
{
    sv_tapped prediction;
    uint32_t version;
    sv_ledger_found found = sv_ledger_take(call->service->ledger, call->slot, item->id, item->row, &prediction, &version);
    if (found == SV_LEDGER_FOUND)
        sv_versions_tell(call->service->versions, version, &prediction, item->truth);
    sv_metrics_feedback(call->service->metrics, call->worker, found);
    return found;
}

static void answer_one(sv_call *call, const told *item)
{
    char text[300];
    switch (take(call, item)) {
    case SV_LEDGER_FOUND:
        sv_buffer_text(&call->reply->body, "{\"taken\":1}");
        return;
    case SV_LEDGER_TOLD:
        sv_reply_detail(call->reply, 409, "the label of this prediction was taken before; the first one counts");
        return;
    default:
        snprintf(text, sizeof text, "no such prediction is kept: this id and row were not answered here, or are older than the last %zu predictions", sv_ledger_size(call->service->ledger));
        sv_reply_detail(call->reply, 404, text);
    }
}

/* {"taken": n, "unknown": [item, …], "duplicate": [item, …]}, items by their place in the body. */
static void answer_list(sv_call *call, const told *items, size_t n)
{
    sv_buffer *json = &call->reply->body;
    sv_ledger_found *found = sv_arena_zero(call->arena, n + 1, sizeof *found);
    if (!found) {
        sv_reply_detail(call->reply, 413, "more labels than one request may hold");
        return;
    }
    size_t taken = 0;
    for (size_t i = 0; i < n; i++)
        taken += (found[i] = take(call, &items[i])) == SV_LEDGER_FOUND;
    sv_buffer_format(json, "{\"taken\":%zu", taken);
    for (int list = 0; list < 2; list++) {
        int further = 0;
        sv_buffer_text(json, list ? ",\"duplicate\":[" : ",\"unknown\":[");
        for (size_t i = 0; i < n; i++)
            if (found[i] == (list ? SV_LEDGER_TOLD : SV_LEDGER_UNKNOWN))
                sv_buffer_format(json, "%s%zu", further++ ? "," : "", i);
        sv_buffer_text(json, "]");
    }
    sv_buffer_text(json, "}");
}

static int is_on(sv_call *call)
{
    if (call->service->ledger)
        return 1;
    sv_reply_detail(call->reply, 404, "no predictions are kept: the key 'feedback.keep' says how many shall be");
    return 0;
}

void sv_handle_feedback(sv_call *call)
{
    told *items = NULL;
    size_t n = 0;
    if (!is_on(call) || !sv_call_takes_json(call))
        return;
    int is_list = read_body(call, &items, &n);
    if (is_list > 0)
        answer_list(call, items, n);
    else if (is_list == 0)
        answer_one(call, items);
}

void sv_handle_live_figures(sv_call *call)
{
    sv_buffer *json = &call->reply->body;
    if (!is_on(call))
        return;
    const sv_service *service = call->service;
    const char *models[2] = {service->slots[call->slot].key, call->slot == 0 && service->shadow ? service->slots[service->split.challenger].key : NULL};
    sv_buffer_format(json, "{\"kept\":%zu,\"versions\":[", sv_ledger_size(service->ledger));
    sv_versions_write_live(service->versions, models, 2, json);
    sv_buffer_text(json, "]}");
}
