#include "replay_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_REQUEST = 4 << 20, MAX_KEPT = 64 };

struct replay_server {
    const replay_exchange *exchanges;
    size_t n_exchanges;
    int listener;
    char uri[64];
    pthread_t thread;
    pthread_mutex_t mutex;
    atomic_int stopping;
    atomic_size_t next, connections;
    char *requests[MAX_KEPT];
    char complaint[2000];
};

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

/* The head and body of one request, NUL-terminated (free); NULL when the connection ended. */
static char *read_request(replay_server *s, int fd, size_t *head_size)
{
    size_t used = 0, wanted = SIZE_MAX;
    char *text = malloc(MAX_REQUEST);
    while (used < wanted && used + 1 < MAX_REQUEST && !s->stopping) {
        struct pollfd ready = {fd, POLLIN, 0};
        if (poll(&ready, 1, 20) <= 0) continue;
        ssize_t got = recv(fd, text + used, MAX_REQUEST - 1 - used, 0);
        if (got <= 0) break;
        used += (size_t)got;
        text[used] = '\0';
        char *end = wanted == SIZE_MAX ? strstr(text, "\r\n\r\n") : NULL;
        if (end) {
            const char *length = strcasestr(text, "\r\ncontent-length:");
            *head_size = (size_t)(end + 4 - text);
            wanted = *head_size + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
        }
    }
    if (wanted != SIZE_MAX && used >= wanted) return text;
    free(text);
    return NULL;
}

static void compare(replay_server *s, size_t i, const char *request, size_t head_size)
{
    const char *expect = i < s->n_exchanges ? s->exchanges[i].expect : "nothing more";
    char sent[8192];
    int line = (int)(strstr(request, " HTTP/1.1\r\n") ? strstr(request, " HTTP/1.1\r\n") - request : 0);
    if (!expect) return;
    snprintf(sent, sizeof sent, "%.*s%s%s", line, request, request[head_size] ? " " : "", request + head_size);
    if (strcmp(sent, expect) != 0 && !s->complaint[0])
        snprintf(s->complaint, sizeof s->complaint, "request %zu:\nexpected %.900s\ngot      %.900s", i, expect, sent);
}

static void send_all(int fd, const char *bytes, size_t size)
{
    while (size) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent <= 0) return;
        bytes += sent;
        size -= (size_t)sent;
    }
}

/* 1 when the connection stays. */
static int answer(int fd, const replay_exchange *exchange)
{
    char head[128];
    const char *reply = exchange->reply;
    if (exchange->wait_ms) pause_ms(exchange->wait_ms);
    if (!reply) return 0;
    size_t size = exchange->reply_size ? exchange->reply_size : strlen(reply);
    if (reply[0] == '{') {
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                 size);
        send_all(fd, head, strlen(head));
        if (exchange->linger_ms) pause_ms(exchange->linger_ms);
    }
    send_all(fd, reply, size);
    return !exchange->close_after;
}

static void serve(replay_server *s, int fd)
{
    for (int stays = 1; stays && !s->stopping;) {
        size_t head_size = 0, i;
        char *request = read_request(s, fd, &head_size);
        if (!request) break;
        pthread_mutex_lock(&s->mutex);
        i = s->next++;
        compare(s, i, request, head_size);
        if (i < MAX_KEPT)
            s->requests[i] = request;
        else
            free(request);
        pthread_mutex_unlock(&s->mutex);
        stays = i < s->n_exchanges && answer(fd, &s->exchanges[i]);
    }
    shutdown(fd, SHUT_RDWR);
    close(fd);
}

typedef struct visit {
    replay_server *server;
    int fd;
} visit;

static void *one_connection(void *context)
{
    visit v = *(visit *)context;
    free(context);
    serve(v.server, v.fd);
    return NULL;
}

static void *work(void *context)
{
    replay_server *s = context;
    pthread_t visitors[256];
    size_t n = 0;
    while (!s->stopping) {
        struct pollfd ready = {s->listener, POLLIN, 0};
        if (poll(&ready, 1, 20) <= 0) continue;
        int fd = accept(s->listener, NULL, NULL), on = 1;
        if (fd < 0) continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        s->connections++;
        visit *v = malloc(sizeof *v);
        *v = (visit){s, fd};
        if (n < 256 && !pthread_create(&visitors[n], NULL, one_connection, v)) n++;
    }
    while (n)
        pthread_join(visitors[--n], NULL);
    return NULL;
}

replay_server *replay_start(const replay_exchange *exchanges, size_t n_exchanges)
{
    replay_server *s = calloc(1, sizeof *s);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    s->exchanges = exchanges;
    s->n_exchanges = n_exchanges;
    pthread_mutex_init(&s->mutex, NULL);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(s->listener, (struct sockaddr *)&address, size) || listen(s->listener, 64) ||
        getsockname(s->listener, (struct sockaddr *)&address, &size))
        abort();
    snprintf(s->uri, sizeof s->uri, "http://127.0.0.1:%d", ntohs(address.sin_port));
    if (pthread_create(&s->thread, NULL, work, s)) abort();
    return s;
}

const char *replay_uri(const replay_server *server)
{
    return server->uri;
}

size_t replay_connections(const replay_server *server)
{
    return server->connections;
}

size_t replay_served(const replay_server *server)
{
    return server->next;
}

const char *replay_request(const replay_server *server, size_t i)
{
    return i < MAX_KEPT && server->requests[i] ? server->requests[i] : "";
}

const char *replay_complaint(const replay_server *server)
{
    return server->complaint;
}

void replay_stop(replay_server *server)
{
    server->stopping = 1;
    pthread_join(server->thread, NULL);
    close(server->listener);
    for (size_t i = 0; i < MAX_KEPT; i++)
        free(server->requests[i]);
    pthread_mutex_destroy(&server->mutex);
    free(server);
}
