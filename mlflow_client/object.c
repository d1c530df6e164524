#include "object.h"

#include "alloc.h"
#include "client_error.h"
#include "number.h"
#include "reply.h"
#include "validate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

mlf_object *mlf_object_new(void)
{
    return mlf_object_of(json_object());
}

int mlf_object_parse(mlf_object **out, const char *json, mlf_error *error)
{
    json_t *parsed = NULL;
    int code = json ? mlf_reply_json(&parsed, json, strlen(json), error) : mlf_error_set(error, MLF_E_ARGUMENT, "no JSON text was given");
    *out = mlf_object_of(parsed);
    if (code == MLF_E_REPLY) {
        if (error) error->code = MLF_E_ARGUMENT;
        code = MLF_E_ARGUMENT;
    }
    return code;
}

void mlf_object_free(mlf_object *object)
{
    json_decref(mlf_object_json(object));
}

char *mlf_object_text(const mlf_object *object, int indent)
{
    if (indent < 0) indent = 0;
    char *text = json_dumps(mlf_object_json(object), indent ? JSON_INDENT((size_t)indent & 31) : 0),
         *copy = sv_strdup(text);
    json_free_t release;
    json_get_alloc_funcs(NULL, &release);
    release(text);
    return copy;
}

/* One step of a path: a member's name, then any number of "[i]"; *path is moved behind it and its dot. */
static json_t *step(json_t *json, const char **path)
{
    size_t name = strcspn(*path, ".[");
    json = json_object_getn(json, *path, name);
    *path += name;
    while (**path == '[') {
        char *end;
        unsigned long i = strtoul(*path + 1, &end, 10);
        if (*end != ']') return NULL;
        json = json_array_get(json, i);
        *path = end + 1;
    }
    if (**path == '.') ++*path;
    return json;
}

json_t *mlf_json_at(const json_t *json, const char *path)
{
    json_t *at = (json_t *)(uintptr_t)json;
    while (at && *path)
        at = step(at, &path);
    return at;
}

static json_t *find(const mlf_object *object, const char *path)
{
    return mlf_json_at(mlf_object_json(object), path);
}

/* ---- readers ---- */

const char *mlf_object_string(const mlf_object *object, const char *path)
{
    return json_string_value(find(object, path));
}

int mlf_object_integer(int64_t *out, const mlf_object *object, const char *path)
{
    const json_t *value = find(object, path);
    double real = json_real_value(value);
    *out = 0;
    if (json_is_string(value))
        return sv_parse_int64(json_string_value(value), json_string_length(value), out) ? MLF_E_NOT_FOUND : MLF_OK;
    if (json_is_real(value) && real == floor(real) && fabs(real) < 9007199254740992.0)
        return *out = (int64_t)real, MLF_OK;
    *out = json_integer_value(value);
    return json_is_integer(value) ? MLF_OK : MLF_E_NOT_FOUND;
}

int mlf_object_double(double *out, const mlf_object *object, const char *path)
{
    *out = 0;
    return mlf_json_to_double(find(object, path), out) ? MLF_E_NOT_FOUND : MLF_OK;
}

int mlf_object_flag(const mlf_object *object, const char *path)
{
    return json_is_true(find(object, path));
}

size_t mlf_object_count(const mlf_object *object, const char *path)
{
    return json_array_size(find(object, path));
}

const mlf_object *mlf_object_item(const mlf_object *object, const char *path, size_t i)
{
    json_t *item = json_array_get(find(object, path), i);
    return json_is_object(item) ? mlf_object_of(item) : NULL;
}

const mlf_object *mlf_object_inner(const mlf_object *object, const char *path)
{
    json_t *inner = find(object, path);
    return json_is_object(inner) ? mlf_object_of(inner) : NULL;
}

const char *mlf_object_item_string(const mlf_object *object, const char *path, size_t i)
{
    return json_string_value(json_array_get(find(object, path), i));
}

