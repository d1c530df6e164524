/* Any bytes as JSON: the tree, once read, must be writable. */
#include "json_value.h"
#include "json_out.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static size_t count(const sv_json *value, sv_buffer *out)
{
    size_t n = 1;
    if (value->kind == SV_JSON_TEXT)
        sv_json_write_text(out, value->text);
    else if (value->kind == SV_JSON_REAL || value->kind == SV_JSON_BIG)
        sv_json_write_double(out, value->real);
    else if (value->kind == SV_JSON_LIST || value->kind == SV_JSON_OBJECT)
        for (uint32_t i = 0; i < value->n; i++) {
            if (value->kind == SV_JSON_OBJECT)
                sv_json_write_text(out, value->names[i]);
            n += count(&value->items[i], out);
        }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    sv_arena arena = SV_ARENA_INIT(4096, 1u << 24);
    sv_buffer out = SV_BUFFER_INIT(1u << 24);
    sv_json_fault fault;
    sv_span text;
    const sv_json *value = NULL;
    if (sv_json_as_utf8(&arena, (sv_span){(const char *)bytes, size}, &text, &fault) == 0)
        value = sv_json_read(&arena, text, &fault);
    if (value && count(value, &out) > size + 1)
        __builtin_trap();
    sv_buffer_free(&out);
    sv_arena_free(&arena);
    return 0;
}
