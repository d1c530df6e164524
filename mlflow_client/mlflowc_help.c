/* Help, manual page and completion, all from the table of commands. */
#include "client_error.h"
#include "mlflowc.h"
#include "validate.h"

#include <string.h>

enum { COLUMN = 44, LINE = 120, GLOBAL_OPTIONS = 6 };

static const char about[] = "MLflow for shells, cluster jobs and machines without Python: tracks runs, logs metrics, "
                            "moves artifacts, registers models.";

static int matches(const mlc_command *command, const char *noun, const char *verb)
{
    if (noun && strcmp(command->noun, noun) != 0) return 0;
    return !verb || !command->verb || !strcmp(command->verb, verb);
}

/* "experiments list NAME" */
static int usage_of(char *into, size_t size, const mlc_command *c)
{
    return snprintf(into, size, "%s%s%s%s%s", c->noun, c->verb ? " " : "", c->verb ? c->verb : "",
                    *c->arguments ? " " : "", c->arguments);
}

static void put_option(FILE *out, const mlc_option *option)
{
    char left[64];
    snprintf(left, sizeof left, "--%s%s%s", option->name, option->value ? " " : "", option->value ? option->value : "");
    fprintf(out, "  %-28s %s\n", left, option->help);
}

/* Calls put for each option that the command takes. */
static void each_option(FILE *out, const mlc_command *command, void (*put)(FILE *out, const mlc_option *option))
{
    for (const char *at = command->options; *at; at += strcspn(at, " "), at += *at == ' ')
        for (size_t i = 0; i < mlc_n_options; i++)
            if (strlen(mlc_options[i].name) == strcspn(at, " ") && !strncmp(at, mlc_options[i].name, strcspn(at, " ")))
                put(out, &mlc_options[i]);
}

static void help_command(FILE *out, const mlc_command *command)
{
    char usage[128];
    usage_of(usage, sizeof usage, command);
    if (command->flags & MLC_TAKES_REST) /* what stands behind "--" is the other command's */
        fprintf(out, "usage: mlflowc %s [OPTIONS] %s\n\n%s.\n", command->noun, command->arguments, command->summary);
    else
        fprintf(out, "usage: mlflowc %s [OPTIONS]\n\n%s.\n", usage, command->summary);
    if (*command->options) fputs("\noptions:\n", out);
    each_option(out, command, put_option);
    if (*command->examples) fputs("\nexamples:\n", out);
    for (const char *at = command->examples; *at; at += strcspn(at, "\n"), at += *at == '\n') {
        int length = (int)strcspn(at, "\n");
        fprintf(out, "  %s%.*s\n", strncmp(at, "run=", 4) ? "mlflowc " : "", length, at);
    }
}

/* "  usage   summary", the summary behind COLUMN, by characters and not by bytes, and broken between words before LINE. */
static void put_summary(FILE *out, const char *usage, const char *summary)
{
    size_t width = mlf_text_length(usage);
    fprintf(out, "  %s", usage);
    for (; width < COLUMN; width++)
        fputc(' ', out);
    for (width += 2; *summary; summary += strspn(summary, " ")) {
        int length = (int)strcspn(summary, " ");
        width += (size_t)length + 1;
        if (width > LINE) {
            fprintf(out, "\n%*s", COLUMN + 2, "");
            width = COLUMN + 2 + (size_t)length + 1;
        }
        fprintf(out, " %.*s", length, summary);
        summary += length;
    }
    fputc('\n', out);
}

void mlc_help(FILE *out, const char *noun, const char *verb)
{
    const mlc_command *only = NULL;
    size_t count = 0;
    for (size_t i = 0; i < mlc_n_commands; i++)
        if (noun && matches(&mlc_commands[i], noun, verb)) only = &mlc_commands[i], count++;
    if (count == 1) {
        help_command(out, only);
    } else {
        fprintf(out, "usage: mlflowc COMMAND [OPTIONS]\n\n%s\n\ncommands:\n", about);
        for (size_t i = 0; i < mlc_n_commands; i++) {
            char usage[128];
            if (count && !matches(&mlc_commands[i], noun, NULL)) continue;
            usage_of(usage, sizeof usage, &mlc_commands[i]);
            put_summary(out, usage, mlc_commands[i].summary);
        }
    }
    fputs("\nfor every command:\n", out);
    for (size_t i = 0; i < GLOBAL_OPTIONS; i++)
        put_option(out, &mlc_options[i]);
    if (count != 1)
        fputs("\nexamples:\n  mlflowc doctor\n  mlflowc runs list Default --column metrics.loss\n  mlflowc run "
              "--experiment bank -- ./simulate --seed 3\n"
              "  mlflowc artifacts download models:/bank@champion ./model\n\n`mlflowc COMMAND --help` says more. Exit: "
              "0 done; 1 it could not be done; 2 the command "
              "line is wrong.\n",
              out);
}

