/* The JSON reader accepts what Python's json accepts; the writer writes what it writes. jansson is the oracle where both are strict. */
#include "json_value.h"
#include "json_out.h"
#include "prng.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const sv_json *read_text(sv_arena *arena, const char *text, size_t size, sv_json_fault *fault)
{
    return sv_json_read(arena, (sv_span){text, size}, fault);
}

static void write_value(sv_buffer *out, const sv_json *value)
{
    switch (value->kind) {
    case SV_JSON_NULL:
        sv_buffer_text(out, "null");
        break;
    case SV_JSON_FALSE:
    case SV_JSON_TRUE:
        sv_buffer_text(out, value->kind == SV_JSON_TRUE ? "true" : "false");
        break;
    case SV_JSON_LONG:
        sv_json_write_long(out, value->whole);
        break;
    case SV_JSON_BIG:
    case SV_JSON_REAL:
        sv_json_write_double(out, value->real);
        break;
    case SV_JSON_TEXT:
        sv_json_write_text(out, value->text);
        break;
    default:
        sv_buffer_byte(out, value->kind == SV_JSON_LIST ? '[' : '{');
        for (uint32_t i = 0; i < value->n; i++) {
            sv_buffer_text(out, i ? "," : "");
            if (value->kind == SV_JSON_OBJECT) {
                sv_json_write_text(out, value->names[i]);
                sv_buffer_byte(out, ':');
            }
            write_value(out, &value->items[i]);
        }
        sv_buffer_byte(out, value->kind == SV_JSON_LIST ? ']' : '}');
    }
}

static const struct {
    const char *text, *back; /* NULL: refused */
} cases[] = {
    {"[1, -2, 0, 1.5, 1e3, -0.0]", "[1,-2,0,1.5,1000.0,-0.0]"},
    {"{\"a\": {\"b\": [null, true, false]}}", "{\"a\":{\"b\":[null,true,false]}}"},
    {"{\"a\": 1, \"b\": 2, \"a\": 3}", "{\"a\":3,\"b\":2}"},
    {"\"\\u017elu\\u0165 \\ud83d\\ude00\"", "\"\\u017elu\\u0165 \\ud83d\\ude00\""},
    {"\"\\ud800\"", "\"\\ud800\""},
    {"\"\xf0\x9f\x98\x80\"", "\"\\ud83d\\ude00\""},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\""},
    {"[NaN, Infinity, -Infinity, 1e400]", "[null,null,null,null]"},
    {"9223372036854775807", "9223372036854775807"},
    {"100000000000000000000", "1e+20"},
    {" \t\r\n1 ", "1"},
    {"", NULL},
    {"01", NULL},
    {"1.", NULL},
    {".5", NULL},
    {"+1", NULL},
    {"1e", NULL},
    {"-", NULL},
    {"nan", NULL},
    {"[1,]", NULL},
    {"[1 2]", NULL},
    {"{\"a\" 1}", NULL},
    {"{a: 1}", NULL},
    {"{\"a\": 1,}", NULL},
    {"\"\n\"", NULL},
    {"\"\\x41\"", NULL},
    {"\"\\u12g4\"", NULL},
    {"\"abc", NULL},
    {"[[[", NULL},
    {"1 1", NULL},
    {"tru", NULL},
};

Test(json, cases)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sv_arena arena = SV_ARENA_INIT(4096, 0);
        sv_buffer out = SV_BUFFER_INIT(0);
        sv_json_fault fault;
        const sv_json *value = read_text(&arena, cases[i].text, strlen(cases[i].text), &fault);
        cr_expect_eq(value == NULL, cases[i].back == NULL, "%s", cases[i].text);
        if (value && cases[i].back) {
            write_value(&out, value);
            cr_expect_str_eq(out.data, cases[i].back, "%s: got %s", cases[i].text, out.data);
        }
        sv_buffer_free(&out);
        sv_arena_free(&arena);
    }
}

Test(json, depth_is_bounded)
{
    static char text[2 * SV_JSON_DEPTH_MAX + 2];
    sv_arena arena = SV_ARENA_INIT(4096, 0);
    sv_json_fault fault;
    memset(text, '[', SV_JSON_DEPTH_MAX);
    memset(text + SV_JSON_DEPTH_MAX, ']', SV_JSON_DEPTH_MAX);
    cr_expect_not_null(read_text(&arena, text, 2 * SV_JSON_DEPTH_MAX, &fault));
    memset(text, '[', SV_JSON_DEPTH_MAX + 1);
    memset(text + SV_JSON_DEPTH_MAX + 1, ']', SV_JSON_DEPTH_MAX + 1);
    cr_expect_null(read_text(&arena, text, sizeof text, &fault));
    sv_arena_free(&arena);
}

