/* http_connection.c: see http_connection.h. Bytes are read into the worker's scratch; only what is unfinished moves into the connection's own
   memory, so that an idle connection holds none. Answers are sent at once; only what the peer does not take is kept. */
#include "http_connection.h"

#include "clock.h"
#include "tls.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define LINGER_MS 2000
#define DRAIN_IDLE_MS 500 /* while draining, a connection that sends nothing for so long is closed */

static void account(sv_http_worker *worker, size_t before, size_t after)
{
    worker->buffered_bytes += after - before;
}

static int over_budget(const sv_http_worker *worker, size_t more)
{
    const sv_http_server *server = worker->server;
    return worker->buffered_bytes + more > sv_http_server_options(server)->max_buffered_bytes / sv_http_server_threads(server);
}

static void drop_buffer(sv_http_worker *worker, sv_buffer *buffer)
{
    account(worker, buffer->capacity, 0);
    sv_buffer_free(buffer);
}

static int keep_bytes(sv_http_worker *worker, sv_buffer *buffer, const void *bytes, size_t size)
{
    size_t before = buffer->capacity;
    if ((buffer->size + size >= before && over_budget(worker, size)) || sv_buffer_append(buffer, bytes, size))
        return -1;
    account(worker, before, buffer->capacity);
    return 0;
}

void sv_connection_release(sv_http_worker *worker, sv_connection *connection)
{
    drop_buffer(worker, &connection->in);
    drop_buffer(worker, &connection->out);
    if (connection->ssl)
        sv_tls_end(connection->ssl);
    connection->ssl = NULL;
    close(connection->fd);
    connection->fd = -1;
    connection->phase = SV_PHASE_DEAD;
    worker->has_dead = 1;
}

/* ---- sending ---- */

/* Says goodbye: nothing more is sent; what still arrives is read and dropped, so that the last answer is not lost to a reset. */
static void begin_linger(sv_http_worker *worker, sv_connection *connection)
{
    if (connection->ssl)
        sv_tls_goodbye(connection->ssl);
    shutdown(connection->fd, SHUT_WR);
    drop_buffer(worker, &connection->in);
    connection->phase = SV_PHASE_LINGER;
    connection->active_ms = worker->now_ms;
    sv_worker_watch(worker, connection, EPOLLIN);
}

static ssize_t send_some(sv_connection *connection, struct iovec *pieces, int n)
{
    if (!connection->ssl) {
        struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)n};
        return sendmsg(connection->fd, &message, MSG_NOSIGNAL);
    }
    ssize_t total = 0;
    for (int i = 0; i < n; i++) {
        ssize_t sent = pieces[i].iov_len ? sv_tls_write(connection->ssl, pieces[i].iov_base, pieces[i].iov_len) : 0;
        if (sent < 0)
            return total ? total : -1;
        total += sent;
        if ((size_t)sent < pieces[i].iov_len)
            break;
    }
    return total;
}

