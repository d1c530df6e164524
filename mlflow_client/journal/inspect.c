/* inspect.c: reads journals for a person: no lock, no network, nothing changed. */
#include "alloc.h"
#include "calls.h"
#include "client.h"
#include "client_error.h"
#include "file.h"
#include "folder.h"
#include "json_text.h"
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct mlf_journal {
    char *path;
    char key[MLF_JOURNAL_KEY + 1], run_id[257], holder[96], tracking_uri[2048];
    mlf_position position;
    mlf_stream stream;
    uint64_t at, bytes;
    sv_buffer frame, text;
    mlf_reader reader;
    json_t *cut_off; /* what calls were sending, and did not end: shown behind all else */
    size_t n_shown;
    int in_frame, is_taken;
    int may_grow; /* somebody holds it, or that cannot be known */
};

int mlf_journal_list(char ***paths, mlf_client *client, const char *dir, mlf_error *error)
{
    char (*keys)[MLF_JOURNAL_KEY + 1];
    size_t n;
    *paths = NULL;
    if (!dir)
        dir = client->settings.journal_dir;
    int code = mlf_folder_list(&keys, &n, dir, error);
    size_t each = strlen(dir) + MLF_JOURNAL_KEY + 2;
    char **list = code ? NULL : sv_malloc((n + 1) * sizeof *list + n * each);
    if (!code && !list)
        code = mlf_error_memory(error);
    for (size_t i = 0; !code && i < n; i++) {
        list[i] = (char *)(list + n + 1) + i * each;
        snprintf(list[i], each, "%s/%s", dir, keys[i]);
    }
    if (!code)
        list[n] = NULL;
    sv_free(keys);
    *paths = list;
    return code;
}

static int open_part(const mlf_journal *journal, const char *name)
{
    char *path = sv_path_join(journal->path, name);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    sv_free(path);
    return fd;
}

/* Who holds the lock now; a lock nobody holds names its last holder, which is no news. */
static void read_holder(mlf_journal *journal)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open_part(journal, "lock");
    if (fd < 0)
        return;
    int is_asked = !fcntl(fd, F_OFD_GETLK, &range);
    journal->may_grow = !is_asked || range.l_type != F_UNLCK;
    if (is_asked && range.l_type != F_UNLCK) {
        ssize_t got = pread(fd, journal->holder, sizeof journal->holder - 1, 0);
        journal->holder[got > 0 ? got : 0] = '\0';
        journal->holder[strcspn(journal->holder, "\n")] = '\0';
    }
    close(fd);
}

static void read_ids(mlf_journal *journal)
{
    sv_buffer text = SV_BUFFER_INIT(16 << 20);
    char *path = sv_path_join(journal->path, "ids.json");
    json_t *ids = NULL;
    if (path && !sv_file_read(&text, path, 0, NULL))
        mlf_json_parse(&ids, text.data, text.size, 0, NULL);
    const char *id = json_string_value(json_object_get(ids, journal->key)), *server = json_string_value(json_object_get(ids, MLF_FOLDER_SERVER));
    snprintf(journal->run_id, sizeof journal->run_id, "%s", id ? id : "");
    snprintf(journal->tracking_uri, sizeof journal->tracking_uri, "%s", server ? server : "");
    json_decref(ids);
    sv_buffer_free(&text);
    sv_free(path);
}

static int open_log(mlf_journal *journal, mlf_error *error)
{
    struct stat about;
    char head[MLF_STREAM_HEAD];
    sv_error base = SV_ERROR_INIT;
    int fd = open_part(journal, "data.jrn");
    if (fd < 0)
        return mlf_error_set(error, errno == ENOENT ? MLF_E_NOT_FOUND : MLF_E_IO, "%s/data.jrn: cannot be opened: %s", journal->path, strerror(errno));
    if (fstat(fd, &about) || pread(fd, head, sizeof head, 0) != (ssize_t)sizeof head || memcmp(head, "MLFJRN1\n", 8)) {
        close(fd);
        return mlf_error_set(error, MLF_E_INTEGRITY, "%s/data.jrn: expected a journal that begins with MLFJRN1, got something else", journal->path);
    }
    journal->bytes = (uint64_t)about.st_size;
    journal->at = MLF_STREAM_HEAD;
    return mlf_stream_open(&journal->stream, fd, journal->path, journal->bytes, &base) ? mlf_error_from_base(error, &base) : MLF_OK;
}

