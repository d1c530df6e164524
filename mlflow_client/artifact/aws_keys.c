#include "aws_keys.h"

#include "alloc.h"
#include "client_error.h"
#include "clock.h"
#include "file.h"
#include "ini.h"
#include "reply.h"
#include "secret.h"
#include "settings.h"
#include "transport.h"
#include "uri.h"
#include "url.h"
#include "xml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { MAX_FILE_BYTES = 1 << 20, METADATA_TIMEOUT_MS = 1000 };

static void drop(char **text)
{
    if (*text)
        sv_secret_wipe(*text, strlen(*text));
    sv_free(*text);
    *text = NULL;
}

void mlf_aws_keys_free(mlf_aws_keys *keys)
{
    drop(&keys->id);
    drop(&keys->secret);
    drop(&keys->token);
    *keys = (mlf_aws_keys)MLF_AWS_KEYS_INIT;
}

/* Copies what was found; id or secret missing: 0 and nothing is set. */
static int keep(mlf_aws_keys *out, const char *id, const char *secret, const char *token, const char *from, mlf_error *error)
{
    if (!id || !*id || !secret || !*secret)
        return 0;
    out->id = sv_strdup(id);
    out->secret = sv_strdup(secret);
    out->token = token && *token ? sv_strdup(token) : NULL;
    out->from = from;
    if (out->id && out->secret && (!token || !*token || out->token))
        return 0;
    mlf_aws_keys_free(out);
    return mlf_error_memory(error);
}

/* "2026-11-23T09:50:55Z" as milliseconds since the epoch; 0 when it is not that. */
static int64_t parse_time(const char *text)
{
    struct tm when = {0};
    if (!text || !strptime(text, "%Y-%m-%dT%H:%M:%S", &when))
        return 0;
    return (int64_t)timegm(&when) * 1000;
}

/* ---- files ---- */

/* The file that the variable names, else the one in the home folder. NULL: there is none. */
static char *read_file(const char *variable, const char *otherwise)
{
    const char *path = mlf_env(variable), *home = mlf_env("HOME");
    char *own = path ? sv_strdup(path) : home ? mlf_uri_join(home, otherwise) : NULL;
    sv_buffer text = SV_BUFFER_INIT(MAX_FILE_BYTES);
    char *out = own && !sv_file_read(&text, own, MAX_FILE_BYTES, NULL) ? sv_buffer_take(&text) : NULL;
    sv_buffer_free(&text);
    sv_free(own);
    return out;
}

static const char *profile(void)
{
    const char *name = mlf_env("AWS_PROFILE");
    if (!name)
        name = mlf_env("AWS_DEFAULT_PROFILE");
    return name ? name : "default";
}

/* A section of ~/.aws/config is called "profile x", but "default". */
static char *config_value(const char *key)
{
    char section[300];
    char *text = read_file("AWS_CONFIG_FILE", ".aws/config");
    snprintf(section, sizeof section, "%s%s", strcmp(profile(), "default") ? "profile " : "", profile());
    char *value = text ? mlf_ini_value(text, section, key) : NULL;
    sv_free(text);
    return value;
}

static int from_text(mlf_aws_keys *out, char *text, const char *section, const char *from, mlf_error *error)
{
    char *id = mlf_ini_value(text, section, "aws_access_key_id"), *secret = mlf_ini_value(text, section, "aws_secret_access_key"),
         *token = mlf_ini_value(text, section, "aws_session_token");
    int code = keep(out, id, secret, token, from, error);
    drop(&id);
    drop(&secret);
    drop(&token);
    return code;
}

static int from_files(mlf_aws_keys *out, mlf_client *client, const char *region, mlf_error *error)
{
    char section[300];
    char *credentials = read_file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"), *config = read_file("AWS_CONFIG_FILE", ".aws/config");
    (void)client;
    (void)region;
    snprintf(section, sizeof section, "%s%s", strcmp(profile(), "default") ? "profile " : "", profile());
    int code = credentials ? from_text(out, credentials, profile(), "the AWS credentials file", error) : 0;
    if (!code && !out->id && config)
        code = from_text(out, config, section, "the AWS config file", error);
    if (!code && !out->id && mlf_env("AWS_PROFILE"))
        code = mlf_error_set(error, MLF_E_ARGUMENT, "AWS_PROFILE is '%.100s', but no file holds keys for it", profile());
    drop(&credentials);
    drop(&config);
    return code;
}

char *mlf_aws_region(void)
{
    const char *region = mlf_env("AWS_REGION");
    if (!region)
        region = mlf_env("AWS_DEFAULT_REGION");
    char *found = region ? sv_strdup(region) : config_value("region");
    return found ? found : sv_strdup("us-east-1");
}