const char *mlf_object_lookup(const mlf_object *object, const char *path, const char *key)
{
    size_t i;
    json_t *pair;
    json_array_foreach(find(object, path), i, pair)
    {
        const char *name = json_string_value(json_object_get(pair, "key"));
        if (name && !strcmp(name, key)) return json_string_value(json_object_get(pair, "value"));
    }
    return NULL;
}

/* ---- writers ---- */

/* The object that holds the last name of the path; the ones before are made when missing. NULL: a step is no object, or
 * memory is out. */
static json_t *holder(json_t *json, const char **path)
{
    for (const char *dot; json && (dot = strchr(*path, '.')); *path = dot + 1) {
        json_t *inner = json_object_getn(json, *path, (size_t)(dot - *path));
        if (!inner && json_object_setn_new(json, *path, (size_t)(dot - *path), inner = json_object())) return NULL;
        json = inner;
    }
    return json_is_object(json) ? json : NULL;
}

/* Steals value; NULL: it could not be made. */
static int set(mlf_object *object, const char *path, json_t *value)
{
    if (!value) return MLF_E_ARGUMENT;
    json_t *into = holder(mlf_object_json(object), &path);
    if (into) return json_object_set_new(into, path, value) ? MLF_E_ARGUMENT : MLF_OK;
    json_decref(value);
    return MLF_E_ARGUMENT;
}

/* Steals value and puts it at the end of the list. */
static int add(mlf_object *object, const char *path, json_t *value)
{
    json_t *into = value ? holder(mlf_object_json(object), &path) : NULL, *list = json_object_get(into, path);
    if (into && !list && json_object_set_new(into, path, list = json_array())) list = NULL;
    if (json_is_array(list)) return json_array_append_new(list, value) ? MLF_E_ARGUMENT : MLF_OK;
    json_decref(value);
    return MLF_E_ARGUMENT;
}

int mlf_object_set_string(mlf_object *object, const char *path, const char *value)
{
    return value ? set(object, path, json_string(value)) : MLF_OK;
}

int mlf_object_set_integer(mlf_object *object, const char *path, int64_t value)
{
    return set(object, path, json_integer(value));
}

int mlf_object_set_double(mlf_object *object, const char *path, double value)
{
    return set(object, path, mlf_json_double(value));
}

int mlf_object_set_flag(mlf_object *object, const char *path, int value)
{
    return set(object, path, json_boolean(value));
}

int mlf_object_set_object(mlf_object *object, const char *path, const mlf_object *value)
{
    return value ? set(object, path, json_deep_copy(mlf_object_json(value))) : MLF_OK;
}

int mlf_object_add_string(mlf_object *object, const char *path, const char *value)
{
    return value ? add(object, path, json_string(value)) : MLF_OK;
}

int mlf_object_add_object(mlf_object *object, const char *path, const mlf_object *value)
{
    return value ? add(object, path, json_deep_copy(mlf_object_json(value))) : MLF_OK;
}

int mlf_object_add_pair(mlf_object *object, const char *path, const char *key, const char *value)
{
    return add(object, path, json_pack("{s:s, s:s}", "key", key, "value", value ? value : ""));
}

/* ---- for the typed functions ---- */

json_t *mlf_json_pairs(const mlf_pair *pairs, size_t n_pairs)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < n_pairs; i++)
        list = mlf_json_append(
            list, json_pack("{s:s, s:s}", "key", pairs[i].key, "value", pairs[i].value ? pairs[i].value : ""));
    return list;
}

json_t *mlf_json_append(json_t *list, json_t *item)
{
    if (list && item && !json_array_append_new(list, item)) return list;
    if (!list) json_decref(item); /* an append that failed has freed it */
    json_decref(list);
    return NULL;
}

int mlf_json_set_text(json_t *json, const char *key, const char *text)
{
    if (!text) return MLF_OK;
    return json_object_set_new(json, key, json_string(text)) ? MLF_E_ARGUMENT : MLF_OK;
}
