#include "alloc.h"
#include "uri.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What was taken apart has every part, and a plain path has no host. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = sv_strndup((const char *)data, size);
    mlf_uri uri;
    if (text && !mlf_uri_parse(&uri, text, NULL)) {
        if (!uri.authority || !uri.path || !uri.query || (!*uri.scheme && *uri.authority))
            abort();
        char *joined = mlf_uri_join(uri.path, uri.query);
        if (!joined || strlen(joined) > strlen(uri.path) + strlen(uri.query) + 1)
            abort();
        sv_free(joined);
        mlf_uri_free(&uri);
    }
    sv_free(text);
    return 0;
}
