#include "alloc.h"
#include "crc32c.h"
#include "error.h"
#include "prng.h"
#include "record.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

Test(crc32c, known_answers)
{
    cr_assert_eq(mlf_crc32c(0, "123456789", 9), 0xE3069283u); /* the catalogue's check value */
    cr_assert_eq(mlf_crc32c_table(0, "123456789", 9), 0xE3069283u);
    unsigned char zeros[32] = {0}; /* RFC 3720, B.4 */
    cr_assert_eq(mlf_crc32c(0, zeros, 32), 0x8A9136AAu);
}

Test(crc32c, instruction_and_table_agree_at_every_length_and_split)
{
    unsigned char bytes[700]; /* folded by 64 */
    sv_prng prng;
    sv_prng_seed(&prng, 1);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)sv_prng_next(&prng);
    for (size_t length = 0; length <= sizeof bytes; length++) {
        uint32_t whole = mlf_crc32c_table(0, bytes, length);
        cr_assert_eq(mlf_crc32c(0, bytes, length), whole);
        cr_assert_eq(mlf_crc32c(mlf_crc32c(0, bytes, length / 3), bytes + length / 3, length - length / 3), whole);
    }
}

static const struct {
    const char *key;
    double value;
    int64_t timestamp_ms, step;
} points[] = {
    {"loss", 0.5, 1700000000000, 0},
    {"loss", 0.25, 1700000000001, 1},
    {"acc", NAN, 1700000000001, 1},
    {"loss", -INFINITY, 1600000000000, INT64_MAX}, /* time goes back, the step to its end */
    {"loss", 5e-324, INT64_MAX, INT64_MIN},        /* every delta fits */
    {"loss", -0.0, 0, -1},
    {"\xce\xb1/\xce\xb2", 1e308, 1, 1},            /* UTF-8 */
};
enum { N_POINTS = sizeof points / sizeof *points };

static int key_of(const char *key)
{
    return key[0] == 'l' ? 0 : key[0] == 'a' ? 1 : 2;
}

static void write_points(sv_buffer *out, mlf_writer *writer, mlf_writer_key keys[3])
{
    cr_assert_eq(mlf_frame_begin(writer, out), 0);
    for (int i = 0; i < N_POINTS; i++)
        cr_assert_eq(mlf_frame_point(writer, &keys[key_of(points[i].key)], points[i].key, strlen(points[i].key), points[i].value, points[i].timestamp_ms, points[i].step), 0);
    mlf_frame_end(writer);
}

static void expect_points(const void *bytes, size_t size)
{
    const unsigned char *payload;
    size_t length;
    mlf_reader reader = {0};
    mlf_record record;
    cr_assert_eq(mlf_frame_parse(bytes, size, &payload, &length), 1);
    mlf_reader_begin(&reader, payload, length);
    for (int i = 0; i < N_POINTS; i++) {
        cr_assert_eq(mlf_reader_next(&reader, &record), 1);
        cr_assert_eq(record.type, MLF_RECORD_POINT);
        cr_assert_eq(record.key_length, strlen(points[i].key));
        cr_assert_arr_eq(record.key, points[i].key, record.key_length);
        cr_assert_arr_eq(&record.value, &points[i].value, sizeof(double));
        cr_assert_eq(record.timestamp_ms, points[i].timestamp_ms);
        cr_assert_eq(record.step, points[i].step);
    }
    cr_assert_eq(mlf_reader_next(&reader, &record), 0);
    mlf_reader_free(&reader);
}

Test(record, points_come_back_bit_for_bit)
{
    sv_buffer out = SV_BUFFER_INIT(0);
    mlf_writer writer = {0};
    mlf_writer_key keys[3] = {0};
    write_points(&out, &writer, keys);
    expect_points(out.data, out.size);
    sv_buffer_clear(&out); /* a second frame at the same place names its keys again */
    write_points(&out, &writer, keys);
    expect_points(out.data, out.size);
    sv_buffer_free(&out);
}

