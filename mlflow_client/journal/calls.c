#include "calls.h"

#include "alloc.h"
#include "buffer.h"
#include "client_error.h"
#include "file.h"
#include "json_text.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD = 16, REWRITE_BYTES = 1 << 20, MOST_BYTES = 256 << 20 };

static const char head[HEAD] = "MLFCAL1\n";

void mlf_calls_init(mlf_calls *calls)
{
    *calls = (mlf_calls){.fd = -1};
    pthread_mutex_init(&calls->lock, NULL);
}

void mlf_calls_close(mlf_calls *calls)
{
    if (calls->fd >= 0)
        close(calls->fd);
    for (size_t i = 0; i < calls->n_under_way; i++)
        sv_buffer_free(&calls->under_way[i].frame);
    sv_free(calls->under_way);
    pthread_mutex_destroy(&calls->lock);
    *calls = (mlf_calls){.fd = -1};
}

static int open_file(const char *folder, const char *name, int flags)
{
    char *path = sv_path_join(folder, name);
    int fd = path ? open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666) : -1, why = path ? errno : ENOMEM;
    sv_free(path);
    errno = why;
    return fd;
}

/* ---- writing; the lock is held ---- */

static void warn(const char *what)
{
    static atomic_int warned;
    int why = errno;
    if (!atomic_exchange(&warned, 1))
        sv_log(SV_LOG_WARN, "calls.jrn: %s: %s; what a call was sending when the process is killed will not be sent by a sync", what, strerror(why));
}

static int put(mlf_calls *calls, const char *bytes, size_t length, uint64_t at)
{
    size_t done = 0;
    while (done < length) {
        ssize_t came = pwrite(calls->fd, bytes + done, length - done, (off_t)(at + done));
        if (came < 0 && errno == EINTR)
            continue;
        if (came <= 0)
            return -1;
        done += (size_t)came;
    }
    calls->unsynced = 1;
    return 0;
}

static void begin_file(mlf_calls *calls, const char *folder)
{
    calls->fd = open_file(folder, "calls.jrn", O_RDWR | O_CREAT | O_TRUNC);
    calls->is_new = 1;
    calls->end = HEAD;
    if (calls->fd >= 0 && put(calls, head, HEAD, 0)) {
        int why = errno;
        close(calls->fd);
        calls->fd = -1;
        errno = why;
    }
    if (calls->fd < 0)
        warn("cannot be written");
}

static void append(mlf_calls *calls, mlf_under_way *call)
{
    if (calls->fd < 0)
        return;
    if (put(calls, call->frame.data, call->frame.size, calls->end)) {
        warn("cannot be written");
        if (ftruncate(calls->fd, (off_t)calls->end)) /* what came of it is a torn end */
            sv_log(SV_LOG_DEBUG, "calls.jrn: cannot be cut: %s", strerror(errno));
        return;
    }
    call->at = calls->end;
    calls->end += call->frame.size;
}

/* The place at the end of the list. NULL when memory is out. */
static mlf_under_way *new_call(mlf_calls *calls)
{
    if (calls->n_under_way == calls->capacity) {
        size_t capacity = calls->capacity ? 2 * calls->capacity : 4;
        mlf_under_way *grown = sv_realloc(calls->under_way, capacity * sizeof *grown);
        if (!grown)
            return NULL;
        calls->under_way = grown;
        calls->capacity = capacity;
    }
    mlf_under_way *call = &calls->under_way[calls->n_under_way++];
    *call = (mlf_under_way){.key = ""};
    return call;
}

/* Its frame becomes MLF_OP_OVER: the kind and the checksum change, nothing else. */
static void mark_over(mlf_calls *calls, mlf_under_way *call)
{
    if (!call->at)
        return;
    mlf_frame_op_again(call->frame.data, MLF_OP_OVER);
    if (put(calls, call->frame.data, MLF_FRAME_HEAD + 2, call->at))
        warn("cannot be written");
}

static void forget(mlf_calls *calls, mlf_under_way *call)
{
    sv_buffer_free(&call->frame);
    memmove(call, call + 1, (size_t)(calls->under_way + calls->n_under_way - call - 1) * sizeof *call);
    calls->n_under_way--;
}

