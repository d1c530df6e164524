/* Expressions: what they evaluate to, row by row and in blocks, and what is said of wrong ones. */
#include "alloc.h"
#include "feature.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The world of the cases: x = 2.5, y = -3, z is missing, n = 7, big = 1e308, job = trade = "admin.", empty = "", d = 2024-02-29, e = 1969-12-31. */
static const struct { const char *name; sv_type type; double number; const char *text; } world[] = {
    {"x", SV_DOUBLE, 2.5, NULL}, {"y", SV_DOUBLE, -3, NULL}, {"z", SV_DOUBLE, NAN, NULL}, {"n", SV_LONG, 7, NULL}, {"big", SV_DOUBLE, 1e308, NULL},
    {"job", SV_STRING, 0, "admin."}, {"empty", SV_STRING, 0, ""}, {"trade", SV_STRING, 0, "admin."}, {"d", SV_DATE, 19782, NULL}, {"e", SV_DATE, -1, NULL},
    {"education-num", SV_LONG, 9, NULL}, {"test.roc_auc", SV_DOUBLE, 0.75, NULL}, {"flag", SV_BOOLEAN, 1, NULL}};
enum { N_WORLD = sizeof world / sizeof *world };

static sv_features *make_world(void)
{
    sv_features *features;
    cr_assert_eq(sv_features_new(&features), 0);
    for (int i = 0; i < N_WORLD; i++)
        cr_assert_eq(sv_features_add_column(features, world[i].name, world[i].type, NULL, NULL), i);
    return features;
}

/* Evaluates one expression on n rows of the world; the last row's value. */
static double evaluate(const char *text, size_t n)
{
    static double numbers[N_WORLD][SV_BLOCK_ROWS];
    static int32_t codes[N_WORLD][SV_BLOCK_ROWS];
    const void *columns[N_WORLD];
    sv_features *features = make_world();
    sv_error error = SV_ERROR_INIT;
    sv_evaluator *evaluator;
    cr_assert_eq(sv_features_define(features, "result", text, NULL, &error), 0, "%s: %s", text, error.message);
    cr_assert_eq(sv_features_compile(features, NULL, NULL, &error), 0, "%s: %s", text, error.message);
    for (int i = 0; i < N_WORLD; i++)
        for (size_t r = 0; r < n; r++) {
            numbers[i][r] = world[i].number;
            codes[i][r] = world[i].text ? sv_features_code(features, i, world[i].text, strlen(world[i].text)) : 0;
            columns[i] = world[i].text ? (void *)codes[i] : numbers[i];
        }
    cr_assert_eq(sv_evaluator_new(&evaluator, features), 0);
    unsigned long before = sv_alloc_count();
    sv_evaluator_run(evaluator, &(sv_block){n, columns});
    cr_assert_eq(sv_alloc_count(), before, "evaluation allocates");
    const double *values = sv_evaluator_value(evaluator, N_WORLD);
    for (size_t r = 1; r < n; r++)
        cr_assert(!memcmp(&values[r], &values[0], sizeof(double)), "%s: rows of one block differ", text);
    double value = values[n - 1];
    sv_evaluator_free(evaluator);
    sv_features_free(features);
    return value;
}

