/* object.h: mlf_object is jansson's json_t by another name, so that the public header needs no jansson. */
#ifndef MLF_OBJECT_H
#define MLF_OBJECT_H

#include "mlflow_client.h"

#include <jansson.h>
#include <stdint.h>

static inline json_t *mlf_object_json(const mlf_object *object)
{
    return (json_t *)(uintptr_t)object;
}

/* Takes over the reference. */
static inline mlf_object *mlf_object_of(json_t *json)
{
    return (mlf_object *)json;
}

/* The value at a path, borrowed; NULL when absent. */
json_t *mlf_json_at(const json_t *json, const char *path);

/* A list of {"key", "value"}; new reference, NULL when memory is out or a text is no UTF-8. */
json_t *mlf_json_pairs(const mlf_pair *pairs, size_t n_pairs);

/* The list with the item at its end. Steals both; NULL when either is, or memory is out: nothing is left out in silence. */
json_t *mlf_json_append(json_t *list, json_t *item);

/* Sets a text, unless it is NULL. 0 or MLF_E_ARGUMENT. */
int mlf_json_set_text(json_t *json, const char *key, const char *text);

#endif
