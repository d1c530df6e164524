/* predict.c: a pipeline over a whole table, block by block on every thread, by the scorer that also serves. */
#include "evaluate.h"

#include "alloc.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum { TASK_ROWS = 16 * SV_BLOCK_ROWS };

typedef struct prediction {
    const sv_pipeline *pipeline;
    const sv_binding *binding;
    sv_scorer **scorers; /* (team size) */
    char **scratch;      /* (team size) */
    sv_error *errors;    /* (n_tasks) */
    size_t n_rows, first_output, n_outputs;
    double *out;         // (n_outputs, n_rows)
} prediction;

static void predict_task(void *context, size_t task, size_t worker)
{
    const prediction *p = context;
    size_t begin = task * TASK_ROWS, end = begin + TASK_ROWS < p->n_rows ? begin + TASK_ROWS : p->n_rows;
    for (size_t first = begin; first < end; first += SV_BLOCK_ROWS) {
        size_t n = end - first < SV_BLOCK_ROWS ? end - first : SV_BLOCK_ROWS;
        sv_block block;
        sv_binding_block(p->binding, first, n, p->scratch[worker], &block);
        sv_scorer_run(p->scorers[worker], &block, &p->errors[task]); /* a row without an answer becomes NaN */
        for (size_t k = 0; k < p->n_outputs; k++)
            memcpy(p->out + k * p->n_rows + first, sv_scorer_output(p->scorers[worker], p->first_output + k), n * sizeof(double));
        long bad = sv_scorer_bad_row(p->scorers[worker]);
        for (size_t k = 0; bad >= 0 && k < p->n_outputs; k++)
            p->out[k * p->n_rows + first + (size_t)bad] = NAN;
    }
}

int sv_predict_table(double **out, const sv_pipeline *pipeline, const sv_table *table, sv_team *team, sv_error *error)
{
    size_t n_workers = sv_team_size(team), n_tasks = (table->n_rows + TASK_ROWS - 1) / TASK_ROWS;
    int multinomial = sv_pipeline_task(pipeline) == SV_TASK_MULTINOMIAL;
    sv_binding *binding = NULL;
    prediction p = {.pipeline = pipeline, .scorers = sv_calloc(n_workers, sizeof(void *)), .scratch = sv_calloc(n_workers, sizeof(void *)), .errors = sv_calloc(n_tasks, sizeof(sv_error)),
                    .n_rows = table->n_rows, .first_output = multinomial, .n_outputs = multinomial ? sv_pipeline_n_scores(pipeline) : 1};
    *out = p.out = sv_array(p.n_outputs * table->n_rows + 1, sizeof(double));
    int rc = p.scorers && p.scratch && p.errors && p.out ? 0 : SV_E_MEMORY;
    if (!rc) rc = sv_binding_new(&binding, sv_pipeline_features(pipeline), table, error);
    p.binding = binding;
    for (size_t w = 0; !rc && w < n_workers; w++) {
        p.scratch[w] = sv_aligned(64, sv_binding_scratch_size(binding));
        if (!p.scratch[w] || sv_scorer_new(&p.scorers[w], pipeline)) rc = SV_E_MEMORY;
    }
    if (!rc) sv_team_run(team, n_tasks, predict_task, &p);
    for (size_t w = 0; p.scorers && p.scratch && w < n_workers; w++) {
        sv_scorer_free(p.scorers[w]);
        sv_free(p.scratch[w]);
    }
    sv_free(p.scorers);
    sv_free(p.scratch);
    sv_free(p.errors);
    sv_binding_free(binding);
    if (rc) {
        sv_free(*out);
        *out = NULL;
    }
    return rc == SV_E_MEMORY ? sv_error_set(error, rc, "evaluate: out of memory") : rc;
}
