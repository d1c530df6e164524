/* json_value.c: see json_value.h. A recursive reader; items of open lists wait on a stack that is copied into the arena when the list ends. */
#include "json_value.h"

#include "json_out.h"

#include "alloc.h"
#include "number.h"

#include <math.h>

typedef struct reader {
    sv_arena *arena;
    const char *begin, *p, *end;
    sv_json *stack; /* items of the lists and objects being read */
    sv_span *names; /* their names; unused for lists */
    size_t n, capacity;
    size_t charged; /* bytes of the stack that the arena knows of */
    unsigned depth;
    sv_json_fault *fault;
} reader;

static int fail(reader *r, const char *what, const char *at)
{
    if (!r->fault->what) {
        r->fault->what = what;
        r->fault->at = (size_t)(at - r->begin);
    }
    return -1;
}

static void skip_blanks(reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

/* ---- texts ---- */

static int hex4(const char *p, const char *end, unsigned *code)
{
    if (end - p < 4)
        return -1;
    *code = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (unsigned)((c | 0x20) - 'a' + 10) : 16;
        if (digit > 15)
            return -1;
        *code = *code * 16 + digit;
    }
    return 0;
}

static char *put_utf8(char *out, unsigned code)
{
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned lead[] = {0, 0xc0, 0xe0, 0xf0};
    *out++ = (char)(lead[more] | code >> (6 * more));
    while (more-- > 0)
        *out++ = (char)(0x80 | (code >> (6 * more) & 0x3f));
    return out;
}

/* The text behind a backslash at p. Returns where it ends, or NULL. */
static const char *read_escape(reader *r, const char *p, char **out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (p + 1 >= r->end) {
        fail(r, "Unterminated string starting at", p);
        return NULL;
    }
    const char *found = p[1] ? strchr(from, p[1]) : NULL;
    if (found) {
        *(*out)++ = to[found - from];
        return p + 2;
    }
    unsigned code, low;
    if (p[1] != 'u' || hex4(p + 2, r->end, &code)) {
        fail(r, p[1] == 'u' ? "Invalid \\uXXXX escape" : "Invalid \\escape", p);
        return NULL;
    }
    p += 6;
    if (code >= 0xd800 && code < 0xdc00 && r->end - p >= 6 && p[0] == '\\' && p[1] == 'u' && hex4(p + 2, r->end, &low) == 0 && low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    }
    *out = put_utf8(*out, code);
    return p;
}