/* Where calls overlap all the time the file's end never comes back: then those under way go to a file of their own, which takes its place. */
static void rewrite(mlf_calls *calls, const char *folder)
{
    mlf_calls fresh = {.fd = open_file(folder, "calls.new", O_RDWR | O_CREAT | O_TRUNC), .end = HEAD};
    char *from = sv_path_join(folder, "calls.new"), *to = sv_path_join(folder, "calls.jrn");
    int good = fresh.fd >= 0 && from && to && !put(&fresh, head, HEAD, 0);
    for (size_t i = 0; good && i < calls->n_under_way; i++) {
        const mlf_under_way *call = &calls->under_way[i];
        good = !put(&fresh, call->frame.data, call->frame.size, fresh.end);
        fresh.end += call->frame.size;
    }
    good = good && !rename(from, to);
    if (good) {
        close(calls->fd);
        calls->fd = fresh.fd;
        calls->end = HEAD;
        for (size_t i = 0; i < calls->n_under_way; i++) {
            calls->under_way[i].at = calls->end;
            calls->end += calls->under_way[i].frame.size;
        }
        calls->unsynced = calls->is_new = 1;
    } else if (fresh.fd >= 0) {
        close(fresh.fd);
    }
    sv_free(from);
    sv_free(to);
}

/* The file ends behind the last that is under way. */
static void cut(mlf_calls *calls, const char *folder)
{
    uint64_t end = HEAD, live = 0;
    for (size_t i = 0; i < calls->n_under_way; i++) {
        const mlf_under_way *call = &calls->under_way[i];
        if (call->at && call->at + call->frame.size > end)
            end = call->at + call->frame.size;
        live += call->frame.size;
    }
    if (end < calls->end && !ftruncate(calls->fd, (off_t)end)) {
        calls->end = end;
        calls->unsynced = 1;
    }
    if (calls->end > REWRITE_BYTES && live < calls->end / 2)
        rewrite(calls, folder);
}

static mlf_under_way *find_call(mlf_calls *calls, const char *key)
{
    for (size_t i = 0; i < calls->n_under_way; i++)
        if (!strcmp(calls->under_way[i].key, key))
            return &calls->under_way[i];
    return NULL;
}

/* ---- callers ---- */

int mlf_calls_begin(mlf_calls *calls, const char *folder, int kind, const json_t *payload, mlf_error *error)
{
    sv_buffer text = SV_BUFFER_INIT(0), frame = SV_BUFFER_INIT(0);
    const char *key = json_string_value(json_object_get(payload, "key"));
    int code = key && strlen(key) == MLF_CALLS_KEY && !mlf_json_text(&text, payload) && !mlf_frame_op(&frame, kind, text.data, text.size) ? MLF_OK : mlf_error_memory(error);
    sv_buffer_free(&text);
    pthread_mutex_lock(&calls->lock);
    mlf_under_way *call = code ? NULL : new_call(calls);
    if (!code && !call)
        code = mlf_error_memory(error);
    if (code) {
        sv_buffer_free(&frame);
    } else {
        if (calls->fd < 0)
            begin_file(calls, folder);
        call->frame = frame;
        append(calls, call);
        mlf_under_way *earlier = find_call(calls, key);
        if (earlier) {
            mark_over(calls, earlier);
            forget(calls, earlier);
        }
        memcpy(calls->under_way[calls->n_under_way - 1].key, key, MLF_CALLS_KEY + 1);
    }
    pthread_mutex_unlock(&calls->lock);
    return code;
}

void mlf_calls_end(mlf_calls *calls, const char *folder, const char *key)
{
    pthread_mutex_lock(&calls->lock);
    mlf_under_way *call = find_call(calls, key);
    if (call && calls->fd >= 0)
        mark_over(calls, call);
    if (call)
        forget(calls, call);
    if (calls->fd >= 0)
        cut(calls, folder);
    pthread_mutex_unlock(&calls->lock);
}

int mlf_calls_commit(mlf_calls *calls)
{
    if (pthread_mutex_trylock(&calls->lock))
        return 0;
    int fd = calls->unsynced && calls->fd >= 0 ? fcntl(calls->fd, F_DUPFD_CLOEXEC, 0) : -1;
    int is_new = fd >= 0 && calls->is_new;
    calls->unsynced = 0;
    if (is_new)
        calls->is_new = 0;
    pthread_mutex_unlock(&calls->lock);
    if (fd < 0)
        return 0;
    if (fdatasync(fd))
        sv_log(SV_LOG_DEBUG, "calls.jrn: cannot be synced: %s", strerror(errno));
    close(fd);
    return is_new;
}

/* ---- after a kill ---- */

