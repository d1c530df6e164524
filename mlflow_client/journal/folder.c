#include "folder.h"

#include "alloc.h"
#include "client_error.h"
#include "clock.h"
#include "file.h"
#include "json_text.h"
#include "log.h"
#include "record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static const char head[MLF_STREAM_HEAD] = "MLFJRN1\n";

int mlf_journal_key(char key[MLF_JOURNAL_KEY + 1], mlf_error *error)
{
    unsigned char random[10];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return mlf_error_set(error, MLF_E_IO, "getrandom: %s", strerror(errno));
    snprintf(key, 13, "%012" PRIx64, (uint64_t)sv_epoch_ms() & 0xffffffffffff);
    for (int i = 0; i < 10; i++)
        snprintf(key + 12 + 2 * i, 3, "%02x", random[i]);
    return MLF_OK;
}

int mlf_is_journal_key(const char *text)
{
    size_t n = strspn(text, "0123456789abcdef");
    return n == MLF_JOURNAL_KEY && !text[n];
}

int mlf_may_be_key(const char *text)
{
    return mlf_is_journal_key(text) && !strncmp(text, "01", 2);
}

static void begin(mlf_folder *folder, const char *key)
{
    *folder = (mlf_folder){.holding = MLF_LOCK_INIT, .position_fd = -1, .open = 1};
    snprintf(folder->key, sizeof folder->key, "%s", key);
    pthread_mutex_init(&folder->lock, NULL);
    mlf_calls_init(&folder->calls);
}

void mlf_folder_close(mlf_folder *folder)
{
    if (!folder->open)
        return;
    mlf_stream_close(&folder->stream);
    mlf_calls_close(&folder->calls);
    if (folder->position_fd >= 0)
        close(folder->position_fd);
    mlf_lock_release(&folder->holding);
    json_decref(folder->ids);
    sv_free(folder->gaps);
    sv_free(folder->path);
    pthread_mutex_destroy(&folder->lock);
    *folder = (mlf_folder){.holding = MLF_LOCK_INIT, .position_fd = -1, .stream = {.fd = -1}, .calls = {.fd = -1}};
}

static int open_in(const mlf_folder *folder, const char *name, int flags)
{
    char *path = sv_path_join(folder->path, name);
    if (!path) {
        errno = ENOMEM;
        return -1;
    }
    int fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC, 0666), saved = errno;
    sv_free(path);
    errno = saved;
    return fd;
}

/* 0, or errno as mlf_lock_take(). */
static int take_lock(mlf_folder *folder)
{
    char *path = sv_path_join(folder->path, "lock");
    int why = path ? mlf_lock_take(&folder->holding, path) : ENOMEM;
    sv_free(path);
    return why;
}

/* Folder, lock, head and position file of a new journal: the data file's descriptor, or -1 with errno. */
static int make_files(mlf_folder *folder)
{
    sv_error base = SV_ERROR_INIT;
    int code = sv_folder_make(folder->path, &base);
    if (code == SV_E_MEMORY)
        errno = ENOMEM;
    int why = code ? 0 : take_lock(folder);
    if (why && folder->holding.fd < 0)
        errno = why;
    if (code || (why && folder->holding.fd < 0)) /* where no locks are kept it does without: nobody else knows of it yet, and no sync will take it there */
        return -1;
    folder->position_fd = open_in(folder, "position", O_RDWR | O_CREAT);
    int fd = folder->position_fd < 0 ? -1 : open_in(folder, "data.jrn", O_RDWR | O_CREAT | O_EXCL);
    if (fd >= 0 && pwrite(fd, head, sizeof head, 0) != (ssize_t)sizeof head) {
        int saved = errno;
        close(fd);
        fd = -1;
        errno = saved ? saved : ENOSPC;
    }
    return fd;
}

static void forget_files(mlf_folder *folder)
{
    mlf_lock_release(&folder->holding);
    if (folder->position_fd >= 0)
        close(folder->position_fd);
    folder->position_fd = -1;
    sv_folder_remove(folder->path, NULL);
    sv_free(folder->path);
    folder->path = NULL;
}