/* At the opening quote. */
static int read_text(reader *r, sv_span *text)
{
    const char *begin = r->p + 1, *p = begin;
    while (p < r->end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
        p++;
    if (p < r->end && *p == '"') {
        *text = (sv_span){begin, (size_t)(p - begin)};
        r->p = p + 1;
        return 0;
    }
    const char *close = p; /* an upper bound for the length: the first quote without an odd run of backslashes before it */
    while (close < r->end && *close != '"')
        close += *close == '\\' && close + 1 < r->end ? 2 : 1;
    char *out = sv_arena_alloc(r->arena, (size_t)(close - begin) + 4), *first = out;
    if (!out)
        return fail(r, "out of memory", begin);
    out = mempcpy(out, begin, (size_t)(p - begin));
    while (p < r->end && *p != '"') {
        if ((unsigned char)*p < 0x20)
            return fail(r, "Invalid control character at", p);
        if (*p != '\\')
            *out++ = *p++;
        else if (!(p = read_escape(r, p, &out)))
            return -1;
    }
    if (p >= r->end)
        return fail(r, "Unterminated string starting at", begin - 1);
    *text = (sv_span){first, (size_t)(out - first)};
    r->p = p + 1;
    return 0;
}

/* ---- numbers ---- */

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static int read_number(reader *r, sv_json *value)
{
    const char *begin = r->p, *p = begin + (*begin == '-');
    if (p == r->end || *p < '0' || *p > '9')
        return fail(r, "Expecting value", begin);
    const char *digits = p;
    p = *p == '0' ? p + 1 : skip_digits(p, r->end);
    size_t n_digits = (size_t)(p - digits);
    int is_real = 0;
    if (p + 1 < r->end && *p == '.' && p[1] >= '0' && p[1] <= '9') {
        p = skip_digits(p + 1, r->end);
        is_real = 1;
    }
    if (p + 1 < r->end && (*p | 0x20) == 'e') {
        const char *exponent = p + 1 + (p[1] == '+' || p[1] == '-');
        if (exponent < r->end && *exponent >= '0' && *exponent <= '9') {
            p = skip_digits(exponent, r->end);
            is_real = 1;
        }
    }
    value->text = (sv_span){begin, (size_t)(p - begin)};
    r->p = p;
    if (!is_real && n_digits > SV_JSON_DIGITS_MAX)
        return fail(r, "Exceeds the limit (4300 digits) for integer string conversion", begin);
    if (!is_real && sv_parse_int64(begin, value->text.size, &value->whole) == 0) {
        value->kind = SV_JSON_LONG;
        return 0;
    }
    value->kind = is_real ? SV_JSON_REAL : SV_JSON_BIG;
    return sv_parse_double(begin, value->text.size, &value->real) ? fail(r, "Expecting value", begin) : 0;
}

static int take_word(reader *r, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(r->end - r->p) < size || memcmp(r->p, word, size) != 0)
        return 0;
    r->p += size;
    return 1;
}

static int read_word(reader *r, sv_json *value)
{
    static const struct {
        const char *word;
        sv_json_kind kind;
        double real;
    } words[] = {{"null", SV_JSON_NULL, 0},          {"true", SV_JSON_TRUE, 0},           {"false", SV_JSON_FALSE, 0}, {"NaN", SV_JSON_REAL, NAN},
                 {"Infinity", SV_JSON_REAL, INFINITY}, {"-Infinity", SV_JSON_REAL, -INFINITY}};
    const char *begin = r->p;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (take_word(r, words[i].word)) {
            value->kind = words[i].kind;
            value->real = words[i].real;
            value->text = (sv_span){begin, (size_t)(r->p - begin)};
            return 0;
        }
    return read_number(r, value);
}

/* ---- lists and objects ---- */

enum { STACK_BYTES = sizeof(sv_json) + sizeof(sv_span) }; /* of an item */

static int push(reader *r, const sv_json *value, sv_span name)
{
    if (r->n == r->capacity) {
        size_t capacity = r->capacity ? r->capacity * 2 : 64;
        if (sv_arena_charge(r->arena, (capacity - r->capacity) * STACK_BYTES))
            return fail(r, "out of memory", r->p);
        r->charged += (capacity - r->capacity) * STACK_BYTES;
        sv_json *stack = sv_realloc(r->stack, capacity * sizeof *stack);
        if (stack)
            r->stack = stack;
        sv_span *names = sv_realloc(r->names, capacity * sizeof *names);
        if (names)
            r->names = names;
        if (!stack || !names)
            return fail(r, "out of memory", r->p);
        r->capacity = capacity;
    }
    r->stack[r->n] = *value;
    r->names[r->n++] = name;
    return 0;
}

static uint32_t hash_name(sv_span name)
{
    uint64_t hash = 1469598103934665603u;
    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ (unsigned char)name.text[i]) * 1099511628211u;
    return (uint32_t)(hash ^ hash >> 32);
}

