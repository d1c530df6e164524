/* What the HTTP reader takes and what it refuses, each by its status. */
#include "http_request.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static const sv_http_limits limits = {200, 1000, 5000};

static int parse(const char *text, sv_http_request *request)
{
    return sv_http_parse_head(request, text, strlen(text), &limits);
}

#define OK "POST /p HTTP/1.1\r\nHost: a\r\n"

static const struct {
    const char *what, *text;
    int result; /* 1: taken whole; 0: more needed; else -status */
} cases[] = {
    {"plain", OK "Content-Length: 2\r\n\r\n", 1},
    {"no headers in 1.0", "GET / HTTP/1.0\r\n\r\n", 1},
    {"absolute target", "GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n", 1},
    {"tabs and obs-text in a value", OK "X:\ta\xc3\xa9 b\t \r\n\r\n", 1},
    {"unfinished line", "GET / HT", 0},
    {"unfinished CRLF", "GET / HTTP/1.1\r", 0},
    {"unfinished head", OK "X: y\r\n", 0},
    {"no Host in 1.1", "GET / HTTP/1.1\r\n\r\n", -400},
    {"two Hosts", OK "Host: b\r\n\r\n", -400},
    {"two Content-Lengths, the same", OK "Content-Length: 2\r\nContent-Length: 2\r\n\r\n", -400},
    {"two Content-Lengths, different", OK "Content-Length: 2\r\nContent-Length: 3\r\n\r\n", -400},
    {"a list of lengths", OK "Content-Length: 2, 2\r\n\r\n", -400},
    {"signed length", OK "Content-Length: +2\r\n\r\n", -400},
    {"negative length", OK "Content-Length: -2\r\n\r\n", -400},
    {"hexadecimal length", OK "Content-Length: 0x2\r\n\r\n", -400},
    {"empty length", OK "Content-Length:\r\n\r\n", -400},
    {"length beyond 64 bits", OK "Content-Length: 99999999999999999999\r\n\r\n", -400},
    {"Content-Length and Transfer-Encoding", OK "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", -400},
    {"Transfer-Encoding twice", OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", -400},
    {"Transfer-Encoding in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", -400},
    {"unknown Transfer-Encoding", OK "Transfer-Encoding: gzip, chunked\r\n\r\n", -501},
    {"disguised Transfer-Encoding", OK "Transfer-Encoding: xchunked\r\n\r\n", -501},
    {"folded line", OK "X: a\r\n b\r\n\r\n", -400},
    {"bare LF after the request line", "POST /p HTTP/1.1\nHost: a\r\n\r\n", -400},
    {"bare LF in the head", OK "X: a\nY: b\r\n\r\n", -400},
    {"bare CR in a value", OK "X: a\rb\r\n\r\n", -400},
    {"blank before the colon", OK "Content-Length : 2\r\n\r\n", -400},
    {"header without a colon", OK "nonsense\r\n\r\n", -400},
    {"empty header name", OK ": x\r\n\r\n", -400},
    {"control byte in a value", OK "X: a\x01\r\n\r\n", -400},
    {"leading empty line", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", -400},
    {"no target", "GET  HTTP/1.1\r\n\r\n", -400},
    {"two blanks", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", -400},
    {"relative target", "GET x HTTP/1.1\r\nHost: a\r\n\r\n", -400},
    {"fragment", "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", -400},
    {"HTTP/0.9", "GET /\r\n\r\n", -400},
    {"HTTP/2", "GET / HTTP/2.0\r\n\r\n", -505},
    {"HTTP/1.2", "GET / HTTP/1.2\r\n\r\n", -505},
    {"other protocol", "GET / ICY/1.1\r\n\r\n", -400},
    {"unknown expectation", OK "Expect: wonders\r\n\r\n", -417},
    {"body too long", OK "Content-Length: 5001\r\n\r\n", -413},
};

Test(http_request, cases)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sv_http_request request;
        int result = parse(cases[i].text, &request);
        int expected = cases[i].result == 1 ? (int)strlen(cases[i].text) : cases[i].result;
        cr_expect_eq(result, expected, "%s: got %d", cases[i].what, result);
    }
}

Test(http_request, every_prefix_needs_more)
{
    const char *text = OK "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n";
    sv_http_request request;
    for (size_t n = 0; n < strlen(text); n++) {
        char *copy = malloc(n + 1); /* its own block, so that a read beyond it is seen */
        memcpy(copy, text, n);
        cr_expect_eq(sv_http_parse_head(&request, copy, n, &limits), 0, "at %zu", n);
        free(copy);
    }
}

Test(http_request, parts)
{
    sv_http_request request;
    cr_assert_gt(parse("POST /a%20b?c=d HTTP/1.1\r\nHOST: h\r\nConnection: close\r\nX-Empty:\r\nContent-Length: 7\r\nExpect: 100-Continue\r\n\r\n", &request), 0);
    cr_expect(sv_span_is(request.method, "POST"));
    cr_expect(sv_span_is(request.path, "/a%20b"));
    cr_expect(sv_span_is(request.query, "c=d"));
    cr_expect(sv_span_is(sv_http_header_value(&request, "host"), "h"));
    cr_expect(sv_span_is(sv_http_header_value(&request, "x-empty"), ""));
    cr_expect_null(sv_http_header_value(&request, "absent").text);
    cr_expect_eq(request.content_length, 7);
    cr_expect_not(request.keep_alive);
    cr_expect(request.expect_continue);
}

Test(http_request, limits_have_their_own_status)
{
    char text[3000] = "GET /";
    sv_http_request request;
    memset(text + 5, 'a', 300);
    strcpy(text + 305, " HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_expect_eq(parse(text, &request), -414);
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\nX: %01500d\r\n\r\n", 0);
    cr_expect_eq(parse(text, &request), -431);
    size_t used = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 70; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "a:b\r\n");
    snprintf(text + used, sizeof text - used, "\r\n");
    cr_expect_eq(parse(text, &request), -431);
}

static const struct {
    const char *what, *text;
    int result;
    const char *body;
} chunked[] = {
    {"two chunks", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 1, "abcde"},
    {"extension and trailer", "3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\n", 1, "abc"},
    {"capital hexadecimal", "A\r\n0123456789\r\n0\r\n\r\n", 1, "0123456789"},
    {"no body", "0\r\n\r\n", 1, ""},
    {"bare LF behind the size", "3\nabc\r\n0\r\n\r\n", -400, NULL},
    {"bare LF behind the data", "3\r\nabc\n0\r\n\r\n", -400, NULL},
    {"data longer than the chunk", "3\r\nabcd\r\n0\r\n\r\n", -400, NULL},
    {"no size", "\r\nabc", -400, NULL},
    {"signed size", "+3\r\nabc\r\n0\r\n\r\n", -400, NULL},
    {"prefixed size", "0x3\r\nabc\r\n0\r\n\r\n", -400, NULL},
    {"blank before the size", " 3\r\nabc\r\n0\r\n\r\n", -400, NULL},
    {"size beyond the limit", "FFFFFF\r\n", -413, NULL},
    {"size beyond 64 bits", "11111111111111111\r\n", -413, NULL},
    {"folded trailer", "0\r\n x\r\n\r\n", -400, NULL},
    {"unfinished", "3\r\nab", 0, NULL},
};

Test(http_request, chunked_bodies)
{
    for (size_t i = 0; i < sizeof chunked / sizeof *chunked; i++)
        for (size_t step = 1; step < 50; step += 7) { /* however the bytes arrive */
            char bytes[200];
            size_t size = strlen(chunked[i].text);
            memcpy(bytes, chunked[i].text, size);
            sv_chunked state = {0};
            int result = 0;
            for (size_t there = step; result == 0; there += step) {
                result = sv_http_decode_chunks(&state, bytes, there < size ? there : size, limits.max_body_bytes);
                if (there >= size)
                    break;
            }
            cr_expect_eq(result, chunked[i].result, "%s by %zu: got %d", chunked[i].what, step, result);
            if (result == 1)
                cr_expect(state.out == strlen(chunked[i].body) && memcmp(bytes, chunked[i].body, state.out) == 0 && state.in == size, "%s", chunked[i].what);
        }
}
