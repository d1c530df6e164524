/* mlflowc doctor: the way to the server, step by step, then the journal; and how to mend what is broken. */
#include "alloc.h"
#include "capabilities.h"
#include "client_error.h"
#include "clock.h"
#include "endpoints.h"
#include "folder.h"
#include "mlflowc.h"
#include "url.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_SKEW_MS = 2000, TRIES_TIMEOUT_MS = 10000, LITTLE_ROOM = 100 << 20 };

typedef enum verdict { WORKS, NOTE, BROKEN, SKIPPED } verdict;

typedef struct doctor {
    mlc *m;
    int broken;
    int64_t server_ms, here_ms; /* the server's clock and ours at the same moment; 0: not known */
    char *experiment_id, *location; /* of an experiment that runs can be made in; else NULL */
} doctor;

/* Returns whether the step is broken. */
static int report(doctor *d, const char *step, verdict result, const char *finding, const char *mend)
{
    static const char *const words[] = {"ok", "note", "FAIL", "skip"};
    if (result == BROKEN) d->broken++;
    if (d->m->json) {
        json_t *line =
            json_pack("{s:s, s:s, s:s, s:s*}", "step", step, "result", words[result], "finding", finding, "mend", mend);
        char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
        puts(text ? text : "{}");
        json_free_t release;
        json_get_alloc_funcs(NULL, &release);
        release(text);
        json_decref(line);
        return result == BROKEN;
    }
    printf("%-5s %-17s %s\n", words[result], step, finding);
    if (mend) printf("%23s mend: %s\n", "", mend);
    fflush(stdout);
    return result == BROKEN;
}

#define REPORT(step, verdict, mend, ...)                                                                               \
    do {                                                                                                               \
        char finding_[1200];                                                                                           \
        snprintf(finding_, sizeof finding_, __VA_ARGS__);                                                              \
        report(d, step, verdict, finding_, mend);                                                                      \
    } while (0)

/* ---- the proxy on the way ---- */

/* The proxy that requests to the server go through, as curl chooses it, and in *from who says so; NULL: none, or NO_PROXY names networks, among which only
   curl finds its way. */
