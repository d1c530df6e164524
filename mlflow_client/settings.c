#include "settings.h"

#include "alloc.h"
#include "buffer.h"
#include "client_error.h"
#include "file.h"
#include "number.h"
#include "secret.h"
#include "url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_CREDENTIALS_BYTES = 65536 };

const char *mlf_env(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

int mlf_env_flag(int *out, const char *name, int otherwise, mlf_error *error)
{
    static const char *const yes[] = {"true", "1", "yes", "on"}, *const no[] = {"false", "0", "no", "off"};
    const char *value = mlf_env(name);
    *out = otherwise;
    if (!value) return MLF_OK;
    for (size_t i = 0; i < 4; i++) {
        if (!strcasecmp(value, yes[i])) return *out = 1, MLF_OK;
        if (!strcasecmp(value, no[i])) return *out = 0, MLF_OK;
    }
    return mlf_error_set(error, MLF_E_ARGUMENT, "environment variable %s: expected true or false, got \"%.80s\"", name,
                         value);
}

int mlf_env_number(double *out, const char *name, double otherwise, double least, double most, mlf_error *error)
{
    const char *value = mlf_env(name);
    *out = otherwise;
    if (!value) return MLF_OK;
    if (sv_parse_double(value, strlen(value), out) || !(*out >= least && *out <= most))
        return mlf_error_set(error, MLF_E_ARGUMENT,
                             "environment variable %s: expected a number from %g to %g, got \"%.80s\"", name, least,
                             most, value);
    return MLF_OK;
}

static int copy(char **out, const char *text, mlf_error *error)
{
    if (text && !(*out = sv_strdup(text))) return mlf_error_memory(error);
    return MLF_OK;
}

/* ---- tracking and registry URI ---- */

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* text[0..length) with percent escapes decoded. */
static char *decoded(const char *text, size_t length)
{
    char *out = sv_malloc(length + 1), *to = out;
    for (size_t i = 0; out && i < length; i++) {
        int escape = text[i] == '%' && i + 2 < length && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0;
        *to++ = escape ? (char)(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2])) : text[i];
        i += escape ? 2 : 0;
    }
    if (out) *to = '\0';
    return out;
}

/* Takes "user:password@" out of the address; the address that stays can be shown to anyone. */
static int split_user_info(char *uri, char **username, char **password, mlf_error *error)
{
    char *host = strstr(uri, "//") + 2;
    size_t length = strcspn(host, "/?#");
    char *at = memrchr(host, '@', length);
    if (!at) return MLF_OK;
    char *colon = memchr(host, ':', (size_t)(at - host)), *user_end = colon ? colon : at;
    *username = decoded(host, (size_t)(user_end - host));
    *password = colon ? decoded(colon + 1, (size_t)(at - colon - 1)) : sv_strdup("");
    memmove(host, at + 1, strlen(at + 1) + 1);
    return *username && *password ? MLF_OK : mlf_error_memory(error);
}

static int read_uri(char **out, char **username, char **password, const char *text, const char *what, mlf_error *error)
{
    int code = copy(out, text ? text : "", error);
    if (code || !**out) return code;
    if (!mlf_url_origin_length(text)) {
        char *shown = sv_secret_hidden(text);
        code = mlf_error_set(
            error, MLF_E_ARGUMENT,
            "%s \"%.200s\": expected http://HOST:PORT or https://HOST, the address of an MLflow server", what,
            shown ? shown : "***");
        sv_free(shown);
        return code;
    }
    if (strpbrk(text, " \t\r\n?#"))
        return mlf_error_set(error, MLF_E_ARGUMENT, "%s: blanks, '?' and '#' have no place in it", what);
    code = split_user_info(*out, username, password, error);
    for (size_t length = strlen(*out); !code && length && (*out)[length - 1] == '/';)
        (*out)[--length] = '\0';
    return code;
}

/* ---- credentials: URL, environment, ~/.mlflow/credentials ---- */

/* The value of "key = value" in section [mlflow] of an ini text, or NULL when it isn't there or memory is out. */
static char *ini_value(const char *text, const char *key)
{
    int inside = 0;
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        line += strspn(line, " \t\r");
        size_t length = strcspn(line, "\r\n"), name = strcspn(line, "=: \t\r\n");
        if (*line == '[') inside = length >= 8 && !strncasecmp(line, "[mlflow]", 8);
        if (!inside || name != strlen(key) || strncasecmp(line, key, name)) continue;
        const char *value = line + name + strspn(line + name, " \t"), *end = line + length;
        if (*value != '=' && *value != ':') continue;
        value += 1 + strspn(value + 1, " \t");
        while (end > value && strchr(" \t", end[-1]))
            end--;
        return sv_strndup(value, value < end ? (size_t)(end - value) : 0);
    }
    return NULL;
}

