/* audit.h: before training: is there a feature that knows the answer? What is looked at:

   - the target's definition: when every column that it reads is one that the model reads too, the model can learn the definition (proved from the expressions);
   - each feature alone: its ROC AUC with a binary target (correlation with a number), and the share of the target's entropy that it tells (mutual information over
     20 quantile bins or the levels, corrected for their number: Miller 1955);
   - a number that is the target's probability: within 0 … 1, and right in every quantile bin (Hosmer, Lemeshow 1980): a model or the process itself wrote it;
   - rows that stand in two parts: same values in all used columns and the target, one in training and one in test;
   - shift: population stability index of each feature between training and test rows, over ten bins.

   Features are judged on at most 8,192 rows, spread evenly over the table in whole blocks. */
#ifndef SV_AUDIT_H
#define SV_AUDIT_H

#include "config.h"
#include "dataset.h"
#include "feature.h"
#include "team.h"

typedef struct sv_audit_feature {
    const char *name;   /* borrowed from `used` */
    double auc;         /* 0.5 … 1, whichever way round; numbers as target: |correlation|; NaN where there is none */
    double information; /* 0 … 1 */
    double psi;         /* NaN without test rows */
    int is_identifier;  /* 1: a text that is another one in most rows */
    int is_probability; /* 1: it says how probable the target is, and is right */
} sv_audit_feature;

typedef enum sv_audit_kind { SV_AUDIT_LEAK, SV_AUDIT_NOTE } sv_audit_kind;

typedef struct sv_audit_finding {
    sv_audit_kind kind;
    char text[480];
} sv_audit_finding;

enum { SV_AUDIT_FINDINGS = 64 };

typedef struct sv_audit {
    size_t n_features, n_findings, n_leaks;
    sv_audit_feature *features; /* (n_features) */
    sv_audit_finding findings[SV_AUDIT_FINDINGS];
    size_t n_duplicates; /* test rows that training rows repeat */
} sv_audit;

/* SV_E_INPUT when config.evaluate.audit is fail and something leaks; *out is filled in also then. */
int sv_audit_run(sv_audit *out, const sv_config *config, const sv_dataset *dataset, const sv_features *features, const char *const *used, size_t n_used, sv_team *team,
                 sv_error *error);
void sv_audit_free(sv_audit *audit); /* the contents; accepts NULL */

#endif
