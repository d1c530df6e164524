/* live: the typed functions against the real server of MLFLOW_TRACKING_URI, one TAP line a check. Run by test_live.py
   for each server. live 3: everything that every server has,
   live 3 users, workspaces or the URL of one who takes webhooks: what some have; live 2: a 2.x server, where what is newer must say MLF_E_UNSUPPORTED. */
#include "capabilities.h"
#include "client.h"
#include "clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int n_checks, n_failed, major = 3;
static mlf_client *client;
static mlf_error error;

/* One line; the error of the call that failed is shown and forgotten. */
static int check(int good, const char *name)
{
    n_checks++;
    n_failed += !good;
    printf("%sok %d - %s\n", good ? "" : "not ", n_checks, name);
    if (!good) printf("# %s: %s\n", mlf_code_name(error.code), error.message);
    fflush(stdout);
    memset(&error, 0, sizeof error);
    return good;
}

#define DONE(call) check((call) == MLF_OK, #call)
#define FAILS(code_, call) check((call) == (code_), #call " is " #code_)
#define SAME(a, b) check((a) && !strcmp((a), (b)), #a " is " #b)

/* Items of a search; frees it. */
static int count(int code, mlf_iterator **found)
{
    mlf_iterator *iterator = *found;
    const mlf_object *item;
    int n = 0;
    if (code) return -1;
    while (!(code = mlf_iterator_next(&item, iterator, &error)))
        n++;
    mlf_iterator_free(iterator);
    return code == MLF_E_END ? n : -1;
}

static char *experiments(void)
{
    static const mlf_pair tags[] = {{"team", "risk \"é\""}};
    char name[64], *id = NULL, *again = NULL;
    mlf_object *experiment = NULL;
    mlf_iterator *iterator = NULL;
    mlf_query query = MLF_QUERY_INIT;
    snprintf(name, sizeof name, "live-%lld", (long long)sv_epoch_ms());
    if (!DONE(mlf_experiments_create(&id, client, name, NULL, tags, 1, &error))) exit(1);
    FAILS(MLF_E_EXISTS, mlf_experiments_create(&again, client, name, NULL, NULL, 0, &error));
    DONE(mlf_experiment_ensure(&again, client, name, &error));
    SAME(again, id);
    mlf_free(again);
    DONE(mlf_experiments_get_by_name(&experiment, client, name, &error));
    SAME(mlf_object_lookup(experiment, "tags", "team"), "risk \"é\"");
    mlf_object_free(experiment);
    DONE(mlf_experiments_set_tag(client, id, "a", "b", &error));
    if (major >= 3) {
        DONE(mlf_experiments_delete_tag(client, id, "a", &error));
        FAILS(MLF_E_NOT_FOUND, mlf_experiments_delete_tag(client, id, "a", &error));
    }
    DONE(mlf_experiments_delete(client, id, &error));
    FAILS(MLF_E_STATE, mlf_experiment_ensure(&again, client, name, &error));
    FAILS(MLF_E_NOT_FOUND, mlf_experiments_delete(client, id, &error));
    query.view = MLF_VIEW_DELETED;
    check(count(mlf_experiments_search(&iterator, client, &query, &error), &iterator) >= 1,
          "deleted experiments are found");
    DONE(mlf_experiments_restore(client, id, &error));
    strcat(name, "-2");
    DONE(mlf_experiments_rename(client, id, name, &error));
    DONE(mlf_experiments_get(&experiment, client, id, &error));
    SAME(mlf_object_string(experiment, "name"), name);
    mlf_object_free(experiment);
    FAILS(MLF_E_NOT_FOUND, mlf_experiments_get(&experiment, client, "424242", &error));
    return id;
}

/* A run by the table, since mlf_run_create() belongs to the journal. */
static char *new_run(const char *experiment_id)
{
    mlf_object *arguments = mlf_object_new(), *reply = NULL;
    char *id = NULL;
    mlf_object_set_string(arguments, "experiment_id", experiment_id);
    mlf_object_set_integer(arguments, "start_time", sv_epoch_ms());
    if (DONE(mlf_call(&reply, client, "runs_create", arguments, &error)))
        id = strdup(mlf_object_string(reply, "run.info.run_id"));
    mlf_object_free(arguments);
    mlf_object_free(reply);
    if (!id) exit(1);
    return id;
}

