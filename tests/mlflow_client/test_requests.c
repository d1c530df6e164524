/* Calls that take several requests, and what a run sends of itself: every request with its head, byte for byte, times and keys made by the client masked. */
#include "file.h"
#include "mlflow_client.h"
#include "replay_client.h" /* COUNT */
#include "replay_server.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define API2 "/api/2.0/mlflow/"
#define MISSING "HTTP/1.1 404 NOT FOUND\r\nContent-Type: application/json\r\nContent-Length: 55\r\n\r\n{\"error_code\": \"RESOURCE_DOES_NOT_EXIST\", \"message\":\"\"}"

static char folder[] = "/tmp/requests-XXXXXX";

static void prepare(void)
{
    cr_assert(mkdtemp(folder) && !chdir(folder)); /* no git here */
    unsetenv("MLFLOW_TRACKING_URI");
    setenv("HOME", folder, 1);
    setenv("USER", "ann", 1);
    setenv("LOGNAME", "ann", 1);
}

static void tidy(void)
{
    sv_folder_remove(folder, NULL);
}

TestSuite(requests, .init = prepare, .fini = tidy, .timeout = 120);

/* T for milliseconds since the epoch, K for a key, PORT for the port of the server, in place. */
static void mask(char *text)
{
    char *to = text;
    for (const char *at = text; *at;) {
        size_t digits = strspn(at, "0123456789"), hex = strspn(at, "0123456789abcdef"), host = strlen("127.0.0.1:");
        int begins = at == text || !isalnum((unsigned char)at[-1]);
        const char *as = NULL;
        size_t length = hex;
        if (begins && hex == 32) {
            as = "K";
        } else if (begins && hex == 13 && digits == 13) {
            as = "T";
        } else if (!strncmp(at, "127.0.0.1:", host)) {
            as = "127.0.0.1:PORT";
            length = host + strspn(at + host, "0123456789");
        }
        if (as) {
            to = stpcpy(to, as);
            at += length;
        } else {
            *to++ = *at++;
        }
    }
    *to = '\0';
}

