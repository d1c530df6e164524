#include "fields.h"

#include "client_error.h"
#include "number.h"
#include "validate.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 40 };

static const struct {
    const char *name, *text;
} shapes[] =
    {
#define SHAPE(name, fields) {#name, fields},
#define ENUM(name, names)
#include "endpoint_shapes.def"
#undef SHAPE
#undef ENUM
},
  enums[] = {
#define SHAPE(name, fields)
#define ENUM(name, names) {#name, names},
#include "endpoint_shapes.def"
#undef SHAPE
#undef ENUM
};

const char *mlf_shape_fields(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (!strncmp(shapes[i].name, name, length) && !shapes[i].name[length]) return shapes[i].text;
    return NULL;
}

const char *mlf_enum_names(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof enums / sizeof *enums; i++)
        if (!strncmp(enums[i].name, name, length) && !enums[i].name[length]) return enums[i].text;
    return NULL;
}

int mlf_field_next(mlf_field *field, const char **fields)
{
    const char *at = *fields + strspn(*fields, " ");
    if (!*at) return 0;
    field->name = at;
    field->name_length = strcspn(at, "!:");
    field->required = at[field->name_length] == '!';
    field->type = at + field->name_length + field->required + 1;
    field->type_length = strcspn(field->type, " *");
    field->is_list = field->type[field->type_length] == '*';
    *fields = field->type + field->type_length + field->is_list;
    return 1;
}

/* Where in the arguments the check is: "metrics[3].value", for the message. */
typedef struct place {
    const struct place *above;
    const char *name;
    size_t name_length;
    long index; /* -1: not in a list */
} place;

static size_t write_place(const place *where, char *into, size_t size)
{
    size_t used = where->above ? write_place(where->above, into, size) : 0;
    if (used >= size) return size;
    int more = where->index >= 0 ? snprintf(into + used, size - used, "[%ld]", where->index)
                                 : snprintf(into + used, size - used, "%s%.*s", used ? "." : "",
                                            (int)where->name_length, where->name);
    return more < 0 ? used : used + (size_t)more;
}

/* What came, for a message: its JSON, cut. */
static void show(const json_t *value, char into[80])
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    mlf_text_copy(into, 80, text ? text : "?", text ? strlen(text) : 1);
    json_free_t release;
    json_get_alloc_funcs(NULL, &release);
    release(text);
}

static int refuse(const place *where, const char *expected, const json_t *value, mlf_error *error)
{
    char name[160] = "", came[80];
    write_place(where, name, sizeof name);
    show(value, came);
    return mlf_error_set(error, MLF_E_ARGUMENT, "field \"%s\": expected %s, got %s", name, expected, came);
}

static int check_integer(const place *where, const json_t *value, mlf_error *error)
{
    int64_t number;
    double real = json_real_value(value);
    int fits = json_is_integer(value) ||
               (json_is_real(value) && real == floor(real) && fabs(real) < 9007199254740992.0) ||
               (json_is_string(value) && !sv_parse_int64(json_string_value(value), json_string_length(value), &number));
    return fits ? MLF_OK : refuse(where, "a whole number of 64 bits", value, error);
}

static int check_enum(const place *where, const mlf_field *field, const json_t *value, mlf_error *error)
{
    const char *names = mlf_enum_names(field->type + 1, field->type_length - 1), *name = json_string_value(value);
    size_t length = name ? strlen(name) : 0;
    for (const char *at = names; at && length; at = strchr(at, '|'), at = at ? at + 1 : NULL)
        if (!strncmp(at, name, length) && (at[length] == '|' || !at[length])) return MLF_OK;
    char expected[400];
    snprintf(expected, sizeof expected, "one of %s", names ? names : "?");
    return refuse(where, expected, value, error);
}

static int check_map(const place *where, const json_t *value, mlf_error *error)
{
    const char *key;
    json_t *item;
    if (!json_is_object(value)) return refuse(where, "an object of texts", value, error);
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
    {
        if (!json_is_string(item)) return refuse(where, "texts as values", value, error);
    }
    return MLF_OK;
}

