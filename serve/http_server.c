/* http_server.c: see http_server.h. The listening sockets, the threads and their loops; a connection's own steps are in http_connection.c. */
#include "http_connection.h"

#include "alloc.h"
#include "clock.h"
#include "log.h"
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 250
#define MAX_EVENTS 256
#define MAX_SPARE 64
#define DATE_SIZE 30

struct sv_http_server {
    sv_http_options options;
    int port;
    unsigned n_workers, n_started;
    sv_http_worker *workers;
    pthread_t *threads;
    atomic_int draining;
    atomic_uint connections;
};

const sv_http_options *sv_http_server_options(const sv_http_server *server)
{
    return &server->options;
}

int sv_http_server_port(const sv_http_server *server)
{
    return server->port;
}

unsigned sv_http_server_threads(const sv_http_server *server)
{
    return server->n_workers;
}

unsigned sv_http_server_connections(const sv_http_server *server)
{
    return atomic_load_explicit(&server->connections, memory_order_relaxed);
}

/* ---- listening ---- */

static int listen_on(const struct addrinfo *address, int *port, sv_error *error)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        return sv_error_set(error, SV_E_IO, "socket: %s", strerror(errno));
    struct sockaddr_storage bound;
    memcpy(&bound, address->ai_addr, address->ai_addrlen);
    if (address->ai_family == AF_INET6)
        ((struct sockaddr_in6 *)&bound)->sin6_port = htons((uint16_t)*port);
    else
        ((struct sockaddr_in *)&bound)->sin_port = htons((uint16_t)*port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&bound, address->ai_addrlen) != 0 || listen(fd, 1024) != 0) {
        int reason = errno;
        close(fd);
        return sv_error_set(error, SV_E_IO, "port %d: cannot listen: %s", *port, strerror(reason));
    }
    socklen_t size = sizeof bound;
    getsockname(fd, (struct sockaddr *)&bound, &size);
    *port = ntohs(address->ai_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port : ((struct sockaddr_in *)&bound)->sin_port);
    return fd;
}

/* SO_REUSEPORT would let a second server of the same user share the port unnoticed: a first bind without it finds that out. */
static int check_port_is_free(const struct addrinfo *address, int port, sv_error *error)
{
    if (port == 0)
        return 0;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, code = 0;
    struct sockaddr_storage bound;
    memcpy(&bound, address->ai_addr, address->ai_addrlen);
    ((struct sockaddr_in *)&bound)->sin_port = htons((uint16_t)port); /* at the same place for both families */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&bound, address->ai_addrlen) != 0) {
        code = sv_error_set(error, SV_E_IO, "port %d: cannot listen: %s", port, strerror(errno));
        sv_error_hint(error, "another program has this port; --port 0 takes a free one");
    }
    if (fd >= 0)
        close(fd);
    return code;
}

static void watch(int epoll_fd, int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int open_worker(sv_http_server *server, unsigned index, const struct addrinfo *address, sv_error *error)
{
    sv_http_worker *worker = &server->workers[index];
    worker->server = server;
    worker->index = index;
    worker->reply.body.max = server->options.max_reply_bytes;
    worker->scratch = sv_malloc(SV_SCRATCH_BYTES);
    worker->listen_fd = listen_on(address, &server->port, error);
    if (worker->listen_fd < 0)
        return worker->listen_fd;
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!worker->scratch || worker->epoll_fd < 0 || worker->wake_fd < 0)
        return sv_error_set(error, SV_E_MEMORY, "server: no memory or no file descriptors for thread %u", index);
    watch(worker->epoll_fd, worker->listen_fd, &worker->listen_fd);
    watch(worker->epoll_fd, worker->wake_fd, &worker->wake_fd);
    return 0;
}

unsigned sv_http_cores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

