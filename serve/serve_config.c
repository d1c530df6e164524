/* serve_config.c: see serve_config.h. The table below is the one place where a key stands. */
#include "serve_config.h"

#include "buffer.h"
#include "file.h"
#include "traffic_split.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define FILE_MAX_BYTES (1u << 20)
#define DEPTH_MAX 8

typedef enum kind { TEXT, WHOLE, REAL, LIST, NAMED } kind; /* NAMED: a mapping of names to texts; two lists */

typedef struct key {
    const char *name;
    kind kind;
    size_t offset, second; /* second: NAMED's texts */
    double least, most;
    const char *fallback; /* the default, as text */
    const char *help;
} key;

#define AT(field) offsetof(sv_serve_config, field), 0

static const key keys[] = {
    {"model", TEXT, AT(model), 0, 0, NULL, "URI of the model: models:/name@alias, models:/name/3, models:/m-…, runs:/ID/path, a folder"},
    {"models", NAMED, offsetof(sv_serve_config, model_names), offsetof(sv_serve_config, model_uris), 0, 0, NULL, "several models: name to URI; the first answers at the root"},
    {"shadow", TEXT, AT(shadow), 0, 0, NULL, "URI of a challenger that scores the first model's requests in the background; how far it differs is at /shadow and /metrics"},
    {"split", TEXT, AT(split), 0, 0, NULL, "parts of the requests that champion and challenger answer, such as 90/10; needs 'shadow'"},
    {"host", TEXT, AT(host), 0, 0, "127.0.0.1", "address to listen on"},
    {"port", WHOLE, AT(port), 0, 65535, "8080", "port; 0 takes a free one"},
    {"threads", WHOLE, AT(threads), 0, 256, "0", "threads that answer; 0: one a core"},
    {"cache", TEXT, AT(cache), 0, 0, NULL, "folder for fetched models; default $XDG_CACHE_HOME/solvent-serve"},
    {"poll_seconds", WHOLE, AT(poll_seconds), 0, 86400, "10", "how often the registry is asked; 0: never"},
    {"webhook_secret", TEXT, AT(webhook_secret), 0, 0, NULL, "secret of MLflow's webhooks at POST /webhook"},
    {"api_keys", LIST, AT(api_keys), 0, 0, NULL, "SHA-256 of each key that may ask, in hexadecimal"},
    {"cors.origins", LIST, AT(cors_origins), 0, 0, NULL, "origins whose pages may ask; * for all"},
    {"tls.certificate", TEXT, AT(tls_certificate), 0, 0, NULL, "PEM file with the chain; read again when it changes"},
    {"tls.key", TEXT, AT(tls_key), 0, 0, NULL, "PEM file with the private key"},
    {"access_log", TEXT, AT(access_log), 0, 0, NULL, "file for one JSON line a request; - is standard error"},
    {"feedback.keep", WHOLE, AT(feedback_keep), 0, 1e8, "65536", "predictions kept for POST /feedback, 40 bytes each; 0: none"},
    {"monitor.experiment", TEXT, AT(monitor_experiment), 0, 0, NULL, "MLflow experiment with a run for each version, to which drift and live figures are logged"},
    {"monitor.every_seconds", WHOLE, AT(monitor_every_seconds), 1, 86400, "60", "time between two such figures"},
    {"prediction_log.file", TEXT, AT(prediction_log_file), 0, 0, NULL, "file for one JSON line an answered row: id, version, inputs, outputs"},
    {"prediction_log.max_bytes", WHOLE, AT(prediction_log_max_bytes), 4096, 1e15, "67108864", "a file that would grow beyond it becomes FILE.1, that one FILE.2, and so on"},
    {"prediction_log.files", WHOLE, AT(prediction_log_files), 1, 1000, "5", "files kept, with the one being written"},
    {"prediction_log.sample", REAL, AT(prediction_log_sample), 0, 1, "1", "share of the requests, by their id"},
    {"prediction_log.redact", LIST, AT(prediction_log_redact), 0, 0, NULL, "inputs whose values are left out"},
    {"drift.window_seconds", WHOLE, AT(drift_window_seconds), 10, 1e8, "3600", "length of the sliding window"},
    {"drift.min_rows", WHOLE, AT(drift_min_rows), 1, 1e9, "200", "rows in the window before a drift figure is shown"},
    {"drift.threshold", REAL, AT(drift_threshold), 0, 1e6, "0.25", "a population stability index of at least this is noticed"},
    {"limits.body_bytes", WHOLE, AT(max_body_bytes), 1, 1e10, "16777216", "longest body, else 413"},
    {"limits.head_bytes", WHOLE, AT(max_head_bytes), 256, 65536, "16384", "longest head, else 431"},
    {"limits.target_bytes", WHOLE, AT(max_target_bytes), 16, 65536, "8192", "longest request target, else 414"},
    {"limits.rows", WHOLE, AT(max_rows), 1, 1e8, "200000", "rows of one request, else 413"},
    {"limits.connections", WHOLE, AT(max_connections), 1, 1e6, "4096", "open connections, else 503"},
    {"limits.buffered_bytes", WHOLE, AT(max_buffered_bytes), 0, 1e12, "0", "unfinished requests and unsent answers of all connections, else 503; 0: a quarter of the memory there is, at most 256 MB"},
    {"limits.head_timeout_ms", WHOLE, AT(head_timeout_ms), 1, 1e8, "10000", "first byte to end of head, else 408"},
    {"limits.request_timeout_ms", WHOLE, AT(request_timeout_ms), 1, 1e8, "60000", "first byte to end of body, else 408"},
    {"limits.idle_timeout_ms", WHOLE, AT(idle_timeout_ms), 1, 1e8, "75000", "time between requests, then closed"},
    {"limits.drain_timeout_ms", WHOLE, AT(drain_timeout_ms), 0, 1e8, "8000", "time for requests in progress at the end; platforms kill after 10 s"},
};

