#include "pipeline_digest.h"

#include "error.h"

#include <openssl/evp.h>
#include <stdio.h>

int sv_sha256_text(char out[65], const void *bytes, size_t length)
{
    unsigned char digest[32];
    if (!EVP_Digest(bytes, length, digest, NULL, EVP_sha256(), NULL))
        return SV_E_MEMORY;
    for (int i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return 0;
}
