/* served_check.c: the checks a version passes before it answers anybody: its own input example, scored. */
#include "frame.h"
#include "served.h"

#include <math.h>

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

static int check_answers(const sv_served *served, size_t n_rows, sv_error *error)
{
    for (size_t output = 0; output < served->n_outputs; output++)
        for (size_t row = 0; row < n_rows; row++)
            if (!isfinite(sv_scorer_output(served->batches[0].scorer, output)[row]))
                return sv_error_set(error, SV_E_INPUT, "input example, row %zu: '%s' is not a finite number", row, served->outputs[output].name.text);
    return 0;
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
            code = check_answers(served, n_rows, error);
    }
    if (code)
        sv_error_prefix(error, "check: ");
    sv_arena_free(&arena);
    return code;
}