/* Of members of the same name the last value stays, at the first one's place, as in a Python dict. Returns how many are left. */
static size_t drop_doubles(reader *r, size_t first)
{
    size_t n = r->n - first, size = 16, kept = 0;
    while (size < n * 2)
        size *= 2;
    uint32_t small[64] = {0}, *table = size <= 64 ? small : sv_calloc(size, sizeof *table);
    if (!table)
        return (size_t)fail(r, "out of memory", r->p);
    for (size_t i = 0; i < n; i++) {
        sv_span name = r->names[first + i];
        size_t slot = hash_name(name) & (size - 1);
        while (table[slot] && !sv_span_equal(r->names[first + table[slot] - 1], name))
            slot = (slot + 1) & (size - 1);
        size_t at = table[slot] ? table[slot] - 1 : kept++;
        table[slot] = (uint32_t)at + 1;
        r->stack[first + at] = r->stack[first + i];
        r->names[first + at] = name;
    }
    if (table != small)
        sv_free(table);
    return kept;
}

/* The items above `first` leave the stack and become value's. */
static int close_list(reader *r, sv_json *value, size_t first, sv_json_kind kind)
{
    size_t n = kind == SV_JSON_OBJECT ? drop_doubles(r, first) : r->n - first;
    if (r->fault->what)
        return -1;
    sv_json *items = sv_arena_alloc(r->arena, n * sizeof *items + 1);
    sv_span *names = kind == SV_JSON_OBJECT ? sv_arena_alloc(r->arena, n * sizeof *names + 1) : NULL;
    if (!items || (kind == SV_JSON_OBJECT && !names) || n > UINT32_MAX)
        return fail(r, "out of memory", r->p);
    if (n)
        memcpy(items, r->stack + first, n * sizeof *items);
    if (names && n)
        memcpy(names, r->names + first, n * sizeof *names);
    *value = (sv_json){.kind = kind, .n = (uint32_t)n, .items = items, .names = names};
    r->n = first;
    return 0;
}

static int read_value(reader *r, sv_json *value);

static int read_list(reader *r, sv_json *value)
{
    size_t first = r->n;
    r->p++;
    skip_blanks(r);
    if (r->p < r->end && *r->p == ']') {
        r->p++;
        return close_list(r, value, first, SV_JSON_LIST);
    }
    for (;;) {
        sv_json item;
        skip_blanks(r);
        if (read_value(r, &item) || push(r, &item, (sv_span){"", 0}))
            return -1;
        skip_blanks(r);
        if (r->p < r->end && *r->p == ']') {
            r->p++;
            return close_list(r, value, first, SV_JSON_LIST);
        }
        if (r->p == r->end || *r->p != ',')
            return fail(r, "Expecting ',' delimiter", r->p);
        r->p++;
    }
}

static int read_member(reader *r)
{
    sv_span name;
    sv_json item;
    skip_blanks(r);
    if (r->p == r->end || *r->p != '"')
        return fail(r, "Expecting property name enclosed in double quotes", r->p);
    if (read_text(r, &name))
        return -1;
    skip_blanks(r);
    if (r->p == r->end || *r->p != ':')
        return fail(r, "Expecting ':' delimiter", r->p);
    r->p++;
    skip_blanks(r);
    return read_value(r, &item) || push(r, &item, name) ? -1 : 0;
}

static int read_object(reader *r, sv_json *value)
{
    size_t first = r->n;
    r->p++;
    skip_blanks(r);
    if (r->p < r->end && *r->p == '}') {
        r->p++;
        return close_list(r, value, first, SV_JSON_OBJECT);
    }
    for (;;) {
        if (read_member(r))
            return -1;
        skip_blanks(r);
        if (r->p < r->end && *r->p == '}') {
            r->p++;
            return close_list(r, value, first, SV_JSON_OBJECT);
        }
        if (r->p == r->end || *r->p != ',')
            return fail(r, "Expecting ',' delimiter", r->p);
        r->p++;
    }
}

static int read_value(reader *r, sv_json *value)
{
    *value = (sv_json){0};
    if (r->p == r->end)
        return fail(r, "Expecting value", r->p);
    if (*r->p == '"') {
        value->kind = SV_JSON_TEXT;
        return read_text(r, &value->text);
    }
    if (*r->p != '[' && *r->p != '{')
        return read_word(r, value);
    if (++r->depth > SV_JSON_DEPTH_MAX)
        return fail(r, "nesting is too deep", r->p);
    int bad = *r->p == '[' ? read_list(r, value) : read_object(r, value);
    r->depth--;
    return bad;
}

