/* Every allocation of a call fails once, in turn: each time a clear code, nothing lost, nothing freed twice. */
#include "alloc.h"
#include "mlflow_client.h"
#include "replay_server.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>

enum { MOST = 2000 };

/* A client's whole life: settings, a read, a write with nested arguments, two pages of a search. Returns the first
 * code. */
static int live(const char *uri)
{
    static const mlf_pair tags[] = {{"a", "b"}, {"c", "d"}};
    static const char *const ids[] = {"1"};
    mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
    mlf_query query = MLF_QUERY_INIT;
    mlf_client *client = NULL;
    mlf_object *run = NULL;
    mlf_iterator *iterator = NULL;
    const mlf_object *item;
    mlf_error error = MLF_ERROR_INIT;
    char *id = NULL, *reply = NULL;
    options.tracking_uri = uri;
    options.max_retries = 0;
    query.experiment_ids = ids;
    query.n_experiment_ids = 1;
    int code = mlf_client_new(&client, &options, &error);
    if (!code) code = mlf_runs_get(&run, client, "r", &error);
    if (!code) code = mlf_experiments_create(&id, client, "x", NULL, tags, 2, &error);
    if (!code) code = mlf_request(&reply, client, "POST", "/api/2.0/mlflow/runs/update", "{\"run_id\": \"r\"}", &error);
    if (!code) code = mlf_runs_search(&iterator, client, &query, &error);
    while (!code)
        code = mlf_iterator_next(&item, iterator, &error);
    mlf_iterator_free(iterator);
    mlf_object_free(run);
    mlf_free(id);
    mlf_free(reply);
    mlf_client_free(client);
    cr_expect(code == MLF_E_END || error.code == code, "%s without its text", mlf_code_name(code));
    return code;
}

static const replay_exchange rows[] = {{.reply = "{\"run\": {\"info\": {}}}"},
                                       {.reply = "{\"experiment_id\": \"7\"}"},
                                       {.reply = "{}"},
                                       {.reply = "{\"runs\": [{}, {}], \"next_page_token\": \"t\"}"},
                                       {.reply = "{\"runs\": [{}]}"}};

Test(out_of_memory, each_allocation_in_turn, .timeout = 120)
{
    long k;
    int code = 0, refused = 0;
    setenv("HOME", "/nonexistent", 1);
    unsetenv("MLFLOW_OFFLINE");
    json_set_alloc_funcs(sv_malloc, sv_free);
    for (k = 0; k < MOST; k++) {
        replay_server *server = replay_start(rows, sizeof rows / sizeof *rows);
        unsigned long before = sv_alloc_count();
        sv_alloc_fail_after(k, 1);
        code = live(replay_uri(server));
        sv_alloc_fail_after(-1, 0);
        unsigned long asked = sv_alloc_count() - before;
        replay_stop(server);
        if (code == MLF_E_END && asked <= (unsigned long)k) break;
        refused += code != MLF_E_END;
        cr_expect(code == MLF_E_MEMORY || code == MLF_E_ARGUMENT || code == MLF_E_REPLY || code == MLF_E_END,
                  "allocation %ld: %s", k, mlf_code_name(code));
    }
    cr_expect_lt(k, MOST);
    cr_expect_gt(refused, 50);
}
