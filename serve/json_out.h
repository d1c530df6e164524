/* json_out.h: JSON text as Python's json.dumps writes it: ASCII, shortest doubles. */
#ifndef SV_JSON_OUT_H
#define SV_JSON_OUT_H

#include "buffer.h"
#include "span.h"

#include <stdint.h>

/* "text" in quotes; beyond ASCII \uXXXX (surrogate pairs), a broken UTF-8 byte is U+FFFD; encoded lone surrogates come back as they were. */
int sv_json_write_text(sv_buffer *buffer, sv_span text);

/* The shortest decimal that reads back as value, laid out as Python's repr: 1.0, 0.1, 1e-05, 1.5e+16. NaN and infinities: null. */
int sv_json_write_double(sv_buffer *buffer, double value);

int sv_json_write_long(sv_buffer *buffer, int64_t value);

#define SV_DOUBLE_CHARS 32

/* The same into out, not NUL-terminated; returns the length. value must be finite. */
size_t sv_double_text(char out[SV_DOUBLE_CHARS], double value);
size_t sv_long_text(char out[SV_DOUBLE_CHARS], int64_t value);

#endif
