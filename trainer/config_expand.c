/* config_expand.c: ${NAME} in values, and what of a value may be shown. */
#include "buffer.h"
#include "config_memory.h"
#include "alloc.h"
#include "secret.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static int sounds_secret(const char *name, size_t length)
{
    static const char *const words[] = {"KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "AUTH"};
    for (size_t w = 0; w < sizeof words / sizeof *words; w++)
        if (memmem(name, length, words[w], strlen(words[w])))
            return 1;
    return 0;
}

/* One ${…}, *at on its '$'; moves past it. */
static int expand_one(sv_buffer *out, const char **at, int *secret, sv_error *error)
{
    const char *name = *at + 2, *end = strchr(name, '}');
    size_t length = 0;
    while (isalnum((unsigned char)name[length]) || name[length] == '_')
        length++;
    const char *after = name + length;
    int has_else = after[0] == ':' && after[1] == '-';
    if (!end || !length || length > 200 || (after != end && !has_else))
        return sv_error_set(error, SV_E_CONFIG, "expected ${NAME} or ${NAME:-else}, got %.60s", *at);
    char variable[201];
    memcpy(variable, name, length);
    variable[length] = '\0';
    const char *value = getenv(variable);
    *at = end + 1;
    if (value) {
        *secret |= sounds_secret(variable, length);
        return sv_buffer_text(out, value);
    }
    if (has_else)
        return sv_buffer_append(out, after + 2, (size_t)(end - after - 2));
    return sv_error_set(error, SV_E_CONFIG, "environment variable %s is not set", variable);
}

static void hide(sv_config *config, const char *value, const char *shown)
{
    sv_config_memory *m = config->memory;
    if (m->n_hidden < SV_CONFIG_HIDDEN_MAX) {
        m->hidden[m->n_hidden].value = value;
        m->hidden[m->n_hidden++].shown = shown;
    }
}

const char *sv_config_expand(sv_config *config, const char *text, sv_error *error)
{
    if (!strstr(text, "${"))
        return text;
    sv_buffer out = SV_BUFFER_INIT(1 << 20);
    int code = 0, secret = 0;
    for (const char *at = text; *at && !code;) {
        if (!strncmp(at, "$${", 3)) {
            code = sv_buffer_text(&out, "${");
            at += 3;
        } else if (!strncmp(at, "${", 2)) {
            code = expand_one(&out, &at, &secret, error);
        } else {
            code = sv_buffer_byte(&out, *at++);
        }
    }
    if (!code && secret && config->memory->n_hidden == SV_CONFIG_HIDDEN_MAX)
        code = sv_error_set(error, SV_E_CONFIG, "too many secrets");
    const char *result = code ? NULL : sv_arena_strndup(&config->memory->arena, out.data ? out.data : "", out.size);
    sv_buffer_free(&out);
    if (!result) {
        sv_error_set(error, code ? code : SV_E_MEMORY, code == SV_E_LIMIT ? "too long" : "out of memory");
        return NULL;
    }
    if (secret)
        hide(config, result, text);
    return result;
}

static const char *hidden_as(const sv_config *config, const char *value)
{
    const sv_config_memory *m = config->memory;
    for (size_t i = 0; i < m->n_hidden; i++)
        if (m->hidden[i].value == value)
            return m->hidden[i].shown;
    return NULL;
}

int sv_config_is_hidden(const sv_config *config, const char *value)
{
    return hidden_as(config, value) != NULL;
}

const char *sv_config_shown(const sv_config *config, const char *value)
{
    const char *written = hidden_as(config, value);
    if (written)
        return written;
    char *hidden = strstr(value, "://") ? sv_secret_hidden(value) : NULL;
    if (!strstr(value, "://") || (hidden && !strcmp(hidden, value))) {
        sv_free(hidden);
        return value;
    }
    const char *shown = hidden ? sv_arena_strdup(&config->memory->arena, hidden) : NULL;
    sv_free(hidden);
    return shown ? shown : "***";
}
