#include "stream.h"

#include "alloc.h"
#include "clock.h"
#include "log.h"
#include "record.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int mlf_stream_open(mlf_stream *stream, int fd, const char *path, uint64_t file_end, sv_error *error)
{
    *stream = (mlf_stream){.fd = fd, .file_end = file_end, .tail = SV_BUFFER_INIT(MLF_STREAM_MEMORY), .taken = file_end};
    stream->refusing = stream->warned = fd < 0;
    stream->path = sv_strdup(path);
    if (!stream->path) {
        if (fd >= 0)
            close(fd);
        stream->fd = -1;
        return sv_error_set(error, SV_E_MEMORY, "%s: out of memory", path);
    }
    pthread_mutex_init(&stream->lock, NULL);
    return SV_OK;
}

void mlf_stream_close(mlf_stream *stream)
{
    if (!stream->path)
        return;
    if (stream->fd >= 0)
        close(stream->fd);
    pthread_mutex_destroy(&stream->lock);
    sv_buffer_free(&stream->tail);
    sv_free(stream->path);
    *stream = (mlf_stream){.fd = -1};
}

/* How many bytes were written: all, or those before a failure, which is in errno. */
static size_t write_at(int fd, const char *bytes, size_t length, uint64_t offset)
{
    size_t done = 0;
    while (done < length) {
        ssize_t put = pwrite(fd, bytes + done, length - done, (off_t)(offset + done));
        if (put < 0 && errno != EINTR)
            break;
        done += put < 0 ? 0 : (size_t)put;
    }
    return done;
}

static size_t whole_frames(const char *bytes, size_t size)
{
    const unsigned char *payload;
    size_t length, whole = 0;
    while (mlf_frame_parse(bytes + whole, size - whole, &payload, &length) > 0)
        whole += MLF_FRAME_HEAD + length;
    return whole;
}

static void cut_file(mlf_stream *stream, uint64_t end)
{
    if (ftruncate(stream->fd, (off_t)end))
        sv_log(SV_LOG_DEBUG, "%s: cannot be cut: %s", stream->path, strerror(errno));
}

/* How many bytes the file has gained behind file_end, which stays: all, or the whole frames for which there was room. What a failed write left of the
   next one is cut off again. */
static size_t write_file(mlf_stream *stream, const char *bytes, size_t length)
{
    size_t put = write_at(stream->fd, bytes, length, stream->file_end);
    if (put == length)
        return length;
    int saved = errno;
    put = whole_frames(bytes, put);
    cut_file(stream, stream->file_end + put);
    if (!stream->warned)
        sv_log(SV_LOG_WARN, "%s: cannot be written: %s; what is logged waits in memory (at most %d MiB) until the disk takes it again", stream->path, strerror(saved), MLF_STREAM_MEMORY >> 20);
    stream->warned = 1;
    return put;
}

/* Drops the part of the tail that was taken (when it is worth moving the rest, or all is wanted); the file will never hold it, so later offsets lie further
   from the file's bytes. */
static void drop_taken(mlf_stream *stream, int all)
{
    pthread_mutex_lock(&stream->lock);
    uint64_t begin = stream->file_end + stream->gap;
    size_t drop = stream->taken <= begin ? 0 : stream->taken - begin < stream->tail.size ? (size_t)(stream->taken - begin) : stream->tail.size;
    if (drop && (all || drop >= stream->tail.size / 4)) {
        memmove(stream->tail.data, stream->tail.data + drop, stream->tail.size - drop);
        stream->tail.size -= drop;
        stream->gap += drop;
    }
    pthread_mutex_unlock(&stream->lock);
}

/* What the file has not gained of the bytes. */
static int keep_in_memory(mlf_stream *stream, const char *bytes, size_t length, size_t put)
{
    if (stream->tail.size + length > MLF_STREAM_MEMORY)
        drop_taken(stream, 1);
    pthread_mutex_lock(&stream->lock);
    int code = sv_buffer_append(&stream->tail, bytes + put, length - put);
    if (!code)
        stream->file_end += put;
    if (!code && !stream->refusing) {
        stream->refusing = 1;
        stream->retry_ns = sv_monotonic_ns() + MLF_STREAM_RETRY_MS * INT64_C(1000000);
    }
    pthread_mutex_unlock(&stream->lock);
    if (code && put)
        cut_file(stream, stream->file_end);
    return code ? SV_E_LIMIT : SV_OK;
}

