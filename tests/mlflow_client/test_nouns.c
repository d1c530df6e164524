/* Every typed function: the request it sends, byte for byte, and what it makes of a recorded answer. */
#include "mlflow_client.h"
#include "replay_server.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API2 "/api/2.0/mlflow/"
#define API3 "/api/3.0/mlflow/"

static const mlf_pair tags[] = {{"team", "risk"}, {"note", "a \"b\" ü"}};
static const char *const ids[] = {"1", "2"};
static const char *const order[] = {"metrics.loss DESC", "name"};
static const char *const events[] = {"MODEL_VERSION.CREATED"};
static const mlf_query query = {.version = MLF_ABI_VERSION,
                                .filter = "tags.a = 'b'",
                                .order_by = order,
                                .n_order_by = 2,
                                .experiment_ids = ids,
                                .n_experiment_ids = 2,
                                .page_size = 7};

/* What a case may use; freed behind it. */
typedef struct scratch {
    mlf_object *object, *input;
    char *text;
    mlf_iterator *iterator;
    const mlf_object *item;
    mlf_metric_point point;
} scratch;

/* The first item of a search that was just made. */
static int first(scratch *s, int code, mlf_error *error)
{
    return code ? code : mlf_iterator_next(&s->item, s->iterator, error);
}

static mlf_object *parsed(scratch *s, const char *json)
{
    mlf_object_parse(&s->input, json, NULL);
    return s->input;
}

#define FUNCTION(name, expect, reply, path, text, ...)                                                                 \
    static int call_##name(scratch *s, mlf_client *client, mlf_error *error)                                           \
    {                                                                                                                  \
        return __VA_ARGS__;                                                                                            \
    }
#define C FUNCTION
#include "nouns.def"
#undef C

static const struct {
    const char *name, *expect, *reply, *path, *text;
    int (*call)(scratch *s, mlf_client *client, mlf_error *error);
} cases[] = {
#define ROW(name, expect, reply, path, text, ...) {#name, expect, reply, path, text, call_##name},
#define C ROW
#include "nouns.def"
#undef C
};

static mlf_client *client_of(const replay_server *server)
{
    mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
    mlf_client *client;
    options.tracking_uri = replay_uri(server);
    options.max_retries = 0;
    cr_assert_eq(mlf_client_new(&client, &options, NULL), MLF_OK);
    return client;
}

static void end_case(scratch *s, mlf_client *client, replay_server *server)
{
    mlf_iterator_free(s->iterator);
    mlf_object_free(s->object);
    mlf_object_free(s->input);
    mlf_free(s->text);
    mlf_client_free(client);
    replay_stop(server);
}

static void plain_environment(void)
{
    static const char *const names[] = {"MLFLOW_TRACKING_URI",
                                        "MLFLOW_REGISTRY_URI",
                                        "MLFLOW_TRACKING_USERNAME",
                                        "MLFLOW_TRACKING_TOKEN",
                                        "MLFLOW_WORKSPACE",
                                        "MLFLOW_OFFLINE",
                                        "HTTP_PROXY",
                                        "http_proxy"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    setenv("HOME", "/nonexistent", 1);
    setenv("MLFLOW_JOURNAL_DIR", "/dev/null/none", 1); /* nothing waits for a later server */
}

TestSuite(nouns, .init = plain_environment, .timeout = 120);

Test(nouns, each_sends_what_it_should_and_reads_what_comes)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const replay_exchange rows[] = {{.reply = cases[i].reply}};
        replay_server *server = replay_start(rows, 1);
        mlf_client *client = client_of(server);
        scratch s = {0};
        mlf_error error = MLF_ERROR_INIT;
        int code = cases[i].call(&s, client, &error), ends = !strcmp(cases[i].path, "end");
        cr_expect_eq(code, ends ? MLF_E_END : MLF_OK, "%s: %s %s", cases[i].name, mlf_code_name(code), error.message);
        const char *found = !strcmp(cases[i].path, "text")        ? s.text
                            : !strncmp(cases[i].path, "item:", 5) ? mlf_object_string(s.item, cases[i].path + 5)
                                                                  : mlf_object_string(s.object, cases[i].path);
        if (*cases[i].text)
            cr_expect(found && !strcmp(found, cases[i].text), "%s: expected \"%s\", got \"%s\"", cases[i].name,
                      cases[i].text, found ? found : "nothing");
        const char *request = replay_request(server, 0), *body = strstr(request, "\r\n\r\n");
        char sent[4096];
        size_t line = (size_t)(strstr(request, " HTTP/1.1") - request);
        snprintf(sent, sizeof sent, "%.*s%s%s", (int)line, request, body && body[4] ? " " : "", body ? body + 4 : "");
        cr_expect_str_eq(sent, cases[i].expect, "%s", cases[i].name);
        end_case(&s, client, server);
    }
}

