/* main.c: the command solvent-serve: options, the first version, the server's life, signals. */
#include "clock.h"
#include "http_server.h"
#include "log.h"
#include "service.h"
#include "source.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char usage[] =
    "usage: solvent-serve --model URI [--host H] [--port P] [--config F] [--threads N] [--cache DIR] [--check]\n"
    "\n"
    "Answers predictions from a registered model.\n"
    "\n"
    "  --model URI    models:/name@alias, models:/name/3, models:/m-…, runs:/ID/path, or a folder\n"
    "  --host H       address to listen on (default 127.0.0.1; 0.0.0.0 for all)\n"
    "  --port P       port; 0 takes a free one (default: the variable PORT, else 8080)\n"
    "  --threads N    threads that answer (default: one a core)\n"
    "  --cache DIR    where fetched models are kept (default: $XDG_CACHE_HOME/solvent-serve)\n"
    "  --check        load and check the model, then end\n"
    "  --help, --version\n";

typedef struct options {
    const char *model, *host, *cache;
    int port;
    unsigned threads;
    int check;
} options;

static int fail(const sv_error *error)
{
    fprintf(stderr, "solvent-serve: %s\n", error->message);
    if (*error->hint)
        fprintf(stderr, "hint: %s\n", error->hint);
    return sv_error_exit_status(error->code);
}

static int parse_number(const char *name, const char *text, long most, long *value, sv_error *error)
{
    char *end;
    errno = 0;
    *value = strtol(text, &end, 10);
    if (errno || end == text || *end || *value < 0 || *value > most)
        return sv_error_set(error, SV_E_CONFIG, "%s: expected a whole number from 0 to %ld, got '%s'", name, most, text);
    return 0;
}

/* 0 to go on, 1 when everything is said, else an error. */
static int parse_options(int argc, char **argv, options *o, sv_error *error)
{
    static const struct option table[] = {{"model", required_argument, NULL, 'm'},   {"host", required_argument, NULL, 'h'},
                                          {"port", required_argument, NULL, 'p'},    {"threads", required_argument, NULL, 't'},
                                          {"cache", required_argument, NULL, 'C'},   {"check", no_argument, NULL, 'k'},
                                          {"help", no_argument, NULL, 'H'},          {"version", no_argument, NULL, 'V'},
                                          {NULL, 0, NULL, 0}};
    const char *port = getenv("PORT");
    long number;
    o->port = 8080;
    if (port && *port) {
        if (parse_number("PORT", port, 65535, &number, error))
            return error->code;
        o->port = (int)number;
    }
    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        switch (c) {
        case 'm':
            o->model = optarg;
            break;
        case 'h':
            o->host = optarg;
            break;
        case 'p':
            if (parse_number("--port", optarg, 65535, &number, error))
                return error->code;
            o->port = (int)number;
            break;
        case 't':
            if (parse_number("--threads", optarg, 256, &number, error))
                return error->code;
            o->threads = (unsigned)number;
            break;
        case 'C':
            o->cache = optarg;
            break;
        case 'k':
            o->check = 1;
            break;
        case 'H':
            fputs(usage, stdout);
            return 1;
        case 'V':
            puts("solvent-serve " SOLVENT_VERSION);
            return 1;
        default:
            return sv_error_set(error, SV_E_CONFIG, "see solvent-serve --help");
        }
    }
    if (optind < argc)
        return sv_error_set(error, SV_E_CONFIG, "unexpected argument '%s'; see solvent-serve --help", argv[optind]);
    return o->model ? 0 : sv_error_set(error, SV_E_CONFIG, "--model is required; see solvent-serve --help");
}

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
    if (sv_source_is_folder(source) || sv_source_kept(source, served, &local))
        return code;
    fprintf(stderr, "solvent-serve: %s\nsolvent-serve: starting from the kept copy of version %s\n", error->message,
            (*served)->identity.version ? (*served)->identity.version : "(none)");
    sv_error_clear(error);
    return 0;
}

static void wait_for_end(void)
{
    sigset_t set;
    int signal_number;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    while (sigwait(&set, &signal_number) != 0)
        ;
}

static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void announce(const options *o, const sv_http_server *server)
{
    const char *host = o->host ? o->host : "127.0.0.1";
    int is_ipv6 = strchr(host, ':') != NULL;
    printf("listening on http://%s%s%s:%d\n", is_ipv6 ? "[" : "", host, is_ipv6 ? "]" : "", sv_http_server_port(server));
    fflush(stdout);
}

static void on_refused(void *context, unsigned worker, int status, const char *peer)
{
    sv_service *service = context;
    sv_metrics_refused(service->metrics, worker, status);
}

static int serve(const options *o, sv_error *error)
{
    static const sv_service_options limits = {.max_rows = 200000, .max_cells = 8u << 20, .max_arena_bytes = 512u << 20};
    sv_http_options http = SV_HTTP_OPTIONS_INIT;
    sv_http_server *server = NULL;
    sv_service *service = NULL;
    sv_source *source = NULL;
    sv_served *served = NULL;
    http.host = o->host;
    http.port = o->port;
    http.threads = o->threads ? o->threads : sv_http_cores();
    http.handle = sv_service_handle;
    http.refused = on_refused;
    sv_source_options from = {.uri = o->model, .cache_dir = o->cache, .n_batches = http.threads};
    int code = sv_service_new(&service, &limits, http.threads, error);
    if (code == 0)
        code = sv_source_new(&source, &from, error);
    if (code == 0)
        code = first_version(source, &served, error);
    if (code == 0)
        code = sv_service_add(service, sv_source_name(source), o->model, error) < 0 ? error->code : 0;
    if (code == 0 && o->check) {
        printf("ok: %s, %zu inputs, %zu outputs\n", o->model, served->n_inputs, served->n_outputs);
        sv_served_free(served);
    } else if (code == 0) {
        sv_service_swap(service, 0, served);
        http.context = service;
        code = sv_http_server_new(&server, &http, error);
        if (code == 0)
            code = sv_http_server_start(server, error);
        if (code == 0) {
            announce(o, server);
            wait_for_end();
            sv_http_server_drain(server);
            sv_http_server_wait(server);
        }
    }
    sv_http_server_free(server);
    sv_source_free(source);
    sv_service_free(service);
    return code;
}

int main(int argc, char **argv)
{
    sv_error error = SV_ERROR_INIT;
    options o = {0};
    int said = parse_options(argc, argv, &o, &error);
    if (said == 1)
        return 0;
    if (said)
        return fail(&error);
    block_signals();
    return serve(&o, &error) ? fail(&error) : 0;
}