#define MISSING NAN
static const struct { const char *text; double value; } cases[] = {
    {"1 + 2 * 3", 7}, {"(1 + 2) * 3", 9}, {"10 - 4 - 3", 3}, {"2 / 4 / 2", 0.25}, {"-x", -2.5}, {"--x", 2.5}, {"- 2", -2}, {"1.5e2", 150}, {".5", 0.5},
    {"x * y", -7.5}, {"x - y", 5.5}, {"x / 0", INFINITY}, {"0 / 0", MISSING}, {"x + z", MISSING}, {"big * 10", INFINITY},
    {"x < 3", 1}, {"x <= 2.5", 1}, {"x > 2.5", 0}, {"x >= 2.5", 1}, {"x == 2.5", 1}, {"x != 2.5", 0},
    {"z < 1", 0}, {"z > 1", 0}, {"z == z", 0}, {"z != z", 1}, {"z >= z", 0},
    {"x > 2 and y < 0", 1}, {"x > 2 and y > 0", 0}, {"x > 3 or y < 0", 1}, {"not x > 3", 1}, {"not not x", 1}, {"z or 0", 0}, {"not z", 1}, {"x and 2", 1},
    {"1 or 0 and 0", 1}, {"not 0 and 0", 0}, {"1 + (x > 2)", 2}, {"true + true + false", 2},
    {"if(x > 2, 10, 20)", 10}, {"if(z, 10, 20)", 20}, {"if(z > 0, 1, z)", MISSING}, {"if(y, x, n)", 2.5},
    {"min(3, 1, 2)", 1}, {"max(3, 1, 2)", 3}, {"min(z, 1)", MISSING}, {"min(1, z)", 1}, {"max(z, 1)", MISSING}, {"max(1, z)", 1},
    {"clip(n, 0, 5)", 5}, {"clip(y, -1, 1)", -1}, {"clip(z, 0, 1)", MISSING}, {"abs(y)", 3}, {"floor(-2.5)", -3}, {"floor(x)", 2},
    {"sqrt(9)", 3}, {"sqrt(y)", MISSING}, {"log(1)", 0}, {"log(0)", -INFINITY}, {"log(y)", MISSING}, {"log1p(0)", 0}, {"exp(0)", 1}, {"pow(2, 10)", 1024},
    {"is_missing(z)", 1}, {"is_missing(x)", 0}, {"is_missing(empty)", 1}, {"is_missing(job)", 0}, {"is_missing(0 / 0)", 1},
    {"coalesce(z, 4)", 4}, {"coalesce(z, z, x)", 2.5}, {"coalesce(x, 4)", 2.5}, {"x + missing", MISSING},
    {"job == \"admin.\"", 1}, {"job != 'admin.'", 0}, {"\"admin.\" == job", 1}, {"job == \"Admin.\"", 0}, {"job == \"\"", 0}, {"empty == \"\"", 1},
    {"job in (\"a\", \"admin.\")", 1}, {"job not in [\"a\", \"b\"]", 1}, {"n in (1, 7)", 1}, {"n not in (1, 7)", 0}, {"z in (1, 2)", 0},
    {"bin(n, [1, 5, 7, 9])", 3}, {"bin(y, 0, 1)", 0}, {"bin(z, [0])", MISSING}, {"bin(n, 7)", 1},
    {"month(d)", 2}, {"weekday(d)", 3}, {"month(e)", 12}, {"weekday(e)", 2}, {"days_between(e, d)", 19783}, {"days_between(\"2024-02-01\", d)", 28},
    {"d - e", 19783}, {"d > \"2024-01-01\"", 1}, {"\"2024-03-01\" > d", 1}, {"month(d + 1)", 3}, {"d in (\"2024-02-29\")", 1}, {"d == \"2024-02-29T10:00:00Z\"", 1},
    {"job == trade", 1}, {"job != trade", 0}, {"job == empty", 0}, {"job in (trade, \"x\")", 1}, {"empty in (job, trade)", 0}, {"empty in (job, \"\")", 1},
    {"if(x > 2, job, empty) == \"admin.\"", 1}, {"if(x > 3, \"a\", \"b\") == \"b\"", 1}, {"if(x > 2, job, \"none\") == trade", 1}, {"if(true, \"a\", \"b\") == \"a\"", 1},
    {"coalesce(empty, job) == \"admin.\"", 1}, {"coalesce(empty, \"\", \"none\") == \"none\"", 1}, {"is_missing(if(x > 3, job, \"\"))", 1},
    {"if(x > 2, if(y > 0, job, \"low\"), empty) in (\"low\", \"high\")", 1}, {"if(true, \"a\", \"b\") == if(true, \"b\", \"a\")", 0},
    {"month(if(x > 2, \"2024-05-01\", d))", 5}, {"days_between(coalesce(d, \"2000-01-01\"), d)", 0},
    {"`education-num` > 8", 1}, {"test.roc_auc >= 0.7", 1}, {"flag", 1}, {"flag + 1", 2}, {"x", 2.5}, {"7", 7}, {"(((x)))", 2.5},
    {"log(max(n + 2000, 1))", 7.604396348796338},
};

Test(expr, values)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double one = evaluate(cases[i].text, 1), block = evaluate(cases[i].text, SV_BLOCK_ROWS), wanted = cases[i].value;
        cr_expect(!memcmp(&one, &block, sizeof one), "%s: %.17g alone, %.17g in a block", cases[i].text, one, block);
        cr_expect(isnan(wanted) ? isnan(one) : one == wanted || fabs(one - wanted) < 1e-13 * fabs(wanted), "%s: %.17g, not %.17g", cases[i].text, one, wanted);
    }
}