/* ---- manual page ---- */

void mlc_put_roff(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '-') fputc('\\', out);
        if (*text == '\\') {
            fputs("\\e", out);
            continue;
        }
        fputc(*text, out);
    }
}

static void man_option(FILE *out, const mlc_option *option)
{
    fputs(".RS\n.TP\n.B ", out);
    mlc_put_roff(out, "--");
    mlc_put_roff(out, option->name);
    if (option->value) fprintf(out, " \\fI%s\\fR", option->value);
    fputc('\n', out);
    mlc_put_roff(out, option->help);
    fputs("\n.RE\n", out);
}

void mlc_man(FILE *out)
{
    fprintf(out,
            ".TH MLFLOWC 1 \"\" \"mlflowc %s\" \"User Commands\"\n.SH NAME\nmlflowc \\- MLflow for shells\n.SH "
            "SYNOPSIS\n.B mlflowc\n.I COMMAND\n[\\fIOPTIONS\\fR]\n",
            mlf_version());
    fputs(".SH DESCRIPTION\n", out);
    mlc_put_roff(out, about);
    fputs("\n.SH COMMANDS\n", out);
    for (size_t i = 0; i < mlc_n_commands; i++) {
        const mlc_command *c = &mlc_commands[i];
        char usage[128];
        usage_of(usage, sizeof usage, c);
        fputs(".TP\n.B ", out);
        mlc_put_roff(out, usage);
        fputc('\n', out);
        mlc_put_roff(out, c->summary);
        fputs(".\n", out);
        each_option(out, c, man_option);
    }
    fputs(".SH OPTIONS FOR EVERY COMMAND\n", out);
    for (size_t i = 0; i < GLOBAL_OPTIONS; i++)
        man_option(out, &mlc_options[i]);
    fputs(".SH ENVIRONMENT\nMLFLOW_TRACKING_URI, MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD, "
          "MLFLOW_TRACKING_TOKEN, MLFLOW_EXPERIMENT_NAME, MLFLOW_RUN_ID, "
          "MLFLOW_OFFLINE and the others of MLflow's own client keep their meaning.\n.PP\n\fBrun\fR gives its command MLFLOW_RUN_ID, or, of a "
          "run that no server knows yet, MLFLOW_RUN_KEY: a program of this library and a wrapped \fBmlflowc run\fR go on with that run.\n.SH EXIT STATUS\n0 done; 1 it "
          "could not be done; 2 the command line is wrong; "
          "\\fBrun\\fR ends with the status of its command.\n.SH EXAMPLES\n.nf\n",
          out);
    for (size_t i = 0; i < mlc_n_commands; i++)
        for (const char *at = mlc_commands[i].examples; *at; at += strcspn(at, "\n"), at += *at == '\n') {
            char line[256];
            snprintf(line, sizeof line, "%s%.*s", strncmp(at, "run=", 4) ? "mlflowc " : "", (int)strcspn(at, "\n"), at);
            mlc_put_roff(out, line);
            fputc('\n', out);
        }
    fputs(".fi\n.SH \"SEE ALSO\"\n.BR mlflowc\\-endpoints (7)\n", out);
}

/* ---- completion ---- */

static void word_option(FILE *out, const mlc_option *option)
{
    fprintf(out, " --%s", option->name);
}

static void global_words(FILE *out)
{
    for (size_t i = 0; i < GLOBAL_OPTIONS; i++)
        word_option(out, &mlc_options[i]);
}

/* Each noun once, in the order of the table. */
static int is_first(size_t i)
{
    return i == 0 || strcmp(mlc_commands[i].noun, mlc_commands[i - 1].noun) != 0;
}

