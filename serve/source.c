/* source.c: see source.h. On disk: CACHE/NAME-DIGEST/VERSION-DIGEST/ holds a package, CACHE/NAME-DIGEST/kept.json says which one was last good. That one and the one
   before it stay, for a way back; what is older goes. Several servers may use one cache: a package in memory needs none of its files. */
#include "source.h"

#include "alloc.h"
#include "file.h"
#include "json_out.h"
#include "log.h"
#include "mlflow_client.h"
#include "secret.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEPT_MAX_BYTES 65536
#define INCOMING "incoming-" /* a package that is being fetched, by one server */
#define STALE_S 3600 /* … unless it is older than any fetch */

/* How long one question to the registry may take, with its retries; the bytes of a package may take longer. With a version in hand it is asked again soon. */
enum { WAIT_MS = 60000, WAIT_WITH_A_VERSION_MS = 10000 };

struct sv_source {
    char *uri, *name;
    char *shown; /* the URI without login and query, for messages and /info */
    int is_folder;
    char *home;         /* CACHE/NAME-DIGEST, or NULL for a folder */
    int is_passing;     /* 1: home is a temporary folder, which goes with the source */
    unsigned n_batches;
    mlf_client *client; /* NULL for a folder */
    char *seen;         /* the version offered last: "version|artifact_uri" */
    char *seen_folder;
    char offered[80];
};

static int is_local(const char *uri)
{
    return strncmp(uri, "models:", 7) != 0 && strncmp(uri, "runs:", 5) != 0 && !strstr(uri, "://");
}

/* The registered name of models:/name…, else the last part of a path. */
static char *short_name(const char *uri)
{
    if (strncmp(uri, "models:/", 8) == 0) {
        const char *name = uri + 8 + strspn(uri + 8, "/");
        return sv_strndup(name, strcspn(name, "/@"));
    }
    size_t size = strlen(uri);
    while (size > 1 && uri[size - 1] == '/')
        size--;
    const char *last = memrchr(uri, '/', size);
    return last && last[1] && size > 1 ? sv_strndup(last + 1, size - (size_t)(last + 1 - uri)) : sv_strndup(uri, size);
}

static void digest16(const char *text, char out[17])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_Digest(text, strlen(text), digest, &size, EVP_sha256(), NULL);
    for (int i = 0; i < 8; i++)
        snprintf(out + i * 2, 3, "%02x", digest[i]);
}

/* A folder name made of text: what is no letter, digit, '.', '-' or '_' becomes '_'; the digest keeps it unique. */
static char *folder_name(const char *parent, const char *text, const char *identity)
{
    char name[100], digest[17];
    size_t n = 0;
    for (; text[n] && n < 60; n++)
        name[n] = strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", text[n]) ? text[n] : '_';
    digest16(identity, digest);
    snprintf(name + n, sizeof name - n, "-%s", digest);
    return sv_path_join(parent, name);
}

static char *default_cache(void)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (base && *base)
        return sv_path_join(base, "solvent-serve");
    if (home && *home)
        return sv_path_join(home, ".cache/solvent-serve");
    char path[64];
    snprintf(path, sizeof path, "/tmp/solvent-serve-%u", (unsigned)getuid());
    return sv_strdup(path);
}

/* The cache, or a folder of our own below the temporary one when it cannot be written (read-only file systems). */
static int choose_home(sv_source *source, const char *cache_dir, sv_error *error)
{
    char *cache = cache_dir ? sv_strdup(cache_dir) : default_cache();
    source->home = cache ? folder_name(cache, source->name, source->uri) : NULL;
    sv_free(cache);
    if (!source->home)
        return sv_error_set(error, SV_E_MEMORY, "model %s: out of memory", source->shown);
    sv_error local = SV_ERROR_INIT;
    if (sv_folder_make(source->home, &local) == 0 && access(source->home, W_OK) == 0)
        return 0;
    char path[] = "/tmp/solvent-serve-XXXXXX";
    if (cache_dir || !mkdtemp(path))
        return sv_error_set(error, SV_E_IO, "cache %s: cannot be written; --cache names another folder", source->home);
    sv_log(SV_LOG_WARN, "cache %s cannot be written: fetched models go to %s and are not found again after a restart", source->home, path);
    sv_free(source->home);
    source->home = sv_strdup(path);
    source->is_passing = 1;
    return source->home ? 0 : sv_error_set(error, SV_E_MEMORY, "out of memory");
}

