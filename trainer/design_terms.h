/* design_terms.h: the design over a pipeline's terms: which weight belongs to which encoded column. Numbers and one-hot terms refer to the values where they
   lie; other terms (splines, ordinals, products) are encoded once by the pipeline itself. */
#ifndef SV_DESIGN_TERMS_H
#define SV_DESIGN_TERMS_H

#include "design.h"
#include "pipeline.h"
#include "values.h"

typedef struct sv_design_terms {
    sv_design *design;
    size_t n_terms;
    size_t *first;    /* (n_terms): where the term's weights begin in one score's weights; the encoded column j has weight first + j */
} sv_design_terms;

/* Makes the design, target and weights not yet set, and finishes it. Standardises the columns of encoded terms on rows of parts == part and writes mean and
   scale into the terms. Borrows values, which must live as long. */
int sv_design_terms_new(sv_design_terms *out, sv_pipeline *pipeline, const sv_values *values, const uint8_t *parts, uint8_t part, sv_team *team, sv_error *error);
void sv_design_terms_free(sv_design_terms *terms); /* the contents; accepts NULL */

#endif
