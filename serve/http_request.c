/* http_request.c: see http_request.h. One pass over the head with two byte classes; every step answers "used", "need more" or a refusal. */
#include "http_request.h"

#include <strings.h>

#define MAX_CHUNK_LINE 256
#define MAX_TRAILER_BYTES 8192

/* RFC 9110 5.6.2: a token's bytes. */
static int is_token_byte(unsigned char c)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c && strchr(others, c) != NULL);
}

static const unsigned char *token_table(void)
{
    static unsigned char table[256];
    static int ready;
    if (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE)) {
        for (int c = 0; c < 256; c++)
            table[c] = (unsigned char)is_token_byte((unsigned char)c);
        __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
    }
    return table;
}

static int is_value_byte(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* A line that ends in CRLF within [p, end): its length without CRLF; -1: not there yet; -2: a bare CR, LF or another control byte. */
static long line_length(const char *p, const char *end)
{
    for (const char *q = p; q < end; q++) {
        if (is_value_byte((unsigned char)*q))
            continue;
        if (*q != '\r')
            return -2;
        if (q + 1 == end)
            return -1;
        return q[1] == '\n' ? q - p : -2;
    }
    return -1;
}

static int parse_target(sv_http_request *request)
{
    sv_span target = request->target;
    if (target.size == 0)
        return -400;
    for (size_t i = 0; i < target.size; i++)
        if ((unsigned char)target.text[i] <= 0x20 || target.text[i] == 0x7f || target.text[i] == '#')
            return -400;
    if (target.size > 7 && strncasecmp(target.text, "http://", 7) == 0) { /* absolute form, as a proxy gets it */
        const char *slash = memchr(target.text + 7, '/', target.size - 7);
        size_t skip = slash ? (size_t)(slash - target.text) : target.size;
        target = slash ? (sv_span){target.text + skip, target.size - skip} : (sv_span){"/", 1};
    } else if (target.text[0] != '/' && !sv_span_is(target, "*")) {
        return -400;
    }
    const char *mark = memchr(target.text, '?', target.size);
    size_t path_size = mark ? (size_t)(mark - target.text) : target.size;
    request->path = (sv_span){target.text, path_size};
    request->query = mark ? (sv_span){mark + 1, target.size - path_size - 1} : (sv_span){"", 0};
    return 0;
}

/* METHOD SP target SP HTTP/1.x */
static int parse_request_line(sv_http_request *request, const char *line, size_t size, const sv_http_limits *limits)
{
    const unsigned char *token = token_table();
    size_t m = 0;
    while (m < size && token[(unsigned char)line[m]])
        m++;
    if (m == 0 || m > 32 || m == size || line[m] != ' ')
        return -400;
    const char *target = line + m + 1, *end = line + size;
    const char *space = memchr(target, ' ', (size_t)(end - target));
    if (!space)
        return -400;
    if ((size_t)(space - target) > limits->max_target_bytes)
        return -414;
    if (end - space != 9 || memcmp(space + 1, "HTTP/", 5) != 0)
        return -400;
    if (space[6] < '0' || space[6] > '9' || space[7] != '.' || space[8] < '0' || space[8] > '9')
        return -400;
    if (space[6] != '1' || space[8] > '1')
        return -505;
    request->method = (sv_span){line, m};
    request->target = (sv_span){target, (size_t)(space - target)};
    request->minor = space[8] - '0';
    return parse_target(request);
}

static int name_is(sv_span name, const char *text, size_t size)
{
    return name.size == size && strncasecmp(name.text, text, size) == 0;
}

static int read_content_length(sv_http_request *request, sv_span value)
{
    if (request->content_length >= 0 || value.size == 0 || value.size > 18)
        return -400;
    int64_t length = 0;
    for (size_t i = 0; i < value.size; i++) {
        if (value.text[i] < '0' || value.text[i] > '9')
            return -400;
        length = length * 10 + (value.text[i] - '0');
    }
    request->content_length = length;
    return 0;
}

/* Connection is a list of tokens: only close and keep-alive matter. */
static void read_connection(sv_http_request *request, sv_span value)
{
    for (size_t i = 0; i < value.size;) {
        size_t begin = i;
        while (i < value.size && value.text[i] != ',')
            i++;
        sv_span word = {value.text + begin, i - begin};
        while (word.size && (*word.text == ' ' || *word.text == '\t'))
            word.text++, word.size--;
        while (word.size && (word.text[word.size - 1] == ' ' || word.text[word.size - 1] == '\t'))
            word.size--;
        if (name_is(word, "close", 5))
            request->keep_alive = 0;
        else if (name_is(word, "keep-alive", 10) && request->minor == 0)
            request->keep_alive = 1;
        i++;
    }
}

/* The headers that decide where the request ends or how it is answered; the others are only kept. */
static int note_header(sv_http_request *request, const sv_http_header *header, int *hosts)
{
    sv_span name = header->name, value = header->value;
    switch (name.size) {
    case 4:
        *hosts += name_is(name, "host", 4);
        return 0;
    case 6:
        if (!name_is(name, "expect", 6))
            return 0;
        if (!name_is(value, "100-continue", 12))
            return -417;
        request->expect_continue = request->minor == 1;
        return 0;
    case 10:
        if (name_is(name, "connection", 10))
            read_connection(request, value);
        return 0;
    case 14:
        return name_is(name, "content-length", 14) ? read_content_length(request, value) : 0;
    case 17:
        if (!name_is(name, "transfer-encoding", 17))
            return 0;
        if (request->chunked || request->minor == 0)
            return -400;
        if (!name_is(value, "chunked", 7))
            return -501;
        request->chunked = 1;
        return 0;
    default:
        return 0;
    }
}

static int parse_header_line(sv_http_header *header, const char *line, size_t size)
{
    const unsigned char *token = token_table();
    size_t n = 0;
    while (n < size && token[(unsigned char)line[n]])
        n++;
    if (n == 0 || n == size || line[n] != ':') /* also a folded line and a blank before the colon */
        return -400;
    size_t begin = n + 1, end = size;
    while (begin < end && (line[begin] == ' ' || line[begin] == '\t'))
        begin++;
    while (end > begin && (line[end - 1] == ' ' || line[end - 1] == '\t'))
        end--;
    header->name = (sv_span){line, n};
    header->value = (sv_span){line + begin, end - begin};
    return 0;
}

static int check_framing(const sv_http_request *request, int hosts, const sv_http_limits *limits)
{
    if (hosts > 1 || (hosts == 0 && request->minor == 1))
        return -400;
    if (request->chunked && request->content_length >= 0)
        return -400;
    if (request->content_length > 0 && (uint64_t)request->content_length > limits->max_body_bytes)
        return -413;
    return 0;
}

/* What an unfinished head may still become: refused as soon as it is longer than it may be. */
static int unfinished(size_t size, const sv_http_limits *limits, int in_request_line)
{
    if (in_request_line && size > limits->max_target_bytes + 64)
        return -414;
    return size >= limits->max_head_bytes ? -431 : 0;
}

int sv_http_parse_head(sv_http_request *request, const char *bytes, size_t size, const sv_http_limits *limits)
{
    const char *p = bytes, *end = bytes + (size < limits->max_head_bytes ? size : limits->max_head_bytes);
    int hosts = 0;
    request->n_headers = 0;
    request->content_length = -1;
    request->chunked = request->expect_continue = 0;
    request->body = (sv_span){"", 0};

    long length = line_length(p, end);
    if (length == -1)
        return unfinished(size, limits, 1);
    int status = length < 0 ? -400 : parse_request_line(request, p, (size_t)length, limits);
    if (status)
        return status;
    request->keep_alive = request->minor == 1;
    for (p += length + 2;; p += length + 2) {
        length = line_length(p, end);
        if (length == -1)
            return unfinished(size, limits, 0);
        if (length < 0)
            return -400;
        if (length == 0)
            break;
        if (request->n_headers == SV_HTTP_MAX_HEADERS)
            return -431;
        sv_http_header *header = &request->headers[request->n_headers++];
        if ((status = parse_header_line(header, p, (size_t)length)) != 0 || (status = note_header(request, header, &hosts)) != 0)
            return status;
    }
    request->head_size = (size_t)(p + 2 - bytes);
    status = check_framing(request, hosts, limits);
    return status ? status : (int)request->head_size;
}

sv_span sv_http_header_value(const sv_http_request *request, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < request->n_headers; i++)
        if (name_is(request->headers[i].name, name, size))
            return request->headers[i].value;
    return (sv_span){NULL, 0};
}

