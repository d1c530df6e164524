/* mlflowc experiments. */
#include "alloc.h"
#include "client_error.h"
#include "log.h"
#include "mlflowc.h"
#include "mlflowc_query.h"
#include "registry.h"
#include "validate.h"

#include <string.h>

static const mlc_column columns[] = {{"ID", "experiment_id"},
                                     {"NAME", "name"},
                                     {"STAGE", "lifecycle_stage"},
                                     {"UPDATED", "last_update_time~"},
                                     {"ARTIFACTS", "artifact_location"}};

int mlc_experiment_id(mlc *m, const char *name_or_id, char **id)
{
    mlf_object *experiment = NULL;
    mlf_error by_name = MLF_ERROR_INIT;
    *id = NULL;
    int code = mlf_experiments_get_by_name(&experiment, m->client, name_or_id, &by_name);
    if (code == MLF_E_NOT_FOUND && name_or_id[strspn(name_or_id, "0123456789")] == '\0') {
        mlf_error_clear(&by_name);
        code = mlf_experiments_get(&experiment, m->client, name_or_id, &by_name);
    }
    const char *found = mlf_object_string(experiment, "experiment_id");
    if (code == MLF_E_NOT_FOUND)
        code = mlf_error_set(&m->error, MLF_E_NOT_FOUND,
                             "there is no experiment \"%.200s\" (see mlflowc experiments list)", name_or_id);
    else if (code)
        m->error = by_name;
    else if (!found || !(*id = sv_strdup(found)))
        code = mlf_error_memory(&m->error);
    mlf_object_free(experiment);
    return code;
}

int mlc_experiments_list(mlc *m)
{
    mlc_query query;
    mlf_iterator *iterator = NULL;
    int code = mlc_query_read(m, &query);
    if (!code) code = mlf_experiments_search(&iterator, m->client, &query.query, &m->error);
    return mlc_print_search(m, code, iterator, columns, sizeof columns / sizeof *columns);
}

int mlc_experiments_get(mlc *m)
{
    char *id;
    mlf_object *experiment = NULL;
    int code = mlc_experiment_id(m, m->arguments[0], &id);
    if (!code) code = mlf_experiments_get(&experiment, m->client, id, &m->error);
    sv_free(id);
    return mlc_print_object(m, code, experiment);
}

/* Nothing is recorded of it: a run that names it makes it when it is sent. Its tags and its place nobody would. */
static int leave_to_first_run(mlc *m, size_t n_tags, const mlf_error *why)
{
    const char *name = m->arguments[0];
    if (n_tags || mlc_has(m, "artifact-location"))
        return mlf_error_set(&m->error, MLF_E_STATE, "experiment \"%.200s\": %s%sits tags and artifact location are not recorded for a later sync; the name alone is made with the first run",
                             name, why->message, *why->message ? ": " : "");
    int code = mlf_check_text("experiment", name, MLF_MAX_EXPERIMENT_NAME, &m->error);
    if (code) return code;
    sv_say("mlflowc: %s%sexperiment \"%s\" is made when the first run in it is sent; until then it has no id, and its name stands for it", why->message, *why->message ? ": " : "", name);
    mlc_print_fact(m, "experiment_id", name);
    return MLF_OK;
}

int mlc_experiments_create(mlc *m)
{
    mlf_pair *tags;
    size_t n_tags;
    char *id = NULL;
    mlf_error sent = MLF_ERROR_INIT;
    int away = mlc_is_away(m), code = mlc_option_pairs(m, "tag", &tags, &n_tags);
    if (code) return code;
    if (!away)
        code = mlf_experiments_create(&id, m->client, m->arguments[0], mlc_option_value(m, "artifact-location"), tags, n_tags, &sent);
    if (away || mlf_is_for_later(code, &sent))
        code = leave_to_first_run(m, n_tags, &sent);
    else if (code)
        m->error = sent;
    else
        mlc_print_fact(m, "experiment_id", id);
    mlf_free(id);
    sv_free(tags);
    return code;
}

int mlc_experiments_rename(mlc *m)
{
    char *id;
    int code = mlc_experiment_id(m, m->arguments[0], &id);
    if (!code) code = mlf_experiments_rename(m->client, id, m->arguments[1], &m->error);
    sv_free(id);
    return code;
}

int mlc_experiments_delete(mlc *m)
{
    char *id;
    int code = mlc_experiment_id(m, m->arguments[0], &id);
    if (!code) code = mlf_experiments_delete(m->client, id, &m->error);
    sv_free(id);
    return code;
}

int mlc_experiments_restore(mlc *m)
{
    char *id;
    int code = mlc_experiment_id(m, m->arguments[0], &id);
    if (!code) code = mlf_experiments_restore(m->client, id, &m->error);
    sv_free(id);
    return code;
}

int mlc_experiments_tag(mlc *m)
{
    char *id;
    int code = mlc_experiment_id(m, m->arguments[0], &id);
    for (int i = 1; !code && i < m->n_arguments; i++) {
        mlf_pair tag;
        code = mlc_pairs(m, &m->arguments[i], 1, &tag);
        if (!code) code = mlf_experiments_set_tag(m->client, id, tag.key, tag.value, &m->error);
    }
    sv_free(id);
    return code;
}

int mlc_experiments_untag(mlc *m)
{
    char *id;
    int code = mlc_experiment_id(m, m->arguments[0], &id);
    for (int i = 1; !code && i < m->n_arguments; i++)
        code = mlf_experiments_delete_tag(m->client, id, m->arguments[i], &m->error);
    sv_free(id);
    return code;
}
