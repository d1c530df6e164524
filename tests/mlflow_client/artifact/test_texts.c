/* The small parsers: URIs, XML, profile files, MLmodel, base64. */
#include "alloc.h"
#include "digest.h"
#include "ini.h"
#include "mime.h"
#include "mlmodel.h"
#include "uri.h"
#include "xml.h"

#include <criterion/criterion.h>
#include <string.h>

Test(uri, is_taken_apart)
{
    static const struct {
        const char *text, *scheme, *authority, *path, *query;
    } cases[] = {
        {"/a/b", "", "", "/a/b", ""},
        {"a b#c?d", "", "", "a b#c?d", ""},
        {"c:/windows", "", "", "c:/windows", ""}, /* one letter is a drive */
        {"file:///a%20b/%41", "", "", "/a b/A", ""},
        {"file:/x", "", "", "/x", ""},
        {"file://localhost/x", "", "", "/x", ""},
        {"S3://Bucket/key?with#odd", "s3", "Bucket", "/key?with#odd", ""},
        {"gs://b", "gs", "b", "", ""},
        {"https://h:1/p%20q?a=b#frag", "https", "h:1", "/p%20q", "a=b"},
        {"http://h?x", "http", "h", "", "x"},
        {"mlflow-artifacts:/1/r", "mlflow-artifacts", "", "/1/r", ""},
        {"mlflow-artifacts://h:80/1", "mlflow-artifacts", "h:80", "/1", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mlf_uri uri;
        cr_assert_eq(mlf_uri_parse(&uri, cases[i].text, NULL), 0, "%s", cases[i].text);
        cr_assert_str_eq(uri.scheme, cases[i].scheme);
        cr_assert_str_eq(uri.authority, cases[i].authority);
        cr_assert_str_eq(uri.path, cases[i].path);
        cr_assert_str_eq(uri.query, cases[i].query);
        mlf_uri_free(&uri);
    }
}

Test(uri, bad_ones_are_refused)
{
    static const char *const bad[] = {"", "file://elsewhere/x", "file:///a%2", "file:///a%00b", "a\nb", "http://h/\x7f"};
    mlf_uri uri;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(mlf_uri_parse(&uri, bad[i], NULL), MLF_E_ARGUMENT, "%s", bad[i]);
    cr_assert_eq(mlf_uri_parse(&uri, NULL, NULL), MLF_E_ARGUMENT);
    char *long_one = sv_malloc(MLF_URI_MAX_BYTES + 2);
    memset(long_one, 'a', MLF_URI_MAX_BYTES + 1);
    long_one[MLF_URI_MAX_BYTES + 1] = '\0';
    cr_assert_eq(mlf_uri_parse(&uri, long_one, NULL), MLF_E_ARGUMENT);
    sv_free(long_one);
}

Test(uri, parts_are_joined_by_one_slash)
{
    static const char *const cases[][3] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"a", "/b", "a/b"}, {"", "b", "b"}, {"a", "", "a"}, {"/", "b", "/b"}, {NULL, "b", "b"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *joined = mlf_uri_join(cases[i][0], cases[i][1]);
        cr_assert_str_eq(joined, cases[i][2]);
        sv_free(joined);
    }
}

Test(xml, finds_and_decodes)
{
    static const char text[] = "<?xml version='1.0'?><!-- <Code>no</Code> --><E a='b'><Empty/><Code>a&amp;b&#x20AC;&#65;</Code></E>";
    char *found = mlf_xml_find(text, sizeof text - 1, "Code");
    cr_assert_str_eq(found, "a&b\xe2\x82\xac" "A");
    sv_free(found);
    cr_assert_null(mlf_xml_find(text, sizeof text - 1, "Empty"));
    cr_assert_null(mlf_xml_find("<Code>&nosuch;</Code>", 21, "Code"));
    cr_assert_null(mlf_xml_find("<!DOCTYPE a><Code>x</Code>", 26, "Code"));
    cr_assert_null(mlf_xml_find("<Code", 5, "Code"));
}

