#include "mime.h"

#include <string.h>
#include <strings.h>

/* What MLflow shows as text, then what browsers want to be told. */
static const struct {
    const char *type, *extensions; /* each between blanks */
} TYPES[] = {
    {"text/plain", " txt log err cfg conf cnf cf ini properties prop hocon toml yaml yml xml json js py py3 csv tsv md rst ipynb mlmodel mlproject "},
    {"text/html", " html htm "},
    {"text/css", " css "},
    {"image/png", " png "},
    {"image/jpeg", " jpg jpeg "},
    {"image/gif", " gif "},
    {"image/svg+xml", " svg "},
    {"image/webp", " webp "},
    {"application/pdf", " pdf "},
    {"application/zip", " zip "},
    {"application/gzip", " gz tgz "},
    {"application/x-tar", " tar "},
    {"video/mp4", " mp4 "},
    {"audio/x-wav", " wav "},
};

const char *mlf_mime_type(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    const char *extension = dot ? dot + 1 : name; /* MLmodel has none and is its own */
    size_t length = strlen(extension);
    if (!length || length > 16)
        return "application/octet-stream";
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        for (const char *p = TYPES[i].extensions; *p; p++)
            if (p[0] == ' ' && !strncasecmp(p + 1, extension, length) && p[1 + length] == ' ')
                return TYPES[i].type;
    return "application/octet-stream";
}
