#include "validate.h"

#include "client_error.h"
#include "text.h"

#include <float.h>
#include <math.h>
#include <string.h>
#include <strings.h>

/* One UTF-8 character at *text (which ends in NUL): its code point, and *text moved behind it; -1 when it is not valid.
 */
static long next_character(const char **text)
{
    uint32_t point;
    size_t bytes = sv_utf8_read(&point, *text, strnlen(*text, 4));
    *text += bytes;
    return bytes ? (long)point : -1;
}

size_t mlf_text_length(const char *text)
{
    size_t characters = 0;
    while (*text) {
        if (next_character(&text) < 0) return SIZE_MAX;
        characters++;
    }
    return characters;
}

size_t mlf_text_cut(const char *text, size_t max_characters)
{
    const char *end = text;
    for (size_t i = 0; i < max_characters && *end; i++)
        if (next_character(&end) < 0) break;
    return (size_t)(end - text);
}

static int ascii_word(long c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* \w of Python's re on ASCII; above it, letters and digits are taken and what surely is none (controls, blanks, general
   punctuation, symbols) is refused. The server has the last word on rarer characters. */
static int word_character(long c)
{
    if (c < 0x80) return ascii_word(c);
    if (c < 0xC0)
        return c == 0xAA || c == 0xB2 || c == 0xB3 || c == 0xB5 || c == 0xB9 || c == 0xBA || (c >= 0xBC && c <= 0xBE);
    return c != 0xD7 && c != 0xF7 && !(c >= 0x2000 && c <= 0x206F) && !(c >= 0x2190 && c <= 0x245F) &&
           !(c >= 0x2500 && c <= 0x2BFF) && !(c >= 0x3000 && c <= 0x3004) && !(c >= 0x3008 && c <= 0x3020) &&
           !(c >= 0xE000 && c <= 0xF8FF) && !(c >= 0xFE00 && c <= 0xFE0F) && !(c >= 0x1F000 && c <= 0x1FAFF);
}

/* 1 when the path has no leading, doubled or trailing '/', and no "." or ".." segment. */
static int path_is_normal(const char *path)
{
    const char *segment = path;
    for (;;) {
        size_t length = strcspn(segment, "/");
        if (length == 0 || (length == 1 && segment[0] == '.') ||
            (length == 2 && segment[0] == '.' && segment[1] == '.'))
            return 0;
        if (!segment[length]) return 1;
        segment += length + 1;
    }
}

int mlf_check_key(const char *what, const char *key, mlf_error *error)
{
    if (!key || !*key) return mlf_error_set(error, MLF_E_ARGUMENT, "%s key: expected a name, got nothing", what);
    size_t characters = 0;
    for (const char *at = key; *at; characters++) {
        const char *here = at;
        long c = next_character(&at);
        if (c < 0)
            return mlf_error_set(error, MLF_E_ARGUMENT, "%s key: not valid UTF-8 at byte %zu", what,
                                 (size_t)(here - key));
        if (!word_character(c) && c != '/' && c != '.' && c != '-' && c != ' ' && c != ':')
            return mlf_error_set(error, MLF_E_ARGUMENT,
                                 "%s key \"%.80s\": letters, digits, '_', '-', '.', ' ', ':' and '/' are allowed, got "
                                 "U+%04lX at character %zu",
                                 what, key, (unsigned long)c, characters);
        if (characters >= MLF_MAX_KEY)
            return mlf_error_set(error, MLF_E_ARGUMENT, "%s key \"%.60s…\": more than %d characters", what, key,
                                 MLF_MAX_KEY);
    }
    if (!path_is_normal(key))
        return mlf_error_set(
            error, MLF_E_ARGUMENT,
            "%s key \"%.80s\": must not begin or end with '/', nor hold '//', '.' or '..' as a segment", what, key);
    return MLF_OK;
}

int mlf_check_text(const char *what, const char *value, size_t max_characters, mlf_error *error)
{
    size_t characters = mlf_text_length(value);
    if (characters == SIZE_MAX) return mlf_error_set(error, MLF_E_ARGUMENT, "%s: not valid UTF-8", what);
    if (characters > max_characters)
        return mlf_error_set(error, MLF_E_ARGUMENT, "%s: at most %zu characters, got %zu", what, max_characters,
                             characters);
    return MLF_OK;
}

/* [A-Za-z0-9][\w-]{0,max-1} */
static int is_identifier(const char *id, size_t max)
{
    if (!id || !ascii_word(id[0]) || id[0] == '_') return 0;
    size_t length = 1;
    while (ascii_word(id[length]) || id[length] == '-')
        length++;
    return !id[length] && length <= max;
}