static int read_credentials_file(mlf_settings *settings, mlf_error *error)
{
    const char *home = mlf_env("HOME");
    char *path = home ? sv_path_join(home, ".mlflow/credentials") : NULL;
    sv_buffer text = SV_BUFFER_INIT(MAX_CREDENTIALS_BYTES);
    sv_error base = SV_ERROR_INIT;
    if (path && !sv_file_read(&text, path, MAX_CREDENTIALS_BYTES, &base) && text.data) {
        settings->username = ini_value(text.data, "mlflow_tracking_username");
        settings->password = ini_value(text.data, "mlflow_tracking_password");
        settings->credentials_from = "~/.mlflow/credentials";
        sv_secret_wipe(text.data, text.size);
    }
    sv_buffer_free(&text);
    sv_free(path);
    return base.code == SV_E_MEMORY ? mlf_error_memory(error) : MLF_OK;
}

static int read_credentials(mlf_settings *settings, mlf_error *error)
{
    if (settings->username) {
        settings->credentials_from = "the tracking URI";
        return MLF_OK;
    }
    int code = MLF_OK;
    const char *username = mlf_env("MLFLOW_TRACKING_USERNAME"), *password = mlf_env("MLFLOW_TRACKING_PASSWORD"),
               *token = mlf_env("MLFLOW_TRACKING_TOKEN");
    if (username && password) {
        settings->credentials_from = "MLFLOW_TRACKING_USERNAME";
        (void)((code = copy(&settings->username, username, error)) ||
               (code = copy(&settings->password, password, error)));
        return code;
    }
    code = read_credentials_file(settings, error);
    if (!code && username && settings->username) { /* each half may come from its own place, the environment first */
        sv_free(settings->username);
        settings->username = NULL;
        code = copy(&settings->username, username, error);
    }
    if (!code && password && settings->password) {
        sv_free(settings->password);
        settings->password = NULL;
        code = copy(&settings->password, password, error);
    }
    if (code || (settings->username && settings->password)) return code;
    sv_free(settings->username);
    sv_free(settings->password);
    settings->username = settings->password = NULL;
    settings->credentials_from = token ? "MLFLOW_TRACKING_TOKEN" : NULL;
    settings->netrc = !token;
    return copy(&settings->token, token, error);
}

/* ---- TLS, proxy, journal ---- */

static int read_tls(mlf_settings *settings, mlf_error *error)
{
    const char *own = mlf_env("MLFLOW_TRACKING_SERVER_CERT_PATH"), *ca = own;
    int code = mlf_env_flag(&settings->insecure_tls, "MLFLOW_TRACKING_INSECURE_TLS", 0, error);
    if (!code && settings->insecure_tls && own)
        return mlf_error_set(
            error, MLF_E_ARGUMENT,
            "MLFLOW_TRACKING_INSECURE_TLS and MLFLOW_TRACKING_SERVER_CERT_PATH contradict each other: unset one");
    if (!ca) ca = mlf_env("REQUESTS_CA_BUNDLE");
    if (!ca) ca = mlf_env("CURL_CA_BUNDLE");
    if (!ca) ca = mlf_env("SSL_CERT_FILE");
    if (!code) code = copy(&settings->ca_path, ca, error);
    if (!code) code = copy(&settings->client_cert_path, mlf_env("MLFLOW_TRACKING_CLIENT_CERT_PATH"), error);
    return code;
}

/* curl reads http_proxy but not HTTP_PROXY, which a CGI request could set; requests reads both. */
static int read_proxy(mlf_settings *settings, mlf_error *error)
{
    if (mlf_env("http_proxy") || mlf_env("REQUEST_METHOD")) return MLF_OK;
    return copy(&settings->proxy, mlf_env("HTTP_PROXY"), error);
}

static int read_journal_dir(mlf_settings *settings, const char *asked, mlf_error *error)
{
    const char *dir = asked ? asked : mlf_env("MLFLOW_JOURNAL_DIR"), *base = mlf_env("XDG_STATE_HOME"),
               *home = mlf_env("HOME");
    if (dir) return copy(&settings->journal_dir, dir, error);
    sv_buffer path = SV_BUFFER_INIT(0);
    int failed = base ? sv_buffer_format(&path, "%s/mlflow-client", base)
                      : sv_buffer_format(&path, "%s/.local/state/mlflow-client", home ? home : "/tmp");
    if (failed || !(settings->journal_dir = sv_buffer_take(&path)))
        return sv_buffer_free(&path), mlf_error_memory(error);
    return MLF_OK;
}