static int from_client(sv_error *error, const mlf_error *why, const char *uri)
{
    int code = why->code == MLF_E_CONNECT || why->code == MLF_E_TIMEOUT || why->code == MLF_E_SERVER || why->code == MLF_E_TLS || why->code == MLF_E_REPLY
                   ? SV_E_NETWORK
                   : SV_E_INPUT;
    sv_error_set(error, code, "model %s: %s", uri, why->message);
    if (why->code == MLF_E_CONNECT || why->code == MLF_E_TIMEOUT)
        sv_error_hint(error, "is the tracking server up? MLFLOW_TRACKING_URI names it");
    else if (why->code == MLF_E_NOT_FOUND)
        sv_error_hint(error, "models:/NAME@ALIAS, models:/NAME/VERSION, models:/m-…, runs:/ID/PATH or a folder; `mlflowc registry list` shows what there is");
    return code;
}

/* One that waits as long as that, in place of the one that there may be. */
static int open_client(sv_source *source, int wait_ms, sv_error *error)
{
    mlf_error why = MLF_ERROR_INIT;
    mlf_client *client;
    mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
    options.user_agent = "solvent-serve";
    options.max_retries = 1;
    options.deadline_ms = wait_ms;
    if (mlf_client_new(&client, &options, &why))
        return from_client(error, &why, source->shown);
    mlf_client_free(source->client);
    source->client = client;
    return 0;
}

static int has_kept(const sv_source *source)
{
    char *path = sv_path_join(source->home, "kept.json");
    int there = path && access(path, R_OK) == 0;
    sv_free(path);
    return there;
}

int sv_source_new(sv_source **out, const sv_source_options *options, sv_error *error)
{
    sv_source *source = sv_calloc(1, sizeof *source);
    if (!source)
        return sv_error_set(error, SV_E_MEMORY, "model: out of memory");
    const char *uri = strncmp(options->uri, "file://", 7) == 0 ? options->uri + 7 : options->uri;
    source->uri = sv_strdup(uri);
    source->shown = sv_secret_hidden(uri);
    source->name = source->shown ? short_name(source->shown) : NULL;
    source->n_batches = options->n_batches;
    source->is_folder = is_local(uri);
    int code = source->uri && source->name ? 0 : sv_error_set(error, SV_E_MEMORY, "model: out of memory");
    if (code == 0 && !source->is_folder) {
        code = choose_home(source, options->cache_dir, error);
        if (code == 0)
            code = open_client(source, has_kept(source) ? WAIT_WITH_A_VERSION_MS : WAIT_MS, error);
    }
    if (code) {
        sv_source_free(source);
        return code;
    }
    *out = source;
    return 0;
}

int sv_source_follow(sv_source *source, sv_error *error)
{
    return source->is_folder ? 0 : open_client(source, WAIT_WITH_A_VERSION_MS, error);
}

void sv_source_stop(sv_source *source)
{
    mlf_client_stop(source->client);
}

void sv_source_free(sv_source *source)
{
    if (!source)
        return;
    mlf_client_free(source->client);
    if (source->is_passing && source->home)
        sv_folder_remove(source->home, NULL);
    sv_free(source->uri);
    sv_free(source->shown);
    sv_free(source->name);
    sv_free(source->home);
    sv_free(source->seen);
    sv_free(source->seen_folder);
    sv_free(source);
}

int sv_source_is_folder(const sv_source *source)
{
    return source->is_folder;
}

const char *sv_source_offered(const sv_source *source)
{
    return source->offered;
}

const char *sv_source_name(const sv_source *source)
{
    return source->name;
}

static int remember(sv_source *source, const char *version, const char *artifact_uri, char *folder)
{
    size_t size = strlen(version) + strlen(artifact_uri) + 2;
    char *seen = sv_malloc(size);
    if (seen)
        snprintf(seen, size, "%s|%s", version, artifact_uri);
    sv_free(source->seen);
    sv_free(source->seen_folder);
    source->seen = seen;
    source->seen_folder = folder;
    return seen ? 0 : SV_E_MEMORY;
}

static int is_seen(const sv_source *source, const char *version, const char *artifact_uri)
{
    size_t size = strlen(version);
    return source->seen && strncmp(source->seen, version, size) == 0 && source->seen[size] == '|' && strcmp(source->seen + size + 1, artifact_uri) == 0;
}

