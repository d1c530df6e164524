/* Small texts that the client reads with its own eyes: profiles (ini), MLmodel, and what those answer who give out keys and tokens. */
#include "alloc.h"
#include "aws_keys.h"
#include "google_token.h"
#include "ini.h"
#include "mlmodel.h"
#include "xml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What is taken is whole; what is refused leaves nothing. */
static void read_credentials(const char *text, size_t size)
{
    mlf_google_token token = {NULL, 0, "nowhere"};
    int code = mlf_google_token_read(&token, text, size, "test", NULL);
    if (!code != (token.text != NULL) || (token.text && strpbrk(token.text, "\r\n")))
        abort();
    mlf_google_token_free(&token);
    for (int is_json = 0; is_json < 2; is_json++) {
        mlf_aws_keys keys = MLF_AWS_KEYS_INIT;
        code = is_json ? mlf_aws_keys_read_json(&keys, text, size, "test", NULL) : mlf_aws_keys_read_xml(&keys, text, size, NULL);
        if (!code != (keys.id && *keys.id && keys.secret && *keys.secret))
            abort();
        mlf_aws_keys_free(&keys);
    }
}

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
    read_credentials((const char *)data, size);
    sv_buffer_free(&stamped);
    sv_free(text);
    return 0;
}
