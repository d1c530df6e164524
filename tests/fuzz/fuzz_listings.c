/* Pages of the listings of s3: and gs: stores, and of the tracking server's own tree. */
#include "alloc.h"
#include "gs.h"
#include "proxy.h"
#include "s3.h"

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

/* The tree's walk checks the names of this one, the empty one too. */
static int count_files(void *context, const mlf_entry *entry, mlf_error *error)
{
    (void)error;
    if (!entry->name || entry->size_bytes < -1 || (entry->is_dir && entry->size_bytes != -1))
        abort();
    return ++*(int *)context > 1000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int (*const readers[])(const char *, size_t, const char *, mlf_entry_fn *, void *, char **, mlf_error *) = {mlf_s3_read_listing, mlf_gs_read_listing};
    static const char *const prefixes[] = {"", "x/"};
    for (int i = 0; i < 4; i++) {
        int entries = 0;
        char *next = NULL;
        if (readers[i % 2]((const char *)data, size, prefixes[i / 2], count, &entries, &next, NULL) && next)
            abort();
        sv_free(next);
    }
    int files = 0;
    mlf_proxy_read_listing((const char *)data, size, count_files, &files, NULL);
    return 0;
}
