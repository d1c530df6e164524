#include "run_context.h"

#include "alloc.h"
#include "client_error.h"
#include "file.h"
#include "json_text.h"
#include "log.h"
#include "validate.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_GIT_FILE = 1 << 20, MAX_PARENTS = 64 };

/* ---- git ---- */

/* The first line of folder/name; NULL when there is none. The caller's (sv_free). */
static char *read_line(const char *folder, const char *name)
{
    sv_buffer text = SV_BUFFER_INIT(0);
    char *path = sv_path_join(folder, name), *line = NULL;
    if (path && !sv_file_read(&text, path, MAX_GIT_FILE, NULL) && text.size)
        line = sv_strndup(text.data, strcspn(text.data, "\r\n"));
    sv_buffer_free(&text);
    sv_free(path);
    return line;
}

/* The .git folder for a work tree, whose .git may be a file that points elsewhere. */
static char *git_folder_at(const char *folder)
{
    struct stat about;
    char *path = sv_path_join(folder, ".git");
    if (!path || stat(path, &about)) {
        sv_free(path);
        return NULL;
    }
    if (S_ISDIR(about.st_mode))
        return path;
    char *line = read_line(folder, ".git"), *found = NULL;
    if (line && !strncmp(line, "gitdir: ", 8))
        found = sv_path_join(folder, line + 8);
    sv_free(line);
    sv_free(path);
    return found;
}

