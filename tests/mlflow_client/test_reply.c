#include "reply.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    int status;
    const char *body;
    int code;
    const char *error_code, *says;
} errors[] = {
    {404, "{\"error_code\": \"RESOURCE_DOES_NOT_EXIST\", \"message\": \"no run\"}", MLF_E_NOT_FOUND,
     "RESOURCE_DOES_NOT_EXIST", "no run"},
    {404, "<!doctype html><title>404 Not Found</title>", MLF_E_UNSUPPORTED, "", "does not have that endpoint"},
    {404, "{\"detail\": \"Not Found\"}", MLF_E_UNSUPPORTED, "", "Not Found"},
    {405, "<!doctype html>", MLF_E_UNSUPPORTED, "", "405"},
    {400, "{\"error_code\": \"RESOURCE_ALREADY_EXISTS\", \"message\": \"taken\", \"sqlstate\": \"x\"}", MLF_E_EXISTS,
     "RESOURCE_ALREADY_EXISTS", "taken"},
    {400, "{\"error_code\": \"INVALID_PARAMETER_VALUE\", \"message\": \"bad\"}", MLF_E_SERVER,
     "INVALID_PARAMETER_VALUE", "bad"},
    {401, "You are not authenticated.", MLF_E_AUTH, "", "MLFLOW_TRACKING_USERNAME"},
    {403, "Permission denied", MLF_E_AUTH, "", "Permission denied; the login is right"},
    {403, "Invalid Host header", MLF_E_AUTH, "", "Invalid Host header"},
    {422, "{\"detail\": [{\"loc\": [\"body\"], \"msg\": \"required\"}]}", MLF_E_SERVER, "", "required"},
    {500, "", MLF_E_SERVER, "", "500"},
    {500, "{\"error_code\": \"FEATURE_DISABLED\", \"message\": \"no workspaces\"}", MLF_E_UNSUPPORTED,
     "FEATURE_DISABLED", "no workspaces"},
    {500, "{\"error_code\": 7, \"message\": {}}", MLF_E_SERVER, "", "500"},
    {502, "<html><head><title>502 Bad Gateway</title></head></html>", MLF_E_SERVER, "", "502 Bad Gateway"},
};

Test(reply, errors)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        mlf_error error = MLF_ERROR_INIT;
        int code = mlf_reply_error(&error, "GET x", errors[i].status, errors[i].body, strlen(errors[i].body), 0);
        cr_expect_eq(code, errors[i].code, "row %zu: %s", i, error.message);
        cr_expect_eq(error.code, code);
        cr_expect_eq(error.http_status, errors[i].status);
        cr_expect_str_eq(error.error_code, errors[i].error_code);
        cr_expect(strstr(error.message, errors[i].says), "row %zu: \"%s\" should say \"%s\"", i, error.message,
                  errors[i].says);
    }
}

/* MLflow's own refusal is for good; a proxy's page says nothing of what was asked. */
Test(reply, a_strangers_answer_may_pass)
{
    static const struct {
        int status, passes;
        const char *body;
    } rows[] = {{404, 1, "404 page not found"}, {405, 1, "<html>"}, {413, 1, "<html>"}, {404, 1, "{\"message\": \"no Route\"}"},
                {404, 0, "{\"error_code\": \"RESOURCE_DOES_NOT_EXIST\"}"}, {401, 0, "<html>"}, {403, 0, "Permission denied"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mlf_error error = MLF_ERROR_INIT;
        mlf_reply_error(&error, "POST x", rows[i].status, rows[i].body, strlen(rows[i].body), 0);
        cr_expect_eq(mlf_error_is_retriable(&error), rows[i].passes, "row %zu", i);
    }
}

static const char *const no_json[] = {
    "<html>hello</html>", "  <html>", "{\"a\": ", "[1]", "7", "null", "{\"a\": NaN}", "{\"a\": 99999999999999999999}",
    "\xff\xfe",           "{} {}"};

Test(reply, what_is_no_json_object_is_named)
{
    for (size_t i = 0; i < sizeof no_json / sizeof *no_json; i++) {
        mlf_error error = MLF_ERROR_INIT;
        json_t *json;
        cr_expect_eq(mlf_reply_json(&json, no_json[i], strlen(no_json[i]), &error), MLF_E_REPLY, "row %zu", i);
        cr_expect_null(json);
        cr_expect(error.message[0]);
    }
}

Test(reply, a_million_deep_is_refused)
{
    size_t depth = 1000000;
    char *text = malloc(depth + 8);
    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '[', depth);
    json_t *json;
    mlf_error error = MLF_ERROR_INIT;
    cr_expect_eq(mlf_reply_json(&json, text, depth + 5, &error), MLF_E_REPLY);
    cr_expect(strstr(error.message, "deep"));
    mlf_error refusal = MLF_ERROR_INIT;
    cr_expect_eq(mlf_reply_error(&refusal, "GET x", 500, text, depth + 5, 0), MLF_E_SERVER);
    free(text);
}

Test(reply, an_empty_body_is_an_empty_object)
{
    json_t *json;
    cr_expect_eq(mlf_reply_json(&json, NULL, 0, NULL), MLF_OK);
    cr_expect_eq(json_object_size(json), 0);
    json_decref(json);
}
