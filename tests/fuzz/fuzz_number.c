#include "number.h"

#include <stdint.h>
#include <stdlib.h>

/* What was read as a number survives being written and read again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double value, back;
    int64_t integer;
    sv_parse_int64((const char *)data, size, &integer);
    if (sv_parse_double((const char *)data, size, &value) || value != value)
        return 0;
    char text[SV_NUMBER_SIZE];
    int length = sv_format_double(text, value);
    if (sv_parse_double(text, (size_t)length, &back) || back != value)
        abort();
    return 0;
}