/* Sends the pieces, or keeps what the peer does not take now. Returns -1 when the connection is dead. */
static int send_or_keep(sv_http_worker *worker, sv_connection *connection, struct iovec *pieces, int n)
{
    size_t sent = 0;
    if (connection->out.size == 0) {
        ssize_t some = send_some(connection, pieces, n);
        if (some < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            return -1;
        sent = some > 0 ? (size_t)some : 0;
    }
    for (int i = 0; i < n; i++) {
        size_t skip = sent < pieces[i].iov_len ? sent : pieces[i].iov_len;
        sent -= skip;
        if (skip < pieces[i].iov_len && keep_bytes(worker, &connection->out, (char *)pieces[i].iov_base + skip, pieces[i].iov_len - skip))
            return -1;
    }
    return 0;
}

static int send_reply(sv_http_worker *worker, sv_connection *connection, sv_reply *reply, int is_head, int keep_alive)
{
    char head[SV_REPLY_HEAD_MAX];
    size_t head_size = sv_reply_head(head, reply, sv_worker_date(worker), keep_alive);
    if (sv_buffer_append(&reply->fields, "\r\n", 2))
        return -1;
    struct iovec pieces[3] = {{head, head_size}, {reply->fields.data, reply->fields.size}, {reply->body.data, is_head ? 0 : reply->body.size}};
    return send_or_keep(worker, connection, pieces, 3);
}

void sv_connection_refuse(sv_http_worker *worker, sv_connection *connection, int status)
{
    const sv_http_options *options = sv_http_server_options(worker->server);
    sv_reply *reply = &worker->reply;
    sv_reply_clear(reply);
    sv_reply_detail(reply, status, sv_http_reason(status));
    if (options->refused)
        options->refused(options->context, worker->index, status, connection->peer);
    if (send_reply(worker, connection, reply, 0, 0) < 0) {
        sv_connection_release(worker, connection);
        return;
    }
    if (connection->out.size == 0) {
        begin_linger(worker, connection);
    } else {
        connection->close_after_out = 1;
        sv_worker_watch(worker, connection, EPOLLOUT);
    }
}

/* ---- requests ---- */

/* Hands a whole request to the handler and sends its answer. Returns 0 to go on, 1 when nothing more shall be read now. */
static int answer(sv_http_worker *worker, sv_connection *connection)
{
    const sv_http_options *options = sv_http_server_options(worker->server);
    sv_http_request *request = &worker->request;
    sv_reply *reply = &worker->reply;
    sv_reply_clear(reply);
    options->handle(options->context, worker->index, request, connection->peer, reply);
    int keep_alive = request->keep_alive && !reply->close && !worker->draining;
    if (request->minor == 0 && keep_alive)
        sv_reply_field(reply, "Connection", sv_span_of("keep-alive"));
    if (send_reply(worker, connection, reply, sv_span_is(request->method, "HEAD"), keep_alive) < 0) {
        sv_connection_release(worker, connection);
        return 1;
    }
    connection->began_ms = 0;
    connection->body_needed = 0;
    connection->continue_sent = 0;
    connection->is_chunked = 0;
    if (connection->out.size) {
        connection->close_after_out = !keep_alive;
        sv_worker_watch(worker, connection, EPOLLOUT);
        return 1;
    }
    if (keep_alive)
        return 0;
    begin_linger(worker, connection);
    return 1;
}

static int send_continue(sv_http_worker *worker, sv_connection *connection)
{
    static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    connection->continue_sent = 1;
    struct iovec piece = {text, sizeof text - 1};
    return send_or_keep(worker, connection, &piece, 1);
}

/* The head is whole: what else must arrive. Returns 0, or -status. */
static int expect_body(sv_http_worker *worker, sv_connection *connection, size_t there)
{
    const sv_http_request *request = &worker->request;
    connection->is_chunked = request->chunked;
    connection->head_size = request->head_size;
    connection->chunked = (sv_chunked){0};
    connection->body_needed = request->head_size + (request->content_length > 0 ? (uint64_t)request->content_length : 0);
    int missing = request->chunked || there < connection->body_needed || request->content_length == 0;
    if (missing && request->expect_continue && !connection->continue_sent && send_continue(worker, connection) < 0)
        return -1;
    return 0;
}

/* Takes as many whole requests as bytes holds. Returns the bytes used; *stop is set when the connection shall not be read further. */
static size_t take_requests(sv_http_worker *worker, sv_connection *connection, char *bytes, size_t size, int *stop)
{
    const sv_http_limits *limits = &sv_http_server_options(worker->server)->limits;
    sv_http_request *request = &worker->request;
    size_t used = 0;
    while (used < size && !*stop) {
        char *at = bytes + used;
        size_t there = size - used;
        int parsed = 0;
        if (connection->body_needed == 0) {
            parsed = sv_http_parse_head(request, at, there, limits);
            if (parsed == 0)
                return used;
            int status = parsed > 0 ? expect_body(worker, connection, there) : parsed;
            if (status < 0) {
                *stop = 1;
                if (status == -1)
                    sv_connection_release(worker, connection);
                else
                    sv_connection_refuse(worker, connection, -status);
                return used;
            }
        }
        size_t request_size = (size_t)connection->body_needed, body_size = request_size;
        if (connection->is_chunked) {
            int whole = sv_http_decode_chunks(&connection->chunked, at + connection->head_size, there - connection->head_size, limits->max_body_bytes);
            if (whole < 0) {
                *stop = 1;
                sv_connection_refuse(worker, connection, -whole);
                return used;
            }
            if (!whole)
                return used;
            request_size = connection->head_size + connection->chunked.in;
            body_size = connection->head_size + connection->chunked.out;
        } else if (there < connection->body_needed) {
            return used;
        }
        if (parsed == 0)
            sv_http_parse_head(request, at, there, limits);
        request->body = (sv_span){at + request->head_size, body_size - request->head_size};
        used += request_size;
        *stop = answer(worker, connection);
    }
    return used;
}

/* Keeps bytes[used..size) as the beginning of the next request. */
static void keep_rest(sv_http_worker *worker, sv_connection *connection, const char *bytes, size_t size)
{
    if (connection->began_ms == 0)
        connection->began_ms = worker->now_ms;
    size_t before = connection->in.capacity;
    if (connection->body_needed && connection->body_needed <= SV_SCRATCH_BYTES * 8 && !over_budget(worker, connection->body_needed))
        sv_buffer_reserve(&connection->in, (size_t)connection->body_needed - connection->in.size);
    account(worker, before, connection->in.capacity);
    if (keep_bytes(worker, &connection->in, bytes, size))
        sv_connection_refuse(worker, connection, 503);
}

static void consume(sv_http_worker *worker, sv_connection *connection, char *bytes, size_t size)
{
    int stop = 0;
    if (connection->in.size == 0) {
        size_t used = take_requests(worker, connection, bytes, size, &stop);
        if (connection->phase == SV_PHASE_READ && used < size && !connection->close_after_out)
            keep_rest(worker, connection, bytes + used, size - used);
        return;
    }
    if (size)
        keep_rest(worker, connection, bytes, size);
    if (connection->phase != SV_PHASE_READ)
        return;
    if (!connection->is_chunked && connection->body_needed > connection->in.size)
        return;
    size_t used = take_requests(worker, connection, connection->in.data, connection->in.size, &stop);
    if (connection->phase != SV_PHASE_READ)
        return;
    if (used == connection->in.size) {
        drop_buffer(worker, &connection->in);
    } else if (used) {
        memmove(connection->in.data, connection->in.data + used, connection->in.size - used);
        connection->in.size -= used;
        connection->began_ms = worker->now_ms;
    }
}

static ssize_t read_some(sv_connection *connection, char *bytes, size_t size)
{
    return connection->ssl ? sv_tls_read(connection->ssl, bytes, size) : recv(connection->fd, bytes, size, 0);
}

static void drop_incoming(sv_http_worker *worker, sv_connection *connection)
{
    for (int rounds = 0; rounds < 64; rounds++) {
        ssize_t got = recv(connection->fd, worker->scratch, SV_SCRATCH_BYTES, 0);
        if (got > 0)
            continue;
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            sv_connection_release(worker, connection);
        return;
    }
}

static int finish_handshake(sv_http_worker *worker, sv_connection *connection)
{
    int state = sv_tls_handshake(connection->ssl);
    if (state > 0) {
        connection->phase = SV_PHASE_READ;
        return 1;
    }
    if (state < 0)
        sv_connection_release(worker, connection);
    else
        sv_worker_watch(worker, connection, sv_tls_wants_write(connection->ssl) ? EPOLLOUT : EPOLLIN);
    return 0;
}

void sv_connection_readable(sv_http_worker *worker, sv_connection *connection)
{
    if (connection->phase == SV_PHASE_LINGER) {
        drop_incoming(worker, connection);
        return;
    }
    if (connection->phase == SV_PHASE_HANDSHAKE && !finish_handshake(worker, connection))
        return;
    /* TLS may hold more bytes than epoll knows of; a plain socket says so again. */
    for (int rounds = 0; rounds < 16 && connection->phase == SV_PHASE_READ && connection->out.size == 0; rounds++) {
        ssize_t got = read_some(connection, worker->scratch, SV_SCRATCH_BYTES);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            sv_connection_release(worker, connection);
            return;
        }
        connection->active_ms = worker->now_ms;
        consume(worker, connection, worker->scratch, (size_t)got);
        if (!connection->ssl && got < SV_SCRATCH_BYTES)
            return;
    }
}

