/* What is known of the server: version, server-info, capabilities. */
#include "alloc.h"
#include "capabilities.h"
#include "client.h"
#include "client_error.h"
#include "endpoints.h"
#include "object.h"

#include <stdio.h>
#include <string.h>

typedef struct capabilities {
    json_t *info;      /* NULL: not asked yet */
    int logged_models; /* -1: not asked yet */
} capabilities;

static void release(void *what)
{
    capabilities *known = what;
    json_decref(known->info);
    sv_free(known);
}

static int make(mlf_attachment *attachment, mlf_client *client, mlf_error *error)
{
    capabilities *known = sv_calloc(1, sizeof *known);
    if (!known) return mlf_error_memory(error);
    known->logged_models = -1;
    attachment->what = known;
    attachment->free = release;
    return MLF_OK;
}

static capabilities *capabilities_of(mlf_client *client, mlf_error *error)
{
    return mlf_client_slot(client, MLF_SLOT_CAPABILITIES, make, error);
}

/* 1 when the server says that it is older than that (209 is 2.9), 0 when not: then what it answered was no word of its own. */
static int is_older(int *older, mlf_client *client, int than, mlf_error *error)
{
    char *version = NULL;
    int major = 0, minor = 0;
    int code = mlf_server_version(&version, client, error);
    if (!code && sscanf(version, "%d.%d", &major, &minor) < 1)
        code = mlf_error_set(error, MLF_E_REPLY, "/version: expected a version number, got '%.40s'", version);
    *older = 100 * major + minor < than;
    mlf_free(version);
    return code;
}

/* A model that cannot exist: a 3.x server says so in JSON, an older one does not know the path. A proxy may not know it either for a moment, and what is
   found out here holds as long as the client: so the version has the last word. */
static int probe_logged_models(int *has, mlf_client *client, mlf_error *error)
{
    mlf_error answer = MLF_ERROR_INIT;
    json_t *arguments = json_pack("{s:s}", "model_id", "m-00000000000000000000000000000000");
    int older = 0, code = mlf_endpoint_call(NULL, client, EP(logged_models_get), arguments, &answer);
    *has = 1;
    if (!code || code == MLF_E_NOT_FOUND) return MLF_OK;
    if (code == MLF_E_AUTH && answer.http_status == 403) return MLF_OK; /* there, but not for us */
    if (code == MLF_E_UNSUPPORTED) {
        code = is_older(&older, client, 300, error);
        *has = !older;
        if (code || older) return code;
        code = answer.code;
    }
    if (error && error->code == MLF_OK) *error = answer;
    return code;
}

int mlf_has_logged_models(int *out, mlf_client *client, mlf_error *error)
{
    capabilities *known = capabilities_of(client, error);
    *out = 0;
    if (!known) return error && error->code ? error->code : MLF_E_STATE;
    pthread_mutex_lock(&client->mutex);
    int has = known->logged_models;
    pthread_mutex_unlock(&client->mutex);
    if (has < 0) {
        int code = probe_logged_models(&has, client, error);
        if (code) return code;
        pthread_mutex_lock(&client->mutex);
        known->logged_models = has;
        pthread_mutex_unlock(&client->mutex);
    }
    *out = has;
    return MLF_OK;
}

int mlf_server_capabilities(const mlf_object **out, mlf_client *client, mlf_error *error)
{
    capabilities *known = capabilities_of(client, error);
    *out = NULL;
    if (!known) return error && error->code ? error->code : MLF_E_STATE;
    pthread_mutex_lock(&client->mutex);
    json_t *info = known->info;
    pthread_mutex_unlock(&client->mutex);
    if (!info) {
        mlf_error answer = MLF_ERROR_INIT;
        int code = mlf_endpoint_call(&info, client, EP(server_info), json_object(), &answer);
        int older = 0;
        if (code == MLF_E_NOT_FOUND || (code == MLF_E_UNSUPPORTED && !is_older(&older, client, 309, NULL) && older)) code = (info = json_object()) ? MLF_OK : mlf_error_memory(error);
        if (code && error && error->code == MLF_OK) *error = answer;
        if (code) return code;
        pthread_mutex_lock(&client->mutex);
        if (known->info) { /* another thread was first; its object may be in use already */
            json_decref(info);
            info = known->info;
        }
        known->info = info;
        pthread_mutex_unlock(&client->mutex);
    }
    *out = mlf_object_of(info);
    return MLF_OK;
}

int mlf_server_version(char **version, mlf_client *client, mlf_error *error)
{
    int code = mlf_request(version, client, "GET", "/version", NULL, error);
    if (code) return code;
    size_t length = strspn(*version, "0123456789.abcrdevpost+-");
    if (length && length < 40 && !(*version)[length + strspn(*version + length, "\r\n")])
        return (*version)[length] = '\0', MLF_OK;
    mlf_free(*version);
    *version = NULL;
    return mlf_error_set(error, MLF_E_REPLY, "/version: expected a version number; is this an MLflow server?");
}

int mlf_server_info(mlf_object **info, mlf_client *client, mlf_error *error)
{
    const mlf_object *known;
    int code = mlf_server_capabilities(&known, client, error);
    *info = code ? NULL : mlf_object_of(json_deep_copy(mlf_object_json(known)));
    return code || *info ? code : mlf_error_memory(error);
}
