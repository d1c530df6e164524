#include "calls.h"

#include "alloc.h"
#include "client_error.h"
#include "file.h"
#include "json_text.h"
#include "log.h"
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HEAD = 16, MOST_BYTES = 256 << 20 };

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
    pthread_mutex_destroy(&calls->lock);
    calls->fd = -1;
}

static int open_file(const char *folder, int flags)
{
    char *path = sv_path_join(folder, "calls.jrn");
    int fd = path ? open(path, flags | O_NOFOLLOW | O_CLOEXEC, 0666) : -1, why = path ? errno : ENOMEM;
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

static int put(mlf_calls *calls, const char *bytes, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t came = pwrite(calls->fd, bytes + done, length - done, (off_t)(calls->end + done));
        if (came < 0 && errno == EINTR)
            continue;
        if (came <= 0)
            return -1;
        done += (size_t)came;
    }
    calls->end += length;
    calls->unsynced = 1;
    return 0;
}

static int add(mlf_calls *calls, int kind, const json_t *payload, mlf_error *error)
{
    sv_buffer text = SV_BUFFER_INIT(0), frame = SV_BUFFER_INIT(0);
    int code = payload && !mlf_json_text(&text, payload) && !mlf_frame_op(&frame, kind, text.data, text.size) ? MLF_OK : mlf_error_memory(error);
    if (!code && calls->fd >= 0 && put(calls, frame.data, frame.size))
        warn("cannot be written");
    sv_buffer_free(&text);
    sv_buffer_free(&frame);
    return code;
}

static void begin_file(mlf_calls *calls, const char *folder)
{
    calls->fd = open_file(folder, O_RDWR | O_CREAT | O_TRUNC);
    calls->end = 0;
    calls->is_new = 1;
    if (calls->fd >= 0 && put(calls, head, HEAD)) {
        int why = errno;
        close(calls->fd);
        calls->fd = -1;
        errno = why;
    }
    if (calls->fd < 0)
        warn("cannot be written");
}

/* ---- callers ---- */

int mlf_calls_begin(mlf_calls *calls, const char *folder, int kind, const json_t *payload, mlf_error *error)
{
    pthread_mutex_lock(&calls->lock);
    if (calls->fd < 0)
        begin_file(calls, folder);
    int code = add(calls, kind, payload, error);
    calls->under_way += !code;
    pthread_mutex_unlock(&calls->lock);
    return code;
}

int mlf_calls_again(mlf_calls *calls, int kind, const json_t *payload, mlf_error *error)
{
    pthread_mutex_lock(&calls->lock);
    int code = add(calls, kind, payload, error);
    pthread_mutex_unlock(&calls->lock);
    return code;
}

void mlf_calls_end(mlf_calls *calls, const char *key)
{
    pthread_mutex_lock(&calls->lock);
    json_t *payload = json_pack("{s:s}", "key", key);
    calls->under_way--;
    if (calls->under_way || calls->fd < 0)
        add(calls, MLF_OP_OVER, payload, NULL);
    else if (ftruncate(calls->fd, HEAD))
        warn("cannot be cut");
    else
        calls->end = HEAD;
    json_decref(payload);
    pthread_mutex_unlock(&calls->lock);
}

int mlf_calls_commit(mlf_calls *calls)
{
    pthread_mutex_lock(&calls->lock);
    int fd = calls->unsynced && calls->under_way ? fcntl(calls->fd, F_DUPFD_CLOEXEC, 0) : -1;
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

static int take_record(json_t *by_key, const unsigned char *payload, size_t length, mlf_error *error)
{
    mlf_reader reader = {0};
    mlf_record record;
    json_t *said = NULL;
    mlf_reader_begin(&reader, payload, length);
    int is_op = mlf_reader_next(&reader, &record) == 1 && record.type == MLF_RECORD_OP;
    int code = is_op ? mlf_json_parse(&said, record.json, record.json_length, 0, NULL) : MLF_OK;
    const char *key = json_string_value(json_object_get(said, "key"));
    if (code == SV_E_MEMORY)
        code = mlf_error_memory(error);
    else
        code = MLF_OK;
    if (!code && key && record.op == MLF_OP_OVER)
        json_object_del(by_key, key);
    else if (!code && key && (record.op == MLF_OP_ARTIFACT || record.op == MLF_OP_MODEL || record.op == MLF_OP_REGISTER) &&
             json_object_set_new(by_key, key, json_pack("{s:i, s:O}", "op", record.op, "payload", said)))
        code = mlf_error_memory(error);
    json_decref(said);
    mlf_reader_free(&reader);
    return code;
}

int mlf_calls_read(json_t **list, const char *folder, mlf_error *error)
{
    sv_buffer bytes = SV_BUFFER_INIT(MOST_BYTES);
    sv_error base = SV_ERROR_INIT;
    const unsigned char *payload;
    const char *key;
    json_t *by_key = json_object(), *call;
    size_t length;
    *list = json_array();
    char *path = sv_path_join(folder, "calls.jrn");
    int code = by_key && *list && path ? MLF_OK : mlf_error_memory(error);
    if (!code && !access(path, F_OK) && sv_file_read(&bytes, path, 0, &base))
        code = mlf_error_from_base(error, &base);
    int is_one = !code && bytes.size >= HEAD && !memcmp(bytes.data, head, HEAD);
    for (size_t at = HEAD; !code && is_one && mlf_frame_parse(bytes.data + at, bytes.size - at, &payload, &length) > 0; at += MLF_FRAME_HEAD + length)
        code = take_record(by_key, payload, length, error);
    json_object_foreach(by_key, key, call)
        if (!code && json_array_append(*list, call))
            code = mlf_error_memory(error);
    json_decref(by_key);
    sv_buffer_free(&bytes);
    sv_free(path);
    if (code) {
        json_decref(*list);
        *list = NULL;
    }
    return code;
}

void mlf_calls_clear(const char *folder)
{
    int fd = open_file(folder, O_RDWR);
    if (fd >= 0 && ftruncate(fd, HEAD))
        sv_log(SV_LOG_DEBUG, "%s/calls.jrn: cannot be cut: %s", folder, strerror(errno));
    if (fd >= 0)
        close(fd);
}
