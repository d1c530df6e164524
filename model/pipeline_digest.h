/* pipeline_digest.h: SHA-256 as text. Private to model/. */
#ifndef SV_DIGEST_H
#define SV_DIGEST_H

#include <stddef.h>

/* 64 lower-case hexadecimal digits and NUL. 0 or SV_E_MEMORY. */
int sv_sha256_text(char out[65], const void *bytes, size_t length);

#endif