/* One whole frame: 0; 1: it is not what it should be. */
static int take_record(json_t *by_key, const unsigned char *payload, size_t length, int *damaged, mlf_error *error)
{
    mlf_reader reader = {0};
    mlf_record record;
    json_t *said = NULL;
    mlf_reader_begin(&reader, payload, length);
    int is_op = mlf_reader_next(&reader, &record) == 1 && record.type == MLF_RECORD_OP, code = MLF_OK;
    mlf_reader_free(&reader);
    if (is_op && record.op > MLF_OP_OVER)
        return mlf_error_set(error, MLF_E_STATE, "calls.jrn: written by a newer version, which must send it: an operation of kind %d", record.op);
    if (is_op && record.op != MLF_OP_OVER && mlf_json_parse(&said, record.json, record.json_length, 0, NULL) == SV_E_MEMORY)
        return mlf_error_memory(error);
    const char *key = json_string_value(json_object_get(said, "key"));
    int is_call = is_op && (record.op == MLF_OP_ARTIFACT || record.op == MLF_OP_MODEL || record.op == MLF_OP_REGISTER);
    *damaged = !(is_op && record.op == MLF_OP_OVER) && !(is_call && key);
    if (!*damaged && is_call && json_object_set_new(by_key, key, json_pack("{s:i, s:O}", "op", record.op, "payload", said)))
        code = mlf_error_memory(error);
    json_decref(said);
    return code;
}

static int read_file(sv_buffer *bytes, const char *folder, mlf_error *error)
{
    struct stat about;
    sv_error base = SV_ERROR_INIT;
    int fd = open_file(folder, "calls.jrn", O_RDONLY), code = MLF_OK;
    if (fd < 0)
        return errno == ENOENT ? MLF_OK : mlf_error_set(error, errno == ELOOP ? MLF_E_INTEGRITY : MLF_E_IO, "%s/calls.jrn: cannot be opened: %s", folder, strerror(errno));
    if (fstat(fd, &about) || !S_ISREG(about.st_mode) || about.st_size > MOST_BYTES)
        code = mlf_error_set(error, MLF_E_INTEGRITY, "%s/calls.jrn: expected a file of at most %d MiB", folder, MOST_BYTES >> 20);
    else if (sv_file_read_open(bytes, fd, folder, 0, &base))
        code = mlf_error_from_base(error, &base);
    close(fd);
    return code;
}

static uint32_t length_at(const char *frame)
{
    const unsigned char *bytes = (const unsigned char *)frame;
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* Frame by frame; of a damaged one the length, where it may be true, leads to the next. */
static int read_frames(json_t *by_key, mlf_loss *loss, const char *bytes, size_t size, mlf_error *error)
{
    const unsigned char *payload;
    size_t length, at = HEAD;
    int code = MLF_OK;
    while (!code && size > at) {
        int damaged = 0, whole = mlf_frame_parse(bytes + at, size - at, &payload, &length);
        if (!whole)
            break; /* torn: what it was to say had not begun */
        if (whole > 0)
            code = take_record(by_key, payload, length, &damaged, error);
        size_t left = size - at - MLF_FRAME_HEAD, said = length_at(bytes + at);
        int leads_on = said && said <= left;
        if (whole < 0 || damaged) {
            loss->bytes += MLF_FRAME_HEAD + (leads_on ? said : left);
            loss->ops++;
        }
        if (!leads_on)
            break;
        at += MLF_FRAME_HEAD + said;
    }
    return code;
}

int mlf_calls_parse(json_t **list, mlf_loss *loss, const char *bytes, size_t size, mlf_error *error)
{
    const char *key;
    json_t *by_key = json_object(), *call;
    mlf_loss damage = {0};
    *list = json_array();
    int code = by_key && *list ? MLF_OK : mlf_error_memory(error);
    if (!code && size >= HEAD && memcmp(bytes, head, HEAD))
        code = mlf_error_set(error, memcmp(bytes, "MLFCAL", 6) ? MLF_E_INTEGRITY : MLF_E_STATE, "calls.jrn: expected a file that begins with MLFCAL1, got something else");
    if (!code && size > HEAD)
        code = read_frames(by_key, &damage, bytes, size, error);
    json_object_foreach(by_key, key, call)
        if (!code && json_array_append(*list, call))
            code = mlf_error_memory(error);
    json_decref(by_key);
    if (loss)
        *loss = damage;
    if (code) {
        json_decref(*list);
        *list = NULL;
    }
    return code;
}

int mlf_calls_read(json_t **list, mlf_loss *loss, const char *folder, mlf_error *error)
{
    sv_buffer bytes = SV_BUFFER_INIT(MOST_BYTES + 1);
    *list = NULL;
    int code = read_file(&bytes, folder, error);
    if (!code)
        code = mlf_calls_parse(list, loss, bytes.data, bytes.size, error);
    sv_buffer_free(&bytes);
    return code;
}

void mlf_calls_clear(const char *folder)
{
    int fd = open_file(folder, "calls.jrn", O_RDWR);
    if (fd >= 0 && (ftruncate(fd, HEAD) || fdatasync(fd)))
        sv_log(SV_LOG_DEBUG, "%s/calls.jrn: cannot be cut: %s", folder, strerror(errno));
    if (fd >= 0)
        close(fd);
}