Test(nouns, none_takes_a_login_page_for_an_answer)
{
    const replay_exchange rows[] = {{.reply = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 25\r\n\r\n<html>please log in</html"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        replay_server *server = replay_start(rows, 1);
        mlf_client *client = client_of(server);
        scratch s = {0};
        mlf_error error = MLF_ERROR_INIT;
        int code = cases[i].call(&s, client, &error);
        int may_wait = !strcmp(cases[i].name, "alias_set"); /* in the journal, which cannot be written here */
        cr_expect_eq(code, may_wait ? MLF_E_IO : MLF_E_REPLY, "%s: %s %s", cases[i].name, mlf_code_name(code), error.message);
        end_case(&s, client, server);
    }
}

Test(nouns, nothing_given_is_an_argument_that_is_missing)
{
    replay_server *server = replay_start(NULL, 0);
    mlf_client *client = client_of(server);
    mlf_iterator *iterator;
    mlf_journal *journal;
    mlf_object *object;
    char *text;
    cr_expect_eq(mlf_call(&object, client, NULL, NULL, NULL), MLF_E_ARGUMENT);
    cr_expect_eq(mlf_search(&iterator, client, NULL, NULL, NULL), MLF_E_ARGUMENT);
    cr_expect_eq(mlf_request(&text, client, NULL, NULL, NULL, NULL), MLF_E_ARGUMENT);
    cr_expect_eq(mlf_request(&text, client, "GET", NULL, NULL, NULL), MLF_E_ARGUMENT);
    cr_expect_eq(mlf_prompts_get(&text, client, "greet", NULL, NULL), MLF_E_ARGUMENT);
    cr_expect_eq(mlf_journal_open(&journal, NULL, NULL), MLF_E_ARGUMENT);
    cr_expect_eq(mlf_object_parse(&object, NULL, NULL), MLF_E_ARGUMENT);
    cr_expect_eq(replay_connections(server), 0);
    mlf_client_free(client);
    replay_stop(server);
}

Test(nouns, a_search_turns_its_pages_and_stops_at_a_token_that_repeats)
{
    const replay_exchange rows[] = {
        {.expect = "POST " API2 "runs/search {\"experiment_ids\":[\"1\",\"2\"],\"max_results\":1000}",
         .reply = "{\"runs\": [{\"n\": 1}, {\"n\": 2}], \"next_page_token\": \"t1\"}"},
        {.expect = NULL, .reply = "{\"next_page_token\": \"t2\"}"},
        {.expect = NULL, .reply = "{\"runs\": [{\"n\": 3}], \"next_page_token\": \"t2\"}"}};
    replay_server *server = replay_start(rows, 3);
    mlf_client *client = client_of(server);
    mlf_iterator *iterator;
    mlf_query q = MLF_QUERY_INIT;
    const mlf_object *item;
    int64_t n, sum = 0;
    q.experiment_ids = ids;
    q.n_experiment_ids = 2;
    q.view = (mlf_view)9; /* leaves the view out */
    cr_assert_eq(mlf_runs_search(&iterator, client, &q, NULL), MLF_OK);
    cr_expect_eq(replay_served(server), 0, "nothing is sent before the first item is wanted");
    int code;
    while (!(code = mlf_iterator_next(&item, iterator, NULL)))
        sum += mlf_object_integer(&n, item, "n") ? 0 : n;
    cr_expect_eq(code, MLF_E_END);
    cr_expect_eq(sum, 6);
    cr_expect_eq(replay_served(server), 3);
    cr_expect(strstr(replay_request(server, 1), "\"page_token\":\"t1\""));
    cr_expect_str_empty(replay_complaint(server), "%s", replay_complaint(server));
    mlf_iterator_free(iterator);
    mlf_client_free(client);
    replay_stop(server);
}

Test(nouns, a_search_without_end_ends)
{
    static replay_exchange rows[1001];
    for (size_t i = 0; i < 1001; i++)
        rows[i].reply = i % 2 ? "{\"next_page_token\": \"a\"}" : "{\"next_page_token\": \"b\"}";
    replay_server *server = replay_start(rows, 1001);
    mlf_client *client = client_of(server);
    mlf_iterator *iterator;
    mlf_error error = MLF_ERROR_INIT;
    const mlf_object *item;
    cr_assert_eq(mlf_registered_models_search(&iterator, client, NULL, NULL), MLF_OK);
    cr_expect_eq(mlf_iterator_next(&item, iterator, &error), MLF_E_REPLY);
    cr_expect(strstr(error.message, "1000 pages in a row"), "%s", error.message);
    mlf_iterator_free(iterator);
    mlf_client_free(client);
    replay_stop(server);
}

Test(nouns, points_keep_what_is_no_number)
{
    const replay_exchange rows[] = {
        {.reply = "{\"metrics\": [{\"value\": \"NaN\", \"timestamp\": 1}, {\"value\": 1.7976931348623157e+308, "
                  "\"timestamp\": 2, \"step\": -3}, {\"value\": \"-Infinity\", \"timestamp\": 3}]}"}};
    replay_server *server = replay_start(rows, 1);
    mlf_client *client = client_of(server);
    mlf_iterator *iterator;
    mlf_metric_point point;
    cr_assert_eq(mlf_metrics_history(&iterator, client, "r", "k", NULL), MLF_OK);
    cr_expect_eq(mlf_iterator_next_point(&point, iterator, NULL), MLF_OK);
    cr_expect(point.value != point.value && point.timestamp_ms == 1 && point.step == 0);
    cr_expect_eq(mlf_iterator_next_point(&point, iterator, NULL), MLF_OK);
    cr_expect(point.value > 1.7976931348623157e308 && point.step == -3);
    cr_expect_eq(mlf_iterator_next_point(&point, iterator, NULL), MLF_OK);
    cr_expect(point.value < -1.7976931348623157e308);
    cr_expect_eq(mlf_iterator_next_point(&point, iterator, NULL), MLF_E_END);
    mlf_iterator_free(iterator);
    mlf_client_free(client);
    replay_stop(server);
}

/* ---- what never leaves the house ---- */

static const struct {
    const char *method, *path, *body, *says;
} refused[] = {
    {"POST", API2 "runs/log-metric", "{\"run_id\": \"r\", \"key\": \"k\", \"value\": NaN, \"timestamp\": 1}",
     "no JSON"},
    {"POST", API2 "runs/log-metric", "{\"run_id\": \"r\", \"key\": \"k\", \"value\": \"inf\", \"timestamp\": 1}",
     "\"value\""},
    {"POST", API2 "runs/log-metric", "{\"run_id\": \"r\", \"key\": \"k\", \"value\": 1, \"timestamp\": 1.5}",
     "whole number"},
    {"POST", API2 "runs/log-metric",
     "{\"run_id\": \"r\", \"key\": \"k\", \"value\": 1, \"timestamp\": 1, \"step\": 9223372036854775808}", "no JSON"},
    {"POST", API2 "runs/log-metric",
     "{\"run_id\": \"r\", \"key\": \"k\", \"value\": 1, \"timestamp\": 1, \"step\": \"9223372036854775808\"}",
     "\"step\""},
    {"POST", API2 "runs/log-batch",
     "{\"run_id\": \"r\", \"metrics\": [{\"key\": \"k\", \"value\": 1, \"timestamp\": 1}, {\"key\": \"k\", \"value\": "
     "\"nan\", \"timestamp\": 1}]}",
     "metrics[1].value"},
    {"POST", API2 "runs/log-batch", "{\"run_id\": \"r\", \"params\": [{\"key\": \"k\", \"value\": 5}]}",
     "params[0].value"},
    {"POST", API2 "runs/update", "{\"run_id\": \"r\", \"status\": \"BOGUS\"}", "FINISHED"},
    {"POST", API2 "runs/search", "{\"experiment_ids\": [1]}", "experiment_ids[0]"},
    {"PATCH", API2 "logged-models/m-1", "{\"model_id\": \"m-1\", \"status\": \"ready\"}", "LOGGED_MODEL_READY"},
    {"POST", API2 "webhooks",
     "{\"name\": \"w\", \"url\": \"https://x\", \"events\": [{\"entity\": \"model_version\", \"action\": "
     "\"created\"}]}",
     "events[0].entity"},
    {"POST", API2 "runs/create", "{\"run_name\": \"x\"}", "experiment_id"},
    {"POST", API2 "runs/create", "{\"a\": 1, \"a\": 2}", "duplicate"},
    {"POST", API2 "runs/create", "[]", "object"},
    {"POST", API2 "runs/create", "", "no JSON"},
    {"post", API2 "runs/create", "{\"experiment_id\": \"0\"}", "capital"},
    {"POST", "runs/create", "{}", "begin with '/'"},
    {"GET", API2 "runs/get?run_id=a b", NULL, "percent-encoded"},
};

Test(nouns, what_the_server_would_silently_misread_is_refused_here)
{
    replay_server *server = replay_start(NULL, 0);
    mlf_client *client = client_of(server);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char *reply;
        mlf_error error = MLF_ERROR_INIT;
        cr_expect_eq(mlf_request(&reply, client, refused[i].method, refused[i].path, refused[i].body, &error),
                     MLF_E_ARGUMENT, "row %zu", i);
        cr_expect(strstr(error.message, refused[i].says), "row %zu: \"%s\" should say %s", i, error.message,
                  refused[i].says);
        cr_expect_null(reply);
    }
    cr_expect_eq(replay_connections(server), 0);
    mlf_client_free(client);
    replay_stop(server);
}

