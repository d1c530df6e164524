/* onnx_emit.h: the state of writing one pipeline as a graph. Private to model/. */
#ifndef SV_ONNX_EMIT_H
#define SV_ONNX_EMIT_H

#include "onnx_graph.h"
#include "pipeline_private.h"

typedef struct sv_emitter {
    sv_onnx_graph graph;
    const sv_pipeline *pipeline;
    int *columns; /* (n_columns) the input, [N]; numbers as DOUBLE */
    int *steps;   /* (n_steps) results, -1: not needed */
    int matrix;   /* [N, F]: encoded plain terms, or -1 */
    int *matrix_column; /* (n_terms) a term's column in it, or -1 */
} sv_emitter;

/* A column or derived feature, [N]: DOUBLE or TEXT. */
int sv_emit_value(sv_emitter *emitter, int value);
/* Emits the steps that terms need; onnx_step.c. */
void sv_emit_steps(sv_emitter *emitter);

/* The scores, [N, K]; onnx_term.c. */
int sv_emit_scores(sv_emitter *emitter);

/* Outputs from the scores; onnx_head.c. */
void sv_emit_head(sv_emitter *emitter, int scores);

/* How many of points[0..n) are <= values ([N] doubles), as INT64 [N]. */
int sv_emit_count(sv_onnx_graph *graph, int values, const double *points, size_t n);

#endif
