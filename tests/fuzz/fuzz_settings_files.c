/* Small files that the client reads with its own eyes: profiles (ini), MLmodel, what the token service says in XML. */
#include "alloc.h"
#include "ini.h"
#include "mlmodel.h"
#include "xml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A value is one trimmed line; a stamped file says what it was stamped with. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const mlf_mlmodel_place place = {"the/path", "the_run", "m-model"};
    char *text = sv_strndup((const char *)data, size), *value = NULL;
    sv_buffer stamped = SV_BUFFER_INIT(0);
    if (text && (value = mlf_ini_value(text, "default", "key")) && (strpbrk(value, "\r\n") || strlen(value) > size))
        abort();
    sv_free(value);
    if (text && !mlf_mlmodel_stamp(&stamped, text, &place) && !strstr(stamped.data, "m-model"))
        abort();
    if (text)
        json_decref(mlf_mlmodel_flavors(text));
    sv_free(mlf_xml_find((const char *)data, size, "AccessKeyId"));
    sv_buffer_free(&stamped);
    sv_free(text);
    return 0;
}