int mlf_folder_create(mlf_folder *folder, const char *dir, const char *key, mlf_error *error)
{
    static atomic_int warned;
    sv_error base = SV_ERROR_INIT;
    begin(folder, key);
    folder->path = sv_path_join(dir, key);
    folder->ids = json_object();
    if (!folder->path || !folder->ids) {
        mlf_folder_close(folder);
        return mlf_error_memory(error);
    }
    int fd = make_files(folder);
    int why = errno;
    if (fd < 0 && why != ENOMEM && !atomic_exchange(&warned, 1))
        sv_log(SV_LOG_WARN, "%s: no journal can be kept here (%s): what is logged waits in memory (at most %d MiB a run) and is lost if the process dies first", folder->path, strerror(why),
               MLF_STREAM_MEMORY >> 20);
    if (fd < 0)
        forget_files(folder);
    if (fd < 0 && why == ENOMEM) {
        mlf_folder_close(folder);
        return mlf_error_memory(error);
    }
    if (mlf_stream_open(&folder->stream, fd, folder->path ? folder->path : key, MLF_STREAM_HEAD, &base)) {
        mlf_folder_close(folder);
        return mlf_error_from_base(error, &base);
    }
    folder->position.offset = MLF_STREAM_HEAD;
    return MLF_OK;
}

/* ---- a power cut ---- */

static void sync_path(const char *path, int flags)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags); /* what somebody else left may be a pipe */
    if (fd < 0 || fsync(fd))
        sv_log(SV_LOG_DEBUG, "%s: cannot be synced: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
}

/* The folder's own names, its name in the folder above, and so on: any of them may have been made for this journal. */
static void anchor(const mlf_folder *folder)
{
    char *path = sv_strdup(folder->path), *slash;
    for (; path && *path && (slash = strrchr(path, '/')); *slash = '\0')
        sync_path(path, O_DIRECTORY);
    if (path)
        sync_path(*path ? path : "/", O_DIRECTORY);
    sv_free(path);
}

int mlf_folder_commit(mlf_folder *folder)
{
    int synced = mlf_stream_commit(&folder->stream), is_new = mlf_calls_commit(&folder->calls);
    if ((is_new || (synced > 0 && !folder->anchored)) && folder->path) {
        anchor(folder);
        folder->anchored = 1;
    }
    return synced;
}

/* ---- a journal without a run ---- */

int mlf_folder_keep(const char *dir, const char *server, int kind, const json_t *payload, mlf_error *error)
{
    mlf_folder folder;
    char key[MLF_JOURNAL_KEY + 1];
    sv_buffer text = SV_BUFFER_INIT(0), frame = SV_BUFFER_INIT(0);
    int code = mlf_journal_key(key, error);
    if (!code)
        code = mlf_folder_create(&folder, dir, key, error);
    if (code)
        return code;
    if (!folder.path)
        code = mlf_error_set(error, MLF_E_IO, "%s: no journal can be kept here for what the server does not take now", dir);
    if (!code && *server)
        code = mlf_folder_set_id(&folder, MLF_FOLDER_SERVER, server, error);
    if (!code && (mlf_json_text(&text, payload) || mlf_frame_op(&frame, kind, text.data, text.size)))
        code = mlf_error_memory(error);
    if (!code && (mlf_stream_append(&folder.stream, frame.data, frame.size) || mlf_stream_is_refusing(&folder.stream) || mlf_folder_commit(&folder) < 0))
        code = mlf_error_set(error, MLF_E_IO, "%s: cannot be written", folder.path);
    sv_buffer_free(&text);
    sv_buffer_free(&frame);
    if (code)
        mlf_folder_remove(&folder, NULL);
    else
        mlf_folder_close(&folder);
    return code;
}

