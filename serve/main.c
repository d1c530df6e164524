/* main.c: the command solvent-serve: options, the first version, the server's life, signals. */
#include "background.h"
#include "guard.h"
#include "http_server.h"
#include "log.h"
#include "memory_room.h"
#include "monitor_run.h"
#include "prediction_log.h"
#include "serve_config.h"
#include "service.h"
#include "source.h"
#include "tls.h"
#include "watcher.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char usage[] =
    "usage: solvent-serve --model URI [--host H] [--port P] [--config F] [--check] …\n"
    "\n"
    "Answers predictions from a registered model.\n"
    "\n"
    "  --model URI    models:/name@alias, models:/name/3, models:/m-…, runs:/ID/path, or a folder\n"
    "  --host H       address to listen on (default 127.0.0.1; 0.0.0.0 for all)\n"
    "  --port P       port; 0 takes a free one (default: the variable PORT, else 8080)\n"
    "  --threads N    threads that answer (default: one a core)\n"
    "  --shadow URI   a challenger that scores the same requests in the background\n"
    "  --split A/B    parts that champion and challenger answer, such as 90/10\n"
    "  --monitor E    logs drift and live figures to a run of each version in MLflow's experiment E\n"
    "  --cache DIR    where fetched models are kept (default: $XDG_CACHE_HOME/solvent-serve)\n"
    "  --poll-seconds N  how often the registry is asked for a new version (default 10; 0: never)\n"
    "  --config F     a YAML file with the keys below\n"
    "  --check        check the configuration and the models, then end\n"
    "  --help, --version\n"
    "\n"
    "Keys of the configuration file:\n";

static int fail(const sv_error *error)
{
    sv_say("solvent-serve: %s", error->message);
    if (*error->hint)
        sv_say("  hint: %s", error->hint);
    return sv_error_exit_status(error->code);
}

/* 0 to go on, 1 when everything is said, else an error. Options win over the file, the file over the environment. */
static int parse_options(int argc, char **argv, sv_serve_config *config, int *check, sv_error *error)
{
    static const struct option table[] = {{"model", required_argument, NULL, 'm'},   {"host", required_argument, NULL, 'h'},
                                          {"port", required_argument, NULL, 'p'},    {"threads", required_argument, NULL, 't'},
                                          {"cache", required_argument, NULL, 'C'},   {"poll-seconds", required_argument, NULL, 'P'},
                                          {"shadow", required_argument, NULL, 's'}, {"split", required_argument, NULL, 'S'},
                                          {"monitor", required_argument, NULL, 'M'},
                                          {"config", required_argument, NULL, 'c'},  {"check", no_argument, NULL, 'k'},
                                          {"help", no_argument, NULL, 'H'},          {"version", no_argument, NULL, 'V'},
                                          {NULL, 0, NULL, 0}};
    static const char *const keys[] = {['m'] = "model", ['h'] = "host", ['p'] = "port", ['t'] = "threads", ['C'] = "cache", ['P'] = "poll_seconds",
                                       ['s'] = "shadow", ['S'] = "split",        ['M'] = "monitor.experiment"};
    const char *port = getenv("PORT");
    int code = port && *port ? sv_serve_config_set(config, "port", port, error) : 0;
    for (int pass = 0; pass < 2 && !code; pass++) {
        optind = 1;
        for (int c; !code && (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
            if (c == '?')
                return sv_error_set(error, SV_E_CONFIG, "see solvent-serve --help");
            if (c == 'H') {
                fputs(usage, stdout);
                sv_serve_config_help();
                return 1;
            }
            if (c == 'V') {
                puts("solvent-serve " SOLVENT_VERSION);
                return 1;
            }
            if (pass == 0 && c == 'c')
                code = sv_serve_config_read(config, optarg, error);
            else if (pass == 1 && c == 'k')
                *check = 1;
            else if (pass == 1 && c != 'c')
                code = sv_serve_config_set(config, keys[c], optarg, error);
        }
    }
    if (!code && optind < argc)
        code = sv_error_set(error, SV_E_CONFIG, "unexpected argument '%s'; see solvent-serve --help", argv[optind]);
    return code ? code : sv_serve_config_check(config, error);
}

/* ---- signals ---- */

static volatile sig_atomic_t is_over;    /* told to end before there was something to serve */
static _Atomic(sv_source *) being_asked; /* whose registry the start waits for */

static void end_start(int number)
{
    (void)number;
    is_over = 1;
    sv_source *source = atomic_load(&being_asked);
    if (source)
        sv_source_stop(source);
}

static sigset_t ending_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return set;
}

