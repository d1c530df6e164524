/* A model's folder as a stranger left it: a good package with some of its files changed as the input says, loaded, made ready to serve and checked.
   The input is lines of "=NAME" (the text up to the next such line is that file's, and MLmodel states its SHA-256), "~NAME" (the same, but MLmodel states
   what it stated), "-NAME" (the file is not there) and "/NAME" (a folder stands in its place). Refused with a message, or a model that answers. */
#include "alloc.h"
#include "file.h"
#include "package_mlmodel.h"
#include "pipeline_digest.h"
#include "served.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { CHANGES_MAX = 16 };

typedef struct change {
    char name[64], kind;
    int is_known; /* one of the package's own files */
} change;

static char folder[64];
static sv_buffer good[SV_PACKAGE_FILES];

static void must(int bad)
{
    if (bad)
        abort();
}

static char *path_of(const char *name)
{
    char *path = sv_path_join(folder, name);
    must(!path);
    return path;
}

static void put(const char *name, const char *text, size_t size)
{
    char *path = path_of(name);
    FILE *file = fopen(path, "wb");
    must(!file || fwrite(text, 1, size, file) != size);
    must(fclose(file));
    sv_free(path);
}

static void remove_folder(void)
{
    static const char *const folders[] = {"code/__pycache__", "code", ""};
    for (size_t i = 0; i < SV_PACKAGE_FILES; i++) {
        char *path = path_of(sv_package_files[i]);
        unlink(path);
        sv_free(path);
        sv_buffer_free(&good[i]);
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *path = path_of(folders[i]);
        rmdir(path);
        sv_free(path);
    }
}

static void make_good(void)
{
    sv_error error = SV_ERROR_INIT;
    sv_place place;
    sv_features *features = NULL;
    sv_pipeline *pipeline = NULL;
    sv_levels *levels = NULL;
    must(sv_levels_new(&levels) || sv_levels_add(levels, "a", 1) < 0 || sv_levels_add(levels, "bb", 2) < 0);
    must(sv_features_new(&features) || sv_features_add_column(features, "x", SV_DOUBLE, NULL, &error) < 0 || sv_features_add_column(features, "s", SV_STRING, levels, &error) < 0);
    must(sv_features_compile(features, NULL, &place, &error) || sv_pipeline_new(&pipeline, features, SV_TASK_BINARY, 1, &error));
    must(sv_pipeline_add_number(pipeline, 0, &error) < 0 || sv_pipeline_add_category(pipeline, 1, levels, NULL, SV_UNKNOWN_ZEROS, -1, &error) < 0);
    must(sv_pipeline_finish(pipeline, &error));
    snprintf(folder, sizeof folder, "%s/fuzz-package-XXXXXX", getenv("TMPDIR") && strlen(getenv("TMPDIR")) < 32 ? getenv("TMPDIR") : "/tmp");
    must(!mkdtemp(folder));
    atexit(remove_folder);
    must(sv_package_write(folder, pipeline, NULL, &error));
    for (size_t i = 0; i < SV_PACKAGE_FILES; i++) {
        char *path = path_of(sv_package_files[i]);
        must(sv_file_read(&good[i], path, 0, NULL));
        sv_free(path);
    }
    sv_pipeline_free(pipeline);
    sv_levels_free(levels);
}

static int index_of(const char *name)
{
    for (int i = 0; i < SV_PACKAGE_FILES; i++)
        if (!strcmp(sv_package_files[i], name))
            return i;
    return -1;
}

/* MLmodel's text with the digest of one file replaced by what its new text has. */
static void restate(sv_buffer *mlmodel, const char *name, const char *text, size_t size)
{
    char fresh[SV_SHA256_TEXT], *stated = sv_mlmodel_digest(mlmodel->data, mlmodel->size, name);
    char *at = stated ? memmem(mlmodel->data, mlmodel->size, stated, SV_SHA256_TEXT - 1) : NULL;
    must(sv_sha256_text(fresh, text, size));
    if (at)
        memcpy(at, fresh, SV_SHA256_TEXT - 1);
    sv_free(stated);
}

