#include "ini.h"

#include "alloc.h"

#include <string.h>

struct span {
    const char *at;
    size_t length;
};

static struct span trim(const char *at, size_t length)
{
    while (length && strchr(" \t", *at))
        at++, length--;
    while (length && strchr(" \t", at[length - 1]))
        length--;
    return (struct span){at, length};
}

static int is(struct span span, const char *text)
{
    return span.length == strlen(text) && !memcmp(span.at, text, span.length);
}

char *mlf_ini_value(const char *text, const char *section, const char *key)
{
    int inside = 0;
    for (const char *line = text; *line; line += strcspn(line, "\r\n"), line += *line != '\0') { /* a lone CR ends a line for Python's reader, too */
        size_t length = strcspn(line, "\r\n");
        struct span whole = trim(line, length);
        if (!whole.length || *whole.at == '#' || *whole.at == ';')
            continue;
        if (*whole.at == '[') {
            inside = whole.at[whole.length - 1] == ']' && is(trim(whole.at + 1, whole.length - 2), section);
            continue;
        }
        const char *equals = memchr(whole.at, '=', whole.length);
        if (!inside || !equals || !is(trim(whole.at, (size_t)(equals - whole.at)), key))
            continue;
        struct span value = trim(equals + 1, whole.length - (size_t)(equals + 1 - whole.at));
        return sv_strndup(value.at, value.length);
    }
    return NULL;
}
