/* train_command.c: `solvent train`: read, fit, judge, package, track, register. */
#include "alloc.h"
#include "buffer.h"
#include "clock.h"
#include "commands.h"
#include "file.h"
#include "packaging.h"
#include "promote.h"
#include "ranks.h"
#include "training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct train_job {
    const sv_arguments *arguments;
    const char *parent_run_id; /* of a sweep; NULL: none */
    sv_training *read;         /* its rows; NULL: none */
    sv_config *config;
    sv_progress progress;
    sv_tracker *tracker;
    sv_training training;
    sv_packaging packaging;
    sv_promotion promotion;
    char *checkpoint; /* OUTPUT/checkpoint; NULL: none is written */
    int64_t began_ns;
    int waits;        /* something is in the journal that no server has */
    double spent_seconds, track_seconds; /* for tracking: while it trained, and after that */
} train_job;

/* Under mpirun all ranks fit; rank 0 alone tells, tracks and writes. */
static int join_ranks(train_job *job, sv_error *error)
{
    int code = sv_ranks_join(error);
    if (code || sv_ranks_rank() == 0)
        return code;
    job->config->tracking.enabled = 0;
    job->config->output = NULL;
    sv_progress_begin(&job->progress, SV_VOICE_NONE);
    return 0;
}

static int read_config(train_job *job, sv_error *error)
{
    const sv_arguments *a = job->arguments;
    sv_config_options options = {a->sets, a->n_sets};
    int code = sv_config_read(&job->config, a->config, &options, error);
    if (code)
        return code;
    if ((code = sv_promotion_check(job->config, error)))
        return code;
    if (a->threads > 0)
        job->config->train.threads = a->threads;
    if (a->output)
        job->config->output = a->output;
    if (a->no_tracking)
        job->config->tracking.enabled = 0;
    if (a->no_register || !job->config->name)
        job->config->registry.enabled = 0;
    if ((code = sv_training_check(job->config, error)))
        return code;
    return join_ranks(job, error);
}

static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

static json_t *metrics_object(const sv_evaluation *evaluation)
{
    json_t *metrics = json_object();
    for (size_t p = 0; p < evaluation->n_parts; p++)
        for (size_t m = 0; m < evaluation->parts[p].n_metrics; m++) {
            char key[96];
            snprintf(key, sizeof key, "%s.%s", sv_part_name(evaluation->parts[p].part), evaluation->parts[p].metrics[m].name);
            json_object_set_new(metrics, key, number_or_null(evaluation->parts[p].metrics[m].value));
        }
    return metrics;
}

/* The contract of --json: the last line. */
static void tell_done(train_job *job, const char *run_id, const char *model_id, const char *version)
{
    const sv_training *t = &job->training;
    json_t *seconds = json_pack("{s:f,s:f,s:f,s:f,s:f}", "read", t->read_seconds, "fit", t->fit_seconds, "evaluate", t->evaluate_seconds, "track", job->track_seconds, "total",
                                (double)(sv_monotonic_ns() - job->began_ns) / 1e9);
    json_t *done = json_pack("{s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:o,s:o,s:o,s:o}", "event", "done", "run_id", text_or_null(run_id), "model_id", text_or_null(model_id), "name",
                             text_or_null(version ? job->config->name : NULL), "version", text_or_null(version), "package",
                             text_or_null(job->config->output ? job->packaging.package : NULL), "seconds", seconds, "iterations", (json_int_t)t->fit.solution.iterations,
                             "objective", number_or_null(t->fit.solution.objective), "metrics", metrics_object(&t->evaluation), "in_sample",
                             sv_training_in_sample(t), "waiting", text_or_null(job->waits ? "mlflowc sync" : NULL));
    sv_progress_event(&job->progress, done);
}

/* Figures of rows that chose more than the weights are marked so: solvent.in_sample.validation is "calibration". */
static int tag_in_sample(train_job *job, sv_error *error)
{
    const sv_evaluation *e = &job->training.evaluation;
    int code = 0;
    for (size_t p = 0; p < e->n_parts && !code; p++) {
        char key[64];
        snprintf(key, sizeof key, "solvent.in_sample.%s", sv_part_name(e->parts[p].part));
        if (*e->parts[p].fitted)
            code = sv_tracker_tag(job->tracker, key, e->parts[p].fitted, error);
    }
    return code;
}

