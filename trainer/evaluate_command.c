/* evaluate_command.c: `solvent evaluate`: any model on the configured rows, and whether these still look like those that it was made from. */
#include "alloc.h"
#include "commands.h"
#include "drift.h"
#include "model_source.h"
#include "secret.h"
#include "training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
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
    if (wanted == got)
        return 0;
    char *shown = sv_secret_hidden(uri);
    sv_error_set(error, SV_E_INPUT, "%s: expected a %s model as train.model says, got %s", shown ? shown : "***", sv_task_name(wanted), sv_task_name(got));
    sv_free(shown);
    return SV_E_INPUT;
}

enum { DRIFTS_SHOWN = 10 };
static const double DRIFT_PSI = 0.1; /* below: stable (Siddiqi 2006); above 0.25: moved */

static json_t *drift_object(const sv_drift *d)
{
    json_t *values = json_array(), *figures = json_array();
    for (size_t i = 0; i < d->n_values; i++)
        json_array_append_new(values, json_pack("{s:s,s:o,s:o}", "name", d->values[i].name, "psi", isnan(d->values[i].psi) ? json_null() : json_real(d->values[i].psi), "ks",
                                                isnan(d->values[i].ks) ? json_null() : json_real(d->values[i].ks)));
    for (size_t i = 0; i < d->n_figures; i++)
        json_array_append_new(figures, json_pack("{s:s,s:f,s:f}", "name", d->figures[i].name, "then", d->figures[i].then, "now", d->figures[i].now));
    return json_pack("{s:s,s:o,s:o}", "event", "drift", "values", values, "figures", figures);
}

static int is_calibration(const char *figure)
{
    const char *dot = strchr(figure, '.');
    return !dot || !strcmp(dot, ".ece") || !strcmp(dot, ".log_loss") || !strcmp(dot, ".roc_auc") || !strcmp(dot, ".rmse");
}

/* These rows against those that the model was made from. */
static int tell_drift(sv_training *t, const sv_package *package, sv_error *error)
{
    sv_drift drift;
    size_t moved = 0;
    if (!package->profile) {
        sv_progress_line(t->progress, "drift", "the package has no profile.json to compare with");
        return 0;
    }
    int code = sv_drift_measure(&drift, package->profile, package->pipeline, &t->dataset, &t->evaluation, t->team, error);
    if (code)
        return code;
    for (size_t i = 0; i < drift.n_values; i++)
        if ((drift.values[i].psi >= DRIFT_PSI || i + 1 == drift.n_values) && moved++ < DRIFTS_SHOWN)
            sv_progress_line(t->progress, moved == 1 ? "drift" : "", "%-24s PSI %.3f, KS %.3f against the model's training rows", drift.values[i].name, drift.values[i].psi,
                             drift.values[i].ks);
    for (size_t i = 0; i < drift.n_figures; i++)
        if (is_calibration(drift.figures[i].name))
            sv_progress_line(t->progress, "", "%-24s %.4f, was %.4f", drift.figures[i].name, drift.figures[i].now, drift.figures[i].then);
    sv_progress_event(t->progress, drift_object(&drift));
    sv_drift_free(&drift);
    return 0;
}

/* A threshold that costs chose lies between two predictions; one that a person wrote has few digits. */
static int is_chosen(double threshold)
{
    char text[32];
    snprintf(text, sizeof text, "%.6g", threshold);
    return strtod(text, NULL) != threshold;
}

/* The figures are marked by what was chosen for this model, whatever its configuration here would choose. */
static void take_choices(sv_config *config, const sv_pipeline *pipeline)
{
    config->evaluate.calibration = sv_pipeline_is_calibrated(pipeline) ? SV_CALIBRATION_PLATT : SV_CALIBRATION_NONE;
    config->evaluate.threshold_rule = is_chosen(sv_pipeline_threshold(pipeline)) ? SV_THRESHOLD_COSTS : SV_THRESHOLD_FIXED;
}

static int evaluate(sv_training *t, sv_config *config, const sv_arguments *arguments, sv_package *package, sv_error *error)
{
    int code = sv_model_load(package, arguments->model, NULL, error);
    sv_interrupt_watch();
    if (!code)
        code = check_task(package->pipeline, t->config, arguments->model, error);
    if (!code)
        code = sv_training_read_rows(t, error);
    if (code)
        return code;
    t->pipeline = package->pipeline;
    take_choices(config, package->pipeline);
    code = sv_training_evaluate(t, error);
    if (!code)
        code = tell_drift(t, package, error);
    t->pipeline = NULL; /* the package's */
    if (!code)
        sv_progress_event(t->progress, json_pack("{s:s,s:s,s:f,s:o,s:o}", "event", "done", "model", arguments->model, "seconds", t->read_seconds + t->evaluate_seconds, "metrics",
                                                 metrics_of(&t->evaluation), "in_sample", sv_training_in_sample(t)));
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
    code = sv_training_begin(&training, config, NULL, &progress, NULL, error);
    if (!code)
        code = evaluate(&training, config, arguments, &package, error);
    sv_training_free(&training);
    sv_package_free(&package);
    sv_config_free(config);
    return code;
}
