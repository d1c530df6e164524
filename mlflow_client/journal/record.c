#include "record.h"

#include "alloc.h"
#include "crc32c.h"
#include "error.h"

#include <string.h>

static const char *const op_names[MLF_OP_KINDS] = {
    [MLF_OP_RUN_CREATE] = "create",   [MLF_OP_RUN_CONTINUE] = "continue", [MLF_OP_RUN_END] = "end",     [MLF_OP_PARAM] = "param",       [MLF_OP_TAG] = "tag",
    [MLF_OP_INPUT] = "input",         [MLF_OP_ARTIFACT] = "artifact",     [MLF_OP_MODEL] = "model",     [MLF_OP_REGISTER] = "register", [MLF_OP_ALIAS] = "alias",
    [MLF_OP_OVER] = "over",
};

const char *mlf_op_name(int kind)
{
    return kind > 0 && kind < MLF_OP_KINDS ? op_names[kind] : "unknown";
}

static void put_u32(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static uint32_t get_u32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static int64_t unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

static unsigned char *put_varint(unsigned char *at, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        *at++ = (unsigned char)(value | 128);
    *at++ = (unsigned char)value;
    return at;
}

/* ---- reading ---- */

static int get_varint(mlf_reader *reader, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 64 && reader->at < reader->size; shift += 7) {
        uint64_t byte = reader->bytes[reader->at++];
        if (shift == 63 && byte > 1)
            return -1;
        *value |= (byte & 127) << shift;
        if (byte < 128)
            return 0;
    }
    return -1;
}

void mlf_reader_begin(mlf_reader *reader, const void *payload, size_t size)
{
    reader->bytes = payload;
    reader->size = size;
    reader->at = 0;
    reader->timestamp_ms = 0;
    reader->n_keys = 0;
}

void mlf_reader_free(mlf_reader *reader)
{
    sv_free(reader->keys);
    *reader = (mlf_reader){0};
}

static int read_key(mlf_reader *reader)
{
    uint64_t length;
    if (get_varint(reader, &length) || length > MLF_KEY_MAX || length > reader->size - reader->at || reader->n_keys >= MLF_FRAME_KEYS)
        return -1;
    if (reader->n_keys == reader->capacity) {
        uint32_t capacity = reader->capacity ? reader->capacity * 2 : 16;
        struct mlf_reader_key *keys = sv_realloc(reader->keys, capacity * sizeof *keys);
        if (!keys)
            return -2;
        reader->keys = keys;
        reader->capacity = capacity;
    }
    reader->keys[reader->n_keys++] = (struct mlf_reader_key){(const char *)reader->bytes + reader->at, (size_t)length, 0};
    reader->at += (size_t)length;
    return 0;
}

static int read_point(mlf_reader *reader, mlf_record *record)
{
    uint64_t key, timestamp, step;
    if (get_varint(reader, &key) || key >= reader->n_keys || get_varint(reader, &timestamp) || get_varint(reader, &step) || reader->size - reader->at < 8)
        return -1;
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits |= (uint64_t)reader->bytes[reader->at++] << 8 * i;
    struct mlf_reader_key *known = &reader->keys[key];
    /* Deltas wrap, so that every pair of int64 has one. */
    reader->timestamp_ms = (int64_t)((uint64_t)reader->timestamp_ms + (uint64_t)unzigzag(timestamp));
    known->step = (int64_t)((uint64_t)known->step + (uint64_t)unzigzag(step));
    *record = (mlf_record){.type = MLF_RECORD_POINT, .key_index = (uint32_t)key, .key = known->text, .key_length = known->length, .timestamp_ms = reader->timestamp_ms, .step = known->step};
    memcpy(&record->value, &bits, 8);
    return 1;
}

int mlf_reader_next(mlf_reader *reader, mlf_record *record)
{
    while (reader->at < reader->size) {
        unsigned char tag = reader->bytes[reader->at++];
        if (tag == 'P')
            return read_point(reader, record);
        if (tag == 'K') {
            int code = read_key(reader);
            if (code)
                return code;
            continue;
        }
        if (tag != 'O' || reader->at != 1 || reader->size < 2)
            return -1;
        *record = (mlf_record){.type = MLF_RECORD_OP, .op = reader->bytes[1], .json = (const char *)reader->bytes + 2, .json_length = reader->size - 2};
        reader->at = reader->size;
        return 1;
    }
    return 0;
}

static uint32_t frame_sum(const unsigned char *frame, const unsigned char *payload, size_t length)
{
    return mlf_crc32c(mlf_crc32c(0, frame, 4), payload, length);
}

