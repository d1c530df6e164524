/* text.h: UTF-8, and the text of others on a terminal. */
#ifndef SV_TEXT_H
#define SV_TEXT_H

#include "buffer.h"

#include <stddef.h>
#include <stdint.h>

/* The UTF-8 character at the beginning of text[0..length): its bytes, 1 to 4, and *point (NULL: nobody asks); 0 when no well-formed one stands there. */
size_t sv_utf8_read(uint32_t *point, const char *text, size_t length);

/* text[0..length) as one line that cannot drive a terminal: control characters (\n, \t, \r, else as \u001b; C1 too) and those that break or turn lines
   (\u2028, \u202e) are spelt out, bytes that are no UTF-8 as \xff. Cut between characters where it is longer than size - 1 bytes; NUL-terminated. Returns
   the bytes written. A JSON text stays the same JSON. */
size_t sv_text_line(char *into, size_t size, const char *text, size_t length);

/* Appends the same, whole. 0 or an sv_code. */
int sv_text_append_line(sv_buffer *out, const char *text, size_t length);

#endif
