/* buffer.h: growable bytes with a ceiling. Always NUL-terminated once something was appended. */
#ifndef SV_BUFFER_H
#define SV_BUFFER_H

#include <stddef.h>

typedef struct sv_buffer {
    char *data;  /* NULL while empty and never grown */
    size_t size; /* bytes used, without the NUL */
    size_t capacity;
    size_t max; /* ceiling for size, bytes; 0: no ceiling */
} sv_buffer;

#define SV_BUFFER_INIT(max_bytes) {NULL, 0, 0, (max_bytes)}

/* Each returns 0, SV_E_MEMORY or SV_E_LIMIT; on failure the buffer is as before. */
int sv_buffer_reserve(sv_buffer *buffer, size_t more); /* room for `more` further bytes and the NUL */
int sv_buffer_append(sv_buffer *buffer, const void *bytes, size_t length);
int sv_buffer_text(sv_buffer *buffer, const char *text);
int sv_buffer_byte(sv_buffer *buffer, char byte);
int sv_buffer_format(sv_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

void sv_buffer_clear(sv_buffer *buffer); /* size 0, memory kept */
void sv_buffer_free(sv_buffer *buffer);  /* memory freed, ceiling kept; may be used again */

/* Hands the bytes to the caller (sv_free), NUL-terminated, and empties the buffer. NULL only when memory is out. */
char *sv_buffer_take(sv_buffer *buffer);

#endif
