/* output.h: a file written piece by piece that appears whole or not at all; "-" is standard output. */
#ifndef SV_OUTPUT_H
#define SV_OUTPUT_H

#include "error.h"

#include <stddef.h>

typedef struct sv_output {
    int descriptor; /* -1 when closed */
    char *path, *temporary; /* NULL for standard output */
} sv_output;

#define SV_OUTPUT_INIT {-1, NULL, NULL}

int sv_output_open(sv_output *output, const char *path, sv_error *error); /* beside path, under a temporary name; a pipe or a device is written to directly */
int sv_output_write(sv_output *output, const void *bytes, size_t length, sv_error *error);
int sv_output_commit(sv_output *output, sv_error *error); /* fsync, rename, close; on failure nothing is left behind */
/* SV_E_CONFIG when no folder can stand at path: a file in the way, or no right to write. Makes nothing. */
int sv_output_folder_check(const char *path, sv_error *error);
void sv_output_discard(sv_output *output); /* removes what was written; nothing after a commit */

#endif
