/* mlflowc run -- CMD…: the command as a run. Its output and its standard error pass through; the run gets arguments, git state, exit code,
   time, peak memory, the last of either, and metrics found in them. The command runs and its exit status counts even when nothing can be tracked. */
#include "alloc.h"
#include "client_error.h"
#include "clock.h"
#include "folder.h"
#include "log.h"
#include "mlflowc.h"
#include "number.h"
#include "run.h"
#include "secret.h"
#include "validate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TAIL_BYTES = 64 << 10, MAX_LINE = 8192, MAX_PATTERNS = 16, MAX_COUNTED = 64 };
enum { LOOK_AGAIN_MS = 100, SILENCE_MS = 200, GRACE_MS = 2000 };

extern char **environ;

/* One of the command's two outputs so far: its tail, and the line that is not finished. */
typedef struct output {
    int from, to;       /* the pipe's reading end, -1 when it has ended; our own descriptor */
    int owed;           /* bytes in the pipe when the command ended: they may be its own */
    const char *artifact;
    char tail[TAIL_BYTES];
    size_t tail_total; /* bytes seen; the ring holds the last TAIL_BYTES */
    char line[MAX_LINE];
    size_t line_size;
} output;

enum { OUTPUTS = 2 };

typedef struct watch {
    mlf_run *run; /* NULL: nothing is tracked */
    output outputs[OUTPUTS];
    int64_t ended_ns; /* 0: the command runs */
    int unwritten; /* of what the command wrote, something could not be passed on */
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
static void look_at_line(watch *w, const char *line)
{
    const char *at = line;
    char key[128];
    double value;
    int64_t step = 0;
    int has_step = find_step(line, &step);
    for (size_t i = 0; i < w->n_patterns; i++)
        look_by_pattern(w, &w->patterns[i], line, step, has_step);
    while (!w->n_patterns && has_step && next_pair(&at, key, sizeof key, &value))
        if (!is_step(key)) mlf_run_log_metric(w->run, key, value, step);
}

static void end_line(watch *w, output *out)
{
    out->line[out->line_size] = '\0';
    if (w->run && w->look && out->line_size) look_at_line(w, out->line);
    out->line_size = 0;
}

static void take_output(watch *w, output *out, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        out->tail[out->tail_total++ % TAIL_BYTES] = bytes[i];
        if (bytes[i] == '\n' || bytes[i] == '\r')
            end_line(w, out);
        else if (out->line_size + 1 < MAX_LINE)
            out->line[out->line_size++] = bytes[i];
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

/* 0, or errno. Whoever shares the descriptor may have made it one that does not block. */
static int write_all(int fd, const char *bytes, size_t size)
{
    while (size) {
        ssize_t wrote = write(fd, bytes, size);
        if (wrote >= 0)
            bytes += wrote, size -= (size_t)wrote;
        else if (errno == EAGAIN)
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        else if (errno != EINTR)
            return errno;
    }
    return 0;
}

static int names_a_run(const char *entry)
{
    return !strncmp(entry, "MLFLOW_RUN_ID=", 14) || !strncmp(entry, "MLFLOW_RUN_KEY=", 15);
}

/* The environment with MLFLOW_RUN_ID, so that a program that tracks by itself goes on with this run; MLFLOW_RUN_KEY where no server knows it yet.
   *own and the array: sv_free. */
static char **environment_of(const mlf_run *run, char **own)
{
    size_t n = 0, used = 0;
    while (environ[n])
        n++;
    char **copy = sv_calloc(n + 2, sizeof *copy);
    sv_buffer text = SV_BUFFER_INIT(1024);
    *own = NULL;
    int begun_here = run && !*mlf_run_experiment_id(run) && !strcmp(mlf_run_id(run), mlf_run_key(run));
    if (copy && run && !sv_buffer_format(&text, "%s=%s", begun_here ? "MLFLOW_RUN_KEY" : "MLFLOW_RUN_ID", mlf_run_id(run)))
        copy[used++] = *own = sv_buffer_take(&text);
    for (size_t i = 0; copy && i < n; i++)
        if (!*own || !names_a_run(environ[i])) copy[used++] = environ[i];
    sv_buffer_free(&text);
    return copy;
}

static const int passed_on[] = {SIGINT, SIGTERM, SIGHUP};
static int children_ignored;

/* What is ignored stays so, for the command too: nohup means both. But where SIGCHLD is ignored the kernel keeps no exit status: for the command alone. */
static void pass_signals_on(void)
{
    struct sigaction action = {.sa_handler = pass_on}, now;
    children_ignored = signal(SIGCHLD, SIG_DFL) == SIG_IGN;
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        if (!sigaction(passed_on[i], NULL, &now) && now.sa_handler != SIG_IGN) sigaction(passed_on[i], &action, NULL);
}

/* In the new process: becomes the command, or says by errno in trouble why not. */
static void become(const int pipes[OUTPUTS], int trouble, const sigset_t *mask, char **words, char **environment)
{
    struct sigaction now;
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        if (!sigaction(passed_on[i], NULL, &now) && now.sa_handler != SIG_IGN) signal(passed_on[i], SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    if (children_ignored) signal(SIGCHLD, SIG_IGN);
    sigprocmask(SIG_SETMASK, mask, NULL);
    if (dup2(pipes[0], STDOUT_FILENO) >= 0 && dup2(pipes[1], STDERR_FILENO) >= 0) execvpe(words[0], words, environment);
    int why = errno;
    (void)!write(trouble, &why, sizeof why);
    _exit(127);
}

/* The command's process, or -1 with errno. Not posix_spawn(), which shares this process's memory with the new one until that is the command: the
   kernel then counts it into the command's peak. */
static pid_t begin_process(const int pipes[OUTPUTS], char **words, char **environment)
{
    int trouble[2], why = 0;
    sigset_t all, mask;
    if (pipe2(trouble, O_CLOEXEC)) return -1;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &mask);
    pid_t pid = fork();
    if (!pid) become(pipes, trouble[1], &mask, words, environment);
    if (pid < 0) why = errno;
    sigprocmask(SIG_SETMASK, &mask, NULL);
    close(trouble[1]);
    if (pid > 0 && read(trouble[0], &why, sizeof why) == (ssize_t)sizeof why) waitpid(pid, NULL, 0);
    close(trouble[0]);
    errno = why;
    return why ? -1 : pid;
}

/* Starts it with its outputs in pipes, whose other ends go to w->outputs. */
static pid_t start(watch *w, char **words, char **environment)
{
    int ends[OUTPUTS][2], n = 0;
    while (n < OUTPUTS && !pipe2(ends[n], O_CLOEXEC))
        n++;
    pid_t pid = n < OUTPUTS ? -1 : begin_process((const int[]){ends[0][1], ends[1][1]}, words, environment);
    int why = errno;
    for (int i = 0; i < n; i++) {
        close(ends[i][1]);
        if (pid < 0) close(ends[i][0]);
        w->outputs[i].from = pid < 0 ? -1 : ends[i][0];
    }
    errno = why;
    return pid;
}

static void end_output(watch *w, output *out)
{
    if (out->from < 0) return;
    end_line(w, out);
    close(out->from);
    out->from = -1;
}

/* Our own output takes no more: a disk that is full, a terminal that is gone, a descriptor that was closed. A reader that went is no failure. */
static void say_unwritten(watch *w, const output *out, int why)
{
    if (why == EPIPE) return;
    if (!w->unwritten) sv_say("mlflowc: %s cannot be written: %s; the command can write there no more", out->to == STDOUT_FILENO ? "standard output" : "standard error", strerror(why));
    w->unwritten = 1;
}

/* What there is to read now; closes it at its end, and when our own output takes nothing any more: the command's next write fails then, as it would
   without us. */
static void pass_output(watch *w, output *out)
{
    char bytes[16384];
    ssize_t got = read(out->from, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) return;
    if (got > 0) {
        int failed = write_all(out->to, bytes, (size_t)got);
        take_output(w, out, bytes, (size_t)got);
        out->owed -= (int)got;
        if (!failed) return;
        say_unwritten(w, out, failed);
        end_output(w, out);
        return;
    }
    end_output(w, out);
}

/* A descriptor that is readable when the process has ended; -1 before Linux 5.3. */
static int watch_process(pid_t pid)
{
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, pid, 0);
#else
    return (void)pid, -1;
#endif
}

/* Leaves the process to judge(): as long as it is not waited for, its number is nobody else's, whom a signal could meet. */
static void notice_end(watch *w, pid_t pid, int options)
{
    siginfo_t info = {.si_pid = 0};
    int code;
    if (w->ended_ns) return;
    while ((code = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | options)) && errno == EINTR)
        continue;
    if (!code && !info.si_pid) return;
    child_pid = 0;
    w->ended_ns = sv_monotonic_ns();
    for (int i = 0; i < OUTPUTS; i++)
        if (w->outputs[i].from >= 0 && ioctl(w->outputs[i].from, FIONREAD, &w->outputs[i].owed)) w->outputs[i].owed = 0;
}

