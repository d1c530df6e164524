/* router.c: see router.h. */
#include "router.h"

#include <stdio.h>

static const sv_row rows[] = {
    {"POST", "/predict", sv_handle_predict, SV_ROUTE_PREDICT, 1, 1, "Predict one row or several", "Rows", "Answers"},
    {"POST", "/invocations", sv_handle_invocations, SV_ROUTE_INVOCATIONS, 1, 1, NULL, NULL, NULL},
    {"GET", "/ping", sv_handle_ping, SV_ROUTE_HEALTH, 0, 0, "Whether a model is loaded", NULL, ""},
    {"GET", "/health", sv_handle_ping, SV_ROUTE_HEALTH, 0, 0, NULL, NULL, NULL},
    {"GET", "/version", sv_handle_version, SV_ROUTE_HEALTH, 0, 0, NULL, NULL, NULL},
    {"GET", "/", sv_handle_root, SV_ROUTE_ROOT, 1, 0, "What is served", NULL, "Service"},
    {"POST", "/explain", sv_handle_explain, SV_ROUTE_EXPLAIN, 1, 1, "Predict and say what each feature adds", "Rows", "Explanations"},
    {"GET", "/metrics", sv_handle_metrics, SV_ROUTE_METRICS, 0, 0, "Counts and figures for Prometheus", NULL, NULL},
    {"GET", "/openapi.json", sv_handle_openapi, SV_ROUTE_DOCS, 1, 0, NULL, NULL, NULL},
    {"GET", "/docs", sv_handle_docs, SV_ROUTE_DOCS, 0, 0, NULL, NULL, NULL},
    {"GET", "/ui", sv_handle_page, SV_ROUTE_PAGE, 0, 0, NULL, NULL, NULL},
    {"GET", "/ui/card", sv_handle_card, SV_ROUTE_PAGE, 1, 0, NULL, NULL, NULL},
    {"GET", "/drift", sv_handle_drift, SV_ROUTE_METRICS, 1, 0, "Live rows beside training: the population stability index of each input", NULL, "Drift"},
    {"POST", "/feedback", sv_handle_feedback, SV_ROUTE_FEEDBACK, 1, 0, "Tell what one prediction or several should have been", "Labels", "Taken"},
    {"GET", "/feedback", sv_handle_live_figures, SV_ROUTE_FEEDBACK, 1, 0, "How each version fared, by the labels that came", NULL, "LiveFigures"},
    {"GET", "/shadow", sv_handle_shadow, SV_ROUTE_METRICS, 0, 0, "The challenger beside the champion", NULL, "Shadow"},
    {"POST", "/webhook", sv_handle_webhook, SV_ROUTE_ADMIN, 0, 0, NULL, NULL, NULL},
    {"GET", "/v2", sv_handle_v2_server, SV_ROUTE_INFER, 0, 0, NULL, NULL, NULL},
    {"GET", "/v2/health/live", sv_handle_v2_live, SV_ROUTE_HEALTH, 0, 0, NULL, NULL, NULL},
    {"GET", "/v2/health/ready", sv_handle_v2_live, SV_ROUTE_HEALTH, 0, 0, NULL, NULL, NULL},
    {"GET", "/v2/models/*", sv_handle_v2_model, SV_ROUTE_INFER, 1, 0, NULL, NULL, NULL},
    {"POST", "/v2/models/*", sv_handle_v2_infer, SV_ROUTE_INFER, 1, 1, NULL, NULL, NULL},
};

#define N_ROWS (sizeof rows / sizeof *rows)

