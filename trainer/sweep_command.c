/* sweep_command.c: `solvent sweep`: every trial a nested run, judged on validation or over folds; the best is trained, packaged and registered as `train` would. */
#include "alloc.h"
#include "commands.h"
#include "prng.h"
#include "schema.h"
#include "sweep.h"
#include "training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct sweep_job {
    const sv_arguments *arguments;
    sv_config *config;
    sv_progress progress;
    sv_tracker *tracker; /* the parent run */
    sv_training training; /* rows and features, shared by all trials */
    sv_trials trials;
    uint8_t *parts, *folds; /* (n_rows) what a trial learns from; folds NULL: none */
    size_t n_judged;
} sweep_job;

static int read_config(sweep_job *job, sv_config **out, const sv_trial *trial, sv_error *error)
{
    const sv_arguments *a = job->arguments;
    const char *sets[SV_MAX_SETS + SV_SWEEP_KEYS_MAX];
    sv_config_options options = {sets, a->n_sets};
    memcpy(sets, a->sets, a->n_sets * sizeof *sets);
    for (size_t k = 0; trial && k < job->trials.n_keys; k++)
        sets[options.n_set++] = trial->sets[k];
    int code = sv_config_read(out, a->config, &options, error);
    if (!code && a->threads > 0)
        (*out)->train.threads = a->threads;
    if (!code && a->no_tracking)
        (*out)->tracking.enabled = 0;
    if (!code && a->output)
        (*out)->output = a->output;
    if (!code && (code = sv_training_check(*out, error))) {
        sv_config_free(*out);
        *out = NULL;
    }
    return code;
}

/* ---- one trial ---- */

/* By time a block is judged by a model of those before it, so the oldest is not judged. */
static int is_by_time(const sweep_job *job)
{
    return job->config->split.method == SV_SPLIT_TIME;
}

static uint8_t part_in_fold(const sweep_job *job, size_t row, int fold)
{
    uint8_t own = job->folds[row];
    if (own == 255 || (own > fold && is_by_time(job)))
        return SV_PART_NONE;
    return own == fold ? SV_PART_VALIDATION : SV_PART_TRAIN;
}

/* Rows for one fold (or -1: the parts as they are); share of the training rows that learn. */
static void choose_rows(sweep_job *job, int fold, double share)
{
    const sv_dataset *d = &job->training.dataset;
    for (size_t row = 0; row < d->table.n_rows; row++) {
        uint8_t part = d->parts[row];
        if (fold >= 0)
            part = part_in_fold(job, row, fold);
        else if (part == SV_PART_TEST)
            part = SV_PART_NONE; /* nobody chooses by what judges in the end */
        if (part == SV_PART_TRAIN && share < 1 && (double)(sv_mix64((uint64_t)job->config->sweep.seed ^ row) >> 11) * 0x1p-53 >= share)
            part = SV_PART_NONE;
        job->parts[row] = part;
    }
}

static int judge_once(sweep_job *job, double *score, const sv_config *config, sv_error *error)
{
    sv_dataset dataset = job->training.dataset; /* its table and target, another mask */
    sv_fit_options options = SV_FIT_OPTIONS_INIT;
    sv_fit_report report = {0};
    sv_evaluation evaluation = {0};
    sv_pipeline *pipeline = NULL;
    dataset.parts = job->parts;
    memset(dataset.counts, 0, sizeof dataset.counts);
    for (size_t row = 0; row < dataset.table.n_rows; row++)
        dataset.counts[dataset.parts[row]]++;
    options.team = job->training.team;
    if (job->config->sweep.folds && (!dataset.counts[SV_PART_TRAIN] || !dataset.counts[SV_PART_VALIDATION]))
        return sv_config_fail(error, job->config, "sweep.folds", "a fold has no rows to learn from or to be judged by: expected fewer folds");
    int code = sv_fit(&pipeline, &report, config, job->training.features, job->training.used, job->training.n_used, &dataset, &options, error);
    if (!code)
        code = sv_calibrate(pipeline, &dataset, config, job->training.team, error);
    if (!code)
        code = sv_evaluate(&evaluation, pipeline, &dataset, config, job->training.team, error);
    const char *name = strchr(config->sweep.metric, '.');
    if (!code)
        *score = sv_evaluation_metric(&evaluation, SV_PART_VALIDATION, name ? name + 1 : config->sweep.metric);
    sv_evaluation_free(&evaluation);
    sv_fit_report_free(&report);
    sv_pipeline_free(pipeline);
    return code;
}

/* The trial's score: on validation, or the mean over the folds. */
static int judge(sweep_job *job, sv_trial *trial, double share, sv_error *error)
{
    sv_config *config;
    int n_folds = (int)job->config->sweep.folds, first = n_folds ? is_by_time(job) : -1, code = read_config(job, &config, trial, error);
    double sum = 0, score = NAN;
    if (code)
        return code;
    config->evaluate.bootstrap = 0;
    for (int fold = first; fold < n_folds && !code; fold++) {
        choose_rows(job, fold, share);
        code = judge_once(job, &score, config, error);
        sum += score;
        if (!n_folds)
            break;
    }
    trial->score = code ? NAN : n_folds ? sum / (n_folds - first) : sum;
    sv_config_free(config);
    return code;
}