/* What the command left running may write for ever: heard a little longer, but never less than all the command itself wrote. */
static int has_heard_enough(const watch *w)
{
    for (int i = 0; i < OUTPUTS; i++)
        if (w->outputs[i].from >= 0 && w->outputs[i].owed > 0) return 0;
    return sv_monotonic_ns() - w->ended_ns > (int64_t)GRACE_MS * 1000000;
}

/* Copies both outputs until they end; once the command has, until they are silent: what it left running may hold them for days. */
static void follow(watch *w, pid_t pid)
{
    output *out = &w->outputs[0], *error = &w->outputs[1];
    int bell = watch_process(pid);
    while ((out->from >= 0 || error->from >= 0) && !(w->ended_ns && has_heard_enough(w))) {
        struct pollfd ready[] = {{.fd = out->from, .events = POLLIN}, {.fd = error->from, .events = POLLIN},
                                 {.fd = w->ended_ns ? -1 : bell, .events = POLLIN}};
        int n = poll(ready, 3, w->ended_ns ? SILENCE_MS : bell < 0 ? LOOK_AGAIN_MS : -1);
        if (n < 0) continue;
        if (!n && w->ended_ns) break;
        if (ready[0].revents) pass_output(w, out);
        if (ready[1].revents) pass_output(w, error);
        notice_end(w, pid, WNOHANG);
    }
    if (bell >= 0) close(bell);
    end_output(w, out);
    end_output(w, error);
    notice_end(w, pid, 0);
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
    if (code == MLF_E_ARGUMENT || mlc_is_away(m) || (code == MLF_E_NOT_FOUND && options->run_id && !mlf_may_be_key(options->run_id))) {
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
    if (!options.run_id) options.run_id = mlf_env("MLFLOW_RUN_KEY");
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

static void keep_tail(watch *w, const output *out)
{
    size_t size = out->tail_total < TAIL_BYTES ? out->tail_total : TAIL_BYTES,
           from = out->tail_total > TAIL_BYTES ? out->tail_total % TAIL_BYTES : 0;
    char *text = sv_malloc(size + 1);
    for (size_t i = 0; text && i < size; i++)
        text[i] = out->tail[(from + i) % TAIL_BYTES];
    if (!text || (size && mlf_run_log_text(w->run, text, size, out->artifact, NULL)))
        sv_say("mlflowc: the last output could not be kept (%s)", out->artifact);
    sv_free(text);
}

static void log_outcome(watch *w, int status, double wall_s, const struct rusage *used)
{
    mlf_run_log_metric(w->run, "exit_code", status, 0);
    mlf_run_log_metric(w->run, "wall_seconds", wall_s, 0);
    mlf_run_log_metric(w->run, "user_seconds", (double)used->ru_utime.tv_sec + 1e-6 * (double)used->ru_utime.tv_usec,
                       0);
    mlf_run_log_metric(w->run, "system_seconds", (double)used->ru_stime.tv_sec + 1e-6 * (double)used->ru_stime.tv_usec,
                       0);
    mlf_run_log_metric(w->run, "peak_memory_mb", (double)used->ru_maxrss * 1024 / 1e6, 0);
    for (int i = 0; i < OUTPUTS; i++)
        keep_tail(w, &w->outputs[i]);
}

/* How the command ended: its exit status, or 128 + signal. A failure where that cannot be told. */
static int judge(watch *w, pid_t pid, mlf_status *end, struct rusage *used)
{
    int state, code;
    while ((code = wait4(pid, &state, 0, used)) < 0 && errno == EINTR)
        continue;
    *end = MLF_FAILED;
    if (code < 0) {
        sv_say("mlflowc: the command's exit status is lost: %s", strerror(errno));
        if (w->run) mlf_run_set_tag(w->run, "mlflowc.error", "the exit status is lost", NULL);
        return EXIT_FAILURE;
    }
    int status = WIFSIGNALED(state) ? 128 + WTERMSIG(state) : WEXITSTATUS(state);
    if (WIFSIGNALED(state) || caught)
        *end = MLF_KILLED;
    else if (!status)
        *end = MLF_FINISHED;
    return status;
}

/* What the command is worth: 0..255, 128 + signal, 127 when it was not found. */
static int perform(watch *w, char **words, mlf_status *end)
{
    struct rusage used = {0};
    char *own, **environment = environment_of(w->run, &own);
    int64_t from = sv_monotonic_ns();
    pid_t pid = environment ? start(w, words, environment) : -1;
    int why = errno;
    sv_free(own);
    sv_free(environment);
    *end = MLF_FAILED;
    if (pid < 0) {
        sv_say("mlflowc: %s: %s", words[0], strerror(why));
        if (w->run) mlf_run_set_tag(w->run, "mlflowc.error", strerror(why), NULL);
        return why == ENOENT ? 127 : 126;
    }
    child_pid = pid;
    if (caught) kill(pid, caught);
    follow(w, pid);
    int status = judge(w, pid, end, &used);
    if (w->run) log_outcome(w, status, 1e-9 * (double)(w->ended_ns - from), &used);
    return !status && w->unwritten ? EXIT_FAILURE : status;
}

int mlc_run(mlc *m)
{
    watch *w = sv_calloc(1, sizeof *w);
    mlf_status end;
    if (!w) return mlf_error_memory(&m->error);
    w->outputs[0] = (output){.from = -1, .to = STDOUT_FILENO, .artifact = "stdout.txt"};
    w->outputs[1] = (output){.from = -1, .to = STDERR_FILENO, .artifact = "stderr.txt"};
    pass_signals_on();
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