int mlf_check_run_id(const char *run_id, mlf_error *error)
{
    if (is_identifier(run_id, 256)) return MLF_OK;
    return mlf_error_set(error, MLF_E_ARGUMENT,
                         "run id: expected letters, digits, '_' and '-' (at most 256), got \"%.80s\"",
                         run_id ? run_id : "");
}

int mlf_check_experiment_id(const char *id, mlf_error *error)
{
    if (is_identifier(id, 64)) return MLF_OK;
    return mlf_error_set(error, MLF_E_ARGUMENT, "experiment id: expected a decimal number, got \"%.80s\"",
                         id ? id : "");
}

int mlf_check_model_id(const char *model_id, mlf_error *error)
{
    if (is_identifier(model_id, 256) && !strncmp(model_id, "m-", 2) && model_id[2]) return MLF_OK;
    return mlf_error_set(error, MLF_E_ARGUMENT, "model id: expected \"m-\" and 32 hexadecimal digits, got \"%.80s\"",
                         model_id ? model_id : "");
}

int mlf_check_version(const char *version, mlf_error *error)
{
    size_t length = version ? strspn(version, "0123456789") : 0;
    if (length && length <= 18 && !version[length]) return MLF_OK;
    return mlf_error_set(error, MLF_E_ARGUMENT, "model version: expected a decimal number, got \"%.80s\"",
                         version ? version : "");
}

int mlf_check_alias(const char *alias, mlf_error *error)
{
    size_t length = 0;
    while (alias && (ascii_word(alias[length]) || alias[length] == '-'))
        length++;
    if (!length || alias[length] || length > MLF_MAX_ALIAS)
        return mlf_error_set(error, MLF_E_ARGUMENT,
                             "alias: expected letters, digits, '_' and '-' (at most %d), got \"%.80s\"", MLF_MAX_ALIAS,
                             alias ? alias : "");
    if (!strcasecmp(alias, "latest")) return mlf_error_set(error, MLF_E_ARGUMENT, "alias: \"latest\" is reserved");
    if ((alias[0] == 'v' || alias[0] == 'V') && alias[1] && strspn(alias + 1, "0123456789") == length - 1)
        return mlf_error_set(error, MLF_E_ARGUMENT, "alias: \"%.80s\" looks like a version; v and digits are reserved",
                             alias);
    return MLF_OK;
}

int mlf_check_registered_name(const char *name, mlf_error *error)
{
    if (!name || !name[strspn(name, " \t\r\n")])
        return mlf_error_set(error, MLF_E_ARGUMENT, "registered model name: must not be blank");
    if (strpbrk(name, "/:") || !strcmp(name, ".") || !strcmp(name, ".."))
        return mlf_error_set(error, MLF_E_ARGUMENT, "registered model name: '/' and ':' are not allowed, got \"%.80s\"",
                             name);
    return mlf_check_text("registered model name", name, 256, error);
}

int mlf_check_logged_model_name(const char *name, mlf_error *error)
{
    if (!name || !*name) return mlf_error_set(error, MLF_E_ARGUMENT, "model name: must not be empty");
    if (strpbrk(name, "/:.%\"'"))
        return mlf_error_set(error, MLF_E_ARGUMENT, "model name: none of / : . %% \" ' is allowed, got \"%.80s\"",
                             name);
    return mlf_check_text("model name", name, 256, error);
}

int mlf_check_workspace(const char *name, mlf_error *error)
{
    size_t length = name ? strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") : 0;
    if (!length || name[length] || name[0] == '-' || name[length - 1] == '-' || length > 63)
        return mlf_error_set(error, MLF_E_ARGUMENT,
                             "workspace: expected lower-case letters, digits and '-' between them, got \"%.80s\"",
                             name ? name : "");
    return MLF_OK;
}

json_t *mlf_json_double(double value)
{
    if (isnan(value)) return json_string("NaN");
    if (isinf(value)) return json_string(value > 0 ? "Infinity" : "-Infinity");
    return json_real(value);
}

int mlf_json_to_double(const json_t *value, double *out)
{
    if (json_is_number(value)) {
        *out = json_number_value(value);
        if (*out == DBL_MAX) *out = INFINITY;
        if (*out == -DBL_MAX) *out = -INFINITY;
        return 0;
    }
    const char *text = json_string_value(value);
    if (!text) return -1;
    if (!strcmp(text, "NaN"))
        *out = NAN;
    else if (!strcmp(text, "Infinity"))
        *out = INFINITY;
    else if (!strcmp(text, "-Infinity"))
        *out = -INFINITY;
    else
        return -1;
    return 0;
}
