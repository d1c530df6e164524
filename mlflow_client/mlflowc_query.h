/* mlflowc_query.h: --filter, --order-by, --view, --limit and experiments named on the command line, as a query. */
#ifndef MLF_MLFLOWC_QUERY_H
#define MLF_MLFLOWC_QUERY_H

#include "mlflowc.h"

enum { MLC_MAX_KEYS = 32, MLC_MAX_COLUMNS = 40 };

typedef struct mlc_query {
    mlf_query query;
    const char *order_by[MLC_MAX_KEYS];
    char *ids[MLC_MAX_OPTIONS]; /* of the experiments; owned */
    size_t n_ids;
} mlc_query;

int mlc_query_read(mlc *m, mlc_query *query);

/* The experiments named by the arguments, or the one of the environment. Freed by mlc_query_free(), on failure too. */
int mlc_query_experiments(mlc *m, mlc_query *query);
void mlc_query_free(mlc_query *query);

/* The id of an experiment by name, or by id when nothing has that name: sv_free. */
int mlc_experiment_id(mlc *m, const char *name_or_id, char **id);

/* fixed columns and those of --column: "metrics.loss" becomes the path "data.metrics@loss". texts (MLC_MAX_COLUMNS, 160) holds them. Returns how many. */
size_t mlc_columns(const mlc *m, const mlc_column *fixed, size_t n_fixed, mlc_column *columns, char (*texts)[160]);

#endif
