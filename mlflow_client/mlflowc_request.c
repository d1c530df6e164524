/* mlflowc request, call, endpoints: everything the server has. */
#include "alloc.h"
#include "client_error.h"
#include "endpoints.h"
#include "fields.h"
#include "iterator.h"
#include "json_text.h"
#include "mlflowc.h"

#include <string.h>
#include <unistd.h>

enum { MAX_BODY = 64 << 20 };

static int read_standard_input(mlc *m, sv_buffer *body)
{
    char bytes[65536];
    for (ssize_t got; (got = read(STDIN_FILENO, bytes, sizeof bytes)) != 0;) {
        if (got < 0) return mlf_error_set(&m->error, MLF_E_IO, "standard input cannot be read");
        int failed = sv_buffer_append(body, bytes, (size_t)got);
        if (failed) return mlf_error_set(&m->error, MLF_E_ARGUMENT, "the body is larger than %d bytes", MAX_BODY);
    }
    return MLF_OK;
}

int mlc_request(mlc *m)
{
    sv_buffer body = SV_BUFFER_INIT(MAX_BODY);
    const char *text = m->n_arguments > 2 ? m->arguments[2] : NULL;
    size_t length = text ? strlen(text) : 0;
    char *reply = NULL;
    int code = MLF_OK;
    if (text && !strcmp(text, "-")) {
        code = read_standard_input(m, &body);
        text = body.data ? body.data : "";
        length = body.size;
    }
    if (!code) code = mlf_request_bytes(&reply, &length, m->client, m->arguments[0], m->arguments[1], text, length, &m->error);
    if (!code) fwrite(reply, 1, length, stdout);
    if (!code && length && reply[length - 1] != '\n' && isatty(STDOUT_FILENO)) putchar('\n');
    mlf_free(reply);
    sv_buffer_free(&body);
    return code;
}

/* The type of a field of the endpoint: its first letter, '*' for a list; 's' for one the table does not know. */
static char type_of(const mlf_endpoint *endpoint, const char *name)
{
    mlf_field field;
    for (const char *at = endpoint->fields; mlf_field_next(&field, &at);)
        if (field.name_length == strlen(name) && !memcmp(field.name, name, field.name_length))
            return field.is_list ? '*' : field.type[0];
    return '?';
}

/* "FIELD=VALUE": a text stays a text where the table wants one; anything else is read as JSON, and as a text when it is
 * none. */
static int add_argument(mlc *m, json_t *arguments, const mlf_endpoint *endpoint, char *text)
{
    mlf_pair pair;
    int code = mlc_pairs(m, &text, 1, &pair);
    if (code) return code;
    char type = type_of(endpoint, pair.key);
    json_t *value = NULL;
    if (type != 's' && type != '%') mlf_json_parse(&value, pair.value, strlen(pair.value), 1, NULL);
    if (!value) value = json_string(pair.value);
    if (value && type == '*' && !json_is_array(value)) value = json_pack("[o]", value);
    return json_object_set_new(arguments, pair.key, value)
               ? mlf_error_set(&m->error, MLF_E_ARGUMENT, "%s: no valid UTF-8", pair.key)
               : MLF_OK;
}

/* Every item of every page, one JSON object a line. */
static int call_all(mlc *m, const mlf_endpoint *endpoint, json_t *arguments)
{
    mlf_iterator *iterator = NULL;
    const mlf_object *item;
    int code = mlf_iterator_new(&iterator, m->client, endpoint, arguments, 100, &m->error);
    while (!code && !(code = mlf_iterator_next(&item, iterator, &m->error))) {
        char *text = mlf_object_text(item, 0);
        if (text) puts(text);
        mlf_free(text);
    }
    mlf_iterator_free(iterator);
    return code == MLF_E_END ? MLF_OK : code;
}

int mlc_call(mlc *m)
{
    const mlf_endpoint *endpoint = mlf_endpoint_named(m->arguments[0]);
    if (!endpoint)
        return mlf_error_set(&m->error, MLF_E_ARGUMENT, "there is no endpoint \"%.80s\"; mlflowc endpoints lists them",
                             m->arguments[0]);
    if (endpoint->flags & MLF_EP_RAW)
        return mlf_error_set(&m->error, MLF_E_ARGUMENT, "%s answers no JSON: use mlflowc request or mlflowc artifacts",
                             endpoint->name);
    json_t *arguments = json_object(), *reply = NULL;
    int code = arguments ? MLF_OK : mlf_error_memory(&m->error);
    for (int i = 1; !code && i < m->n_arguments; i++)
        code = add_argument(m, arguments, endpoint, m->arguments[i]);
    if (code) {
        json_decref(arguments);
        return code;
    }
    if (mlc_has(m, "all")) return call_all(m, endpoint, arguments);
    code = mlf_endpoint_call(&reply, m->client, endpoint, arguments, &m->error);
    return mlc_print_object(m, code, mlf_object_of(reply));
}

int mlc_endpoints(mlc *m)
{
    static const mlc_column columns[] = {
        {"NAME", "name"}, {"SINCE", "since"}, {"METHOD", "method"}, {"PATH", "path"}, {"FIELDS", "fields"}};
    const char *wanted = m->n_arguments ? m->arguments[0] : "";
    mlc_table *table = mlc_table_begin(m, columns, sizeof columns / sizeof *columns);
    if (!table) return mlf_error_memory(&m->error);
    for (size_t i = 0; i < MLF_N_ENDPOINTS; i++) {
        const mlf_endpoint *e = mlf_endpoint_at(i);
        char since[16];
        if (!strstr(e->name, wanted) && !strstr(e->path, wanted) && !strstr(e->group, wanted)) continue;
        snprintf(since, sizeof since, "%d.%d", e->since / 100, e->since % 100);
        json_t *row =
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:b}", "name", e->name, "since", since,
                      "method", e->method, "path", e->path, "group", e->group, "fields", e->fields, "reply", e->reply,
                      "purpose", e->purpose, "idempotent", !(e->flags & MLF_EP_ONCE), "raw", !!(e->flags & MLF_EP_RAW),
                      "auth", !!(e->flags & MLF_EP_AUTH), "dead", !!(e->flags & MLF_EP_DEAD));
        if (row) mlc_table_row(table, mlf_object_of(row));
        json_decref(row);
    }
    mlc_table_end(table);
    return MLF_OK;
}
