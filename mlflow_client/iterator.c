#include "iterator.h"

#include "alloc.h"
#include "client_error.h"
#include "fields.h"
#include "json_text.h"
#include "object.h"
#include "validate.h"

#include <string.h>

enum { EMPTY_PAGES = 1000 }; /* in a row; a server with more has no end */

struct mlf_iterator {
    mlf_client *client;
    const mlf_endpoint *endpoint;
    json_t *arguments; /* of the next page, its token included */
    json_t *page;      /* the answer whose items are handed out */
    json_t *wrapped;   /* a text item as an object */
    char list[64];
    size_t next; /* in the page */
    int is_last; /* no page comes after this one */
};

/* 1 when the endpoint takes an argument of that name. */
static int takes(const mlf_endpoint *endpoint, const char *name)
{
    mlf_field field;
    for (const char *at = endpoint->fields; mlf_field_next(&field, &at);)
        if (strlen(name) == field.name_length && !memcmp(name, field.name, field.name_length)) return 1;
    return 0;
}

int mlf_iterator_new(mlf_iterator **out, mlf_client *client, const mlf_endpoint *endpoint, json_t *arguments,
                     int page_size, mlf_error *error)
{
    *out = NULL;
    mlf_iterator *iterator = arguments ? sv_calloc(1, sizeof *iterator) : NULL;
    if (!arguments)
        return mlf_error_set(error, MLF_E_ARGUMENT, "%s: an argument is missing or no valid UTF-8", endpoint->name);
    if (!iterator || mlf_endpoint_list(endpoint, iterator->list, sizeof iterator->list)) {
        json_decref(arguments);
        sv_free(iterator);
        return iterator ? mlf_error_set(error, MLF_E_ARGUMENT, "%s answers no list", endpoint->name)
                        : mlf_error_memory(error);
    }
    iterator->client = client;
    iterator->endpoint = endpoint;
    iterator->arguments = arguments;
    if (page_size > 0 && takes(endpoint, "max_results") && !json_object_get(arguments, "max_results") &&
        json_object_set_new(arguments, "max_results", json_integer(page_size))) {
        mlf_iterator_free(iterator);
        return mlf_error_memory(error);
    }
    *out = iterator;
    return MLF_OK;
}

/* One endpoint (the records of a dataset) tells its list as JSON text inside the JSON. */
static void read_list_in_text(json_t *page, const char *list)
{
    json_t *items = json_object_get(page, list), *read = NULL;
    if (json_is_string(items) && !mlf_json_parse(&read, json_string_value(items), json_string_length(items), 0, NULL))
        json_object_set(page, list, read);
    json_decref(read);
}

/* Fetches the page after this one. A token equal to the one just sent would go on for ever. */
static int turn_page(mlf_iterator *iterator, mlf_error *error)
{
    json_t *page;
    int code = mlf_endpoint_call(&page, iterator->client, iterator->endpoint, json_copy(iterator->arguments), error);
    if (code) return code;
    const char *token = json_string_value(json_object_get(page, "next_page_token"));
    const char *sent = json_string_value(json_object_get(iterator->arguments, "page_token"));
    read_list_in_text(page, iterator->list);
    json_t *items = json_object_get(page, iterator->list);
    iterator->is_last = !token || !*token || (sent && !strcmp(token, sent)) || !takes(iterator->endpoint, "page_token");
    if (items && !json_is_array(items)) {
        json_decref(page);
        return mlf_error_set(error, MLF_E_REPLY, "%s: expected \"%s\" to be a list", iterator->endpoint->name,
                             iterator->list);
    }
    if (!iterator->is_last &&
        json_object_set(iterator->arguments, "page_token", json_object_get(page, "next_page_token"))) {
        json_decref(page);
        return mlf_error_memory(error);
    }
    json_decref(iterator->page);
    iterator->page = page;
    iterator->next = 0;
    return MLF_OK;
}

int mlf_iterator_next(const mlf_object **item, mlf_iterator *iterator, mlf_error *error)
{
    *item = NULL;
    for (int pages = 0;; pages++) {
        json_t *items = json_object_get(iterator->page, iterator->list), *found = json_array_get(items, iterator->next);
        if (found) {
            iterator->next++;
            json_decref(iterator->wrapped);
            iterator->wrapped = json_is_object(found) ? NULL : json_pack("{s:O}", "value", found);
            *item = mlf_object_of(iterator->wrapped ? iterator->wrapped : found);
            return json_is_object(found) || iterator->wrapped ? MLF_OK : mlf_error_memory(error);
        }
        if (iterator->page && iterator->is_last) return MLF_E_END;
        if (pages > EMPTY_PAGES)
            return mlf_error_set(error, MLF_E_REPLY, "%s: %d pages in a row without an item, and still not the last",
                                 iterator->endpoint->name, EMPTY_PAGES);
        int code = turn_page(iterator, error);
        if (code) return code;
    }
}

void mlf_iterator_free(mlf_iterator *iterator)
{
    if (!iterator) return;
    json_decref(iterator->arguments);
    json_decref(iterator->page);
    json_decref(iterator->wrapped);
    sv_free(iterator);
}

int mlf_search(mlf_iterator **out, mlf_client *client, const char *endpoint, const mlf_object *arguments,
               mlf_error *error)
{
    const mlf_endpoint *row = endpoint ? mlf_endpoint_named(endpoint) : NULL;
    *out = NULL;
    if (!row)
        return mlf_error_set(error, MLF_E_ARGUMENT,
                             "there is no endpoint \"%.80s\"; `mlflowc endpoints` shows them", endpoint ? endpoint : "");
    return mlf_iterator_new(out, client, row, arguments ? json_deep_copy(mlf_object_json(arguments)) : json_object(),
                            100, error);
}

/* ---- what a query becomes ---- */

static json_t *texts(const char *const *items, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        if (json_array_append_new(list, json_string(items[i]))) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

json_t *mlf_query_arguments(const mlf_query *query, const char *view_field, int with_experiments)
{
    static const char *const views[] = {"ACTIVE_ONLY", "DELETED_ONLY", "ALL"};
    json_t *arguments = json_object();
    int failed = !arguments;
    if (!query || failed) return arguments;
    failed |= mlf_json_set_text(arguments, "filter", query->filter);
    if (query->n_order_by)
        failed |= json_object_set_new(arguments, "order_by", texts(query->order_by, query->n_order_by));
    if (with_experiments)
        failed |=
            json_object_set_new(arguments, "experiment_ids", texts(query->experiment_ids, query->n_experiment_ids));
    if (view_field && query->view <= MLF_VIEW_ALL)
        failed |= json_object_set_new(arguments, view_field, json_string(views[query->view]));
    if (query->page_size > 0) failed |= json_object_set_new(arguments, "max_results", json_integer(query->page_size));
    if (!failed) return arguments;
    json_decref(arguments);
    return NULL;
}

/* ---- points of a metric ---- */

int mlf_iterator_next_point(mlf_metric_point *point, mlf_iterator *iterator, mlf_error *error)
{
    const mlf_object *item;
    int code = mlf_iterator_next(&item, iterator, error);
    memset(point, 0, sizeof *point);
    if (code) return code;
    if (mlf_object_double(&point->value, item, "value") || mlf_object_integer(&point->timestamp_ms, item, "timestamp"))
        return mlf_error_set(error, MLF_E_REPLY, "a point of a metric without value or timestamp");
    mlf_object_integer(&point->step, item, "step"); /* 0 is left out by the server */
    return MLF_OK;
}