Test(xml, surrogates_and_nul_are_no_characters)
{
    static const char *const bad[] = {"&#0;", "&#xD800;", "&#x110000;", "&#;", "&#x;", "&", "&amp", "&#65 ;"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_null(mlf_xml_decode(bad[i], strlen(bad[i])), "%s", bad[i]);
}

Test(ini, reads_one_value)
{
    static const char text[] = "key=outside\n[ default ]\r\n; key = comment\n# key = comment\nkey = a = b \r\n[other]\nkey=c\n[broken\nkey=d";
    char *value = mlf_ini_value(text, "default", "key"), *other = mlf_ini_value(text, "other", "key");
    cr_assert_str_eq(value, "a = b");
    cr_assert_str_eq(other, "c");
    cr_assert_null(mlf_ini_value(text, "broken", "key"));
    cr_assert_null(mlf_ini_value(text, "default", "none"));
    sv_free(value);
    sv_free(other);
}

static void expect_stamp(const char *text, const mlf_mlmodel_place *place, const char *expected)
{
    sv_buffer out = SV_BUFFER_INIT(0);
    cr_assert_eq(mlf_mlmodel_stamp(&out, text, place), 0);
    cr_assert_str_eq(out.data, expected);
    sv_buffer_free(&out);
}

Test(mlmodel, says_where_it_is)
{
    const mlf_mlmodel_place three = {"mlflow-artifacts:/1/x", "r1", "m-1"}, two = {"model", "r1", NULL};
    expect_stamp("artifact_path: old\nflavors:\n  x:\n    run_id: inner\nmodel_id: m-0\nrun_id: r0", &three,
                 "artifact_path: mlflow-artifacts:/1/x\nflavors:\n  x:\n    run_id: inner\nmodel_id: m-1\nrun_id: r1\nmodel_uuid: m-1\n");
    expect_stamp("model_id: m-0\nmodel_uuid: abc\nrun_id: r0\nrun_id: r0\n", &two, "model_uuid: abc\nrun_id: r1\nartifact_path: model\n");
}

Test(mlmodel, names_its_flavors)
{
    json_t *flavors = mlf_mlmodel_flavors("a: b\nflavors:\n  onnx:\n    data: x\n  python_function:\n    env:\n      conda: y\nrun_id: z\n  late:\n");
    cr_assert_eq(json_object_size(flavors), 2);
    cr_assert(json_object_get(flavors, "onnx") && json_object_get(flavors, "python_function"));
    json_decref(flavors);
}

Test(base64, takes_exactly_what_is_asked_for)
{
    unsigned char bytes[16];
    cr_assert_eq(mlf_base64_exact(bytes, 4, "7B0Riw=="), 0);
    cr_assert_eq(memcmp(bytes, "\xec\x1d\x11\x8b", 4), 0);
    cr_assert_neq(mlf_base64_exact(bytes, 4, "7B0Riw="), 0);
    cr_assert_neq(mlf_base64_exact(bytes, 4, "7B0RiwAA"), 0);
    cr_assert_neq(mlf_base64_exact(bytes, 16, "AAAA"), 0);
    cr_assert_neq(mlf_base64_exact(bytes, 4, "*B0Riw=="), 0);
}

Test(mime, is_told_by_the_name)
{
    cr_assert_str_eq(mlf_mime_type("a/b/MLmodel"), "text/plain");
    cr_assert_str_eq(mlf_mime_type("x.JSON"), "text/plain");
    cr_assert_str_eq(mlf_mime_type("x.png"), "image/png");
    cr_assert_str_eq(mlf_mime_type("x.onnx"), "application/octet-stream");
    cr_assert_str_eq(mlf_mime_type("t"), "application/octet-stream");
    cr_assert_str_eq(mlf_mime_type("a."), "application/octet-stream");
}