/* ---- chunked bodies ---- */

enum { AT_SIZE, IN_SIZE, IN_EXTENSION, AT_SIZE_LF, IN_DATA, AT_DATA_CR, AT_DATA_LF, AT_TRAILER, IN_TRAILER, AT_TRAILER_LF, AT_LAST_LF, WHOLE };

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte that is no chunk data: the next state, or -400/-413. */
static int chunk_step(sv_chunked *chunked, char c, uint64_t max_body_bytes)
{
    int hex = hex_value(c);
    switch (chunked->state) {
    case AT_SIZE:
        chunked->remaining = 0;
        chunked->line_bytes = 0;
        if (hex < 0)
            return -400;
        /* fall through */
    case IN_SIZE:
        if (++chunked->line_bytes > MAX_CHUNK_LINE)
            return -400;
        if (hex >= 0) {
            chunked->remaining = chunked->remaining * 16 + (unsigned)hex;
            return chunked->remaining > max_body_bytes || chunked->line_bytes > 16 ? -413 : IN_SIZE;
        }
        return c == ';' ? IN_EXTENSION : c == '\r' ? AT_SIZE_LF : -400;
    case IN_EXTENSION:
        if (++chunked->line_bytes > MAX_CHUNK_LINE)
            return -400;
        return c == '\r' ? AT_SIZE_LF : is_value_byte((unsigned char)c) ? IN_EXTENSION : -400;
    case AT_SIZE_LF:
        chunked->line_bytes = 0;
        return c != '\n' ? -400 : chunked->remaining ? IN_DATA : AT_TRAILER;
    case AT_DATA_CR:
        return c == '\r' ? AT_DATA_LF : -400;
    case AT_DATA_LF:
        return c == '\n' ? AT_SIZE : -400;
    case AT_TRAILER:
        if (c == '\r')
            return AT_LAST_LF;
        return token_table()[(unsigned char)c] ? IN_TRAILER : -400;
    case IN_TRAILER:
        if (++chunked->line_bytes > MAX_TRAILER_BYTES)
            return -431;
        return c == '\r' ? AT_TRAILER_LF : is_value_byte((unsigned char)c) ? IN_TRAILER : -400;
    case AT_TRAILER_LF:
        return c == '\n' ? AT_TRAILER : -400;
    default:
        return c == '\n' ? WHOLE : -400;
    }
}

int sv_http_decode_chunks(sv_chunked *chunked, char *bytes, size_t size, uint64_t max_body_bytes)
{
    while (chunked->in < size && chunked->state != WHOLE) {
        if (chunked->state == IN_DATA) {
            size_t there = size - chunked->in, take = there < chunked->remaining ? there : (size_t)chunked->remaining;
            if (chunked->out + take > max_body_bytes)
                return -413;
            memmove(bytes + chunked->out, bytes + chunked->in, take);
            chunked->in += take;
            chunked->out += take;
            chunked->remaining -= take;
            if (chunked->remaining == 0)
                chunked->state = AT_DATA_CR;
            continue;
        }
        int next = chunk_step(chunked, bytes[chunked->in++], max_body_bytes);
        if (next < 0)
            return next;
        chunked->state = next;
    }
    return chunked->state == WHOLE;
}
