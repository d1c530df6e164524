#include "secret.h"

#include <string.h>

void sv_secret_wipe(void *bytes, size_t length)
{
    if (bytes)
        explicit_bzero(bytes, length);
}

int sv_secret_equal(const void *a, const void *b, size_t length)
{
    const volatile unsigned char *x = a, *y = b;
    unsigned char difference = 0;
    for (size_t i = 0; i < length; i++)
        difference |= x[i] ^ y[i];
    return difference == 0;
}