int mlf_frame_parse(const void *bytes, size_t size, const unsigned char **payload, size_t *length)
{
    const unsigned char *frame = bytes;
    if (size < MLF_FRAME_HEAD)
        return 0;
    *length = get_u32(frame);
    if (*length == 0 || *length > MLF_FRAME_MAX)
        return -1;
    if (size - MLF_FRAME_HEAD < *length)
        return 0;
    *payload = frame + MLF_FRAME_HEAD;
    return frame_sum(frame, *payload, *length) == get_u32(frame + 4) ? 1 : -1;
}

uint64_t mlf_frame_guess(mlf_reader *reader, const void *bytes, size_t size)
{
    const unsigned char *frame = bytes, *payload = frame + MLF_FRAME_HEAD;
    mlf_record record;
    if (size < MLF_FRAME_HEAD + 3 || (*payload != 'K' && *payload != 'O'))
        return 0;
    size_t length = get_u32(frame), here = size - MLF_FRAME_HEAD;
    if (length == 0 || length > MLF_FRAME_MAX || (*payload == 'O' && payload[2] != '{'))
        return 0;
    mlf_reader_begin(reader, payload, length < here ? length : here);
    return mlf_reader_next(reader, &record) > 0 ? MLF_FRAME_HEAD + (uint64_t)length : 0;
}

/* ---- writing ---- */

int mlf_frame_begin(mlf_writer *writer, sv_buffer *out)
{
    *writer = (mlf_writer){.out = out, .start = out->size, .serial = writer->serial + 1};
    return sv_buffer_append(out, "\0\0\0\0\0\0\0\0", MLF_FRAME_HEAD);
}

static int name_key(mlf_writer *writer, mlf_writer_key *state, const char *key, size_t length)
{
    sv_buffer *out = writer->out;
    int code = sv_buffer_reserve(out, length + 4);
    if (code)
        return code;
    unsigned char *at = (unsigned char *)out->data + out->size;
    *at++ = 'K';
    at = put_varint(at, length);
    memcpy(at, key, length);
    out->size = (size_t)(at + length - (unsigned char *)out->data);
    *state = (mlf_writer_key){.serial = writer->serial, .index = writer->n_keys++};
    return SV_OK;
}

int mlf_frame_point(mlf_writer *writer, mlf_writer_key *state, const char *key, size_t key_length, double value, int64_t timestamp_ms, int64_t step)
{
    sv_buffer *out = writer->out;
    if (state->serial != writer->serial) {
        int code = name_key(writer, state, key, key_length);
        if (code)
            return code;
    }
    int code = sv_buffer_reserve(out, 40);
    if (code)
        return code;
    unsigned char *at = (unsigned char *)out->data + out->size;
    *at++ = 'P';
    at = put_varint(at, state->index);
    at = put_varint(at, zigzag((int64_t)((uint64_t)timestamp_ms - (uint64_t)writer->timestamp_ms)));
    at = put_varint(at, zigzag((int64_t)((uint64_t)step - (uint64_t)state->step)));
    uint64_t bits;
    memcpy(&bits, &value, 8);
    for (int i = 0; i < 8; i++)
        *at++ = (unsigned char)(bits >> 8 * i);
    out->size = (size_t)(at - (unsigned char *)out->data);
    writer->timestamp_ms = timestamp_ms;
    state->step = step;
    writer->n_points++;
    return SV_OK;
}

int mlf_frame_full(const mlf_writer *writer)
{
    return writer->n_points >= MLF_FRAME_POINTS || writer->n_keys >= MLF_FRAME_KEYS;
}

void mlf_frame_end(mlf_writer *writer)
{
    unsigned char *frame = (unsigned char *)writer->out->data + writer->start;
    size_t length = writer->out->size - writer->start - MLF_FRAME_HEAD;
    put_u32(frame, (uint32_t)length);
    put_u32(frame + 4, frame_sum(frame, frame + MLF_FRAME_HEAD, length));
}

void mlf_frame_cancel(mlf_writer *writer)
{
    writer->out->size = writer->start;
}

int mlf_frame_op(sv_buffer *out, int kind, const char *json, size_t length)
{
    mlf_writer writer = {0};
    char head[2] = {'O', (char)kind};
    if (length > MLF_FRAME_MAX - 2)
        return SV_E_LIMIT;
    int code = mlf_frame_begin(&writer, out);
    if (!code)
        code = sv_buffer_append(out, head, 2);
    if (!code)
        code = sv_buffer_append(out, json, length);
    if (code) {
        mlf_frame_cancel(&writer);
        return code;
    }
    mlf_frame_end(&writer);
    return SV_OK;
}

void mlf_frame_op_again(char *frame, int kind)
{
    unsigned char *bytes = (unsigned char *)frame;
    bytes[MLF_FRAME_HEAD + 1] = (unsigned char)kind;
    put_u32(bytes + 4, frame_sum(bytes, bytes + MLF_FRAME_HEAD, get_u32(bytes)));
}