static void place(sv_json_fault *fault, sv_span text)
{
    fault->line = fault->column = 1;
    for (size_t i = 0; i < fault->at && i < text.size; i++) {
        fault->column += (text.text[i] & 0xc0) != 0x80;
        if (text.text[i] == '\n') {
            fault->line++;
            fault->column = 1;
        }
    }
}

const sv_json *sv_json_read(sv_arena *arena, sv_span text, sv_json_fault *fault)
{
    *fault = (sv_json_fault){0};
    reader r = {.arena = arena, .begin = text.text, .p = text.text, .end = text.text + text.size, .fault = fault};
    sv_json *value = sv_arena_alloc(arena, sizeof *value);
    if (!value)
        fail(&r, "out of memory", r.p);
    skip_blanks(&r);
    if (value && read_value(&r, value) == 0) {
        skip_blanks(&r);
        if (r.p != r.end)
            fail(&r, "Extra data", r.p);
    }
    sv_free(r.stack);
    sv_free(r.names);
    sv_arena_discharge(arena, r.charged);
    if (!fault->what)
        return value;
    place(fault, text);
    return NULL;
}

/* ---- encodings ---- */

int sv_utf8_is_valid(sv_span bytes, int surrogates, size_t *at)
{
    const unsigned char *p = (const unsigned char *)bytes.text, *begin = p, *end = p + bytes.size;
    while (p < end) {
        if (*p < 0x80) {
            p++;
            continue;
        }
        size_t n = *p >= 0xc2 && *p < 0xe0 ? 2 : *p >> 4 == 14 ? 3 : *p >= 0xf0 && *p < 0xf5 ? 4 : 0;
        int good = n && (size_t)(end - p) >= n;
        for (size_t i = 1; good && i < n; i++)
            good = (p[i] & 0xc0) == 0x80;
        if (good && n == 3)
            good = (*p != 0xe0 || p[1] >= 0xa0) && (surrogates || *p != 0xed || p[1] < 0xa0);
        if (good && n == 4)
            good = (*p != 0xf0 || p[1] >= 0x90) && (*p != 0xf4 || p[1] < 0x90);
        if (!good) {
            *at = (size_t)(p - begin);
            return 0;
        }
        p += n;
    }
    return 1;
}

typedef struct encoding {
    unsigned width; /* bytes of a unit: 1, 2, 4 */
    int big;
    size_t mark; /* bytes of the mark in front */
} encoding;

/* The rules of Python's json.detect_encoding: marks first, else where the zero bytes are. */
static encoding detect(const unsigned char *b, size_t n)
{
    if (n >= 4 && ((b[0] == 0 && b[1] == 0 && b[2] == 0xfe && b[3] == 0xff) || (b[0] == 0xff && b[1] == 0xfe && b[2] == 0 && b[3] == 0)))
        return (encoding){4, b[0] == 0, 4};
    if (n >= 2 && ((b[0] == 0xfe && b[1] == 0xff) || (b[0] == 0xff && b[1] == 0xfe)))
        return (encoding){2, b[0] == 0xfe, 2};
    if (n >= 3 && b[0] == 0xef && b[1] == 0xbb && b[2] == 0xbf)
        return (encoding){1, 0, 3};
    if (n >= 4) {
        if (!b[0])
            return b[1] ? (encoding){2, 1, 0} : (encoding){4, 1, 0};
        if (!b[1])
            return b[2] || b[3] ? (encoding){2, 0, 0} : (encoding){4, 0, 0};
    } else if (n == 2) {
        if (!b[0])
            return (encoding){2, 1, 0};
        if (!b[1])
            return (encoding){2, 0, 0};
    }
    return (encoding){1, 0, 0};
}

