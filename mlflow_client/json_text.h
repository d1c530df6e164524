/* json_text.h: JSON values to text and back. */
#ifndef MLF_JSON_TEXT_H
#define MLF_JSON_TEXT_H

#include "buffer.h"
#include "error.h"

#include <jansson.h>

/* Appends the value in compact form; 0 or an sv_code, with the buffer as before. */
int mlf_json_text(sv_buffer *buffer, const json_t *value);

/* Appends text[0..length) as a JSON string with its quotes. The text is UTF-8. */
int mlf_json_string(sv_buffer *buffer, const char *text, size_t length);

enum {
    MLF_JSON_DEPTH = 200,      /* nested lists and objects that are read */
    MLF_JSON_VALUES = 4 << 20  /* values that are read: the emptiest take some fifty times their text's size in memory */
};

/* Why a text is no JSON: a constant text, and where, counted from 1, the column in bytes. */
typedef struct mlf_json_fault {
    const char *why;
    int line, column;
} mlf_json_fault;

/* The value that stands in text[0..length) (NULL: an empty text), of any kind; the caller's, NULL when it fails. unique: a member named twice is refused, else
   the last one counts. SV_E_INPUT: it is no JSON, or nested deeper than MLF_JSON_DEPTH, or holds more than MLF_JSON_VALUES; *fault (NULL: nobody asks) says why. SV_E_MEMORY: it may be. */
int mlf_json_parse(json_t **out, const char *text, size_t length, int unique, mlf_json_fault *fault);

#endif
