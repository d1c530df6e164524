/* example.h: see example.c. Private to model/. */
#ifndef SV_EXAMPLE_H
#define SV_EXAMPLE_H

#include "pipeline.h"
#include "profile.h"

/* A package's example rows, as a reader of their JSON text will see them. */
typedef struct sv_example {
    sv_block block;
    void **columns; /* (n_columns) */
    double *values; /* what they point into */
} sv_example;

/* The block's first rows, or, where block is NULL or empty, one row of usual values (profile may be NULL). 0 or SV_E_MEMORY; free it in either case. */
int sv_example_take(sv_example *example, const sv_pipeline *pipeline, const sv_block *block, const sv_profile *profile);
void sv_example_free(sv_example *example);

/* {"columns": [...], "data": [[...]]} */
int sv_example_write(sv_buffer *json, const sv_pipeline *pipeline, const sv_example *example);

/* {"predictions": [{output: value, ...}, ...]}: what the finished pipeline answers, doubles exactly; null where it has no answer. */
int sv_example_write_answers(sv_buffer *json, const sv_pipeline *pipeline, const sv_example *example);

#endif
