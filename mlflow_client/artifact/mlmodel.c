#include "mlmodel.h"

#include <string.h>

enum { PLACES = 4 };

/* 1 when the line is the top-level key's. */
static int is_key(const char *line, const char *key)
{
    size_t length = strlen(key);
    return !strncmp(line, key, length) && line[length] == ':';
}

int mlf_mlmodel_stamp(sv_buffer *out, const char *text, const mlf_mlmodel_place *place)
{
    const struct {
        const char *key, *value;
        int drop; /* without a value the line goes */
    } lines[PLACES] = {
        {"artifact_path", place->artifact_path, 0},
        {"model_id", place->model_id, 1},
        {"model_uuid", place->model_id, 0},
        {"run_id", place->run_id, 0},
    };
    int code = 0, written[PLACES] = {0};
    for (const char *line = text; *line && !code;) {
        size_t length = strcspn(line, "\n"), i = 0;
        length += line[length] == '\n';
        while (i < PLACES && !is_key(line, lines[i].key))
            i++;
        if (i == PLACES || (!lines[i].value && !lines[i].drop))
            code = sv_buffer_append(out, line, length);
        else if (lines[i].value && !written[i])
            code = sv_buffer_format(out, "%s: %s\n", lines[i].key, lines[i].value);
        if (i < PLACES)
            written[i] = 1;
        line += length;
    }
    if (!code && out->size && out->data[out->size - 1] != '\n')
        code = sv_buffer_byte(out, '\n');
    for (size_t i = 0; i < PLACES && !code; i++)
        if (!written[i] && lines[i].value)
            code = sv_buffer_format(out, "%s: %s\n", lines[i].key, lines[i].value);
    return code;
}

json_t *mlf_mlmodel_flavors(const char *text)
{
    json_t *flavors = json_object();
    int inside = 0;
    for (const char *line = text; flavors && *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (*line != ' ') {
            inside = is_key(line, "flavors");
            continue;
        }
        size_t indent = strspn(line, " "), length = strcspn(line + indent, ":\n");
        if (!inside || indent != 2 || line[indent + length] != ':' || !length || length > 100)
            continue;
        char name[101];
        memcpy(name, line + indent, length);
        name[length] = '\0';
        json_object_set_new(flavors, name, json_object());
    }
    return flavors;
}