/* Records that can still be made out in a frame that is no longer what was written; those behind it, too, where its length leads to another one. */
static void count_loss(mlf_loss *loss, const mlf_stream *stream, uint64_t from, uint64_t to)
{
    sv_buffer rest = SV_BUFFER_INIT(0);
    mlf_reader reader = {0};
    mlf_record record;
    size_t size = to - from < MLF_FRAME_MAX + MLF_FRAME_HEAD ? (size_t)(to - from) : MLF_FRAME_MAX + MLF_FRAME_HEAD;
    loss->bytes += to - from;
    ssize_t got = sv_buffer_reserve(&rest, size) ? -1 : pread(stream->fd, rest.data, size, (off_t)from);
    for (size_t at = 0, length; got > 0 && (size_t)got - at > MLF_FRAME_HEAD; at += length + MLF_FRAME_HEAD) {
        const unsigned char *head_bytes = (const unsigned char *)rest.data + at;
        size_t left = (size_t)got - at - MLF_FRAME_HEAD;
        length = (size_t)head_bytes[0] | (size_t)head_bytes[1] << 8 | (size_t)head_bytes[2] << 16 | (size_t)head_bytes[3] << 24;
        if (!length || length > MLF_FRAME_MAX)
            break;
        mlf_reader_begin(&reader, head_bytes + MLF_FRAME_HEAD, length < left ? length : left);
        while (mlf_reader_next(&reader, &record) > 0)
            *(record.type == MLF_RECORD_POINT ? &loss->points : &loss->ops) += 1;
        if (length > left)
            break;
    }
    mlf_reader_free(&reader);
    sv_buffer_free(&rest);
}

static int note_gap(mlf_folder *folder, uint64_t from, uint64_t to, sv_error *error)
{
    mlf_gap *gaps = sv_realloc(folder->gaps, (folder->n_gaps + 1) * sizeof *gaps);
    if (!gaps)
        return sv_error_set(error, SV_E_MEMORY, "%s: out of memory", folder->path);
    folder->gaps = gaps;
    gaps[folder->n_gaps++] = (mlf_gap){from, to};
    count_loss(&folder->missing, &folder->stream, from, to);
    return SV_OK;
}

uint64_t mlf_folder_pass_gap(const mlf_folder *folder, uint64_t offset)
{
    for (size_t i = 0; i < folder->n_gaps; i++)
        if (folder->gaps[i].begin == offset)
            return folder->gaps[i].end;
    return offset;
}

/* Where the last whole frame ends, seen from `offset` on. What cannot be read before it is a gap: frames need nothing of those before them. */
static int find_end(mlf_folder *folder, uint64_t offset, uint64_t *end, mlf_error *error)
{
    sv_buffer frame = SV_BUFFER_INIT(0);
    sv_error base = SV_ERROR_INIT;
    uint64_t next;
    int got;
    while ((got = mlf_stream_read(&folder->stream, offset, &frame, &base)) != 0) {
        if (got == SV_E_INPUT) {
            base = (sv_error)SV_ERROR_INIT;
            got = mlf_stream_find(&folder->stream, offset + 1, &next, &frame, &base);
            if (got > 0 && note_gap(folder, offset, next, &base))
                got = SV_E_MEMORY;
            offset = got > 0 ? next : offset;
        }
        if (got <= 0)
            break;
        offset += frame.size;
    }
    sv_buffer_free(&frame);
    *end = offset;
    return got < 0 ? mlf_error_from_base(error, &base) : MLF_OK;
}

static int open_stream(mlf_folder *folder, mlf_error *error)
{
    char found[MLF_STREAM_HEAD];
    struct stat about;
    sv_error base = SV_ERROR_INIT;
    int fd = open_in(folder, "data.jrn", O_RDWR);
    if (fd < 0)
        return mlf_error_set(error, errno == ENOENT ? MLF_E_NOT_FOUND : MLF_E_IO, "%s/data.jrn: cannot be opened: %s", folder->path, strerror(errno));
    if (pread(fd, found, sizeof found, 0) != (ssize_t)sizeof found || memcmp(found, head, sizeof head) || fstat(fd, &about)) {
        close(fd);
        return mlf_error_set(error, MLF_E_INTEGRITY, "%s/data.jrn: expected a journal that begins with MLFJRN1, got something else", folder->path);
    }
    if (mlf_stream_open(&folder->stream, fd, folder->path, (uint64_t)about.st_size, &base))
        return mlf_error_from_base(error, &base);
    mlf_position *position = &folder->position;
    if (position->offset < MLF_STREAM_HEAD || position->offset > (uint64_t)about.st_size)
        *position = (mlf_position){.generation = position->generation, .offset = MLF_STREAM_HEAD};
    uint64_t end = position->offset;
    int code = find_end(folder, position->offset, &end, error);
    if (code)
        return code;
    if (end < (uint64_t)about.st_size) {
        count_loss(&folder->cut, &folder->stream, end, (uint64_t)about.st_size);
        sv_log(SV_LOG_INFO, "%s: cut %llu bytes that cannot be read", folder->path, (unsigned long long)folder->cut.bytes);
        if (ftruncate(fd, (off_t)end))
            return mlf_error_set(error, MLF_E_IO, "%s/data.jrn: cannot be cut: %s", folder->path, strerror(errno));
    }
    folder->stream.file_end = end;
    folder->stream.taken = position->offset;
    return MLF_OK;
}

