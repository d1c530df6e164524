#include "file.h"
#include "folder.h"
#include "log.h"
#include "record.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], key[MLF_JOURNAL_KEY + 1];

static void make(mlf_folder *folder)
{
    snprintf(dir, sizeof dir, "/tmp/mlf_folder_XXXXXX");
    cr_assert(mkdtemp(dir));
    cr_assert_eq(mlf_journal_key(key, NULL), 0);
    cr_assert_eq(mlf_folder_create(folder, dir, key, NULL), 0);
}

static void append(mlf_folder *folder, size_t padding)
{
    sv_buffer json = SV_BUFFER_INIT(0), frame = SV_BUFFER_INIT(0);
    cr_assert_eq(sv_buffer_format(&json, "{\"key\":\"t\",\"value\":\"%0*d\"}", (int)padding, 7), 0);
    cr_assert_eq(mlf_frame_op(&frame, MLF_OP_TAG, json.data, json.size), 0);
    cr_assert_eq(mlf_stream_append(&folder->stream, frame.data, frame.size), 0);
    sv_buffer_free(&json);
    sv_buffer_free(&frame);
}

static int count(const char *path)
{
    mlf_journal *journal;
    mlf_journal_record record;
    int n = 0, code;
    cr_assert_eq(mlf_journal_open(&journal, path, NULL), 0);
    while (!(code = mlf_journal_next(journal, &record, NULL)))
        n++;
    cr_assert_eq(code, MLF_E_END);
    mlf_journal_close(journal);
    return n;
}

Test(folder, keys_sort_by_age)
{
    char next[MLF_JOURNAL_KEY + 1];
    cr_assert_eq(mlf_journal_key(key, NULL), 0);
    cr_assert(mlf_is_journal_key(key));
    usleep(3000);
    cr_assert_eq(mlf_journal_key(next, NULL), 0);
    cr_assert_lt(strcmp(key, next), 0);
    cr_assert_not(mlf_is_journal_key("0123"));
    cr_assert_not(mlf_is_journal_key("../../../../../../../../../../etc"));
}

Test(folder, one_holder_at_a_time)
{
    mlf_folder folder, second;
    mlf_error error = MLF_ERROR_INIT;
    make(&folder);
    cr_assert_eq(mlf_folder_open(&second, dir, key, &error), MLF_E_STATE);
    cr_assert(strstr(error.message, "in use by"));
    cr_assert(mlf_error_is_retriable(&error));
    mlf_folder_close(&folder);
    cr_assert_eq(mlf_folder_open(&second, dir, key, NULL), 0);
    cr_assert_eq(mlf_folder_remove(&second, NULL), 0);
    cr_assert_eq(mlf_folder_open(&second, dir, key, NULL), MLF_E_NOT_FOUND);
    sv_folder_remove(dir, NULL);
}

Test(folder, ids_and_position_are_there_again)
{
    mlf_folder folder;
    char id[64];
    make(&folder);
    append(&folder, 10);
    append(&folder, 10);
    uint64_t end = mlf_stream_end(&folder.stream);
    mlf_folder_note_position(&folder, end, 0, 5, 2);
    cr_assert_eq(mlf_folder_set_id(&folder, "k", "server-id", NULL), 0);
    mlf_folder_close(&folder);
    cr_assert_eq(mlf_folder_open(&folder, dir, key, NULL), 0);
    cr_assert_eq(folder.position.offset, end);
    cr_assert_eq(folder.position.points, 5);
    cr_assert(mlf_folder_id(&folder, "k", id, sizeof id));
    cr_assert_str_eq(id, "server-id");
    cr_assert_not(mlf_folder_id(&folder, "other", id, sizeof id));
    mlf_folder_close(&folder);
    sv_folder_remove(dir, NULL);
}

/* A write torn at any byte is cut off; what stands before it is kept. */
Test(folder, a_torn_tail_is_cut)
{
    mlf_folder folder;
    char path[256];
    make(&folder);
    append(&folder, 10);
    uint64_t whole = mlf_stream_end(&folder.stream);
    append(&folder, 10);
    uint64_t end = mlf_stream_end(&folder.stream);
    snprintf(path, sizeof path, "%s/data.jrn", folder.path);
    mlf_folder_close(&folder);
    for (uint64_t size = end - 1; size > whole; size--) {
        cr_assert_eq(truncate(path, (off_t)size), 0);
        cr_assert_eq(mlf_folder_open(&folder, dir, key, NULL), 0);
        cr_assert_eq(mlf_stream_end(&folder.stream), whole);
        mlf_folder_close(&folder);
    }
    sv_folder_remove(dir, NULL);
}

