/* package_json.h: writing JSON piece by piece into a buffer, in one line, in the order given. Private to model/. */
#ifndef SV_PACKAGE_JSON_H
#define SV_PACKAGE_JSON_H

#include "buffer.h"

/* A string with its quotes. SV_E_INPUT when it is not UTF-8. */
int sv_json_string(sv_buffer *json, const char *text, size_t length);
int sv_json_text(sv_buffer *json, const char *text); /* NULL becomes null */

/* The shortest text that reads back as the same double; NaN becomes null. SV_E_NUMERIC for an infinity. */
int sv_json_number(sv_buffer *json, double number);
int sv_json_numbers(sv_buffer *json, const double *numbers, size_t n); /* an array */

#endif