static int read_ids(mlf_folder *folder, mlf_error *error)
{
    char *path = sv_path_join(folder->path, "ids.json");
    sv_buffer text = SV_BUFFER_INIT(16 << 20);
    if (!path)
        return mlf_error_memory(error);
    int code = sv_file_read(&text, path, 0, NULL);
    if (!code)
        code = mlf_json_parse(&folder->ids, text.data, text.size, 0, NULL);
    if (code != SV_E_MEMORY && !json_is_object(folder->ids)) { /* none yet, or not to be believed */
        json_decref(folder->ids);
        folder->ids = json_object();
    }
    sv_buffer_free(&text);
    sv_free(path);
    return folder->ids ? MLF_OK : mlf_error_memory(error);
}

static int open_files(mlf_folder *folder, mlf_error *error)
{
    sv_error base = SV_ERROR_INIT;
    int why = take_lock(folder);
    if (why && why != EAGAIN && folder->holding.fd >= 0)
        return mlf_error_set(error, MLF_E_IO, "%s: this file system keeps no locks (%s), without which two who send at once would not know of each other: move the journal to a local disk (mv) and sync it there",
                             folder->path, strerror(why));
    if (why && why != EAGAIN)
        return mlf_error_set(error, why == ENOENT ? MLF_E_NOT_FOUND : why == ENOMEM ? MLF_E_MEMORY : MLF_E_IO, "%s: no lock: %s", folder->path, strerror(why));
    if (why) {
        char holder[96];
        mlf_lock_holder(&folder->holding, holder, sizeof holder);
        return mlf_error_set_retriable(error, MLF_E_STATE, "%s: in use by %s", folder->path, *holder ? holder : "another process, which has not said its name");
    }
    folder->position_fd = open_in(folder, "position", O_RDWR | O_CREAT);
    if (folder->position_fd < 0) /* ENOENT: who had the lock before has sent it, and removed it */
        return mlf_error_set(error, errno == ENOENT ? MLF_E_NOT_FOUND : MLF_E_IO, "%s/position: cannot be opened: %s", folder->path, strerror(errno));
    if (mlf_position_read(&folder->position, folder->position_fd, &base))
        return mlf_error_from_base(error, &base);
    int code = open_stream(folder, error);
    return code ? code : read_ids(folder, error);
}

int mlf_folder_open(mlf_folder *folder, const char *dir, const char *key, mlf_error *error)
{
    begin(folder, key);
    folder->path = sv_path_join(dir, key);
    int code = folder->path ? open_files(folder, error) : mlf_error_memory(error);
    if (code)
        mlf_folder_close(folder);
    return code;
}

/* NAME in the journal's folder becomes DIR/refused-KEYEND; fine when there is none. */
static int keep_as(mlf_folder *folder, const char *name, const char *end, sv_error *error)
{
    char *from = sv_path_join(folder->path, name);
    sv_buffer to = SV_BUFFER_INIT(0);
    size_t dir = strlen(folder->path) - MLF_JOURNAL_KEY;
    int code = from && !sv_buffer_append(&to, folder->path, dir) && !sv_buffer_format(&to, "refused-%s%s", folder->key, end) ? SV_OK : sv_error_set(error, SV_E_MEMORY, "out of memory");
    int moved = !code && !rename(from, to.data);
    if (!code && !moved && errno != ENOENT)
        code = sv_error_set(error, SV_E_IO, "%s: cannot become %s: %s", from, to.data, strerror(errno));
    if (moved) {
        sync_path(to.data, 0);
        to.data[dir] = '\0';
        sync_path(to.data, O_DIRECTORY);
    }
    sv_buffer_free(&to);
    sv_free(from);
    return code;
}

