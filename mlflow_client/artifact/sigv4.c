#include "sigv4.h"

#include "alloc.h"
#include "buffer.h"
#include "client_error.h"
#include "digest.h"
#include "secret.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

static void hmac(unsigned char out[32], const void *key, size_t key_length, const char *text)
{
    unsigned int length = 32;
    HMAC(EVP_sha256(), key, (int)key_length, (const unsigned char *)text, strlen(text), out, &length);
}

/* HMAC(HMAC(HMAC(HMAC("AWS4" + secret, day), region), service), "aws4_request") */
static int signing_key(unsigned char out[32], const mlf_sigv4_request *request, const mlf_aws_keys *keys, const char *day)
{
    sv_buffer start = SV_BUFFER_INIT(0);
    if (sv_buffer_format(&start, "AWS4%s", keys->secret))
        return MLF_E_MEMORY;
    hmac(out, start.data, start.size, day);
    hmac(out, out, 32, request->region);
    hmac(out, out, 32, request->service);
    hmac(out, out, 32, "aws4_request");
    sv_secret_wipe(start.data, start.size);
    sv_buffer_free(&start);
    return 0;
}

/* The names in order: a checksum's is before x-amz-content-sha256. */
static int name_headers(sv_buffer *out, const mlf_sigv4_request *request, const mlf_aws_keys *keys)
{
    const char *checksum = request->checksum ? request->checksum : "";
    return sv_buffer_format(out, "host%s%.*s;x-amz-content-sha256;x-amz-date%s", *checksum ? ";" : "", (int)strcspn(checksum, ":"), checksum, keys->token ? ";x-amz-security-token" : "");
}

static int canonical_request(sv_buffer *out, const mlf_sigv4_request *request, const mlf_aws_keys *keys, const char *stamp, const char *signed_headers)
{
    const char *checksum = request->checksum ? request->checksum : "";
    int code = sv_buffer_format(out, "%s\n%s\n%s\nhost:%s\n%s%sx-amz-content-sha256:%s\nx-amz-date:%s\n", request->method, request->path, request->query,
                                request->host, checksum, *checksum ? "\n" : "", request->payload_sha256, stamp);
    if (!code && keys->token)
        code = sv_buffer_format(out, "x-amz-security-token:%s\n", keys->token);
    return code ? code : sv_buffer_format(out, "\n%s\n%s", signed_headers, request->payload_sha256);
}

static int add_line(mlf_sigv4 *out, sv_buffer *line)
{
    char *text = sv_buffer_take(line);
    if (!text)
        return MLF_E_MEMORY;
    out->lines[out->n_lines++] = text;
    return 0;
}

int mlf_sigv4_sign(mlf_sigv4 *out, const mlf_sigv4_request *request, const mlf_aws_keys *keys, time_t now, mlf_error *error)
{
    *out = (mlf_sigv4){{NULL}, 0};
    if (!keys->id)
        return 0; /* anonymous */
    sv_buffer text = SV_BUFFER_INIT(0), scope = SV_BUFFER_INIT(0), names = SV_BUFFER_INIT(0);
    char stamp[20], day[12], digest[65], signature[65];
    unsigned char key[32], mac[32];
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc);
    strftime(day, sizeof day, "%Y%m%d", &utc);
    int code = name_headers(&names, request, keys) || canonical_request(&text, request, keys, stamp, names.data);
    if (!code)
        mlf_sha256_hex(digest, text.data, text.size);
    sv_buffer_clear(&text);
    code = code || sv_buffer_format(&scope, "%s/%s/%s/aws4_request", day, request->region, request->service) ||
           sv_buffer_format(&text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", stamp, scope.data, digest) || signing_key(key, request, keys, day);
    if (!code) {
        hmac(mac, key, sizeof key, text.data);
        mlf_hex(signature, mac, sizeof mac);
        sv_buffer_clear(&text);
        code = sv_buffer_format(&text, "Authorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", keys->id, scope.data, names.data, signature) ||
               add_line(out, &text) || sv_buffer_format(&text, "x-amz-date: %s", stamp) || add_line(out, &text) ||
               sv_buffer_format(&text, "x-amz-content-sha256: %s", request->payload_sha256) || add_line(out, &text) ||
               (keys->token && (sv_buffer_format(&text, "x-amz-security-token: %s", keys->token) || add_line(out, &text)));
    }
    sv_secret_wipe(key, sizeof key);
    sv_buffer_free(&text);
    sv_buffer_free(&scope);
    sv_buffer_free(&names);
    if (code)
        mlf_sigv4_free(out);
    return code ? mlf_error_memory(error) : 0;
}

void mlf_sigv4_free(mlf_sigv4 *sigv4)
{
    for (size_t i = 0; i < sigv4->n_lines; i++) {
        sv_secret_wipe(sigv4->lines[i], strlen(sigv4->lines[i]));
        sv_free(sigv4->lines[i]);
    }
    sigv4->n_lines = 0;
}
