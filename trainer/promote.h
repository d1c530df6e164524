/* promote.h: does the new model take the alias? `register.promote_when` compares the challenger's figures with those of the alias's holder, both computed here
   on the same rows; a paired bootstrap (the same resampled rows for both; Efron, Tibshirani 1993, ch. 16) says how sure that is.

       condition := comparison (and comparison)*          comparison := operand (>= > <= <) operand
       operand := [ALIAS.]PART.FIGURE [(+ -) number] | number      such as  test.roc_auc >= champion.test.roc_auc - 0.002 */
#ifndef SV_PROMOTE_H
#define SV_PROMOTE_H

#include "config.h"
#include "mlflow_client.h"
#include "training.h"

typedef struct sv_promotion {
    int promote;       /* 1: the alias moves */
    int had_champion;  /* 0: nobody held the alias, or it could not be judged */
    double share;      /* of the resamples in which the condition held; NaN without a comparison */
    size_t resamples;
    char reason[1600]; /* for a person: what was compared, and what came of it */
} sv_promotion;

/* SV_E_CONFIG when the condition cannot be read or names an unknown figure. Needs no data: for `check`. */
int sv_promotion_check(const sv_config *config, sv_error *error);

/* client NULL: no server to ask, the alias stays. A champion that cannot be fetched or applied to these rows keeps the alias; reason says why. */
int sv_promotion_decide(sv_promotion *out, const sv_training *training, mlf_client *client, sv_error *error);

#endif
