/* frame_date.h: cells of a request as days since 1970, as pandas' to_datetime and numpy's datetime64[ns] read them; leaves out what they only guess at
   (6 May 2024, 05/06/2024, "now"), which is refused, and years that nanoseconds in a long cannot hold, which numpy wraps into another century. */
#ifndef SV_FRAME_DATE_H
#define SV_FRAME_DATE_H

#include "json_value.h"

#include <stddef.h>

#define SV_FRAME_LAST_DAY 106751 /* whole days that nanoseconds in a long can hold, on either side of 1970 */

typedef enum sv_date_fault { SV_DATE_FINE, SV_DATE_NO_DATE, SV_DATE_ZONED } sv_date_fault;

/* A split's or records' column: numbers are nanoseconds; texts are all written alike; missing ones are NaN. SV_DATE_ZONED: dates with a zone, which the
   signature does not take. *bad: the row at fault. days: (n_rows). */
sv_date_fault sv_frame_dates(const sv_json *const *cells, size_t n_rows, double *days, size_t *bad);

/* One value of instances or inputs: numbers and truths are nanoseconds, texts of any ISO form, a zone is applied. 0, or -1. cell NULL: missing. */
int sv_frame_array_date(const sv_json *cell, double *days);

/* One value of /predict: a text YYYY-MM-DD, a time of day behind it is dropped. 0, or -1. */
int sv_frame_plain_date(const sv_json *cell, double *days);

#endif
