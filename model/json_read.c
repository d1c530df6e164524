#include "json_read.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

json_t *sv_json_parse(sv_json_reader *reader, const char *json, size_t length)
{
    json_error_t where;
    json_t *document = json_loadb(json, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    if (document)
        return document;
    if (json_error_code(&where) == json_error_out_of_memory || !*where.text) // without memory jansson may say nothing at all
        reader->code = sv_error_set(reader->error, SV_E_MEMORY, "out of memory");
    else
        reader->code = sv_error_set(reader->error, SV_E_INPUT, "%s:%d:%d: %s", reader->file, where.line, where.column, where.text);
    return NULL;
}

int sv_json_fail(sv_json_reader *reader, const char *key, const char *format, ...)
{
    char message[400];
    va_list values;
    if (reader->code)
        return reader->code;
    va_start(values, format);
    vsnprintf(message, sizeof message, format, values);
    va_end(values);
    return reader->code = sv_error_set(reader->error, SV_E_INPUT, "%s: %s%s%s: %s", reader->file, reader->path, *reader->path && *key ? "." : "", key, message);
}

json_t *sv_json_item(sv_json_reader *reader, json_t *array, const char *key, size_t i)
{
    json_t *item = json_array_get(array, i);
    snprintf(reader->path, sizeof reader->path, "%s[%zu]", key, i);
    if (!json_is_object(item))
        sv_json_fail(reader, "", "expected an object");
    return item;
}

void sv_json_known_keys(sv_json_reader *reader, json_t *object, const char *const *known)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key))
            i++;
        if (!known[i])
            sv_json_fail(reader, "", "the unknown key \"%.60s\"", key);
    }
}

static json_t *get(sv_json_reader *reader, json_t *object, const char *key)
{
    json_t *value = reader->code ? NULL : json_object_get(object, key);
    if (!value)
        sv_json_fail(reader, key, "is missing");
    return value;
}

const char *sv_json_get_text(sv_json_reader *reader, json_t *object, const char *key)
{
    json_t *value = get(reader, object, key);
    if (value && (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value)))
        sv_json_fail(reader, key, "expected a text without NUL");
    return reader->code ? "" : json_string_value(value);
}

static double finite_number(sv_json_reader *reader, json_t *value, const char *key)
{
    if (!json_is_number(value) || !isfinite(json_number_value(value)))
        sv_json_fail(reader, key, "expected a finite number");
    return reader->code ? 0 : json_number_value(value);
}

double sv_json_get_number(sv_json_reader *reader, json_t *object, const char *key)
{
    json_t *value = get(reader, object, key);
    return value ? finite_number(reader, value, key) : 0;
}

double sv_json_get_nullable(sv_json_reader *reader, json_t *object, const char *key)
{
    json_t *value = get(reader, object, key);
    return !value ? 0 : json_is_null(value) ? NAN : finite_number(reader, value, key);
}

int64_t sv_json_get_integer(sv_json_reader *reader, json_t *object, const char *key, int64_t min, int64_t max)
{
    json_t *value = get(reader, object, key);
    if (value && (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max))
        sv_json_fail(reader, key, "expected a whole number from %lld to %lld", (long long)min, (long long)max);
    return reader->code ? 0 : json_integer_value(value);
}

int sv_json_get_flag(sv_json_reader *reader, json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (value && !json_is_boolean(value))
        sv_json_fail(reader, key, "expected true or false");
    return json_is_true(value);
}

json_t *sv_json_get_array(sv_json_reader *reader, json_t *object, const char *key, size_t max)
{
    json_t *value = get(reader, object, key);
    if (value && (!json_is_array(value) || json_array_size(value) > max))
        sv_json_fail(reader, key, "expected an array of at most %zu items", max);
    return reader->code ? NULL : value;
}

void sv_json_get_numbers(sv_json_reader *reader, json_t *object, const char *key, double *out, size_t n)
{
    json_t *array = sv_json_get_array(reader, object, key, SIZE_MAX);
    if (array && json_array_size(array) != n)
        sv_json_fail(reader, key, "expected %zu numbers, got %zu", n, json_array_size(array));
    for (size_t i = 0; i < n && !reader->code; i++)
        out[i] = finite_number(reader, json_array_get(array, i), key);
}
