#include "retry.h"

#include <criterion/criterion.h>

static const struct {
    int status, has_retry_after;
    const char *error_code, *body;
    int again;
} rows[] = {
    {200, 0, NULL, NULL, 0},
    {408, 0, NULL, NULL, 1},
    {429, 0, "REQUEST_LIMIT_EXCEEDED", NULL, 1},
    {500, 0, "INTERNAL_ERROR", NULL, 1},
    {502, 0, NULL, "<html>", 1},
    {503, 0, "TEMPORARILY_UNAVAILABLE", NULL, 1},
    {504, 0, NULL, NULL, 1},
    {501, 0, "NOT_IMPLEMENTED", NULL, 0},
    {404, 0, "TEMPORARILY_UNAVAILABLE", NULL, 1},
    {409, 0, NULL, NULL, 0},
    {499, 0, NULL, NULL, 0},
    {404, 1, NULL, NULL, 0},
    {413, 0, NULL, NULL, 0},
    {413, 1, NULL, NULL, 1},
    {503, 0, "", "Endpoint: /x disabled due to the mlflow server running in `--no-serve-artifacts` mode", 0},
    {500, 0, "FEATURE_DISABLED", NULL, 0},
    {500, 0, "INVALID_STATE", NULL, 0},
};

Test(retry, statuses)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(mlf_retry_status(rows[i].status, rows[i].has_retry_after, rows[i].error_code, rows[i].body),
                     rows[i].again, "row %zu, status %d", i, rows[i].status);
}

Test(retry, waits_grow_to_two_minutes)
{
    static const int64_t expected[] = {0, 4000, 8000, 16000, 32000, 64000, 120000, 120000};
    mlf_settings settings = {.backoff_factor = 2, .backoff_jitter = 1};
    for (int retry = 1; retry <= 8; retry++)
        cr_expect_eq(mlf_retry_wait_ms(&settings, retry, 0), expected[retry - 1], "retry %d", retry);
    cr_expect_eq(mlf_retry_wait_ms(&settings, 2, 0.5), 4500);
    cr_expect_eq(mlf_retry_wait_ms(&settings, 1000000, 0.5), 120000);
}

Test(retry, retry_after_is_seconds_or_a_date)
{
    cr_expect_eq(mlf_retry_after_ms("7", 0), 7000);
    cr_expect_eq(mlf_retry_after_ms(" 0 ", 0), 0);
    cr_expect_eq(mlf_retry_after_ms("Thu, 01 Jan 1970 00:00:10 GMT", 4000), 6000);
    cr_expect_eq(mlf_retry_after_ms("Thu, 01 Jan 1970 00:00:10 GMT", 40000), 0);
    cr_expect_eq(mlf_retry_after_ms("999999999999999", 0), 6 * 3600 * 1000);
    cr_expect_eq(mlf_retry_after_ms("Thu, 01 Jan 99999999 00:00:00 GMT", 0), 6 * 3600 * 1000);
    cr_expect_eq(mlf_retry_after_ms("01 Jan 999999999", 0), 6 * 3600 * 1000);
    cr_expect_eq(mlf_retry_after_ms("soon", 0), -1);
    cr_expect_eq(mlf_retry_after_ms("", 0), -1);
    cr_expect_eq(mlf_retry_after_ms(NULL, 0), -1);
}