#define N_KEYS (sizeof keys / sizeof *keys)

static void *field(sv_serve_config *config, size_t offset)
{
    return (char *)config + offset;
}

static const key *find_key(const char *name)
{
    for (size_t i = 0; i < N_KEYS; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

/* Changes of one letter between two words (Levenshtein), for "did you mean". */
static size_t distance(const char *a, const char *b)
{
    size_t row[80], n = strlen(b);
    if (n >= 80)
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t above = row[j], change = diagonal + (a[i - 1] != b[j - 1]);
            size_t least = above + 1 < row[j - 1] + 1 ? above + 1 : row[j - 1] + 1;
            diagonal = above;
            row[j] = change < least ? change : least;
        }
    }
    return row[n];
}

static const char *nearest_key(const char *name)
{
    const char *best = keys[0].name;
    for (size_t i = 1; i < N_KEYS; i++)
        if (distance(name, keys[i].name) < distance(name, best))
            best = keys[i].name;
    return best;
}

/* ${NAME} replaced; an unset name is an error. */
static char *expand(sv_arena *arena, const char *text, sv_error *error)
{
    sv_buffer out = SV_BUFFER_INIT(65536);
    int bad = sv_buffer_text(&out, "");
    for (const char *p = text; *p && !bad;) {
        const char *end = p[0] == '$' && p[1] == '{' ? strchr(p, '}') : NULL;
        char name[128];
        if (!end || (size_t)(end - p) >= sizeof name) {
            bad = sv_buffer_byte(&out, *p++);
            continue;
        }
        snprintf(name, sizeof name, "%.*s", (int)(end - p - 2), p + 2);
        const char *value = getenv(name);
        if (!value) {
            sv_buffer_free(&out);
            sv_error_set(error, SV_E_CONFIG, "the environment has no variable %s", name);
            return NULL;
        }
        bad = sv_buffer_text(&out, value);
        p = end + 1;
    }
    char *copy = bad ? NULL : sv_arena_strndup(arena, out.data, out.size);
    if (!copy)
        sv_error_set(error, SV_E_MEMORY, "out of memory");
    sv_buffer_free(&out);
    return copy;
}

static int set_number(sv_serve_config *config, const key *k, const char *text, sv_error *error)
{
    char *end;
    errno = 0;
    double value = k->kind == WHOLE ? (double)strtoll(text, &end, 10) : strtod(text, &end);
    if (errno || end == text || *end || !(value >= k->least && value <= k->most))
        return sv_error_set(error, SV_E_CONFIG, "in '%s': must be %s from %.15g to %.15g, got '%s'", k->name, k->kind == WHOLE ? "a whole number" : "a number", k->least,
                            k->most, text);
    if (k->kind == WHOLE)
        *(long *)field(config, k->offset) = (long)value;
    else
        *(double *)field(config, k->offset) = value;
    return 0;
}

