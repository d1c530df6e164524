/* json_read.c: text to JSON values. jansson's own reader cannot be used on what others send: when memory runs out inside a token it goes on with a byte
   of that token missing, which makes another id out of an id, or, when the byte is a closing quote, reads and writes past its buffer. Its values can.
   Grammar: RFC 8259, numbers as jansson has them (an integer of 64 bits, else a finite double). */
#include "json_text.h"

#include "alloc.h"
#include "error.h"
#include "number.h"
#include "text.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct reader {
    const char *text;
    size_t at, length;
    int depth, values, unique; /* unique: a member named twice is refused */
    int memory;        /* 1: it failed for lack of it */
    sv_buffer plain;   /* a string without its escapes */
    const char *why;
} reader;

static json_t *fail(reader *r, const char *why)
{
    if (!r->why)
        r->why = why;
    return NULL;
}

static json_t *no_memory(reader *r)
{
    r->memory = 1;
    return fail(r, "out of memory");
}

static int peek(const reader *r)
{
    return r->at < r->length ? (unsigned char)r->text[r->at] : -1;
}

static int skip_blanks(reader *r)
{
    while (r->at < r->length && memchr(" \t\r\n", r->text[r->at], 4))
        r->at++;
    return peek(r);
}

/* ---- strings ---- */

static int32_t read_hex(reader *r)
{
    static const char digits[] = "0123456789abcdef";
    int32_t value = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        int c = peek(r);
        const char *digit = c > 0 ? memchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c, 16) : NULL;
        if (!digit)
            return -1;
        value = value << 4 | (int32_t)(digit - digits);
    }
    return value;
}

static int put_point(sv_buffer *out, uint32_t c)
{
    char bytes[4];
    int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char first[] = {0, 0xC0, 0xE0, 0xF0};
    for (int i = more; i > 0; i--, c >>= 6)
        bytes[i] = (char)(0x80 | (c & 0x3F));
    bytes[0] = (char)(first[more] | c);
    return sv_buffer_append(out, bytes, (size_t)more + 1);
}

/* Behind "\u": one character of the basic plane, or the two halves of another one. */
static int read_unicode(reader *r)
{
    int32_t high = read_hex(r), low = 0;
    if (high < 0)
        return fail(r, "expected four hexadecimal digits behind \\u"), -1;
    if (high >= 0xD800 && high <= 0xDBFF && r->length - r->at >= 6 && r->text[r->at] == '\\' && r->text[r->at + 1] == 'u') {
        r->at += 2;
        low = read_hex(r);
        high = low >= 0xDC00 && low <= 0xDFFF ? 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00) : 0xD800;
    }
    if (high >= 0xD800 && high <= 0xDFFF)
        return fail(r, "half a surrogate pair"), -1;
    return put_point(&r->plain, (uint32_t)high) ? no_memory(r), -1 : 0;
}

static int read_escape(reader *r)
{
    static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    int c = peek(r);
    const char *known = c > 0 ? memchr(letters, c, 8) : NULL;
    r->at++;
    if (c == 'u')
        return read_unicode(r);
    if (!known)
        return fail(r, "no such escape"), -1;
    return sv_buffer_byte(&r->plain, bytes[known - letters]) ? no_memory(r), -1 : 0;
}

/* The string whose quote is at r->at: its bytes stand in the text, or in r->plain until the next string. */
static int read_string(reader *r, const char **bytes, size_t *size)
{
    size_t from = ++r->at;
    int escaped = 0;
    sv_buffer_clear(&r->plain);
    for (int c; (c = peek(r)) != '"';) {
        size_t used = c < 0x20 ? 0 : sv_utf8_read(NULL, r->text + r->at, r->length - r->at);
        if (!used)
            return fail(r, c < 0 ? "the text ends inside a string" : c < 0x20 ? "a control character inside a string" : "not valid UTF-8"), -1;
        if (c != '\\') {
            r->at += used;
            continue;
        }
        if (sv_buffer_append(&r->plain, r->text + from, r->at - from))
            return no_memory(r), -1;
        r->at++;
        escaped = 1;
        if (read_escape(r))
            return -1;
        from = r->at;
    }
    if (escaped && sv_buffer_append(&r->plain, r->text + from, r->at - from))
        return no_memory(r), -1;
    *bytes = escaped ? r->plain.data : r->text + from;
    *size = escaped ? r->plain.size : r->at - from;
    r->at++;
    return 0;
}

static json_t *string_value(reader *r)
{
    const char *bytes;
    size_t size;
    if (read_string(r, &bytes, &size))
        return NULL;
    json_t *value = json_stringn_nocheck(bytes, size);
    return value ? value : no_memory(r);
}

/* ---- numbers and words ---- */

static size_t skip_digits(reader *r)
{
    size_t from = r->at;
    while (peek(r) >= '0' && peek(r) <= '9')
        r->at++;
    return r->at - from;
}

