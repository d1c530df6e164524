/* json_text.h: JSON as bytes in a buffer. */
#ifndef MLF_JSON_TEXT_H
#define MLF_JSON_TEXT_H

#include "buffer.h"

#include <jansson.h>

/* Appends the value in compact form; 0 or an sv_code, with the buffer as before. */
int mlf_json_text(sv_buffer *buffer, const json_t *value);

/* Appends text[0..length) as a JSON string with its quotes. The text is UTF-8. */
int mlf_json_string(sv_buffer *buffer, const char *text, size_t length);

/* The value that stands in text; the caller's. SV_E_INPUT when it is no JSON, SV_E_MEMORY when it may be: jansson often calls the lack of memory bad syntax. */
int mlf_json_parse(json_t **out, const char *text, size_t length);

#endif