int sv_serve_config_set(sv_serve_config *config, const char *name, const char *text, sv_error *error)
{
    const key *k = find_key(name);
    if (!k || k->kind == LIST || k->kind == NAMED)
        return sv_error_set(error, SV_E_CONFIG, "unknown key '%s'; nearest: '%s'", name, nearest_key(name));
    if (k->kind != TEXT)
        return set_number(config, k, text, error);
    char *copy = expand(&config->arena, text, error);
    *(const char **)field(config, k->offset) = copy;
    return copy ? 0 : error->code;
}

void sv_serve_config_init(sv_serve_config *config)
{
    sv_error error = SV_ERROR_INIT;
    *config = (sv_serve_config){.arena = SV_ARENA_INIT(4096, 8u << 20)};
    for (size_t i = 0; i < N_KEYS; i++)
        if (keys[i].fallback)
            sv_serve_config_set(config, keys[i].name, keys[i].fallback, &error);
}

void sv_serve_config_free(sv_serve_config *config)
{
    sv_arena_free(&config->arena);
}

/* ---- the file ---- */

typedef struct reading {
    sv_serve_config *config;
    const char *path;
    yaml_document_t *document;
    unsigned char seen[N_KEYS];
    sv_error *error;
} reading;

static int fault(reading *r, const yaml_node_t *node, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int fault(reading *r, const yaml_node_t *node, const char *format, ...)
{
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return sv_error_set(r->error, SV_E_CONFIG, "%s:%zu:%zu: %s", r->path, node->start_mark.line + 1, node->start_mark.column + 1, text);
}

static const char *scalar(const yaml_node_t *node)
{
    return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

static int append(reading *r, const yaml_node_t *node, sv_text_list *list, const char *text)
{
    const char **texts = sv_arena_alloc(&r->config->arena, (list->n + 1) * sizeof *texts);
    char *copy = texts ? expand(&r->config->arena, text, r->error) : NULL;
    if (!copy) {
        sv_error_prefix(r->error, "%s:%zu:%zu: ", r->path, node->start_mark.line + 1, node->start_mark.column + 1);
        return r->error->code ? r->error->code : sv_error_set(r->error, SV_E_MEMORY, "out of memory");
    }
    if (list->n)
        memcpy(texts, list->texts, list->n * sizeof *texts);
    texts[list->n++] = copy;
    list->texts = texts;
    return 0;
}

static int read_list(reading *r, const key *k, const yaml_node_t *node)
{
    sv_text_list *list = field(r->config, k->offset);
    *list = (sv_text_list){0};
    if (node->type != YAML_SEQUENCE_NODE)
        return fault(r, node, "in '%s': expected a list", k->name);
    for (const yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
        const yaml_node_t *entry = yaml_document_get_node(r->document, *item);
        if (!scalar(entry))
            return fault(r, node, "in '%s': expected texts", k->name);
        int code = append(r, entry, list, scalar(entry));
        if (code)
            return code;
    }
    return 0;
}

static int read_named(reading *r, const key *k, const yaml_node_t *node)
{
    sv_text_list *names = field(r->config, k->offset), *texts = field(r->config, k->second);
    *names = *texts = (sv_text_list){0};
    if (node->type != YAML_MAPPING_NODE)
        return fault(r, node, "in '%s': expected NAME: URI", k->name);
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *name = yaml_document_get_node(r->document, pair->key), *text = yaml_document_get_node(r->document, pair->value);
        if (!scalar(name) || !scalar(text) || strchr(scalar(name), '/'))
            return fault(r, name, "in '%s': expected NAME: URI, the name without '/'", k->name);
        int code = append(r, name, names, scalar(name));
        code = code ? code : append(r, text, texts, scalar(text));
        if (code)
            return code;
    }
    return 0;
}

static int read_mapping(reading *r, const yaml_node_t *node, const char *prefix, int depth);

static int read_pair(reading *r, const yaml_node_t *name_node, const yaml_node_t *value, const char *prefix, int depth)
{
    char name[200];
    if (!scalar(name_node))
        return fault(r, name_node, "expected a key");
    snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", scalar(name_node));
    const key *k = find_key(name);
    if (!k && value->type == YAML_MAPPING_NODE && depth < DEPTH_MAX) {
        size_t size = strlen(name);
        for (size_t i = 0; i < N_KEYS; i++)
            if (strncmp(keys[i].name, name, size) == 0 && keys[i].name[size] == '.')
                return read_mapping(r, value, name, depth + 1);
    }
    if (!k)
        return fault(r, name_node, "unknown key '%s'; nearest: '%s'", name, nearest_key(name));
    if (r->seen[k - keys]++)
        return fault(r, name_node, "key '%s' is there twice", name);
    if (k->kind == LIST)
        return read_list(r, k, value);
    if (k->kind == NAMED)
        return read_named(r, k, value);
    if (!scalar(value))
        return fault(r, value, "in '%s': expected one value", name);
    int code = sv_serve_config_set(r->config, name, scalar(value), r->error);
    if (code)
        sv_error_prefix(r->error, "%s:%zu:%zu: ", r->path, value->start_mark.line + 1, value->start_mark.column + 1);
    return code;
}

static int read_mapping(reading *r, const yaml_node_t *node, const char *prefix, int depth)
{
    if (node->type != YAML_MAPPING_NODE)
        return fault(r, node, "expected KEY: VALUE lines");
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        int code = read_pair(r, yaml_document_get_node(r->document, pair->key), yaml_document_get_node(r->document, pair->value), prefix, depth);
        if (code)
            return code;
    }
    return 0;
}

