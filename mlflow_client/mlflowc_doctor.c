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
    char *experiment_id, *location;
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

/* ---- address and TLS ---- */

static const char *mend_address(int code, const char *message)
{
    if (code == MLF_E_STATE)
        return "export MLFLOW_TRACKING_URI=http://HOST:PORT (or --tracking-uri), and unset MLFLOW_OFFLINE";
    if (strstr(message, "redirected to host "))
        return "what stands at MLFLOW_TRACKING_URI answers, and sends on to that address: name one that needs no redirect, or mend "
               "the server's or proxy's (MLFLOW_ALLOW_HTTP_REDIRECTS=false: follow none)";
    if (strstr(message, "resolve")) return "check the host name in MLFLOW_TRACKING_URI, and DNS or /etc/hosts";
    if (strstr(message, "onnect"))
        return "is the server running, on that port, and listening on that interface (mlflow server --host 0.0.0.0)? "
               "is a firewall or a proxy (HTTP_PROXY, NO_PROXY) between?";
    return "look at the server's log, and at proxies on the way (HTTP_PROXY, HTTPS_PROXY, NO_PROXY)";
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
    if (code == MLF_E_TLS) {
        REPORT("address", WORKS, NULL, "%s answers", uri);
        REPORT("TLS", BROKEN,
               "MLFLOW_TRACKING_SERVER_CERT_PATH=/path/to/ca.pem for a private authority; use the host name that the "
               "certificate names; http:// when the server speaks "
               "no TLS; MLFLOW_TRACKING_INSECURE_TLS=true only to try",
               "%s", error.message);
    } else if (code) {
        REPORT("address", BROKEN, mend_address(code, error.message), "%s", error.message);
    } else if (reply.status != 200 || !reply.body.data || strncmp(reply.body.data, "OK", 2) != 0) {
        code = MLF_E_REPLY;
        REPORT("address", BROKEN,
               "the address should be that of the MLflow server itself, with its path prefix if it has one "
               "(--static-prefix)",
               "%s answers /health with status %d, not with OK: something else, or a proxy, stands there", uri,
               reply.status);
    } else {
        REPORT("address", WORKS, NULL, "%s answers in %.1f ms", uri, 1e-3 * (double)reply.round_trip_us);
        if (!is_tls)
            REPORT("TLS", NOTE, NULL, "not used: what is sent can be read on the way");
        else if (d->m->client->settings.insecure_tls)
            REPORT("TLS", NOTE,
                   "unset MLFLOW_TRACKING_INSECURE_TLS and name the authority by MLFLOW_TRACKING_SERVER_CERT_PATH",
                   "used, but the certificate is not checked");
        else
            REPORT("TLS", WORKS, NULL, "the certificate is trusted and names this host");
    }
    if (!code && mlf_http_header(&reply, "Date", date, sizeof date)) {
        time_t seconds = curl_getdate(date, NULL);
        d->server_ms = seconds < 0 || seconds >= 253402300800 ? 0 : (int64_t)seconds * 1000; /* from the year 10000 on it is none */
        d->here_ms = (before + sv_epoch_ms()) / 2;
    }
    mlf_http_reply_free(&reply);
    return code;
}

/* ---- auth and version ---- */

static int check_auth(doctor *d)
{
    const mlf_settings *s = &d->m->client->settings;
    mlf_error error = MLF_ERROR_INIT;
    mlf_object *experiment = NULL;
    int code = mlf_experiment_ensure(&d->experiment_id, d->m->client, mlc_option_value(d->m, "experiment"), &error);
    if (!code) code = mlf_experiments_get(&experiment, d->m->client, d->experiment_id, &error);
    const char *who = s->username ? s->username
                      : s->token  ? "a token"
                                  : "nobody",
               *location = mlf_object_string(experiment, "artifact_location");
    if (!code && location) d->location = sv_strdup(location);
    if (code == MLF_E_AUTH && error.http_status == 403 && strstr(error.message, "Host header"))
        REPORT("auth", BROKEN, "start the server with --allowed-hosts NAME,NAME:PORT (MLFLOW_SERVER_ALLOWED_HOSTS)",
               "%s", error.message);
    else if (code == MLF_E_AUTH)
        REPORT("auth", BROKEN,
               s->credentials_from
                   ? "user name, password or token are wrong or lack rights"
                   : "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
               "as %s%s%s: %s", who, s->credentials_from ? ", from " : "",
               s->credentials_from ? s->credentials_from : "", error.message);
    else if (code == MLF_E_NOT_FOUND)
        REPORT("auth", WORKS, NULL, "as %s (but experiment %s is gone: name another by --experiment)", who,
               d->experiment_id);
    else if (code)
        REPORT("auth", BROKEN, "look at the server's log", "%s", error.message);
    else
        REPORT("auth", WORKS, NULL, "as %s%s%s", who, s->credentials_from ? ", from " : ": no login is needed",
               s->credentials_from ? s->credentials_from : "");
    mlf_object_free(experiment);
    return code;
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
        report(d, "artifact store", SKIPPED, "the experiment's place is not known", NULL);
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
        report(d, "write permission", SKIPPED, "no experiment is known", NULL);
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
        REPORT("write permission", BROKEN, "ask for EDIT on the experiment, or name another by --experiment",
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

int mlc_doctor(mlc *m)
{
    doctor checked = {.m = m}, *d = &checked;
    static const char *const later[] = {"auth", "version", "artifact store", "write permission", "clock skew"};
    if (check_address(d)) {
        for (size_t i = 0; i < sizeof later / sizeof *later; i++)
            report(d, later[i], SKIPPED, "the server cannot be spoken to", NULL);
    } else if (check_auth(d) && !d->experiment_id) {
        for (size_t i = 1; i + 1 < sizeof later / sizeof *later; i++)
            report(d, later[i], SKIPPED, "no access", NULL);
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