static void log_points(const char *run_id, int n)
{
    mlf_object *arguments = mlf_object_new();
    mlf_object_set_string(arguments, "run_id", run_id);
    for (int i = 0; i < n; i++) {
        mlf_object *point = mlf_object_new();
        mlf_object_set_string(point, "key", "loss");
        mlf_object_set_double(point, "value", i == 3 ? NAN : i == 4 ? INFINITY : i == 5 ? -INFINITY : 1.0 / (1 + i));
        mlf_object_set_integer(point, "timestamp", 1000 + i);
        mlf_object_set_integer(point, "step", i);
        mlf_object_add_object(arguments, "metrics", point);
        mlf_object_free(point);
    }
    mlf_object_add_pair(arguments, "params", "alpha", "0.1");
    mlf_object_add_pair(arguments, "tags", "team", "risk");
    DONE(mlf_call(NULL, client, "runs_log_batch", arguments, &error));
    mlf_object_free(arguments);
}

/* Every point comes back, in pages of 100 and in one of 25,000. */
static void history(const char *run_id, int n)
{
    for (int paged = 0; paged < 2; paged++) {
        mlf_iterator *iterator;
        mlf_metric_point point;
        mlf_object *arguments = mlf_object_new();
        int seen = 0, right = 0, code;
        mlf_object_set_string(arguments, "run_id", run_id);
        mlf_object_set_string(arguments, "metric_key", "loss");
        if (paged)
            DONE(mlf_metrics_history(&iterator, client, run_id, "loss", &error));
        else
            DONE(mlf_search(&iterator, client, "metrics_get_history", arguments, &error));
        while (!(code = mlf_iterator_next_point(&point, iterator, &error))) {
            int i = (int)point.step;
            double value = i == 3 ? NAN : i == 4 ? INFINITY : i == 5 ? -INFINITY : 1.0 / (1 + i);
            right += (point.value == value || (isnan(value) && isnan(point.value))) && point.timestamp_ms == 1000 + i;
            seen++;
        }
        check(code == MLF_E_END && seen == n && right == n, "every point comes back as it was, NaN and infinities too");
        mlf_iterator_free(iterator);
        mlf_object_free(arguments);
    }
}

static void runs(const char *experiment_id, const char *run_id)
{
    const char *const ids[] = {experiment_id};
    mlf_object *run = NULL;
    mlf_iterator *iterator = NULL;
    mlf_query query = MLF_QUERY_INIT;
    query.experiment_ids = ids;
    query.n_experiment_ids = 1;
    query.page_size = 2;
    log_points(run_id, 250);
    history(run_id, 250);
    DONE(mlf_runs_set_tag(client, run_id, "k.with dots", "v", &error));
    DONE(mlf_runs_update(client, run_id, "FINISHED", sv_epoch_ms(), "a name", &error));
    DONE(mlf_runs_get(&run, client, run_id, &error));
    SAME(mlf_object_lookup(run, "data.params", "alpha"), "0.1");
    SAME(mlf_object_lookup(run, "data.tags", "k.with dots"), "v");
    SAME(mlf_object_string(run, "info.status"), "FINISHED");
    SAME(mlf_object_string(run, "info.run_name"), "a name");
    mlf_object_free(run);
    DONE(mlf_runs_delete_tag(client, run_id, "k.with dots", &error));
    for (int i = 0; i < 2; i++)
        DONE(mlf_runs_log_input(client, run_id, &(mlf_dataset){.name = "rows", .digest = "0a", .context = "training"}, &error));
    DONE(mlf_runs_get(&run, client, run_id, &error));
    check(mlf_object_count(run, "inputs.dataset_inputs") == 1, "the same dataset twice is one");
    SAME(mlf_object_string(run, "inputs.dataset_inputs[0].dataset.name"), "rows");
    SAME(mlf_object_lookup(run, "inputs.dataset_inputs[0].tags", "mlflow.data.context"), "training");
    mlf_object_free(run);
    for (int i = 0; i < 4; i++) {
        char *id = new_run(experiment_id);
        if (i >= 2) DONE(mlf_runs_delete(client, id, &error));
        if (i == 2) DONE(mlf_runs_restore(client, id, &error));
        free(id);
    }
    check(count(mlf_runs_search(&iterator, client, &query, &error), &iterator) == 4,
          "a search of runs turns its pages");
    query.view = MLF_VIEW_ALL;
    query.filter = "tags.team = 'risk' AND params.alpha = '0.1'";
    check(count(mlf_runs_search(&iterator, client, &query, &error), &iterator) == 1, "a search filters");
    query.filter = "this is no filter";
    check(count(mlf_runs_search(&iterator, client, &query, &error), &iterator) == -1 &&
              !strcmp(error.error_code, "INVALID_PARAMETER_VALUE"),
          "a wrong filter is refused by name");
    FAILS(MLF_E_NOT_FOUND, mlf_runs_get(&run, client, "00000000000000000000000000000000", &error));
}