/* A case statement of bash and zsh: `list` becomes what may stand behind the first two words. */
static void put_cases(FILE *out, const char *first, const char *second)
{
    fprintf(out, "    case \"%s %s\" in\n", first, second);
    for (size_t i = 0; i < mlc_n_commands; i++) {
        const mlc_command *c = &mlc_commands[i];
        fprintf(out, "    '%s %s'%s) list='", c->noun, c->verb ? c->verb : "", c->verb ? "" : "*");
        each_option(out, c, word_option);
        global_words(out);
        fputs("' ;;\n", out);
    }
    fprintf(out, "    *)\n        case \"%s\" in\n", first);
    for (size_t i = 0; i < mlc_n_commands; i++) {
        if (!is_first(i) || !mlc_commands[i].verb) continue;
        fprintf(out, "        %s) list='", mlc_commands[i].noun);
        for (size_t j = i; j < mlc_n_commands && !strcmp(mlc_commands[j].noun, mlc_commands[i].noun); j++)
            fprintf(out, "%s ", mlc_commands[j].verb);
        fputs("' ;;\n", out);
    }
    fputs("        *) list=$nouns ;;\n        esac ;;\n    esac\n", out);
}

static void put_nouns(FILE *out)
{
    fputs("    local list nouns='", out);
    for (size_t i = 0; i < mlc_n_commands; i++)
        if (is_first(i)) fprintf(out, "%s ", mlc_commands[i].noun);
    fputs("--help --version'\n", out);
}

static void bash(FILE *out)
{
    fputs("_mlflowc() {\n", out);
    put_nouns(out);
    put_cases(out, "${COMP_WORDS[1]}", "${COMP_WORDS[2]}");
    fputs("    [ \"$COMP_CWORD\" -eq 1 ] && list=$nouns\n"
          "    COMPREPLY=($(compgen -W \"$list\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -o default -F _mlflowc mlflowc\n",
          out);
}

/* A file of $fpath, whose text is the function's when it is first called; sourced, it says what it completes. */
static void zsh(FILE *out)
{
    fputs("#compdef mlflowc\n_mlflowc() {\n", out);
    put_nouns(out);
    put_cases(out, "${words[2]}", "${words[3]}");
    fputs("    (( CURRENT == 2 )) && list=$nouns\n    compadd -- ${=list}\n    _files\n}\n"
          "if [ \"$funcstack[1]\" = _mlflowc ]; then _mlflowc \"$@\"; else compdef _mlflowc mlflowc; fi\n",
          out);
}

/* " -d 'the text'", at most 80 characters of it. */
static void put_description(FILE *out, const char *text)
{
    size_t length = mlf_text_length(text) > 80 ? mlf_text_cut(text, 80) : strlen(text);
    fputs(" -d '", out);
    for (size_t i = 0; i < length; i++)
        fprintf(out, "%s%c", strchr("'\\", text[i]) ? "\\" : "", text[i]);
    fputs("'\n", out);
}

static void fish(FILE *out)
{
    for (size_t i = 0; i < mlc_n_commands; i++) {
        const mlc_command *c = &mlc_commands[i];
        if (is_first(i)) {
            fprintf(out, "complete -c mlflowc -f -n __fish_use_subcommand -a %s", c->noun);
            put_description(out, c->verb ? "" : c->summary);
        }
        if (c->verb) {
            fprintf(out, "complete -c mlflowc -f -n '__fish_seen_subcommand_from %s' -a %s", c->noun, c->verb);
            put_description(out, c->summary);
        }
    }
    for (size_t i = 0; i < mlc_n_options; i++) {
        fprintf(out, "complete -c mlflowc -l %s%s", mlc_options[i].name, mlc_options[i].value ? " -r" : "");
        put_description(out, mlc_options[i].help);
    }
}

int mlc_completion(FILE *out, const char *shell)
{
    static const struct {
        const char *name;
        void (*put)(FILE *out);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (!strcmp(shell, shells[i].name)) return shells[i].put(out), 0;
    return -1;
}

int mlc_print_completion(mlc *m)
{
    if (!mlc_completion(stdout, m->arguments[0])) return MLF_OK;
    m->error.code = MLF_E_ARGUMENT;
    snprintf(m->error.message, sizeof m->error.message, "completion: expected bash, zsh or fish, got \"%.40s\"",
             m->arguments[0]);
    return MLF_E_ARGUMENT;
}

int mlc_print_man(mlc *m)
{
    const char *page = m->n_arguments ? m->arguments[0] : NULL;
    if (page && strcmp(page, "endpoints"))
        return mlf_error_set(&m->error, MLF_E_ARGUMENT, "man: expected nothing or endpoints, got \"%.40s\"", page);
    if (page)
        mlc_man_endpoints(stdout);
    else
        mlc_man(stdout);
    return MLF_OK;
}