static int log_run(train_job *job, sv_error *error)
{
    sv_training *t = &job->training;
    char features[64];
    int code = sv_tracker_settings(job->tracker, job->config, error);
    if (!code)
        code = sv_tracker_dataset(job->tracker, &t->dataset, job->config, error);
    json_t *names = json_array();
    for (size_t i = 0; i < t->n_used; i++)
        json_array_append_new(names, json_string(t->used[i]));
    char *text = json_dumps(names, 0);
    json_decref(names);
    snprintf(features, sizeof features, "%zu", t->n_used);
    if (!code)
        code = sv_tracker_param(job->tracker, "features.count", features, error);
    if (!code && text)
        code = sv_tracker_param(job->tracker, "features.used", text, error);
    if (!code && text)
        code = sv_tracker_text(job->tracker, text, strlen(text), "features.json", error);
    free(text);
    if (!code)
        code = sv_tracker_param(job->tracker, "fit.solver", t->fit.solution.solver, error);
    if (!code && t->fit.solution.why[0])
        code = sv_tracker_param(job->tracker, "fit.why", t->fit.solution.why, error);
    sv_tracker_metric(job->tracker, "fit.iterations", (double)t->fit.solution.iterations, 0);
    sv_tracker_metric(job->tracker, "fit.objective", t->fit.solution.objective, 0);
    sv_tracker_metric(job->tracker, "fit.gradient_norm", t->fit.solution.gradient_norm, 0);
    if (!isnan(t->fit.solution.weight_error))
        sv_tracker_metric(job->tracker, "fit.weight_error", t->fit.solution.weight_error, 0);
    if (!isnan(t->fit.solution.duality_gap))
        sv_tracker_metric(job->tracker, "fit.duality_gap", t->fit.solution.duality_gap, 0);
    sv_tracker_metric(job->tracker, "fit.converged", t->fit.solution.converged, 0);
    if (sv_pipeline_task(t->pipeline) == SV_TASK_BINARY) /* the one in use: the param says only what the configuration began with */
        sv_tracker_metric(job->tracker, "threshold", sv_pipeline_threshold(t->pipeline), 0);
    sv_tracker_metric(job->tracker, "seconds.tracking", job->spent_seconds, 0);
    sv_tracker_metric(job->tracker, "seconds.read", t->read_seconds, 0);
    sv_tracker_metric(job->tracker, "seconds.fit", t->fit_seconds, 0);
    sv_tracker_metric(job->tracker, "seconds.evaluate", t->evaluate_seconds, 0);
    if (!code)
        code = tag_in_sample(job, error);
    return code ? code : sv_tracker_evaluation(job->tracker, &t->evaluation);
}

/* NULL: there was none. */
static const char *audit_word(const train_job *job)
{
    return job->config->evaluate.audit == SV_AUDIT_OFF ? NULL : job->training.audit.n_leaks ? "leakage" : "passed";
}

/* What the audit found, where nobody overlooks it: as tags of the run. */
static int log_audit(train_job *job, sv_error *error)
{
    const sv_audit *audit = &job->training.audit;
    sv_buffer text = SV_BUFFER_INIT(7000);
    int code = 0;
    for (size_t i = 0; i < audit->n_findings; i++)
        if (audit->findings[i].kind == SV_AUDIT_LEAK)
            sv_buffer_format(&text, "%s\n", audit->findings[i].text); /* what goes beyond the limit is left out */
    if (text.size)
        code = sv_tracker_tag(job->tracker, "solvent.leakage", text.data, error);
    if (!code && audit_word(job))
        code = sv_tracker_tag(job->tracker, "solvent.audit", audit_word(job), error);
    sv_buffer_free(&text);
    return code;
}

static int log_model(train_job *job, sv_error *error)
{
    int code = sv_tracker_folder(job->tracker, job->packaging.report, NULL, error);
    if (!code)
        code = sv_tracker_model(job->tracker, job->packaging.package, job->config, &job->training.evaluation, error);
    if (code || !job->config->registry.enabled)
        return code;
    code = sv_promotion_decide(&job->promotion, &job->training, sv_tracker_is_waiting(job->tracker) ? NULL : sv_tracker_client(job->tracker), error);
    if (!code && job->promotion.reason[0])
        code = sv_tracker_tag(job->tracker, "solvent.promotion", job->promotion.reason, error);
    if (!code && !isnan(job->promotion.share))
        sv_tracker_metric(job->tracker, "promotion.share", job->promotion.share, 0);
    const sv_tracker_release release = {job->packaging.card, audit_word(job), job->promotion.promote ? job->config->registry.alias : NULL};
    return code ? code : sv_tracker_register(job->tracker, job->config, &release, error);
}

static int track(train_job *job, sv_error *error)
{
    int64_t began = sv_monotonic_ns();
    job->spent_seconds = sv_tracker_seconds(job->tracker);
    if (job->tracker)
        sv_progress_event(&job->progress, json_pack("{s:s,s:f}", "event", "trained", "seconds_for_tracking", job->spent_seconds));
    int code = sv_tracker_join(job->tracker, error);
    if (!code && job->tracker)
        code = log_run(job, error);
    if (!code && job->tracker)
        code = log_audit(job, error);
    if (!code && job->tracker)
        code = log_model(job, error);
    job->track_seconds = (double)(sv_monotonic_ns() - began) / 1e9;
    return code;
}

static int place_checkpoint(train_job *job, sv_error *error)
{
    if (job->config->train.checkpoint_every <= 0 || !job->config->output)
        return 0;
    job->checkpoint = sv_path_join(job->config->output, "checkpoint");
    int code = job->checkpoint ? sv_folder_make(job->config->output, error) : sv_error_set(error, SV_E_MEMORY, "training: out of memory");
    return code ? code : sv_packaging_lock(&job->packaging, job->config, error);
}

