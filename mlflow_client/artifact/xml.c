#include "xml.h"

#include "alloc.h"

#include <stdlib.h>
#include <string.h>

static const char *find(const char *at, const char *end, const char *what)
{
    return at < end ? memmem(at, (size_t)(end - at), what, strlen(what)) : NULL;
}

/* Passes over <?…?> and <!--…-->. 1: passed, 0: there is none, -1: it has no end or is another kind of declaration. */
static int pass_over(mlf_xml *xml)
{
    const char *opens[] = {"<?", "<!--"}, *closes[] = {"?>", "-->"};
    for (int i = 0; i < 2; i++) {
        size_t length = strlen(opens[i]);
        if ((size_t)(xml->end - xml->at) < length || memcmp(xml->at, opens[i], length) != 0)
            continue;
        const char *close = find(xml->at + length, xml->end, closes[i]);
        if (!close)
            return -1;
        xml->at = close + strlen(closes[i]);
        return 1;
    }
    return xml->end - xml->at >= 2 && xml->at[1] == '!' ? -1 : 0;
}

static mlf_xml_event read_tag(mlf_xml *xml, const char **text, size_t *length, int *empty)
{
    const char *close = memchr(xml->at, '>', (size_t)(xml->end - xml->at));
    if (!close)
        return MLF_XML_BROKEN;
    const char *name = xml->at + 1;
    int is_close = name < close && *name == '/';
    name += is_close;
    *empty = !is_close && close > name && close[-1] == '/';
    *text = name;
    *length = 0;
    while (name + *length < close && !strchr(" \t\r\n/", name[*length]))
        ++*length;
    xml->at = close + 1;
    if (!*length || memchr(name, '<', *length))
        return MLF_XML_BROKEN;
    return is_close ? MLF_XML_CLOSE : MLF_XML_OPEN;
}

mlf_xml_event mlf_xml_next(mlf_xml *xml, const char **text, size_t *length, int *empty)
{
    *empty = 0;
    for (;;) {
        if (xml->at >= xml->end)
            return MLF_XML_END;
        if (*xml->at != '<') {
            const char *open = memchr(xml->at, '<', (size_t)(xml->end - xml->at));
            *text = xml->at;
            *length = (size_t)((open ? open : xml->end) - xml->at);
            xml->at += *length;
            return MLF_XML_TEXT;
        }
        int passed = pass_over(xml);
        if (passed < 0)
            return MLF_XML_BROKEN;
        if (!passed)
            return read_tag(xml, text, length, empty);
    }
}

/* Writes a code point as UTF-8; how many bytes, 0 for what is none. */
static size_t put_point(char *out, unsigned long point)
{
    if (!point || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
        return 0;
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    size_t n = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i; i--, point >>= 6)
        out[i] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)(point | (n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0));
    return n;
}

/* The entity at text ("&…;" is length bytes) as bytes in out; 0 when it is none that XML has. */
static size_t decode_entity(char *out, const char *text, size_t length)
{
    static const struct {
        const char *name, byte;
    } named[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    char body[12];
    if (length < 3 || length - 2 >= sizeof body)
        return 0;
    memcpy(body, text + 1, length - 2);
    body[length - 2] = '\0';
    if (*body == '#') {
        int is_hex = body[1] == 'x';
        char *end = body;
        unsigned long point = strtoul(body + 1 + is_hex, &end, is_hex ? 16 : 10);
        return *end || end == body + 1 + is_hex ? 0 : put_point(out, point);
    }
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (!strcmp(named[i].name, body)) {
            *out = named[i].byte;
            return 1;
        }
    return 0;
}

char *mlf_xml_decode(const char *text, size_t length)
{
    char *out = sv_malloc(length + 1);
    size_t used = 0;
    for (size_t i = 0; out && i < length;) {
        if (text[i] == '\0')
            goto broken;
        if (text[i] != '&') {
            out[used++] = text[i++];
            continue;
        }
        const char *end = memchr(text + i, ';', length - i);
        size_t entity = end ? (size_t)(end - text) - i + 1 : 0, wrote = end ? decode_entity(out + used, text + i, entity) : 0;
        if (!wrote)
            goto broken;
        used += wrote;
        i += entity;
    }
    if (out)
        out[used] = '\0';
    return out;
broken:
    sv_free(out);
    return NULL;
}

char *mlf_xml_find(const char *text, size_t length, const char *name)
{
    mlf_xml xml = {text, text + length};
    const char *found;
    size_t size;
    int empty;
    for (mlf_xml_event event; (event = mlf_xml_next(&xml, &found, &size, &empty)) < MLF_XML_END;)
        if (event == MLF_XML_OPEN && !empty && size == strlen(name) && !memcmp(found, name, size))
            return mlf_xml_next(&xml, &found, &size, &empty) == MLF_XML_TEXT ? mlf_xml_decode(found, size) : NULL;
    return NULL;
}
