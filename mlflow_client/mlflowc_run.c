/* mlflowc run -- CMD…: the command as a run. Its output passes through; the run gets arguments, git state, exit code,
   time, peak memory, the last output, and metrics found in the output. The command runs and its exit status counts even
   when nothing can be tracked. */
#include "alloc.h"
#include "client_error.h"
#include "clock.h"
#include "log.h"
#include "mlflowc.h"
#include "number.h"
#include "secret.h"
#include "validate.h"

#include <errno.h>
#include <regex.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TAIL_BYTES = 64 << 10, MAX_LINE = 8192, MAX_PATTERNS = 16, MAX_COUNTED = 64 };

extern char **environ;

/* The output so far: its tail, and the line that is not finished. */
typedef struct watch {
    mlf_run *run; /* NULL: nothing is tracked */
    char tail[TAIL_BYTES];
    size_t tail_total; /* bytes seen; the ring holds the last TAIL_BYTES */
    char line[MAX_LINE];
    size_t line_size;
    int look; /* for metrics */
    regex_t patterns[MAX_PATTERNS];
    size_t n_patterns;
    struct {
        char key[64];
        int64_t next;
    } counted[MAX_COUNTED]; /* steps of keys whose lines name none */
    size_t n_counted;
} watch;

/* ---- metrics in a line ---- */

static int key_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '/' || c == '-';
}

/* The next "key=number" at or behind *at: 1, with *at moved behind it. */
static int next_pair(const char **at, char *key, size_t key_size, double *value)
{
    for (const char *equals; (equals = strchr(*at, '=')); *at = equals + 1) {
        const char *begin = equals, *number = equals + 1 + strspn(equals + 1, " ");
        size_t length = strcspn(number, " \t,;|)]}\r\n");
        while (begin > *at && key_byte(begin[-1]))
            begin--;
        if (begin == equals || (size_t)(equals - begin) >= key_size || sv_parse_double(number, length, value)) continue;
        memcpy(key, begin, (size_t)(equals - begin));
        key[equals - begin] = '\0';
        *at = number + length;
        return 1;
    }
    return 0;
}

static int is_step(const char *key)
{
    static const char *const names[] = {"step", "global_step", "epoch", "iter", "iteration"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(key, names[i])) return 1;
    return 0;
}

static int find_step(const char *line, int64_t *step)
{
    char key[128];
    double value;
    while (next_pair(&line, key, sizeof key, &value))
        if (is_step(key) && value >= -9e15 && value <= 9e15) return *step = (int64_t)value, 1;
    return 0;
}

/* 0, 1, 2… for a key whose lines name no step. */
static int64_t count_step(watch *w, const char *key)
{
    size_t i = 0;
    while (i < w->n_counted && strncmp(w->counted[i].key, key, sizeof w->counted[i].key - 1) != 0)
        i++;
    if (i == MAX_COUNTED) return 0;
    if (i == w->n_counted) {
        snprintf(w->counted[i].key, sizeof w->counted[i].key, "%.63s", key);
        w->n_counted++;
    }
    return w->counted[i].next++;
}

static void look_by_pattern(watch *w, const regex_t *pattern, const char *line, int64_t step, int has_step)
{
    regmatch_t match[3];
    for (const char *at = line; *at && !regexec(pattern, at, 3, match, at == line ? 0 : REG_NOTBOL);
         at += match[0].rm_eo > 0 ? match[0].rm_eo : 1) {
        char key[128];
        double value;
        if (match[1].rm_so < 0 || match[2].rm_so < 0) return;
        snprintf(key, sizeof key, "%.*s", (int)(match[1].rm_eo - match[1].rm_so), at + match[1].rm_so);
        if (is_step(key) || sv_parse_double(at + match[2].rm_so, (size_t)(match[2].rm_eo - match[2].rm_so), &value))
            continue;
        mlf_run_log_metric(w->run, key, value, has_step ? step : count_step(w, key));
    }
}

