/* audit_figures.h: how much one feature tells of the target by itself, and whether it moved between training and test. */
#ifndef SV_AUDIT_FIGURES_H
#define SV_AUDIT_FIGURES_H

#include "audit.h"

typedef struct sv_audit_input {
    const double *values;  /* (n) numbers, NaN missing; of texts codes, -1 unknown */
    const double *target;  /* (n) 0 or 1, a class, or a number */
    const uint8_t *parts;  /* (n) of sv_part */
    size_t n;
    int is_text;
    sv_type target_type;   /* SV_BOOLEAN, SV_STRING (classes) or SV_DOUBLE */
} sv_audit_input;

/* Fills in auc, information and psi; NaN where memory is out or there is nothing to say. Any thread. */
void sv_audit_figures(sv_audit_feature *feature, const sv_audit_input *input);

#endif