/* The package into a folder of its own, under a name that no other server uses. */
static int fetch(sv_source *source, const mlf_model_info *info, char **incoming, sv_error *error)
{
    mlf_error why = MLF_ERROR_INIT;
    mlf_transfer_options options = MLF_TRANSFER_OPTIONS_INIT;
    options.max_bytes = SV_PACKAGE_MAX; /* a disk is not to be filled by what could not be loaded */
    *incoming = sv_path_join(source->home, INCOMING "XXXXXX");
    if (!*incoming)
        return sv_error_set(error, SV_E_MEMORY, "model: out of memory");
    if (sv_folder_make(source->home, NULL) || !mkdtemp(*incoming)) { /* what tidies caches up may have removed all of it */
        int code = sv_error_set(error, SV_E_IO, "cache %s: cannot be written: %s", source->home, strerror(errno));
        sv_free(*incoming);
        *incoming = NULL;
        return code;
    }
    return mlf_artifacts_fetch(source->client, info->artifact_uri, *incoming, &options, &why) ? from_client(error, &why, source->shown) : 0;
}

static char *copy_text(const char *text)
{
    return text && *text ? sv_strdup(text) : NULL;
}

static char *cached_folder(const sv_source *source, const mlf_model_info *info, const char *version)
{
    size_t size = strlen(version) + strlen(info->artifact_uri) + 2;
    char *identity = sv_malloc(size);
    if (!identity)
        return NULL;
    snprintf(identity, size, "%s|%s", version, info->artifact_uri);
    char *folder = folder_name(source->home, version, identity);
    sv_free(identity);
    return folder;
}

/* A version's files never change; those of a run may. */
static int is_cached(const char *folder, const mlf_model_info *info)
{
    char *marker = info->version || info->model_id ? sv_path_join(folder, "MLmodel") : NULL;
    int there = marker && access(marker, R_OK) == 0;
    sv_free(marker);
    return there;
}

static int settle(const char *incoming, const char *folder, sv_error *error)
{
    int code = sv_folder_remove(folder, error);
    if (code == 0 && rename(incoming, folder) != 0)
        code = sv_error_set(error, SV_E_IO, "%s: cannot be renamed to %s: %s", incoming, folder, strerror(errno));
    return code;
}

/* Fetches, unless it is there, and loads. What was fetched is loaded before it gets its name: another server on this cache may remove what has one. */
static int take(sv_source *source, const mlf_model_info *info, const char *version, int afresh, int *was_there, sv_served **out, sv_error *error)
{
    char *folder = cached_folder(source, info, version), *incoming = NULL;
    *was_there = folder && !afresh && is_cached(folder, info);
    int code = folder ? 0 : sv_error_set(error, SV_E_MEMORY, "model: out of memory");
    if (code == 0 && !*was_there)
        code = fetch(source, info, &incoming, error);
    if (code == 0) {
        sv_identity identity = {.uri = copy_text(source->shown),   .name = copy_text(info->name),     .version = copy_text(info->version), .alias = copy_text(info->alias),
                                .run_id = copy_text(info->run_id), .model_id = copy_text(info->model_id), .description = copy_text(info->description)};
        remember(source, version, info->artifact_uri, folder);
        snprintf(source->offered, sizeof source->offered, "%s", version);
        code = sv_served_load(out, incoming ? incoming : folder, &identity, source->n_batches, error);
        if (code == 0 && incoming && (code = settle(incoming, folder, error))) {
            sv_served_free(*out);
            *out = NULL;
        }
        folder = NULL; /* remembered */
    }
    if (code && incoming)
        sv_folder_remove(incoming, NULL);
    sv_free(incoming);
    sv_free(folder);
    return code;
}

static int poll_folder(sv_source *source, sv_served **out, sv_error *error)
{
    sv_identity identity = {.uri = sv_strdup(source->uri), .name = sv_strdup(source->name)};
    if (source->seen) {
        sv_identity_free(&identity);
        return 0;
    }
    remember(source, "", source->uri, NULL);
    return sv_served_load(out, source->uri, &identity, source->n_batches, error);
}

int sv_source_poll(sv_source *source, sv_served **out, sv_error *error)
{
    *out = NULL;
    *source->offered = 0;
    if (source->is_folder)
        return poll_folder(source, out, error);
    mlf_model_info *info = NULL;
    mlf_error why = MLF_ERROR_INIT;
    if (mlf_model_resolve(&info, source->client, source->uri, &why))
        return from_client(error, &why, source->shown);
    const char *version = info->version ? info->version : info->model_id ? info->model_id : "run";
    int code = 0;
    if (!is_seen(source, version, info->artifact_uri)) {
        int was_there;
        code = take(source, info, version, 0, &was_there, out, error);
        if (code && was_there) { /* a copy on disk that was damaged since: the registry has a whole one */
            sv_log(SV_LOG_WARN, "the copy on disk is not used: %s", error->message);
            sv_error_clear(error);
            code = take(source, info, version, 1, &was_there, out, error);
        }
    }
    mlf_model_info_free(info);
    return code;
}

