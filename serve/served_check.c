/* served_check.c: the checks a version passes before it answers anybody: its own input example scored, against the answers that its package records. */
#include "frame.h"
#include "log.h"
#include "served.h"

#include <math.h>

/* Writer and server compute with the same code in the same order: on one kind of machine the bits are equal. What may differ is the C library's exp and
   log, which it picks by processor (fused multiply-add or not) and release: a few units in the last place of a feature, so of a term of the score. An
   answer moves by at most that much relative to the terms, which may cancel, and to itself (an exp of the score). Labels have no such room. */
#define TOLERANCE 1e-12 /* times the sum of the score's terms without their signs, times the answer; each at least 1 */

#define EXAMPLE_ARENA_BYTES (64u << 20)

/* The rows of serving_input_example.json, typed: (n_inputs) columns in arena. */
static int read_example(const sv_served *served, sv_arena *arena, void **columns, size_t *n_rows, sv_error *error)
{
    sv_json_fault fault;
    sv_frame frame;
    sv_reply reply = {0};
    sv_frame_limits limits = {SV_BLOCK_ROWS, 1u << 20};
    const sv_json *root = sv_json_read(arena, sv_span_of(served->package.input_example), &fault);
    const sv_json *split = root ? sv_json_member(root, "dataframe_split") : NULL;
    int code = split ? 0 : sv_error_set(error, SV_E_INPUT, "serving_input_example.json: expected {\"dataframe_split\": …}");
    if (code == 0 && (sv_frame_from_split(&frame, arena, split, &limits, &reply) || sv_frame_convert(&frame, arena, served, columns, &reply)))
        code = sv_error_set(error, SV_E_INPUT, "serving_input_example.json: %.*s", (int)reply.body.size, reply.body.data);
    if (code == 0)
        *n_rows = frame.n_rows;
    sv_reply_free(&reply);
    return code;
}

/* The sum of the terms of the row's largest score without their signs; at least 1. terms: room for n_terms + 1. */
static double size_of_terms(const sv_served *served, size_t row, double *terms)
{
    double largest = 1;
    for (size_t k = 0; k < sv_pipeline_n_scores(served->pipeline); k++) {
        double sum = 0;
        sv_scorer_explain(served->batches[0].scorer, row, k, terms);
        for (size_t t = 0; t <= sv_pipeline_n_terms(served->pipeline); t++)
            sum += fabs(terms[t]);
        largest = sum > largest ? sum : largest;
    }
    return largest;
}

static double number_of(const sv_json *value)
{
    return value && value->kind == SV_JSON_LONG ? (double)value->whole : value && value->kind == SV_JSON_REAL ? value->real : NAN;
}

static int is_as_recorded(const sv_served *served, size_t output, double got, const sv_json *recorded, double size)
{
    if (served->outputs[output].type == SV_STRING) {
        const char *class = sv_pipeline_class(served->pipeline, (size_t)got);
        return recorded && recorded->kind == SV_JSON_TEXT && recorded->text.size == strlen(class) && memcmp(recorded->text.text, class, recorded->text.size) == 0;
    }
    double wanted = number_of(recorded);
    return served->outputs[output].type == SV_LONG ? got == wanted : fabs(got - wanted) <= TOLERANCE * size * fmax(1, fabs(wanted));
}

static int check_row(const sv_served *served, size_t row, const sv_json *recorded, double size, sv_error *error)
{
    for (size_t output = 0; output < served->n_outputs; output++) {
        double got = sv_scorer_output(served->batches[0].scorer, output)[row];
        const char *name = served->outputs[output].name.text;
        if (!isfinite(got))
            return sv_error_set(error, SV_E_INPUT, "input example, row %zu: '%s' is not a finite number", row, name);
        const sv_json *wanted = recorded && recorded->kind == SV_JSON_OBJECT ? sv_json_member(recorded, name) : NULL;
        if (!recorded || is_as_recorded(served, output, got, wanted, size))
            continue;
        return sv_error_set(error, SV_E_INPUT, "input example, row %zu: '%s' is %.17g, the package records %.*s", row, name, got, wanted ? (int)(wanted->text.size < 40 ? wanted->text.size : 40) : 4,
                            wanted && wanted->text.text ? wanted->text.text : "none");
    }
    return 0;
}

/* *recorded: one answer a row, or NULL when the package has none. */
static int read_answers(const sv_json **recorded, const sv_served *served, sv_arena *arena, size_t n_rows, sv_error *error)
{
    sv_json_fault fault;
    *recorded = NULL;
    if (!served->package.output_example)
        return 0;
    const sv_json *root = sv_json_read(arena, sv_span_of(served->package.output_example), &fault);
    const sv_json *rows = root && root->kind == SV_JSON_OBJECT ? sv_json_member(root, "predictions") : NULL;
    if (!rows || rows->kind != SV_JSON_LIST || rows->n != n_rows)
        return sv_error_set(error, SV_E_INPUT, SV_PACKAGE_ANSWERS ": expected {\"predictions\": …} with an answer for each of %zu rows", n_rows);
    *recorded = rows->items;
    return 0;
}

static int check_answers(const sv_served *served, sv_arena *arena, size_t n_rows, sv_error *error)
{
    const sv_json *recorded;
    double *terms = sv_arena_alloc(arena, (sv_pipeline_n_terms(served->pipeline) + 1) * sizeof *terms);
    int code = terms ? read_answers(&recorded, served, arena, n_rows, error) : sv_error_set(error, SV_E_MEMORY, "input example: out of memory");
    for (size_t row = 0; row < n_rows && code == 0; row++)
        code = check_row(served, row, recorded ? &recorded[row] : NULL, size_of_terms(served, row, terms), error);
    return code;
}

int sv_served_check(sv_served *served, sv_error *error)
{
    if (!served->package.input_example)
        return 0;
    sv_arena arena = SV_ARENA_INIT(16 * 1024, EXAMPLE_ARENA_BYTES);
    void **columns = sv_arena_zero(&arena, served->n_inputs + 1, sizeof *columns);
    size_t n_rows = 0;
    int code = columns ? read_example(served, &arena, columns, &n_rows, error) : sv_error_set(error, SV_E_MEMORY, "input example: out of memory");
    if (code == 0 && n_rows) {
        sv_block block = {n_rows, (const void *const *)columns};
        code = sv_scorer_run(served->batches[0].scorer, &block, error);
        if (code == 0)
            code = check_answers(served, &arena, n_rows, error);
    }
    if (code)
        sv_error_prefix(error, "check: ");
    else if (!served->package.output_example)
        sv_log(SV_LOG_WARN, "%s: version %s records no answers to its input example, so that its own were not compared", served->identity.name ? served->identity.name : served->identity.uri,
               served->identity.version ? served->identity.version : "(none)");
    sv_arena_free(&arena);
    return code;
}
