#include "batch.h"

#include "alloc.h"
#include "error.h"
#include "json_text.h"
#include "number.h"

#include <math.h>
#include <string.h>

static const char *const list_names[MLF_LISTS] = {"metrics", "params", "tags"};
static const uint32_t list_limits[MLF_LISTS] = {MLF_MAX_BATCH_METRICS, MLF_MAX_BATCH_PARAMS, MLF_MAX_BATCH_TAGS};

mlf_batch *mlf_batch_new(void)
{
    return sv_calloc(1, sizeof(mlf_batch));
}

void mlf_batch_clear(mlf_batch *batch)
{
    for (int list = 0; list < MLF_LISTS; list++) {
        for (uint32_t i = 0; list != MLF_LIST_METRICS && i < batch->lists[list].count; i++)
            sv_free(batch->keys[list][i]);
        sv_buffer_clear(&batch->lists[list].json);
        batch->lists[list].count = 0;
    }
    json_decref(batch->payload);
    batch->payload = NULL;
    batch->op = 0;
    batch->state = MLF_BATCH_WAITS;
    batch->next = NULL;
    batch->begin = batch->end = 0;
}

void mlf_batch_free(mlf_batch *batch)
{
    if (!batch)
        return;
    mlf_batch_clear(batch);
    for (int list = 0; list < MLF_LISTS; list++)
        sv_buffer_free(&batch->lists[list].json);
    sv_free(batch);
}

uint32_t mlf_batch_count(const mlf_batch *batch)
{
    return batch->lists[0].count + batch->lists[1].count + batch->lists[2].count;
}

int mlf_batch_is_empty(const mlf_batch *batch)
{
    return !batch->op && !mlf_batch_count(batch);
}

int mlf_batch_is_metrics(const mlf_batch *batch)
{
    return !batch->op && !batch->lists[MLF_LIST_PARAMS].count && !batch->lists[MLF_LIST_TAGS].count;
}

static int has_room(const mlf_batch *batch, mlf_list list)
{
    return !batch->op && batch->lists[list].count < list_limits[list] && mlf_batch_count(batch) < MLF_MAX_BATCH_ITEMS;
}

/* Puts a comma where one is due and room for `more` bytes; the item begins at the returned offset. Negative sv_code. */
static int64_t begin_item(mlf_batch_list *list, size_t more)
{
    int code = sv_buffer_reserve(&list->json, more + 1);
    if (code)
        return code;
    if (list->count)
        list->json.data[list->json.size++] = ',';
    return (int64_t)list->json.size;
}

static void end_item(mlf_batch_list *list, int64_t at)
{
    list->items[list->count++] = (mlf_batch_item){(uint32_t)at, (uint32_t)(list->json.size - (size_t)at)};
}

static char *put(char *at, const char *text, size_t length)
{
    memcpy(at, text, length);
    return at + length;
}

#define PUT(at, literal) put(at, literal, sizeof(literal) - 1)

/* MLflow takes NaN and the infinities as strings. */
static char *put_value(char *at, double value)
{
    if (isnan(value))
        return PUT(at, "\"NaN\"");
    if (isinf(value))
        return value < 0 ? PUT(at, "\"-Infinity\"") : PUT(at, "\"Infinity\"");
    return at + sv_double_text(at, value);
}

static int add_point(mlf_batch *batch, const mlf_record *record)
{
    mlf_batch_list *list = &batch->lists[MLF_LIST_METRICS];
    if (!has_room(batch, MLF_LIST_METRICS))
        return 0;
    size_t before = list->json.size;
    int64_t begin = begin_item(list, 6 * record->key_length + 160);
    if (begin < 0)
        return (int)begin;
    sv_buffer *json = &list->json;
    json->size = (size_t)(PUT(json->data + json->size, "{\"key\":") - json->data);
    if (mlf_json_string(json, record->key, record->key_length)) {
        json->size = before;
        return SV_E_MEMORY;
    }
    char *at = PUT(json->data + json->size, ",\"value\":");
    at = put_value(at, record->value);
    at = PUT(at, ",\"timestamp\":");
    at += sv_long_text(at, record->timestamp_ms);
    at = PUT(at, ",\"step\":");
    at += sv_long_text(at, record->step);
    at = PUT(at, "}");
    json->size = (size_t)(at - json->data);
    *at = '\0';
    end_item(list, begin);
    return 1;
}

/* MLflow refuses a batch that names a key twice. */
static int has_key(const mlf_batch *batch, mlf_list list, const char *key)
{
    for (uint32_t i = 0; i < batch->lists[list].count; i++)
        if (!strcmp(batch->keys[list][i], key))
            return 1;
    return 0;
}

static int add_pair(mlf_batch *batch, mlf_list which, json_t *payload)
{
    mlf_batch_list *list = &batch->lists[which];
    const char *key = json_string_value(json_object_get(payload, "key"));
    if (!key || !json_is_string(json_object_get(payload, "value")))
        return SV_E_INPUT;
    if (!has_room(batch, which) || has_key(batch, which, key))
        return 0;
    size_t before = list->json.size;
    char *copy = sv_strdup(key);
    int64_t begin = copy ? begin_item(list, 0) : SV_E_MEMORY;
    if (begin < 0 || mlf_json_text(&list->json, payload)) {
        list->json.size = before;
        sv_free(copy);
        return SV_E_MEMORY;
    }
    batch->keys[which][list->count] = copy;
    end_item(list, begin);
    return 1;
}

int mlf_batch_add(mlf_batch *batch, const mlf_record *record)
{
    if (record->type == MLF_RECORD_POINT)
        return add_point(batch, record);
    json_t *payload = NULL;
    if (!record->op) /* no kind has this number; a batch without one holds points */
        return SV_E_INPUT;
    int code = mlf_json_parse(&payload, record->json, record->json_length, 0, NULL);
    if (code)
        return code;
    if (record->op == MLF_OP_PARAM || record->op == MLF_OP_TAG) {
        code = add_pair(batch, record->op == MLF_OP_PARAM ? MLF_LIST_PARAMS : MLF_LIST_TAGS, payload);
    } else if (mlf_batch_is_empty(batch)) {
        batch->op = record->op;
        batch->payload = json_incref(payload);
        code = 1;
    }
    json_decref(payload);
    return code;
}

int mlf_batch_body(sv_buffer *body, const mlf_batch *batch, const char *run_id, const uint32_t from[MLF_LISTS], const uint32_t to[MLF_LISTS])
{
    sv_buffer_clear(body);
    int code = sv_buffer_text(body, "{\"run_id\":");
    if (!code)
        code = mlf_json_string(body, run_id, strlen(run_id));
    for (int i = 0; !code && i < MLF_LISTS; i++) {
        const mlf_batch_list *list = &batch->lists[i];
        if (from[i] >= to[i])
            continue;
        const mlf_batch_item *first = &list->items[from[i]], *last = &list->items[to[i] - 1];
        code = sv_buffer_format(body, ",\"%s\":[", list_names[i]);
        if (!code)
            code = sv_buffer_append(body, list->json.data + first->at, last->at + last->length - first->at);
        if (!code)
            code = sv_buffer_byte(body, ']');
    }
    return code ? code : sv_buffer_byte(body, '}');
}