static void registry(const char *run_id)
{
    char name[64], *version = NULL, *uri = NULL, source[300];
    mlf_object *found = NULL;
    mlf_iterator *iterator = NULL;
    mlf_query query = MLF_QUERY_INIT;
    snprintf(name, sizeof name, "live model %lld", (long long)sv_epoch_ms());
    DONE(mlf_registered_models_create(NULL, client, name, "first", NULL, 0, &error));
    FAILS(MLF_E_EXISTS, mlf_registered_models_create(NULL, client, name, "first", NULL, 0, &error));
    DONE(mlf_runs_get(&found, client, run_id, &error));
    snprintf(source, sizeof source, "%s/model", mlf_object_string(found, "info.artifact_uri"));
    mlf_object_free(found);
    for (int i = 0; i < 2; i++) {
        mlf_free(version);
        DONE(mlf_model_versions_create(&version, client, name, source, run_id, NULL, "d", NULL, 0, &error));
    }
    SAME(version, "2");
    DONE(mlf_alias_set(client, name, "champion", "1", &error));
    DONE(mlf_aliases_get(&found, client, name, "champion", &error));
    SAME(mlf_object_string(found, "version"), "1");
    mlf_object_free(found);
    FAILS(MLF_E_NOT_FOUND, mlf_aliases_get(&found, client, name, "nobody", &error));
    DONE(mlf_aliases_delete(client, name, "champion", &error));
    DONE(mlf_model_versions_download_uri(&uri, client, name, "1", &error));
    SAME(uri, source);
    DONE(mlf_model_versions_set_tag(client, name, "2", "a", "b", &error));
    DONE(mlf_model_versions_describe(client, name, "2", "second", &error));
    DONE(mlf_model_versions_set_stage(client, name, "2", "Staging", 0, &error));
    check(count(mlf_registered_models_latest(&iterator, client, name, "Staging", &error), &iterator) == 1,
          "the newest version of a stage");
    DONE(mlf_model_versions_get(&found, client, name, "2", &error));
    SAME(mlf_object_lookup(found, "tags", "a"), "b");
    SAME(mlf_object_string(found, "description"), "second");
    mlf_object_free(found);
    DONE(mlf_model_versions_delete_tag(client, name, "2", "a", &error));
    DONE(mlf_registered_models_set_tag(client, name, "a", "b", &error));
    DONE(mlf_registered_models_delete_tag(client, name, "a", &error));
    DONE(mlf_registered_models_describe(client, name, "third", &error));
    DONE(mlf_registered_models_get(&found, client, name, &error));
    SAME(mlf_object_string(found, "description"), "third");
    mlf_object_free(found);
    query.page_size = 1;
    check(count(mlf_registered_models_search(&iterator, client, &query, &error), &iterator) >= 1,
          "a search of registered models");
    check(count(mlf_model_versions_search(&iterator, client, &query, &error), &iterator) >= 2,
          "a search of versions turns its pages");
    DONE(mlf_model_versions_delete(client, name, "1", &error));
    strcat(name, "b");
    char old[64];
    snprintf(old, sizeof old, "%.*s", (int)strlen(name) - 1, name);
    DONE(mlf_registered_models_rename(client, old, name, &error));
    DONE(mlf_registered_models_delete(client, name, &error));
    FAILS(MLF_E_NOT_FOUND, mlf_registered_models_get(&found, client, name, &error));
    mlf_free(version);
    mlf_free(uri);
}

