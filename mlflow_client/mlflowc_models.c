/* mlflowc models (logged ones) and registry. */
#include "alloc.h"
#include "client_error.h"
#include "mlflowc.h"
#include "mlflowc_query.h"

#include <string.h>

/* ---- logged models ---- */

int mlc_models_list(mlc *m)
{
    static const mlc_column fixed[] = {{"MODEL", "info.model_id"},
                                       {"NAME", "info.name"},
                                       {"STATUS", "info.status"},
                                       {"RUN", "info.source_run_id"},
                                       {"CREATED", "info.creation_timestamp_ms~"}};
    mlc_query query;
    mlf_iterator *iterator = NULL;
    mlc_column columns[MLC_MAX_COLUMNS];
    char texts[MLC_MAX_COLUMNS][160];
    size_t n = mlc_columns(m, fixed, sizeof fixed / sizeof *fixed, columns, texts);
    int code = mlc_query_experiments(m, &query);
    if (!code) code = mlf_logged_models_search(&iterator, m->client, &query.query, &m->error);
    mlc_query_free(&query);
    return mlc_print_search(m, code, iterator, columns, n);
}

int mlc_models_get(mlc *m)
{
    mlf_object *model = NULL;
    int code = mlf_logged_models_get(&model, m->client, m->arguments[0], &m->error);
    return mlc_print_object(m, code, model);
}

int mlc_models_log(mlc *m)
{
    mlf_run_options run_options = MLF_RUN_OPTIONS_INIT;
    mlf_model_options options = MLF_MODEL_OPTIONS_INIT;
    mlf_pair *params = NULL, *tags = NULL;
    mlf_run *run = NULL;
    char *uri = NULL;
    run_options.run_id = m->arguments[0];
    run_options.system_metrics = 0;
    options.name = mlc_option_value(m, "name");
    options.model_type = mlc_option_value(m, "model-type");
    int code = mlc_option_pairs(m, "param", &params, &options.n_params);
    if (!code) code = mlc_option_pairs(m, "tag", &tags, &options.n_tags);
    options.params = params;
    options.tags = tags;
    if (!code) code = mlf_run_create(&run, m->client, &run_options, &m->error);
    if (!code) code = mlf_run_log_model(&uri, run, m->arguments[1], &options, &m->error);
    if (!code) code = mlf_flush(m->client, -1, &m->error);
    if (!code) mlc_print_fact(m, "model_uri", uri);
    mlf_run_free(run);
    mlf_free(uri);
    sv_free(params);
    sv_free(tags);
    return code;
}

int mlc_models_delete(mlc *m)
{
    return mlf_logged_models_delete(m->client, m->arguments[0], &m->error);
}

int mlc_models_tag(mlc *m)
{
    int code = MLF_OK;
    for (int i = 1; !code && i < m->n_arguments; i++) {
        mlf_pair tag;
        code = mlc_pairs(m, &m->arguments[i], 1, &tag);
        if (!code) code = mlf_logged_models_set_tag(m->client, m->arguments[0], tag.key, tag.value, &m->error);
    }
    return code;
}

/* ---- registry ---- */

int mlc_registry_list(mlc *m)
{
    static const mlc_column columns[] = {{"NAME", "name"},
                                         {"LATEST", "latest_versions[0].version"},
                                         {"ALIASES", "aliases"},
                                         {"UPDATED", "last_updated_timestamp~"},
                                         {"DESCRIPTION", "description"}};
    mlc_query query;
    mlf_iterator *iterator = NULL;
    int code = mlc_query_read(m, &query);
    if (!code) code = mlf_registered_models_search(&iterator, m->client, &query.query, &m->error);
    return mlc_print_search(m, code, iterator, columns, sizeof columns / sizeof *columns);
}

int mlc_registry_get(mlc *m)
{
    const char *name = m->arguments[0], *version = m->n_arguments > 1 ? m->arguments[1] : NULL;
    mlf_object *found = NULL;
    int code = !version            ? mlf_registered_models_get(&found, m->client, name, &m->error)
               : version[0] == '@' ? mlf_aliases_get(&found, m->client, name, version + 1, &m->error)
                                   : mlf_model_versions_get(&found, m->client, name, version, &m->error);
    return mlc_print_object(m, code, found);
}

