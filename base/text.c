#include "text.h"

#include "error.h"

#include <stdio.h>
#include <string.h>

size_t sv_utf8_read(uint32_t *point, const char *text, size_t length)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *s = (const unsigned char *)text;
    if (!length || (s[0] >= 0x80 && s[0] < 0xC2) || s[0] > 0xF4)
        return 0;
    size_t more = s[0] < 0x80 ? 0 : s[0] >= 0xF0 ? 3 : s[0] >= 0xE0 ? 2 : 1;
    uint32_t found = more ? s[0] & (0x3Fu >> more) : s[0];
    if (more >= length)
        return 0;
    for (size_t i = 1; i <= more; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        found = found << 6 | (s[i] & 0x3Fu);
    }
    if (found < least[more] || found > 0x10FFFF || (found >= 0xD800 && found <= 0xDFFF))
        return 0;
    if (point)
        *point = found;
    return more + 1;
}

/* Controls; line and paragraph separators; marks that turn the direction of what follows. */
static int acts(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

enum { PIECE = 8 };

/* The next character of text as it is shown, in piece: its bytes; *used: those of the text. */
static size_t show_next(char piece[PIECE], size_t *used, const char *text, size_t length)
{
    static const char spelt[] = "\n\t\r", letters[] = "ntr";
    uint32_t point = 0;
    *used = sv_utf8_read(&point, text, length);
    if (!*used) {
        *used = 1;
        return (size_t)snprintf(piece, PIECE, "\\x%02x", (unsigned char)*text);
    }
    const char *known = point ? memchr(spelt, (int)point, sizeof spelt - 1) : NULL;
    if (known && point < 0x20)
        return (size_t)snprintf(piece, PIECE, "\\%c", letters[known - spelt]);
    if (acts(point))
        return (size_t)snprintf(piece, PIECE, "\\u%04x", (unsigned)point & 0xFFFF);
    memcpy(piece, text, *used);
    return *used;
}

size_t sv_text_line(char *into, size_t size, const char *text, size_t length)
{
    size_t at = 0;
    for (size_t i = 0, used; i < length; i += used) {
        char piece[PIECE];
        size_t bytes = show_next(piece, &used, text + i, length - i);
        if (bytes >= size || at > size - 1 - bytes)
            break;
        memcpy(into + at, piece, bytes);
        at += bytes;
    }
    if (size)
        into[at] = '\0';
    return at;
}

int sv_text_append_line(sv_buffer *out, const char *text, size_t length)
{
    for (size_t i = 0, used; i < length; i += used) {
        char piece[PIECE];
        size_t bytes = show_next(piece, &used, text + i, length - i);
        int code = sv_buffer_append(out, piece, bytes);
        if (code)
            return code;
    }
    return SV_OK;
}