static void block_signals(void)
{
    sigset_t set = ending_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* While the first versions are fetched nobody waits for signals yet, and a registry may be silent. A handler, since process 1 of a container has no default. */
static void let_signals_in(void)
{
    sigset_t set = ending_signals();
    struct sigaction action = {.sa_handler = end_start, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void wait_for_end(void)
{
    sigset_t set = ending_signals();
    int signal_number;
    while (sigwait(&set, &signal_number) != 0)
        ;
}

/* ---- the first versions ---- */

/* The version to begin with: from the registry, else the one kept on disk. */
static int first_version(sv_source *source, sv_served **served, sv_error *error)
{
    int code = sv_source_poll(source, served, error);
    if (code == 0)
        code = sv_served_check(*served, error);
    if (code == 0) {
        sv_source_accept(source, *served);
        return 0;
    }
    sv_served_free(*served);
    *served = NULL;
    sv_error local = SV_ERROR_INIT;
    if (is_over || sv_source_is_folder(source))
        return code;
    if (sv_source_kept(source, served, &local)) {
        if (local.code != SV_E_IO)
            sv_say("solvent-serve: the kept copy is not used: %s", local.message);
        return code;
    }
    sv_say("solvent-serve: %s\nsolvent-serve: starting from the kept copy of version %s", error->message,
            (*served)->identity.version ? (*served)->identity.version : "(none)");
    sv_error_clear(error);
    return 0;
}

/* Program text that only the start touched (libraries setting themselves up) is given back; what is needed again comes from the page cache. Mappings
   that are executable are never written, so nothing is lost. */
static void give_back_text(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4300], permissions[8], path[2];
    unsigned long begin, end;
    while (maps && fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %1s", &begin, &end, permissions, path) == 4 && strcmp(permissions, "r-xp") == 0 && *path == '/')
            madvise((void *)begin, end - begin, MADV_DONTNEED);
    if (maps)
        fclose(maps);
}

static void announce(const sv_serve_config *config, const sv_http_server *server)
{
    int is_ipv6 = strchr(config->host, ':') != NULL;
    printf("listening on %s://%s%s%s:%d\n", config->tls_certificate ? "https" : "http", is_ipv6 ? "[" : "", config->host, is_ipv6 ? "]" : "", sv_http_server_port(server));
    fflush(stdout);
}

static void on_refused(void *context, unsigned worker, int status, const char *peer)
{
    sv_service *service = context;
    sv_metrics_refused(service->metrics, worker, status);
}

static void on_wake(void *context)
{
    sv_watcher_wake(context);
}

/* Everything that lives as long as the server. */
typedef struct house {
    const sv_serve_config *config;
    sv_service *service;
    sv_guard *guard;
    sv_tls *tls;
    sv_source *sources[SV_MODELS_MAX];
    size_t n_sources;
    sv_http_server *server;
    sv_watcher *watcher;
    size_t shadow_slot; /* the challenger's place; SIZE_MAX: none */
    sv_background *background;
    sv_prediction_log *prediction_log;
    sv_monitor_run *monitor_run;
} house;

static void close_house(house *h)
{
    sv_watcher_stop(h->watcher);
    sv_http_server_free(h->server);
    sv_monitor_run_stop(h->monitor_run);
    sv_background_stop(h->background);
    sv_prediction_log_free(h->prediction_log);
    sv_service_free(h->service);
    for (size_t s = 0; s < h->n_sources; s++)
        sv_source_free(h->sources[s]);
    sv_guard_free(h->guard);
    sv_tls_free(h->tls);
}

/* A place, its source and its first version. name NULL: the source's own. may_wait: a registry that cannot give one now may later. */
static int add_model(house *h, const char *name, const char *uri, unsigned threads, int may_wait, sv_error *error)
{
    if (h->n_sources == SV_MODELS_MAX)
        return sv_error_set(error, SV_E_LIMIT, "models: at most %d in one process", SV_MODELS_MAX);
    sv_source_options from = {.uri = uri, .cache_dir = h->config->cache, .n_batches = threads};
    sv_served *served = NULL;
    int code = sv_source_new(&h->sources[h->n_sources], &from, error);
    if (code)
        return code;
    sv_source *source = h->sources[h->n_sources++];
    int slot = sv_service_add(h->service, name ? name : sv_source_name(source), uri, error);
    if (slot < 0)
        return slot;
    atomic_store(&being_asked, source);
    code = is_over ? SV_E_INTERRUPTED : first_version(source, &served, error);
    atomic_store(&being_asked, NULL);
    if (code == 0)
        sv_service_swap(h->service, (size_t)slot, served);
    if (code && !is_over && may_wait && !sv_source_is_folder(source)) {
        sv_log(SV_LOG_WARN, "%s: %s; it is asked for again every %ld s", h->service->slots[slot].key, error->message, h->config->poll_seconds);
        sv_error_clear(error);
        code = 0;
    }
    return code;
}

/* The challenger has a place of its own behind the others, followed as they are. */
static int add_challenger(house *h, unsigned threads, int check, sv_error *error)
{
    sv_service *service = h->service;
    h->shadow_slot = service->n_slots;
    if (sv_shadow_new(&service->shadow))
        return sv_error_set(error, SV_E_MEMORY, "shadow: out of memory");
    service->split.challenger = h->shadow_slot;
    if (h->config->split && sv_split_parse(h->config->split, &service->split.share, error))
        return error->code;
    return add_model(h, "challenger", h->config->shadow, threads, !check, error);
}

static int add_models(house *h, unsigned threads, int check, sv_error *error)
{
    const sv_serve_config *config = h->config;
    int code = config->model ? add_model(h, NULL, config->model, threads, 0, error) : 0;
    for (size_t m = 0; m < config->model_names.n && !code; m++)
        code = add_model(h, config->model_names.texts[m], config->model_uris.texts[m], threads, 0, error);
    return code || !config->shadow ? code : add_challenger(h, threads, check, error);
}

enum { MOST_BUFFERED = 256 << 20, MOST_IN_WORK = 512 << 20, LEAST_IN_WORK = 4 << 20 };

/* A quarter of the memory that there is goes to what connections hold, a quarter to the requests in work, of which each thread has one with its answer; the rest is for
   models, a second version of each and the system's buffers. */
static size_t share_of_memory(size_t most, unsigned n)
{
    uint64_t share = sv_memory_room() / 4 / n;
    return share > most ? most : share < LEAST_IN_WORK ? LEAST_IN_WORK : (size_t)share;
}

static sv_http_options http_options(const sv_serve_config *config)
{
    sv_http_options http = SV_HTTP_OPTIONS_INIT;
    http.host = config->host;
    http.port = (int)config->port;
    http.threads = config->threads ? (unsigned)config->threads : sv_http_cores();
    http.limits = (sv_http_limits){(size_t)config->max_target_bytes, (size_t)config->max_head_bytes, (uint64_t)config->max_body_bytes};
    http.max_connections = (unsigned)config->max_connections;
    http.max_buffered_bytes = config->max_buffered_bytes ? (size_t)config->max_buffered_bytes : share_of_memory(MOST_BUFFERED, 1);
    http.max_reply_bytes = share_of_memory(MOST_IN_WORK, 2 * http.threads);
    http.head_timeout_ms = (int)config->head_timeout_ms;
    http.request_timeout_ms = (int)config->request_timeout_ms;
    http.idle_timeout_ms = (int)config->idle_timeout_ms;
    http.drain_timeout_ms = (int)config->drain_timeout_ms;
    http.handle = sv_service_handle;
    http.refused = on_refused;
    return http;
}

static int open_house(house *h, int check, sv_error *error)
{
    const sv_serve_config *config = h->config;
    sv_http_options http = http_options(config);
    sv_service_options limits = {.max_rows = (size_t)config->max_rows, .max_cells = (size_t)config->max_rows * 64, .max_arena_bytes = http.max_reply_bytes};
    unsigned workers = http.threads + 1 + (config->monitor_experiment != NULL); /* the last ones: the background's, behind the monitor's */
    int code = sv_service_new(&h->service, &limits, workers, error);
    code = code ? code : sv_guard_new(&h->guard, config, error);
    if (code == 0 && config->tls_certificate)
        code = sv_tls_new(&h->tls, config->tls_certificate, config->tls_key, error);
    if (code)
        return code;
    if (config->feedback_keep && sv_ledger_new(&h->service->ledger, (size_t)config->feedback_keep))
        return sv_error_set(error, SV_E_MEMORY, "feedback.keep: no memory for %ld predictions", config->feedback_keep);
    if (config->prediction_log_file && sv_prediction_log_new(&h->prediction_log, config, error))
        return error->code;
    h->service->prediction_log = h->prediction_log;
    h->service->config = config;
    h->service->guard = h->guard;
    let_signals_in();
    code = add_models(h, workers, check, error);
    block_signals();
    if (is_over) {
        sv_error_clear(error);
        return sv_error_set(error, SV_E_INTERRUPTED, "ended before there was something to serve");
    }
    code = code ? code : sv_redacted_check(h->service, error);
    if (code || check)
        return code;
    http.tls = h->tls;
    http.context = h->service;
    code = sv_http_server_new(&h->server, &http, error);
    if (code == 0)
        code = sv_background_start(&h->background, h->service, h->shadow_slot, error);
    if (code == 0 && config->monitor_experiment)
        code = sv_monitor_run_start(&h->monitor_run, h->service, http.threads, error);
    if (code == 0 && config->poll_seconds)
        code = sv_watcher_start(&h->watcher, h->service, h->sources, h->tls, (int)config->poll_seconds * 1000, error);
    h->service->wake = h->watcher ? on_wake : NULL;
    h->service->wake_context = h->watcher;
    return code ? code : sv_http_server_start(h->server, error);
}

int main(int argc, char **argv)
{
    sv_error error = SV_ERROR_INIT;
    sv_serve_config config;
    int check = 0;
    sv_serve_config_init(&config);
    int said = parse_options(argc, argv, &config, &check, &error);
    if (said == 0) {
        house h = {.config = &config, .shadow_slot = SIZE_MAX};
        if (!getenv("SOLVENT_LOG"))
            sv_log_set_level(SV_LOG_INFO);
        block_signals();
        int code = open_house(&h, check, &error);
        if (code == 0 && check)
            printf("ok: %zu model%s\n", h.n_sources, h.n_sources == 1 ? "" : "s");
        if (code == 0 && !check) {
            give_back_text();
            announce(&config, h.server);
            wait_for_end();
            sv_http_server_drain(h.server);
            sv_http_server_wait(h.server);
        }
        close_house(&h);
    }
    sv_serve_config_free(&config);
    int status = said == 1 || !error.code ? 0 : fail(&error);
    return is_over && !check ? 0 : status; /* who tells a server to end is content when it does */
}