/* The search of versions tells no aliases; the registered model does, as [{"alias", "version"}]. */
static void add_aliases(json_t *row, const mlf_object *model)
{
    sv_buffer names = SV_BUFFER_INIT(4096);
    const char *version = json_string_value(json_object_get(row, "version"));
    for (size_t i = 0; version && i < mlf_object_count(model, "aliases"); i++) {
        const mlf_object *alias = mlf_object_item(model, "aliases", i);
        const char *name = mlf_object_string(alias, "alias"), *of = mlf_object_string(alias, "version");
        if (name && of && !strcmp(of, version)) sv_buffer_format(&names, "%s%s", names.size ? ", " : "", name);
    }
    if (names.data) json_object_set_new(row, "aliases", json_string(names.data));
    sv_buffer_free(&names);
}

/* Newest first; every version has its aliases. */
static int print_versions(mlc *m, mlf_iterator *iterator, const mlf_object *model)
{
    static const mlc_column columns[] = {{"VERSION", "version"},     {"ALIASES", "aliases"},
                                         {"STAGE", "current_stage"}, {"RUN", "run_id"},
                                         {"SOURCE", "source"},       {"CREATED", "creation_timestamp~"}};
    const mlf_object *item;
    long limit, shown = 0;
    int code = mlc_option_number(m, "limit", 100, 1, &limit);
    mlc_table *table = code ? NULL : mlc_table_begin(m, columns, sizeof columns / sizeof *columns);
    for (; table && shown < limit && !(code = mlf_iterator_next(&item, iterator, &m->error)); shown++) {
        json_t *row = json_copy(mlf_object_json(item));
        if (row) add_aliases(row, model);
        if (row) mlc_table_row(table, mlf_object_of(row));
        json_decref(row);
    }
    if (table) mlc_table_end(table);
    return code == MLF_E_END ? MLF_OK : code;
}

int mlc_registry_versions(mlc *m)
{
    static const char *const newest_first[] = {"version_number DESC"};
    mlf_query query = MLF_QUERY_INIT;
    mlf_iterator *iterator = NULL;
    mlf_object *model = NULL;
    sv_buffer filter = SV_BUFFER_INIT(4096);
    const char *quote = strchr(m->arguments[0], '\'') ? "\"" : "'"; /* the grammar has no escape */
    query.order_by = newest_first;
    query.n_order_by = 1;
    int code = sv_buffer_format(&filter, "name = %s%s%s", quote, m->arguments[0], quote) ? mlf_error_memory(&m->error)
                                                                                         : MLF_OK;
    query.filter = filter.data;
    if (!code) code = mlf_registered_models_get(&model, m->client, m->arguments[0], &m->error);
    if (!code) code = mlf_model_versions_search(&iterator, m->client, &query, &m->error);
    if (!code) code = print_versions(m, iterator, model);
    sv_buffer_free(&filter);
    mlf_iterator_free(iterator);
    mlf_object_free(model);
    return code;
}

/* The registered model, when it is missing. */
static int ensure_registered(mlc *m, const char *name)
{
    mlf_error answer = MLF_ERROR_INIT;
    int code = mlf_registered_models_create(NULL, m->client, name, NULL, NULL, 0, &answer);
    if (code == MLF_E_EXISTS) return MLF_OK;
    if (code) m->error = answer;
    return code;
}

/* 1: something of that name (NULL: anything) stands below uri, or that cannot be seen from here. */
static int may_hold(mlc *m, const char *uri, const char *name)
{
    mlf_artifact *items = NULL;
    size_t n = 0;
    int holds = mlf_artifacts_list(&items, &n, m->client, uri, NULL) != MLF_OK || (!name && n);
    for (size_t i = 0; name && i < n; i++)
        holds |= !strcmp(items[i].path, name);
    mlf_artifacts_free(items, n);
    return holds;
}