/* The next change of the input; its text behind the line. Returns where the one after it begins, or NULL at the end. Names stay inside the folder. */
static const char *read_change(const char *at, const char *end, change *out, const char **text, size_t *size)
{
    const char *line = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    if (at == end || !strchr("=~-/", *at))
        return NULL;
    size_t length = (size_t)((line ? line : end) - at) - 1;
    if (length == 0 || length >= sizeof out->name || at[1] == '/' || memchr(at + 1, 0, length) || memmem(at + 1, length, "..", 2))
        return NULL;
    *out = (change){.kind = *at};
    memcpy(out->name, at + 1, length);
    out->is_known = index_of(out->name) >= 0;
    const char *slash = strchr(out->name, '/');
    if (slash && (slash - out->name != 4 || strncmp(out->name, "code", 4) || !slash[1] || strchr(slash + 1, '/')))
        return NULL; /* there is no other folder */
    *text = line ? line + 1 : end;
    const char *next = *text;
    while (next < end && !(strchr("=~-/", *next) && *next && (next == *text || next[-1] == '\n')))
        next++;
    *size = (size_t)(next - *text);
    return next;
}

static void apply(const change *c, const char *text, size_t size, sv_buffer *mlmodel)
{
    char *path = path_of(c->name);
    struct stat about;
    if (!strcmp(c->name, "MLmodel") && strchr("=~", c->kind)) {
        sv_buffer_clear(mlmodel);
        must(sv_buffer_append(mlmodel, text, size));
    } else if (strchr("=~", c->kind) && (stat(path, &about) || !S_ISDIR(about.st_mode))) {
        put(c->name, text, size);
        if (c->kind == '=' && c->is_known && strcmp(c->name, "MLmodel") && mlmodel->size)
            restate(mlmodel, c->name, text, size);
    } else if (c->kind == '-' || c->kind == '/') {
        unlink(path);
        if (c->kind == '/')
            mkdir(path, 0700);
    }
    sv_free(path);
}

static void undo(const change *c)
{
    char *path = path_of(c->name);
    int known = index_of(c->name);
    if (unlink(path))
        rmdir(path);
    sv_free(path);
    if (known >= 0)
        put(c->name, good[known].data ? good[known].data : "", good[known].size);
}

/* What load said of the folder, and, where it took it, whether the model answers. */
static void check(int must_be_refused, int must_be_taken)
{
    sv_package package;
    sv_identity identity = {0};
    sv_served *served = NULL;
    sv_error error = SV_ERROR_INIT;
    int code = sv_package_load(&package, folder, &error);
    must((code && !*error.message) || (must_be_refused && !code) || (must_be_taken && code));
    if (code)
        return;
    if (sv_served_new(&served, &package, &identity, 1, &error) == 0)
        must(sv_served_check(served, &error) && !*error.message);
    sv_served_free(served);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static int is_made;
    change changes[CHANGES_MAX];
    size_t n = 0, n_texts;
    int must_be_refused = 0;
    const char *at = (const char *)bytes, *end = at + size, *text;
    sv_buffer mlmodel = SV_BUFFER_INIT(0);
    if (!is_made++)
        make_good();
    must(sv_buffer_append(&mlmodel, good[SV_PACKAGE_FILES - 1].data, good[SV_PACKAGE_FILES - 1].size));
    for (; n < CHANGES_MAX && (at = read_change(at, end, &changes[n], &text, &n_texts)); n++) {
        apply(&changes[n], text, n_texts, &mlmodel);
        int known = index_of(changes[n].name);
        /* one change by itself: a file that is gone, is a folder, is no package's, or is another than MLmodel states */
        must_be_refused = n == 0 && strcmp(changes[n].name, "code") && (changes[n].is_known ? changes[n].kind == '-' || changes[n].kind == '/' ||
                                                            (changes[n].kind == '~' && known != SV_PACKAGE_FILES - 1 &&
                                                             (n_texts != good[known].size || (n_texts && memcmp(text, good[known].data, n_texts))))
                                                          : changes[n].kind != '-' && *changes[n].name != '.' && strcmp(changes[n].name, "registered_model_meta") &&
                                                            strcmp(changes[n].name, "__pycache__") && strcmp(changes[n].name, "code/__pycache__") && strncmp(changes[n].name, "code/.", 6));
    }
    char *path = path_of("MLmodel");
    struct stat about;
    if (stat(path, &about) == 0 && S_ISREG(about.st_mode))
        put("MLmodel", mlmodel.data ? mlmodel.data : "", mlmodel.size);
    sv_free(path);
    check(must_be_refused, n == 0);
    while (n--)
        undo(&changes[n]);
    sv_buffer_free(&mlmodel);
    return 0;
}
