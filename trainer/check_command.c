/* check_command.c: `solvent check` and `solvent reference`. */
#include "alloc.h"
#include "commands.h"
#include "config.h"
#include "panel.h"
#include "promote.h"
#include "schema.h"
#include "sweep.h"
#include "training.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The grammar of one expression; names and types need the data's columns. */
static int check_expression(const sv_config *config, const char *key, const sv_entry *entry, const char *text, sv_error *error)
{
    sv_expr *expr = NULL;
    sv_place place = {0};
    sv_error inner = SV_ERROR_INIT;
    int code = sv_expr_parse(&expr, text, strlen(text), &place, &inner);
    if (!code)
        code = sv_panel_substitute(expr, config, &inner);
    if (code)
        sv_schema_explain(error, &inner, config, key, entry, text, &place);
    sv_expr_free(expr);
    return code;
}

static int check_expressions(const sv_config *config, sv_error *error)
{
    const char *target = config->target.when ? config->target.when : config->target.value;
    int code = 0;
    for (size_t i = 0; i < config->features.count && !code; i++)
        code = check_expression(config, "features", &config->features.items[i], config->features.items[i].value, error);
    if (!code && target)
        code = check_expression(config, config->target.when ? "target.when" : "target.value", NULL, target, error);
    return code;
}

static int check_sweep(const sv_config *config, const char *path, const sv_config_options *options, sv_error *error)
{
    sv_trials trials;
    int code = config->sweep.keys.count ? sv_trials_make(&trials, config, error) : 0;
    if (code || !config->sweep.keys.count)
        return code;
    code = sv_trials_check(&trials, config, path, options, error);
    sv_trials_free(&trials);
    return code;
}

/* Only what can be had without asking anybody: a file that is there, or the generated world. */
static int is_at_hand(const sv_config *config)
{
    struct stat about;
    for (size_t i = 0; i < config->data.source.count; i++) {
        const char *source = config->data.source.items[i].value;
        if (strncmp(source, "generate:", 9) != 0 && (stat(source, &about) || !S_ISREG(about.st_mode)))
            return 0;
    }
    return 1;
}

/* As comments, so that what is printed still reads back as a configuration. */
static void describe(const sv_training *t)
{
    printf("# %zu rows; columns:\n", t->dataset.table.n_rows);
    for (size_t c = 0; c < t->dataset.table.n_columns; c++) {
        const sv_column *column = &t->dataset.table.columns[c];
        printf("#   %s: %s", column->name, sv_type_name(column->type));
        if (column->levels)
            printf(" (%zu texts)", sv_levels_count(column->levels));
        printf("\n");
    }
    printf("# %zu features enter the model:\n", t->n_used);
    for (size_t i = 0; i < t->n_used; i++)
        printf("#   %s\n", t->used[i]);
}

/* Reads, splits and audits as `train` would, up to the fit. */
static int check_data(const sv_config *config, int quiet, sv_error *error)
{
    sv_training training;
    sv_progress progress;
    sv_progress_begin(&progress, SV_VOICE_NONE);
    int code = sv_training_begin(&training, config, NULL, &progress, NULL, error);
    if (!code)
        code = sv_training_read(&training, error);
    if (!code && !quiet)
        describe(&training);
    if (!code)
        code = sv_training_audit(&training, error);
    for (size_t i = 0; i < training.audit.n_findings && !quiet; i++)
        printf("# %s%s\n", training.audit.findings[i].kind == SV_AUDIT_LEAK ? "LEAKAGE: " : "audit: ", training.audit.findings[i].text);
    sv_training_free(&training);
    return code;
}

int sv_run_check(const sv_arguments *arguments, sv_error *error)
{
    sv_config *config;
    sv_config_options options = {arguments->sets, arguments->n_sets};
    int code = sv_config_read(&config, arguments->config, &options, error);
    if (code)
        return code;
    code = sv_panel_check(config, error);
    if (!code)
        code = check_expressions(config, error);
    if (!code)
        code = sv_promotion_check(config, error);
    if (!code)
        code = check_sweep(config, arguments->config, &options, error);
    if (!code && !arguments->quiet)
        code = sv_config_print(config, stdout);
    if (!code && is_at_hand(config))
        code = check_data(config, arguments->quiet, error);
    sv_config_free(config);
    return code;
}

int sv_run_reference(const sv_arguments *arguments, sv_error *error)
{
    (void)arguments;
    (void)error;
    sv_config_reference(stdout);
    return 0;
}
