/* Users, permissions and roles: servers started with --app-name basic-auth. */
#include "client_error.h"
#include "endpoints.h"
#include "iterator.h"
#include "object.h"

static json_t *user(const char *username)
{
    return json_pack("{s:s}", "username", username);
}

int mlf_users_create(mlf_client *client, const char *username, const char *password, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(users_create),
                             json_pack("{s:s, s:s}", "username", username, "password", password), error);
}

int mlf_users_get(mlf_object **out, mlf_client *client, const char *username, mlf_error *error)
{
    return mlf_endpoint_object(out, client, EP(users_get), user(username), "user", error);
}

int mlf_users_list(mlf_iterator **out, mlf_client *client, mlf_error *error)
{
    return mlf_iterator_new(out, client, EP(users_list), json_object(), 0, error);
}

int mlf_users_set_password(mlf_client *client, const char *username, const char *password, const char *current_password,
                           mlf_error *error)
{
    json_t *arguments =
        json_pack("{s:s, s:s, s:s*}", "username", username, "password", password, "current_password", current_password);
    return mlf_endpoint_call(NULL, client, EP(users_update_password), arguments, error);
}

int mlf_users_set_admin(mlf_client *client, const char *username, int is_admin, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(users_update_admin),
                             json_pack("{s:s, s:b}", "username", username, "is_admin", is_admin), error);
}

int mlf_users_delete(mlf_client *client, const char *username, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(users_delete), user(username), error);
}

/* ---- permissions (MLflow 3.13) ---- */

int mlf_permissions_grant(mlf_client *client, const char *username, const char *resource_type, const char *resource_id,
                          const char *permission, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:s, s:s, s:s}", "username", username, "resource_type", resource_type,
                                  "resource_id", resource_id, "permission", permission);
    return mlf_endpoint_call(NULL, client, EP(users_permissions_grant), arguments, error);
}

int mlf_permissions_revoke(mlf_client *client, const char *username, const char *resource_type, const char *resource_id,
                           mlf_error *error)
{
    json_t *arguments =
        json_pack("{s:s, s:s, s:s}", "username", username, "resource_type", resource_type, "resource_id", resource_id);
    return mlf_endpoint_call(NULL, client, EP(users_permissions_revoke), arguments, error);
}

int mlf_permissions_get(mlf_object **out, mlf_client *client, const char *username, const char *resource_type,
                        const char *resource_id, mlf_error *error)
{
    json_t *reply, *arguments = json_pack("{s:s, s:s, s:s}", "username", username, "resource_type", resource_type,
                                          "resource_id", resource_id);
    int code = mlf_endpoint_call(&reply, client, EP(users_permissions_get), arguments, error);
    *out = mlf_object_of(reply);
    return code;
}

int mlf_permissions_list(mlf_iterator **out, mlf_client *client, const char *username, mlf_error *error)
{
    return mlf_iterator_new(out, client, EP(users_permissions_list), user(username), 0, error);
}
