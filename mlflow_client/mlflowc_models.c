/* mlflowc models (logged ones) and registry. */
#include "alloc.h"
#include "client_error.h"
#include "mlflowc.h"
#include "mlflowc_query.h"
#include "registry.h"
#include "run.h"
#include "waiting.h"

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

typedef struct logging {
    mlf_model_options options;
    char *uri;
} logging;

/* Also into the journal, when the server goes away just then. */
static int log_now(mlc *m, const char *run_id, void *what, mlf_error *error)
{
    mlf_run_options options = MLF_RUN_OPTIONS_INIT;
    logging *l = what;
    mlf_run *run = NULL;
    options.run_id = run_id;
    options.keep_status = 1;
    options.system_metrics = 0;
    int code = mlf_run_create(&run, m->client, &options, error);
    if (!code) code = mlf_run_log_model(&l->uri, run, m->arguments[1], &l->options, error);
    if (!code && !strncmp(l->uri, MLF_JOURNAL_URI, strlen(MLF_JOURNAL_URI)))
        mlc_say_kept(&(mlf_error)MLF_ERROR_INIT);
    else if (!code)
        code = mlf_flush(m->client, -1, error);
    mlf_run_free(run);
    return code;
}

static int keep_model(mlc *m, mlf_run *run, void *what)
{
    logging *l = what;
    mlf_free(l->uri);
    return mlf_run_log_model(&l->uri, run, m->arguments[1], &l->options, &m->error);
}