static char *find_git(const char *folder)
{
    char *at = sv_strdup(folder), *found = NULL;
    for (int i = 0; at && !found && i < MAX_PARENTS; i++) {
        found = git_folder_at(*at ? at : "/");
        char *slash = strrchr(at, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
    sv_free(at);
    return found;
}

/* Where refs and config are: a linked work tree shares them with the main one. */
static char *shared_git(const char *git)
{
    char *line = read_line(git, "commondir"), *shared = line ? sv_path_join(git, line) : sv_strdup(git);
    sv_free(line);
    return shared;
}

static char *packed_ref(const char *shared, const char *ref)
{
    sv_buffer text = SV_BUFFER_INIT(0);
    char *path = sv_path_join(shared, "packed-refs"), *commit = NULL;
    size_t length = strlen(ref);
    if (path && !sv_file_read(&text, path, 16 * MAX_GIT_FILE, NULL) && text.size)
        for (const char *line = text.data; line && !commit; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
            if (strspn(line, "0123456789abcdef") >= 40 && line[40] == ' ' && !strncmp(line + 41, ref, length) && strchr("\r\n", line[41 + length]))
                commit = sv_strndup(line, 40);
    sv_buffer_free(&text);
    sv_free(path);
    return commit;
}

/* [remote "origin"] url = …; whatever stands between "//" and "@" is nobody's business. */
static char *origin_url(const char *shared)
{
    sv_buffer text = SV_BUFFER_INIT(0);
    char *path = sv_path_join(shared, "config"), *url = NULL, *rest = NULL;
    int inside = 0;
    if (path && !sv_file_read(&text, path, MAX_GIT_FILE, NULL) && text.size)
        for (char *line = strtok_r(text.data, "\n", &rest); line && !url; line = strtok_r(NULL, "\n", &rest)) {
            line += strspn(line, " \t");
            if (*line == '[')
                inside = !strncmp(line, "[remote \"origin\"]", 17);
            size_t name = strspn(line, "url");
            const char *value = line + name + strspn(line + name, " \t");
            if (inside && name == 3 && *value == '=')
                url = sv_strdup(value + 1 + strspn(value + 1, " \t"));
        }
    char *host = url ? strstr(url, "://") : NULL, *at = host ? strchr(host, '@') : NULL;
    if (at && at < host + 3 + strcspn(host + 3, "/"))
        memmove(host + 3, at + 1, strlen(at + 1) + 1);
    sv_buffer_free(&text);
    sv_free(path);
    return url;
}

/* Not 0 when memory is out: of git's tags that only means that one is missing. */
static int set_tag(json_t *tags, const char *key, const char *value)
{
    return value && *value ? json_object_set_new(tags, key, json_string(value)) : 0;
}

void mlf_git_tags(json_t *tags, const char *folder)
{
    char *git = find_git(folder), *shared = git ? shared_git(git) : NULL, *head = git ? read_line(git, "HEAD") : NULL;
    if (head && shared && !strncmp(head, "ref: ", 5)) {
        const char *ref = head + 5;
        char *commit = sv_path_is_inside(ref) ? read_line(shared, ref) : NULL;
        if (!commit)
            commit = packed_ref(shared, ref);
        set_tag(tags, "mlflow.source.git.commit", commit);
        if (!strncmp(ref, "refs/heads/", 11))
            set_tag(tags, "mlflow.source.git.branch", ref + 11);
        sv_free(commit);
    } else if (head && strspn(head, "0123456789abcdef") >= 40) {
        set_tag(tags, "mlflow.source.git.commit", head);
    }
    char *url = head && shared ? origin_url(shared) : NULL;
    set_tag(tags, "mlflow.source.git.repoURL", url);
    sv_free(url);
    sv_free(head);
    sv_free(shared);
    sv_free(git);
}

/* ---- who and what ---- */

static int user_tag(json_t *tags, const mlf_client *client)
{
    struct passwd entry, *found = NULL;
    char space[4096];
    const char *name = client->settings.username ? client->settings.username : mlf_env("LOGNAME");
    if (!name)
        name = mlf_env("USER");
    if (!name && !getpwuid_r(geteuid(), &entry, space, sizeof space, &found) && found)
        name = found->pw_name;
    return set_tag(tags, "mlflow.user", name ? name : "unknown");
}

static void source_tags(json_t *tags, const char *source_name)
{
    char program[4096], folder[4096];
    ssize_t length = source_name ? 0 : readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    set_tag(tags, "mlflow.source.name", source_name ? source_name : *program ? program : "<console>");
    set_tag(tags, "mlflow.source.type", "LOCAL");
    if (getcwd(folder, sizeof folder))
        mlf_git_tags(tags, folder);
}

static int environment_tags(json_t *tags, mlf_error *error)
{
    const char *text = mlf_env("MLFLOW_RUN_CONTEXT"), *key;
    json_t *object = NULL, *value;
    int code = text && mlf_json_parse(&object, text, strlen(text), 0, NULL) == SV_E_MEMORY ? mlf_error_memory(error) : MLF_OK;
    if (!code && text && !json_is_object(object))
        code = mlf_error_set(error, MLF_E_ARGUMENT, "MLFLOW_RUN_CONTEXT: expected a JSON object of tags, got %.100s", text);
    json_object_foreach(object, key, value) {
        if (!code && !json_is_string(value))
            code = mlf_error_set(error, MLF_E_ARGUMENT, "MLFLOW_RUN_CONTEXT: tag '%.100s': expected a string", key);
        if (!code)
            code = mlf_check_key("tag", key, error);
        if (!code)
            code = json_object_set(tags, key, value) ? mlf_error_memory(error) : MLF_OK;
    }
    json_decref(object);
    return code;
}

static int own_tags(json_t *tags, const mlf_run_options *options, mlf_error *error)
{
    int code = set_tag(tags, "mlflow.parentRunId", options->parent_run_id) || set_tag(tags, "mlflow.note.content", options->description) ? mlf_error_memory(error) : MLF_OK;
    for (size_t i = 0; !code && i < options->n_tags; i++) {
        code = mlf_check_key("tag", options->tags[i].key, error);
        if (!code)
            code = mlf_check_text("tag", options->tags[i].value ? options->tags[i].value : "", MLF_MAX_TAG_VALUE, error);
        if (!code && json_object_set_new(tags, options->tags[i].key, json_string(options->tags[i].value ? options->tags[i].value : "")))
            code = mlf_error_memory(error);
    }
    return code;
}

json_t *mlf_run_context(const mlf_client *client, const mlf_run_options *options, mlf_error *error)
{
    json_t *tags = json_object();
    if (!tags || user_tag(tags, client)) {
        json_decref(tags);
        mlf_error_memory(error);
        return NULL;
    }
    source_tags(tags, options->source_name);
    if (environment_tags(tags, error) || own_tags(tags, options, error)) {
        json_decref(tags);
        return NULL;
    }
    return tags;
}