/* What an interrupted training goes on from, told and kept with its run. */
static void keep_checkpoint(train_job *job)
{
    sv_error error = SV_ERROR_INIT;
    if (!job->checkpoint || !sv_training_left_checkpoint(&job->training))
        return;
    sv_progress_line(&job->progress, "checkpoint", "%s: go on with --resume", job->checkpoint);
    if (!job->tracker)
        return;
    int code = sv_tracker_join(job->tracker, &error);
    if (!code)
        code = sv_tracker_settings(job->tracker, job->config, &error);
    if (!code)
        code = sv_tracker_folder(job->tracker, job->checkpoint, NULL, &error);
    if (code)
        sv_progress_warn(&job->progress, "the checkpoint is not kept with the run: %s", error.message);
    sv_error_clear(&error);
}

static int work(train_job *job, sv_error *error)
{
    sv_tracker_options tracking = {.offline = job->arguments->offline, .parent_run_id = job->parent_run_id};
    int code = sv_packaging_lock(&job->packaging, job->config, error);
    if (!code)
        code = sv_tracker_begin(&job->tracker, job->config, &tracking, error);
    if (!code)
        code = sv_training_begin(&job->training, job->config, NULL, &job->progress, job->tracker, error);
    if (!code && job->read)
        sv_training_adopt(&job->training, job->read);
    else if (!code)
        code = sv_training_read(&job->training, error);
    if (!code)
        code = sv_training_audit(&job->training, error);
    if (!code)
        code = place_checkpoint(job, error);
    if (!code)
        code = sv_tracker_check(job->tracker, error);
    if (!code)
        code = sv_training_fit(&job->training, job->checkpoint, job->arguments->resume, error);
    if (!code)
        code = sv_training_evaluate(&job->training, error);
    if (!code && (job->tracker || job->config->output))
        code = sv_packaging_write(&job->packaging, &job->training, error);
    return code ? code : track(job, error);
}

int sv_run_train(const sv_arguments *arguments, sv_error *error)
{
    return sv_train(arguments, NULL, NULL, error);
}

int sv_train(const sv_arguments *arguments, const char *parent_run_id, sv_training *read, sv_error *error)
{
    train_job job = {.arguments = arguments, .parent_run_id = parent_run_id, .read = read, .packaging = SV_PACKAGING_INIT, .began_ns = sv_monotonic_ns()};
    char run_id[128], model_id[128], version[32], address[512];
    sv_error ending = SV_ERROR_INIT;
    sv_progress_begin(&job.progress, arguments->json ? SV_VOICE_JSON : arguments->quiet ? SV_VOICE_QUIET : SV_VOICE_LINES);
    sv_interrupt_watch();
    int code = read_config(&job, error);
    if (code) {
        sv_config_free(job.config);
        return code;
    }
    job.config->sweep.won = read && !job.config->sweep.folds;
    code = work(&job, error);
    sv_progress_clear(&job.progress);
    if (code == SV_E_INTERRUPTED)
        keep_checkpoint(&job);
    const char *texts[4] = {sv_tracker_run_id(job.tracker), sv_tracker_model_id(job.tracker), sv_tracker_version(job.tracker), code ? NULL : sv_tracker_address(job.tracker)};
    char *kept[4] = {run_id, model_id, version, address};
    size_t sizes[4] = {sizeof run_id, sizeof model_id, sizeof version, sizeof address};
    for (int i = 0; i < 4; i++) {
        snprintf(kept[i], sizes[i], "%s", texts[i] ? texts[i] : "");
        kept[i] = texts[i] ? kept[i] : NULL;
    }
    int64_t began = sv_monotonic_ns();
    if (sv_tracker_end(job.tracker, code ? error : NULL, &job.waits, &ending) && !code)
        code = sv_error_set(error, ending.code, "%s", ending.message);
    job.track_seconds += (double)(sv_monotonic_ns() - began) / 1e9;
    if (!code) {
        const char *alias = job.promotion.promote ? job.config->registry.alias : "";
        if (kept[2])
            sv_progress_line(&job.progress, "register", "%s version %s%s%s", job.config->name, version, job.promotion.promote ? " @" : "", alias);
        else if (kept[0] && job.config->registry.enabled)
            sv_progress_line(&job.progress, "register", "%s: a version%s%s waits with the run", job.config->name, job.promotion.promote ? " @" : "", alias);
        if (job.promotion.reason[0])
            sv_progress_line(&job.progress, "promote", "%s", job.promotion.reason);
        if (job.config->output)
            sv_progress_line(&job.progress, "package", "%s", job.packaging.package);
        if (kept[3])
            sv_progress_line(&job.progress, "run", "%s", address);
        if (job.waits)
            sv_progress_line(&job.progress, "waiting", "run %s waits in the journal on this disk and is %s on the server: `mlflowc sync` sends it", run_id, kept[3] ? "not wholly" : "not");
        tell_done(&job, kept[0], kept[1], kept[2]);
    }
    sv_free(job.checkpoint);
    sv_packaging_free(&job.packaging);
    sv_training_free(&job.training);
    sv_config_free(job.config);
    return code;
}