static const char *proxy_of(const doctor *d, const char **from)
{
    const char *uri = mlf_client_tracking_uri(d->m->client), *proxy = NULL, *except = mlf_env("no_proxy");
    static const char *const tls[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}, *const plain[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"};
    int is_tls = !strncasecmp(uri, "https://", 8);
    for (size_t i = 0; i < 4 && !proxy; i++) {
        *from = is_tls ? tls[i] : plain[i];
        proxy = !strcmp(*from, "HTTP_PROXY") ? d->m->client->settings.proxy : mlf_env(*from);
    }
    if (!except) except = mlf_env("NO_PROXY");
    const char *host = uri + (is_tls ? 8 : 7), *at = memchr(host, '@', strcspn(host, "/"));
    if (at) host = at + 1;
    size_t length = strcspn(host, ":/");
    for (const char *entry = except; proxy && entry && *entry; entry += strcspn(entry, ", "), entry += strspn(entry, ", ")) {
        const char *name = entry + (*entry == '.');
        size_t n = strcspn(name, ", ");
        if (memchr(name, '/', n) || (n == 1 && *name == '*')) return NULL;
        if (n && n <= length && !strncasecmp(host + length - n, name, n) && (n == length || host[length - n - 1] == '.')) return NULL;
    }
    return proxy;
}

/* Which one it is, without its login. */
static void report_proxy(doctor *d, int answers)
{
    const char *from, *proxy = proxy_of(d, &from), *scheme = proxy ? strstr(proxy, "://") : NULL;
    if (!proxy) return;
    const char *host = scheme ? scheme + 3 : proxy, *end = host + strcspn(host, "/");
    for (const char *c = host; c < end; c++)
        if (*c == '@') host = c + 1;
    REPORT("proxy", NOTE, answers ? NULL : "if the server can be reached without it, name the server's host in NO_PROXY", "%s sends requests through %.*s%s", from,
           (int)(end - host), host, answers ? "" : ": the answer may be its own");
}

/* ---- address and TLS ---- */

#define MEND_PROXY_LOGIN "the proxy that http_proxy or https_proxy names wants a login: http_proxy=http://USER:PASSWORD@HOST:PORT"

static const char *mend_address(int code, const char *message)
{
    if (code == MLF_E_STATE) return "export MLFLOW_TRACKING_URI=http://HOST:PORT (or --tracking-uri)";
    if (strstr(message, "tunnel failed, response 407") || strstr(message, "HTTP code 407 from proxy")) return MEND_PROXY_LOGIN;
    if (strstr(message, "illegal format")) return "name it as http://HOST:PORT, the port a number up to 65535";
    if (code == MLF_E_ARGUMENT && strncmp(message, "tracking URI", strlen("tracking URI"))) return "set it right, or unset it";
    if (code == MLF_E_ARGUMENT)
        return "name an MLflow server by MLFLOW_TRACKING_URI or --tracking-uri; in front of a database or a folder stands one begun as mlflow "
               "server --backend-store-uri URI";
    if (strstr(message, "redirected to host "))
        return "what stands at MLFLOW_TRACKING_URI answers, and sends on to that address: name one that needs no redirect, or mend "
               "the server's or proxy's (MLFLOW_ALLOW_HTTP_REDIRECTS=false: follow none)";
    if (strstr(message, "resolve")) return "check the host name in MLFLOW_TRACKING_URI, and DNS or /etc/hosts";
    if (strstr(message, "onnect"))
        return "is the server running, on that port, and listening on that interface (mlflow server --host 0.0.0.0)? "
               "is a firewall or a proxy (HTTP_PROXY, NO_PROXY) between?";
    return "look at the server's log, and at proxies on the way (HTTP_PROXY, HTTPS_PROXY, NO_PROXY)";
}

static void report_tls(doctor *d, int is_tls)
{
    if (!is_tls)
        REPORT("TLS", NOTE, NULL, "not used: what is sent can be read on the way");
    else if (d->m->client->settings.insecure_tls)
        REPORT("TLS", NOTE, "unset MLFLOW_TRACKING_INSECURE_TLS and name the authority by MLFLOW_TRACKING_SERVER_CERT_PATH",
               "used, but the certificate is not checked");
    else
        REPORT("TLS", WORKS, NULL, "the certificate is trusted and names this host");
}

static int is_healthy(const mlf_http_reply *reply)
{
    return reply->status == 200 && reply->body.data && !strncmp(reply->body.data, "OK", 2);
}

/* Something answers /health, but not as a server does that is well. */
static void report_unhealthy(doctor *d, const mlf_http_reply *reply)
{
    const mlf_settings *s = &d->m->client->settings;
    const char *uri = mlf_client_tracking_uri(d->m->client), *body = reply->body.data ? reply->body.data : "";
    int status = reply->status;
    if (s->workspace && strstr(body, "FEATURE_DISABLED")) {
        REPORT("address", WORKS, NULL, "%s answers", uri);
        REPORT("workspace", BROKEN, "unset MLFLOW_WORKSPACE, or start the server with --enable-workspaces",
               "MLFLOW_WORKSPACE is %.100s, and the server has no workspaces", s->workspace);
    } else if (status == 407) {
        REPORT("address", BROKEN, MEND_PROXY_LOGIN, "the way to %s is barred: status %d", uri, status);
    } else if (status == 401 || status == 403) {
        REPORT("address", BROKEN,
               s->credentials_from ? "the proxy before the server wants another login, or lacks a rule that lets this one (or /health) through"
                                   : "the proxy before the server wants a login: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                                     "MLFLOW_TRACKING_TOKEN; or let it pass /health",
               "%s answers /health with status %d, which no MLflow server does%s%s", uri, status, s->credentials_from ? ", to the login from " : "",
               s->credentials_from ? s->credentials_from : "");
    } else if (status >= 500) {
        REPORT("address", BROKEN,
               "the server is being started, or is down behind its proxy: wait and try again, then see whether mlflow server runs, and its log and the "
               "proxy's",
               "%s answers /health with status %d", uri, status);
    } else {
        REPORT("address", BROKEN,
               "the address should be that of the MLflow server itself, with its path prefix if it has one (--static-prefix)",
               "%s answers /health with status %d, not with OK: something else, or a proxy, stands there", uri, status);
    }
}

/* Why no server is asked at all: 1, reported; 0: one is. */
static int check_asked(doctor *d)
{
    mlf_error *unmade = &d->m->error; /* of a client for the server that is named */
    const char *uri = mlf_client_tracking_uri(d->m->client);
    if (unmade->code) {
        REPORT("address", BROKEN, mend_address(unmade->code, unmade->message), "%s", unmade->message);
        mlf_error_clear(unmade);
        return 1;
    }
    if (!d->m->client->settings.offline) return 0;
    REPORT("address", BROKEN, "unset MLFLOW_OFFLINE", "MLFLOW_OFFLINE is set: %s is not asked, and what is logged waits in the journal", *uri ? uri : "no server");
    return 1;
}

/* GET /health: it needs no login and is not subject to the check of host names. */
static int check_address(doctor *d)
{
    mlf_error error = MLF_ERROR_INIT;
    mlf_http_reply reply = MLF_HTTP_REPLY_INIT;
    mlf_http_call call = {.method = "GET",
                          .url = "/health",
                          .max_retries = -1,
                          .timeout_ms = TRIES_TIMEOUT_MS,
                          .flags = MLF_HTTP_ANY_STATUS};
    const char *uri = mlf_client_tracking_uri(d->m->client);
    int64_t before = sv_epoch_ms();
    int code = mlf_http(d->m->client, &call, &reply, &error), is_tls = !strncasecmp(uri, "https://", 8);
    char date[64];
    if (!code && !is_healthy(&reply)) code = MLF_E_REPLY;
    if (code == MLF_E_TLS) {
        REPORT("address", WORKS, NULL, "%s answers", uri);
        REPORT("TLS", BROKEN,
               "MLFLOW_TRACKING_SERVER_CERT_PATH=/path/to/ca.pem for a private authority; use the host name that the "
               "certificate names; http:// when the server speaks "
               "no TLS; MLFLOW_TRACKING_INSECURE_TLS=true only to try",
               "%s", error.message);
    } else if (code && error.code) {
        REPORT("address", BROKEN, mend_address(code, error.message), "%s", error.message);
    } else if (code) {
        report_unhealthy(d, &reply);
    } else {
        REPORT("address", WORKS, NULL, "%s answers in %.1f ms", uri, 1e-3 * (double)reply.round_trip_us);
        report_tls(d, is_tls);
    }
    report_proxy(d, !code);
    if (!code && mlf_http_header(&reply, "Date", date, sizeof date)) {
        time_t seconds = curl_getdate(date, NULL);
        d->server_ms = seconds < 0 || seconds >= 253402300800 ? 0 : (int64_t)seconds * 1000; /* from the year 10000 on it is none */
        d->here_ms = (before + sv_epoch_ms()) / 2;
    }
    mlf_http_reply_free(&reply);
    return code;
}

/* ---- auth and version ---- */

/* The name of the experiment that runs go to; NULL: it goes by its id. */
static const char *experiment_name(const doctor *d)
{
    const char *given = mlc_option_value(d->m, "experiment");
    return given ? given : mlf_env("MLFLOW_EXPERIMENT_NAME");
}

/* As mlf_experiment_ensure(), but one that is not there is not made. */
static int find_experiment(doctor *d, mlf_object **found, mlf_error *error)
{
    const char *name = experiment_name(d), *id = mlf_env("MLFLOW_EXPERIMENT_ID");
    char *same = NULL;
    int code = name ? mlf_experiments_get_by_name(found, d->m->client, name, error)
                    : mlf_experiments_get(found, d->m->client, id ? id : "0", error);
    if (!code && name) code = mlf_experiment_ensure(&same, d->m->client, mlc_option_value(d->m, "experiment"), error); /* name and id may contradict each other */
    mlf_free(same);
    return code;
}

/* Only what is wrong with it. */
static void report_experiment(doctor *d, int code, const mlf_object *found, const mlf_error *error)
{
    const char *name = experiment_name(d), *id = mlf_env("MLFLOW_EXPERIMENT_ID"), *stage = mlf_object_string(found, "lifecycle_stage"),
               *location = mlf_object_string(found, "artifact_location"), *own_id = mlf_object_string(found, "experiment_id");
    if (code == MLF_E_ARGUMENT)
        REPORT("experiment", BROKEN, "unset one of them", "%s", error->message);
    else if (code && name)
        REPORT("experiment", NOTE, "mlflowc experiments create makes it now; if the name is mistyped, give another by --experiment or MLFLOW_EXPERIMENT_NAME",
               "there is no \"%.200s\": the first run makes it", name);
    else if (code)
        REPORT("experiment", BROKEN, "unset MLFLOW_EXPERIMENT_ID, or name one that mlflowc experiments list shows", "there is none of id %.80s", id ? id : "0");
    else if (stage && !strcmp(stage, "deleted"))
        REPORT("experiment", BROKEN, "mlflowc experiments restore, or name another by --experiment", "%.200s is deleted", name ? name : id ? id : "0");
    else if (own_id && location && (d->experiment_id = sv_strdup(own_id)))
        d->location = sv_strdup(location);
}

/* The login is good, the experiment is not. */
static int is_of_experiment(int code)
{
    return code == MLF_E_NOT_FOUND || code == MLF_E_ARGUMENT;
}

static void report_auth(doctor *d, int code, const mlf_error *error)
{
    const mlf_settings *s = &d->m->client->settings;
    const char *who = s->username ? s->username : s->token ? "a token" : "nobody", *from = s->credentials_from;
    if (code == MLF_E_AUTH && error->http_status == 403 && strstr(error->message, "Host header"))
        REPORT("auth", BROKEN, "start the server with --allowed-hosts NAME,NAME:PORT (MLFLOW_SERVER_ALLOWED_HOSTS)", "%s", error->message);
    else if (code == MLF_E_AUTH)
        REPORT("auth", BROKEN,
               !from                       ? "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
               : error->http_status == 403 ? "ask for READ on the experiment, or name another by --experiment"
                                           : "user name, password or token are wrong",
               "as %s%s%s: %s", who, from ? ", from " : "", from ? from : "", error->message);
    else if (code && !is_of_experiment(code))
        REPORT("auth", BROKEN, "look at the server's log", "%s", error->message);
    else
        REPORT("auth", WORKS, NULL, "as %s%s%s", who, from ? ", from " : ": no login is needed", from ? from : "");
}

/* Asks for the experiment, which needs a login where there is one. Returns whether nothing more can be asked. */
static int check_auth(doctor *d)
{
    mlf_error error = MLF_ERROR_INIT;
    mlf_object *experiment = NULL;
    int code = find_experiment(d, &experiment, &error);
    report_auth(d, code, &error);
    if (!code || is_of_experiment(code)) report_experiment(d, code, experiment, &error);
    mlf_object_free(experiment);
    return code && !is_of_experiment(code);
}

static void check_version(doctor *d)
{
    mlf_error error = MLF_ERROR_INIT;
    char *version = NULL;
    int has_models = 0;
    int unknown = mlf_server_version(&version, d->m->client, &error);
    if (mlf_has_logged_models(&has_models, d->m->client, NULL))
        REPORT("version", BROKEN, "look at the server's log", "MLflow %s; it does not say whether it has logged models",
               version ? version : "?");
    else
        REPORT("version", WORKS, NULL, "MLflow %s%s", unknown ? "(unknown: it does not tell)" : version,
               has_models ? ", with logged models" : ": a 2.x server, models are kept below their runs");
    mlf_free(version);
}

/* ---- artifact store, write permission, clock ---- */

static void check_artifacts(doctor *d)
{
    mlf_error error = MLF_ERROR_INIT;
    mlf_artifact *items = NULL;
    size_t n = 0;
    if (!d->location) {
        report(d, "artifact store", SKIPPED, "there is no experiment to ask for", NULL);
        return;
    }
    int code = mlf_artifacts_list(&items, &n, d->m->client, d->location, &error);
    mlf_artifacts_free(items, n);
    const char *through = strncmp(d->location, "mlflow-artifacts:", 17) ? "directly, with credentials of this machine"
                                                                        : "through the tracking server";
    if (!code || code == MLF_E_NOT_FOUND)
        REPORT("artifact store", WORKS, NULL, "%s, %s", d->location, through);
    else if (!strncmp(d->location, "mlflow-artifacts:", 17))
        REPORT("artifact store", BROKEN, "start the server with --artifacts-destination (or --serve-artifacts)",
               "%s: %s", d->location, error.message);
    else
        REPORT("artifact store", BROKEN,
               "give this machine access to that store (AWS_…, GOOGLE_APPLICATION_CREDENTIALS, the folder itself), or "
               "let the server pass artifacts on: mlflow server --artifacts-destination",
               "%s: %s", d->location, error.message);
}

/* A run with a tag and a text, then deleted. */
static void check_writing(doctor *d)
{
    mlf_error error = MLF_ERROR_INIT;
    json_t *reply = NULL;
    if (mlc_has(d->m, "no-write")) {
        report(d, "write permission", SKIPPED, "--no-write", NULL);
        return;
    }
    if (!d->experiment_id) {
        report(d, "write permission", SKIPPED, "there is no experiment to make a run in", NULL);
        return;
    }
    json_t *arguments =
        json_pack("{s:s, s:s, s:I, s:[{s:s, s:s}]}", "experiment_id", d->experiment_id, "run_name", "mlflowc doctor",
                  "start_time", (json_int_t)sv_epoch_ms(), "tags", "key", "mlflowc.doctor", "value", "may be deleted");
    int code = mlf_endpoint_call(&reply, d->m->client, EP(runs_create), arguments, &error);
    const char *run_id = json_string_value(mlf_json_at(reply, "run.info.run_id"));
    if (!code && !run_id) code = mlf_error_set(&error, MLF_E_REPLY, "the answer names no run");
    if (!code) code = mlf_runs_set_tag(d->m->client, run_id, "mlflowc.doctor", "was here", &error);
    if (!code) code = mlf_runs_update(d->m->client, run_id, "FINISHED", sv_epoch_ms(), NULL, &error);
    if (!code) code = mlf_runs_delete(d->m->client, run_id, &error);
    if (code)
        REPORT("write permission", BROKEN, code == MLF_E_AUTH ? "ask for EDIT on the experiment, or name another by --experiment" : "look at the server's log",
               "experiment %s: %s", d->experiment_id, error.message);
    else
        REPORT("write permission", WORKS, NULL, "a run was made in experiment %s, changed and deleted",
               d->experiment_id);
    json_decref(reply);
}

static void check_clock(doctor *d)
{
    if (!d->server_ms) {
        report(d, "clock skew", SKIPPED, "the server does not tell its time", NULL);
        return;
    }
    int64_t skew = d->here_ms - d->server_ms - 500; /* the header is cut to whole seconds */
    if (llabs((long long)skew) > MAX_SKEW_MS)
        REPORT("clock skew", BROKEN,
               "let both machines follow a time server (chrony, systemd-timesyncd): points carry this machine's time",
               "this machine is %.1f s %s the server", 1e-3 * (double)llabs((long long)skew),
               skew > 0 ? "ahead of" : "behind");
    else
        REPORT("clock skew", WORKS, NULL, "less than %d s", MAX_SKEW_MS / 1000);
}

/* ---- the journal ---- */

typedef struct waiting {
    int count, in_use, damaged;
    uint64_t bytes, refused;
} waiting;

static int count_waiting(waiting *found, doctor *d, const char *dir, mlf_error *error)
{
    char **paths = NULL;
    int code = mlf_journal_list(&paths, d->m->client, dir, error);
    for (size_t i = 0; !code && paths[i]; i++) {
        mlf_journal *journal = NULL;
        mlf_journal_info info;
        found->count++;
        if (mlf_journal_open(&journal, paths[i], NULL)) {
            found->damaged++;
            continue;
        }
        mlf_journal_info_get(journal, &info);
        found->in_use += *info.holder != 0;
        found->bytes += info.bytes - info.bytes_taken;
        found->refused += info.refused;
        mlf_journal_close(journal);
    }
    mlf_free(paths);
    return code;
}

static void report_waiting(doctor *d, const waiting *found)
{
    if (!found->count) {
        report(d, "waiting", WORKS, "nothing waits to be sent", NULL);
        return;
    }
    REPORT("waiting", found->damaged ? BROKEN : NOTE,
           found->damaged ? "mlflowc journal list names those that cannot be read; put them aside" : found->in_use < found->count ? "mlflowc sync" : NULL,
           "%d journal%s with %.1f MB to be sent; %d in use now, %d cannot be read, %" PRIu64 " records were refused", found->count,
           found->count == 1 ? "" : "s", 1e-6 * (double)found->bytes, found->in_use, found->damaged, found->refused);
}

/* Where what is logged waits: no matter of the server. */
static void check_journal(doctor *d)
{
    const char *dir = d->m->client->settings.journal_dir;
    mlf_error error = MLF_ERROR_INIT;
    waiting found = {0};
    int64_t room;
    int tries = !mlc_has(d->m, "no-write"), code = mlf_journal_probe(&room, dir, tries, &error);
    if (code == MLF_E_UNSUPPORTED)
        REPORT("journal", NOTE, "for `mlflowc sync` name a folder of a local disk by MLFLOW_JOURNAL_DIR, or mount this one with locks",
               "%s: logging works, but what waits there cannot be synced in place", error.message);
    else if (code)
        REPORT("journal", BROKEN, "name a folder that can be written by MLFLOW_JOURNAL_DIR: until then what is logged is lost when a program dies before it is sent",
               "%s", error.message);
    else if (room >= 0 && room < LITTLE_ROOM)
        REPORT("journal", NOTE, "make room, or name a folder of another disk by MLFLOW_JOURNAL_DIR", "%s: only %.1f MB are free there", dir, 1e-6 * (double)room);
    else
        REPORT("journal", tries ? WORKS : NOTE, NULL, "%s: %s, %.1f GB free", dir, tries ? "can be written" : "not tried (--no-write)", 1e-9 * (double)room);
    mlf_error unlisted = MLF_ERROR_INIT;
    if (count_waiting(&found, d, dir, &unlisted))
        REPORT("waiting", BROKEN, "let this user read that folder", "%s", unlisted.message);
    else
        report_waiting(d, &found);
}

static void skip(doctor *d, const char *const *steps, size_t n, const char *why)
{
    for (size_t i = 0; i < n; i++)
        report(d, steps[i], SKIPPED, why, NULL);
}

int mlc_doctor(mlc *m)
{
    doctor checked = {.m = m}, *d = &checked;
    static const char *const later[] = {"auth", "version", "artifact store", "write permission", "clock skew"};
    if (check_asked(d) || check_address(d)) {
        skip(d, later, 5, "the server cannot be spoken to");
    } else if (check_auth(d)) {
        skip(d, later + 1, 3, "hangs on auth");
        check_clock(d);
    } else {
        check_version(d);
        check_artifacts(d);
        check_writing(d);
        check_clock(d);
    }
    check_journal(d);
    sv_free(d->experiment_id);
    sv_free(d->location);
    if (!d->broken) return MLF_OK;
    return mlf_error_set(&m->error, MLF_E_STATE, "%d of the checks failed", d->broken);
}
