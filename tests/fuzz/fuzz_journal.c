#include "batch.h"
#include "calls.h"
#include "json_text.h"
#include "record.h"
#include "stream.h"
#include "text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 4096 };

static int digit(unsigned char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A key that the journal's own writer would have taken. */
static int is_text(const mlf_record *record)
{
    size_t at = 0, bytes = 1;
    uint32_t point;
    for (; record->type == MLF_RECORD_POINT && bytes && at < record->key_length; at += bytes)
        bytes = sv_utf8_read(&point, record->key + at, record->key_length - at);
    return bytes != 0;
}

/* What a sender makes of a record: a part of a request, whose body is a JSON object, or an operation of its own. */
static void put_into(mlf_batch *batch, const mlf_record *record)
{
    sv_buffer body = SV_BUFFER_INIT(0);
    json_t *whole = NULL;
    const uint32_t from[MLF_LISTS] = {0};
    int added = mlf_batch_add(batch, record);
    const uint32_t to[MLF_LISTS] = {batch->lists[0].count, batch->lists[1].count, batch->lists[2].count};
    if (added == 1 && mlf_batch_is_empty(batch))
        abort();
    if (added == 1 && !batch->op && is_text(record) && !mlf_batch_body(&body, batch, "run", from, to) && mlf_json_parse(&whole, body.data, body.size, 1, NULL))
        abort();
    json_decref(whole);
    sv_buffer_free(&body);
    mlf_batch_clear(batch);
}

/* A payload is read to its end or to its first fault; whatever is shown lies inside it. */
static void read_payload(const uint8_t *data, size_t size)
{
    static mlf_batch *batch;
    if (!batch)
        batch = mlf_batch_new();
    mlf_reader reader = {0};
    mlf_record record;
    mlf_reader_begin(&reader, data, size);
    size_t count = 0;
    while (mlf_reader_next(&reader, &record) == 1) {
        const char *begin = record.type == MLF_RECORD_POINT ? record.key : record.json;
        size_t length = record.type == MLF_RECORD_POINT ? record.key_length : record.json_length;
        if (begin < (const char *)data || begin + length > (const char *)data + size || ++count > size)
            abort();
        if (batch && count <= 64)
            put_into(batch, &record);
    }
    mlf_reader_free(&reader);
}

/* Whatever is taken for a frame behind damage is one. */
static void find_frames(const uint8_t *data, size_t size)
{
    sv_buffer frame = SV_BUFFER_INIT(0);
    mlf_stream stream;
    uint64_t at = 0;
    const unsigned char *payload;
    size_t length;
    if (mlf_stream_open(&stream, -1, "memory", 0, NULL))
        return;
    if (!mlf_stream_append(&stream, data, size))
        for (; mlf_stream_find(&stream, at, &at, &frame, NULL) > 0; at += frame.size)
            if (at + frame.size > size || memcmp(frame.data, data + at, frame.size) != 0 || mlf_frame_parse(frame.data, frame.size, &payload, &length) != 1)
                abort();
    mlf_stream_close(&stream);
    sv_buffer_free(&frame);
}

/* calls.jrn, first a whole record of these bytes, then the bytes as they are: whatever is taken for a call has a key and a kind. */
static void read_calls(const uint8_t *data, size_t size)
{
    json_t *list = NULL, *call;
    mlf_loss loss;
    size_t i;
    sv_buffer file = SV_BUFFER_INIT(0);
    if (sv_buffer_append(&file, "MLFCAL1\n\0\0\0\0\0\0\0\0", 16) || (size && mlf_frame_op(&file, data[0] % (MLF_OP_OVER + 2), (const char *)data + 1, size - 1)) || sv_buffer_append(&file, data, size)) {
        sv_buffer_free(&file);
        return;
    }
    if (!mlf_calls_parse(&list, &loss, file.data, file.size, NULL) && (loss.bytes > file.size || loss.ops > file.size))
        abort();
    json_array_foreach(list, i, call)
        if (!json_is_string(json_object_get(json_object_get(call, "payload"), "key")) || json_integer_value(json_object_get(call, "op")) < 1)
            abort();
    json_decref(list);
    sv_buffer_free(&file);
}

/* The input is a payload and a frame as it stands; hexadecimal digits stand for the bytes they name, too. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const unsigned char *payload;
    uint8_t bytes[TEXT_MAX];
    size_t length, n = 0;
    if (mlf_frame_parse(data, size, &payload, &length) == 1)
        read_payload(payload, length);
    read_payload(data, size);
    find_frames(data, size);
    read_calls(data, size);
    for (size_t i = 0; i + 1 < size && n < TEXT_MAX && digit(data[i]) >= 0 && digit(data[i + 1]) >= 0; i += 2)
        bytes[n++] = (uint8_t)(digit(data[i]) << 4 | digit(data[i + 1]));
    uint8_t *exact = malloc(n ? n : 1); /* so that a read past the end is seen */
    if (!exact)
        return 0;
    memcpy(exact, bytes, n);
    read_payload(exact, n);
    free(exact);
    return 0;
}
