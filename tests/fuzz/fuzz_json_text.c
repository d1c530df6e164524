/* Any bytes as JSON for the client: read as jansson reads them, or refused as it refuses them; what was read is written and read again alike. */
#include "json_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_and_read(const json_t *value)
{
    sv_buffer text = SV_BUFFER_INIT(0);
    json_t *again = NULL;
    if (mlf_json_text(&text, value) || mlf_json_parse(&again, text.data, text.size, 1, NULL) || !json_equal(value, again))
        abort();
    json_decref(again);
    sv_buffer_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    for (int unique = 0; unique < 2; unique++) {
        json_t *ours = NULL, *theirs = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL | (unique ? JSON_REJECT_DUPLICATES : 0), NULL);
        mlf_json_fault fault = {0};
        int code = mlf_json_parse(&ours, text, size, unique, &fault);
        int has_nul = memchr(text, '\0', size) != NULL; /* jansson passes over one behind a number */
        int too_deep = code && fault.why && !strcmp(fault.why, "nested too deep");
        if ((code == 0) != (ours != NULL) || (code && (!fault.why || fault.line < 1 || fault.column < 1)))
            abort();
        if (!too_deep && !(has_nul && !ours) && ((ours != NULL) != (theirs != NULL) || (ours && !json_equal(ours, theirs))))
            abort();
        if (ours)
            write_and_read(ours);
        json_decref(ours);
        json_decref(theirs);
    }
    return 0;
}
