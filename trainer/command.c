#include "command.h"
#include "expr.h"
#include "log.h"
#include "number.h"
#include "ranks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define VERSION "0.1.0"

typedef enum option_kind { FLAG, TEXT, MANY, COUNT } option_kind;

typedef struct option_row {
    unsigned id;
    const char *name, *value; /* value: NULL for a flag */
    option_kind kind;
    size_t offset;            /* in sv_arguments */
    int64_t min, max;         /* of a COUNT */
    const char *help;
} option_row;

#define AT(field) offsetof(sv_arguments, field)

static const option_row options[] = {
    {SV_OPTION_SET, "--set", "a.b=v", MANY, 0, 0, 0, "override one key of the configuration; may be repeated"},
    {SV_OPTION_MODEL, "--model", "URI", TEXT, AT(model), 0, 0, "models:/name@alias, models:/name/3, models:/m-…, runs:/ID/path or a folder"},
    {SV_OPTION_INPUT, "--input", "F", TEXT, AT(input), 0, 0, "CSV file, or - for standard input"},
    {SV_OPTION_OUTPUT, "--output", "PATH", TEXT, AT(output), 0, 0, "where to write; - is standard output where one file is written"},
    {SV_OPTION_ROWS, "--rows", "N", COUNT, AT(rows), 1, INT64_C(1000000000), "rows to make (default 50,000)"},
    {SV_OPTION_SEED, "--seed", "S", COUNT, AT(seed), 0, INT64_MAX, "same seed, same bytes (default 42)"},
    {SV_OPTION_RESUME, "--resume", "FILE", TEXT, AT(resume), 0, 0, "go on from a checkpoint"},
    {SV_OPTION_THREADS, "--threads", "N", COUNT, AT(threads), 1, 1024, "threads (default: one for each processor)"},
    {SV_OPTION_OFFLINE, "--offline", NULL, FLAG, AT(offline), 0, 0, "track into the journal alone; `mlflowc sync` sends it later"},
    {SV_OPTION_NO_TRACKING, "--no-tracking", NULL, FLAG, AT(no_tracking), 0, 0, "no run, no registration"},
    {SV_OPTION_NO_REGISTER, "--no-register", NULL, FLAG, AT(no_register), 0, 0, "a run, but no registered version"},
    {SV_OPTION_QUIET, "--quiet", NULL, FLAG, AT(quiet), 0, 0, "print warnings and errors only"},
    {SV_OPTION_JSON, "--json", NULL, FLAG, AT(json), 0, 0, "one JSON object a line, for machines"},
};

enum { N_OPTIONS = sizeof options / sizeof *options };

static void print_usage(FILE *file, const sv_command *commands, size_t n_commands)
{
    fprintf(file, "solvent: from a table to a tracked, evaluated, registered model\n\nusage: solvent COMMAND …\n\n");
    for (size_t i = 0; i < n_commands; i++)
        fprintf(file, "  %-9s %s\n", commands[i].name, commands[i].summary);
    fprintf(file, "\n  solvent COMMAND --help   the options of one command\n  solvent --version\n"
                  "\nExit status: 0 done, 1 it could not be done, 2 the command line or configuration is wrong, 130 interrupted.\n");
}

static void print_command_help(const sv_command *command)
{
    printf("usage: solvent %s", command->name);
    if (command->positional)
        printf(" %s", command->positional);
    for (int i = 0; i < N_OPTIONS; i++) {
        if (!(command->options & options[i].id))
            continue;
        int required = (command->required & options[i].id) != 0;
        printf(required ? " %s" : " [%s", options[i].name);
        if (options[i].value)
            printf(" %s", options[i].value);
        printf("%s%s", required ? "" : "]", options[i].kind == MANY ? "…" : "");
    }
    printf("\n\n%s\n\n", command->summary);
    for (int i = 0; i < N_OPTIONS; i++) {
        if (!(command->options & options[i].id))
            continue;
        char left[40];
        snprintf(left, sizeof left, "%s%s%s", options[i].name, options[i].value ? " " : "", options[i].value ? options[i].value : "");
        printf("  %-20s %s\n", left, options[i].help);
    }
    printf("  %-20s %s\n", "--help", "this");
}

static int store_count(const option_row *row, const char *value, void *where, sv_error *error)
{
    int64_t number;
    if (sv_parse_int64(value, strlen(value), &number) || number < row->min || number > row->max)
        return sv_error_set(error, SV_E_CONFIG, "%s: expected a whole number from %lld to %lld, got %.60s", row->name, (long long)row->min,
                            (long long)row->max, value);
    memcpy(where, &number, sizeof number);
    return 0;
}

static int store(sv_arguments *arguments, const option_row *row, const char *value, sv_error *error)
{
    char *where = (char *)arguments + row->offset;
    int on = 1;
    switch (row->kind) {
    case FLAG:
        memcpy(where, &on, sizeof on);
        return 0;
    case TEXT:
        memcpy(where, &value, sizeof value);
        return 0;
    case COUNT:
        return store_count(row, value, where, error);
    case MANY:
        if (arguments->n_sets == SV_MAX_SETS)
            return sv_error_set(error, SV_E_CONFIG, "%s: expected at most %d times", row->name, SV_MAX_SETS);
        arguments->sets[arguments->n_sets++] = value;
        return 0;
    }
    return 0;
}

