#include "mlflowc_query.h"

#include "alloc.h"
#include "client_error.h"

#include <string.h>

int mlc_query_read(mlc *m, mlc_query *query)
{
    const char *view = mlc_option_value(m, "view");
    long limit;
    memset(query, 0, sizeof *query);
    query->query = (mlf_query)MLF_QUERY_INIT;
    int code = mlc_option_number(m, "limit", MLC_USUAL_LIMIT + 1, 1, &limit);
    if (code) return code;
    if (view && strcmp(view, "active") != 0) {
        query->query.view = !strcmp(view, "deleted") ? MLF_VIEW_DELETED : MLF_VIEW_ALL;
        if (query->query.view == MLF_VIEW_ALL && strcmp(view, "all") != 0)
            return mlf_error_set(&m->error, MLF_E_ARGUMENT, "--view: expected active, deleted or all, got \"%.40s\"",
                                 view);
    }
    query->query.filter = mlc_option_value(m, "filter");
    query->query.n_order_by = mlc_option_values(m, "order-by", query->order_by, MLC_MAX_KEYS);
    query->query.order_by = query->order_by;
    query->query.page_size = limit < 1000 ? (int)limit : 0;
    return MLF_OK;
}

int mlc_query_experiments(mlc *m, mlc_query *query)
{
    int code = mlc_query_read(m, query);
    const char *usual = mlf_env("MLFLOW_EXPERIMENT_NAME");
    if (!usual) usual = mlf_env("MLFLOW_EXPERIMENT_ID");
    if (!code && !m->n_arguments && !usual)
        return mlf_error_set(&m->error, MLF_E_ARGUMENT,
                             "%s list: expected EXPERIMENT…, and neither MLFLOW_EXPERIMENT_NAME nor MLFLOW_EXPERIMENT_ID "
                             "is set (mlflowc experiments list shows what there is)",
                             m->command->noun);
    if (!code && !m->n_arguments) {
        code = mlc_experiment_id(m, usual, &query->ids[0]);
        query->n_ids = !code;
    }
    for (int i = 0; !code && i < m->n_arguments && i < MLC_MAX_OPTIONS; i++) {
        code = mlc_experiment_id(m, m->arguments[i], &query->ids[i]);
        query->n_ids += !code;
    }
    query->query.experiment_ids = (const char *const *)query->ids;
    query->query.n_experiment_ids = query->n_ids;
    return code;
}

void mlc_query_free(mlc_query *query)
{
    for (size_t i = 0; i < query->n_ids; i++)
        sv_free(query->ids[i]);
    query->n_ids = 0;
}

size_t mlc_columns(const mlc *m, const mlc_column *fixed, size_t n_fixed, mlc_column *columns, char (*texts)[160])
{
    const char *further[MLC_MAX_COLUMNS];
    size_t n = mlc_option_values(m, "column", further, MLC_MAX_COLUMNS - n_fixed);
    memcpy(columns, fixed, n_fixed * sizeof *columns);
    for (size_t i = 0; i < n; i++) {
        const char *dot = strchr(further[i], '.');
        int is_list = dot && (!strncmp(further[i], "metrics.", 8) || !strncmp(further[i], "params.", 7) ||
                              !strncmp(further[i], "tags.", 5));
        if (is_list)
            snprintf(texts[i], sizeof *texts, "data.%.*s@%s", (int)(dot - further[i]), further[i], dot + 1);
        else
            snprintf(texts[i], sizeof *texts, "%s", further[i]);
        columns[n_fixed + i] = (mlc_column){further[i], texts[i]};
    }
    return n_fixed + n;
}
