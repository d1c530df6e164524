/* date_format.h: dates as a file writes them, in the C locale: what strptime calls %Y %y %m %d %b %H %M %S %%, and literal text. */
#ifndef SV_DATE_FORMAT_H
#define SV_DATE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

/* The whole of text[0..length) as days since 1970-01-01; the time of day is checked and dropped. 0, or -1 when it is no such date (1 … 9999). */
int sv_date_scan(int64_t *days, const char *text, size_t length, const char *format);

/* The civil date of a day since 1970-01-01: the inverse of date.h's sv_date_days (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
void sv_date_civil(int64_t days, int64_t *year, int *month, int *day);

#endif
