/* Who a client says it is, to whom, and what it is made from. */
#include "replay_client.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS(status) "HTTP/1.1 " status "\r\nContent-Length: 0\r\n\r\n"

TestSuite(credentials, .init = replay_unset_environment, .timeout = 60);

/* ---- credentials, redirects ---- */

Test(credentials, credentials_and_workspace_go_to_the_server_alone)
{
    const replay_exchange rows[] = {{NULL, "HTTP/1.1 307 T\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n", 0, 0, 0, 0},
                                    {"GET /y", "{}", 0, 0, 0, 0}};
    const replay_exchange elsewhere[] = {{NULL, "{}", 0, 0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows)), *other = replay_start(elsewhere, COUNT(elsewhere));
    setenv("MLFLOW_TRACKING_USERNAME", "Aladdin", 1);
    setenv("MLFLOW_TRACKING_PASSWORD", "open sesame", 1);
    setenv("MLFLOW_TRACKING_TOKEN", "unused", 1);
    setenv("MLFLOW_WORKSPACE", "team-a", 1);
    mlf_client *client = replay_client(server, 0);
    cr_expect_eq(replay_get(client, NULL, NULL, 0), MLF_OK);
    for (size_t i = 0; i < 2; i++) {
        cr_expect(strstr(replay_request(server, i), "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"));
        cr_expect(strstr(replay_request(server, i), "X-MLFLOW-WORKSPACE: team-a\r\n"));
    }
    char url[100];
    snprintf(url, sizeof url, "%s/x", replay_uri(other));
    mlf_http_call call = {.method = "GET", .url = url};
    cr_expect_eq(mlf_http(client, &call, NULL, NULL), MLF_OK);
    cr_expect_null(strstr(replay_request(other, 0), "Authorization"));
    cr_expect_null(strstr(replay_request(other, 0), "WORKSPACE"));
    mlf_client_free(client);
    replay_stop(server);
    replay_stop(other);
}

Test(credentials, a_token_is_sent_as_bearer_and_user_info_wins_over_it)
{
    const replay_exchange rows[] = {{NULL, "{}", 0, 0, 0, 0}, {NULL, "{}", 0, 0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    setenv("MLFLOW_TRACKING_TOKEN", "abc", 1);
    mlf_client *client = replay_client(server, 0);
    replay_get(client, NULL, NULL, 0);
    cr_expect(strstr(replay_request(server, 0), "Authorization: Bearer abc\r\n"));
    mlf_client_free(client);
    char uri[100];
    mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
    snprintf(uri, sizeof uri, "http://Aladdin:open%%20sesame@%s", replay_uri(server) + 7);
    options.tracking_uri = uri;
    cr_assert_eq(mlf_client_new(&client, &options, NULL), MLF_OK);
    cr_expect_str_eq(mlf_client_tracking_uri(client), replay_uri(server), "the address that is shown has no password");
    replay_get(client, NULL, NULL, 0);
    cr_expect(strstr(replay_request(server, 1), "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"));
    mlf_client_free(client);
    replay_stop(server);
}

Test(credentials, a_redirect_to_another_server_loses_the_credentials)
{
    const replay_exchange elsewhere[] = {{"GET /y", "{}", 0, 0, 0, 0}};
    replay_server *other = replay_start(elsewhere, COUNT(elsewhere));
    char redirect[200];
    snprintf(redirect, sizeof redirect, "HTTP/1.1 302 Found\r\nLocation: %s/y\r\nContent-Length: 0\r\n\r\n",
             replay_uri(other));
    const replay_exchange rows[] = {{NULL, redirect, 0, 0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    setenv("MLFLOW_TRACKING_TOKEN", "abc", 1);
    mlf_client *client = replay_client(server, 0);
    cr_expect_eq(replay_get(client, NULL, NULL, 0), MLF_OK);
    cr_expect(strstr(replay_request(server, 0), "Bearer abc"));
    cr_expect_null(strstr(replay_request(other, 0), "Bearer"));
    mlf_client_free(client);
    replay_stop(server);
    replay_stop(other);
}

/* ---- what a client is made from ---- */

static const struct {
    const char *name, *value, *says;
} settings[] = {
    {"MLFLOW_TRACKING_URI", "sqlite:///mlflow.db", "http://HOST:PORT"},
    {"MLFLOW_TRACKING_URI", "http://", "http://HOST:PORT"},
    {"MLFLOW_TRACKING_URI", "http://host/a b", "blanks"},
    {"MLFLOW_HTTP_REQUEST_TIMEOUT", "soon", "MLFLOW_HTTP_REQUEST_TIMEOUT"},
    {"MLFLOW_HTTP_REQUEST_MAX_RETRIES", "-1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"},
    {"MLFLOW_TRACKING_INSECURE_TLS", "maybe", "true or false"},
    {"MLFLOW_WORKSPACE", "Team A", "workspace"},
};

Test(credentials, bad_settings_are_named)
{
    for (size_t i = 0; i < COUNT(settings); i++) {
        mlf_client *client;
        mlf_error error = MLF_ERROR_INIT;
        setenv(settings[i].name, settings[i].value, 1);
        cr_expect_eq(mlf_client_new(&client, NULL, &error), MLF_E_ARGUMENT, "%s=%s", settings[i].name,
                     settings[i].value);
        cr_expect(strstr(error.message, settings[i].says), "%s", error.message);
        cr_expect_null(client);
        unsetenv(settings[i].name);
    }
}

Test(credentials, credentials_come_from_the_file_of_mlflow)
{
    char home[] = "/tmp/mlf-home-XXXXXX", path[100];
    mlf_client *client;
    cr_assert(mkdtemp(home));
    snprintf(path, sizeof path, "mkdir %s/.mlflow", home);
    cr_assert_eq(system(path), 0);
    snprintf(path, sizeof path, "%s/.mlflow/credentials", home);
    FILE *file = fopen(path, "w");
    fputs("[other]\nmlflow_tracking_username = no\n[mlflow]\n# comment\nmlflow_tracking_username = "
          "Aladdin\nmlflow_tracking_password=open sesame \n",
          file);
    fclose(file);
    setenv("HOME", home, 1);
    cr_assert_eq(mlf_client_new(&client, NULL, NULL), MLF_OK);
    cr_expect_str_eq(client->settings.username, "Aladdin");
    cr_expect_str_eq(client->settings.password, "open sesame");
    mlf_client_free(client);
    snprintf(path, sizeof path, "rm -r %s", home);
    cr_expect_eq(system(path), 0);
}