/* What was refused outlives its journal: DIR/refused-KEY.jsonl, and DIR/refused-KEY/ with the copies that it names. */
static int keep_refused(mlf_folder *folder, sv_error *error)
{
    int code = keep_as(folder, "refused", "", error);
    return code ? code : keep_as(folder, "refused.jsonl", ".jsonl", error);
}


#define GONE ".done" /* behind the key of a journal that the server has, and that is being removed */

int mlf_folder_remove(mlf_folder *folder, mlf_error *error)
{
    if (!folder->path) {
        mlf_folder_close(folder);
        return MLF_OK;
    }
    sv_buffer gone = SV_BUFFER_INIT(0);
    sv_error base = SV_ERROR_INIT;
    int code = keep_refused(folder, &base);
    if (!code)
        code = sv_buffer_format(&gone, "%s" GONE, folder->path);
    if (!code && rename(folder->path, gone.data))
        code = sv_error_set(&base, SV_E_IO, "%s: cannot be removed: %s", folder->path, strerror(errno));
    if (!code)
        code = sv_folder_remove(gone.data, &base);
    sv_buffer_free(&gone);
    mlf_folder_close(folder);
    return code ? mlf_error_from_base(error, &base) : MLF_OK;
}

/* Is it "KEY.done"? */
static int is_gone(const char *name)
{
    char key[MLF_JOURNAL_KEY + 1] = "";
    if (strlen(name) != MLF_JOURNAL_KEY + strlen(GONE) || strcmp(name + MLF_JOURNAL_KEY, GONE))
        return 0;
    memcpy(key, name, MLF_JOURNAL_KEY);
    return mlf_is_journal_key(key);
}

void mlf_folder_sweep(const char *dir)
{
    DIR *listing = opendir(dir);
    sv_buffer path = SV_BUFFER_INIT(0);
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        sv_buffer_clear(&path);
        if (is_gone(entry->d_name) && !sv_buffer_format(&path, "%s/%s", dir, entry->d_name))
            sv_folder_remove(path.data, NULL);
    }
    sv_buffer_free(&path);
    if (listing)
        closedir(listing);
}

/* A run that logs for weeks does not fill the disk with what was sent long ago. The position is synced first: no reader may ever begin in the hole. */
static void punch(mlf_folder *folder)
{
    enum { BLOCK = 4096 };
    uint64_t begin = folder->punched < BLOCK ? BLOCK : folder->punched, end = folder->position.offset / BLOCK * BLOCK;
    if (folder->position.offset < begin + MLF_FOLDER_PUNCH || folder->stream.fd < 0 || fdatasync(folder->position_fd))
        return;
    if (fallocate(folder->stream.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)begin, (off_t)(end - begin)))
        sv_log(SV_LOG_DEBUG, "%s: no hole can be made: %s", folder->path, strerror(errno));
    folder->punched = end;
}

void mlf_folder_note_position(mlf_folder *folder, uint64_t offset, uint64_t skip, uint64_t points, uint64_t ops)
{
    sv_error base = SV_ERROR_INIT;
    pthread_mutex_lock(&folder->lock);
    folder->position.offset = mlf_stream_file_offset(&folder->stream, offset);
    folder->position.skip = folder->position.offset < folder->stream.file_end ? skip : 0;
    folder->position.points += points;
    folder->position.ops += ops;
    if (folder->position_fd >= 0 && mlf_position_write(&folder->position, folder->position_fd, &base))
        sv_log(SV_LOG_DEBUG, "%s: %s", folder->path, base.message);
    else if (folder->position_fd >= 0)
        punch(folder);
    pthread_mutex_unlock(&folder->lock);
    mlf_stream_take(&folder->stream, offset);
}