/* The whole request for "METHOD /path body"; its length is that of what was sent. */
static void whole(char *out, size_t size, const char *expect, size_t body_size)
{
    const char *path = strchr(expect, ' ') + 1, *body = strchr(path, ' ');
    int line = body ? (int)(body - expect) : (int)strlen(expect);
    int used = snprintf(out, size, "%.*s HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nUser-Agent: mlflow-client-c/%s\r\nAccept: */*\r\n", line, expect, mlf_version());
    if (body)
        snprintf(out + used, size - (size_t)used, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", body_size, body + 1);
    else
        snprintf(out + used, size - (size_t)used, "\r\n");
}

static void compare(const replay_server *server, const char *const *expect, size_t n)
{
    cr_expect_eq(replay_served(server), n);
    for (size_t i = 0; i < n; i++) {
        char sent[8192], wanted[8192];
        const char *body = strstr(replay_request(server, i), "\r\n\r\n");
        snprintf(sent, sizeof sent, "%s", replay_request(server, i));
        mask(sent);
        whole(wanted, sizeof wanted, expect[i], body ? strlen(body + 4) : 0);
        cr_expect_str_eq(sent, wanted, "request %zu:\nexpected %s\ngot      %s", i, wanted, sent);
    }
}

/* A client of the server's, which answers as told; ended by end(). */
static mlf_client *begin(replay_server **server, const replay_exchange *rows, size_t n)
{
    mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
    mlf_client *client;
    *server = replay_start(rows, n);
    options.tracking_uri = replay_uri(*server);
    cr_assert_eq(mlf_client_new(&client, &options, NULL), MLF_OK);
    return client;
}

static void end(mlf_client *client, replay_server *server, const char *const *expect, size_t n)
{
    mlf_client_free(client);
    compare(server, expect, n);
    replay_stop(server);
}

#define CREATED "{\"run\": {\"info\": {\"run_id\": \"r1\", \"experiment_id\": \"7\"}}}"

Test(requests, of_a_run_from_its_creation_to_its_end)
{
    static const replay_exchange rows[] = {{.reply = MISSING}, {.reply = "{\"experiment_id\": \"7\"}"}, {.reply = CREATED}, {.reply = "{}"},
                                            {.reply = "{}"},  {.reply = "{}"},                      {.reply = "{}"},   {.reply = "{}"}};
    static const char *const expect[] = {
        "GET " API2 "experiments/get-by-name?experiment_name=bank",
        "POST " API2 "experiments/create {\"name\":\"bank\"}",
        "POST " API2 "runs/create {\"experiment_id\":\"7\",\"start_time\":T,\"tags\":[{\"key\":\"mlflow.user\",\"value\":\"ann\"},{\"key\":\"mlflow.source.name\",\"value\":\"fit\"},"
        "{\"key\":\"mlflow.source.type\",\"value\":\"LOCAL\"},{\"key\":\"team\",\"value\":\"ri\\\"sk\"},{\"key\":\"mlflow.client.key\",\"value\":\"K\"}],\"run_name\":\"night\","
        "\"user_id\":\"ann\"}",
        "POST " API2 "runs/log-batch {\"run_id\":\"r1\",\"metrics\":[{\"key\":\"loss\",\"value\":\"NaN\",\"timestamp\":T,\"step\":-3}]}",
        "POST " API2 "runs/log-batch {\"run_id\":\"r1\",\"params\":[{\"key\":\"alpha\",\"value\":\"0.1\"}]}",
        "POST " API2 "runs/log-batch {\"run_id\":\"r1\",\"tags\":[{\"key\":\"checked\",\"value\":\"yes ü\"}]}",
        "POST " API2 "runs/log-inputs {\"run_id\":\"r1\",\"datasets\":[{\"tags\":[{\"key\":\"mlflow.data.context\",\"value\":\"training\"}],\"dataset\":{\"name\":\"bank\","
        "\"digest\":\"d1\",\"source_type\":\"local\",\"source\":\"{\\\"uri\\\": \\\"bank.csv\\\"}\"}}]}",
        "POST " API2 "runs/update {\"run_id\":\"r1\",\"status\":\"FINISHED\",\"end_time\":T}"};
    static const mlf_pair tags[] = {{"team", "ri\"sk"}};
    static const mlf_dataset data = {.name = "bank", .digest = "d1", .source_type = "local", .source = "{\"uri\": \"bank.csv\"}", .context = "training"};
    replay_server *server;
    mlf_client *client = begin(&server, rows, COUNT(rows));
    mlf_run_options options = MLF_RUN_OPTIONS_INIT;
    mlf_run *run;
    mlf_error error = MLF_ERROR_INIT;
    options.experiment = "bank";
    options.name = "night";
    options.tags = tags;
    options.n_tags = COUNT(tags);
    options.source_name = "fit";
    options.system_metrics = 0;
    cr_assert_eq(mlf_run_create(&run, client, &options, &error), MLF_OK, "%s", error.message);
    cr_expect_eq(mlf_run_log_metric(run, "loss", NAN, -3), MLF_OK);
    cr_expect_eq(mlf_flush(client, 10000, &error), MLF_OK, "%s", error.message); /* each in a batch of its own */
    cr_expect_eq(mlf_run_log_param(run, "alpha", "0.1", &error), MLF_OK, "%s", error.message);
    cr_expect_eq(mlf_flush(client, 10000, &error), MLF_OK, "%s", error.message);
    cr_expect_eq(mlf_run_set_tag(run, "checked", "yes ü", &error), MLF_OK, "%s", error.message);
    cr_expect_eq(mlf_flush(client, 10000, &error), MLF_OK, "%s", error.message);
    cr_expect_eq(mlf_run_log_input(run, &data, &error), MLF_OK, "%s", error.message);
    cr_expect_eq(mlf_run_end(run, MLF_FINISHED, &error), MLF_OK, "%s", error.message);
    end(client, server, expect, COUNT(expect));
}

Test(requests, of_a_prompt)
{
    static const replay_exchange rows[] = {
        {.reply = "{\"registered_model\": {\"name\": \"greet\"}}"},
        {.reply = "{\"model_version\": {\"version\": \"1\"}}"},
        {.reply = "{\"registered_model\": {\"tags\": [{\"key\": \"mlflow.prompt.is_prompt\", \"value\": \"true\"}]}}"},
        {.reply = "{}"}};
    static const char *const expect[] = {
        "POST " API2 "registered-models/create {\"name\":\"greet\",\"tags\":[{\"key\":\"mlflow.prompt.is_prompt\",\"value\":\"true\"}]}",
        "POST " API2 "model-versions/create {\"name\":\"greet\",\"source\":\"prompt-template\",\"description\":\"first\",\"tags\":[{\"key\":\"mlflow.prompt.is_prompt\",\"value\":\"true\"},"
        "{\"key\":\"mlflow.prompt.text\",\"value\":\"Hello {{name}}\"},{\"key\":\"mlflow.prompt.type\",\"value\":\"text\"}]}",
        "GET " API2 "registered-models/get?name=greet",
        "DELETE " API2 "registered-models/delete {\"name\":\"greet\"}"};
    replay_server *server;
    mlf_client *client = begin(&server, rows, COUNT(rows));
    char *version = NULL;
    mlf_error error = MLF_ERROR_INIT;
    cr_expect_eq(mlf_prompts_register(&version, client, "greet", "Hello {{name}}", "first", &error), MLF_OK, "%s", error.message);
    cr_expect_str_eq(version, "1");
    cr_expect_eq(mlf_prompts_delete(client, "greet", &error), MLF_OK, "%s", error.message);
    mlf_free(version);
    end(client, server, expect, COUNT(expect));
}

Test(requests, of_a_prompt_that_is_a_model)
{
    static const replay_exchange rows[] = {
        {.reply = "HTTP/1.1 400 BAD REQUEST\r\nContent-Type: application/json\r\nContent-Length: 55\r\n\r\n{\"error_code\": \"RESOURCE_ALREADY_EXISTS\", \"message\":\"\"}"},
        {.reply = "{\"registered_model\": {\"name\": \"bank\"}}"},
        {.reply = "{\"registered_model\": {\"name\": \"bank\"}}"}};
    static const char *const expect[] = {"POST " API2 "registered-models/create {\"name\":\"bank\",\"tags\":[{\"key\":\"mlflow.prompt.is_prompt\",\"value\":\"true\"}]}",
                                         "GET " API2 "registered-models/get?name=bank", "GET " API2 "registered-models/get?name=bank"};
    replay_server *server;
    mlf_client *client = begin(&server, rows, COUNT(rows));
    char *version = NULL;
    cr_expect_eq(mlf_prompts_register(&version, client, "bank", "Hello", NULL, NULL), MLF_E_EXISTS);
    cr_expect_eq(mlf_prompts_delete(client, "bank", NULL), MLF_E_EXISTS);
    end(client, server, expect, COUNT(expect));
}

Test(requests, of_an_experiment_that_must_be_there)
{
    static const replay_exchange rows[] = {{.reply = MISSING}, {.reply = "{\"experiment_id\": \"7\"}"}, {.reply = "{\"experiment\": {\"experiment_id\": \"8\"}}"}};
    static const char *const expect[] = {"GET " API2 "experiments/get-by-name?experiment_name=bank", "POST " API2 "experiments/create {\"name\":\"bank\"}",
                                         "GET " API2 "experiments/get-by-name?experiment_name=risk"};
    replay_server *server;
    mlf_client *client = begin(&server, rows, COUNT(rows));
    char *made = NULL, *found = NULL;
    mlf_error error = MLF_ERROR_INIT;
    cr_expect_eq(mlf_experiment_ensure(&made, client, "bank", &error), MLF_OK, "%s", error.message);
    cr_expect_eq(mlf_experiment_ensure(&found, client, "risk", &error), MLF_OK, "%s", error.message);
    cr_expect(made && found && !strcmp(made, "7") && !strcmp(found, "8"));
    mlf_free(made);
    mlf_free(found);
    end(client, server, expect, COUNT(expect));
}

Test(requests, of_a_model_registered)
{
    static const replay_exchange rows[] = {
        {.reply = CREATED},
        {.reply = "{\"model\": {\"info\": {\"model_id\": \"m-1\", \"artifact_uri\": \"mlflow-artifacts:/7/models/m-1/artifacts\"}}}"},
        {.reply = "{\"registered_model\": {\"name\": \"bank\"}}"},
        {.reply = "{\"model_version\": {\"version\": \"4\"}}"},
        {.reply = "{}"}};
    static const char *const expect[] = {
        "GET " API2 "runs/get?run_id=r1", "GET " API2 "logged-models/m-1", "POST " API2 "registered-models/create {\"name\":\"bank\"}",
        "POST " API2 "model-versions/create {\"name\":\"bank\",\"source\":\"models:/m-1\",\"run_id\":\"r1\",\"model_id\":\"m-1\",\"description\":\"what it is\","
        "\"tags\":[{\"key\":\"checked\",\"value\":\"yes\"},{\"key\":\"mlflow.client.key\",\"value\":\"K\"}]}",
        "POST " API2 "registered-models/alias {\"name\":\"bank\",\"alias\":\"champion\",\"version\":\"4\"}"};
    static const mlf_pair tags[] = {{"checked", "yes"}};
    replay_server *server;
    mlf_client *client = begin(&server, rows, COUNT(rows));
    mlf_run_options options = MLF_RUN_OPTIONS_INIT;
    mlf_register_options how = MLF_REGISTER_OPTIONS_INIT;
    mlf_run *run;
    char *version = NULL;
    mlf_error error = MLF_ERROR_INIT;
    options.run_id = "r1";
    options.keep_status = 1;
    options.system_metrics = 0;
    how.alias = "champion";
    how.description = "what it is";
    how.tags = tags;
    how.n_tags = COUNT(tags);
    cr_assert_eq(mlf_run_create(&run, client, &options, &error), MLF_OK, "%s", error.message);
    cr_expect_eq(mlf_flush(client, 10000, &error), MLF_OK, "%s", error.message);
    cr_assert_eq(mlf_model_register(&version, run, "models:/m-1", "bank", &how, &error), MLF_OK, "%s", error.message);
    cr_expect_str_eq(version, "4");
    mlf_free(version);
    mlf_run_free(run);
    end(client, server, expect, COUNT(expect));
}
