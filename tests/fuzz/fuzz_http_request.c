/* Any bytes as the head of a request, and as a chunked body that arrives in two parts. */
#include "http_request.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const sv_http_limits limits = {500, 2000, 10000};
    sv_http_request request;
    const char *text = (const char *)bytes;
    int used = sv_http_parse_head(&request, text, size, &limits);
    if (used > (int)size || (used > 0 && request.head_size != (size_t)used))
        abort();
    if (used > 0)
        for (size_t i = 0; i < request.n_headers; i++)
            if (request.headers[i].name.text < text || request.headers[i].value.text + request.headers[i].value.size > text + used)
                abort();
    char *copy = malloc(size + 1);
    if (!copy)
        return 0;
    memcpy(copy, bytes, size);
    sv_chunked state = {0};
    int whole = sv_http_decode_chunks(&state, copy, size / 2, limits.max_body_bytes);
    if (whole == 0)
        sv_http_decode_chunks(&state, copy, size, limits.max_body_bytes);
    if (state.out > state.in || state.in > size)
        abort();
    free(copy);
    return 0;
}
