/* json_out.h: JSON text as Python's json.dumps writes it: ASCII, shortest doubles. */
#ifndef SV_JSON_OUT_H
#define SV_JSON_OUT_H

#include "buffer.h"
#include "number.h"
#include "span.h"

#include <stdint.h>

/* "text" in quotes; beyond ASCII \uXXXX (surrogate pairs), a broken UTF-8 byte is U+FFFD; encoded lone surrogates come back as they were. */
int sv_json_write_text(sv_buffer *buffer, sv_span text);

/* The shortest decimal that reads back as value, laid out as Python's repr: 1.0, 0.1, 1e-05, 1.5e+16. NaN and infinities: null. */
int sv_json_write_double(sv_buffer *buffer, double value);

int sv_json_write_long(sv_buffer *buffer, int64_t value);

#endif