static int from_environment(mlf_aws_keys *out, mlf_client *client, const char *region, mlf_error *error)
{
    (void)client;
    (void)region;
    return keep(out, mlf_env("AWS_ACCESS_KEY_ID"), mlf_env("AWS_SECRET_ACCESS_KEY"), mlf_env("AWS_SESSION_TOKEN"), "AWS_ACCESS_KEY_ID", error);
}

/* ---- web identity: a token file is changed for keys at the security token service ---- */

int mlf_aws_keys_read_xml(mlf_aws_keys *out, const char *answer, size_t length, mlf_error *error)
{
    const char *names[] = {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"};
    char *values[4];
    for (int i = 0; i < 4; i++)
        values[i] = mlf_xml_find(answer, length, names[i]);
    int code = keep(out, values[0], values[1], values[2], "web identity", error);
    if (!code && !out->id)
        code = mlf_error_set(error, MLF_E_REPLY, "AssumeRoleWithWebIdentity: the answer holds no keys");
    out->expires_ms = parse_time(values[3]);
    for (int i = 0; i < 4; i++)
        drop(&values[i]);
    return code;
}

static int sts_url(sv_buffer *url, const char *region, const char *role, const char *token)
{
    const char *endpoint = mlf_env("AWS_ENDPOINT_URL_STS"), *session = mlf_env("AWS_ROLE_SESSION_NAME");
    if (!endpoint)
        endpoint = mlf_env("AWS_ENDPOINT_URL");
    int bad = endpoint ? sv_buffer_text(url, endpoint) : sv_buffer_format(url, "https://sts.%s.amazonaws.com", region);
    return bad || sv_buffer_text(url, "/?Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=") || mlf_url_encode(url, role, 0) ||
           sv_buffer_text(url, "&RoleSessionName=") || mlf_url_encode(url, session ? session : "mlflow-client", 0) || sv_buffer_text(url, "&WebIdentityToken=") ||
           mlf_url_encode(url, token, 0);
}

static int from_web_identity(mlf_aws_keys *out, mlf_client *client, const char *region, mlf_error *error)
{
    const char *file = mlf_env("AWS_WEB_IDENTITY_TOKEN_FILE"), *role = mlf_env("AWS_ROLE_ARN");
    sv_buffer token = SV_BUFFER_INIT(MAX_FILE_BYTES), url = SV_BUFFER_INIT(MAX_FILE_BYTES);
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    sv_error read = SV_ERROR_INIT;
    if (!file || !role)
        return 0;
    int code = sv_file_read(&token, file, 65536, &read) ? mlf_error_set(error, MLF_E_AUTH, "AWS_WEB_IDENTITY_TOKEN_FILE: %s", read.message) : 0;
    while (!code && token.size && strchr("\r\n ", token.data[token.size - 1]))
        token.data[--token.size] = '\0';
    if (!code && sts_url(&url, region, role, token.data ? token.data : ""))
        code = mlf_error_memory(error);
    if (!code) {
        const mlf_http_call call = {.method = "POST", .url = url.data, .flags = MLF_HTTP_NO_AUTH, .max_reply_bytes = MAX_FILE_BYTES};
        code = mlf_http(client, &call, &reply, error);
        if (code && error && reply.status)
            code = error->code = MLF_E_AUTH;
        if (code)
            mlf_error_prefix(error, "keys by web identity: ");
    }
    if (!code)
        code = mlf_aws_keys_read_xml(out, reply.body.data ? reply.body.data : "", reply.body.size, error);
    if (token.data)
        sv_secret_wipe(token.data, token.size);
    if (url.data)
        sv_secret_wipe(url.data, url.size);
    sv_buffer_free(&token);
    sv_buffer_free(&url);
    mlf_http_reply_free(&reply);
    return code;
}

/* ---- JSON from a container's or an instance's own address ---- */

int mlf_aws_keys_read_json(mlf_aws_keys *out, const char *answer, size_t length, const char *from, mlf_error *error)
{
    json_t *json = NULL;
    int code = mlf_reply_json(&json, answer, length, error);
    if (!code)
        code = keep(out, json_string_value(json_object_get(json, "AccessKeyId")), json_string_value(json_object_get(json, "SecretAccessKey")),
                    json_string_value(json_object_get(json, "Token")), from, error);
    if (!code && !out->id)
        code = mlf_error_set(error, MLF_E_REPLY, "%s: the answer holds no keys", from);
    out->expires_ms = parse_time(json_string_value(json_object_get(json, "Expiration")));
    json_decref(json);
    return code;
}

static int from_container(mlf_aws_keys *out, mlf_client *client, const char *region, mlf_error *error)
{
    const char *relative = mlf_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), *full = mlf_env("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
               *token = mlf_env("AWS_CONTAINER_AUTHORIZATION_TOKEN"), *token_file = mlf_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    (void)region;
    if (!relative && !full)
        return 0;
    sv_buffer url = SV_BUFFER_INIT(8192), header = SV_BUFFER_INIT(65536);
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    sv_error read = SV_ERROR_INIT;
    int code = (relative ? sv_buffer_format(&url, "http://169.254.170.2%s", relative) : sv_buffer_text(&url, full)) || sv_buffer_text(&header, "Authorization: ") ||
                       (!token_file && token && sv_buffer_text(&header, token))
                   ? mlf_error_memory(error)
                   : 0;
    if (!code && token_file && sv_file_read(&header, token_file, 32768, &read))
        code = mlf_error_set(error, MLF_E_AUTH, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %s", read.message);
    while (!code && header.size && strchr("\r\n", header.data[header.size - 1]))
        header.data[--header.size] = '\0';
    if (!code) {
        const char *const headers[] = {header.data};
        const mlf_http_call call = {.method = "GET", .url = url.data, .flags = MLF_HTTP_NO_AUTH, .headers = headers, .n_headers = token || token_file,
                                    .timeout_ms = 5 * METADATA_TIMEOUT_MS, .max_retries = 2, .max_reply_bytes = 65536};
        code = mlf_http(client, &call, &reply, error);
    }
    if (!code)
        code = mlf_aws_keys_read_json(out, reply.body.data ? reply.body.data : "", reply.body.size, "the container's credentials", error);
    if (header.data)
        sv_secret_wipe(header.data, header.size);
    sv_buffer_free(&url);
    sv_buffer_free(&header);
    mlf_http_reply_free(&reply);
    return code;
}

/* One text of the instance's metadata, to *body. Not there is not an error: 0 and nothing in it. */
static void ask_instance(mlf_client *client, mlf_http_reply *reply, const char *method, const char *path, const char *header)
{
    const char *endpoint = mlf_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    sv_buffer url = SV_BUFFER_INIT(8192);
    if (sv_buffer_format(&url, "%s%s", endpoint ? endpoint : "http://169.254.169.254", path))
        return;
    const mlf_http_call call = {.method = method, .url = url.data, .flags = MLF_HTTP_NO_AUTH, .headers = &header, .n_headers = 1, .timeout_ms = METADATA_TIMEOUT_MS,
                                .max_retries = -1, .max_reply_bytes = 65536};
    if (mlf_http(client, &call, reply, NULL))
        sv_buffer_clear(&reply->body);
    sv_buffer_free(&url);
}

static int from_instance(mlf_aws_keys *out, mlf_client *client, const char *region, mlf_error *error)
{
    static const char base[] = "/latest/meta-data/iam/security-credentials/";
    const char *disabled = mlf_env("AWS_EC2_METADATA_DISABLED");
    mlf_http_reply token = MLF_HTTP_REPLY_INIT, role = MLF_HTTP_REPLY_INIT, keys = MLF_HTTP_REPLY_INIT;
    char header[1100], path[400];
    int code = 0;
    (void)region;
    if (disabled && !strcasecmp(disabled, "true"))
        return 0;
    ask_instance(client, &token, "PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 21600");
    if (token.body.size && token.body.size < 1000 && !strpbrk(token.body.data, "\r\n")) {
        snprintf(header, sizeof header, "X-aws-ec2-metadata-token: %s", token.body.data);
        ask_instance(client, &role, "GET", base, header);
    }
    size_t length = role.body.size ? strcspn(role.body.data, "\r\n") : 0;
    if (length && length < 200) {
        snprintf(path, sizeof path, "%s%.*s", base, (int)length, role.body.data);
        ask_instance(client, &keys, "GET", path, header);
    }
    if (keys.body.size)
        code = mlf_aws_keys_read_json(out, keys.body.data, keys.body.size, "the instance's metadata", error);
    mlf_http_reply_free(&token);
    mlf_http_reply_free(&role);
    mlf_http_reply_free(&keys);
    return code;
}

int mlf_aws_keys_find(mlf_aws_keys *out, mlf_client *client, const char *region, mlf_error *error)
{
    static int (*const places[])(mlf_aws_keys *, mlf_client *, const char *, mlf_error *) = {from_environment, from_web_identity, from_files, from_container, from_instance};
    *out = (mlf_aws_keys)MLF_AWS_KEYS_INIT;
    int code = 0;
    for (size_t i = 0; !code && !out->id && i < sizeof places / sizeof *places; i++)
        code = places[i](out, client, region, error);
    return code;
}