static void flip(const char *path, uint64_t at)
{
    unsigned char byte;
    int fd = open(path, O_RDWR);
    cr_assert_eq(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 0xff;
    cr_assert_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static void expect_gap(const char *path, uint64_t begin, uint64_t end, uint64_t all)
{
    mlf_folder folder;
    cr_assert_eq(mlf_folder_open(&folder, dir, key, NULL), 0);
    cr_assert_eq(folder.n_gaps, 1);
    cr_expect_eq(mlf_folder_pass_gap(&folder, begin), end);
    cr_expect_eq(mlf_folder_pass_gap(&folder, end), end);
    cr_expect_eq(folder.missing.bytes, end - begin);
    cr_expect_eq(folder.cut.bytes, 0);
    cr_expect_eq(mlf_stream_end(&folder.stream), all, "%s was cut", path);
    mlf_folder_close(&folder);
}

/* Reading says damage once and goes on behind it. */
static void expect_read(const char *folder_path, int n_records, int n_damaged)
{
    mlf_journal *journal;
    mlf_journal_record record;
    int read = 0, damaged = 0, code;
    cr_assert_eq(mlf_journal_open(&journal, folder_path, NULL), 0);
    while ((code = mlf_journal_next(journal, &record, NULL)) != MLF_E_END && read + damaged < 10) {
        cr_assert(code == MLF_OK || code == MLF_E_INTEGRITY);
        *(code ? &damaged : &read) += 1;
    }
    mlf_journal_close(journal);
    cr_expect_eq(read, n_records);
    cr_expect_eq(damaged, n_damaged);
}

/* Whatever byte of a frame is damaged, the first of the journal and its length included: the frame is lost, and none behind it. */
Test(folder, damage_costs_the_frames_it_is_in)
{
    mlf_folder folder;
    char path[256], folder_path[256];
    uint64_t ends[5] = {MLF_STREAM_HEAD};
    make(&folder);
    for (int i = 1; i < 5; i++) {
        append(&folder, 10);
        ends[i] = mlf_stream_end(&folder.stream);
    }
    snprintf(folder_path, sizeof folder_path, "%s", folder.path);
    snprintf(path, sizeof path, "%s/data.jrn", folder.path);
    mlf_folder_close(&folder);
    for (int i = 0; i < 2; i++)
        for (uint64_t at = ends[i]; at < ends[i + 1]; at++) {
            flip(path, at);
            expect_gap(path, ends[i], ends[i + 1], ends[4]);
            expect_read(folder_path, 3, 1);
            flip(path, at);
        }
    flip(path, ends[3] + 1); /* the last one's length points behind the end */
    expect_read(folder_path, 3, 1);
    flip(path, ends[3] + 1);
    cr_assert_eq(truncate(path, (off_t)ends[4] - 1), 0);
    expect_read(folder_path, 3, 1);
    cr_assert_eq(mlf_folder_open(&folder, dir, key, NULL), 0);
    append(&folder, 10);
    mlf_stream_commit(&folder.stream);
    cr_assert_eq(truncate(path, (off_t)ends[4] - 1), 0);
    expect_read(folder_path, 3, 0); /* somebody holds it, who may be writing */
    mlf_folder_close(&folder);
    cr_assert_eq(mlf_folder_open(&folder, dir, key, NULL), 0);
    append(&folder, 10);
    cr_assert_eq(mlf_stream_end(&folder.stream), ends[4]);
    mlf_folder_close(&folder);
    flip(path, ends[2] - 1);
    flip(path, ends[3] - 1);
    expect_gap(path, ends[1], ends[3], ends[4]);
    expect_read(folder_path, 2, 1);
    flip(path, ends[4] - 1); /* the last one, too: now it is the journal's end that cannot be read, and cut */
    expect_read(folder_path, 1, 1);
    cr_assert_eq(mlf_folder_open(&folder, dir, key, NULL), 0);
    cr_expect_eq(folder.n_gaps, 0);
    cr_expect_eq(folder.cut.bytes, ends[4] - ends[1]);
    cr_expect_eq(mlf_stream_end(&folder.stream), ends[1]);
    mlf_folder_close(&folder);
    sv_folder_remove(dir, NULL);
}

Test(folder, something_else_is_no_journal)
{
    mlf_folder folder;
    char path[256];
    make(&folder);
    snprintf(path, sizeof path, "%s/data.jrn", folder.path);
    mlf_folder_close(&folder);
    cr_assert_eq(sv_file_write(path, "PK\3\4 and so on, long enough", 26, NULL), 0);
    cr_assert_eq(mlf_folder_open(&folder, dir, key, NULL), MLF_E_INTEGRITY);
    sv_folder_remove(dir, NULL);
}

Test(folder, the_disk_gets_back_what_was_sent)
{
    mlf_folder folder;
    struct stat about;
    make(&folder);
    for (int i = 0; i < 70; i++)
        append(&folder, 1 << 20);
    uint64_t end = mlf_stream_end(&folder.stream);
    append(&folder, 10);
    mlf_folder_note_position(&folder, end, 0, 0, 70);
    cr_assert_eq(fstat(folder.stream.fd, &about), 0);
    if (folder.punched) /* a file system without holes keeps all, which is no harm */
        cr_expect_lt(about.st_blocks * 512, 1 << 20, "%lld bytes are still taken", (long long)about.st_blocks * 512);
    cr_assert_eq(count(folder.path), 1);
    mlf_folder_close(&folder);
    cr_assert_eq(mlf_folder_open(&folder, dir, key, NULL), 0);
    cr_assert_eq(folder.position.offset, end);
    mlf_folder_close(&folder);
    sv_folder_remove(dir, NULL);
}

Test(folder, refused_things_outlive_their_journal)
{
    mlf_folder folder;
    char path[256];
    sv_buffer text = SV_BUFFER_INIT(0);
    make(&folder);
    cr_assert_eq(mlf_folder_set_id(&folder, key, "r1", NULL), 0);
    mlf_folder_note_refused(&folder, "param", "{\"key\":\"p\"}", 11, "already another value");
    cr_assert_eq(folder.position.refused, 1);
    cr_assert_eq(mlf_folder_remove(&folder, NULL), 0);
    snprintf(path, sizeof path, "%s/refused-%s.jsonl", dir, key);
    cr_assert_eq(sv_file_read(&text, path, 0, NULL), 0);
    cr_assert_str_eq(text.data, "{\"what\":\"param\",\"run_id\":\"r1\",\"record\":{\"key\":\"p\"},\"reason\":\"already another value\"}\n");
    sv_buffer_free(&text);
    sv_folder_remove(dir, NULL);
}
