#include "uri.h"

#include "alloc.h"
#include "client_error.h"

#include <ctype.h>
#include <string.h>

static const char HEX[] = "0123456789ABCDEF";

static int hex_value(char c)
{
    const char *found = c ? strchr(HEX, toupper((unsigned char)c)) : NULL;
    return found ? (int)(found - HEX) : -1;
}

int mlf_uri_decode(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (*from != '%') {
            *to++ = *from;
            continue;
        }
        int high = hex_value(from[1]), low = high < 0 ? -1 : hex_value(from[2]);
        if (low < 0 || !(high || low))
            return -1;
        *to++ = (char)(high * 16 + low);
        from += 2;
    }
    *to = '\0';
    return 0;
}

char *mlf_uri_join(const char *a, const char *b)
{
    size_t na = a ? strlen(a) : 0, nb = b ? strlen(b) : 0;
    while (nb && na && *b == '/')
        b++, nb--;
    int slash = na && nb && a[na - 1] != '/';
    char *joined = sv_malloc(na + nb + 2);
    if (!joined)
        return NULL;
    if (na)
        memcpy(joined, a, na);
    if (slash)
        joined[na] = '/';
    if (nb)
        memcpy(joined + na + slash, b, nb);
    joined[na + (size_t)slash + nb] = '\0';
    return joined;
}

/* The length of a leading "scheme", 0 when there is none. One letter is a drive, not a scheme. */
static size_t scheme_length(const char *text)
{
    size_t n = 0;
    if (!isalpha((unsigned char)*text))
        return 0;
    while (isalnum((unsigned char)text[n]) || (text[n] && strchr("+-.", text[n])))
        n++;
    return text[n] == ':' && n > 1 && n < sizeof ((mlf_uri *)0)->scheme ? n : 0;
}

static int check_text(const char *text, mlf_error *error)
{
    size_t length = text ? strlen(text) : 0;
    if (!length || length > MLF_URI_MAX_BYTES)
        return mlf_error_set(error, MLF_E_ARGUMENT, "URI: expected 1 to %d bytes, got %zu", MLF_URI_MAX_BYTES, length);
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return mlf_error_set(error, MLF_E_ARGUMENT, "URI: a control byte (0x%02x) at position %zu", (unsigned char)*p, (size_t)(p - text));
    return 0;
}

/* file:///x, file:/x and file://localhost/x are the plain path /x. */
static int become_plain(mlf_uri *uri, const char *text, mlf_error *error)
{
    if (*uri->authority && strcmp(uri->authority, "localhost"))
        return mlf_error_set(error, MLF_E_ARGUMENT, "%s: a file on another host (%s) cannot be reached", text, uri->authority);
    if (mlf_uri_decode(uri->path))
        return mlf_error_set(error, MLF_E_ARGUMENT, "%s: a broken %% escape", text);
    uri->authority[0] = uri->scheme[0] = '\0';
    return 0;
}

int mlf_uri_parse(mlf_uri *out, const char *text, mlf_error *error)
{
    *out = (mlf_uri)MLF_URI_INIT;
    int code = check_text(text, error);
    if (code)
        return code;
    size_t n = scheme_length(text);
    for (size_t i = 0; i < n; i++)
        out->scheme[i] = (char)tolower((unsigned char)text[i]);
    const char *rest = n ? text + n + 1 : text, *authority = rest;
    int has_authority = n && !strncmp(rest, "//", 2);
    if (has_authority) {
        authority = rest + 2;
        rest = authority + strcspn(authority, "/?");
    }
    int is_http = !strcmp(out->scheme, "http") || !strcmp(out->scheme, "https");
    size_t path_length = is_http ? strcspn(rest, "?#") : strlen(rest);
    const char *query = is_http && rest[path_length] == '?' ? rest + path_length + 1 : "";
    out->authority = sv_strndup(authority, has_authority ? (size_t)(rest - authority) : 0);
    out->path = sv_strndup(rest, path_length);
    out->query = sv_strndup(query, strcspn(query, "#"));
    if (!out->authority || !out->path || !out->query)
        code = mlf_error_set(error, MLF_E_MEMORY, "%s: out of memory", text);
    else if (!strcmp(out->scheme, "file"))
        code = become_plain(out, text, error);
    if (code)
        mlf_uri_free(out);
    return code;
}

void mlf_uri_free(mlf_uri *uri)
{
    sv_free(uri->authority);
    sv_free(uri->path);
    sv_free(uri->query);
    *uri = (mlf_uri)MLF_URI_INIT;
}

char *mlf_uri_prefix(const mlf_uri *uri)
{
    const char *path = uri->path + strspn(uri->path, "/");
    size_t length = strlen(path);
    while (length && path[length - 1] == '/')
        length--;
    return sv_strndup(path, length);
}