int sv_http_server_new(sv_http_server **out, const sv_http_options *options, sv_error *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *address = NULL;
    const char *host = options->host ? options->host : "127.0.0.1";
    int found = getaddrinfo(host, NULL, &hints, &address);
    if (found != 0)
        return sv_error_set(error, SV_E_IO, "host %s: %s", host, gai_strerror(found));
    sv_http_server *server = sv_calloc(1, sizeof *server);
    int code = server ? 0 : sv_error_set(error, SV_E_MEMORY, "server: out of memory");
    if (code == 0) {
        server->options = *options;
        server->port = options->port;
        server->n_workers = options->threads ? options->threads : sv_http_cores();
        server->workers = sv_calloc(server->n_workers, sizeof *server->workers);
        server->threads = sv_calloc(server->n_workers, sizeof *server->threads);
        if (!server->workers || !server->threads)
            code = sv_error_set(error, SV_E_MEMORY, "server: out of memory");
    }
    if (code == 0) {
        for (unsigned i = 0; i < server->n_workers; i++)
            server->workers[i].listen_fd = server->workers[i].epoll_fd = server->workers[i].wake_fd = -1;
        code = check_port_is_free(address, server->port, error);
    }
    for (unsigned i = 0; code == 0 && i < server->n_workers; i++)
        code = open_worker(server, i, address, error);
    freeaddrinfo(address);
    if (code) {
        sv_http_server_free(server);
        return code;
    }
    *out = server;
    return 0;
}

/* ---- a thread's loop ---- */

void sv_worker_watch(sv_http_worker *worker, sv_connection *connection, uint32_t events)
{
    if (connection->events == events || connection->fd < 0)
        return;
    struct epoll_event event = {.events = events, .data.ptr = connection};
    epoll_ctl(worker->epoll_fd, connection->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, connection->fd, &event);
    connection->events = events;
}

const char *sv_worker_date(sv_http_worker *worker)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != worker->date_s) {
        static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        struct tm tm;
        gmtime_r(&now.tv_sec, &tm);
        snprintf(worker->date, sizeof worker->date, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday % 100, months[tm.tm_mon],
                 (tm.tm_year + 1900) % 10000, tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
        worker->date_s = now.tv_sec;
    }
    return worker->date;
}

static void unlink_connection(sv_http_worker *worker, sv_connection *connection)
{
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        worker->connections = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
    worker->n_connections--;
    atomic_fetch_sub(&worker->server->connections, 1);
    connection->previous = NULL;
    if (worker->n_spare < MAX_SPARE) {
        connection->next = worker->spare;
        worker->spare = connection;
        worker->n_spare++;
    } else {
        sv_free(connection);
    }
}

static void bury_dead(sv_http_worker *worker)
{
    if (!worker->has_dead)
        return;
    worker->has_dead = 0;
    for (sv_connection *connection = worker->connections, *next; connection; connection = next) {
        next = connection->next;
        if (connection->phase == SV_PHASE_DEAD)
            unlink_connection(worker, connection);
    }
}

static sv_connection *new_connection(sv_http_worker *worker, int fd)
{
    sv_connection *connection = worker->spare;
    if (connection) {
        worker->spare = connection->next;
        worker->n_spare--;
    } else {
        connection = sv_malloc(sizeof *connection);
    }
    if (!connection)
        return NULL;
    memset(connection, 0, sizeof *connection);
    connection->fd = fd;
    connection->active_ms = worker->now_ms;
    connection->next = worker->connections;
    if (worker->connections)
        worker->connections->previous = connection;
    worker->connections = connection;
    worker->n_connections++;
    return connection;
}

static void name_peer(sv_connection *connection, const struct sockaddr_storage *address)
{
    const void *bytes = address->ss_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
                                                       : (const void *)&((const struct sockaddr_in *)address)->sin_addr;
    if (!inet_ntop(address->ss_family, bytes, connection->peer, sizeof connection->peer))
        connection->peer[0] = 0;
}

static void admit(sv_http_worker *worker, int fd, const struct sockaddr_storage *address)
{
    sv_http_server *server = worker->server;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sv_connection *connection = new_connection(worker, fd);
    if (!connection) {
        close(fd);
        return;
    }
    name_peer(connection, address);
    unsigned open = atomic_fetch_add(&server->connections, 1);
    connection->phase = server->options.tls ? SV_PHASE_HANDSHAKE : SV_PHASE_READ;
    if (server->options.tls && !(connection->ssl = sv_tls_begin(server->options.tls, fd))) {
        sv_connection_release(worker, connection);
        return;
    }
    if (open >= server->options.max_connections) {
        if (connection->ssl)
            sv_connection_release(worker, connection);
        else
            sv_connection_refuse(worker, connection, 503);
        return;
    }
    sv_worker_watch(worker, connection, EPOLLIN);
}

/* Up to a batch of those who wait, so that others are answered in between. 1: more may wait. */
static int accept_some(sv_http_worker *worker)
{
    for (int n = 0; n < 256; n++) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        int fd = accept4(worker->listen_fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            admit(worker, fd, &address);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            if (errno == EMFILE || errno == ENFILE)
                usleep(1000); /* no descriptor free: let some close instead of spinning */
            return 0;
        }
    }
    return 1;
}

