/* Prompts: registered models with a tag that says so, their text in a tag of each version. */
#include "alloc.h"
#include "buffer.h"
#include "client_error.h"
#include "endpoints.h"
#include "iterator.h"
#include "object.h"
#include "validate.h"

#include <string.h>

#define IS_PROMPT "mlflow.prompt.is_prompt"
#define TEXT "mlflow.prompt.text"

enum { PROMPTS_PAGE = 100 };

/* Is the registered model of that name, which is there, a prompt? A model's newest version must not become one. */
static int check_prompt(mlf_client *client, const char *name, mlf_error *error)
{
    mlf_object *found = NULL;
    int code = mlf_registered_models_get(&found, client, name, error);
    const char *tag = code ? NULL : mlf_object_lookup(found, "tags", IS_PROMPT);
    if (!code && (!tag || strcmp(tag, "true")))
        code = mlf_error_set(error, MLF_E_EXISTS, "\"%.80s\" is a registered model and no prompt", name);
    mlf_object_free(found);
    return code;
}

/* The prompt itself, when it is not there yet. */
static int ensure(mlf_client *client, const char *name, mlf_error *error)
{
    const mlf_pair tag = {IS_PROMPT, "true"};
    mlf_error answer = MLF_ERROR_INIT;
    int code = mlf_registered_models_create(NULL, client, name, NULL, &tag, 1, &answer);
    if (code == MLF_E_EXISTS) return check_prompt(client, name, error);
    if (code && error && error->code == MLF_OK) *error = answer;
    return code;
}

int mlf_prompts_register(char **version, mlf_client *client, const char *name, const char *text, const char *message,
                         mlf_error *error)
{
    *version = NULL;
    if (!text) return mlf_error_set(error, MLF_E_ARGUMENT, "prompt \"%.80s\": a text is needed", name);
    int code = mlf_check_text("prompt text", text, MLF_MAX_REGISTRY_TAG_VALUE, error);
    if (!code) code = ensure(client, name, error);
    if (code) return code;
    const mlf_pair tags[] = {{IS_PROMPT, "true"}, {TEXT, text}, {"mlflow.prompt.type", "text"}};
    return mlf_model_versions_create(version, client, name, "prompt-template", NULL, NULL, message, tags, 3, error);
}

/* version: digits, or "@alias". */
int mlf_prompts_get(char **text, mlf_client *client, const char *name, const char *version, mlf_error *error)
{
    mlf_object *found;
    *text = NULL;
    if (!version) return mlf_error_set(error, MLF_E_ARGUMENT, "prompt \"%.80s\": a version is needed", name ? name : "");
    int code = version[0] == '@' ? mlf_aliases_get(&found, client, name, version + 1, error)
                                 : mlf_model_versions_get(&found, client, name, version, error);
    if (code) return code;
    const char *tag = mlf_object_lookup(found, "tags", TEXT);
    if (!tag)
        code = mlf_error_set(error, MLF_E_NOT_FOUND, "\"%.80s\" version %.40s is no prompt: it has no tag " TEXT, name,
                             version);
    else if (!(*text = sv_strdup(tag)))
        code = mlf_error_memory(error);
    mlf_object_free(found);
    return code;
}

int mlf_prompts_search(mlf_iterator **out, mlf_client *client, const char *filter, mlf_error *error)
{
    sv_buffer text = SV_BUFFER_INIT(65536);
    *out = NULL;
    if (sv_buffer_format(&text, "tags.`" IS_PROMPT "` = 'true'%s%s", filter ? " AND " : "", filter ? filter : ""))
        return mlf_error_memory(error);
    json_t *arguments = json_pack("{s:s}", "filter", text.data);
    sv_buffer_free(&text);
    return mlf_iterator_new(out, client, EP(registered_models_search), arguments, PROMPTS_PAGE, error);
}

int mlf_prompts_delete(mlf_client *client, const char *name, mlf_error *error)
{
    int code = check_prompt(client, name, error);
    return code ? code : mlf_registered_models_delete(client, name, error);
}
