/* spill.h: large blocks of memory in files, for alloc.c alone. */
#ifndef SV_SPILL_H
#define SV_SPILL_H

#include <stddef.h>

int sv_spills(void);                    /* 1 when large blocks go to a folder */
void *sv_spill_new(size_t size);        /* zeroed, at a page's beginning; NULL: no room there */
size_t sv_spill_size(const void *block); /* 0 when block is none of these; accepts NULL */
int sv_spill_free(void *block);         /* 1 when it was one of these */

#endif