int mlf_stream_append(mlf_stream *stream, const void *bytes, size_t length)
{
    size_t put = stream->refusing ? 0 : write_file(stream, bytes, length);
    if (put < length)
        return keep_in_memory(stream, bytes, length, put);
    pthread_mutex_lock(&stream->lock);
    stream->file_end += length;
    pthread_mutex_unlock(&stream->lock);
    return SV_OK;
}

void mlf_stream_settle(mlf_stream *stream)
{
    if (!stream->refusing)
        return;
    drop_taken(stream, 0);
    if (stream->fd < 0 || sv_monotonic_ns() < stream->retry_ns)
        return;
    stream->retry_ns = sv_monotonic_ns() + MLF_STREAM_RETRY_MS * INT64_C(1000000);
    drop_taken(stream, 1);
    size_t put = stream->tail.size ? write_file(stream, stream->tail.data, stream->tail.size) : 0, rest = stream->tail.size - put;
    pthread_mutex_lock(&stream->lock);
    stream->file_end += put;
    if (put && rest)
        memmove(stream->tail.data, stream->tail.data + put, rest);
    stream->tail.size = rest;
    if (!rest)
        sv_buffer_free(&stream->tail);
    stream->refusing = rest > 0;
    pthread_mutex_unlock(&stream->lock);
    if (rest)
        return;
    sv_log(SV_LOG_INFO, "%s: the disk takes data again", stream->path);
}

int mlf_stream_commit(mlf_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    uint64_t end = stream->file_end;
    int needed = stream->fd >= 0 && stream->synced < end && stream->taken < end + stream->gap;
    pthread_mutex_unlock(&stream->lock);
    if (!needed)
        return 0;
    if (fdatasync(stream->fd)) {
        if (!stream->warned)
            sv_log(SV_LOG_WARN, "%s: cannot be synced: %s", stream->path, strerror(errno));
        stream->warned = 1;
        return SV_E_IO;
    }
    stream->synced = end;
    return 1;
}

uint64_t mlf_stream_end(mlf_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    uint64_t end = stream->file_end + stream->gap + stream->tail.size;
    pthread_mutex_unlock(&stream->lock);
    return end;
}

int mlf_stream_is_refusing(mlf_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    int refusing = stream->refusing;
    pthread_mutex_unlock(&stream->lock);
    return refusing;
}

void mlf_stream_take(mlf_stream *stream, uint64_t offset)
{
    pthread_mutex_lock(&stream->lock);
    if (offset > stream->taken)
        stream->taken = offset;
    pthread_mutex_unlock(&stream->lock);
}

uint64_t mlf_stream_file_offset(mlf_stream *stream, uint64_t offset)
{
    pthread_mutex_lock(&stream->lock);
    uint64_t byte = offset > stream->gap ? offset - stream->gap : 0;
    /* An offset that was only ever in memory: all of the file before it is done with. */
    if (byte > stream->file_end)
        byte = stream->file_end;
    pthread_mutex_unlock(&stream->lock);
    return byte;
}

/* Up to `size` bytes at offset from memory: how many, or -1 when the offset is in the file (whose byte goes to *byte, its readable rest to *rest). */
static ssize_t copy_from_tail(mlf_stream *stream, uint64_t offset, sv_buffer *out, size_t size, uint64_t *byte, uint64_t *rest)
{
    pthread_mutex_lock(&stream->lock);
    uint64_t begin = stream->file_end + stream->gap;
    ssize_t got = -1;
    if (offset >= begin) {
        uint64_t skip = offset - begin;
        got = skip >= stream->tail.size ? 0 : (ssize_t)(stream->tail.size - skip < size ? stream->tail.size - skip : size);
        if (got > 0 && sv_buffer_append(out, stream->tail.data + skip, (size_t)got))
            got = -2;
    } else {
        *byte = offset - stream->gap;
        *rest = stream->file_end - *byte;
    }
    pthread_mutex_unlock(&stream->lock);
    return got;
}

