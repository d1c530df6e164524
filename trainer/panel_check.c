/* panel_check.c: no feature of the model may know a later period. */
#include "panel.h"

#include <string.h>

enum { DEPTH_MAX = 64 };

typedef struct search {
    const sv_config *config;
    int depth;
} search;

static int looks_ahead(const sv_config *config, const char *text, int depth);

static int visit(void *context, const sv_node *node)
{
    const search *s = context;
    if (node->op == SV_OP_LEAD)
        return 1;
    if (node->op != SV_OP_NAME)
        return 0;
    if (sv_panel_is_future(node->text))
        return 1;
    for (size_t i = 0; i < s->config->features.count; i++)
        if (!strcmp(s->config->features.items[i].key, node->text))
            return looks_ahead(s->config, s->config->features.items[i].value, s->depth + 1);
    return 0;
}

/* 0 also for what does not parse or goes in a circle: others complain about that. */
static int looks_ahead(const sv_config *config, const char *text, int depth)
{
    sv_expr *expr;
    search s = {config, depth};
    if (depth > DEPTH_MAX || sv_expr_parse(&expr, text, strlen(text), NULL, NULL))
        return 0;
    int found = sv_expr_walk(sv_expr_root(expr), visit, &s) == 1;
    sv_expr_free(expr);
    return found;
}

int sv_panel_looks_ahead(const sv_config *config, const char *text)
{
    return looks_ahead(config, text, 0);
}

static int is_in(const sv_entries *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->items[i].value, name))
            return 1;
    return 0;
}

/* What is added to the score, or held against the model, is known when predicting too. */
static int check_column(const sv_config *config, const char *key, const char *name, sv_error *error)
{
    int ahead = name && config->panel.entity && sv_panel_is_future(name);
    for (size_t i = 0; i < config->features.count && name; i++)
        if (!strcmp(config->features.items[i].key, name))
            ahead |= sv_panel_looks_ahead(config, config->features.items[i].value);
    return ahead ? sv_config_fail(error, config, key, "'%.100s' is of a later period than the row's: a look ahead", name) : 0;
}

int sv_panel_check(const sv_config *config, sv_error *error)
{
    int code = check_column(config, "train.offset", config->train.offset, error);
    if (!code)
        code = check_column(config, "evaluate.baseline", config->evaluate.baseline, error);
    for (size_t i = 0; i < config->features.count && !code; i++) {
        const sv_entry *feature = &config->features.items[i];
        int enters = config->use.count ? is_in(&config->use, feature->key) : !is_in(&config->drop, feature->key);
        if (enters && sv_panel_looks_ahead(config, feature->value))
            code = sv_config_fail_at(error, config, "features", feature, "looks ahead: lead() tells what a later period will bring, which nobody knows when predicting");
    }
    return code;
}
