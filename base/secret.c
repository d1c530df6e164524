#include "secret.h"

#include "alloc.h"
#include "error.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

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

char *sv_secret_hidden(const char *uri)
{
    const char *start = strstr(uri, "://");
    start = start ? start + 3 : uri + strlen(uri);
    size_t query = strcspn(start, "?"), size = strlen(uri) + 8;
    const char *at = memrchr(start, '@', strcspn(start, "/?#")), *rest = at ? at + 1 : start;
    char *out = sv_malloc(size);
    if (out)
        snprintf(out, size, "%.*s%s%.*s%s", (int)(start - uri), uri, at ? "***@" : "", (int)(start + query - rest), rest, start[query] ? "?***" : "");
    return out;
}

/* ---- command lines ---- */

static const char breaks[] = " \t\r\n'\"`;|&()<>";

static int is_part(const char *name, size_t length, const char *wanted)
{
    return strlen(wanted) == length && !strncasecmp(name, wanted, length);
}

/* Whether a name is that of a secret: "--db-password", "HF_TOKEN", "api_key"; not "--max-tokens", "--tokenizer", "--author". */
static int is_secret_name(const char *name, size_t length)
{
    static const char *const anywhere[] = {"password", "passwd", "passphrase", "secret", "credential", "apikey"}, *const parts[] = {"token", "pass", "pwd", "authorization"},
                             *const before_key[] = {"api", "access", "private", "account", "auth", "signing", "encryption"};
    for (size_t i = 0; i < length; i++)
        for (size_t k = 0; k < sizeof anywhere / sizeof *anywhere; k++)
            if (length - i >= strlen(anywhere[k]) && !strncasecmp(name + i, anywhere[k], strlen(anywhere[k])))
                return 1;
    const char *last = "";
    size_t last_length = 0;
    for (size_t i = 0, end; i < length; i = end + 1) {
        for (end = i; end < length && isalnum((unsigned char)name[end]); end++)
            ;
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
            if (is_part(name + i, end - i, parts[k]))
                return 1;
        for (size_t k = 0; is_part(name + i, end - i, "key") && k < sizeof before_key / sizeof *before_key; k++)
            if (is_part(last, last_length, before_key[k]))
                return 1;
        last = name + i;
        last_length = end - i;
    }
    return 0;
}

enum { SHOW, HIDE_VALUE, HIDE_SCHEME }; /* what comes next: anything; a secret; a secret with perhaps "Bearer" or "Basic" before it */

static int append_token(sv_buffer *out, const char *token, size_t length, int *hide)
{
    size_t name = 0;
    while (name < length && (isalnum((unsigned char)token[name]) || memchr("_-.", token[name], 3)))
        name++;
    int scheme = is_part(token, length, "Bearer") || is_part(token, length, "Basic"), was = *hide;
    *hide = SHOW;
    if (scheme && (was == HIDE_SCHEME || is_part(token, length, "Bearer"))) {
        *hide = HIDE_VALUE;
        return sv_buffer_append(out, token, length);
    }
    if (was && !(was == HIDE_VALUE && length > 2 && token[0] == '-' && token[1] == '-'))
        return sv_buffer_text(out, "***");
    int secret = is_secret_name(token, name);
    if (secret && name < length && memchr("=:", token[name], 2)) {
        if (name + 1 == length) /* "Authorization:", or a quoted value behind "=" */
            *hide = HIDE_SCHEME;
        int code = sv_buffer_append(out, token, name + 1);
        return code || *hide ? code : sv_buffer_text(out, "***");
    }
    if (secret && name == length && token[0] == '-')
        *hide = HIDE_VALUE;
    char *copy = sv_strndup(token, length), *shown = copy ? sv_secret_hidden(copy) : NULL;
    int code = shown ? sv_buffer_text(out, shown) : SV_E_MEMORY;
    sv_free(copy);
    sv_free(shown);
    return code;
}

int sv_secret_append_word(sv_buffer *out, const char *word, int *hide)
{
    int code = SV_OK;
    if (*hide && *word && strncmp(word, "--", 2) != 0 && !strpbrk(word, breaks))
        return append_token(out, word, strlen(word), hide);
    if (*hide == HIDE_VALUE && *word && strncmp(word, "--", 2) != 0) { /* a secret with blanks in it */
        *hide = SHOW;
        return sv_buffer_text(out, "***");
    }
    while (!code && *word) {
        size_t gap = strspn(word, breaks), length = strcspn(word + gap, breaks);
        code = sv_buffer_append(out, word, gap);
        if (!code && length)
            code = append_token(out, word + gap, length, hide);
        word += gap + length;
    }
    return code;
}
