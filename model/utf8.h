/* utf8.h: is it well-formed UTF-8 (Unicode 15, table 3-7)? Private to model/. */
#ifndef SV_UTF8_H
#define SV_UTF8_H

#include <stddef.h>

/* Bytes of the character that text[0..length) begins with, or 0 when it begins with none. length > 0. */
size_t sv_utf8_character(const char *text, size_t length);

int sv_utf8_whole(const char *text, size_t length); /* 1: nothing but characters */

#endif