void mlf_folder_note_refused(mlf_folder *folder, const char *what, const char *json, size_t length, const char *reason)
{
    char run_id[512] = "";
    json_t *record;
    mlf_folder_id(folder, folder->key, run_id, sizeof run_id);
    mlf_json_parse(&record, json, length, 0, NULL);
    json_t *line = json_pack("{s:s, s:s, s:o?, s:s}", "what", what, "run_id", run_id, "record", record, "reason", reason);
    sv_buffer text = SV_BUFFER_INIT(0);
    int known = !mlf_json_text(&text, line) && !sv_buffer_byte(&text, '\n');
    pthread_mutex_lock(&folder->lock);
    folder->position.refused++;
    int fd = known && folder->path ? open_in(folder, "refused.jsonl", O_WRONLY | O_CREAT | O_APPEND) : -1;
    if (fd < 0 || write(fd, text.data, text.size) < 0)
        sv_log(SV_LOG_WARN, "%s: %s refused by the server: %s", folder->key, what, reason);
    if (fd >= 0)
        close(fd);
    pthread_mutex_unlock(&folder->lock);
    sv_buffer_free(&text);
    json_decref(line);
}

int mlf_folder_id(mlf_folder *folder, const char *key, char *id, size_t size)
{
    pthread_mutex_lock(&folder->lock);
    const char *found = json_string_value(json_object_get(folder->ids, key));
    if (found)
        snprintf(id, size, "%s", found);
    pthread_mutex_unlock(&folder->lock);
    return found != NULL;
}

static int write_ids(mlf_folder *folder, mlf_error *error)
{
    sv_error base = SV_ERROR_INIT;
    sv_buffer text = SV_BUFFER_INIT(0);
    char *path = sv_path_join(folder->path, "ids.json");
    int code = path && !mlf_json_text(&text, folder->ids) ? sv_file_write(path, text.data, text.size, &base) : SV_E_MEMORY;
    sv_buffer_free(&text);
    sv_free(path);
    return code == SV_E_MEMORY ? mlf_error_memory(error) : code ? mlf_error_from_base(error, &base) : MLF_OK;
}

static int put_id(mlf_folder *folder, const char *key, const char *id, int writes, mlf_error *error)
{
    mlf_error unwritten = MLF_ERROR_INIT;
    pthread_mutex_lock(&folder->lock);
    int code = json_object_set_new(folder->ids, key, json_string(id)) ? mlf_error_memory(error) : MLF_OK;
    if (!code && writes && folder->path && write_ids(folder, &unwritten))
        sv_log(SV_LOG_DEBUG, "%s: %s", folder->path, unwritten.message);
    pthread_mutex_unlock(&folder->lock);
    return code;
}

int mlf_folder_put_id(mlf_folder *folder, const char *key, const char *id, mlf_error *error)
{
    return put_id(folder, key, id, 0, error);
}

int mlf_folder_set_id(mlf_folder *folder, const char *key, const char *id, mlf_error *error)
{
    return put_id(folder, key, id, 1, error);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

int mlf_folder_list(char (**keys)[MLF_JOURNAL_KEY + 1], size_t *n_keys, const char *dir, mlf_error *error)
{
    *keys = NULL;
    *n_keys = 0;
    DIR *listing = opendir(dir);
    if (!listing)
        return errno == ENOENT ? MLF_OK : mlf_error_set(error, MLF_E_IO, "%s: cannot be listed: %s", dir, strerror(errno));
    int code = MLF_OK;
    size_t capacity = 0;
    for (struct dirent *entry; !code && (entry = readdir(listing));) {
        if (!mlf_is_journal_key(entry->d_name))
            continue;
        if (*n_keys == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            void *grown = sv_realloc(*keys, capacity * sizeof **keys);
            if (!grown) {
                code = mlf_error_memory(error);
                break;
            }
            *keys = grown;
        }
        memcpy((*keys)[(*n_keys)++], entry->d_name, MLF_JOURNAL_KEY + 1);
    }
    closedir(listing);
    if (*n_keys > 1)
        qsort(*keys, *n_keys, sizeof **keys, by_name);
    return code;
}
