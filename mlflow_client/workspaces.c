/* Workspaces (MLflow 3.10, --enable-workspaces). MLFLOW_WORKSPACE chooses the one every other call works in. */
#include "client_error.h"
#include "endpoints.h"
#include "iterator.h"
#include "object.h"
#include "validate.h"

int mlf_workspaces_list(mlf_iterator **out, mlf_client *client, mlf_error *error)
{
    return mlf_iterator_new(out, client, EP(workspaces_list), json_object(), 0, error);
}

int mlf_workspaces_create(mlf_client *client, const char *name, const char *description, mlf_error *error)
{
    int code = mlf_check_workspace(name, error);
    if (code) return code;
    return mlf_endpoint_call(NULL, client, EP(workspaces_create),
                             json_pack("{s:s, s:s*}", "name", name, "description", description), error);
}

int mlf_workspaces_get(mlf_object **workspace, mlf_client *client, const char *name, mlf_error *error)
{
    return mlf_endpoint_object(workspace, client, EP(workspaces_get), json_pack("{s:s}", "workspace_name", name),
                               "workspace", error);
}

int mlf_workspaces_describe(mlf_client *client, const char *name, const char *description, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:s}", "workspace_name", name, "description", description);
    return mlf_endpoint_call(NULL, client, EP(workspaces_update), arguments, error);
}

int mlf_workspaces_delete(mlf_client *client, const char *name, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(workspaces_delete), json_pack("{s:s}", "workspace_name", name), error);
}
