/* secret.h: bytes that nobody may guess or read afterwards. */
#ifndef SV_SECRET_H
#define SV_SECRET_H

#include "buffer.h"

#include <stddef.h>

void sv_secret_wipe(void *bytes, size_t length); /* zeroes, and the compiler may not leave it out; accepts NULL */
int sv_secret_equal(const void *a, const void *b, size_t length); /* 1 or 0, in a time that does not depend on the bytes */

/* An address as anybody may see it: asterisks in the place of user-info and query. A new text (sv_free), NULL when memory is out; what has no "://" is copied. */
char *sv_secret_hidden(const char *uri);

/* Appends one word of a command line as anybody may see it: asterisks for the value of an option or assignment whose name says that it is secret (--password X,
   API_TOKEN=X, also in the text of sh -c), for what follows "Authorization:" and "Bearer", for the login and query of an address. *hide: 0 before the first
   word; passed on from word to word. 0 or an sv_code. */
int sv_secret_append_word(sv_buffer *out, const char *word, int *hide);

#endif
