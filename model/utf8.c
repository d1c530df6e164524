#include "utf8.h"

size_t sv_utf8_character(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned char c = s[0], low = 0x80, high = 0xbf;
    size_t n = c < 0x80 ? 1 : c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (!n || n > length)
        return 0;
    if (c == 0xe0 || c == 0xf0)
        low = c == 0xe0 ? 0xa0 : 0x90;
    if (c == 0xed || c == 0xf4)
        high = c == 0xed ? 0x9f : 0x8f;
    for (size_t i = 1; i < n; i++, low = 0x80, high = 0xbf)
        if (s[i] < low || s[i] > high)
            return 0;
    return n;
}

int sv_utf8_whole(const char *text, size_t length)
{
    for (size_t i = 0, n; i < length; i += n)
        if (!(n = sv_utf8_character(text + i, length - i)))
            return 0;
    return 1;
}
