/* transport.c and attempt.c against a server that misbehaves on purpose. */
#include "clock.h"
#include "replay_client.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS(status) "HTTP/1.1 " status "\r\nContent-Length: 0\r\n\r\n"

TestSuite(transport, .init = replay_unset_environment, .timeout = 60);

Test(transport, a_post_says_its_length_and_nothing_needless)
{
    const replay_exchange rows[] = {{"POST /api/2.0/mlflow/runs/create {\"a\":1}", "{\"b\": 2}", 0, 0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 0);
    json_t *arguments = json_pack("{s:i}", "a", 1), *reply;
    cr_expect_eq(mlf_json_call(&reply, client, "POST", "/api/2.0/mlflow/runs/create", arguments, 0, NULL), MLF_OK);
    cr_expect_eq(json_integer_value(json_object_get(reply, "b")), 2);
    cr_expect_str_empty(replay_complaint(server));
    char expected[400];
    snprintf(expected, sizeof expected,
             "POST /api/2.0/mlflow/runs/create HTTP/1.1\r\nHost: %s\r\nUser-Agent: mlflow-client-c/" MLF_VERSION
             "\r\nAccept: */*\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
             replay_uri(server) + 7);
    cr_expect_str_eq(replay_request(server, 0), expected);
    json_decref(arguments);
    json_decref(reply);
    mlf_client_free(client);
    replay_stop(server);
}

Test(transport, an_empty_post_has_length_zero)
{
    const replay_exchange rows[] = {{"POST /x", "{}", 0, 0, 0, 0}, {"DELETE /x", "{}", 0, 0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 0);
    mlf_http_call post = {.method = "POST", .url = "/x"}, delete = {.method = "DELETE", .url = "/x"};
    cr_expect_eq(mlf_http(client, &post, NULL, NULL), MLF_OK);
    cr_expect_eq(mlf_http(client, &delete, NULL, NULL), MLF_OK);
    cr_expect(strstr(replay_request(server, 0), "Content-Length: 0\r\n"));
    cr_expect_null(strstr(replay_request(server, 0), "Content-Type"));
    cr_expect_str_empty(replay_complaint(server));
    mlf_client_free(client);
    replay_stop(server);
}

Test(transport, calls_share_a_connection)
{
    const replay_exchange rows[] = {{NULL, "{}", 0, 0, 0, 0}, {NULL, "{}", 0, 0, 0, 0}, {NULL, "{}", 0, 0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 0);
    for (size_t i = 0; i < COUNT(rows); i++)
        cr_expect_eq(replay_get(client, NULL, NULL, 0), MLF_OK);
    cr_expect_eq(replay_connections(server), 1);
    mlf_client_free(client);
    replay_stop(server);
}

Test(transport, a_connection_idle_for_over_four_seconds_is_not_used_again)
{
    const replay_exchange rows[] = {{NULL, "{}", 0, 0, 0, 0}, {NULL, "{}", 0, 0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 0);
    cr_expect_eq(replay_get(client, NULL, NULL, 0), MLF_OK);
    usleep(4200000);
    cr_expect_eq(replay_get(client, NULL, NULL, 0), MLF_OK);
    cr_expect_eq(replay_connections(server), 2);
    mlf_client_free(client);
    replay_stop(server);
}

Test(transport, a_kept_connection_that_died_is_replaced_without_counting_as_a_retry)
{
    const replay_exchange rows[] = {{NULL, "{}", 0, 1, 0, 0}, {NULL, "{}", 0, 0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 0);
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    cr_expect_eq(replay_get(client, &reply, NULL, 0), MLF_OK);
    cr_expect_eq(replay_get(client, &reply, NULL, 0), MLF_OK);
    cr_expect_eq(reply.attempts, 1);
    mlf_http_reply_free(&reply);
    mlf_client_free(client);
    replay_stop(server);
}

Test(transport, the_wait_for_a_delayed_acknowledgement_does_not_happen)
{
    replay_exchange rows[30];
    for (size_t i = 0; i < COUNT(rows); i++)
        rows[i] = (replay_exchange){NULL, "{}", 0, 0, 0, 0};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 0);
    replay_get(client, NULL, NULL, 0);
    int64_t start = sv_monotonic_ns();
    for (size_t i = 1; i < COUNT(rows); i++)
        cr_expect_eq(replay_get(client, NULL, NULL, 0), MLF_OK);
    cr_expect_lt((sv_monotonic_ns() - start) / 1000000, 29 * 30, "far below 40 ms a call");
    mlf_client_free(client);
    replay_stop(server);
}

/* ---- retries ---- */

Test(transport, transient_answers_are_tried_again_and_leave_nothing_in_the_reply)
{
    const replay_exchange rows[] = {{NULL, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", 0, 0, 0, 0},
                                    {NULL, STATUS("500 No"), 0, 0, 0, 0},
                                    {NULL, NULL, 0, 0, 0, 0},
                                    {NULL, "{\"a\": 1}", 0, 0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 5);
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    cr_expect_eq(replay_get(client, &reply, NULL, 0), MLF_OK);
    cr_expect_str_eq(reply.body.data, "{\"a\": 1}");
    cr_expect_geq(reply.attempts, 3);
    mlf_http_reply_free(&reply);
    mlf_client_free(client);
    replay_stop(server);
}

Test(transport, after_the_last_retry_status_and_body_are_kept)
{
    static const char busy[] = "HTTP/1.1 503 Busy\r\nContent-Length: 65\r\n\r\n{\"error_code\": "
                               "\"TEMPORARILY_UNAVAILABLE\", \"message\": \"try later\"}";
    const replay_exchange rows[] = {{NULL, busy, 0, 0, 0, 0}, {NULL, busy, 0, 0, 0, 0}, {NULL, busy, 0, 0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 2);
    mlf_error error = MLF_ERROR_INIT;
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    cr_expect_eq(replay_get(client, &reply, &error, 0), MLF_E_SERVER);
    cr_expect_eq(error.http_status, 503);
    cr_expect_str_eq(error.error_code, "TEMPORARILY_UNAVAILABLE");
    cr_expect(strstr(error.message, "try later"));
    cr_expect(mlf_error_is_retriable(&error));
    cr_expect_eq(reply.attempts, 3);
    mlf_http_reply_free(&reply);
    mlf_client_free(client);
    replay_stop(server);
}

Test(transport, retry_after_replaces_the_wait)
{
    const replay_exchange rows[] = {
        {NULL, "HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", 0, 0, 0, 0},
        {NULL, "{}", 0, 0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 2);
    int64_t start = sv_monotonic_ns();
    cr_expect_eq(replay_get(client, NULL, NULL, 0), MLF_OK);
    cr_expect_geq((sv_monotonic_ns() - start) / 1000000, 990);
    mlf_client_free(client);
    replay_stop(server);
}

Test(transport, a_wait_beyond_the_deadline_is_not_begun)
{
    const replay_exchange rows[] = {
        {NULL, "HTTP/1.1 429 Slow\r\nRetry-After: 100\r\nContent-Length: 0\r\n\r\n", 0, 0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 2);
    mlf_http_call call = {.method = "GET", .url = "/x", .deadline_ms = 2000};
    mlf_error error = MLF_ERROR_INIT;
    int64_t start = sv_monotonic_ns();
    cr_expect_eq(mlf_http(client, &call, NULL, &error), MLF_E_SERVER);
    cr_expect(mlf_error_is_retriable(&error));
    cr_expect_lt((sv_monotonic_ns() - start) / 1000000, 1500);
    mlf_client_free(client);
    replay_stop(server);
}

Test(transport, what_must_go_out_once_is_not_sent_again_when_the_server_may_have_acted)
{
    static const replay_exchange rows[] = {{NULL, NULL, 0, 0, 0, 0},
                                           {NULL, STATUS("502 Bad"), 0, 0, 0, 0},
                                           {NULL, STATUS("503 Busy"), 0, 0, 0, 0},
                                           {NULL, "{}", 0, 0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 5);
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    mlf_error error = MLF_ERROR_INIT;
    cr_expect_eq(replay_get(client, &reply, &error, MLF_HTTP_ONCE), MLF_E_CONNECT);
    cr_expect_eq(reply.attempts, 1);
    cr_expect_eq(reply.ambiguous, 1);
    cr_expect_eq(replay_get(client, &reply, NULL, MLF_HTTP_ONCE), MLF_E_SERVER);
    cr_expect_eq(reply.attempts, 1);
    cr_expect_eq(reply.ambiguous, 1);
    cr_expect_eq(replay_get(client, &reply, NULL, MLF_HTTP_ONCE), MLF_OK, "503 says that nothing was done");
    cr_expect_eq(reply.attempts, 2);
    mlf_http_reply_free(&reply);
    mlf_client_free(client);
    replay_stop(server);
}

Test(transport, permanent_answers_that_look_transient_are_not_tried_again)
{
    const replay_exchange rows[] = {
        {NULL,
         "HTTP/1.1 500 E\r\nContent-Length: 51\r\n\r\n{\"error_code\": \"FEATURE_DISABLED\", \"message\": \"no\"}", 0,
         0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 5);
    mlf_error error = MLF_ERROR_INIT;
    cr_expect_eq(replay_get(client, NULL, &error, 0), MLF_E_UNSUPPORTED);
    cr_expect_not(mlf_error_is_retriable(&error));
    cr_expect_eq(replay_served(server), 1);
    mlf_client_free(client);
    replay_stop(server);
}

Test(transport, nobody_there)
{
    replay_server *server = replay_start(NULL, 0);
    mlf_client *client = replay_client(server, 1);
    mlf_error error = MLF_ERROR_INIT;
    replay_stop(server);
    cr_expect_eq(replay_get(client, NULL, &error, 0), MLF_E_CONNECT);
    cr_expect(mlf_error_is_retriable(&error));
    mlf_client_free(client);
}

Test(transport, a_server_that_never_answers_is_left)
{
    const replay_exchange rows[] = {{NULL, "{}", 0, 0, 1500, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 0);
    mlf_http_call call = {.method = "GET", .url = "/x", .timeout_ms = 300};
    mlf_error error = MLF_ERROR_INIT;
    int64_t start = sv_monotonic_ns();
    cr_expect_eq(mlf_http(client, &call, NULL, &error), MLF_E_CONNECT);
    cr_expect_lt((sv_monotonic_ns() - start) / 1000000, 1200);
    mlf_client_free(client);
    replay_stop(server);
}

static atomic_int cancelled;

static void *cancel_soon(void *context)
{
    (void)context;
    usleep(200000);
    cancelled = 1;
    return NULL;
}

Test(transport, a_wait_can_be_cancelled)
{
    const replay_exchange rows[] = {
        {NULL, "HTTP/1.1 429 Slow\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n", 0, 0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 5);
    mlf_http_call call = {.method = "GET", .url = "/x", .cancel = &cancelled};
    pthread_t thread;
    int64_t start = sv_monotonic_ns();
    pthread_create(&thread, NULL, cancel_soon, NULL);
    cr_expect_eq(mlf_http(client, &call, NULL, NULL), MLF_E_STATE);
    cr_expect_lt((sv_monotonic_ns() - start) / 1000000, 2000);
    pthread_join(thread, NULL);
    mlf_client_free(client);
    replay_stop(server);
}

/* ---- bad answers ---- */

static const struct {
    const char *what, *reply;
    int code;
} bad[] = {
    {"a page instead of JSON",
     "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 30\r\n\r\n<html><body>log in</body></html",
     MLF_E_REPLY},
    {"less than was announced", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\"", MLF_E_CONNECT},
    {"JSON that breaks off", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{\"a\":", MLF_E_REPLY},
    {"2 GiB announced", "HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n{", MLF_E_REPLY},
    {"no HTTP at all", "SSH-2.0-OpenSSH_9.2\r\n", MLF_E_REPLY},
    {"a list", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", MLF_E_REPLY},
    {"a broken chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", MLF_E_CONNECT},
    {"not logged in", "HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno", MLF_E_AUTH},
    {"not allowed", "HTTP/1.1 403 No\r\nContent-Length: 17\r\n\r\nPermission denied", MLF_E_AUTH},
    {"an unknown endpoint", "HTTP/1.1 404 No\r\nContent-Length: 6\r\n\r\n<html>", MLF_E_UNSUPPORTED},
    {"sent elsewhere with another method",
     "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", MLF_E_SERVER},
};

Test(transport, bad_answers_get_a_clear_code_and_text)
{
    for (size_t i = 0; i < COUNT(bad); i++) {
        const replay_exchange rows[] = {{NULL, bad[i].reply, 0, 1, 0, 0}};
        replay_server *server = replay_start(rows, COUNT(rows));
        mlf_client *client = replay_client(server, 0);
        mlf_error error = MLF_ERROR_INIT;
        json_t *reply, *arguments = json_object();
        int code = mlf_json_call(&reply, client, "POST", "/x", arguments, 0, &error);
        cr_expect_eq(code, bad[i].code, "%s: %s: %s", bad[i].what, mlf_code_name(code), error.message);
        cr_expect_eq(error.code, bad[i].code);
        cr_expect(error.message[0], "%s", bad[i].what);
        cr_expect_null(reply);
        json_decref(arguments);
        mlf_client_free(client);
        replay_stop(server);
    }
}

Test(transport, an_endless_answer_is_cut_at_the_ceiling)
{
    size_t size = 3 << 20;
    char *endless = malloc(size);
    memset(endless, 'x', size);
    memcpy(endless, "HTTP/1.1 200 OK\r\n\r\n", 19);
    const replay_exchange rows[] = {{NULL, endless, size, 1, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 0);
    mlf_http_call call = {.method = "GET", .url = "/x", .max_reply_bytes = 1 << 20};
    mlf_error error = MLF_ERROR_INIT;
    cr_expect_eq(mlf_http(client, &call, NULL, &error), MLF_E_REPLY);
    cr_expect(strstr(error.message, "larger than 1048576 bytes"), "%s", error.message);
    mlf_client_free(client);
    replay_stop(server);
    free(endless);
}

/* ---- streams ---- */

typedef struct sink {
    char bytes[64];
    size_t used;
    int begun;
    int64_t offset, total;
} sink;

static int on_begin(void *context, int64_t offset, int64_t total)
{
    sink *s = context;
    s->used = 0;
    s->begun++;
    s->offset = offset;
    s->total = total;
    return 0;
}

static int on_write(void *context, const void *bytes, size_t size)
{
    sink *s = context;
    if (s->used + size > sizeof s->bytes) return -1;
    memcpy(s->bytes + s->used, bytes, size);
    s->used += size;
    return 0;
}

Test(transport, a_file_goes_up_again_from_its_start_after_a_failure)
{
    const replay_exchange rows[] = {{"PUT /f 3456", STATUS("503 Busy"), 0, 1, 0, 0},
                                    {"PUT /f 3456", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, 0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 2);
    char path[] = "/tmp/mlf-upload-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_eq(write(fd, "0123456789", 10), 10);
    mlf_http_call call = {.method = "PUT",
                          .url = "/f",
                          .body_fd = fd,
                          .has_body_fd = 1,
                          .body_offset = 3,
                          .body_bytes = 4,
                          .flags = MLF_HTTP_STREAM};
    mlf_error error = MLF_ERROR_INIT;
    cr_expect_eq(mlf_http(client, &call, NULL, &error), MLF_OK, "%s", error.message);
    cr_expect_str_empty(replay_complaint(server), "%s", replay_complaint(server));
    cr_expect(strstr(replay_request(server, 1), "Content-Length: 4\r\n"));
    call.body_bytes = 100;
    cr_expect_eq(mlf_http(client, &call, NULL, &error), MLF_E_IO, "a file that is shorter than said");
    close(fd);
    unlink(path);
    mlf_client_free(client);
    replay_stop(server);
}

Test(transport, a_download_is_begun_anew_and_an_error_page_does_not_land_in_it)
{
    const replay_exchange rows[] = {
        {NULL, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", 0, 0, 0, 0},
        {NULL, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal", 0, 1, 0, 0},
        {NULL, "HTTP/1.1 206 Part\r\nContent-Range: bytes 3-8/9\r\nContent-Length: 6\r\n\r\nf more", 0, 0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 3);
    sink s = {0};
    mlf_http_call call = {.method = "GET",
                          .url = "/f",
                          .write = on_write,
                          .begin = on_begin,
                          .write_context = &s,
                          .flags = MLF_HTTP_STREAM};
    cr_expect_eq(mlf_http(client, &call, NULL, NULL), MLF_OK);
    cr_expect_eq(s.begun, 2);
    cr_expect_eq(s.offset, 3);
    cr_expect_eq(s.total, 9);
    cr_expect(s.used == 6 && !memcmp(s.bytes, "f more", 6));
    mlf_client_free(client);
    replay_stop(server);
}

/* ---- processes and threads ---- */

Test(transport, a_forked_child_is_told_to_make_its_own_client)
{
    const replay_exchange rows[] = {{NULL, "{}", 0, 0, 0, 0}, {NULL, "{}", 0, 0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 0);
    replay_get(client, NULL, NULL, 0);
    pid_t child = fork();
    if (!child) {
        int code = replay_get(client, NULL, NULL, 0);
        mlf_client_free(client);
        _exit(code == MLF_E_STATE ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    cr_expect_eq(status, 0);
    cr_expect_eq(replay_get(client, NULL, NULL, 0), MLF_OK);
    mlf_client_free(client);
    replay_stop(server);
}

static void *many_calls(void *context)
{
    long failed = 0;
    for (int i = 0; i < 20; i++)
        failed += replay_get(context, NULL, NULL, 0) != MLF_OK;
    return (void *)failed;
}

Test(transport, many_threads_use_one_client)
{
    static replay_exchange rows[8 * 20];
    for (size_t i = 0; i < COUNT(rows); i++)
        rows[i] = (replay_exchange){NULL, "{}", 0, 0, 0, 0};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 0);
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, many_calls, client);
    for (size_t i = 0; i < 8; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        cr_expect_null(failed);
    }
    cr_expect_leq(replay_connections(server), 8);
    mlf_client_free(client);
    replay_stop(server);
}

/* As a TLS backend does that writes to a connection which the server has closed. */
static int write_to_nobody(void *context, int64_t sent_bytes, int64_t received_bytes)
{
    return write(*(int *)context, "x", 1) == 1;
}

Test(transport, a_closed_connection_does_not_kill_the_program)
{
    const replay_exchange rows[] = {{NULL, "{}", 0, 0, 0, 0}};
    replay_server *server = replay_start(rows, COUNT(rows));
    mlf_client *client = replay_client(server, 0);
    int ends[2];
    sigset_t pending;
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    signal(SIGPIPE, SIG_DFL);
    mlf_http_call call = {.method = "GET", .url = "/x", .progress = write_to_nobody, .progress_context = &ends[1]};
    cr_expect_eq(mlf_http(client, &call, NULL, NULL), MLF_OK);
    sigpending(&pending);
    cr_expect_not(sigismember(&pending, SIGPIPE));
    pthread_sigmask(SIG_SETMASK, NULL, &pending);
    cr_expect_not(sigismember(&pending, SIGPIPE));
    mlf_client_free(client);
    replay_stop(server);
    close(ends[1]);
}

Test(transport, offline_nothing_is_sent)
{
    replay_server *server = replay_start(NULL, 0);
    mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
    mlf_client *client;
    options.tracking_uri = replay_uri(server);
    options.offline = 1;
    cr_assert_eq(mlf_client_new(&client, &options, NULL), MLF_OK);
    cr_expect_eq(replay_get(client, NULL, NULL, 0), MLF_E_STATE);
    cr_expect_eq(replay_connections(server), 0);
    mlf_client_free(client);
    replay_stop(server);
}