static void prompts(void)
{
    char name[64], *version = NULL, *text = NULL;
    mlf_iterator *iterator = NULL;
    snprintf(name, sizeof name, "live-prompt-%lld", (long long)sv_epoch_ms());
    DONE(mlf_prompts_register(&version, client, name, "Say {{x}}", "first", &error));
    DONE(mlf_prompts_get(&text, client, name, version, &error));
    SAME(text, "Say {{x}}");
    check(count(mlf_prompts_search(&iterator, client, NULL, &error), &iterator) >= 1, "a search of prompts");
    DONE(mlf_prompts_delete(client, name, &error));
    mlf_free(version);
    mlf_free(text);
}

static void logged_models(const char *experiment_id, const char *run_id)
{
    static const mlf_pair params[] = {{"alpha", "0.1"}};
    const char *const ids[] = {experiment_id};
    mlf_object *model = NULL;
    mlf_iterator *iterator = NULL;
    mlf_query query = MLF_QUERY_INIT;
    query.experiment_ids = ids;
    query.n_experiment_ids = 1;
    if (!DONE(mlf_logged_models_create(&model, client, experiment_id, "model", "linear", run_id, params, 1, NULL, 0,
                                       &error)))
        return;
    char *id = strdup(mlf_object_string(model, "info.model_id"));
    mlf_object_free(model);
    DONE(mlf_logged_models_set_tag(client, id, "a", "b", &error));
    DONE(mlf_logged_models_log_params(client, id, (const mlf_pair[]){{"beta", "2"}}, 1, &error));
    DONE(mlf_logged_models_finalize(client, id, 1, &error));
    DONE(mlf_runs_log_outputs(client, run_id, (const char *const[]){id}, 1, 7, &error));
    FAILS(MLF_E_SERVER, mlf_runs_log_outputs(client, run_id, (const char *const[]){id}, 1, 7, &error));
    mlf_object *run = NULL;
    int64_t step = 0;
    DONE(mlf_runs_get(&run, client, run_id, &error));
    SAME(mlf_object_string(run, "outputs.model_outputs[0].model_id"), id);
    check(!mlf_object_integer(&step, run, "outputs.model_outputs[0].step") && step == 7, "an output has its step");
    mlf_object_free(run);
    DONE(mlf_logged_models_get(&model, client, id, &error));
    SAME(mlf_object_string(model, "info.status"), "LOGGED_MODEL_READY");
    SAME(mlf_object_lookup(model, "info.tags", "a"), "b");
    mlf_object_free(model);
    query.order_by = (const char *const[]){"creation_timestamp DESC"};
    query.n_order_by = 1;
    check(count(mlf_logged_models_search(&iterator, client, &query, &error), &iterator) == 1,
          "a search of logged models");
    DONE(mlf_logged_models_delete_tag(client, id, "a", &error));
    DONE(mlf_logged_models_delete(client, id, &error));
    FAILS(MLF_E_NOT_FOUND, mlf_logged_models_get(&model, client, id, &error));
    free(id);
}

static void traces(const char *experiment_id, const char *run_id)
{
    const char *const ids[] = {experiment_id};
    char id[80];
    mlf_object *info = mlf_object_new(), *back = NULL, *assessment = NULL, *made = NULL;
    mlf_iterator *iterator = NULL;
    mlf_query query = MLF_QUERY_INIT;
    snprintf(id, sizeof id, "tr-%032llx", (unsigned long long)sv_monotonic_ns());
    query.experiment_ids = ids;
    query.n_experiment_ids = 1;
    mlf_object_set_string(info, "trace_id", id);
    mlf_object_set_string(info, "trace_location.type", "MLFLOW_EXPERIMENT");
    mlf_object_set_string(info, "trace_location.mlflow_experiment.experiment_id", experiment_id);
    mlf_object_set_string(info, "request_time", "2024-01-02T03:04:05Z");
    mlf_object_set_string(info, "execution_duration", "1.500s");
    mlf_object_set_string(info, "state", "OK");
    DONE(mlf_traces_log(NULL, client, info, &error));
    DONE(mlf_traces_get(&back, client, id, &error));
    SAME(mlf_object_string(back, "state"), "OK");
    DONE(mlf_traces_set_tag(client, id, "a", "b", &error));
    check(count(mlf_traces_search(&iterator, client, &query, &error), &iterator) == 1, "a search of traces");
    mlf_object_parse(&assessment,
                     "{\"assessment_name\": \"good\", \"source\": {\"source_type\": \"HUMAN\", \"source_id\": \"me\"}, "
                     "\"feedback\": {\"value\": 0.5}}",
                     &error);
    DONE(mlf_assessments_create(&made, client, id, assessment, &error));
    const char *assessment_id = mlf_object_string(made, "assessment_id");
    if (check(assessment_id != NULL, "an assessment has an id")) {
        mlf_object *read = NULL, *change = NULL;
        DONE(mlf_assessments_get(&read, client, id, assessment_id, &error));
        mlf_object_parse(&change, "{\"rationale\": \"because\"}", &error);
        DONE(mlf_assessments_update(client, id, assessment_id, change, "rationale", &error));
        DONE(mlf_assessments_delete(client, id, assessment_id, &error));
        mlf_object_free(read);
        mlf_object_free(change);
    }
    DONE(mlf_traces_link_to_run(client, id, run_id, &error));
    DONE(mlf_traces_delete_tag(client, id, "a", &error));
    DONE(mlf_traces_delete(client, experiment_id, id, &error));
    mlf_object_free(info);
    mlf_object_free(back);
    mlf_object_free(assessment);
    mlf_object_free(made);
}