Test(nouns, an_answer_of_any_bytes_comes_whole_or_not_at_all)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na\0b\n";
    static const replay_exchange exchanges[] = {{"GET /get-artifact?path=x", reply, sizeof reply - 1, 0, 0, 0},
                                                {"GET /get-artifact?path=x", reply, sizeof reply - 1, 0, 0, 0}};
    replay_server *server = replay_start(exchanges, 2);
    mlf_client *client = client_of(server);
    mlf_error error = MLF_ERROR_INIT;
    char *bytes = NULL;
    size_t length = 0;
    cr_expect_eq(mlf_request(&bytes, client, "GET", "/get-artifact?path=x", NULL, &error), MLF_E_REPLY);
    cr_expect(strstr(error.message, "a NUL at byte 1 of 4") && !bytes, "%s", error.message);
    cr_expect_eq(mlf_request_bytes(&bytes, &length, client, "GET", "/get-artifact?path=x", NULL, 0, NULL), MLF_OK);
    cr_expect(length == 4 && !memcmp(bytes, "a\0b\n", 5));
    mlf_free(bytes);
    mlf_client_free(client);
    replay_stop(server);
}

Test(nouns, a_call_by_name_knows_its_fields)
{
    replay_server *server = replay_start(NULL, 0);
    mlf_client *client = client_of(server);
    mlf_object *arguments = mlf_object_new();
    mlf_error error = MLF_ERROR_INIT;
    cr_expect_eq(mlf_call(NULL, client, "runs_gte", NULL, &error), MLF_E_ARGUMENT);
    mlf_object_set_string(arguments, "run_di", "x");
    mlf_object_set_string(arguments, "run_id", "x");
    error = (mlf_error)MLF_ERROR_INIT;
    cr_expect_eq(mlf_call(NULL, client, "runs_get", arguments, &error), MLF_E_ARGUMENT);
    cr_expect(strstr(error.message, "\"run_di\" is not known"), "%s", error.message);
    error = (mlf_error)MLF_ERROR_INIT;
    mlf_object_set_string(arguments, "model_id", "..");
    cr_expect_eq(mlf_call(NULL, client, "logged_models_get", arguments, &error), MLF_E_ARGUMENT);
    cr_expect_eq(replay_connections(server), 0);
    mlf_object_free(arguments);
    mlf_client_free(client);
    replay_stop(server);
}
