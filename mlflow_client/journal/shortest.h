/* shortest.h: doubles as JSON, fast: the shortest digits that read back as the same double, the nearest of them. For finite numbers and the three others.
   Source: Raffaello Giulietti, "The Schubfach way to render doubles" (2020). base/number.h does the same by printf, some thirty times slower. */
#ifndef MLF_SHORTEST_H
#define MLF_SHORTEST_H

#include <stddef.h>

enum { MLF_SHORTEST_SIZE = 32 }; /* bytes that are enough for either */

/* Writes a JSON number, or the strings "NaN", "Infinity", "-Infinity" with their quotes, as MLflow wants them. Returns the length; no NUL. Any thread. */
size_t mlf_format_double(char *out, double value);

/* An integer in decimal; returns the length; no NUL. */
size_t mlf_format_int64(char *out, long long value);

#endif