/* Without a pattern of the user's: every key=number of a line that also names a step. */
static void look_at_line(watch *w)
{
    const char *at = w->line;
    char key[128];
    double value;
    int64_t step = 0;
    w->line[w->line_size] = '\0';
    int has_step = find_step(w->line, &step);
    for (size_t i = 0; i < w->n_patterns; i++)
        look_by_pattern(w, &w->patterns[i], w->line, step, has_step);
    while (!w->n_patterns && has_step && next_pair(&at, key, sizeof key, &value))
        if (!is_step(key)) mlf_run_log_metric(w->run, key, value, step);
}

static void take_output(watch *w, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        w->tail[w->tail_total++ % TAIL_BYTES] = bytes[i];
        if (bytes[i] != '\n' && bytes[i] != '\r') {
            if (w->line_size + 1 < MAX_LINE) w->line[w->line_size++] = bytes[i];
            continue;
        }
        if (w->run && w->look && w->line_size) look_at_line(w);
        w->line_size = 0;
    }
}

/* ---- the command ---- */

static volatile sig_atomic_t child_pid, caught;

/* A signal to this process is one to the command; at a terminal the command has had its own already. */
static void pass_on(int number)
{
    caught = number;
    if (child_pid > 0 && !(number == SIGINT && isatty(STDIN_FILENO))) kill(child_pid, number);
}

static void write_all(const char *bytes, size_t size)
{
    while (size) {
        ssize_t wrote = write(STDOUT_FILENO, bytes, size);
        if (wrote < 0 && errno != EINTR) return;
        if (wrote > 0) bytes += wrote, size -= (size_t)wrote;
    }
}

/* The environment with MLFLOW_RUN_ID, so that a program that tracks by itself goes on with this run. Freed with
 * sv_free; entry 0 too when has_id. */
static char **environment_of(const mlf_run *run, char **own)
{
    size_t n = 0, used = 0;
    while (environ[n])
        n++;
    char **copy = sv_calloc(n + 2, sizeof *copy);
    sv_buffer text = SV_BUFFER_INIT(1024);
    *own = NULL;
    if (copy && run && *mlf_run_experiment_id(run) && !sv_buffer_format(&text, "MLFLOW_RUN_ID=%s", mlf_run_id(run)))
        copy[used++] = *own = sv_buffer_take(&text);
    for (size_t i = 0; copy && i < n; i++)
        if (!*own || strncmp(environ[i], "MLFLOW_RUN_ID=", 14) != 0) copy[used++] = environ[i];
    sv_buffer_free(&text);
    return copy;
}

