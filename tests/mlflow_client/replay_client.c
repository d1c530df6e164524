#include "replay_client.h"

#include <criterion/criterion.h>
#include <stdlib.h>

mlf_client *replay_client(const replay_server *server, int max_retries)
{
    mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
    mlf_client *client;
    mlf_error error = MLF_ERROR_INIT;
    setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0", 1);
    setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0", 1);
    options.tracking_uri = replay_uri(server);
    options.max_retries = max_retries;
    options.timeout_ms = 3000;
    cr_assert_eq(mlf_client_new(&client, &options, &error), MLF_OK, "%s", error.message);
    return client;
}

int replay_get(mlf_client *client, mlf_http_reply *reply, mlf_error *error, mlf_http_flags flags)
{
    mlf_http_call call = {.method = "GET", .url = "/x", .flags = flags};
    return mlf_http(client, &call, reply, error);
}

void replay_unset_environment(void)
{
    static const char *const names[] = {"MLFLOW_TRACKING_URI",
                                        "MLFLOW_TRACKING_USERNAME",
                                        "MLFLOW_TRACKING_PASSWORD",
                                        "MLFLOW_TRACKING_TOKEN",
                                        "MLFLOW_WORKSPACE",
                                        "MLFLOW_OFFLINE",
                                        "HTTP_PROXY",
                                        "http_proxy"};
    for (size_t i = 0; i < COUNT(names); i++)
        unsetenv(names[i]);
    setenv("HOME", "/nonexistent", 1);
}
