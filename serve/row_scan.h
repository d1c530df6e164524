/* row_scan.h: the usual bodies straight into a model's columns: one pass, no tree, no allocation. Strict; whatever is unusual (escapes, nulls, numbers
   in quotes, doubled or unknown shapes, any error) is left to the careful path (json_value.h, frame.h), which then answers or refuses. */
#ifndef SV_ROW_SCAN_H
#define SV_ROW_SCAN_H

#include "buffer.h"
#include "served.h"

/* Each appends the whole answer to json and returns the number of rows; -1 when the body is not a usual one: what was appended is to be dropped. */

/* {"dataframe_split": …}, {"dataframe_records": …}, {"instances": […]}, {"inputs": …} -> {"predictions": […]} */
long sv_scan_invocation(const sv_served *served, sv_batch *batch, sv_span body, size_t max_rows, sv_buffer *json);

/* One object -> an object; an array of objects -> an array. Texts beyond a strict choice are unusual. */
long sv_scan_prediction(const sv_served *served, sv_batch *batch, sv_span body, size_t max_rows, sv_buffer *json);

/* Lines with a header -> {"predictions": […]} */
long sv_scan_csv(const sv_served *served, sv_batch *batch, sv_span body, size_t max_rows, sv_buffer *json);

/* A plain decimal number at *p, strict as JSON's: 0 and *p behind it; -1 when it is something else or needs the careful path. */
int sv_scan_number(const char **p, const char *end, int whole, double *value);

#endif