/* A nested run: what was tried and what came of it. */
static int track_trial(sweep_job *job, const sv_trial *trial, size_t number, double share, const sv_error *failure, sv_error *error)
{
    sv_tracker *tracker;
    char name[64];
    snprintf(name, sizeof name, "trial-%zu", number);
    sv_tracker_options options = {.offline = job->arguments->offline, .parent_run_id = sv_tracker_run_id(job->tracker), .run_name = name, .client = sv_tracker_client(job->tracker)};
    if (!job->tracker)
        return 0;
    int code = sv_tracker_begin(&tracker, job->config, &options, error);
    if (!code)
        code = sv_tracker_join(tracker, error);
    for (size_t k = 0; k < job->trials.n_keys && !code; k++) {
        char key[300];
        const char *equals = strchr(trial->sets[k], '=');
        snprintf(key, sizeof key, "%.*s", (int)(equals - trial->sets[k]), trial->sets[k]);
        code = sv_tracker_param(tracker, key, equals + 1, error);
    }
    if (!code && !isnan(trial->score))
        sv_tracker_metric(tracker, job->config->sweep.metric, trial->score, 0);
    if (!code && share < 1)
        sv_tracker_metric(tracker, "sweep.share", share, 0);
    sv_error ending = SV_ERROR_INIT;
    if (sv_tracker_end(tracker, failure, NULL, &ending) && !code)
        code = sv_error_set(error, ending.code, "%s", ending.message);
    return code;
}

static void tell_trial(sweep_job *job, const sv_trial *trial, size_t number, double share, const sv_error *failure)
{
    char text[400] = "";
    json_t *settings = json_object();
    for (size_t k = 0; k < job->trials.n_keys; k++) {
        const char *equals = strchr(trial->sets[k], '=');
        char key[300];
        snprintf(key, sizeof key, "%.*s", (int)(equals - trial->sets[k]), trial->sets[k]);
        json_object_set_new(settings, key, json_string(equals + 1));
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.90s", k ? " " : "", trial->sets[k]);
    }
    if (failure)
        sv_progress_warn(&job->progress, "trial %zu (%s) failed: %s", number, text, failure->message);
    else
        sv_progress_line(&job->progress, "trial", "%zu  %s  %s %.6f%s", number, text, job->config->sweep.metric, trial->score, share < 1 ? "  on a part of the rows" : "");
    sv_progress_event(&job->progress, json_pack("{s:s,s:I,s:f,s:o,s:o}", "event", "trial", "number", (json_int_t)number, "share", share, "score",
                                                isnan(trial->score) ? json_null() : json_real(trial->score), "settings", settings));
}

/* All trials that are still in, once. A trial that cannot be fitted is out; an interruption or a wrong configuration ends all. */
static int run_round(sweep_job *job, double share, sv_error *error)
{
    for (size_t t = 0; t < job->trials.n_trials; t++) {
        sv_trial *trial = &job->trials.trials[t];
        sv_error failure = SV_ERROR_INIT;
        if (!trial->alive)
            continue;
        if (sv_interrupted())
            return sv_error_set(error, SV_E_INTERRUPTED, "interrupted");
        sv_progress_bar(&job->progress, "sweep", (int64_t)t, (int64_t)job->trials.n_trials, trial->sets[0]);
        int code = judge(job, trial, share, &failure);
        if (code == SV_E_INTERRUPTED || code == SV_E_CONFIG || code == SV_E_MEMORY) {
            sv_error_set(error, code, "%s", failure.message);
            return code;
        }
        if (!code && isnan(trial->score))
            return sv_config_fail(error, job->config, "sweep.metric", "a %s model has no figure '%.60s' on validation", sv_config_word("train.model", (int)job->config->train.model),
                                  job->config->sweep.metric);
        trial->alive = !code;
        tell_trial(job, trial, ++job->n_judged, share, code ? &failure : NULL);
        if ((code = track_trial(job, trial, job->n_judged, share, code ? &failure : NULL, error)))
            return code;
    }
    return 0;
}

/* The worse half goes. */
static void halve(sweep_job *job)
{
    size_t n_alive = 0;
    for (size_t t = 0; t < job->trials.n_trials; t++)
        n_alive += job->trials.trials[t].alive != 0;
    for (size_t out = n_alive / 2; out; out--) {
        sv_trial *worst = NULL;
        for (size_t t = 0; t < job->trials.n_trials; t++) {
            sv_trial *trial = &job->trials.trials[t];
            if (trial->alive && (!worst || !sv_trials_better(job->config, trial->score, worst->score)))
                worst = trial;
        }
        worst->alive = 0;
    }
}

