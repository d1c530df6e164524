#include "url.h"

#include "client_error.h"
#include "number.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

int mlf_url_encode(sv_buffer *buffer, const char *text, int keep_slash)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    static const char hex[] = "0123456789ABCDEF";
    int failed = 0;
    for (; *text && !failed; text++) {
        unsigned char c = (unsigned char)*text;
        if (strchr(plain, c) || (keep_slash && c == '/')) {
            failed = sv_buffer_byte(buffer, (char)c);
        } else {
            char escape[3] = {'%', hex[c >> 4], hex[c & 15]};
            failed = sv_buffer_append(buffer, escape, sizeof escape);
        }
    }
    return failed;
}

/* One key=value; the separator is '?' for the first. */
static int append_argument(sv_buffer *buffer, const char *key, const json_t *value, int *first, mlf_error *error)
{
    char number[SV_NUMBER_SIZE];
    const char *text = number;
    switch (json_typeof(value)) {
    case JSON_NULL:
        return MLF_OK;
    case JSON_STRING:
        text = json_string_value(value);
        break;
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%" PRId64, (int64_t)json_integer_value(value));
        break;
    case JSON_REAL:
        sv_format_double(number, json_real_value(value));
        break;
    case JSON_TRUE:
        text = "true";
        break;
    case JSON_FALSE:
        text = "false";
        break;
    default:
        return mlf_error_set(error, MLF_E_ARGUMENT,
                             "query argument \"%.80s\": a string, a number or a list of them, got a nested value", key);
    }
    if (sv_buffer_byte(buffer, *first ? '?' : '&') || mlf_url_encode(buffer, key, 0) || sv_buffer_byte(buffer, '=') ||
        mlf_url_encode(buffer, text, 0))
        return mlf_error_memory(error);
    *first = 0;
    return MLF_OK;
}

int mlf_url_query(sv_buffer *buffer, const json_t *arguments, mlf_error *error)
{
    int first = 1, code = MLF_OK;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)arguments, key, value)
    {
        size_t i;
        json_t *item;
        if (json_is_array(value)) json_array_foreach(value, i, item)
            {
                if (!code) code = append_argument(buffer, key, item, &first, error);
            }
        else if (!code)
            code = append_argument(buffer, key, value, &first, error);
    }
    return code;
}

size_t mlf_url_origin_length(const char *url)
{
    size_t scheme = !strncasecmp(url, "http://", 7) ? 7 : !strncasecmp(url, "https://", 8) ? 8 : 0;
    return scheme && url[scheme] ? scheme + strcspn(url + scheme, "/?#") : 0;
}

/* Host and port of a URL, the scheme's own port left out: "host" or "host:8080". */
static size_t authority(const char *url, const char **start)
{
    size_t scheme = !strncasecmp(url, "https://", 8) ? 8 : 7, origin = mlf_url_origin_length(url);
    size_t length = origin > scheme ? origin - scheme : 0;
    const char *at = memrchr(url + scheme, '@', length);
    *start = at ? at + 1 : url + scheme;
    length -= (size_t)(*start - (url + scheme));
    const char *usual = scheme == 8 ? ":443" : ":80";
    size_t tail = strlen(usual);
    if (length > tail && !strncmp(*start + length - tail, usual, tail)) length -= tail;
    return length;
}

int mlf_url_same_origin(const char *a, const char *b)
{
    if (!mlf_url_origin_length(a) || !mlf_url_origin_length(b)) return 0;
    const char *host_a, *host_b;
    size_t length_a = authority(a, &host_a), length_b = authority(b, &host_b);
    return (strncasecmp(a, "https", 5) == 0) == (strncasecmp(b, "https", 5) == 0) && length_a == length_b &&
           !strncasecmp(host_a, host_b, length_a);
}