static int unknown_option(const sv_command *command, const char *text, size_t length, sv_error *error)
{
    char name[61];
    const char *names[N_OPTIONS];
    size_t n = 0;
    for (int k = 0; k < N_OPTIONS; k++)
        if (command->options & options[k].id)
            names[n++] = options[k].name;
    snprintf(name, sizeof name, "%.*s", (int)(length > 60 ? 60 : length), text);
    int code = sv_error_set(error, SV_E_CONFIG, "%s: unknown option %s", command->name, name);
    const char *near = sv_nearest_name(name, names, n);
    if (near)
        sv_error_hint(error, "did you mean %s? `solvent %s --help` lists the options", near, command->name);
    return code;
}

/* One argument that begins with '-'; *i moves past its value. */
static int take_option(sv_arguments *arguments, unsigned *seen, const sv_command *command, int argc, char **argv, int *i, sv_error *error)
{
    const char *text = argv[*i], *equals = strchr(text, '=');
    size_t length = equals && text[1] == '-' ? (size_t)(equals - text) : strlen(text);
    for (int k = 0; k < N_OPTIONS; k++) {
        const option_row *row = &options[k];
        if (!(command->options & row->id) || strlen(row->name) != length || strncmp(row->name, text, length) != 0)
            continue;
        const char *value = text[length] == '=' ? text + length + 1 : NULL;
        if (row->kind == FLAG && value)
            return sv_error_set(error, SV_E_CONFIG, "%s: expected no value, got %.60s", row->name, value);
        if (row->kind != FLAG && !value && *i + 1 < argc)
            value = argv[++*i];
        if (row->kind != FLAG && !value)
            return sv_error_set(error, SV_E_CONFIG, "%s: expected a value (%s)", row->name, row->value);
        *seen |= row->id;
        return store(arguments, row, value, error);
    }
    return unknown_option(command, text, length, error);
}

static int check_complete(const sv_arguments *arguments, unsigned seen, const sv_command *command, sv_error *error)
{
    if (command->positional && !arguments->config) {
        sv_error_set(error, SV_E_CONFIG, "%s: expected %s", command->name, command->positional);
        sv_error_hint(error, "solvent %s --help", command->name);
        return SV_E_CONFIG;
    }
    for (int k = 0; k < N_OPTIONS; k++)
        if (command->required & ~seen & options[k].id)
            return sv_error_set(error, SV_E_CONFIG, "%s: expected %s %s", command->name, options[k].name, options[k].value);
    return 0;
}

static int take_arguments(sv_arguments *arguments, const sv_command *command, int argc, char **argv, sv_error *error)
{
    unsigned seen = 0;
    int code = 0;
    for (int i = 2; i < argc && !code; i++) {
        if (argv[i][0] == '-' && argv[i][1])
            code = take_option(arguments, &seen, command, argc, argv, &i, error);
        else if (!command->positional || arguments->config)
            code = sv_error_set(error, SV_E_CONFIG, "%s: unexpected argument %.200s", command->name, argv[i]);
        else
            arguments->config = argv[i];
    }
    return code ? code : check_complete(arguments, seen, command, error);
}

static int report(const sv_error *error, int code)
{
    if (!code)
        return 0;
    sv_say("solvent: %s", error->code ? error->message : "out of memory");
    if (error->hint[0])
        sv_say("  hint: %s", error->hint);
    return sv_error_exit_status(code);
}

static int unknown_command(const sv_command *commands, size_t n_commands, const char *name)
{
    sv_error error = SV_ERROR_INIT;
    sv_error_set(&error, SV_E_CONFIG, "unknown command %.60s", name);
    const char *names[32];
    size_t n = 0;
    for (; n < n_commands && n < sizeof names / sizeof *names; n++)
        names[n] = commands[n].name;
    const char *near = sv_nearest_name(name, names, n);
    if (near)
        sv_error_hint(&error, "did you mean `solvent %s`?", near);
    else
        sv_error_hint(&error, "`solvent --help` lists the commands");
    return report(&error, SV_E_CONFIG);
}

static void print_log_line(void *context, sv_log_level level, const char *line)
{
    (void)context;
    sv_say("solvent: %s: %s", level == SV_LOG_WARN ? "warning" : level == SV_LOG_ERROR ? "error" : level == SV_LOG_INFO ? "info" : "debug", line);
}

int sv_command_main(const sv_command *commands, size_t n_commands, int argc, char **argv)
{
    sv_log_set_sink(print_log_line, NULL);
    if (argc < 2) {
        print_usage(stderr, commands, n_commands);
        return 2;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        print_usage(stdout, commands, n_commands);
        return 0;
    }
    if (!strcmp(argv[1], "--version")) {
        printf("solvent %s\n", VERSION);
        return 0;
    }
    const sv_command *command = NULL;
    for (size_t i = 0; i < n_commands && !command; i++)
        if (!strcmp(argv[1], commands[i].name))
            command = &commands[i];
    if (!command)
        return unknown_command(commands, n_commands, argv[1]);
    for (int i = 2; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            print_command_help(command);
            return 0;
        }
    sv_arguments arguments = {.threads = -1, .rows = -1, .seed = -1};
    sv_error error = SV_ERROR_INIT;
    int code = take_arguments(&arguments, command, argc, argv, &error);
    if (!code)
        code = command->run(&arguments, &error);
    if (!code && (fflush(stdout) || ferror(stdout)))
        code = sv_error_set(&error, SV_E_IO, "standard output: cannot be written: %s", strerror(errno));
    int status = report(&error, code);
    sv_ranks_leave(code); /* after a failure this ends all ranks, this one with them: it has been told by now */
    return status;
}