int sv_serve_config_read(sv_serve_config *config, const char *path, sv_error *error)
{
    sv_buffer text = SV_BUFFER_INIT(FILE_MAX_BYTES);
    int code = sv_file_read(&text, path, FILE_MAX_BYTES, error);
    if (code) {
        sv_buffer_free(&text);
        error->code = SV_E_CONFIG;
        return SV_E_CONFIG;
    }
    yaml_parser_t parser;
    yaml_document_t document;
    yaml_parser_initialize(&parser);
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.data ? text.data : ""), text.size);
    if (!yaml_parser_load(&parser, &document)) {
        code = sv_error_set(error, SV_E_CONFIG, "%s:%zu:%zu: %s", path, parser.problem_mark.line + 1, parser.problem_mark.column + 1, parser.problem ? parser.problem : "not YAML");
    } else {
        reading r = {.config = config, .path = path, .document = &document, .error = error};
        const yaml_node_t *root = yaml_document_get_root_node(&document);
        code = root ? read_mapping(&r, root, "", 0) : 0;
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    sv_buffer_free(&text);
    return code;
}

/* ---- what several keys must agree on ---- */

static int is_sha256(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdefABCDEF") == 64;
}

int sv_serve_config_check(const sv_serve_config *config, sv_error *error)
{
    if (!config->model && !config->model_names.n)
        return sv_error_set(error, SV_E_CONFIG, "no model: --model URI or the key 'model' is required; see solvent-serve --help");
    if (config->model && config->model_names.n)
        return sv_error_set(error, SV_E_CONFIG, "'model' and 'models' exclude each other");
    if (!config->tls_certificate != !config->tls_key)
        return sv_error_set(error, SV_E_CONFIG, "'tls.certificate' and 'tls.key' need each other");
    double share;
    if (config->split && !config->shadow)
        return sv_error_set(error, SV_E_CONFIG, "'split' needs 'shadow': the URI of the challenger");
    if (config->split && sv_split_parse(config->split, &share, error))
        return error->code;
    for (size_t i = 0; i < config->api_keys.n; i++)
        if (!is_sha256(config->api_keys.texts[i]))
            return sv_error_set(error, SV_E_CONFIG, "in 'api_keys': entry %zu: expected the SHA-256 of a key, 64 hexadecimal digits (printf %%s KEY | sha256sum)", i + 1);
    return 0;
}

void sv_serve_config_help(void)
{
    for (size_t i = 0; i < N_KEYS; i++)
        printf("  %-26s %s%s%s%s\n", keys[i].name, keys[i].help, keys[i].fallback ? " (default " : "", keys[i].fallback ? keys[i].fallback : "", keys[i].fallback ? ")" : "");
}
