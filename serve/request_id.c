/* request_id.c: see request_id.h. */
#include "request_id.h"

#define TRACE_SIZE 55 /* 00-(32 digits)-(16 digits)-(2 digits); later versions may go on behind it */

static void write_hex(char out[16], uint64_t number)
{
    for (int i = 15; i >= 0; i--, number >>= 4)
        out[i] = "0123456789abcdef"[number & 15];
}

sv_span sv_request_id(const sv_http_request *request, sv_prng *prng, char made[SV_MADE_ID_SIZE])
{
    sv_span given = sv_http_header_value(request, "x-request-id");
    size_t good = 0;
    while (good < given.size && given.text[good] > ' ' && given.text[good] < 0x7f)
        good++;
    if (given.size && given.size <= SV_REQUEST_ID_MAX && good == given.size)
        return given;
    write_hex(made, sv_prng_next(prng));
    return (sv_span){made, SV_MADE_ID_SIZE};
}

/* size lower-case hexadecimal digits, not all of them 0 unless zeros may be. */
static int is_hex(const char *text, size_t size, int may_be_zero)
{
    int any = may_be_zero;
    for (size_t i = 0; i < size; i++) {
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return 0;
        any |= text[i] != '0';
    }
    return any;
}

sv_span sv_request_trace(const sv_http_request *request)
{
    sv_span trace = sv_http_header_value(request, "traceparent");
    const char *t = trace.text;
    int is_good = trace.size >= TRACE_SIZE && is_hex(t, 2, 1) && t[2] == '-' && is_hex(t + 3, 32, 0) && t[35] == '-' && is_hex(t + 36, 16, 0) && t[52] == '-' &&
                  is_hex(t + 53, 2, 1) && !sv_span_starts(trace, "ff") && (sv_span_starts(trace, "00-") ? trace.size == TRACE_SIZE : trace.size == TRACE_SIZE || t[TRACE_SIZE] == '-');
    return is_good ? trace : (sv_span){NULL, 0};
}

void sv_request_trace_answer(sv_span trace, sv_prng *prng, sv_reply *reply)
{
    char text[TRACE_SIZE];
    memcpy(text, trace.text, TRACE_SIZE);
    memcpy(text, "00", 2);
    write_hex(text + 36, sv_prng_next(prng) | 1);
    sv_reply_field(reply, "traceresponse", (sv_span){text, TRACE_SIZE});
}

/* FNV-1a (Fowler, Noll, Vo 1991), then mixed so that every bit counts. */
uint64_t sv_request_hash(sv_span text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ (unsigned char)text.text[i]) * UINT64_C(0x100000001b3);
    return sv_mix64(hash);
}
