#include "secret.h"

#include "alloc.h"

#include <stdio.h>
#include <string.h>

void sv_secret_wipe(void *bytes, size_t length)
{
    if (bytes)
        explicit_bzero(bytes, length);
}

int sv_secret_equal(const void *a, const void *b, size_t length)
{
    const volatile unsigned char *x = a, *y = b;
    unsigned char difference = 0;
    for (size_t i = 0; i < length; i++)
        difference |= x[i] ^ y[i];
    return difference == 0;
}

char *sv_secret_hidden(const char *uri)
{
    const char *start = strstr(uri, "://");
    start = start ? start + 3 : uri + strlen(uri);
    size_t query = strcspn(start, "?"), size = strlen(uri) + 8;
    const char *at = memrchr(start, '@', strcspn(start, "/?#")), *rest = at ? at + 1 : start;
    char *out = sv_malloc(size);
    if (out)
        snprintf(out, size, "%.*s%s%.*s%s", (int)(start - uri), uri, at ? "***@" : "", (int)(start + query - rest), rest, start[query] ? "?***" : "");
    return out;
}
