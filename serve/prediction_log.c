/* prediction_log.c: see prediction_log.h. FILE is being written; FILE.1 is the one before it, and so on. */
#include "prediction_log.h"

#include "alloc.h"
#include "expr.h"
#include "log.h"
#include "prometheus.h"
#include "request_id.h"
#include "service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAITING_BYTES (64u << 10)
#define SALT UINT64_C(0x70726564696374) /* so that the sample has nothing to do with a split by the same id */

struct sv_prediction_log {
    const sv_serve_config *config;
    int fd; /* -1: it could not be opened again after a rotation */
    size_t size; /* of the file */
    sv_buffer waiting;
    size_t n_waiting; /* lines */
    int is_failing;
    atomic_ulong written, lost; /* lines */
};

static int open_file(sv_prediction_log *log)
{
    struct stat status;
    log->fd = open(log->config->prediction_log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    log->size = log->fd >= 0 && fstat(log->fd, &status) == 0 && status.st_size > 0 ? (size_t)status.st_size : 0;
    return log->fd < 0 ? -1 : 0;
}

int sv_prediction_log_new(sv_prediction_log **out, const sv_serve_config *config, sv_error *error)
{
    sv_prediction_log *log = sv_calloc(1, sizeof *log);
    if (!log)
        return sv_error_set(error, SV_E_MEMORY, "prediction_log: out of memory");
    log->config = config;
    if (open_file(log)) {
        int code = sv_error_set(error, SV_E_IO, "prediction_log.file %s: %s", config->prediction_log_file, strerror(errno));
        sv_free(log);
        return code;
    }
    *out = log;
    return 0;
}

void sv_prediction_log_free(sv_prediction_log *log)
{
    if (!log)
        return;
    sv_prediction_log_flush(log);
    if (log->fd >= 0)
        close(log->fd);
    sv_buffer_free(&log->waiting);
    sv_free(log);
}

int sv_prediction_log_wants(const sv_prediction_log *log, sv_span request_id)
{
    double share = log->config->prediction_log_sample;
    return share >= 1 || (double)(sv_mix64(sv_request_hash(request_id) ^ SALT) >> 11) * 0x1p-53 < share;
}

int sv_prediction_log_hides(const sv_prediction_log *log, sv_span field)
{
    for (size_t i = 0; i < log->config->prediction_log_redact.n; i++)
        if (sv_span_is(field, log->config->prediction_log_redact.texts[i]))
            return 1;
    return 0;
}

static int has_input(const sv_served *served, const char *name)
{
    return served && sv_served_input(served, name, strlen(name)) >= 0;
}

static int is_input(const sv_service *service, const char *name)
{
    for (size_t s = 0; s < service->n_slots; s++)
        if (has_input(atomic_load(&service->slots[s].current), name))
            return 1;
    return 0;
}

/* Every input of every slot, in the arena; n 0: none, or memory is out. */
static sv_text_list list_inputs(const sv_service *service, sv_arena *arena)
{
    sv_text_list all = {0};
    size_t most = 0;
    for (size_t s = 0; s < service->n_slots; s++) {
        const sv_served *served = atomic_load(&service->slots[s].current);
        most += served ? served->n_inputs : 0;
    }
    all.texts = sv_arena_alloc(arena, (most + 1) * sizeof *all.texts);
    for (size_t s = 0; s < service->n_slots && all.texts; s++) {
        const sv_served *served = atomic_load(&service->slots[s].current);
        for (size_t i = 0; served && i < served->n_inputs; i++)
            if ((all.texts[all.n] = sv_arena_strndup(arena, served->inputs[i].name.text, served->inputs[i].name.size)))
                all.n++;
    }
    return all;
}

int sv_redacted_check(const sv_service *service, sv_error *error)
{
    const sv_text_list *redact = &service->config->prediction_log_redact;
    sv_arena arena = SV_ARENA_INIT(4096, 16u << 20);
    sv_buffer unknown = SV_BUFFER_INIT(0);
    const char *near = NULL;
    for (size_t i = 0; i < redact->n; i++) {
        if (is_input(service, redact->texts[i]))
            continue;
        sv_text_list inputs = near ? (sv_text_list){0} : list_inputs(service, &arena);
        near = inputs.n ? sv_nearest_name(redact->texts[i], inputs.texts, inputs.n) : near;
        sv_buffer_format(&unknown, "%s'%.100s'", unknown.size ? ", " : "", redact->texts[i]);
    }
    int code = unknown.size ? sv_error_set(error, SV_E_CONFIG, "prediction_log.redact: no served model has an input column %.*s", (int)unknown.size, unknown.data) : 0;
    if (code && near)
        sv_error_hint(error, "did you mean '%s'?", near);
    else if (code)
        sv_error_hint(error, "expected names of the models' input columns, exactly as their signatures write them");
    sv_buffer_free(&unknown);
    sv_arena_free(&arena);
    return code;
}

void sv_redacted_warn(const sv_serve_config *config, const char *key, const sv_served *old, const sv_served *fresh)
{
    for (size_t i = 0; config && i < config->prediction_log_redact.n; i++) {
        const char *name = config->prediction_log_redact.texts[i];
        if (has_input(old, name) && !has_input(fresh, name))
            sv_log(SV_LOG_WARN, "%s: version %s has no input column '%s' that prediction_log.redact names: a column that took its place is logged until it is named there too", key,
                   fresh->identity.version ? fresh->identity.version : "(none)", name);
    }
}

/* ---- writing ---- */

/* FILE.n-1 over FILE.n … FILE over FILE.1, then a new FILE. -1: errno says why. */
static int rotate(sv_prediction_log *log)
{
    const char *file = log->config->prediction_log_file;
    char from[4096], to[4096];
    if (strlen(file) > sizeof from - 16) {
        errno = ENAMETOOLONG;
        return -1;
    }
    for (long n = log->config->prediction_log_files - 1; n >= 1; n--) {
        snprintf(from, sizeof from, n > 1 ? "%s.%ld" : "%s", file, n - 1);
        snprintf(to, sizeof to, "%s.%ld", file, n);
        if (rename(from, to) && errno != ENOENT)
            return -1;
    }
    if (log->config->prediction_log_files == 1 && unlink(file) && errno != ENOENT)
        return -1;
    if (log->fd >= 0)
        close(log->fd);
    return open_file(log);
}

/* All of it, or nothing of it stays in the file. */
static int write_whole(sv_prediction_log *log, const char *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(log->fd, bytes + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int reason = n < 0 ? errno : ENOSPC;
            if (done && ftruncate(log->fd, (off_t)log->size))
                sv_log(SV_LOG_WARN, "prediction_log %s: half a line stays in it: %s", log->config->prediction_log_file, strerror(errno));
            errno = reason;
            return -1;
        }
        done += (size_t)n;
    }
    log->size += size;
    return 0;
}

