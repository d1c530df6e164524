/* mlflowc: MLflow for shells. This file reads the command line and calls the command; the commands stand in
 * mlflowc_NOUN.c. */
#include "mlflowc.h"

#include "alloc.h"
#include "client_error.h"
#include "log.h"
#include "number.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, GLOBAL_OPTIONS = 6 };

/* ---- options ---- */

const char *mlc_option_value(const mlc *m, const char *name)
{
    const char *value = NULL;
    for (int i = 0; i < m->n_options; i++)
        if (!strcmp(m->options[i].name, name)) value = m->options[i].value;
    return value;
}

int mlc_has(const mlc *m, const char *name)
{
    for (int i = 0; i < m->n_options; i++)
        if (!strcmp(m->options[i].name, name)) return 1;
    return 0;
}

size_t mlc_option_values(const mlc *m, const char *name, const char **values, size_t max)
{
    size_t n = 0;
    for (int i = 0; i < m->n_options && n < max; i++)
        if (!strcmp(m->options[i].name, name)) values[n++] = m->options[i].value;
    return n;
}

int mlc_option_number(mlc *m, const char *name, long otherwise, long least, long *out)
{
    const char *text = mlc_option_value(m, name);
    int64_t number = otherwise;
    if (text && (sv_parse_int64(text, strlen(text), &number) || number < least))
        return mlf_error_set(&m->error, MLF_E_ARGUMENT, "--%s: expected a whole number from %ld up, got \"%.80s\"",
                             name, least, text);
    *out = (long)number;
    return MLF_OK;
}

int mlc_pairs(mlc *m, char **texts, size_t n, mlf_pair *pairs)
{
    for (size_t i = 0; i < n; i++) {
        char *equals = strchr(texts[i], '=');
        if (!equals || equals == texts[i])
            return mlf_error_set(&m->error, MLF_E_ARGUMENT, "expected KEY=VALUE, got \"%.200s\"", texts[i]);
        *equals = '\0';
        pairs[i] = (mlf_pair){texts[i], equals + 1};
    }
    return MLF_OK;
}

int mlc_option_pairs(mlc *m, const char *name, mlf_pair **pairs, size_t *n_pairs)
{
    const char *values[MLC_MAX_OPTIONS];
    *n_pairs = mlc_option_values(m, name, values, MLC_MAX_OPTIONS);
    *pairs = sv_calloc(*n_pairs + 1, sizeof **pairs);
    if (!*pairs) return mlf_error_memory(&m->error);
    int code = mlc_pairs(m, (char **)(uintptr_t)values, *n_pairs, *pairs);
    if (!code) return MLF_OK;
    sv_free(*pairs);
    *pairs = NULL;
    return code;
}

/* ---- the command line ---- */

static const mlc_command *find_command(const char *noun, const char *verb)
{
    for (size_t i = 0; noun && i < mlc_n_commands; i++)
        if (!strcmp(mlc_commands[i].noun, noun) &&
            (!mlc_commands[i].verb || (verb && !strcmp(mlc_commands[i].verb, verb))))
            return &mlc_commands[i];
    return NULL;
}

static int is_noun(const char *word)
{
    for (size_t i = 0; i < mlc_n_commands; i++)
        if (!strcmp(mlc_commands[i].noun, word)) return 1;
    return 0;
}

/* 1 when the command (NULL: not known yet) takes the option. */
static int takes(const mlc_command *command, const mlc_option *option)
{
    if (option < mlc_options + GLOBAL_OPTIONS || !command) return 1;
    size_t length = strlen(option->name);
    for (const char *at = command->options; *at; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == length && !strncmp(at, option->name, length)) return 1;
    return 0;
}

static const mlc_option *find_option(const char *text, size_t length)
{
    for (size_t i = 0; i < mlc_n_options; i++)
        if (strlen(mlc_options[i].name) == length && !strncmp(mlc_options[i].name, text, length))
            return &mlc_options[i];
    return NULL;
}

