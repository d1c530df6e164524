/* json_read.h: strict reading of parsed JSON: every mistake names its place ("terms[3].mean: expected 2 numbers"). Private to model/. */
#ifndef SV_JSON_READ_H
#define SV_JSON_READ_H

#include "error.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sv_json_reader {
    const char *file; /* for messages */
    char path[160];   /* of the object in work: "terms[3]"; empty at the top */
    sv_error *error;
    int code; /* first error; later calls do nothing and give zeros */
} sv_json_reader;

/* The document, or NULL with the reader's code set: syntax, nesting, duplicate keys. */
json_t *sv_json_parse(sv_json_reader *reader, const char *json, size_t length);

/* Puts down "file: path.key: message". Returns reader->code. */
int sv_json_fail(sv_json_reader *reader, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Goes to the i-th item of the array "key", which must be an object: sets the path. */
json_t *sv_json_item(sv_json_reader *reader, json_t *array, const char *key, size_t i);

/* Keys of an object: those of `known` (NULL-terminated) alone. */
void sv_json_known_keys(sv_json_reader *reader, json_t *object, const char *const *known);

/* Each takes object[key]; absent is an error unless said otherwise. */
const char *sv_json_get_text(sv_json_reader *reader, json_t *object, const char *key); /* holds no NUL; "" after an error */
double sv_json_get_number(sv_json_reader *reader, json_t *object, const char *key);   /* finite */
double sv_json_get_nullable(sv_json_reader *reader, json_t *object, const char *key); /* NaN for null */
int64_t sv_json_get_integer(sv_json_reader *reader, json_t *object, const char *key, int64_t min, int64_t max);
int sv_json_get_flag(sv_json_reader *reader, json_t *object, const char *key); /* absent: 0 */
json_t *sv_json_get_array(sv_json_reader *reader, json_t *object, const char *key, size_t max);
/* Fills out[0..n) from an array of exactly n finite numbers. */
void sv_json_get_numbers(sv_json_reader *reader, json_t *object, const char *key, double *out, size_t n);

#endif