void sv_connection_writable(sv_http_worker *worker, sv_connection *connection)
{
    if (connection->phase == SV_PHASE_HANDSHAKE) {
        sv_connection_readable(worker, connection);
        return;
    }
    struct iovec piece = {connection->out.data + connection->out_sent, connection->out.size - connection->out_sent};
    ssize_t sent = send_some(connection, &piece, 1);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR)
            sv_connection_release(worker, connection);
        return;
    }
    connection->out_sent += (size_t)sent;
    connection->active_ms = worker->now_ms;
    if (connection->out_sent < connection->out.size)
        return;
    drop_buffer(worker, &connection->out);
    connection->out_sent = 0;
    if (connection->close_after_out) {
        begin_linger(worker, connection);
        return;
    }
    sv_worker_watch(worker, connection, EPOLLIN);
    if (connection->in.size) /* a pipelined request that waited for its turn */
        consume(worker, connection, NULL, 0);
    if (connection->phase == SV_PHASE_READ && connection->ssl)
        sv_connection_readable(worker, connection);
}

void sv_connection_tick(sv_http_worker *worker, sv_connection *connection)
{
    const sv_http_options *options = sv_http_server_options(worker->server);
    int64_t quiet = worker->now_ms - connection->active_ms;
    if (connection->phase == SV_PHASE_LINGER) {
        if (quiet >= LINGER_MS)
            sv_connection_release(worker, connection);
    } else if (connection->out.size) {
        if (quiet >= options->request_timeout_ms)
            sv_connection_release(worker, connection);
    } else if (connection->began_ms) {
        int limit = connection->body_needed ? options->request_timeout_ms : options->head_timeout_ms;
        if (worker->now_ms - connection->began_ms >= limit)
            sv_connection_refuse(worker, connection, 408);
    } else if (quiet >= (connection->phase == SV_PHASE_HANDSHAKE ? options->head_timeout_ms : options->idle_timeout_ms)) {
        sv_connection_release(worker, connection);
    } else if (worker->draining && quiet >= DRAIN_IDLE_MS) {
        begin_linger(worker, connection);
    }
}