/* --name VALUE, --name=VALUE or --flag at argv[*i]. */
static int read_option(mlc *m, int argc, char **argv, int *i)
{
    const char *text = argv[*i] + 2, *value = NULL;
    size_t length = strcspn(text, "=");
    const mlc_option *option = find_option(text, length);
    if (!option) return mlf_error_set(&m->error, MLF_E_ARGUMENT, "there is no option --%.*s", (int)length, text);
    if (text[length] == '=') {
        if (!option->value) return mlf_error_set(&m->error, MLF_E_ARGUMENT, "--%s takes no value", option->name);
        value = text + length + 1;
    } else if (option->value) {
        if (*i + 1 >= argc)
            return mlf_error_set(&m->error, MLF_E_ARGUMENT, "--%s: expected %s behind it", option->name, option->value);
        value = argv[++*i];
    }
    if (m->n_options == MLC_MAX_OPTIONS)
        return mlf_error_set(&m->error, MLF_E_ARGUMENT, "more than %d options", MLC_MAX_OPTIONS);
    m->options[m->n_options].name = option->name;
    m->options[m->n_options++].value = value;
    return MLF_OK;
}

/* Options apart from words; what stands behind "--" is the rest. */
static int read_line(mlc *m, int argc, char **argv)
{
    int code = MLF_OK;
    for (int i = 1; i < argc && !code; i++) {
        if (!strcmp(argv[i], "--")) {
            m->rest = argv + i + 1;
            m->n_rest = argc - i - 1;
            break;
        }
        if (!strcmp(argv[i], "-h")) argv[i] = (char[]){"--help"};
        if (!strncmp(argv[i], "--", 2))
            code = read_option(m, argc, argv, &i);
        else
            m->arguments[m->n_arguments++] = argv[i];
    }
    return code;
}

static int check_line(mlc *m)
{
    const mlc_command *command = m->command;
    char name[64];
    snprintf(name, sizeof name, "mlflowc %s%s%s", command->noun, command->verb ? " " : "",
             command->verb ? command->verb : "");
    for (int i = 0; i < m->n_options; i++)
        if (!takes(command, find_option(m->options[i].name, strlen(m->options[i].name))))
            return mlf_error_set(&m->error, MLF_E_ARGUMENT, "%s has no option --%s (see %s --help)", name,
                                 m->options[i].name, name);
    if (m->n_arguments < command->min_arguments ||
        (command->max_arguments >= 0 && m->n_arguments > command->max_arguments))
        return mlf_error_set(&m->error, MLF_E_ARGUMENT, "usage: %s %s", name, command->arguments);
    int takes_rest = (command->flags & MLC_TAKES_REST) != 0;
    if (takes_rest != (m->n_rest > 0))
        return mlf_error_set(&m->error, MLF_E_ARGUMENT,
                             takes_rest ? "usage: %s [OPTIONS] -- CMD…" : "%s takes no \"--\"", name);
    return MLF_OK;
}

/* Does what the server does not take wait in the journal? Not what goes to a store of its own. */
static int journals(const mlc *m)
{
    const char *first = m->n_arguments ? m->arguments[0] : "";
    int elsewhere = strchr(first, ':') && strncmp(first, "runs:", 5) && strncmp(first, "journal:", 8);
    return m->command->flags & MLC_JOURNALS && !elsewhere;
}

static int make_client(mlc *m)
{
    mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
    long seconds, retries;
    int code = mlc_option_number(m, "timeout", 0, 1, &seconds);
    if (!code) code = mlc_option_number(m, "retries", -1, 0, &retries);
    if (code) return code;
    options.tracking_uri = mlc_option_value(m, "tracking-uri");
    options.timeout_ms = seconds > 86400 ? 86400000 : (int)seconds * 1000;
    options.max_retries = retries > 1000 ? 1000 : (int)retries;
    if (journals(m) && retries < 0 && !mlf_env("MLFLOW_HTTP_REQUEST_MAX_RETRIES")) options.max_retries = 1;
    options.user_agent = "mlflowc/" MLF_VERSION;
    if (!strcmp(m->command->noun, "sync")) options.offline = 0; /* MLFLOW_OFFLINE is for those who log */
    code = mlf_client_new(&m->client, &options, &m->error);
    if (!code || !(m->command->flags & MLC_WITHOUT_SERVER)) return code;
    options.tracking_uri = options.registry_uri = "";
    options.offline = 1;
    return mlf_client_new(&m->client, &options, NULL) ? code : MLF_OK;
}