/* The expression, the part that the caret marks, words of the message, words of the hint. */
static const struct { const char *text, *mark, *message, *hint; } wrong[] = {
    {"", "", "expected a value, got the end", ""},
    {"x +", "", "expected a value, got the end", ""},
    {"x y", "y", "expected an operator or the end, got 'y'", ""},
    {"(x", "", "expected ')', got the end", ""},
    {"x = 2", "=", "a sign that is not of the language", "=="},
    {"x && y", "&&", "a sign", "and"},
    {"!x", "!", "a sign", "not"},
    {"x ** 2", "**", "a sign", "pow"},
    {"x % 2", "%", "a sign", "floor"},
    {"x @ 2", "@", "a character", ""},
    {"1 < x < 3", "<", "chained", "a < b and b < c"},
    {"\"abc", "\"abc", "a quote is not closed", ""},
    {"``", "``", "an empty name", ""},
    {"2nd", "2n", "a number runs into a letter", "backticks"},
    {"1e999", "1e999", "a double cannot hold", ""},
    {"job == \"a\\q\"", "\\q", "a backslash", ""},
    {"balance", "balance", "there is no column or feature `balance`", ""},
    {"jbo == \"a\"", "jbo", "there is no column or feature `jbo`", "did you mean job?"},
    {"sqr(x)", "sqr", "there is no function sqr()", "did you mean sqrt()?"},
    {"log(x, 2)", "log(x, 2)", "expected log(x), got 2 arguments", ""},
    {"clip(x)", "clip(x)", "expected clip(x, low, high), got 1 argument", ""},
    {"job + 1", "job + 1", "a text and a number cannot be added", ""},
    {"job * 2", "job", "expected a number, got a text", ""},
    {"job < \"b\"", "job < \"b\"", "== and !=", ""},
    {"job == 3", "job == 3", "a text is compared with a number", ""},
    {"job < empty", "job < empty", "they have no order", ""},
    {"job in (\"a\", 3)", "3", "expected a text, got a number", ""},
    {"coalesce(job, x)", "x", "expected a text, got a number", ""},
    {"if(x, \"a\", 3)", "\"a\"", "expected a number, got a text", ""},
    {"max(job, empty)", "job", "expected a number, got a text", ""},
    {"if(x, job, empty) + 1", "if(x, job, empty) + 1", "a text and a number cannot be added", ""},
    {"if(job, 1, 2)", "job", "expected a number, got a text", ""},
    {"\"a\" == \"a\"", "\"a\" == \"a\"", "a text column", ""},
    {"\"a\"", "\"a\"", "a text column", ""},
    {"d + e", "d + e", "a date and a date cannot be added", ""},
    {"d > 3", "3", "expected a date, got a number", ""},
    {"d > \"yesterday\"", "\"yesterday\"", "expected a date like", ""},
    {"d > \"2023-02-29\"", "\"2023-02-29\"", "expected a date like", ""},
    {"month(x)", "x", "expected a date, got a number", ""},
    {"x in ()", "x in ()", "`in` an empty list", ""},
    {"x in 3", "3", "expected '(' and the members", ""},
    {"bin(x, [3, 1])", "1", "ascend", ""},
    {"bin(x, y)", "y", "are numbers", ""},
    {"x not y", "y", "'in' after 'not'", ""},
    {"lag(x, 1)", "lag(x, 1)", "panel", ""},
    {"if(x, job, 1)", "1", "expected a text, got a number", ""},
    {"and", "and", "expected a value", ""},
    {"x in [1, [2]]", "2", "a list inside a list", ""},
    {"+x", "+", "no left side", ""},
};

Test(expr, errors_say_what_and_where)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sv_features *features = make_world();
        sv_error error = SV_ERROR_INIT;
        sv_place place = {0, 0};
        int at_fault = 0, code = sv_features_define(features, "result", wrong[i].text, &place, &error);
        if (code >= 0)
            code = sv_features_compile(features, &at_fault, &place, &error);
        cr_expect_eq(code, SV_E_CONFIG, "%s: %d", wrong[i].text, code);
        cr_expect_eq(at_fault, 0);
        cr_expect(strstr(error.message, wrong[i].message), "%s: %s", wrong[i].text, error.message);
        cr_expect(strstr(error.hint, wrong[i].hint), "%s: hint %s", wrong[i].text, error.hint);
        cr_expect(place.length == strlen(wrong[i].mark) && !strncmp(wrong[i].text + place.offset, wrong[i].mark, place.length), "%s: marks '%.*s', not '%s'",
                  wrong[i].text, (int)place.length, wrong[i].text + place.offset, wrong[i].mark);
        sv_features_free(features);
    }
}

