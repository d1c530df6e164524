/* Webhooks (MLflow 3.3). */
#include "client_error.h"
#include "endpoints.h"
#include "iterator.h"
#include "object.h"

#include <string.h>

enum { WEBHOOKS_PAGE = 100 };

/* "MODEL_VERSION.CREATED" as {"entity", "action"}. */
static json_t *events_of(const char *const *events, size_t n_events)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < n_events; i++) {
        const char *dot = strchr(events[i], '.');
        json_t *event =
            dot ? json_pack("{s:s%, s:s}", "entity", events[i], (size_t)(dot - events[i]), "action", dot + 1) : NULL;
        if (!event || json_array_append_new(list, event)) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

int mlf_webhooks_create(char **id, mlf_client *client, const char *name, const char *url, const char *const *events,
                        size_t n_events, const char *secret, const char *description, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:s, s:o, s:s*, s:s*}", "name", name, "url", url, "events",
                                  events_of(events, n_events), "secret", secret, "description", description);
    return mlf_endpoint_text(id, client, EP(webhooks_create), arguments, "webhook.webhook_id", error);
}

int mlf_webhooks_list(mlf_iterator **out, mlf_client *client, mlf_error *error)
{
    return mlf_iterator_new(out, client, EP(webhooks_list), json_object(), WEBHOOKS_PAGE, error);
}

int mlf_webhooks_get(mlf_object **webhook, mlf_client *client, const char *id, mlf_error *error)
{
    return mlf_endpoint_object(webhook, client, EP(webhooks_get), json_pack("{s:s}", "webhook_id", id), "webhook",
                               error);
}

int mlf_webhooks_set_active(mlf_client *client, const char *id, int is_active, mlf_error *error)
{
    json_t *arguments = json_pack("{s:s, s:s}", "webhook_id", id, "status", is_active ? "ACTIVE" : "DISABLED");
    return mlf_endpoint_call(NULL, client, EP(webhooks_update), arguments, error);
}

int mlf_webhooks_delete(mlf_client *client, const char *id, mlf_error *error)
{
    return mlf_endpoint_call(NULL, client, EP(webhooks_delete), json_pack("{s:s}", "webhook_id", id), error);
}

int mlf_webhooks_test(mlf_object **result, mlf_client *client, const char *id, mlf_error *error)
{
    return mlf_endpoint_object(result, client, EP(webhooks_test), json_pack("{s:s}", "webhook_id", id), "result",
                               error);
}
