#include "clock.h"
#include "log.h"
#include "position.h"
#include "record.h"
#include "stream.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int open_temporary(char path[64])
{
    snprintf(path, 64, "/tmp/mlf_stream_XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    return fd;
}

static void append_op(mlf_stream *stream, int number)
{
    sv_buffer frame = SV_BUFFER_INIT(0);
    char json[64];
    int length = snprintf(json, sizeof json, "{\"number\":%d,\"padding\":\"%032d\"}", number, 0);
    cr_assert_eq(mlf_frame_op(&frame, MLF_OP_TAG, json, (size_t)length), 0);
    cr_assert_eq(mlf_stream_append(stream, frame.data, frame.size), 0);
    sv_buffer_free(&frame);
}

/* Reads from *offset to the end and expects the numbers first, first+1, … ; returns how many. */
static int read_ops(mlf_stream *stream, uint64_t *offset, int first)
{
    sv_buffer frame = SV_BUFFER_INIT(0);
    int count = 0, got;
    while ((got = mlf_stream_read(stream, *offset, &frame, NULL)) > 0) {
        char wanted[32];
        snprintf(wanted, sizeof wanted, "{\"number\":%d,", first + count++);
        cr_assert(memmem(frame.data, frame.size, wanted, strlen(wanted)), "frame %d", count);
        *offset += frame.size;
    }
    cr_assert_eq(got, 0);
    sv_buffer_free(&frame);
    return count;
}

Test(stream, what_is_appended_is_read)
{
    char path[64];
    mlf_stream stream;
    uint64_t offset = 0;
    cr_assert_eq(mlf_stream_open(&stream, open_temporary(path), path, 0, NULL), 0);
    for (int i = 0; i < 100; i++)
        append_op(&stream, i);
    cr_assert_eq(mlf_stream_commit(&stream), 1);
    cr_assert_eq(mlf_stream_commit(&stream), 0);
    cr_assert_eq(read_ops(&stream, &offset, 0), 100);
    cr_assert_eq(offset, mlf_stream_end(&stream));
    mlf_stream_close(&stream);
    unlink(path);
}

static int warnings;
static void count_warnings(void *context, sv_log_level level, const char *line)
{
    warnings += level == SV_LOG_WARN;
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The disk fills in the middle of a frame, is full for a while, and takes data again. */
Test(stream, full_disk_keeps_all_in_memory_then_on_disk_with_one_warning)
{
    char path[64];
    mlf_stream stream;
    uint64_t offset = 0, again = 0;
    signal(SIGXFSZ, SIG_IGN);
    sv_log_set_sink(count_warnings, NULL);
    cr_assert_eq(mlf_stream_open(&stream, open_temporary(path), path, 0, NULL), 0);
    limit_files(1000);
    for (int i = 0; i < 100; i++)
        append_op(&stream, i);
    cr_assert(mlf_stream_is_refusing(&stream));
    cr_assert_leq(lseek(stream.fd, 0, SEEK_END), 1000);
    cr_assert_eq(read_ops(&stream, &offset, 0), 100);
    limit_files(RLIM_INFINITY);
    stream.retry_ns = 0;
    mlf_stream_settle(&stream);
    cr_assert_not(mlf_stream_is_refusing(&stream));
    cr_assert_eq((uint64_t)lseek(stream.fd, 0, SEEK_END), offset);
    append_op(&stream, 100);
    cr_assert_eq(read_ops(&stream, &again, 0), 101);
    cr_assert_eq(warnings, 1);
    mlf_stream_close(&stream);
    unlink(path);
}

/* One write of many frames, and room for a part of them: the file holds those that fit whole, now and whenever there is a little more room. */
Test(stream, a_full_disk_takes_the_frames_that_fit)
{
    char path[64], json[64];
    mlf_stream stream;
    sv_buffer frames = SV_BUFFER_INIT(0);
    uint64_t offset = 0, again = 0;
    signal(SIGXFSZ, SIG_IGN);
    sv_log_set_sink(count_warnings, NULL);
    cr_assert_eq(mlf_stream_open(&stream, open_temporary(path), path, 0, NULL), 0);
    for (int i = 0; i < 100; i++) {
        int length = snprintf(json, sizeof json, "{\"number\":%d,\"padding\":\"%032d\"}", i, 0);
        cr_assert_eq(mlf_frame_op(&frames, MLF_OP_TAG, json, (size_t)length), 0);
    }
    size_t each = frames.size / 100;
    for (rlim_t room = 1000; room <= 2000; room += 1000) {
        limit_files(room);
        stream.retry_ns = 0;
        if (room == 1000)
            cr_assert_eq(mlf_stream_append(&stream, frames.data, frames.size), 0);
        else
            mlf_stream_settle(&stream);
        cr_assert(mlf_stream_is_refusing(&stream));
        cr_expect_eq((uint64_t)lseek(stream.fd, 0, SEEK_END), stream.file_end);
        cr_expect(stream.file_end <= room && stream.file_end + 2 * each > room, "%d of %d bytes", (int)stream.file_end, (int)room);
        offset = 0;
        cr_expect_eq(read_ops(&stream, &offset, 0), 100);
    }
    limit_files(RLIM_INFINITY);
    stream.retry_ns = 0;
    mlf_stream_settle(&stream);
    cr_assert_not(mlf_stream_is_refusing(&stream));
    cr_expect_eq((uint64_t)lseek(stream.fd, 0, SEEK_END), frames.size);
    append_op(&stream, 100);
    cr_expect_eq(read_ops(&stream, &again, 0), 101);
    mlf_stream_close(&stream);
    sv_buffer_free(&frames);
    unlink(path);
}

/* The server takes what waits in memory: it never needs the disk, memory is given back, and later offsets still lead to the right bytes. */
Test(stream, what_was_taken_from_memory_is_forgotten)
{
    char path[64];
    mlf_stream stream;
    uint64_t offset = 0;
    signal(SIGXFSZ, SIG_IGN);
    sv_log_set_sink(count_warnings, NULL);
    cr_assert_eq(mlf_stream_open(&stream, open_temporary(path), path, 0, NULL), 0);
    limit_files(1000);
    for (int i = 0; i < 50; i++)
        append_op(&stream, i);
    cr_assert_eq(read_ops(&stream, &offset, 0), 50);
    uint64_t before = mlf_stream_file_offset(&stream, offset);
    mlf_stream_take(&stream, offset);
    mlf_stream_settle(&stream);
    cr_assert_eq(stream.tail.size, 0);
    cr_assert_eq(mlf_stream_file_offset(&stream, offset), before);
    append_op(&stream, 50);
    limit_files(RLIM_INFINITY);
    stream.retry_ns = 0;
    mlf_stream_settle(&stream);
    append_op(&stream, 51);
    cr_assert_eq(read_ops(&stream, &offset, 50), 2);
    cr_assert_eq(mlf_stream_file_offset(&stream, offset), (uint64_t)lseek(stream.fd, 0, SEEK_END));
    mlf_stream_close(&stream);
    unlink(path);
}

Test(stream, memory_for_a_refusing_disk_is_bounded)
{
    mlf_stream stream;
    sv_log_set_sink(count_warnings, NULL);
    cr_assert_eq(mlf_stream_open(&stream, -1, "nowhere", MLF_STREAM_HEAD, NULL), 0);
    static char block[1 << 20];
    int taken = 0, code = 0;
    while (taken < 1000 && !(code = mlf_stream_append(&stream, block, sizeof block)))
        taken++;
    cr_assert_eq(code, SV_E_LIMIT);
    cr_assert_eq(taken, MLF_STREAM_MEMORY >> 20);
    cr_assert_eq(mlf_stream_end(&stream), MLF_STREAM_HEAD + (uint64_t)MLF_STREAM_MEMORY);
    mlf_stream_close(&stream);
}

Test(stream, a_damaged_frame_is_said_with_its_place)
{
    char path[64];
    mlf_stream stream;
    sv_error error = SV_ERROR_INIT;
    sv_buffer frame = SV_BUFFER_INIT(0);
    int fd = open_temporary(path);
    cr_assert_eq(mlf_stream_open(&stream, fd, path, 0, NULL), 0);
    append_op(&stream, 0);
    cr_assert_eq(pwrite(fd, "x", 1, 20), 1);
    cr_assert_eq(mlf_stream_read(&stream, 0, &frame, &error), SV_E_INPUT);
    cr_assert(strstr(error.message, "damaged at byte 0"));
    sv_buffer_free(&frame);
    mlf_stream_close(&stream);
    unlink(path);
}

/* Bytes of any kind, more than are looked at once, before a frame of points: none of them is taken for one. */
Test(stream, a_whole_frame_is_found_behind_anything)
{
    enum { NOISE = 200000 };
    mlf_stream stream;
    sv_buffer points = SV_BUFFER_INIT(0), frame = SV_BUFFER_INIT(0);
    mlf_writer writer = {0};
    mlf_writer_key state = {0};
    uint64_t found;
    uint32_t dice = 1;
    cr_assert_eq(mlf_frame_begin(&writer, &points), 0);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(mlf_frame_point(&writer, &state, "loss", 4, i / 7.0, 1700000000000 + i, i), 0);
    mlf_frame_end(&writer);
    cr_assert_eq(mlf_stream_open(&stream, -1, "memory", 0, NULL), 0);
    for (int i = 0; i < NOISE; i++) {
        dice = dice * 1664525 + 1013904223;
        cr_assert_eq(mlf_stream_append(&stream, i < NOISE / 2 ? "\0" : (char *)&dice + 3, 1), 0);
    }
    cr_assert_eq(mlf_stream_append(&stream, points.data, points.size), 0);
    cr_assert_eq(mlf_stream_append(&stream, points.data, points.size - 1), 0);
    for (uint64_t from = 0; from <= NOISE; from += NOISE / 4) {
        cr_assert_eq(mlf_stream_find(&stream, from, &found, &frame, NULL), 1);
        cr_expect_eq(found, NOISE);
        cr_expect_eq(frame.size, points.size);
    }
    cr_expect_eq(mlf_stream_find(&stream, NOISE + 1, &found, &frame, NULL), 0);
    cr_expect_eq(mlf_stream_find(&stream, NOISE + 3 * points.size, &found, &frame, NULL), 0);
    sv_buffer_free(&points);
    sv_buffer_free(&frame);
    mlf_stream_close(&stream);
}

Test(position, the_newest_good_slot_holds)
{
    char path[64];
    int fd = open_temporary(path);
    mlf_position position, found;
    cr_assert_eq(mlf_position_read(&position, fd, NULL), 0);
    cr_assert_eq(position.generation, 0);
    for (uint64_t i = 1; i <= 5; i++) {
        position.offset = 1000 * i;
        cr_assert_eq(mlf_position_write(&position, fd, NULL), 0);
    }
    cr_assert_eq(mlf_position_read(&found, fd, NULL), 0);
    cr_assert_eq(found.offset, 5000);
    /* The newest slot is torn at every byte: the one before holds. */
    unsigned char whole[64];
    off_t slot = (off_t)(found.generation & 1) * 64;
    cr_assert_eq(pread(fd, whole, 64, slot), 64);
    for (int cut = 0; cut < 48; cut++) {
        unsigned char torn[64];
        memcpy(torn, whole, 64);
        memset(torn + cut, 0xee, (size_t)(64 - cut));
        cr_assert_eq(pwrite(fd, torn, 64, slot), 64);
        cr_assert_eq(mlf_position_read(&found, fd, NULL), 0);
        cr_assert_eq(found.offset, 4000, "torn at %d", cut);
    }
    close(fd);
    unlink(path);
}