static int parse_repeated(const char *head, const char *piece, size_t n, const char *tail)
{
    char *text = sv_calloc(strlen(head) + n * strlen(piece) + strlen(tail) + 1, 1);
    strcpy(text, head);
    for (size_t i = 0; i < n; i++)
        strcat(text, piece);
    strcat(text, tail);
    sv_expr *expr = NULL;
    int code = sv_expr_parse(&expr, text, strlen(text), NULL, NULL);
    sv_expr_free(expr);
    sv_free(text);
    return code;
}

Test(expr, depth_and_length_are_bounded)
{
    cr_expect_eq(parse_repeated("", "(", 5000, "1"), SV_E_LIMIT);
    cr_expect_eq(parse_repeated("", "-", 5000, "x"), SV_E_LIMIT);
    cr_expect_eq(parse_repeated("", "not ", 2000, "x"), SV_E_LIMIT);
    cr_expect_eq(parse_repeated("1", "+1", 4000, ""), SV_E_LIMIT);
    cr_expect_eq(parse_repeated("1", "+1", 150, ""), 0);
    cr_expect_eq(parse_repeated("max(", "1,", 3000, "1)"), SV_E_LIMIT);
    cr_expect_eq(parse_repeated("1", " ", 9000, ""), SV_E_LIMIT);
    cr_expect_eq(parse_repeated("", "[", 3000, "1"), SV_E_CONFIG);
}

/* Comparisons ask for their sides' kinds first; asked twice at each level, this would take 2^150 steps. */
Test(expr, deep_comparisons_take_no_longer, .timeout = 10)
{
    char text[2048] = "x";
    for (int i = 0; i < 150; i++) {
        char longer[2048];
        snprintf(longer, sizeof longer, "(%s)<1", text);
        strcpy(text, longer);
    }
    evaluate(text, 1);
}

Test(features, order_is_free_and_equal_parts_are_shared)
{
    sv_features *features = make_world();
    sv_error error = SV_ERROR_INIT;
    sv_features_define(features, "c", "a + b", NULL, &error);
    sv_features_define(features, "b", "a * 2", NULL, &error);
    sv_features_define(features, "a", "x + 1", NULL, &error);
    cr_assert_eq(sv_features_compile(features, NULL, NULL, &error), 0, "%s", error.message);
    cr_assert(sv_features_depends(features, sv_features_find(features, "c", 1), 0));
    cr_assert(!sv_features_depends(features, sv_features_find(features, "c", 1), 1));
    sv_features *part;
    cr_assert_eq(sv_features_select(&part, features, (const char *[]){"job", "b"}, 2, &error), 0, "%s", error.message);
    cr_assert_eq(sv_features_n_columns(part), 2u);
    cr_assert_str_eq(sv_features_name(part, 0), "x");
    cr_assert_str_eq(sv_features_name(part, 1), "job");
    cr_assert_str_eq(sv_features_name(part, 2), "b");
    cr_assert_str_eq(sv_features_name(part, 3), "a");
    sv_features_free(part);
    cr_assert_eq(sv_features_select(&part, features, (const char *[]){"nothing"}, 1, &error), SV_E_CONFIG);
    sv_features_free(features);
}

Test(features, circles_and_names_given_twice_are_refused)
{
    sv_features *features = make_world();
    sv_error error = SV_ERROR_INIT;
    int at_fault;
    sv_features_define(features, "a", "b + 1", NULL, NULL);
    sv_features_define(features, "b", "abs(c)", NULL, NULL);
    sv_features_define(features, "c", "a", NULL, NULL);
    cr_assert_eq(sv_features_compile(features, &at_fault, NULL, &error), SV_E_CONFIG);
    cr_assert(strstr(error.message, "a -> b -> c -> a"), "%s", error.message);
    cr_assert_eq(sv_features_add_column(features, "x", SV_LONG, NULL, NULL), SV_E_CONFIG);
    cr_assert_eq(sv_features_define(features, "x", "1", NULL, NULL), SV_E_CONFIG);
    cr_assert_eq(sv_features_add_column(features, "", SV_LONG, NULL, NULL), SV_E_CONFIG);
    cr_assert_eq(sv_features_add_column(features, "a\xff", SV_LONG, NULL, NULL), SV_E_CONFIG);
    sv_features_free(features);
}