static void put(json_t *object, const char *key, const char *text)
{
    if (text)
        json_object_set_new(object, key, json_string(text));
}

/* What kept.json says, with the name of the package's folder, which lives as long; NULL and the error when there is no such note. */
static json_t *read_note(const sv_source *source, const char **folder, sv_error *error)
{
    sv_buffer text = SV_BUFFER_INIT(KEPT_MAX_BYTES);
    char *path = sv_path_join(source->home, "kept.json");
    int code = path ? sv_file_read(&text, path, KEPT_MAX_BYTES, error) : sv_error_set(error, SV_E_MEMORY, "model: out of memory");
    json_t *note = code ? NULL : json_loadb(text.data, text.size, 0, NULL);
    *folder = json_string_value(json_object_get(note, "folder"));
    if (code == 0 && (!*folder || !sv_path_is_inside(*folder) || strchr(*folder, '/'))) {
        sv_error_set(error, SV_E_INPUT, "%s: expected a note of the last good version", path);
        json_decref(note);
        note = NULL;
    }
    sv_buffer_free(&text);
    sv_free(path);
    return note;
}

static int is_stale(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && time(NULL) - about.st_mtime > STALE_S;
}

/* Removes what lies in the source's home but those two packages and what another server fetches just now. */
static void forget_others(const sv_source *source, const char *folder, const char *before)
{
    DIR *listing = opendir(source->home);
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        const char *name = entry->d_name;
        if (*name == '.' || !strchr(name, '-') || !strcmp(name, folder) || (before && !strcmp(name, before)))
            continue;
        char *path = sv_path_join(source->home, name);
        if (path && (strncmp(name, INCOMING, sizeof INCOMING - 1) || is_stale(path)))
            sv_folder_remove(path, NULL);
        sv_free(path);
    }
    if (listing)
        closedir(listing);
}

void sv_source_accept(sv_source *source, const sv_served *served)
{
    if (source->is_folder || !source->seen_folder)
        return;
    const char *folder = strrchr(source->seen_folder, '/') + 1;
    const char *before;
    json_t *earlier = read_note(source, &before, NULL);
    if (!earlier)
        before = NULL;
    const sv_identity *identity = &served->identity;
    json_t *kept = json_object();
    put(kept, "folder", folder);
    put(kept, "seen", source->seen);
    put(kept, "name", identity->name);
    put(kept, "version", identity->version);
    put(kept, "alias", identity->alias);
    put(kept, "run_id", identity->run_id);
    put(kept, "model_id", identity->model_id);
    put(kept, "description", identity->description);
    char *text = json_dumps(kept, JSON_INDENT(1)), *path = sv_path_join(source->home, "kept.json");
    sv_error error = SV_ERROR_INIT;
    if (text && path && sv_file_write(path, text, strlen(text), &error))
        sv_log(SV_LOG_WARN, "the last good version could not be noted: %s", error.message);
    else if (!before || strcmp(before, folder)) /* with the same one again it is not known which was before it */
        forget_others(source, folder, before);
    sv_free(path);
    free(text);
    json_decref(kept);
    json_decref(earlier);
}

void sv_source_reject(sv_source *source)
{
    if (source->seen_folder && *source->offered) {
        sv_error error = SV_ERROR_INIT;
        sv_folder_remove(source->seen_folder, &error);
    }
}

static char *get(const json_t *object, const char *key)
{
    return copy_text(json_string_value(json_object_get(object, key)));
}

int sv_source_kept(sv_source *source, sv_served **out, sv_error *error)
{
    if (source->is_folder)
        return sv_error_set(error, SV_E_IO, "model %s: a folder has no kept copy", source->uri);
    const char *name;
    json_t *kept = read_note(source, &name, error);
    if (!kept)
        return error->code;
    char *folder = sv_path_join(source->home, name);
    int code = folder ? 0 : sv_error_set(error, SV_E_MEMORY, "model: out of memory");
    if (folder) {
        sv_identity identity = {.uri = copy_text(source->shown),      .name = get(kept, "name"),         .version = get(kept, "version"), .alias = get(kept, "alias"),
                                .run_id = get(kept, "run_id"), .model_id = get(kept, "model_id"), .description = get(kept, "description")};
        code = sv_served_load(out, folder, &identity, source->n_batches, error);
        if (code == 0) {
            sv_free(source->seen);
            source->seen = get(kept, "seen");
        }
    }
    sv_free(folder);
    json_decref(kept);
    return code;
}