const sv_row *sv_routes(size_t *n)
{
    *n = N_ROWS;
    return rows;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent escapes decoded; what is no escape stays. */
static sv_span decode_path(sv_arena *arena, sv_span path)
{
    if (!memchr(path.text, '%', path.size))
        return path;
    char *out = sv_arena_alloc(arena, path.size), *first = out;
    if (!out)
        return path;
    for (size_t i = 0; i < path.size; i++) {
        int high = path.text[i] == '%' && i + 2 < path.size ? hex_digit(path.text[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(path.text[i + 2]) : -1;
        *out++ = low >= 0 ? (char)(high * 16 + low) : path.text[i];
        i += low >= 0 ? 2 : 0;
    }
    return (sv_span){first, (size_t)(out - first)};
}

/* /models/{name}/rest -> slot and /rest; /v2/models/{name}… -> slot. Returns -1 when no such model is served. */
static int pick_model(sv_call *call, sv_span *path)
{
    int is_v2 = sv_span_starts(*path, "/v2/models/");
    if (!is_v2 && !sv_span_starts(*path, "/models/"))
        return 0;
    size_t skip = is_v2 ? 11 : 8;
    sv_span name = {path->text + skip, path->size - skip};
    const char *slash = memchr(name.text, '/', name.size);
    size_t name_size = slash ? (size_t)(slash - name.text) : name.size;
    for (size_t s = 0; s < call->service->n_slots; s++)
        if (sv_span_is((sv_span){name.text, name_size}, call->service->slots[s].key)) {
            call->slot = s;
            if (!is_v2)
                *path = slash ? (sv_span){slash, name.size - name_size} : (sv_span){"/", 1};
            return 0;
        }
    return -1;
}

static int path_fits(const sv_row *row, sv_span path, sv_span *rest)
{
    size_t size = strlen(row->path);
    if (row->path[size - 1] != '*') {
        *rest = (sv_span){"", 0};
        return path.size == size && memcmp(path.text, row->path, size) == 0;
    }
    if (path.size < size - 1 || memcmp(path.text, row->path, size - 1) != 0)
        return 0;
    *rest = (sv_span){path.text + size - 1, path.size - (size - 1)};
    return 1;
}

static int any_row_fits(sv_span path)
{
    sv_span rest;
    for (size_t i = 0; i < N_ROWS; i++)
        if (path_fits(&rows[i], path, &rest))
            return 1;
    return 0;
}

/* As FastAPI: a path that would be known without the slashes at its end. */
static int redirect_slash(sv_call *call, sv_span path)
{
    size_t size = path.size;
    while (size > 1 && path.text[size - 1] == '/')
        size--;
    if (size == path.size || !any_row_fits((sv_span){path.text, size}))
        return 0;
    const sv_http_request *request = call->request;
    sv_span host = sv_http_header_value(request, "host");
    sv_buffer location = SV_BUFFER_INIT(16384);
    sv_buffer_text(&location, "http://");
    sv_buffer_append(&location, host.text ? host.text : "", host.size);
    if (path.text > call->request->path.text && path.text < call->request->path.text + call->request->path.size) /* below /models/{name} */
        sv_buffer_append(&location, request->path.text, (size_t)(path.text - request->path.text));
    sv_buffer_append(&location, path.text, size);
    sv_buffer_text(&location, request->query.size ? "?" : "");
    sv_buffer_append(&location, request->query.text, request->query.size);
    sv_reply_text(call->reply, 307, NULL, "");
    sv_reply_field(call->reply, "Location", (sv_span){location.data, location.size});
    sv_buffer_free(&location);
    return 1;
}

const sv_row *sv_route_request(sv_call *call)
{
    sv_span path = decode_path(call->arena, call->request->path), rest;
    const char *allowed = NULL;
    if (pick_model(call, &path) == 0) {
        for (size_t i = 0; i < N_ROWS; i++) {
            if (!path_fits(&rows[i], path, &rest))
                continue;
            if (sv_span_is(call->request->method, rows[i].method)) {
                call->argument = rest;
                return &rows[i];
            }
            allowed = allowed ? "GET, POST" : rows[i].method; /* two rows of a path are its GET and its POST */
        }
        if (!allowed && redirect_slash(call, path))
            return NULL;
    }
    sv_reply_detail(call->reply, allowed ? 405 : 404, allowed ? "Method Not Allowed" : "Not Found");
    if (allowed)
        sv_reply_field(call->reply, "Allow", sv_span_of(allowed));
    return NULL;
}
