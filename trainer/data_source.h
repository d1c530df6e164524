/* data_source.h: where a table's bytes come from: a file, standard input, a URI, the generated world; compressed or not. Leaves out: what the bytes mean (csv.h). */
#ifndef SV_DATA_SOURCE_H
#define SV_DATA_SOURCE_H

#include "buffer.h"
#include "error.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes that can be read anywhere, by several threads at once. */
typedef struct sv_source {
    char *name;     /* as it may be shown; owned */
    int descriptor; /* a regular file, or -1 when the bytes are in memory */
    char *memory;   /* (size), owned when own_memory; NULL for a file */
    int own_memory;
    uint64_t size;  /* bytes */
} sv_source;

#define SV_SOURCE_INIT {.descriptor = -1}

/* Opens uri: a path, "-", "file://…", "generate:rows=N,seed=S", or a URI of a store (mlflow_client.h's mlf_source_open); gzip is undone (in memory). SV_E_IO, SV_E_INPUT, SV_E_LIMIT. */
int sv_source_open(sv_source *source, const char *uri, sv_error *error);

/* Bytes that the caller keeps until the source is closed; name is copied. */
int sv_source_from_memory(sv_source *source, const char *name, const char *bytes, size_t size, sv_error *error);

/* Fills out with bytes [offset, offset + length), as far as there are some; *got tells how many. Any thread. */
int sv_source_read(const sv_source *source, uint64_t offset, void *out, size_t length, size_t *got, sv_error *error);

void sv_source_close(sv_source *source); /* accepts one that was never opened */

#endif