static unsigned unit_at(const unsigned char *p, encoding from)
{
    unsigned unit = 0;
    for (unsigned i = 0; i < from.width; i++)
        unit |= (unsigned)p[from.big ? from.width - 1 - i : i] << (8 * i);
    return unit;
}

int sv_json_as_utf8(sv_arena *arena, sv_span bytes, sv_span *text, sv_json_fault *fault)
{
    *fault = (sv_json_fault){0};
    const unsigned char *p = (const unsigned char *)bytes.text;
    encoding from = detect(p, bytes.size);
    size_t n = bytes.size - from.mark;
    p += from.mark;
    if (from.width == 1) {
        *text = (sv_span){(const char *)p, n};
        if (sv_utf8_is_valid(*text, 1, &fault->at))
            return 0;
        fault->what = "invalid UTF-8";
        return -1;
    }
    char *out = n % from.width ? NULL : sv_arena_alloc(arena, n / from.width * 4 + 1), *first = out;
    fault->what = n % from.width ? "truncated data" : out ? NULL : "out of memory";
    for (size_t i = 0; out && i < n; i += from.width) {
        unsigned code = unit_at(p + i, from);
        if (from.width == 2 && code >= 0xd800 && code < 0xdc00 && i + 2 < n) {
            unsigned low = unit_at(p + i + 2, from);
            if (low >= 0xdc00 && low < 0xe000) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                i += 2;
            }
        }
        if (code > 0x10ffff) {
            fault->what = "code point not in range(0x110000)";
            fault->at = i;
            return -1;
        }
        out = put_utf8(out, code);
    }
    if (fault->what)
        return -1;
    *text = (sv_span){first, (size_t)(out - first)};
    return 0;
}

const sv_json *sv_json_member(const sv_json *object, const char *name)
{
    for (uint32_t i = 0; object->kind == SV_JSON_OBJECT && i < object->n; i++)
        if (sv_span_is(object->names[i], name))
            return &object->items[i];
    return NULL;
}

const char *sv_json_python_type(const sv_json *value)
{
    static const char *const names[] = {"NoneType", "bool", "bool", "int", "int", "float", "str", "list", "dict"};
    return names[value->kind];
}

/* ---- writing back ---- */

static void echo(sv_buffer *out, const sv_json *value, int depth)
{
    switch (value->kind) {
    case SV_JSON_TEXT:
        sv_json_write_text(out, value->text.size > 200 ? (sv_span){value->text.text, 200} : value->text);
        return;
    case SV_JSON_LIST:
        sv_buffer_text(out, "[");
        for (uint32_t i = 0; i < value->n && i < 20 && depth < 3; i++) {
            sv_buffer_text(out, i ? "," : "");
            echo(out, &value->items[i], depth + 1);
        }
        sv_buffer_text(out, "]");
        return;
    case SV_JSON_OBJECT:
        sv_buffer_text(out, "{");
        for (uint32_t i = 0; i < value->n && i < 100 && depth < 3; i++) {
            sv_buffer_text(out, i ? "," : "");
            sv_json_write_text(out, value->names[i].size > 200 ? (sv_span){value->names[i].text, 200} : value->names[i]);
            sv_buffer_text(out, ":");
            echo(out, &value->items[i], depth + 1);
        }
        sv_buffer_text(out, "}");
        return;
    case SV_JSON_REAL:
        sv_json_write_double(out, value->real);
        return;
    case SV_JSON_BIG:
        sv_buffer_append(out, value->text.text, value->text.size > 200 ? 200 : value->text.size);
        return;
    case SV_JSON_LONG:
        sv_json_write_long(out, value->whole);
        return;
    default:
        sv_buffer_text(out, value->kind == SV_JSON_TRUE ? "true" : value->kind == SV_JSON_FALSE ? "false" : "null");
    }
}

void sv_json_echo(sv_buffer *out, const sv_json *value)
{
    echo(out, value, 0);
}