/* The beginning of a long log may have been given back to the disk (folder.h): then reading begins at what the server does not have. */
static void skip_hole(mlf_journal *journal)
{
    off_t hole = lseek(journal->stream.fd, 0, SEEK_HOLE);
    struct stat about; /* a file system in user space may have holes and not say where */
    int is_sparse = !fstat(journal->stream.fd, &about) && (uint64_t)about.st_blocks * 512 + 4096 < journal->bytes;
    if ((is_sparse || (hole >= 0 && (uint64_t)hole < journal->position.offset)) && journal->position.offset > journal->at && journal->position.offset <= journal->bytes)
        journal->at = journal->position.offset;
}

int mlf_journal_open(mlf_journal **out, const char *path, mlf_error *error)
{
    *out = NULL;
    if (!path)
        return mlf_error_set(error, MLF_E_ARGUMENT, "a journal's path is needed");
    mlf_journal *journal = sv_calloc(1, sizeof *journal);
    if (!journal)
        return mlf_error_memory(error);
    journal->stream.fd = -1;
    journal->path = sv_strdup(path);
    size_t length = strlen(path);
    while (length && path[length - 1] == '/')
        length--;
    if (length >= MLF_JOURNAL_KEY)
        snprintf(journal->key, sizeof journal->key, "%s", path + length - MLF_JOURNAL_KEY);
    if (journal->path)
        read_holder(journal); /* before its size: what nobody held then has grown for the last time */
    int code = journal->path ? open_log(journal, error) : mlf_error_memory(error);
    int fd = code ? -1 : open_part(journal, "position");
    if (fd >= 0) {
        mlf_position_read(&journal->position, fd, NULL);
        close(fd);
    }
    if (journal->position.offset < MLF_STREAM_HEAD || journal->position.offset > journal->bytes) /* as folder.c: nothing is known to be taken */
        journal->position.offset = MLF_STREAM_HEAD;
    if (code) {
        mlf_journal_close(journal);
        return code;
    }
    mlf_calls_read(&journal->cut_off, NULL, path, NULL); /* what cannot be read is not shown: a sync says so */
    skip_hole(journal);
    read_ids(journal);
    *out = journal;
    return MLF_OK;
}

void mlf_journal_close(mlf_journal *journal)
{
    if (!journal)
        return;
    mlf_stream_close(&journal->stream);
    mlf_reader_free(&journal->reader);
    sv_buffer_free(&journal->frame);
    sv_buffer_free(&journal->text);
    json_decref(journal->cut_off);
    sv_free(journal->path);
    sv_free(journal);
}

/* What calls were sending waits, too. */
static uint64_t bytes_of_calls(const mlf_journal *journal)
{
    struct stat about;
    int fd = json_array_size(journal->cut_off) ? open_part(journal, "calls.jrn") : -1;
    uint64_t bytes = fd >= 0 && !fstat(fd, &about) ? (uint64_t)about.st_size : 0;
    if (fd >= 0)
        close(fd);
    return bytes;
}

void mlf_journal_info_get(const mlf_journal *journal, mlf_journal_info *info)
{
    const mlf_position *position = &journal->position;
    *info = (mlf_journal_info){.path = journal->path, .key = journal->key, .run_id = journal->run_id, .holder = journal->holder, .tracking_uri = journal->tracking_uri, .ended = (int)position->ended,
                               .bytes = journal->bytes + bytes_of_calls(journal), .bytes_taken = position->offset, .points_taken = position->points, .operations_taken = position->ops, .refused = position->refused};
}