static ssize_t read_file(mlf_stream *stream, sv_buffer *out, size_t size, uint64_t byte, uint64_t rest)
{
    if (size > rest)
        size = (size_t)rest;
    if (sv_buffer_reserve(out, size))
        return -2;
    size_t had = out->size;
    while (out->size - had < size) {
        ssize_t got = pread(stream->fd, out->data + out->size, size - (out->size - had), (off_t)(byte + (out->size - had)));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -3;
        if (got == 0)
            break;
        out->size += (size_t)got;
    }
    return (ssize_t)(out->size - had);
}

/* Appends up to size bytes at offset: how many came; -2 memory, -3 the file. */
static ssize_t fetch(mlf_stream *stream, uint64_t offset, sv_buffer *out, size_t size)
{
    uint64_t byte = 0, rest = 0;
    ssize_t got = copy_from_tail(stream, offset, out, size, &byte, &rest);
    return got == -1 ? read_file(stream, out, size, byte, rest) : got;
}

int mlf_stream_read(mlf_stream *stream, uint64_t offset, sv_buffer *frame, sv_error *error)
{
    const unsigned char *payload;
    size_t length = 0, want = MLF_FRAME_HEAD;
    sv_buffer_clear(frame);
    for (;;) {
        ssize_t got = fetch(stream, offset + frame->size, frame, want);
        if (got == -2)
            return sv_error_set(error, SV_E_MEMORY, "%s: out of memory", stream->path);
        if (got < 0)
            return sv_error_set(error, SV_E_IO, "%s: cannot be read: %s", stream->path, strerror(errno));
        if (got == 0 && frame->size == 0)
            return 0;
        int whole = frame->size < MLF_FRAME_HEAD ? 0 : mlf_frame_parse(frame->data, frame->size, &payload, &length);
        if (whole > 0)
            return 1;
        if (whole < 0 || got == 0)
            return sv_error_set(error, SV_E_INPUT, "%s: damaged at byte %llu", stream->path, (unsigned long long)offset);
        want = frame->size < MLF_FRAME_HEAD ? MLF_FRAME_HEAD - frame->size : MLF_FRAME_HEAD + length - frame->size;
    }
}

/* Tries every byte of a window that a frame may begin at: as mlf_stream_find(); 0 leaves *found where the next window begins. */
static int find_in(mlf_stream *stream, mlf_reader *reader, const sv_buffer *window, int is_last, uint64_t *found, sv_buffer *frame, sv_error *error)
{
    uint64_t begin = *found, end = mlf_stream_end(stream);
    size_t tries = is_last ? window->size : window->size - MLF_FRAME_LOOK;
    for (size_t i = 0; i < tries; i++) {
        uint64_t size = mlf_frame_guess(reader, window->data + i, window->size - i);
        *found = begin + i;
        int got = size && size <= end - *found ? mlf_stream_read(stream, *found, frame, NULL) : 0;
        if (got > 0)
            return got;
        if (got < 0 && got != SV_E_INPUT)
            return sv_error_set(error, got, "%s: cannot be read at byte %llu", stream->path, (unsigned long long)*found);
    }
    *found = begin + tries;
    return 0;
}

int mlf_stream_find(mlf_stream *stream, uint64_t offset, uint64_t *found, sv_buffer *frame, sv_error *error)
{
    enum { WINDOW = 64 << 10 };
    sv_buffer window = SV_BUFFER_INIT(0);
    mlf_reader reader = {0};
    int got = 0, is_last = 0;
    for (*found = offset; !got && !is_last;) {
        sv_buffer_clear(&window);
        ssize_t came = fetch(stream, *found, &window, WINDOW);
        is_last = came < WINDOW;
        if (came < 0)
            got = sv_error_set(error, came == -2 ? SV_E_MEMORY : SV_E_IO, "%s: cannot be read", stream->path);
        else
            got = find_in(stream, &reader, &window, is_last, found, frame, error);
    }
    mlf_reader_free(&reader);
    sv_buffer_free(&window);
    return got;
}