static int check_object(const char *fields, const json_t *arguments, int open, const place *where, int depth,
                        mlf_error *error);

static int check_value(const place *where, const mlf_field *field, const json_t *value, int depth, mlf_error *error)
{
    double number;
    switch (field->type[0]) {
    case 's':
        return json_is_string(value) ? MLF_OK : refuse(where, "a text in quotes", value, error);
    case 'i':
        return check_integer(where, value, error);
    case 'd':
        return !mlf_json_to_double(value, &number)
                   ? MLF_OK
                   : refuse(where, "a number, or \"NaN\", \"Infinity\" or \"-Infinity\" in quotes", value, error);
    case 'b':
        return json_is_boolean(value) ? MLF_OK : refuse(where, "true or false", value, error);
    case 'm':
        return check_map(where, value, error);
    case '%':
        return check_enum(where, field, value, error);
    case '@':
        if (!json_is_object(value)) return refuse(where, "an object", value, error);
        return check_object(mlf_shape_fields(field->type + 1, field->type_length - 1), value, 0, where, depth + 1,
                            error);
    default:
        return MLF_OK;
    }
}

static int check_list(const place *where, const mlf_field *field, const json_t *list, int depth, mlf_error *error)
{
    size_t i;
    json_t *item;
    int code = MLF_OK;
    if (!json_is_array(list)) return refuse(where, "a list", list, error);
    json_array_foreach(list, i, item)
    {
        place here = {where, NULL, 0, (long)i};
        if ((code = check_value(&here, field, item, depth, error))) break;
    }
    return code;
}

/* The field of that name, or -1. */
static int find_field(mlf_field *field, const char *fields, const char *name)
{
    while (mlf_field_next(field, &fields))
        if (strlen(name) == field->name_length && !memcmp(name, field->name, field->name_length)) return 0;
    return -1;
}

static int refuse_unknown(const char *fields, const place *where, const char *key, mlf_error *error)
{
    char known[400] = "", name[160] = "";
    mlf_field field;
    place here = {where, key, strlen(key), -1};
    for (const char *at = fields; mlf_field_next(&field, &at);)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%.*s", *known ? ", " : "",
                 (int)field.name_length, field.name);
    write_place(&here, name, sizeof name);
    return mlf_error_set(error, MLF_E_ARGUMENT, "field \"%s\" is not known here; expected: %s", name,
                         *known ? known : "none");
}

static int check_object(const char *fields, const json_t *arguments, int open, const place *where, int depth,
                        mlf_error *error)
{
    const char *key;
    json_t *value;
    mlf_field field;
    int code = MLF_OK;
    if (depth > MAX_DEPTH || !fields)
        return mlf_error_set(error, MLF_E_ARGUMENT, "arguments are nested more than %d deep", MAX_DEPTH);
    for (const char *at = fields; !code && mlf_field_next(&field, &at);) {
        if (!field.required || json_object_getn(arguments, field.name, field.name_length)) continue;
        char name[160] = "";
        place here = {where, field.name, field.name_length, -1};
        write_place(&here, name, sizeof name);
        code = mlf_error_set(error, MLF_E_ARGUMENT, "field \"%s\" is missing", name);
    }
    json_object_foreach((json_t *)(uintptr_t)arguments, key, value)
    {
        place here = {where, key, strlen(key), -1};
        if (code || json_is_null(value)) continue;
        if (find_field(&field, fields, key))
            code = open ? MLF_OK : refuse_unknown(fields, where, key, error);
        else
            code = field.is_list ? check_list(&here, &field, value, depth, error)
                                 : check_value(&here, &field, value, depth, error);
    }
    return code;
}

int mlf_fields_check(const char *fields, const json_t *arguments, int open, mlf_error *error)
{
    return check_object(fields, arguments, open, NULL, 0, error);
}