/* A small grammar of texts, right and slightly wrong. */
static void random_text(sv_prng *prng, sv_buffer *out, int depth)
{
    static const char *const atoms[] = {"0", "-1", "12.5", "1e5", "1E-3", "\"a\"", "\"\\n\\u00e9\"", "\"\xc3\xa9\"", "true", "false", "null", "-0.0", "123456789012", "\"\"", "[]", "{}"};
    static const char *const faults[] = {",", "]", "\"", "tru", "1.", "{\"a\"", "\x01", "\\"};
    uint64_t what = sv_prng_below(prng, 40);
    if (what == 0) {
        sv_buffer_text(out, faults[sv_prng_below(prng, sizeof faults / sizeof *faults)]);
    } else if (what < 24 || depth > 6) {
        sv_buffer_text(out, atoms[sv_prng_below(prng, sizeof atoms / sizeof *atoms)]);
    } else {
        int object = what < 32;
        sv_buffer_byte(out, object ? '{' : '[');
        for (uint64_t i = 0, n = sv_prng_below(prng, 5); i < n; i++) {
            sv_buffer_text(out, i ? " ," : "");
            if (object)
                sv_buffer_format(out, "\"k%d\": ", (int)i);
            random_text(prng, out, depth + 1);
        }
        sv_buffer_byte(out, object ? '}' : ']');
    }
}

static int same(const sv_json *a, const json_t *b)
{
    switch (a->kind) {
    case SV_JSON_NULL:
        return json_is_null(b);
    case SV_JSON_TRUE:
        return json_is_true(b);
    case SV_JSON_FALSE:
        return json_is_false(b);
    case SV_JSON_LONG:
        return json_is_integer(b) && json_integer_value(b) == a->whole;
    case SV_JSON_REAL:
        return json_is_real(b) && json_real_value(b) == a->real;
    case SV_JSON_TEXT:
        return json_is_string(b) && json_string_length(b) == a->text.size && memcmp(json_string_value(b), a->text.text, a->text.size) == 0;
    case SV_JSON_LIST:
        if (!json_is_array(b) || json_array_size(b) != a->n)
            return 0;
        for (uint32_t i = 0; i < a->n; i++)
            if (!same(&a->items[i], json_array_get(b, i)))
                return 0;
        return 1;
    case SV_JSON_OBJECT:
        if (!json_is_object(b) || json_object_size(b) != a->n)
            return 0;
        for (uint32_t i = 0; i < a->n; i++) {
            char name[40];
            snprintf(name, sizeof name, "%.*s", (int)a->names[i].size, a->names[i].text);
            if (!same(&a->items[i], json_object_get(b, name)))
                return 0;
        }
        return 1;
    default:
        return 0;
    }
}

Test(json, agrees_with_jansson)
{
    sv_prng prng;
    sv_prng_seed(&prng, 7);
    int good = 0;
    for (int i = 0; i < 20000; i++) {
        sv_arena arena = SV_ARENA_INIT(4096, 0);
        sv_buffer text = SV_BUFFER_INIT(0);
        sv_json_fault fault;
        random_text(&prng, &text, 0);
        json_t *oracle = json_loadb(text.data, text.size, JSON_DECODE_ANY, NULL);
        const sv_json *value = read_text(&arena, text.data, text.size, &fault);
        cr_assert_eq(value == NULL, oracle == NULL, "%s", text.data);
        cr_assert(!value || same(value, oracle), "%s", text.data);
        good += value != NULL;
        json_decref(oracle);
        sv_buffer_free(&text);
        sv_arena_free(&arena);
    }
    cr_expect_gt(good, 5000);
}

Test(json, encodings_as_python_tells_them_apart)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *text; /* NULL: refused */
    } rows[] = {
        {"[1]", 3, "[1]"},
        {"\xef\xbb\xbf[1]", 6, "[1]"},
        {"\xff\xfe[\0" "1\0]\0", 8, "[1]"},
        {"\xfe\xff\0[\0" "1\0]", 8, "[1]"},
        {"[\0" "1\0]\0", 6, "[1]"},
        {"[\0\0\0" "1\0\0\0]\0\0\0", 12, "[1]"},
        {"\"\xff\"", 3, NULL},
        {"\"\xc0\xaf\"", 4, NULL},
        {"\"\xed\xa0\x80\"", 5, "\"\xed\xa0\x80\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        sv_arena arena = SV_ARENA_INIT(4096, 0);
        sv_json_fault fault;
        sv_span text;
        int bad = sv_json_as_utf8(&arena, (sv_span){rows[i].bytes, rows[i].size}, &text, &fault);
        cr_expect_eq(bad != 0, rows[i].text == NULL, "row %zu", i);
        if (!bad && rows[i].text)
            cr_expect(sv_span_is(text, rows[i].text), "row %zu: %.*s", i, (int)text.size, text.text);
        sv_arena_free(&arena);
    }
}
