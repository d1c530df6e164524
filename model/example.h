/* example.h: see example.c. Private to model/. */
#ifndef SV_EXAMPLE_H
#define SV_EXAMPLE_H

#include "pipeline.h"
#include "profile.h"

/* {"columns": [...], "data": [[...]]}: the block's first rows, or, where block is NULL or empty, one row of usual values (profile may be NULL). */
int sv_example_write(sv_buffer *json, const sv_pipeline *pipeline, const sv_block *block, const sv_profile *profile);

#endif
