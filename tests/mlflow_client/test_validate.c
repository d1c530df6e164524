#include "validate.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

static const struct {
    const char *key;
    int code;
} keys[] = {
    {"loss", 0},
    {"train/loss", 0},
    {"a b.c-d_e:f", 0},
    {"größe", 0},
    {"损失", 0},
    {"", MLF_E_ARGUMENT},
    {"/a", MLF_E_ARGUMENT},
    {"a/", MLF_E_ARGUMENT},
    {"a//b", MLF_E_ARGUMENT},
    {"a/../b", MLF_E_ARGUMENT},
    {"./a", MLF_E_ARGUMENT},
    {"..", MLF_E_ARGUMENT},
    {"a..b", 0},
    {"a%b", MLF_E_ARGUMENT},
    {"a\nb", MLF_E_ARGUMENT},
    {"a\xff", MLF_E_ARGUMENT},
    {"a\xc0\x80", MLF_E_ARGUMENT},            /* overlong */
    {"a\xe2\x82", MLF_E_ARGUMENT},            /* cut in the middle */
    {"loss\xf0\x9f\x9a\x80", MLF_E_ARGUMENT}, /* a rocket is no letter */
    {NULL, MLF_E_ARGUMENT},
};

Test(validate, keys)
{
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        mlf_error error = MLF_ERROR_INIT;
        cr_expect_eq(mlf_check_key("metric", keys[i].key, &error), keys[i].code, "row %zu: %s", i, error.message);
        cr_expect_eq(error.code, keys[i].code);
    }
}

Test(validate, key_length_counts_characters)
{
    char key[2 * 251 + 1] = "";
    for (int i = 0; i < 250; i++)
        strcat(key, "ä");
    cr_expect_eq(mlf_check_key("tag", key, NULL), 0);
    strcat(key, "a");
    cr_expect_eq(mlf_check_key("tag", key, NULL), MLF_E_ARGUMENT);
}

Test(validate, aliases)
{
    cr_expect_eq(mlf_check_alias("champion", NULL), 0);
    cr_expect_eq(mlf_check_alias("v", NULL), 0);
    cr_expect_eq(mlf_check_alias("v1a", NULL), 0);
    cr_expect_eq(mlf_check_alias("latest", NULL), MLF_E_ARGUMENT);
    cr_expect_eq(mlf_check_alias("LATEST", NULL), MLF_E_ARGUMENT);
    cr_expect_eq(mlf_check_alias("v12", NULL), MLF_E_ARGUMENT);
    cr_expect_eq(mlf_check_alias("a b", NULL), MLF_E_ARGUMENT);
    cr_expect_eq(mlf_check_alias("", NULL), MLF_E_ARGUMENT);
    cr_expect_eq(mlf_check_alias(NULL, NULL), MLF_E_ARGUMENT);
}

Test(validate, names_and_ids)
{
    cr_expect_eq(mlf_check_registered_name("bank-cashflow", NULL), 0);
    cr_expect_eq(mlf_check_registered_name("a/b", NULL), MLF_E_ARGUMENT);
    cr_expect_eq(mlf_check_registered_name("a:b", NULL), MLF_E_ARGUMENT);
    cr_expect_eq(mlf_check_registered_name("  ", NULL), MLF_E_ARGUMENT);
    cr_expect_eq(mlf_check_logged_model_name("model", NULL), 0);
    cr_expect_eq(mlf_check_logged_model_name("mo.del", NULL), MLF_E_ARGUMENT);
    cr_expect_eq(mlf_check_run_id("0123abcd", NULL), 0);
    cr_expect_eq(mlf_check_run_id("../x", NULL), MLF_E_ARGUMENT);
    cr_expect_eq(mlf_check_model_id("m-12", NULL), 0);
    cr_expect_eq(mlf_check_model_id("m-", NULL), MLF_E_ARGUMENT);
    cr_expect_eq(mlf_check_version("12", NULL), 0);
    cr_expect_eq(mlf_check_version("1.0", NULL), MLF_E_ARGUMENT);
    cr_expect_eq(mlf_check_workspace("team-a", NULL), 0);
    cr_expect_eq(mlf_check_workspace("Team", NULL), MLF_E_ARGUMENT);
}

Test(validate, cutting_keeps_characters_whole)
{
    cr_expect_eq(mlf_text_cut("aäb", 2), 3);
    cr_expect_eq(mlf_text_cut("aäb", 9), 4);
    cr_expect_eq(mlf_text_length("aäb"), 3);
    cr_expect_eq(mlf_text_length("\x80"), SIZE_MAX);
}

Test(validate, doubles_travel_as_the_server_wants_them)
{
    static const double values[] = {0, -0.0, 1.5, 1e300, 5e-324, INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        json_t *json = mlf_json_double(values[i]);
        double back = 7;
        cr_expect_eq(mlf_json_to_double(json, &back), 0);
        cr_expect(isnan(values[i]) ? isnan(back) : back == values[i], "%g came back as %g", values[i], back);
        json_decref(json);
    }
    json_t *stored = json_real(DBL_MAX), *other = json_string("inf");
    double back;
    cr_expect_eq(mlf_json_to_double(stored, &back), 0);
    cr_expect(isinf(back));
    cr_expect_eq(mlf_json_to_double(other, &back), -1);
    json_decref(stored);
    json_decref(other);
}
