/* nearest.h: "did you mean": the known name closest to what was written. */
#ifndef SV_NEAREST_H
#define SV_NEAREST_H

#include <stddef.h>

/* The i-th known name, or NULL to pass over it. */
typedef const char *(*sv_nearest_lookup)(void *context, size_t i);

/* The name within a third of its length in edits (a swap of neighbours is one: optimal string alignment; Damerau 1964), the first of equals; NULL when none is near.
   Longer than 64 bytes is never near. */
const char *sv_nearest(const char *text, size_t length, sv_nearest_lookup name, void *context, size_t count);

#endif
