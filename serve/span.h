/* span.h: bytes that lie in somebody else's memory, not NUL-terminated. */
#ifndef SV_SPAN_H
#define SV_SPAN_H

#include <stddef.h>
#include <string.h>

typedef struct sv_span {
    const char *text; /* borrowed */
    size_t size;      /* bytes */
} sv_span;

static inline sv_span sv_span_of(const char *text)
{
    return (sv_span){text, text ? strlen(text) : 0};
}

static inline int sv_span_is(sv_span span, const char *text)
{
    size_t size = strlen(text);
    return span.size == size && memcmp(span.text, text, size) == 0;
}

static inline int sv_span_equal(sv_span a, sv_span b)
{
    return a.size == b.size && memcmp(a.text, b.text, a.size) == 0;
}

static inline int sv_span_starts(sv_span span, const char *text)
{
    size_t size = strlen(text);
    return span.size >= size && memcmp(span.text, text, size) == 0;
}

#endif