/* Starts it with its standard output in a pipe; the reading end, or -1 with errno. */
static int start(pid_t *pid, char **words, char **environment)
{
    int ends[2];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t usual;
    if (pipe(ends)) return -1;
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    int failed = posix_spawnp(pid, words[0], &actions, &attributes, words, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(ends[1]);
    if (!failed) return ends[0];
    close(ends[0]);
    errno = failed;
    return -1;
}

/* Copies its output until it ends. */
static void follow(watch *w, int fd)
{
    char bytes[16384];
    for (ssize_t got; (got = read(fd, bytes, sizeof bytes)) != 0;) {
        if (got < 0 && errno != EINTR) break;
        if (got < 0) continue;
        write_all(bytes, (size_t)got);
        take_output(w, bytes, (size_t)got);
    }
    take_output(w, "\n", w->line_size > 0);
    close(fd);
}

/* ---- the run ---- */

/* The words as a shell would want them, without what looks like a secret. NULL when memory is out: rather nothing than half of it. */
static char *joined(char **words)
{
    sv_buffer text = SV_BUFFER_INIT(1 << 20);
    int hide = 0, code = 0;
    for (size_t i = 0; words[i] && !code; i++) {
        sv_buffer word = SV_BUFFER_INIT(1 << 20);
        code = sv_secret_append_word(&word, words[i], &hide);
        const char *shown = word.data ? word.data : "";
        int plain =
            *shown &&
            !shown[strspn(shown, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./=:,+@%")];
        sv_buffer_text(&text, i ? " " : "");
        sv_buffer_text(&text, plain ? "" : "'");
        for (const char *c = shown; *c; c++)
            sv_buffer_text(&text, *c == '\'' ? "'\\''" : (char[]){*c, '\0'});
        sv_buffer_text(&text, plain ? "" : "'");
        sv_buffer_free(&word);
    }
    char *line = code ? NULL : sv_buffer_take(&text);
    sv_buffer_free(&text);
    return line;
}

/* On the server, or in the journal where that refuses (a login, a certificate, an experiment that was deleted): until the sync it may be mended. Not where
   no server will ever know the run that is to be continued. */
static int create(mlc *m, watch *w, const mlf_run_options *options)
{
    mlf_client *offline = NULL;
    mlf_error why = MLF_ERROR_INIT;
    int code = mlf_run_create(&w->run, m->client, options, &why);
    if (!code) return MLF_OK;
    if (code == MLF_E_ARGUMENT || mlc_is_away(m) || (code == MLF_E_NOT_FOUND && options->run_id && !mlc_may_be_key(options->run_id))) {
        m->error = why;
        return code;
    }
    code = mlc_offline_client(&offline, m);
    if (code) return code;
    mlf_client_free(m->client);
    m->client = offline;
    code = mlf_run_create(&w->run, offline, options, &m->error);
    if (!code) mlc_say_kept(&why);
    return code;
}

/* A param stays as it is: what continues a run has another command. */
static void log_command(watch *w, int continues, char *command)
{
    command[mlf_text_cut(command, MLF_MAX_PARAM_VALUE)] = '\0';
    if (continues)
        mlf_run_set_tag(w->run, "mlflowc.command", command, NULL);
    else
        mlf_run_log_param(w->run, "command", command, NULL);
}

static int begin(mlc *m, watch *w)
{
    mlf_run_options options = MLF_RUN_OPTIONS_INIT;
    mlf_pair *tags = NULL, *params = NULL;
    size_t n_params = 0;
    char *command = joined(m->rest);
    options.experiment = mlc_option_value(m, "experiment");
    options.run_id = mlc_option_value(m, "run");
    if (!options.run_id) options.run_id = mlf_env("MLFLOW_RUN_ID");
    options.name = mlc_option_value(m, "name");
    options.description = mlc_option_value(m, "description");
    options.parent_run_id = mlc_option_value(m, "parent");
    options.source_name = m->rest[0];
    int code = mlc_option_pairs(m, "tag", &tags, &options.n_tags);
    if (!code) code = mlc_option_pairs(m, "param", &params, &n_params);
    options.tags = tags;
    if (!code) code = create(m, w, &options);
    if (!code && command) log_command(w, options.run_id != NULL, command);
    for (size_t i = 0; !code && i < n_params; i++)
        code = mlf_run_log_param(w->run, params[i].key, params[i].value, &m->error);
    sv_free(command);
    sv_free(tags);
    sv_free(params);
    return code;
}

static int compile_patterns(mlc *m, watch *w)
{
    const char *texts[MAX_PATTERNS];
    size_t n = mlc_option_values(m, "metric", texts, MAX_PATTERNS);
    w->look = !mlc_has(m, "no-metrics");
    for (size_t i = 0; i < n; i++) {
        char reason[128];
        int failed = regcomp(&w->patterns[i], texts[i], REG_EXTENDED);
        if (failed) regerror(failed, &w->patterns[i], reason, sizeof reason);
        if (!failed && w->patterns[i].re_nsub < 2)
            snprintf(reason, sizeof reason, "two groups are needed, key and value");
        w->n_patterns += !failed;
        if (failed || w->patterns[i].re_nsub < 2)
            return mlf_error_set(&m->error, MLF_E_ARGUMENT, "--metric \"%.200s\": %s", texts[i], reason);
    }
    return MLF_OK;
}

static void log_outcome(watch *w, int status, double wall_s, const struct rusage *used)
{
    size_t size = w->tail_total < TAIL_BYTES ? w->tail_total : TAIL_BYTES,
           from = w->tail_total > TAIL_BYTES ? w->tail_total % TAIL_BYTES : 0;
    char *text = sv_malloc(size + 1);
    mlf_run_log_metric(w->run, "exit_code", status, 0);
    mlf_run_log_metric(w->run, "wall_seconds", wall_s, 0);
    mlf_run_log_metric(w->run, "user_seconds", (double)used->ru_utime.tv_sec + 1e-6 * (double)used->ru_utime.tv_usec,
                       0);
    mlf_run_log_metric(w->run, "system_seconds", (double)used->ru_stime.tv_sec + 1e-6 * (double)used->ru_stime.tv_usec,
                       0);
    mlf_run_log_metric(w->run, "peak_memory_mb", (double)used->ru_maxrss * 1024 / 1e6, 0);
    for (size_t i = 0; text && i < size; i++)
        text[i] = w->tail[(from + i) % TAIL_BYTES];
    if (text && size && mlf_run_log_text(w->run, text, size, "stdout.txt", NULL))
        fputs("mlflowc: the last output could not be kept\n", stderr);
    sv_free(text);
}

/* What the command is worth: 0..255, 128 + signal, 127 when it was not found. */
static int perform(watch *w, char **words, mlf_status *end)
{
    struct rusage used = {0};
    int state = 0;
    pid_t pid = 0;
    char *own, **environment = environment_of(w->run, &own);
    int64_t from = sv_monotonic_ns();
    int fd = environment ? start(&pid, words, environment) : -1;
    sv_free(own);
    sv_free(environment);
    *end = MLF_FAILED;
    if (fd < 0) {
        sv_say("mlflowc: %s: %s", words[0], strerror(errno));
        if (w->run) mlf_run_set_tag(w->run, "mlflowc.error", strerror(errno), NULL);
        return errno == ENOENT ? 127 : 126;
    }
    child_pid = pid;
    if (caught) kill(pid, caught);
    follow(w, fd);
    while (wait4(pid, &state, 0, &used) < 0 && errno == EINTR)
        continue;
    child_pid = 0;
    int status = WIFSIGNALED(state) ? 128 + WTERMSIG(state) : WEXITSTATUS(state);
    *end = WIFSIGNALED(state) || caught ? MLF_KILLED : status ? MLF_FAILED : MLF_FINISHED;
    if (w->run) log_outcome(w, status, 1e-9 * (double)(sv_monotonic_ns() - from), &used);
    return status;
}

int mlc_run(mlc *m)
{
    watch *w = sv_calloc(1, sizeof *w);
    struct sigaction action = {.sa_handler = pass_on};
    mlf_status end;
    if (!w) return mlf_error_memory(&m->error);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    int code = compile_patterns(m, w);
    if (!code) code = begin(m, w);
    if (code != MLF_E_ARGUMENT) {
        if (code) sv_say("mlflowc: this is not tracked: %s", m->error.message);
        if (w->run) sv_say("mlflowc: run %s", mlf_run_id(w->run));
        code = MLF_OK;
        m->exit_status = perform(w, m->rest, &end);
        mlf_error_clear(&m->error);
        int unsaid = w->run ? mlf_run_end(w->run, end, &m->error) : MLF_OK;
        if (unsaid) sv_say("mlflowc: %s", m->error.message);
        if (unsaid == MLF_E_IO && !m->exit_status) m->exit_status = EXIT_FAILURE; /* something is lost */
    } else {
        mlf_run_free(w->run);
    }
    for (size_t i = 0; i < w->n_patterns; i++)
        regfree(&w->patterns[i]);
    sv_free(w);
    return code;
}