/* ---- numbers ---- */

static int read_limits(mlf_settings *s, const mlf_client_options *options, mlf_error *error)
{
    double timeout_s = 120, retries = 7, connections = 10, idle = 30, interval = 10;
    int code;
    if ((code = mlf_env_number(&timeout_s, "MLFLOW_HTTP_REQUEST_TIMEOUT", 120, 0.001, 86400, error)) ||
        (code = mlf_env_number(&retries, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", 7, 0, 1000, error)) ||
        (code = mlf_env_number(&s->backoff_factor, "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", 2, 0, 3600, error)) ||
        (code = mlf_env_number(&s->backoff_jitter, "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", 1, 0, 3600, error)) ||
        (code = mlf_env_number(&connections, "MLFLOW_HTTP_POOL_MAXSIZE", 10, 1, 1000, error)) ||
        (code = mlf_env_number(&idle, "MLFLOW_HTTP_TCP_KEEPALIVE_IDLE", 30, 1, 86400, error)) ||
        (code = mlf_env_number(&interval, "MLFLOW_HTTP_TCP_KEEPALIVE_INTERVAL", 10, 1, 86400, error)) ||
        (code = mlf_env_flag(&s->tcp_keepalive, "MLFLOW_HTTP_TCP_KEEPALIVE", 1, error)) ||
        (code = mlf_env_flag(&s->respect_retry_after, "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER", 1, error)) ||
        (code = mlf_env_flag(&s->allow_redirects, "MLFLOW_ALLOW_HTTP_REDIRECTS", 1, error)) ||
        (code = mlf_env_flag(&s->truncate_long_values, "MLFLOW_TRUNCATE_LONG_VALUES", 1, error)))
        return code;
    s->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : (int)(timeout_s * 1000);
    s->deadline_ms = options->deadline_ms > 0 ? options->deadline_ms : 600000;
    s->max_retries = options->max_retries >= 0 ? options->max_retries : (int)retries;
    s->max_connections = (int)connections;
    s->tcp_keepalive_idle_s = (int)idle;
    s->tcp_keepalive_interval_s = (int)interval;
    if (options->offline >= 0) return s->offline = options->offline != 0, MLF_OK;
    return mlf_env_flag(&s->offline, "MLFLOW_OFFLINE", 0, error);
}

int mlf_settings_read(mlf_settings *settings, const mlf_client_options *options, mlf_error *error)
{
    memset(settings, 0, sizeof *settings);
    settings->server_is_asked = options->tracking_uri != NULL;
    const char *tracking = options->tracking_uri ? options->tracking_uri : mlf_env("MLFLOW_TRACKING_URI");
    const char *registry = options->registry_uri ? options->registry_uri : mlf_env("MLFLOW_REGISTRY_URI");
    const char *workspace = mlf_env("MLFLOW_WORKSPACE");
    int code;
    if ((code = read_uri(&settings->tracking_uri, &settings->username, &settings->password, tracking, "tracking URI",
                         error)) ||
        (code = read_uri(&settings->registry_uri, &settings->registry_username, &settings->registry_password,
                         registry ? registry : tracking, "registry URI", error)) ||
        (code = read_credentials(settings, error)) || (code = read_tls(settings, error)) ||
        (code = read_proxy(settings, error)) || (code = read_journal_dir(settings, options->journal_dir, error)) ||
        (code = read_limits(settings, options, error)) || (code = copy(&settings->workspace, workspace, error)) ||
        (code = copy(&settings->user_agent, options->user_agent ? options->user_agent : "mlflow-client-c/" MLF_VERSION,
                     error)))
        mlf_settings_free(settings);
    return code;
}

static void wipe(char *secret)
{
    if (secret) sv_secret_wipe(secret, strlen(secret));
    sv_free(secret);
}

void mlf_settings_forget_login(mlf_settings *settings)
{
    sv_free(settings->username);
    wipe(settings->password);
    wipe(settings->token);
    sv_free(settings->registry_username);
    wipe(settings->registry_password);
    settings->username = settings->password = settings->token = NULL;
    settings->registry_username = settings->registry_password = NULL;
    settings->credentials_from = NULL;
    settings->netrc = 1;
}

void mlf_settings_free(mlf_settings *settings)
{
    mlf_settings_forget_login(settings);
    sv_free(settings->tracking_uri);
    sv_free(settings->registry_uri);
    sv_free(settings->workspace);
    sv_free(settings->ca_path);
    sv_free(settings->client_cert_path);
    sv_free(settings->proxy);
    sv_free(settings->user_agent);
    sv_free(settings->journal_dir);
    memset(settings, 0, sizeof *settings);
}
