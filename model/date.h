/* date.h: days since 1970-01-01 of the proleptic Gregorian calendar, and their text. Leaves out: times of day, zones, locales. */
#ifndef SV_DATE_H
#define SV_DATE_H

#include <stddef.h>

/* text[0..length): YYYY-MM-DD, optionally followed by 'T' or a blank and a time of day, which is checked for its characters and dropped. Years 0001 to
   9999, real days only. 0, or -1. */
int sv_date_parse(const char *text, size_t length, double *days);

/* Days from a civil date (month 1 … 12, day 1 … 31; out of range is carried over). */
long sv_date_days(long year, int month, int day);

#define SV_DATE_SIZE 16
/* "YYYY-MM-DD", NUL-terminated; "" for a missing date or one outside the years 0001 … 9999. */
void sv_date_format(char out[SV_DATE_SIZE], double days);

#endif