/* What --help and --version ask for, or a word that is no command. -1: go on. */
static int answer_without_command(const mlc *m, const char *noun, const char *verb)
{
    if (mlc_has(m, "version")) return printf("mlflowc %s\n", mlf_version()), EXIT_DONE;
    if (mlc_has(m, "help") || (noun && !strcmp(noun, "help"))) return mlc_help(stdout, noun, verb), EXIT_DONE;
    if (m->command) return -1;
    if (noun && !is_noun(noun))
        fprintf(stderr, "mlflowc: there is no command \"%s\"\n\n", noun);
    else if (noun)
        fprintf(stderr, "mlflowc %s: %s\n\n", noun, verb ? "no such command" : "say what to do");
    mlc_help(stderr, noun && is_noun(noun) ? noun : NULL, NULL);
    return EXIT_USAGE;
}

static int exit_status(const mlc *m, int code)
{
    if (!code) return m->exit_status;
    sv_say("mlflowc: %s", m->error.message[0] ? m->error.message : mlf_code_name(code));
    return code == MLF_E_ARGUMENT ? EXIT_USAGE : EXIT_FAILED;
}

/* The runs among the words: the first one, or all of them. What waits in a journal is for the command itself to see to. */
static void know_runs(mlc *m)
{
    const char *arguments = m->command->arguments;
    int runs = !strncmp(arguments, "RUN…", strlen("RUN…")) ? m->n_arguments : !strncmp(arguments, "RUN", 3);
    for (int i = 0; i < runs && !(m->command->flags & MLC_JOURNALS); i++)
        mlc_know_run(m, m->arguments[i]);
}

/* What waits as "journal:/KEY" has no other name yet: only registering takes it. */
static int check_journal_names(mlc *m)
{
    const char *noun = m->command->noun;
    if ((strcmp(noun, "models") && strcmp(noun, "artifacts")) || !m->n_arguments || strncmp(m->arguments[0], "journal:", 8)) return MLF_OK;
    return mlf_error_set(&m->error, MLF_E_ARGUMENT, "%.200s waits in a journal, or did: that name is for `mlflowc registry register`; `mlflowc journal show` shows what waits, and after "
                         "`mlflowc sync` `mlflowc models list` what the server has", m->arguments[0]);
}

static int perform(mlc *m, int argc, char **argv)
{
    int code = read_line(m, argc, argv);
    if (code) return exit_status(m, code);
    const char *noun = m->n_arguments ? m->arguments[0] : NULL, *verb = m->n_arguments > 1 ? m->arguments[1] : NULL;
    m->command = find_command(noun, verb);
    m->json = mlc_has(m, "json");
    int status = answer_without_command(m, noun, verb);
    if (status >= 0) return status;
    m->arguments += m->command->verb ? 2 : 1;
    m->n_arguments -= m->command->verb ? 2 : 1;
    code = check_line(m);
    if (!code) code = check_journal_names(m);
    if (!code && !(m->command->flags & MLC_NO_CLIENT)) code = make_client(m);
    if (!code) know_runs(m);
    if (!code) code = m->command->run(m);
    mlf_client_free(m->client);
    int unwritten = fflush(stdout) || ferror(stdout);
    mlc_end_unread();
    if (unwritten && !code) code = mlf_error_set(&m->error, MLF_E_IO, "standard output cannot be written");
    return exit_status(m, code);
}

/* A standard descriptor that is closed would be the next file or connection's number, which then has what is printed: it is taken, and cannot be written. */
static void hold_standard_descriptors(void)
{
    int fd;
    while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0 && fd <= STDERR_FILENO)
        continue;
    if (fd >= 0) close(fd);
}

int main(int argc, char **argv)
{
    mlc m = {0};
    char **words = calloc((size_t)argc + 1, sizeof *words);
    if (!words) return EXIT_FAILED;
    hold_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    m.arguments = words;
    int status = perform(&m, argc, argv);
    free(words);
    return status;
}
