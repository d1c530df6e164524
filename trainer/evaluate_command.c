/* evaluate_command.c: `solvent evaluate`: any model on the configured rows. */
#include "commands.h"
#include "model_source.h"
#include "training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static json_t *metrics_of(const sv_evaluation *e)
{
    json_t *metrics = json_object();
    for (size_t p = 0; p < e->n_parts; p++)
        for (size_t m = 0; m < e->parts[p].n_metrics; m++) {
            const sv_metric *metric = &e->parts[p].metrics[m];
            char key[96];
            snprintf(key, sizeof key, "%s.%s", sv_part_name(e->parts[p].part), metric->name);
            json_object_set_new(metrics, key, isfinite(metric->value) ? json_real(metric->value) : json_null());
        }
    return metrics;
}

/* The model must answer the configuration's question. */
static int check_task(const sv_pipeline *pipeline, const sv_config *config, const char *uri, sv_error *error)
{
    static const sv_task tasks[] = {[SV_MODEL_LOGISTIC] = SV_TASK_BINARY, [SV_MODEL_MULTINOMIAL] = SV_TASK_MULTINOMIAL, [SV_MODEL_LINEAR] = SV_TASK_LINEAR,
                                    [SV_MODEL_POISSON] = SV_TASK_POISSON};
    sv_task wanted = tasks[config->train.model], got = sv_pipeline_task(pipeline);
    return wanted == got ? 0 : sv_error_set(error, SV_E_INPUT, "%s: expected a %s model as train.model says, got %s", uri, sv_task_name(wanted), sv_task_name(got));
}

static int evaluate(sv_training *t, const sv_arguments *arguments, sv_package *package, sv_error *error)
{
    int code = sv_model_load(package, arguments->model, NULL, error);
    if (!code)
        code = check_task(package->pipeline, t->config, arguments->model, error);
    if (!code)
        code = sv_training_read_rows(t, error);
    if (code)
        return code;
    t->pipeline = package->pipeline;
    code = sv_training_evaluate(t, error);
    t->pipeline = NULL; /* the package's */
    if (!code)
        sv_progress_event(t->progress, json_pack("{s:s,s:s,s:f,s:o}", "event", "done", "model", arguments->model, "seconds", t->read_seconds + t->evaluate_seconds, "metrics",
                                                 metrics_of(&t->evaluation)));
    return code;
}

int sv_run_evaluate(const sv_arguments *arguments, sv_error *error)
{
    sv_config *config;
    sv_config_options options = {arguments->sets, arguments->n_sets};
    sv_training training = {0};
    sv_package package = {0};
    sv_progress progress;
    int code = sv_config_read(&config, arguments->config, &options, error);
    if (code)
        return code;
    if (arguments->threads > 0)
        config->train.threads = arguments->threads;
    sv_progress_begin(&progress, arguments->json ? SV_VOICE_JSON : arguments->quiet ? SV_VOICE_QUIET : SV_VOICE_LINES);
    sv_interrupt_watch();
    code = sv_training_begin(&training, config, NULL, &progress, NULL, error);
    if (!code)
        code = evaluate(&training, arguments, &package, error);
    sv_training_free(&training);
    sv_package_free(&package);
    sv_config_free(config);
    return code;
}
