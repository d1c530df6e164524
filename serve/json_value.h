/* json_value.h: JSON text -> a tree, accepting exactly what Python's json.loads accepts (NaN, Infinity, big integers, lone surrogates, the last of
   doubled keys), since that is what MLflow's server reads with. The careful path: the usual bodies go through row_scan.h and never come here. */
#ifndef SV_JSON_VALUE_H
#define SV_JSON_VALUE_H

#include "arena.h"
#include "buffer.h"
#include "span.h"

#include <stdint.h>

typedef enum sv_json_kind {
    SV_JSON_NULL,
    SV_JSON_FALSE,
    SV_JSON_TRUE,
    SV_JSON_LONG, /* whole */
    SV_JSON_BIG,  /* an integer beyond int64: real is the nearest double, text its digits */
    SV_JSON_REAL, /* real; may be NaN or infinite */
    SV_JSON_TEXT, /* text, UTF-8; a lone surrogate as its three bytes */
    SV_JSON_LIST,
    SV_JSON_OBJECT
} sv_json_kind;

typedef struct sv_json sv_json;
struct sv_json {
    sv_json_kind kind;
    uint32_t n;   /* items, or members */
    sv_span text; /* of a text; of a number as written */
    union {
        int64_t whole;
        double real;
        const sv_json *items; /* (n) of a list; (n) values of an object */
    };
    const sv_span *names; /* (n) of an object, none twice */
};

#define SV_JSON_DEPTH_MAX 512
#define SV_JSON_DIGITS_MAX 4300 /* of one integer, as in Python */

typedef struct sv_json_fault {
    const char *what; /* static, in the words of Python's json module; NULL for "out of memory" */
    size_t at;        /* byte of the text */
    size_t line, column; /* from 1; in characters */
} sv_json_fault;

/* Reads the whole of text into arena. NULL with *fault filled when it is not JSON. The values point into text and arena. text must be UTF-8
   (see sv_json_as_utf8). */
const sv_json *sv_json_read(sv_arena *arena, sv_span text, sv_json_fault *fault);

/* UTF-8, -16 or -32, with or without a mark, told apart as Python does: the same text as UTF-8, in arena where it was another. Returns 0, or -1 with
   *fault: bytes that are not of the encoding. */
int sv_json_as_utf8(sv_arena *arena, sv_span bytes, sv_span *text, sv_json_fault *fault);

/* The member of that name, or NULL. */
const sv_json *sv_json_member(const sv_json *object, const char *name);

/* The value as JSON again, for messages and logs: long texts, lists and deep values are cut, what is not finite is null. */
void sv_json_echo(sv_buffer *out, const sv_json *value);

const char *sv_json_python_type(const sv_json *value); /* "int", "str", "list", "dict", "NoneType", … */

/* 1 when the bytes are UTF-8; with surrogates allowed, as Python's surrogatepass. *at: the first bad byte. */
int sv_utf8_is_valid(sv_span bytes, int surrogates, size_t *at);

#endif