Test(record, a_point_takes_some_twelve_bytes)
{
    sv_buffer out = SV_BUFFER_INIT(0);
    mlf_writer writer = {0};
    mlf_writer_key key = {0};
    size_t count = 0;
    while (count < 100000) {
        cr_assert_eq(mlf_frame_begin(&writer, &out), 0);
        for (; !mlf_frame_full(&writer) && count < 100000; count++)
            cr_assert_eq(mlf_frame_point(&writer, &key, "train/loss", 10, 0.1, 1700000000000 + (int64_t)count / 100, (int64_t)count), 0);
        mlf_frame_end(&writer);
    }
    cr_assert_leq(out.size, count * 13);
    sv_buffer_free(&out);
}

Test(record, op_comes_back)
{
    sv_buffer out = SV_BUFFER_INIT(0);
    const unsigned char *payload;
    size_t length;
    mlf_reader reader = {0};
    mlf_record record;
    cr_assert_eq(mlf_frame_op(&out, MLF_OP_PARAM, "{\"key\":\"a\"}", 11), 0);
    cr_assert_eq(mlf_frame_parse(out.data, out.size, &payload, &length), 1);
    mlf_reader_begin(&reader, payload, length);
    cr_assert_eq(mlf_reader_next(&reader, &record), 1);
    cr_assert_eq(record.type, MLF_RECORD_OP);
    cr_assert_eq(record.op, MLF_OP_PARAM);
    cr_assert_arr_eq(record.json, "{\"key\":\"a\"}", 11);
    cr_assert_eq(mlf_reader_next(&reader, &record), 0);
    mlf_reader_free(&reader);
    sv_buffer_free(&out);
}

Test(record, every_cut_asks_for_more_and_every_flipped_bit_is_seen)
{
    sv_buffer out = SV_BUFFER_INIT(0);
    mlf_writer writer = {0};
    mlf_writer_key keys[3] = {0};
    const unsigned char *payload;
    size_t length;
    write_points(&out, &writer, keys);
    for (size_t cut = 0; cut < out.size; cut++)
        cr_assert_eq(mlf_frame_parse(out.data, cut, &payload, &length), 0);
    for (size_t bit = 0; bit < out.size * 8; bit++) {
        out.data[bit / 8] = (char)(out.data[bit / 8] ^ 1 << bit % 8);
        cr_assert_neq(mlf_frame_parse(out.data, out.size, &payload, &length), 1, "bit %zu", bit);
        out.data[bit / 8] = (char)(out.data[bit / 8] ^ 1 << bit % 8);
    }
    sv_buffer_free(&out);
}

Test(record, zeros_of_a_power_cut_are_no_frame)
{
    const unsigned char zeros[64] = {0}, *payload;
    size_t length;
    cr_assert_eq(mlf_frame_parse(zeros, sizeof zeros, &payload, &length), -1);
}

/* Payloads that no writer makes. */
static const struct {
    const char *what, *bytes;
    size_t size;
} damaged[] = {
    {"unknown tag", "X", 1},
    {"point of a key that was never named", "P\0\0\0\0\0\0\0\0\0\0\0", 12},
    {"point cut in its value", "K\1aP\0\0\0\0\0", 9},
    {"key longer than the payload", "K\5ab", 4},
    {"key longer than any key", "K\377\377\3", 4},
    {"number of eleven bytes", "K\200\200\200\200\200\200\200\200\200\200\1", 12},
    {"op behind a key", "K\1aO\4{}", 7},
    {"op without a kind", "O", 1},
};

Test(record, damaged_payloads_are_refused)
{
    mlf_reader reader = {0};
    mlf_record record;
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        mlf_reader_begin(&reader, damaged[i].bytes, damaged[i].size);
        cr_assert_eq(mlf_reader_next(&reader, &record), -1, "%s", damaged[i].what);
    }
    mlf_reader_free(&reader);
}

Test(record, failed_allocations_leave_the_buffer_as_it_was)
{
    for (long k = 0; k < 40; k++) {
        sv_buffer out = SV_BUFFER_INIT(0);
        mlf_writer writer = {0};
        mlf_writer_key key = {0};
        sv_alloc_fail_after(k, 1);
        int code = mlf_frame_begin(&writer, &out);
        for (int i = 0; !code && i < 1000; i++)
            code = mlf_frame_point(&writer, &key, "k", 1, i, i, i);
        if (code)
            mlf_frame_cancel(&writer);
        cr_assert(code == 0 || (code == SV_E_MEMORY && out.size == 0));
        sv_alloc_fail_after(-1, 0);
        sv_buffer_free(&out);
    }
}
