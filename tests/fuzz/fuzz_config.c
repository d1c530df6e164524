#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Any bytes: a configuration or an error with a message; what was taken prints, and reads back. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sv_config *config, *again;
    sv_error error = SV_ERROR_INIT;
    if (sv_config_parse(&config, "fuzz.yaml", (const char *)data, size, NULL, &error)) {
        if (!error.code || !error.message[0])
            abort();
        return 0;
    }
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    sv_config_print(config, file);
    fclose(file);
    if (sv_config_parse(&again, "again.yaml", text, length, NULL, &error)) {
        fprintf(stderr, "%s in\n%s", error.message, text);
        abort();
    }
    sv_config_free(again);
    sv_config_free(config);
    free(text);
    return 0;
}
