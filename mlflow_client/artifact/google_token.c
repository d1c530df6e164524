#include "google_token.h"

#include "alloc.h"
#include "client_error.h"
#include "clock.h"
#include "file.h"
#include "reply.h"
#include "secret.h"
#include "settings.h"
#include "transport.h"
#include "uri.h"
#include "url.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCOPE "https://www.googleapis.com/auth/devstorage.read_write"

enum { MAX_KEY_FILE_BYTES = 1 << 20, LIFE_S = 3600, MAX_LIFE_S = 7 * 86400, METADATA_TIMEOUT_MS = 3000 };

void mlf_google_token_free(mlf_google_token *token)
{
    if (token->text)
        sv_secret_wipe(token->text, strlen(token->text));
    sv_free(token->text);
    *token = (mlf_google_token){NULL, 0, "nowhere"};
}

static void wipe(sv_buffer *buffer)
{
    if (buffer->data)
        sv_secret_wipe(buffer->data, buffer->size);
    sv_buffer_free(buffer);
}

int mlf_google_token_read(mlf_google_token *out, const char *answer, size_t length, const char *from, mlf_error *error)
{
    json_t *json = NULL;
    int code = mlf_reply_json(&json, answer, length, error);
    if (code)
        mlf_error_prefix(error, "%s: ", from);
    const char *text = json_string_value(json_object_get(json, "access_token"));
    int64_t lives_s = (int64_t)json_integer_value(json_object_get(json, "expires_in"));
    if (!code && (!text || strlen(text) > 16384 || strpbrk(text, "\r\n")))
        code = mlf_error_set(error, MLF_E_REPLY, "%s: the answer holds no access_token", from);
    if (!code && !(out->text = sv_strdup(text)))
        code = mlf_error_memory(error);
    out->expires_ms = sv_epoch_ms() + 1000 * (lives_s < 0 ? 0 : lives_s > MAX_LIFE_S ? MAX_LIFE_S : lives_s);
    out->from = from;
    json_decref(json);
    return code;
}

/* ---- a service account: a claim signed by its key, changed for a token ---- */

static int base64_url(sv_buffer *out, const void *bytes, size_t length)
{
    unsigned char chunk[64];
    const unsigned char *from = bytes;
    int code = 0;
    for (size_t at = 0; at < length && !code; at += 45) {
        size_t n = length - at < 45 ? length - at : 45;
        int size = EVP_EncodeBlock(chunk, from + at, (int)n);
        for (int i = 0; i < size && !code; i++)
            if (chunk[i] != '=')
                code = sv_buffer_byte(out, (char)(chunk[i] == '+' ? '-' : chunk[i] == '/' ? '_' : chunk[i]));
    }
    return code;
}

static int add_json(sv_buffer *out, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    int code = text ? base64_url(out, text, strlen(text)) : SV_E_MEMORY;
    json_free_t release;
    json_get_alloc_funcs(NULL, &release);
    release(text);
    json_decref(json);
    return code;
}

/* RSA with SHA-256 (RS256) over what is there, appended. */
static int add_signature(sv_buffer *out, const char *pem, mlf_error *error)
{
    unsigned char signature[1024];
    size_t length = sizeof signature;
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int good = key && context && EVP_PKEY_is_a(key, "RSA") && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
               EVP_DigestSign(context, signature, &length, (const unsigned char *)out->data, out->size) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    BIO_free(bio);
    if (!good)
        return mlf_error_set(error, MLF_E_AUTH, "the service account's private_key is no RSA key in PEM");
    return sv_buffer_byte(out, '.') || base64_url(out, signature, length) ? mlf_error_memory(error) : 0;
}

static int make_claim(sv_buffer *out, const json_t *account, const char *token_uri, mlf_error *error)
{
    const char *email = json_string_value(json_object_get(account, "client_email")), *pem = json_string_value(json_object_get(account, "private_key")),
               *id = json_string_value(json_object_get(account, "private_key_id"));
    json_int_t now = (json_int_t)(sv_epoch_ms() / 1000);
    if (!email || !pem)
        return mlf_error_set(error, MLF_E_AUTH, "the service account's file needs client_email and private_key");
    if (add_json(out, json_pack("{s:s, s:s, s:s*}", "alg", "RS256", "typ", "JWT", "kid", id)) || sv_buffer_byte(out, '.') ||
        add_json(out, json_pack("{s:s, s:s, s:s, s:I, s:I}", "iss", email, "scope", SCOPE, "aud", token_uri, "iat", now, "exp", now + LIFE_S)))
        return mlf_error_memory(error);
    return add_signature(out, pem, error);
}

static int post_form(mlf_google_token *out, mlf_client *client, const char *url, const sv_buffer *form, const char *from, mlf_error *error)
{
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    const mlf_http_call call = {.method = "POST", .url = url, .flags = MLF_HTTP_NO_AUTH, .body = form->data, .body_bytes = (int64_t)form->size,
                                .content_type = "application/x-www-form-urlencoded", .max_reply_bytes = 1 << 20};
    int code = mlf_http(client, &call, &reply, error);
    if (code && error && (reply.status == 400 || reply.status == 401 || reply.status == 403))
        code = error->code = MLF_E_AUTH;
    if (code)
        mlf_error_prefix(error, "Google's token for %s: ", from);
    else
        code = mlf_google_token_read(out, reply.body.data ? reply.body.data : "", reply.body.size, from, error);
    mlf_http_reply_free(&reply);
    return code;
}