static void begin_drain(sv_http_worker *worker)
{
    while (accept_some(worker)) /* whoever already waits gets an answer */
        ;
    worker->draining = 1;
    close(worker->listen_fd);
    worker->listen_fd = -1;
}

static void tick(sv_http_worker *worker)
{
    for (sv_connection *connection = worker->connections; connection; connection = connection->next)
        if (connection->phase != SV_PHASE_DEAD)
            sv_connection_tick(worker, connection);
}

static void serve_event(sv_http_worker *worker, const struct epoll_event *event)
{
    if (event->data.ptr == &worker->listen_fd) {
        if (worker->listen_fd >= 0)
            accept_some(worker);
    } else if (event->data.ptr == &worker->wake_fd) {
        uint64_t count;
        if (read(worker->wake_fd, &count, sizeof count) < 0)
            return;
    } else {
        sv_connection *connection = event->data.ptr;
        if (connection->phase == SV_PHASE_DEAD)
            return;
        if (event->events & EPOLLOUT)
            sv_connection_writable(worker, connection);
        else
            sv_connection_readable(worker, connection);
    }
}

static void close_all(sv_http_worker *worker)
{
    for (sv_connection *connection = worker->connections; connection; connection = connection->next)
        if (connection->phase != SV_PHASE_DEAD)
            sv_connection_release(worker, connection);
    bury_dead(worker);
}

static void *run_worker(void *argument)
{
    sv_http_worker *worker = argument;
    const sv_http_options *options = &worker->server->options;
    struct epoll_event events[MAX_EVENTS];
    int64_t last_tick_ms = 0, drain_began_ms = 0;
    for (;;) {
        int n = epoll_wait(worker->epoll_fd, events, MAX_EVENTS, worker->connections ? TICK_MS : worker->draining ? 0 : -1);
        worker->now_ms = sv_monotonic_ns() / 1000000;
        for (int i = 0; i < n; i++)
            serve_event(worker, &events[i]);
        if (!worker->draining && atomic_load(&worker->server->draining)) {
            begin_drain(worker);
            drain_began_ms = worker->now_ms;
        }
        if (worker->now_ms - last_tick_ms >= TICK_MS) {
            tick(worker);
            last_tick_ms = worker->now_ms;
        }
        bury_dead(worker);
        if (worker->draining && (!worker->connections || worker->now_ms - drain_began_ms >= options->drain_timeout_ms))
            break;
    }
    close_all(worker);
    return NULL;
}

int sv_http_server_start(sv_http_server *server, sv_error *error)
{
    for (unsigned i = 0; i < server->n_workers; i++) {
        int reason = pthread_create(&server->threads[i], NULL, run_worker, &server->workers[i]);
        if (reason)
            return sv_error_set(error, SV_E_MEMORY, "server: thread %u: %s", i, strerror(reason));
        server->n_started++;
    }
    return 0;
}

void sv_http_server_drain(sv_http_server *server)
{
    atomic_store(&server->draining, 1);
    uint64_t one = 1;
    for (unsigned i = 0; i < server->n_workers; i++)
        if (server->workers[i].wake_fd >= 0 && write(server->workers[i].wake_fd, &one, sizeof one) < 0)
            sv_log(SV_LOG_WARN, "server: thread %u could not be woken", i);
}

void sv_http_server_wait(sv_http_server *server)
{
    for (unsigned i = 0; i < server->n_started; i++)
        pthread_join(server->threads[i], NULL);
    server->n_started = 0;
}

static void free_worker(sv_http_worker *worker)
{
    int fds[] = {worker->listen_fd, worker->epoll_fd, worker->wake_fd};
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    for (sv_connection *spare = worker->spare, *next; spare; spare = next) {
        next = spare->next;
        sv_free(spare);
    }
    sv_reply_free(&worker->reply);
    sv_free(worker->scratch);
}

void sv_http_server_free(sv_http_server *server)
{
    if (!server)
        return;
    if (server->workers && server->n_started) {
        sv_http_server_drain(server);
        sv_http_server_wait(server);
    }
    for (unsigned i = 0; server->workers && i < server->n_workers; i++)
        free_worker(&server->workers[i]);
    sv_free(server->workers);
    sv_free(server->threads);
    sv_free(server);
}
