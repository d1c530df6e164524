/* json_out.c: see json_out.h. */
#include "json_out.h"

#include <math.h>

/* One character of UTF-8 (also an encoded surrogate): its code and length; a broken byte is U+FFFD of length 1. */
static unsigned decode(const unsigned char *p, size_t size, size_t *length)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = *p < 0x80 ? 1 : *p >> 5 == 6 ? 2 : *p >> 4 == 14 ? 3 : *p >> 3 == 30 ? 4 : 0;
    unsigned code = n == 1 ? *p : n ? *p & (0x7fu >> n) : 0;
    int good = n != 0 && n <= size;
    for (size_t i = 1; good && i < n; i++) {
        good = (p[i] & 0xc0) == 0x80;
        code = code << 6 | (p[i] & 0x3f);
    }
    if (!good || code < least[n] || code > 0x10ffff) {
        *length = 1;
        return 0xfffd;
    }
    *length = n;
    return code;
}

static int write_escape(sv_buffer *buffer, unsigned code)
{
    static const char hex[] = "0123456789abcdef";
    char out[6] = {'\\', 'u', hex[code >> 12 & 15], hex[code >> 8 & 15], hex[code >> 4 & 15], hex[code & 15]};
    return sv_buffer_append(buffer, out, 6);
}

static int write_special(sv_buffer *buffer, unsigned code)
{
    static const char names[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof names; i += 2)
        if (code == (unsigned char)names[i]) {
            char out[2] = {'\\', names[i + 1]};
            return sv_buffer_append(buffer, out, 2);
        }
    if (code < 0x10000)
        return write_escape(buffer, code);
    code -= 0x10000;
    int bad = write_escape(buffer, 0xd800 + (code >> 10));
    return bad ? bad : write_escape(buffer, 0xdc00 + (code & 0x3ff));
}

int sv_json_write_text(sv_buffer *buffer, sv_span text)
{
    const unsigned char *p = (const unsigned char *)text.text, *end = p + text.size;
    int bad = sv_buffer_byte(buffer, '"');
    while (p < end && !bad) {
        const unsigned char *plain = p;
        while (p < end && *p >= 0x20 && *p < 0x7f && *p != '"' && *p != '\\')
            p++;
        bad = p > plain ? sv_buffer_append(buffer, plain, (size_t)(p - plain)) : 0;
        if (p == end || bad)
            break;
        size_t length;
        unsigned code = decode(p, (size_t)(end - p), &length);
        bad = code == 0x7f ? sv_buffer_byte(buffer, 0x7f) : write_special(buffer, code);
        p += length;
    }
    return bad ? bad : sv_buffer_byte(buffer, '"');
}

int sv_json_write_double(sv_buffer *buffer, double value)
{
    char out[SV_NUMBER_SIZE];
    if (!isfinite(value))
        return sv_buffer_append(buffer, "null", 4);
    return sv_buffer_append(buffer, out, sv_double_text(out, value));
}

int sv_json_write_long(sv_buffer *buffer, int64_t value)
{
    char out[SV_NUMBER_SIZE];
    return sv_buffer_append(buffer, out, sv_long_text(out, value));
}