static void count_outcome(sv_prediction_log *log, int failed)
{
    atomic_fetch_add(failed ? &log->lost : &log->written, log->n_waiting);
    if (failed && !log->is_failing)
        sv_log(SV_LOG_ERROR, "prediction_log %s: %s; lines are lost and counted until it can be written again, answers go on", log->config->prediction_log_file, strerror(errno));
    else if (!failed && log->is_failing)
        sv_log(SV_LOG_INFO, "prediction_log %s: written again, %lu lines were lost so far", log->config->prediction_log_file, atomic_load(&log->lost));
    log->is_failing = failed;
}

void sv_prediction_log_flush(sv_prediction_log *log)
{
    if (log->n_waiting == 0)
        return;
    int failed = log->fd < 0 ? open_file(log) : 0;
    if (!failed && log->size && log->size + log->waiting.size > (size_t)log->config->prediction_log_max_bytes)
        failed = rotate(log);
    if (!failed)
        failed = write_whole(log, log->waiting.data, log->waiting.size);
    count_outcome(log, failed != 0);
    sv_buffer_clear(&log->waiting);
    log->n_waiting = 0;
}

sv_buffer *sv_prediction_log_buffer(sv_prediction_log *log)
{
    return &log->waiting;
}

void sv_prediction_log_lines(sv_prediction_log *log, size_t n)
{
    log->n_waiting += n;
    size_t quarter = (size_t)log->config->prediction_log_max_bytes / 4;
    if (log->waiting.size >= (quarter < WAITING_BYTES ? quarter : WAITING_BYTES))
        sv_prediction_log_flush(log);
}

void sv_prediction_log_metrics(const sv_prediction_log *log, sv_buffer *text)
{
    sv_prometheus_head(text, "solvent_prediction_log_lines_total", "counter", "Lines written to the prediction log.");
    sv_buffer_format(text, "solvent_prediction_log_lines_total %lu\n", atomic_load(&log->written));
    sv_prometheus_head(text, "solvent_prediction_log_lost_total", "counter", "Lines that the disk did not take.");
    sv_buffer_format(text, "solvent_prediction_log_lost_total %lu\n", atomic_load(&log->lost));
}