/* Damage: said once; the next call goes on behind it. A frame that is cut short at the end is no damage while somebody may be writing it. */
static int pass_damage(mlf_journal *journal, mlf_error *error)
{
    uint64_t from = journal->at, to;
    int is_short = from + journal->frame.size >= journal->bytes;
    sv_error base = SV_ERROR_INIT;
    int got = mlf_stream_find(&journal->stream, from + 1, &to, &journal->frame, &base);
    if (got < 0)
        return mlf_error_from_base(error, &base);
    if (!got && is_short && journal->may_grow)
        return MLF_E_END;
    journal->at = got ? to : journal->bytes;
    return mlf_error_set(error, MLF_E_INTEGRITY, "%s: damaged at byte %llu: %llu bytes cannot be read", journal->path, (unsigned long long)from, (unsigned long long)(journal->at - from));
}

/* The next frame: MLF_OK, MLF_E_END. */
static int next_frame(mlf_journal *journal, mlf_error *error)
{
    sv_error base = SV_ERROR_INIT;
    int got = mlf_stream_read(&journal->stream, journal->at, &journal->frame, &base);
    if (got == SV_E_INPUT)
        return pass_damage(journal, error);
    if (got <= 0)
        return got ? mlf_error_from_base(error, &base) : MLF_E_END;
    journal->at += journal->frame.size;
    journal->is_taken = journal->at <= journal->position.offset;
    journal->in_frame = 1;
    mlf_reader_begin(&journal->reader, journal->frame.data + MLF_FRAME_HEAD, journal->frame.size - MLF_FRAME_HEAD);
    return MLF_OK;
}

static int show(mlf_journal *journal, const mlf_record *found, mlf_journal_record *record, mlf_error *error)
{
    int is_point = found->type == MLF_RECORD_POINT;
    sv_buffer_clear(&journal->text);
    if (is_point ? sv_buffer_append(&journal->text, found->key, found->key_length) : sv_buffer_append(&journal->text, found->json, found->json_length))
        return mlf_error_memory(error);
    *record = (mlf_journal_record){.is_point = is_point, .is_taken = journal->is_taken, .kind = is_point ? "metric" : mlf_op_name(found->op), .value = found->value,
                                   .timestamp_ms = found->timestamp_ms, .step = found->step};
    *(is_point ? &record->key : &record->json) = journal->text.data;
    return MLF_OK;
}

static int show_cut_off(mlf_journal *journal, mlf_journal_record *record, mlf_error *error)
{
    const json_t *call = json_array_get(journal->cut_off, journal->n_shown);
    if (!call)
        return MLF_E_END;
    journal->n_shown++;
    sv_buffer_clear(&journal->text);
    if (mlf_json_text(&journal->text, json_object_get(call, "payload")))
        return mlf_error_memory(error);
    *record = (mlf_journal_record){.kind = mlf_op_name((int)json_integer_value(json_object_get(call, "op"))), .json = journal->text.data};
    return MLF_OK;
}

int mlf_journal_next(mlf_journal *journal, mlf_journal_record *record, mlf_error *error)
{
    for (;;) {
        mlf_record found;
        int got = journal->in_frame ? mlf_reader_next(&journal->reader, &found) : 0;
        if (got == 1)
            return show(journal, &found, record, error);
        if (got == -2)
            return mlf_error_memory(error);
        journal->in_frame = 0;
        if (got < 0)
            return mlf_error_set(error, MLF_E_INTEGRITY, "%s: a record before byte %llu is not what it should be", journal->path, (unsigned long long)journal->at);
        int code = next_frame(journal, error);
        if (code)
            return code == MLF_E_END ? show_cut_off(journal, record, error) : code;
    }
}