static void datasets(const char *experiment_id)
{
    const char *const ids[] = {experiment_id};
    char *id = NULL;
    mlf_object *records = NULL, *page = NULL, *dataset = NULL;
    mlf_iterator *iterator = NULL;
    if (!DONE(mlf_datasets_create(&id, client, "questions", ids, 1, &error))) return;
    mlf_object_parse(&records, "{\"records\": [{\"inputs\": {\"q\": \"1+1\"}, \"expectations\": {\"a\": 2}}]}", &error);
    DONE(mlf_datasets_upsert_records(client, id, records, &error));
    DONE(mlf_datasets_records(&page, client, id, NULL, &error));
    SAME(mlf_object_string(page, "records[0].inputs.q"), "1+1");
    mlf_object_free(records);
    records = mlf_object_new();
    for (int i = 0; i < 1500; i++) {
        char text[80];
        mlf_object *record = NULL;
        snprintf(text, sizeof text, "{\"inputs\": {\"q\": \"%d+1\"}}", i);
        mlf_object_parse(&record, text, &error);
        mlf_object_add_object(records, "records", record);
        mlf_object_free(record);
    }
    DONE(mlf_datasets_upsert_records(client, id, records, &error));
    check(count(mlf_datasets_list_records(&iterator, client, id, &error), &iterator) == 1500, "all records of a dataset, in pages");
    DONE(mlf_datasets_set_tag(client, id, "a", "b", &error));
    DONE(mlf_datasets_get(&dataset, client, id, &error));
    check(count(mlf_datasets_search(&iterator, client, NULL, &error), &iterator) >= 1, "a search of datasets");
    DONE(mlf_datasets_delete_tag(client, id, "a", &error));
    DONE(mlf_datasets_link(client, id, "0", 1, &error));
    DONE(mlf_datasets_link(client, id, "0", 0, &error));
    DONE(mlf_datasets_delete(client, id, &error));
    mlf_object_free(records);
    mlf_object_free(page);
    mlf_object_free(dataset);
    mlf_free(id);
}

/* url: of one who listens, where the server may send to it. */
static void webhooks(const char *url)
{
    static const char *const events[] = {"MODEL_VERSION.CREATED"};
    mlf_iterator *iterator = NULL;
    mlf_object *webhook = NULL;
    char *id = NULL;
    check(count(mlf_webhooks_list(&iterator, client, &error), &iterator) == 0, "there are no webhooks");
    FAILS(MLF_E_SERVER, mlf_webhooks_create(&id, client, "w", "ftp://127.0.0.1/", events, 1, "s", NULL, &error));
    if (!url || !DONE(mlf_webhooks_create(&id, client, "w", url, events, 1, "s", "d", &error))) return;
    check(count(mlf_webhooks_list(&iterator, client, &error), &iterator) == 1, "the webhook is listed");
    DONE(mlf_webhooks_test(&webhook, client, id, &error));
    check(mlf_object_flag(webhook, "success"), "who listens has been told");
    mlf_object_free(webhook);
    DONE(mlf_webhooks_set_active(client, id, 0, &error));
    DONE(mlf_webhooks_get(&webhook, client, id, &error));
    SAME(mlf_object_string(webhook, "status"), "DISABLED");
    mlf_object_free(webhook);
    DONE(mlf_webhooks_delete(client, id, &error));
    FAILS(MLF_E_NOT_FOUND, mlf_webhooks_get(&webhook, client, id, &error));
    mlf_free(id);
}

