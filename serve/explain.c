/* explain.c: POST /explain: what each feature adds to the score of each row, in the body and the order of /predict. */
#include "json_out.h"
#include "service.h"

/* {"term": name, "contribution": x} of every term that adds to score k; added up behind the intercept they are the score, bit for bit. */
static void write_terms(sv_call *call, size_t row, size_t k, double *parts)
{
    const sv_pipeline *pipeline = call->served->pipeline;
    sv_buffer *json = &call->reply->body;
    int first = 1;
    sv_scorer_explain(call->batch->scorer, row, k, parts);
    sv_buffer_text(json, "{\"score\": ");
    sv_json_write_double(json, sv_scorer_score(call->batch->scorer, k)[row]);
    sv_buffer_text(json, ", \"intercept\": ");
    sv_json_write_double(json, parts[0]);
    sv_buffer_text(json, ", \"contributions\": [");
    for (size_t t = 0; t < sv_pipeline_n_terms(pipeline); t++) {
        const sv_term *term = sv_pipeline_term_const(pipeline, t);
        if (term->shadow)
            continue;
        char name[600];
        sv_buffer_text(json, first ? "{\"feature\": " : ", {\"feature\": ");
        first = 0;
        if (term->value >= 0) {
            sv_json_write_text(json, sv_span_of(sv_features_name(call->served->features, term->value)));
        } else {
            sv_pipeline_column_name(pipeline, t, 0, name, sizeof name);
            sv_json_write_text(json, sv_span_of(name));
        }
        sv_buffer_text(json, ", \"contribution\": ");
        sv_json_write_double(json, parts[1 + t]);
        sv_buffer_text(json, "}");
    }
    sv_buffer_text(json, "]}");
}

static void write_row(sv_call *call, size_t row, double *parts)
{
    sv_buffer *json = &call->reply->body;
    size_t n_scores = sv_pipeline_n_scores(call->served->pipeline);
    sv_buffer_text(json, ", \"explanation\": ");
    if (n_scores == 1) {
        write_terms(call, row, 0, parts);
        return;
    }
    sv_buffer_text(json, "{");
    for (size_t k = 0; k < n_scores; k++) {
        sv_buffer_text(json, k ? ", " : "");
        sv_buffer_append(json, call->served->classes[k].text, call->served->classes[k].size);
        sv_buffer_text(json, ": ");
        write_terms(call, row, k, parts);
    }
    sv_buffer_text(json, "}");
}

/* The rows one by one, so that the scorer still holds the row that is explained. */
static int explain_rows(sv_call *call, void *const *columns, size_t n_rows, double *parts, sv_error *error)
{
    const void **at = sv_arena_alloc(call->arena, (call->served->n_inputs + 1) * sizeof *at);
    sv_buffer *json = &call->reply->body;
    for (size_t row = 0; at && row < n_rows; row++) {
        long bad_row;
        for (size_t i = 0; i < call->served->n_inputs; i++)
            at[i] = (const char *)columns[i] + row * (call->served->inputs[i].type == SV_STRING ? sizeof(int32_t) : sizeof(double));
        sv_buffer_text(json, row ? ", " : "");
        int code = sv_served_answer(call->served, call->batch, &(sv_block){1, at}, json, &bad_row, error);
        if (code)
            return code;
        json->size--; /* the row's closing brace: the explanation goes into the same object */
        write_row(call, 0, parts);
        sv_buffer_text(json, "}");
    }
    return at ? 0 : sv_error_set(error, SV_E_MEMORY, "out of memory");
}

void sv_handle_explain(sv_call *call)
{
    size_t n_rows;
    int is_list;
    sv_error error = SV_ERROR_INIT;
    if (!sv_call_takes_json(call))
        return;
    void **columns = sv_arena_alloc(call->arena, (call->served->n_inputs + 1) * sizeof *columns);
    double *parts = sv_arena_alloc(call->arena, (sv_pipeline_n_terms(call->served->pipeline) + 1) * sizeof *parts);
    if (!columns || !parts) {
        sv_reply_detail(call->reply, 413, "the request needs more memory than one request may take");
        return;
    }
    if (sv_call_read_rows(call, columns, &n_rows, &is_list))
        return;
    sv_buffer_text(&call->reply->body, is_list ? "[" : "");
    if (explain_rows(call, columns, n_rows, parts, &error)) {
        sv_reply_detail(call->reply, 422, error.message);
        return;
    }
    sv_buffer_text(&call->reply->body, is_list ? "]" : "");
    call->n_rows = n_rows;
}
