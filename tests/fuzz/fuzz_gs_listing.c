#include "alloc.h"
#include "gs.h"

#include <stdint.h>
#include <stdlib.h>

/* An entry's name is always a text; nothing is told after an error. */
static int count(void *context, const mlf_entry *entry, mlf_error *error)
{
    (void)error;
    if (!entry->name || !*entry->name)
        abort();
    return ++*(int *)context > 1000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const prefixes[] = {"", "x/"};
    for (int i = 0; i < 2; i++) {
        int entries = 0;
        char *next = NULL;
        if (mlf_gs_read_listing((const char *)data, size, prefixes[i], count, &entries, &next, NULL) && next)
            abort();
        sv_free(next);
    }
    return 0;
}