/* A version of nothing would be made READY all the same. A single file may be registered; it lists as empty. */
static int check_not_empty(mlc *m, const mlf_model_info *info)
{
    const char *uri = m->arguments[0], *slash = strrchr(uri, '/');
    if (info->model_id || strncmp(uri, "runs:", 5) != 0 || may_hold(m, uri, NULL)) return MLF_OK;
    char *parent = sv_strndup(uri, slash ? (size_t)(slash - uri) : 0);
    int is_file = !parent || may_hold(m, parent, slash ? slash + 1 : NULL);
    sv_free(parent);
    return is_file ? MLF_OK
                   : mlf_error_set(&m->error, MLF_E_NOT_FOUND,
                                   "%.300s: the run has neither artifacts nor a logged model of that name", uri);
}

int mlc_registry_register(mlc *m)
{
    const char *name = m->arguments[1], *alias = mlc_option_value(m, "alias");
    mlf_model_info *info = NULL;
    mlf_pair *tags = NULL;
    size_t n_tags;
    char *version = NULL;
    int code = mlc_option_pairs(m, "tag", &tags, &n_tags);
    if (!code) code = mlf_model_resolve(&info, m->client, m->arguments[0], &m->error);
    if (!code) code = check_not_empty(m, info);
    if (!code) code = ensure_registered(m, name);
    if (!code) {
        char by_id[300]; /* what the server wants beside a model_id */
        snprintf(by_id, sizeof by_id, "models:/%.280s", info->model_id ? info->model_id : "");
        const char *source = info->model_id ? by_id : info->artifact_uri ? info->artifact_uri : m->arguments[0];
        code = mlf_model_versions_create(&version, m->client, name, source, info->run_id, info->model_id,
                                         mlc_option_value(m, "description"), tags, n_tags, &m->error);
    }
    if (!code && alias) code = mlf_alias_set(m->client, name, alias, version, &m->error);
    if (!code) mlc_print_fact(m, "version", version);
    mlf_model_info_free(info);
    mlf_free(version);
    sv_free(tags);
    return code;
}

int mlc_registry_alias(mlc *m)
{
    return mlf_alias_set(m->client, m->arguments[0], m->arguments[1], m->arguments[2], &m->error);
}

int mlc_registry_unalias(mlc *m)
{
    return mlf_aliases_delete(m->client, m->arguments[0], m->arguments[1], &m->error);
}

int mlc_registry_resolve(mlc *m)
{
    mlf_model_info *info = NULL;
    mlf_object *object = NULL;
    int code = mlf_model_resolve(&info, m->client, m->arguments[0], &m->error);
    if (!code)
        object = mlf_object_of(json_pack("{s:s, s:s*, s:s*, s:s*, s:s*, s:s*, s:s*}", "uri", info->uri, "name",
                                         info->name, "version", info->version, "alias", info->alias, "run_id",
                                         info->run_id, "model_id", info->model_id, "artifact_uri", info->artifact_uri));
    mlf_model_info_free(info);
    return mlc_print_object(m, code, object);
}

int mlc_registry_describe(mlc *m)
{
    if (m->n_arguments == 3)
        return mlf_model_versions_describe(m->client, m->arguments[0], m->arguments[1], m->arguments[2], &m->error);
    return mlf_registered_models_describe(m->client, m->arguments[0], m->arguments[1], &m->error);
}

int mlc_registry_tag(mlc *m)
{
    mlf_pair tag;
    int code = mlc_pairs(m, &m->arguments[m->n_arguments - 1], 1, &tag);
    if (code) return code;
    if (m->n_arguments == 3)
        return mlf_model_versions_set_tag(m->client, m->arguments[0], m->arguments[1], tag.key, tag.value, &m->error);
    return mlf_registered_models_set_tag(m->client, m->arguments[0], tag.key, tag.value, &m->error);
}

int mlc_registry_stage(mlc *m)
{
    return mlf_model_versions_set_stage(m->client, m->arguments[0], m->arguments[1], m->arguments[2],
                                        mlc_has(m, "archive"), &m->error);
}

int mlc_registry_rename(mlc *m)
{
    return mlf_registered_models_rename(m->client, m->arguments[0], m->arguments[1], &m->error);
}

int mlc_registry_delete(mlc *m)
{
    if (m->n_arguments == 2) return mlf_model_versions_delete(m->client, m->arguments[0], m->arguments[1], &m->error);
    return mlf_registered_models_delete(m->client, m->arguments[0], &m->error);
}