static int run_trials(sweep_job *job, sv_error *error)
{
    if (job->config->sweep.method != SV_SWEEP_HALVING)
        return run_round(job, 1, error);
    size_t rounds = 0;
    for (size_t n = job->trials.n_trials; n > 1; n = (n + 1) / 2)
        rounds++;
    for (size_t r = 0;; r++) {
        double share = ldexp(1, -(int)(rounds > r ? rounds - r : 0));
        int code = run_round(job, share < 1.0 / 64 ? 1.0 / 64 : share, error);
        if (code || r >= rounds)
            return code;
        halve(job);
    }
}

static const sv_trial *best_trial(const sweep_job *job)
{
    const sv_trial *best = NULL;
    for (size_t t = 0; t < job->trials.n_trials; t++)
        if (job->trials.trials[t].alive && (!best || sv_trials_better(job->config, job->trials.trials[t].score, best->score)))
            best = &job->trials.trials[t];
    return best;
}

/* ---- the whole ---- */

static int prepare(sweep_job *job, sv_error *error)
{
    sv_tracker_options options = {.offline = job->arguments->offline, .run_name = "sweep"};
    const sv_config_options given = {job->arguments->sets, job->arguments->n_sets};
    int code = sv_trials_make(&job->trials, job->config, error);
    if (!code && strncmp(job->config->sweep.metric, "validation.", 11) != 0)
        code = sv_config_fail(error, job->config, "sweep.metric", "expected validation. and a figure, got '%.60s'", job->config->sweep.metric);
    if (!code && job->arguments->n_sets + job->trials.n_keys > SV_MAX_SETS)
        code = sv_error_set(error, SV_E_CONFIG, "sweep: too many --set");
    if (!code)
        code = sv_trials_check(&job->trials, job->config, job->arguments->config, &given, error);
    if (!code)
        code = sv_tracker_begin(&job->tracker, job->config, &options, error);
    if (!code)
        code = sv_training_begin(&job->training, job->config, NULL, &job->progress, NULL, error);
    if (!code)
        code = sv_training_read(&job->training, error);
    if (code)
        return code;
    const sv_dataset *d = &job->training.dataset;
    job->parts = sv_malloc(d->table.n_rows + 1);
    job->folds = sv_malloc(d->table.n_rows + 1);
    if (!job->parts || !job->folds)
        return sv_error_set(error, SV_E_MEMORY, "sweep: out of memory");
    if (job->config->sweep.folds == 1)
        return sv_config_fail(error, job->config, "sweep.folds", "must be 0 or >= 2, got 1");
    if (job->config->sweep.folds)
        code = sv_split_folds(job->folds, (int)job->config->sweep.folds, d->parts, job->config, &d->table, &d->target, error);
    else if (!d->counts[SV_PART_VALIDATION])
        code = sv_config_fail(error, job->config, "sweep.folds", "expected folds, or rows for validation in `split:`");
    if (!code)
        code = sv_tracker_join(job->tracker, error);
    return code ? code : sv_tracker_settings(job->tracker, job->config, error);
}

static int keep_best(sweep_job *job, sv_error *error)
{
    const sv_trial *best = best_trial(job);
    if (!best)
        return sv_error_set(error, SV_E_NUMERIC, "sweep: no trial could be fitted");
    sv_arguments arguments = *job->arguments;
    char text[600] = "";
    for (size_t k = 0; k < job->trials.n_keys; k++) {
        arguments.sets[arguments.n_sets++] = best->sets[k];
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.90s", k ? " " : "", best->sets[k]);
    }
    sv_progress_line(&job->progress, "best", "%s  %s %.6f", text, job->config->sweep.metric, best->score);
    int code = sv_tracker_tag(job->tracker, "solvent.best", text, error);
    if (!code)
        sv_tracker_metric(job->tracker, job->config->sweep.metric, best->score, 0);
    return code ? code : sv_train(&arguments, sv_tracker_run_id(job->tracker), &job->training, error);
}

int sv_run_sweep(const sv_arguments *arguments, sv_error *error)
{
    sweep_job job = {.arguments = arguments};
    sv_error ending = SV_ERROR_INIT;
    sv_progress_begin(&job.progress, arguments->json ? SV_VOICE_JSON : arguments->quiet ? SV_VOICE_QUIET : SV_VOICE_LINES);
    sv_interrupt_watch();
    int code = read_config(&job, &job.config, NULL, error);
    if (code)
        return code;
    code = prepare(&job, error);
    if (!code)
        code = run_trials(&job, error);
    if (!code)
        code = keep_best(&job, error);
    sv_progress_clear(&job.progress);
    if (sv_tracker_end(job.tracker, code ? error : NULL, NULL, &ending) && !code)
        code = sv_error_set(error, ending.code, "%s", ending.message);
    sv_trials_free(&job.trials);
    sv_training_free(&job.training);
    sv_free(job.parts);
    sv_free(job.folds);
    sv_config_free(job.config);
    return code;
}