Test(features, a_long_chain_needs_no_stack)
{
    sv_features *features = make_world();
    char name[32], text[32];
    for (int i = 0; i < 4000; i++) {
        snprintf(name, sizeof name, "f%d", i);
        snprintf(text, sizeof text, "f%d + 1", i + 1);
        cr_assert_eq(sv_features_define(features, name, i == 3999 ? "x" : text, NULL, NULL), i);
    }
    cr_assert_eq(sv_features_compile(features, NULL, NULL, NULL), 0);
    sv_features_free(features);
}

/* What a panel does: the innermost call becomes a column, until none is left; the changed tree is kept as text. */
Test(features, panel_calls_are_lifted)
{
    sv_expr *expr;
    sv_error error = SV_ERROR_INIT;
    const char *text = "lead(x, 1) > rolling_mean(lag(x), 3)";
    cr_assert_eq(sv_expr_parse(&expr, text, strlen(text), NULL, &error), 0);
    static const char *const wanted[] = {"lead(x, 1)", "lag(x)", "rolling_mean(lag(x), 3)"};
    sv_features *features = make_world();
    for (int i = 0; i < 3; i++) {
        sv_node *call = sv_expr_panel_call(expr);
        cr_assert_eq(strncmp(text + call->offset, wanted[i], call->length), 0);
        cr_assert_eq(call->length, strlen(wanted[i]));
        cr_assert_eq(sv_expr_replace(expr, call, wanted[i]), 0);
        sv_features_add_column(features, wanted[i], SV_DOUBLE, NULL, NULL);
    }
    cr_assert_null(sv_expr_panel_call(expr));
    cr_assert_eq(sv_features_define_expr(features, "up", expr, &error), 0, "%s", error.message);
    cr_assert_str_eq(sv_features_text(features, 0), "(`lead(x, 1)` > `rolling_mean(lag(x), 3)`)");
    cr_assert_eq(sv_features_compile(features, NULL, NULL, &error), 0, "%s", error.message);
    sv_features_free(features);
}

Test(expr, printed_trees_parse_to_the_same_text)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sv_expr *first, *second;
        sv_buffer once = SV_BUFFER_INIT(0), twice = SV_BUFFER_INIT(0);
        cr_assert_eq(sv_expr_parse(&first, cases[i].text, strlen(cases[i].text), NULL, NULL), 0);
        cr_assert_eq(sv_expr_print(&once, sv_expr_root(first)), 0);
        cr_assert_eq(sv_expr_parse(&second, once.data, once.size, NULL, NULL), 0, "%s", once.data);
        sv_expr_print(&twice, sv_expr_root(second));
        cr_expect_str_eq(once.data, twice.data);
        double a = evaluate(cases[i].text, 1), b = evaluate(once.data, 1);
        cr_expect(!memcmp(&a, &b, sizeof a) || (isnan(a) && isnan(b)), "%s", once.data);
        sv_expr_free(first);
        sv_expr_free(second);
        sv_buffer_free(&once);
        sv_buffer_free(&twice);
    }
}

Test(features, every_failed_allocation_is_reported)
{
    int done = 0;
    for (long k = 0; !done && k < 1000; k++) {
        sv_features *features = NULL;
        sv_evaluator *evaluator = NULL;
        sv_alloc_fail_after(k, 1);
        int code = sv_features_new(&features);
        for (int i = 0; i < N_WORLD && code >= 0; i++)
            code = sv_features_add_column(features, world[i].name, world[i].type, NULL, NULL);
        if (code >= 0)
            code = sv_features_define(features, "a", "if(job in (\"a\", \"b\"), bin(x, [1, 2]) + month(d), -coalesce(z, y))", NULL, NULL);
        if (code >= 0)
            code = sv_features_define(features, "b", "a + log(max(n, 1)) and `education-num` > 2", NULL, NULL);
        if (code >= 0)
            code = sv_features_compile(features, NULL, NULL, NULL);
        if (code >= 0)
            code = sv_evaluator_new(&evaluator, features);
        sv_alloc_fail_after(-1, 0);
        cr_assert(code >= 0 || code == SV_E_MEMORY, "allocation %ld: %d", k, code);
        sv_evaluator_free(evaluator);
        sv_features_free(features);
        done = code >= 0;
    }
    cr_assert(done);
}
