#include "sigv4.h"

#include <criterion/criterion.h>
#include <string.h>

#define SHA256 "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5"
#define CHECKSUM "x-amz-checksum-crc32c:4waSgw=="

/* Signatures made by botocore for the same request and moment: sigv4_expected.py prints them. */
static void expect_signature(char *token, const char *payload_sha256, const char *checksum, const char *signature, size_t n_lines)
{
    const mlf_aws_keys keys = {(char[]){"AKID"}, (char[]){"SECRET"}, token, 0, "test"};
    const mlf_sigv4_request request = {"PUT", "bucket.s3.eu-west-1.amazonaws.com", "/a%20b/%C3%A9", "partNumber=2&uploadId=x%2Fy",
                                       payload_sha256, "eu-west-1", "s3", checksum};
    mlf_sigv4 out;
    cr_assert_eq(mlf_sigv4_sign(&out, &request, &keys, 1767323045, NULL), 0);
    cr_assert_eq(out.n_lines, n_lines);
    cr_assert(strstr(out.lines[0], "Credential=AKID/20260102/eu-west-1/s3/aws4_request"));
    cr_assert(strstr(out.lines[0], signature), "%s", out.lines[0]);
    cr_assert_str_eq(out.lines[1], "x-amz-date: 20260102T030405Z");
    mlf_sigv4_free(&out);
}

Test(sigv4, equals_botocore)
{
    expect_signature(NULL, SHA256, NULL, "Signature=c5c462f2ec916cf4e98655527ce59eba7a85653be80f8ab232a4c86f1cb8fcaf", 3);
}

Test(sigv4, signs_the_session_token)
{
    expect_signature((char[]){"tok/en+=="}, SHA256, NULL, "Signature=9e7e91aad904c15a1409a5e433595526f5fb998fd5d14f34b4a9416cebe25f54", 4);
}

Test(sigv4, signs_a_checksum)
{
    expect_signature(NULL, "UNSIGNED-PAYLOAD", CHECKSUM, "SignedHeaders=host;x-amz-checksum-crc32c;x-amz-content-sha256;x-amz-date, Signature=950b07d74b8a2fa57a43c823e7011ac9ceeef895713fbe2e877603975332630f", 3);
}

Test(sigv4, signs_a_checksum_and_the_session_token)
{
    expect_signature((char[]){"tok/en+=="}, "UNSIGNED-PAYLOAD", CHECKSUM, "Signature=d0264e952ae2c77e4bcb536b074bf5aff16f4ad43bbc3c0817bb893acebdb325", 4);
}

Test(sigv4, without_keys_nothing_is_sent)
{
    const mlf_aws_keys nobody = MLF_AWS_KEYS_INIT;
    const mlf_sigv4_request request = {"GET", "h", "/", "", "x", "r", "s3", NULL};
    mlf_sigv4 out;
    cr_assert_eq(mlf_sigv4_sign(&out, &request, &nobody, 0, NULL), 0);
    cr_assert_eq(out.n_lines, 0);
}
