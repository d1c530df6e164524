/* steady_load PORT REQUEST-FILE CONNECTIONS RATE SECONDS: requests at a rate that does not wait for answers, and how long each took.
   steady_load --echo PORT ANSWER-FILE: the floor: a server of one thread that reads whatever comes and answers with the file's bytes, parsing nothing.

   Arrivals are a Poisson process (Kleinrock 1975), as of many callers who do not know of one another. Each takes a free connection; when none is free it
   waits, and its time counts from when it was due: a server that stalls is charged for everybody who came meanwhile (Tene 2013, "coordinated omission").
   The generator never sleeps: what its own waking up would cost is no part of the figures; give it a core of its own. Prints one line:
   REQUESTS ERRORS p50 p99 p99.9 max STALLED, times in microseconds. STALLED: while the generator itself did not run for more than a millisecond at a time,
   as happens on a core that other guests share; what was due meanwhile is late without the server's doing. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MAX = 1 << 20, EVENTS_MAX = 256, DRAIN_S = 10, STALL_US = 1000 };

typedef struct text {
    char *bytes;
    size_t size;
} text;

typedef struct caller {
    int fd;
    double due_us;
    size_t got, wanted; /* of the answer; wanted 0: its head is not whole yet */
    char head[4096];
} caller;

typedef struct generator {
    text request;
    caller *callers;
    int *free_callers, n_free, n_callers, epoll_fd;
    double *due_us; /* a ring of arrivals that wait for a connection */
    size_t first, waiting, room;
    double *took_us;
    size_t n, errors, capacity;
    double stalled_us;
} generator;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static text read_file(const char *path)
{
    text t = {malloc(ANSWER_MAX), 0};
    FILE *file = fopen(path, "rb");
    if (!file || !t.bytes)
        fail(path);
    t.size = fread(t.bytes, 1, ANSWER_MAX, file);
    fclose(file);
    return t;
}

static struct sockaddr_in at_port(const char *port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void watch(int epoll_fd, int fd, uint64_t what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = what};
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl");
}

/* ---- the floor */

static _Noreturn void echo(const char *port, text answer)
{
    static char bytes[1 << 16];
    struct sockaddr_in address = at_port(port);
    struct epoll_event events[EVENTS_MAX];
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1, epoll_fd = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024))
        fail("listen");
    watch(epoll_fd, listener, UINT64_MAX);
    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            int is_new = events[i].data.u64 == UINT64_MAX, fd = is_new ? accept(listener, NULL, NULL) : (int)events[i].data.u64;
            if (is_new)
                watch(epoll_fd, fd, (uint64_t)fd);
            else if (recv(fd, bytes, sizeof bytes, 0) <= 0 || send(fd, answer.bytes, answer.size, MSG_NOSIGNAL) < 0)
                close(fd);
        }
    }
}

/* ---- the load */

/* xorshift64*; the same arrivals in every run. */
static double uniform(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (double)((state * 0x2545f4914f6cdd1d) >> 11) * 0x1p-53;
}

static void send_request(generator *g, int index, double due_us)
{
    caller *c = &g->callers[index];
    c->due_us = due_us;
    c->got = c->wanted = 0;
    if (send(c->fd, g->request.bytes, g->request.size, MSG_NOSIGNAL) != (ssize_t)g->request.size)
        fail("send");
}

static void arrive(generator *g, double due_us)
{
    if (g->n_free) {
        send_request(g, g->free_callers[--g->n_free], due_us);
        return;
    }
    if (g->waiting == g->room) {
        fprintf(stderr, "the server is behind by %zu requests\n", g->waiting);
        exit(1);
    }
    g->due_us[(g->first + g->waiting++) % g->room] = due_us;
}

static void answered(generator *g, int index)
{
    caller *c = &g->callers[index];
    g->errors += strncmp(c->head + 9, "200", 3) != 0;
    if (g->n < g->capacity)
        g->took_us[g->n++] = now_us() - c->due_us;
    if (g->waiting) {
        double due_us = g->due_us[g->first];
        g->first = (g->first + 1) % g->room;
        g->waiting--;
        send_request(g, index, due_us);
    } else {
        g->free_callers[g->n_free++] = index;
    }
}

static void receive(generator *g, int index)
{
    caller *c = &g->callers[index];
    char bytes[1 << 16];
    ssize_t size = recv(c->fd, bytes, sizeof bytes, 0);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0)
        fail("recv: the server closed a connection");
    if (!c->wanted) {
        size_t room = sizeof c->head - 1 - c->got, more = (size_t)size < room ? (size_t)size : room;
        memcpy(c->head + c->got, bytes, more);
        c->head[c->got + more] = 0;
        char *end = strstr(c->head, "\r\n\r\n"), *length = strcasestr(c->head, "\r\ncontent-length:");
        if (end && length)
            c->wanted = (size_t)(end + 4 - c->head) + strtoul(length + 17, NULL, 10);
    }
    c->got += (size_t)size;
    if (c->wanted && c->got >= c->wanted)
        answered(g, index);
}

static void run(generator *g, double rate, double seconds)
{
    struct epoll_event events[EVENTS_MAX];
    double began = now_us(), until = began + seconds * 1e6, due = began;
    for (double now = began, before = began; now < until || (g->n_free < g->n_callers && now < until + DRAIN_S * 1e6); before = now, now = now_us()) {
        g->stalled_us += now - before > STALL_US ? now - before : 0;
        for (; due <= now && due < until; due -= log(1 - uniform()) / rate * 1e6)
            arrive(g, due);
        int n = epoll_wait(g->epoll_fd, events, EVENTS_MAX, 0);
        for (int i = 0; i < n; i++)
            receive(g, (int)events[i].data.u64);
    }
    g->errors += (size_t)(g->n_callers - g->n_free) + g->waiting; /* never answered */
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--echo") == 0)
        echo(argv[2], read_file(argv[3]));
    if (argc != 6) {
        fputs("usage: steady_load PORT REQUEST-FILE CONNECTIONS RATE SECONDS | --echo PORT ANSWER-FILE\n", stderr);
        return 2;
    }
    double rate = atof(argv[4]), seconds = atof(argv[5]);
    generator g = {.request = read_file(argv[2]), .n_callers = atoi(argv[3]), .epoll_fd = epoll_create1(0), .room = (size_t)(rate * seconds) + 1000,
                   .capacity = (size_t)(rate * seconds * 1.5) + 1000};
    g.callers = calloc((size_t)g.n_callers, sizeof *g.callers);
    g.free_callers = calloc((size_t)g.n_callers, sizeof *g.free_callers);
    g.due_us = calloc(g.room, sizeof *g.due_us);
    g.took_us = calloc(g.capacity, sizeof *g.took_us);
    if (!g.callers || !g.free_callers || !g.due_us || !g.took_us)
        fail("memory");
    for (int i = 0; i < g.n_callers; i++) {
        struct sockaddr_in address = at_port(argv[1]);
        g.callers[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(g.callers[i].fd, (struct sockaddr *)&address, sizeof address))
            fail("connect");
        watch(g.epoll_fd, g.callers[i].fd, (uint64_t)i);
        g.free_callers[g.n_free++] = i;
    }
    run(&g, rate, seconds);
    qsort(g.took_us, g.n, sizeof *g.took_us, by_size);
    if (!g.n)
        fail("no answer");
    printf("%zu %zu %.1f %.1f %.1f %.1f %.0f\n", g.n, g.errors, g.took_us[g.n / 2], g.took_us[g.n * 99 / 100], g.took_us[g.n * 999 / 1000], g.took_us[g.n - 1], g.stalled_us);
    return 0;
}
