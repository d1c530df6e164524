/* record.h: what stands in a journal. A frame is one write: `length, checksum, payload`; the payload is either a run of metric points or one operation.
   Every frame decodes by itself (it carries the keys it uses), so reading may begin at any frame. The bytes: docs/journal.md.

       frame   u32 length of payload, u32 CRC32C of those four bytes and the payload, payload       (little endian)
       points  { 'K' varint length, key bytes | 'P' varint key, zigzag Δtimestamp, zigzag Δstep, f64 }…
       op      'O' u8 kind, JSON object (to the end of the payload)

   'K' names the next key (0, 1, …) of this frame. Δtimestamp is against the frame's previous point, Δstep against the same key's previous point, both from 0. */
#ifndef MLF_RECORD_H
#define MLF_RECORD_H

#include "buffer.h"

#include <stddef.h>
#include <stdint.h>

/* What a run can do that is no metric. The number stands in files: never reuse one. Payloads are JSON objects; "key" is the client-made key of what is made
   (32 hex digits), by which a repeated replay finds what an earlier one already made. */
typedef enum mlf_op_kind {
    MLF_OP_RUN_CREATE = 1,   /* {key, experiment, start_time, name?, tags: {…}} */
    MLF_OP_RUN_CONTINUE = 2, /* {run_id, experiment, as_is?}: run_id may be the key of another journal; as_is: its status stays */
    MLF_OP_RUN_END = 3,      /* {status, end_time} */
    MLF_OP_PARAM = 4,        /* {key, value} */
    MLF_OP_TAG = 5,          /* {key, value} */
    MLF_OP_INPUT = 6,        /* {name, digest, source_type, source, schema?, profile?, context?} */
    MLF_OP_ARTIFACT = 7,     /* {file, path?, size, sha256}: file is relative to the journal's folder; path is the folder below the run's artifacts */
    MLF_OP_MODEL = 8,        /* a logged model: {key, folder, name, …}, owner: artifact/ */
    MLF_OP_REGISTER = 9,     /* a model version: {key, source, name, …}, owner: artifact/ */
    MLF_OP_ALIAS = 10,       /* {name, alias, version}, owner: artifact/ */
    MLF_OP_OVER = 11,        /* what one of the others became once it was done: in calls.jrn alone (calls.h) */
    MLF_OP_KINDS
} mlf_op_kind;

const char *mlf_op_name(int kind); /* "param"; "unknown" for a number that is none; static */

enum {
    MLF_FRAME_HEAD = 8,
    MLF_FRAME_LOOK = 2048,         /* more than a head, a key and a point */
    MLF_FRAME_MAX = 64 << 20,      /* payload bytes; a longer length is not believed */
    MLF_FRAME_POINTS = 4096,       /* points after which a writer begins the next frame */
    MLF_FRAME_KEYS = 4096,         /* keys a frame may name */
    MLF_KEY_MAX = 1000             /* bytes of a key: 250 characters of UTF-8 */
};

/* One record as read. The pointers live as long as the payload. */
typedef struct mlf_record {
    enum { MLF_RECORD_POINT, MLF_RECORD_OP } type;
    uint32_t key_index;   /* point: the key's number within the frame */
    const char *key;      /* point: not NUL-terminated */
    size_t key_length;
    int64_t timestamp_ms; /* point */
    int64_t step;         /* point */
    double value;         /* point */
    int op;               /* op: mlf_op_kind, or a number from a later version */
    const char *json;     /* op: not NUL-terminated */
    size_t json_length;
} mlf_record;

/* Bytes that can no longer be read, and what can be made out in them: at least so many records are lost. */
typedef struct mlf_loss {
    uint64_t bytes, points, ops;
} mlf_loss;

/* Reads one payload. Not for threads. Zero it to begin; freed by mlf_reader_free(). */
typedef struct mlf_reader {
    const unsigned char *bytes;
    size_t size, at;
    int64_t timestamp_ms;
    struct mlf_reader_key {
        const char *text;
        size_t length;
        int64_t step;
    } *keys; /* (n_keys) */
    uint32_t n_keys, capacity;
} mlf_reader;

void mlf_reader_begin(mlf_reader *reader, const void *payload, size_t size);
/* 1: *record is filled; 0: the payload is at its end; -1: it is damaged; -2: memory. Borrows the payload. */
int mlf_reader_next(mlf_reader *reader, mlf_record *record);
void mlf_reader_free(mlf_reader *reader);

/* Looks at the frame at bytes[0..size): 1 and its payload when whole and right; 0 when more bytes are needed; -1 when it is damaged. */
int mlf_frame_parse(const void *bytes, size_t size, const unsigned char **payload, size_t *length);

/* Does bytes[0..size) look like the beginning of a frame: 0, or the bytes that the frame would have altogether? For a search among bytes that may be anything:
   cheaper than a checksum, which has the last word. MLF_FRAME_LOOK bytes are enough to say. */
uint64_t mlf_frame_guess(mlf_reader *reader, const void *bytes, size_t size);

/* Writes one frame into a buffer: begin, fill, end. Each returns 0 or an sv_code; on failure call mlf_frame_cancel(). Zero it before the first begin. */
typedef struct mlf_writer {
    sv_buffer *out;
    uint64_t serial;      /* of the frame: how a key's state knows that it is of this one */
    size_t start;         /* where the frame begins in out */
    int64_t timestamp_ms; /* of the last point */
    uint32_t n_keys, n_points;
} mlf_writer;

/* What the writer remembers of a key while a frame is open; kept by the caller, zeroed before its first use. */
typedef struct mlf_writer_key {
    uint64_t serial; /* the frame in which index and step hold */
    uint32_t index;
    int64_t step;
} mlf_writer_key;

int mlf_frame_begin(mlf_writer *writer, sv_buffer *out);
int mlf_frame_point(mlf_writer *writer, mlf_writer_key *state, const char *key, size_t key_length, double value, int64_t timestamp_ms, int64_t step);
int mlf_frame_full(const mlf_writer *writer); /* 1: end it and begin another */
void mlf_frame_end(mlf_writer *writer);       /* fills in length and checksum */
void mlf_frame_cancel(mlf_writer *writer);    /* out is as it was before begin */

/* One whole op frame. */
int mlf_frame_op(sv_buffer *out, int kind, const char *json, size_t length);

/* The frame of an operation becomes one of another kind; its first MLF_FRAME_HEAD + 2 bytes change. */
void mlf_frame_op_again(char *frame, int kind);

#endif