static int from_account(mlf_google_token *out, mlf_client *client, const json_t *account, mlf_error *error)
{
    const char *named = json_string_value(json_object_get(account, "token_uri")), *url = named ? named : "https://oauth2.googleapis.com/token";
    sv_buffer claim = SV_BUFFER_INIT(1 << 20), form = SV_BUFFER_INIT(1 << 20);
    int code = make_claim(&claim, account, url, error);
    if (!code && (sv_buffer_text(&form, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=") || sv_buffer_text(&form, claim.data)))
        code = mlf_error_memory(error);
    if (!code)
        code = post_form(out, client, url, &form, "the service account", error);
    wipe(&claim);
    wipe(&form);
    return code;
}

/* ---- a user's own, as `gcloud auth application-default login` writes it ---- */

static int from_user(mlf_google_token *out, mlf_client *client, const json_t *account, mlf_error *error)
{
    static const char *const fields[] = {"client_id", "client_secret", "refresh_token"};
    const char *named = json_string_value(json_object_get(account, "token_uri"));
    sv_buffer form = SV_BUFFER_INIT(1 << 20);
    int code = sv_buffer_text(&form, "grant_type=refresh_token") ? mlf_error_memory(error) : 0;
    for (size_t i = 0; !code && i < 3; i++) {
        const char *value = json_string_value(json_object_get(account, fields[i]));
        if (!value)
            code = mlf_error_set(error, MLF_E_AUTH, "the user's credentials file needs %s", fields[i]);
        else if (sv_buffer_format(&form, "&%s=", fields[i]) || mlf_url_encode(&form, value, 0))
            code = mlf_error_memory(error);
    }
    if (!code)
        code = post_form(out, client, named ? named : "https://oauth2.googleapis.com/token", &form, "the user", error);
    wipe(&form);
    return code;
}

static int from_file(mlf_google_token *out, mlf_client *client, const char *path, mlf_error *error)
{
    sv_buffer text = SV_BUFFER_INIT(MAX_KEY_FILE_BYTES);
    sv_error read = SV_ERROR_INIT;
    json_t *account = NULL;
    int code = sv_file_read(&text, path, MAX_KEY_FILE_BYTES, &read) ? mlf_error_set(error, MLF_E_AUTH, "GOOGLE_APPLICATION_CREDENTIALS: %s", read.message) : 0;
    if (!code && mlf_reply_json(&account, text.data ? text.data : "", text.size, NULL)) /* what it holds instead is not for a message */
        code = mlf_error_set(error, MLF_E_AUTH, "%.300s: expected a JSON object with Google credentials", path);
    const char *type = json_string_value(json_object_get(account, "type"));
    if (!code && type && !strcmp(type, "service_account"))
        code = from_account(out, client, account, error);
    else if (!code && type && !strcmp(type, "authorized_user"))
        code = from_user(out, client, account, error);
    else if (!code)
        code = mlf_error_set(error, MLF_E_UNSUPPORTED, "%.300s: credentials of type '%.60s'; known are service_account and authorized_user", path, type ? type : "(none)");
    json_decref(account);
    wipe(&text);
    return code;
}

/* No metadata server is no error: then nobody asks as anybody. */
static int from_metadata(mlf_google_token *out, mlf_client *client, mlf_error *error)
{
    const char *host = mlf_env("GCE_METADATA_HOST"), *off = mlf_env("NO_GCE_CHECK");
    const char *const headers[] = {"Metadata-Flavor: Google"};
    char url[600];
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    if (off && !strcmp(off, "true"))
        return 0;
    snprintf(url, sizeof url, "http://%.255s/computeMetadata/v1/instance/service-accounts/default/token", host ? host : "metadata.google.internal");
    const mlf_http_call call = {.method = "GET", .url = url, .flags = MLF_HTTP_NO_AUTH, .headers = headers, .n_headers = 1, .timeout_ms = METADATA_TIMEOUT_MS,
                                .max_retries = host ? 2 : -1, .max_reply_bytes = 1 << 20};
    mlf_error asked = MLF_ERROR_INIT;
    int code = mlf_http(client, &call, &reply, &asked);
    if (!code)
        code = mlf_google_token_read(out, reply.body.data ? reply.body.data : "", reply.body.size, "the metadata server", error);
    else if (host || reply.status) { /* it was named, or is there */
        if (error && !error->code)
            *error = asked;
        mlf_error_prefix(error, "Google's metadata server: ");
    } else
        code = 0;
    mlf_http_reply_free(&reply);
    return code;
}

int mlf_google_token_get(mlf_google_token *out, mlf_client *client, mlf_error *error)
{
    const char *named = mlf_env("GOOGLE_APPLICATION_CREDENTIALS"), *config = mlf_env("CLOUDSDK_CONFIG"), *home = mlf_env("HOME");
    *out = (mlf_google_token){NULL, 0, "nowhere"};
    if (named)
        return from_file(out, client, named, error);
    char *path = config ? mlf_uri_join(config, "application_default_credentials.json") : mlf_uri_join(home, ".config/gcloud/application_default_credentials.json");
    FILE *there = path ? fopen(path, "re") : NULL;
    if (there)
        fclose(there);
    int code = !path ? mlf_error_memory(error) : there ? from_file(out, client, path, error) : from_metadata(out, client, error);
    sv_free(path);
    return code;
}
