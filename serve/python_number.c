/* python_number.c: see python_number.h. The text is first brought to plain ASCII, then read by base/number. */
#include "python_number.h"

#include "number.h"

#define LONGEST 5000 /* bytes; longer texts are no number that anybody sends */

/* First code points of the decimal digits of scripts in the Basic Multilingual Plane and of full-width digits (Unicode category Nd). */
static const unsigned digit_zeros[] = {0x660,  0x6f0,  0x7c0,  0x966,  0x9e6,  0xa66,  0xae6,  0xb66,  0xbe6,  0xc66,  0xce6,  0xd66,  0xde6,
                                       0xe50,  0xed0,  0xf20,  0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0,
                                       0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10};

static int is_blank(unsigned code)
{
    return (code >= 9 && code <= 13) || (code >= 0x1c && code <= 0x20) || code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
           code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

static unsigned next_code(const char **p, const char *end)
{
    const unsigned char *b = (const unsigned char *)*p;
    size_t there = (size_t)(end - *p);
    if (*b < 0x80 || there < 2) {
        *p += 1;
        return *b;
    }
    if (*b < 0xe0) {
        *p += 2;
        return (*b & 0x1fu) << 6 | (b[1] & 0x3f);
    }
    if (*b < 0xf0 && there >= 3) {
        *p += 3;
        return (*b & 0xfu) << 12 | (b[1] & 0x3fu) << 6 | (b[2] & 0x3f);
    }
    *p += there < 4 ? there : 4;
    return 0xfffd;
}

static char plain_digit(unsigned code)
{
    for (size_t i = 0; i < sizeof digit_zeros / sizeof *digit_zeros; i++)
        if (code >= digit_zeros[i] && code < digit_zeros[i] + 10)
            return (char)('0' + code - digit_zeros[i]);
    return '?';
}

/* ASCII without the blanks around it and without underscores between digits; -1 when something cannot belong to a number. */
static long plain(sv_span text, char out[LONGEST])
{
    long n = 0, end_of_word = 0;
    int began = 0;
    char previous = 0;
    for (const char *p = text.text, *end = p + text.size; p < end;) {
        unsigned code = next_code(&p, end);
        if (is_blank(code)) {
            end_of_word |= began;
            continue;
        }
        if (end_of_word || n == LONGEST - 1)
            return -1;
        began = 1;
        char c = code < 0x80 ? (char)code : plain_digit(code);
        if (c == '_' ? !(previous >= '0' && previous <= '9') : previous == '_' && !(c >= '0' && c <= '9'))
            return -1;
        if (c != '_')
            out[n++] = c;
        previous = c;
    }
    return previous == '_' ? -1 : n;
}

int sv_python_int(sv_span text, int64_t *value)
{
    char out[LONGEST];
    long n = text.size < LONGEST ? plain(text, out) : -1;
    if (n <= 0)
        return -1;
    if (sv_parse_int64(out, (size_t)n, value) == 0)
        return 0;
    for (long i = out[0] == '-' || out[0] == '+'; i < n; i++)
        if (out[i] < '0' || out[i] > '9')
            return -1;
    return n > 1 ? 1 : -1;
}

int sv_python_float(sv_span text, double *value)
{
    char out[LONGEST];
    long n = text.size < LONGEST ? plain(text, out) : -1;
    return n > 0 && sv_parse_double(out, (size_t)n, value) == 0 ? 0 : -1;
}
