/* secret.h: bytes that nobody may guess or read afterwards. */
#ifndef SV_SECRET_H
#define SV_SECRET_H

#include <stddef.h>

void sv_secret_wipe(void *bytes, size_t length); /* zeroes, and the compiler may not leave it out; accepts NULL */
int sv_secret_equal(const void *a, const void *b, size_t length); /* 1 or 0, in a time that does not depend on the bytes */

/* An address as anybody may see it: asterisks in the place of user-info and query. A new text (sv_free), NULL when memory is out; what has no "://" is copied. */
char *sv_secret_hidden(const char *uri);

#endif
