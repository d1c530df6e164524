/* mlf_json_parse() beside jansson's own reader: the same values, the same texts refused, and with little memory a refusal instead of another value. */
#include "alloc.h"
#include "json_text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const char *const good[] = {
    "{}", "[]", " [ ] ", "0", "-0", "-1", "9223372036854775807", "-9223372036854775808", "1.5e3", "1E-7", "-0.0", "5e-324", "1e-400", "true", "false", "null", "\"\"",
    "\"plain\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\u00e9\\u20ac\\ud83d\\ude00\"", "\"a\\u0000b\"", "\"Zürich 東京 😀\"",
    "{\"a\":1,\"b\":[true,false,null,{\"c\":\"d\"}],\"\":{}}", "{\"a\":1,\"a\":2}", "{\"\\u0061\\n\":\"\\u0062\"}", "[1,2.5,\"three\",[[[]]]]\n",
    "{\"run\":{\"info\":{\"run_id\":\"0123456789abcdef0123456789abcdef\",\"experiment_id\":\"123456789012345678\",\"artifact_uri\":\"mlflow-artifacts:/1/0123456789abcdef/artifacts\"}}}",
};
static const char *const bad[] = {
    "", " ", "{", "[", "\"", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{a:1}", "{\"a\" 1}", "[1]]", "{} {}", "tru", "True", "nul", "NaN",
    "Infinity", "-", "01", "-01", "1.", ".5", "1e", "1e+", "+1", "0x10", "9223372036854775808", "1e400", "'a'", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\ud83d\"", "\"\\ude00\"",
    "\"\\ud83d\\u0041\"", "\"a\nb\"", "\"\x01\"", "\"\xc0\xaf\"", "\"\xff\"", "\"\xed\xa0\x80\"", "\"\xe2\x82\"", "{\"a\\u0000b\":1}", "[1]\xef\xbb\xbf", "/**/[]",
};

static json_t *oracle(const char *text, int unique)
{
    return json_loadb(text, strlen(text), JSON_DECODE_ANY | JSON_ALLOW_NUL | (unique ? JSON_REJECT_DUPLICATES : 0), NULL);
}

Test(json, reads_what_jansson_reads)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        for (int unique = 0; unique < 2; unique++) {
            json_t *ours = NULL, *theirs = oracle(good[i], unique);
            int code = mlf_json_parse(&ours, good[i], strlen(good[i]), unique, NULL);
            cr_expect_eq(code, theirs ? SV_OK : SV_E_INPUT, "%s", good[i]);
            cr_expect(!theirs || json_equal(ours, theirs), "%s", good[i]);
            json_decref(ours);
            json_decref(theirs);
        }
}

Test(json, refuses_what_jansson_refuses_and_says_where)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *ours = NULL, *theirs = oracle(bad[i], 0);
        mlf_json_fault fault = {0};
        cr_expect_eq(mlf_json_parse(&ours, bad[i], strlen(bad[i]), 0, &fault), SV_E_INPUT, "%s", bad[i]);
        cr_expect(!ours && !theirs && fault.why && fault.line >= 1 && fault.column >= 1, "%s", bad[i]);
    }
    json_t *none;
    mlf_json_fault fault;
    const char *text = "{\n \"a\": [1,\n  tru]\n}";
    cr_expect_eq(mlf_json_parse(&none, text, strlen(text), 0, &fault), SV_E_INPUT);
    cr_expect(fault.line == 3 && fault.column == 3, "%d:%d %s", fault.line, fault.column, fault.why);
}

Test(json, depth_is_bounded)
{
    char text[2 * MLF_JSON_DEPTH + 3] = "";
    for (int depth = MLF_JSON_DEPTH; depth <= MLF_JSON_DEPTH + 1; depth++) {
        json_t *value;
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        cr_expect_eq(mlf_json_parse(&value, text, 2 * (size_t)depth, 0, NULL), depth > MLF_JSON_DEPTH ? SV_E_INPUT : SV_OK);
        json_decref(value);
    }
}

/* 8 MiB of "[],[],…" would take some half a gigabyte. */
Test(json, the_number_of_values_is_bounded)
{
    size_t most = MLF_JSON_VALUES - 1; /* in one list */
    char *text = malloc(2 * most + 4);
    text[0] = '[';
    for (size_t i = 0; i <= most; i++)
        memcpy(text + 1 + 2 * i, "1,", 2);
    for (size_t n = most; n <= most + 1; n++) {
        json_t *value;
        mlf_json_fault fault = {0};
        text[2 * n] = ']';
        cr_expect_eq(mlf_json_parse(&value, text, 2 * n + 1, 0, &fault), n > most ? SV_E_INPUT : SV_OK, "%zu: %s", n, fault.why);
        cr_expect_eq(json_array_size(value), n > most ? 0 : n);
        json_decref(value);
        text[2 * n] = ',';
    }
    free(text);
}

/* Each allocation refused in turn: the whole value or none. (jansson's reader drops a byte of the token that it could not grow.) */
Test(json, little_memory_never_makes_another_value)
{
    json_set_alloc_funcs(sv_malloc, sv_free);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        json_t *whole = oracle(good[i], 0);
        for (long k = 0, failed = 1; failed; k++) {
            json_t *value = NULL;
            unsigned long before = sv_alloc_count();
            sv_alloc_fail_after(k, 1);
            int code = mlf_json_parse(&value, good[i], strlen(good[i]), 0, NULL);
            sv_alloc_fail_after(-1, 0);
            failed = sv_alloc_count() - before > (unsigned long)k;
            cr_assert_eq(code, failed ? SV_E_MEMORY : SV_OK, "%s, allocation %ld", good[i], k);
            cr_assert(failed ? !value : json_equal(value, whole));
            json_decref(value);
        }
        json_decref(whole);
    }
}