static json_t *number_value(reader *r)
{
    size_t from = r->at, whole;
    int real = 0, bad;
    r->at += peek(r) == '-';
    int zero = peek(r) == '0';
    whole = skip_digits(r);
    bad = !whole || (zero && whole > 1);
    if (peek(r) == '.') {
        real = 1;
        r->at++;
        bad |= !skip_digits(r);
    }
    if (peek(r) == 'e' || peek(r) == 'E') {
        real = 1;
        r->at++;
        r->at += peek(r) == '+' || peek(r) == '-';
        bad |= !skip_digits(r);
    }
    int64_t integer = 0;
    double number = 0;
    if (bad)
        return fail(r, "not a number");
    if (real ? sv_parse_double(r->text + from, r->at - from, &number) || isinf(number) : sv_parse_int64(r->text + from, r->at - from, &integer))
        return fail(r, "a number beyond the range");
    json_t *value = real ? json_real(number) : json_integer(integer);
    return value ? value : no_memory(r);
}

static json_t *word_value(reader *r)
{
    static const char *const words[] = {"true", "false", "null"};
    for (int i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if (r->length - r->at < length || memcmp(r->text + r->at, words[i], length) != 0)
            continue;
        r->at += length;
        return i == 0 ? json_true() : i == 1 ? json_false() : json_null();
    }
    return fail(r, r->at < r->length ? "expected a value" : "the text ends where a value is due");
}

/* ---- lists and objects ---- */

static json_t *any_value(reader *r);

static json_t *list_value(reader *r)
{
    json_t *list = json_array();
    r->at++;
    for (int c = skip_blanks(r); list && c != ']'; c = skip_blanks(r)) {
        if (json_array_size(list) && c != ',')
            return json_decref(list), fail(r, "expected ',' or ']'");
        r->at += json_array_size(list) > 0;
        json_t *item = any_value(r);
        if (!item || json_array_append_new(list, item))
            return json_decref(list), item ? no_memory(r) : NULL;
    }
    r->at++;
    return list ? list : no_memory(r);
}

/* "name": value. */
static int read_member(reader *r, json_t *object)
{
    const char *bytes;
    size_t size;
    if (skip_blanks(r) != '"')
        return fail(r, "expected a name in quotes"), -1;
    if (read_string(r, &bytes, &size))
        return -1;
    if (memchr(bytes, '\0', size))
        return fail(r, "a name with a NUL in it"), -1;
    if (r->unique && json_object_getn(object, bytes, size))
        return fail(r, "a duplicate name"), -1;
    if (skip_blanks(r) != ':')
        return fail(r, "expected ':'"), -1;
    r->at++;
    char *name = bytes == r->plain.data ? sv_strndup(bytes, size) : NULL; /* the value may need the buffer */
    json_t *value = bytes == r->plain.data && !name ? no_memory(r) : any_value(r);
    int failed = !value || (json_object_setn_new_nocheck(object, name ? name : bytes, size, value) && (no_memory(r), 1));
    sv_free(name);
    return failed ? -1 : 0;
}

static json_t *object_value(reader *r)
{
    json_t *object = json_object();
    r->at++;
    for (int c = skip_blanks(r), first = 1; object && c != '}'; c = skip_blanks(r), first = 0) {
        if (!first && c != ',')
            return json_decref(object), fail(r, "expected ',' or '}'");
        r->at += !first;
        if (read_member(r, object))
            return json_decref(object), NULL;
    }
    r->at++;
    return object ? object : no_memory(r);
}

static json_t *any_value(reader *r)
{
    int c = skip_blanks(r);
    if (r->values++ == MLF_JSON_VALUES)
        return fail(r, "more values than are read");
    if (c == '"')
        return string_value(r);
    if (c == '-' || (c >= '0' && c <= '9'))
        return number_value(r);
    if (c != '{' && c != '[')
        return word_value(r);
    if (r->depth == MLF_JSON_DEPTH)
        return fail(r, "nested too deep");
    r->depth++;
    json_t *value = c == '{' ? object_value(r) : list_value(r);
    r->depth--;
    return value;
}

static void place(mlf_json_fault *fault, const reader *r)
{
    const char *last = memrchr(r->text, '\n', r->at < r->length ? r->at : r->length);
    fault->why = r->why;
    fault->line = 1;
    for (const char *c = r->text; last && c <= last; c++)
        fault->line += *c == '\n';
    fault->column = (int)(r->text + r->at - (last ? last + 1 : r->text)) + 1;
}

int mlf_json_parse(json_t **out, const char *text, size_t length, int unique, mlf_json_fault *fault)
{
    reader r = {.text = text ? text : "", .length = length, .unique = unique};
    *out = any_value(&r);
    if (*out && skip_blanks(&r) >= 0) {
        json_decref(*out);
        *out = fail(&r, "something stands behind the value");
    }
    sv_buffer_free(&r.plain);
    if (*out)
        return SV_OK;
    if (fault)
        place(fault, &r);
    return r.memory ? SV_E_MEMORY : SV_E_INPUT;
}
