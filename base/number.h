/* number.h: text to number and back, whatever the locale. */
#ifndef SV_NUMBER_H
#define SV_NUMBER_H

#include <stddef.h>
#include <stdint.h>

/* The whole of text[0..length) as a decimal number (sign, digits, point, exponent; also nan, inf, infinity in any case): correctly rounded.
   Returns 0, or -1 when it is something else (blanks, hexadecimal, empty). Values beyond the range give ±inf or ±0. Reads only those bytes. */
int sv_parse_double(const char *text, size_t length, double *value);

/* The whole of text[0..length) as a decimal integer with an optional sign: 0, or -1 when it is not one or does not fit. */
int sv_parse_int64(const char *text, size_t length, int64_t *value);

#define SV_NUMBER_SIZE 32

/* The shortest decimal that reads back as value, the nearest of those, laid out as Python's repr: 1.0, 0.1, 1e-05, 1.5e+16. Not NUL-terminated; returns
   the length. value must be finite. */
size_t sv_double_text(char out[SV_NUMBER_SIZE], double value);
size_t sv_long_text(char out[SV_NUMBER_SIZE], int64_t value); /* likewise */

/* The same digits for people and files, NUL-terminated: without the ".0" of a whole number; "NaN", "Infinity", "-Infinity" for those. Returns the length. */
int sv_format_double(char out[SV_NUMBER_SIZE], double value);

#endif