/* On a server with --enable-workspaces. */
static void workspaces(void)
{
    mlf_iterator *iterator = NULL;
    mlf_object *workspace = NULL;
    DONE(mlf_workspaces_create(client, "live-team", "first", &error));
    FAILS(MLF_E_EXISTS, mlf_workspaces_create(client, "live-team", NULL, &error));
    check(count(mlf_workspaces_list(&iterator, client, &error), &iterator) == 2, "two workspaces are listed");
    DONE(mlf_workspaces_describe(client, "live-team", "second", &error));
    DONE(mlf_workspaces_get(&workspace, client, "live-team", &error));
    SAME(mlf_object_string(workspace, "description"), "second");
    mlf_object_free(workspace);
    DONE(mlf_workspaces_delete(client, "live-team", &error));
    FAILS(MLF_E_NOT_FOUND, mlf_workspaces_get(&workspace, client, "live-team", &error));
}

/* On a server with basic-auth, as its administrator. */
static void users(const char *experiment_id)
{
    mlf_object *user = NULL, *permission = NULL;
    mlf_iterator *iterator = NULL;
    DONE(mlf_users_create(client, "eve", "twelve letters", &error));
    DONE(mlf_users_get(&user, client, "eve", &error));
    SAME(mlf_object_string(user, "username"), "eve");
    if (major >= 3) {
        check(count(mlf_users_list(&iterator, client, &error), &iterator) == 2, "two users are listed");
        DONE(mlf_permissions_grant(client, "eve", "experiment", experiment_id, "EDIT", &error));
        DONE(mlf_permissions_get(&permission, client, "eve", "experiment", experiment_id, &error));
        check(count(mlf_permissions_list(&iterator, client, "eve", &error), &iterator) >= 1, "her permission is listed");
        DONE(mlf_permissions_revoke(client, "eve", "experiment", experiment_id, &error));
    } else {
        FAILS(MLF_E_UNSUPPORTED, mlf_permissions_grant(client, "eve", "experiment", experiment_id, "EDIT", &error));
    }
    DONE(mlf_users_set_password(client, "eve", "other twelve", NULL, &error));
    DONE(mlf_users_set_admin(client, "eve", 1, &error));
    DONE(mlf_users_delete(client, "eve", &error));
    mlf_object_free(user);
    mlf_object_free(permission);
}

int main(int argc, char **argv)
{
    const char *more = argc > 2 ? argv[2] : "";
    int has_models = 0;
    major = argc > 1 ? atoi(argv[1]) : 3;
    char *version = NULL;
    mlf_object *found = NULL;
    if (mlf_client_new(&client, NULL, &error)) return fprintf(stderr, "%s\n", error.message), 1;
    DONE(mlf_server_version(&version, client, &error));
    check(version && atoi(version) == major, "the server tells its version");
    DONE(mlf_has_logged_models(&has_models, client, &error));
    check(has_models == (major >= 3), "logged models are there since 3.0");
    DONE(mlf_server_info(&found, client, &error));
    mlf_object_free(found);
    char *experiment_id = experiments(), *run_id = new_run(experiment_id);
    runs(experiment_id, run_id);
    registry(run_id);
    if (major >= 3) {
        logged_models(experiment_id, run_id);
        prompts();
        traces(experiment_id, run_id);
        datasets(experiment_id);
        webhooks(!strncmp(more, "http", 4) ? more : NULL);
    } else {
        FAILS(MLF_E_UNSUPPORTED, mlf_logged_models_get(&found, client, "m-1", &error));
        FAILS(MLF_E_UNSUPPORTED, mlf_traces_get(&found, client, "tr-1", &error));
        FAILS(MLF_E_UNSUPPORTED, mlf_datasets_get(&found, client, "d-1", &error));
    }
    if (!strcmp(more, "users")) users(experiment_id);
    if (!strcmp(more, "workspaces"))
        workspaces();
    else
        FAILS(MLF_E_UNSUPPORTED, mlf_workspaces_get(&found, client, "default", &error));
    mlf_free(experiment_id);
    mlf_free(version);
    free(run_id);
    mlf_client_free(client);
    printf("1..%d\n", n_checks);
    return n_failed > 0;
}