int mlc_models_log(mlc *m)
{
    logging l = {MLF_MODEL_OPTIONS_INIT, NULL};
    mlf_pair *params = NULL, *tags = NULL;
    l.options.name = mlc_option_value(m, "name");
    l.options.model_type = mlc_option_value(m, "model-type");
    int code = mlc_option_pairs(m, "param", &params, &l.options.n_params);
    if (!code) code = mlc_option_pairs(m, "tag", &tags, &l.options.n_tags);
    l.options.params = params;
    l.options.tags = tags;
    if (!code) code = mlc_send_or_keep(m, m->arguments[0], &(mlc_deed){log_now, keep_model, &l});
    if (!code) mlc_print_fact(m, "model_uri", l.uri);
    mlf_free(l.uri);
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

int mlc_models_untag(mlc *m)
{
    int code = MLF_OK;
    for (int i = 1; !code && i < m->n_arguments; i++)
        code = mlf_logged_models_delete_tag(m->client, m->arguments[0], m->arguments[i], &m->error);
    return code;
}

/* ---- a model that waited in a journal ---- */

/* Of these experiments: *uri (mlf_free), or NULL. */
static int find_in(mlc *m, const char *key, const char *const *experiment_ids, size_t n, char **uri)
{
    char filter[128];
    mlf_query query = MLF_QUERY_INIT;
    mlf_iterator *iterator = NULL;
    const mlf_object *model;
    sv_buffer found = SV_BUFFER_INIT(1024);
    snprintf(filter, sizeof filter, "tags.`" MLF_TAG_KEY "` = '%s'", key);
    query.filter = filter;
    query.experiment_ids = experiment_ids;
    query.n_experiment_ids = n;
    int code = n ? mlf_logged_models_search(&iterator, m->client, &query, &m->error) : MLF_E_END;
    if (!code) code = mlf_iterator_next(&model, iterator, &m->error);
    if (!code && (sv_buffer_format(&found, "models:/%s", mlf_object_string(model, "info.model_id")) || !(*uri = sv_buffer_take(&found))))
        code = mlf_error_memory(&m->error);
    mlf_iterator_free(iterator);
    sv_buffer_free(&found);
    return code == MLF_E_END ? MLF_OK : code;
}

/* The model that was "journal:/KEY" before a sync, in whatever experiment: *uri (mlf_free), or NULL. */
static int find_sent_model(mlc *m, const char *key, char **uri)
{
    enum { AT_ONCE = 100 };
    const char *ids[AT_ONCE];
    size_t n = 0;
    sv_buffer texts = SV_BUFFER_INIT(AT_ONCE * 128);
    mlf_iterator *experiments = NULL;
    const mlf_object *experiment;
    int more = mlf_is_journal_key(key), code = more ? mlf_experiments_search(&experiments, m->client, NULL, &m->error) : MLF_OK;
    while (!code && more && !*uri) {
        sv_buffer_clear(&texts);
        for (n = 0; n < AT_ONCE && !(code = mlf_iterator_next(&experiment, experiments, &m->error)); n++)
            if (sv_buffer_format(&texts, "%.100s\n", mlf_object_string(experiment, "experiment_id"))) break;
        more = !code;
        if (code && code != MLF_E_END) break;
        char *at = texts.data;
        for (size_t i = 0; i < n; i++, at += strlen(at) + 1) {
            ids[i] = at;
            at[strcspn(at, "\n")] = '\0';
        }
        code = find_in(m, key, ids, n, uri);
    }
    sv_buffer_free(&texts);
    mlf_iterator_free(experiments);
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
    int code = mlc_option_number(m, "limit", MLC_USUAL_LIMIT, 1, &limit);
    mlc_table *table = code ? NULL : mlc_table_begin(m, columns, sizeof columns / sizeof *columns);
    for (; table && shown < limit && !(code = mlf_iterator_next(&item, iterator, &m->error)); shown++) {
        json_t *row = json_copy(mlf_object_json(item));
        if (row) add_aliases(row, model);
        if (row) mlc_table_row(table, mlf_object_of(row));
        json_decref(row);
    }
    if (table) mlc_table_end(table);
    if (!code) mlc_say_cut(m, iterator);
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
static int check_not_empty(mlc *m, const mlf_model_info *info, mlf_error *error)
{
    const char *uri = info->uri, *slash = strrchr(uri, '/');
    if (info->model_id || strncmp(uri, "runs:", 5) != 0 || may_hold(m, uri, NULL)) return MLF_OK;
    char *parent = sv_strndup(uri, slash ? (size_t)(slash - uri) : 0);
    int is_file = !parent || may_hold(m, parent, slash ? slash + 1 : NULL);
    sv_free(parent);
    return is_file ? MLF_OK
                   : mlf_error_set(error, MLF_E_NOT_FOUND,
                                   "%.300s: the run has neither artifacts nor a logged model of that name", uri);
}

typedef struct registration {
    const char *source, *name;
    mlf_register_options options;
    char key[MLF_JOURNAL_KEY + 1]; /* by which a version is found whose answer was lost */
    char *version;
} registration;

static int register_source(mlc *m, const char *source, registration *r, mlf_error *error)
{
    mlf_model_info *info = NULL;
    int code = mlf_model_resolve(&info, m->client, source, error);
    if (!code) code = check_not_empty(m, info, error);
    const mlf_model_home home = {info ? info->run_id : NULL, "", r->key, NULL, 0};
    if (!code) code = mlf_register_now(&r->version, m->client, &home, source, r->name, &r->options, error);
    mlf_model_info_free(info);
    return code;
}

/* "runs:/RUN/path", by the id that the server knows the run by. */
static int send_version(mlc *m, const char *run_id, void *what, mlf_error *error)
{
    registration *r = what;
    sv_buffer source = SV_BUFFER_INIT(65536);
    const char *path = r->source + strlen("runs:/");
    int code = sv_buffer_format(&source, "runs:/%s%s", run_id, path + strcspn(path, "/")) ? mlf_error_memory(error) : MLF_OK;
    if (!code) code = register_source(m, source.data, r, error);
    sv_buffer_free(&source);
    return code;
}

static int keep_version(mlc *m, mlf_run *run, void *what)
{
    registration *r = what;
    json_t *payload = mlf_waiting_register(r->key, r->source, r->name, &r->options);
    int code = payload ? mlf_run_op(run, MLF_OP_REGISTER, payload, &m->error)
                       : mlf_error_set(&m->error, MLF_E_ARGUMENT, "%.200s: a text is no UTF-8", r->name);
    json_decref(payload);
    return code;
}

/* "journal:/KEY": the model waits here, or it has been sent meanwhile. */
static int register_waiting(mlc *m, registration *r)
{
    char run_id[MLC_RUN_SIZE], *uri = NULL;
    const char *key = r->source + strlen(MLF_JOURNAL_URI);
    int found = mlc_run_of_waiting_model(m, key, run_id);
    if (found > 0) return mlc_send_or_keep(m, run_id, &(mlc_deed){NULL, keep_version, r});
    int code = found < 0 ? found : mlc_is_away(m) ? MLF_OK : find_sent_model(m, key, &uri);
    if (!code && uri) code = register_source(m, uri, r, &m->error);
    if (!code && !uri)
        code = mlf_error_set(&m->error, MLF_E_NOT_FOUND, "%.300s: no model waits by that name in %.600s%s", r->source,
                             m->client->settings.journal_dir, mlc_is_away(m) ? "" : ", and the server has none that did");
    mlf_free(uri);
    return code;
}

static int register_any(mlc *m, registration *r)
{
    char run_id[MLC_RUN_SIZE];
    if (!strncmp(r->source, MLF_JOURNAL_URI, strlen(MLF_JOURNAL_URI))) return register_waiting(m, r);
    if (mlc_run_of_uri(r->source, run_id)) return mlc_send_or_keep(m, run_id, &(mlc_deed){send_version, keep_version, r});
    return register_source(m, r->source, r, &m->error);
}

int mlc_registry_register(mlc *m)
{
    registration r = {.source = m->arguments[0], .name = m->arguments[1], .options = MLF_REGISTER_OPTIONS_INIT};
    mlf_pair *tags = NULL;
    int code = mlc_option_pairs(m, "tag", &tags, &r.options.n_tags);
    r.options.tags = tags;
    r.options.alias = mlc_option_value(m, "alias");
    r.options.description = mlc_option_value(m, "description");
    if (!code) code = mlf_register_check(r.name, &r.options, &m->error);
    if (!code) code = mlf_journal_key(r.key, &m->error);
    if (!code) code = register_any(m, &r);
    if (!code && r.version) mlc_print_fact(m, "version", r.version);
    mlf_free(r.version);
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
    if (strncmp(m->arguments[0], "models:/", 8) && strncmp(m->arguments[0], "runs:/", 6))
        return mlf_error_set(&m->error, MLF_E_ARGUMENT, "registry resolve: expected models:/… or runs:/…, got \"%.200s\"", m->arguments[0]);
    mlc_know_run_of(m, m->arguments[0]);
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

int mlc_registry_untag(mlc *m)
{
    if (m->n_arguments == 3)
        return mlf_model_versions_delete_tag(m->client, m->arguments[0], m->arguments[1], m->arguments[2], &m->error);
    return mlf_registered_models_delete_tag(m->client, m->arguments[0], m->arguments[1], &m->error);
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
