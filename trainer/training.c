#include "training.h"
#include "alloc.h"
#include "clock.h"
#include "interrupt.h"
#include "output.h"
#include "panel.h"
#include "schema.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { STEPS_MAX = 1 << 20 }; /* kept and tracked; later ones are not */

static double seconds_since(int64_t began_ns)
{
    return (double)(sv_monotonic_ns() - began_ns) / 1e9;
}

int sv_training_check(const sv_config *config, sv_error *error)
{
    if (config->output)
        return sv_output_folder_check(config->output, error);
    if (config->train.checkpoint_every <= 0)
        return 0;
    sv_config_fail(error, config, "train.checkpoint_every", "the checkpoint is OUTPUT/checkpoint, and there is no output");
    sv_error_hint(error, "give --output PATH, or `output:` in the configuration");
    return SV_E_CONFIG;
}

int sv_training_begin(sv_training *t, const sv_config *config, sv_team *team, sv_progress *progress, sv_tracker *tracker, sv_error *error)
{
    *t = (sv_training){.config = config, .team = team, .progress = progress, .tracker = tracker};
    if (team)
        return 0;
    t->owns_team = 1;
    return sv_team_new(&t->team, (size_t)config->train.threads, error);
}

static int stop_when_asked(sv_error *error)
{
    return sv_interrupted() ? sv_error_set(error, SV_E_INTERRUPTED, "interrupted") : 0;
}

static void tell_rows(sv_training *t)
{
    const sv_dataset *d = &t->dataset;
    const sv_entries *source = &t->config->data.source;
    sv_progress_line(t->progress, "read", "%s rows × %zu columns from %.100s%s, %.0f ms (%.0f MB/s)", sv_grouped(d->table.n_rows), d->table.n_columns,
                     sv_config_shown(t->config, source->items[0].value), source->count > 1 ? " …" : "", t->read_seconds * 1e3, (double)d->bytes_read / 1e6 / t->read_seconds);
    for (size_t i = 0; i < d->bad_rows && i < 10; i++)
        sv_progress_warn(t->progress, "left out: %s", d->bad[i]);
    if (d->bad_rows > 10)
        sv_progress_warn(t->progress, "left out: %s rows in all", sv_grouped(d->bad_rows));
    sv_progress_line(t->progress, "split", "train %s, validation %s, test %s%s%s", sv_grouped(d->counts[0]), sv_grouped(d->counts[1]), sv_grouped(d->counts[2]),
                     d->counts[3] ? ", without a target " : "", d->counts[3] ? sv_grouped(d->counts[3]) : "");
    sv_progress_event(t->progress, json_pack("{s:s,s:I,s:I,s:I,s:f,s:I,s:I,s:I}", "event", "read", "rows", (json_int_t)d->table.n_rows, "columns",
                                             (json_int_t)d->table.n_columns, "bytes_parsed", (json_int_t)d->bytes_parsed,
                                             "seconds", t->read_seconds, "train", (json_int_t)d->counts[0], "validation", (json_int_t)d->counts[1], "test",
                                             (json_int_t)d->counts[2]));
}

int sv_training_read_rows(sv_training *t, sv_error *error)
{
    int64_t began = sv_monotonic_ns();
    int code = sv_panel_check(t->config, error);
    if (!code)
        code = sv_dataset_read(&t->dataset, t->config, t->team, error);
    t->read_seconds = seconds_since(began);
    if (!code)
        tell_rows(t);
    if (!code)
        code = sv_evaluate_check(t->config, &t->dataset.table, error);
    return code ? code : stop_when_asked(error);
}

int sv_training_read(sv_training *t, sv_error *error)
{
    int code = sv_training_read_rows(t, error);
    if (!code)
        code = sv_schema_build(&t->features, t->config, &t->dataset.table, error);
    if (!code)
        code = sv_schema_choose(&t->used, &t->n_used, t->config, t->features, &t->dataset.table, error);
    return code;
}

void sv_training_adopt(sv_training *t, sv_training *other)
{
    t->dataset = other->dataset;
    t->features = other->features;
    t->used = other->used;
    t->n_used = other->n_used;
    t->read_seconds = other->read_seconds;
    other->dataset = (sv_dataset){0};
    other->features = NULL;
    other->used = NULL;
    other->n_used = 0;
}

static void tell_audit(sv_training *t)
{
    const sv_audit *a = &t->audit;
    const sv_audit_feature *first = NULL;
    for (size_t i = 0; i < a->n_features; i++)
        if (!isnan(a->features[i].auc) && (!first || a->features[i].auc > first->auc))
            first = &a->features[i];
    for (size_t i = 0; i < a->n_findings; i++)
        if (a->findings[i].kind == SV_AUDIT_LEAK)
            sv_progress_warn(t->progress, "LEAKAGE: %s", a->findings[i].text);
    for (size_t i = 0; i < a->n_findings; i++)
        if (a->findings[i].kind == SV_AUDIT_NOTE)
            sv_progress_line(t->progress, "audit", "%s", a->findings[i].text);
    if (!a->n_leaks && first)
        sv_progress_line(t->progress, "audit", "no leak found in %zu features; the strongest alone is %s, %s %.3f", a->n_features, first->name,
                         t->dataset.target.type == SV_DOUBLE ? "correlation" : "AUC", first->auc);
    json_t *findings = json_array();
    for (size_t i = 0; i < a->n_findings; i++)
        json_array_append_new(findings, json_pack("{s:s,s:s}", "kind", a->findings[i].kind == SV_AUDIT_LEAK ? "leak" : "note", "text", a->findings[i].text));
    sv_progress_event(t->progress, json_pack("{s:s,s:I,s:I,s:f,s:o}", "event", "audit", "leaks", (json_int_t)a->n_leaks, "duplicates", (json_int_t)a->n_duplicates, "seconds",
                                             t->audit_seconds, "findings", findings));
}

/* All that a score is made of: the used features and, behind them, the offset. */
static int audit(sv_training *t, sv_error *error)
{
    const char *offset = t->config->train.offset, **names = sv_array(t->n_used + 1, sizeof *names);
    size_t n = t->n_used, known = 0;
    if (!names)
        return sv_error_set(error, SV_E_MEMORY, "audit: out of memory");
    memcpy(names, t->used, n * sizeof *names);
    while (offset && known < n && strcmp(names[known], offset) != 0)
        known++;
    if (offset && known == n && sv_features_find(t->features, offset, strlen(offset)) >= 0)
        names[n++] = offset;
    int code = sv_audit_run(&t->audit, t->config, &t->dataset, t->features, names, n, t->team, error);
    sv_free(names);
    return code;
}

int sv_training_audit(sv_training *t, sv_error *error)
{
    int64_t began = sv_monotonic_ns();
    if (t->config->evaluate.audit == SV_AUDIT_OFF)
        return 0;
    int code = audit(t, error);
    t->audit_seconds = seconds_since(began);
    tell_audit(t);
    return code ? code : stop_when_asked(error);
}

/* A fit for a run that the server will not have need not go on. */
static int is_in_vain(const sv_training *t)
{
    return sv_interrupted() || sv_tracker_check(t->tracker, NULL);
}

static int watch(void *context, const sv_fit_step *step)
{
    sv_training *t = context;
    char behind[64];
    if (t->n_steps == STEPS_MAX)
        return is_in_vain(t);
    if (!(t->n_steps & (t->n_steps - 1)) && t->n_steps != 1) {
        sv_fit_step *steps = sv_realloc(t->steps, (t->n_steps ? t->n_steps * 2 : 2) * sizeof *steps);
        if (!steps)
            return is_in_vain(t);
        t->steps = steps;
    }
    t->steps[t->n_steps++] = *step;
    sv_tracker_step(t->tracker, step);
    snprintf(behind, sizeof behind, "loss %.6f", step->loss);
    sv_progress_bar(t->progress, "fit", step->iteration, t->config->train.max_iter, behind);
    return is_in_vain(t);
}

static void tell_fit(sv_training *t)
{
    const sv_solution *s = &t->fit.solution;
    sv_progress_line(t->progress, "fit", "%s, %lld iterations, loss %.8f, gradient %.1e, %.1f ms%s", s->solver, (long long)s->iterations, s->loss, s->gradient_norm,
                     t->fit_seconds * 1e3, s->why[0] ? "" : "");
    if (s->why[0])
        sv_progress_line(t->progress, "", "%s: %s", s->solver, s->why);
    if (s->converged)
        return;
    if (s->iterations >= t->config->train.max_iter)
        sv_progress_warn(t->progress, "not converged within %lld iterations: gradient %.1e; raise train.max_iter or train.tolerance", (long long)t->config->train.max_iter,
                         s->gradient_norm);
    else if (t->config->train.patience > 0)
        sv_progress_line(t->progress, "", "stopped early: the validation loss fell no more; the weights are those of its least, gradient %.1e", s->gradient_norm);
    else
        sv_progress_warn(t->progress, "not converged: the objective falls no more in double precision, gradient %.1e; raise train.tolerance", s->gradient_norm);
}

int sv_training_fit(sv_training *t, const char *checkpoint, const char *resume, sv_error *error)
{
    int64_t began = sv_monotonic_ns();
    sv_fit_options options = SV_FIT_OPTIONS_INIT;
    options.watch = watch;
    options.watch_context = t;
    options.team = t->team;
    options.checkpoint = checkpoint;
    options.resume = resume;
    int code = sv_fit(&t->pipeline, &t->fit, t->config, t->features, t->used, t->n_used, &t->dataset, &options, error);
    t->fit_seconds = seconds_since(began);
    sv_progress_clear(t->progress);
    if (code == SV_E_INTERRUPTED && !sv_interrupted()) {
        sv_error_clear(error);
        code = sv_tracker_check(t->tracker, error);
    }
    if (!code)
        tell_fit(t);
    if (!code)
        code = sv_calibrate(t->pipeline, &t->dataset, t->config, t->team, error);
    return code ? code : stop_when_asked(error);
}

int sv_training_left_checkpoint(const sv_training *t)
{
    return t->config && t->config->train.checkpoint_every > 0 && t->n_steps > 0 && !t->pipeline;
}

/* A figure of each part side by side: the rows of the table that a person reads. */
static void tell_evaluation(sv_training *t)
{
    const sv_evaluation *e = &t->evaluation;
    char line[200] = "";
    for (size_t p = 0; p < e->n_parts; p++)
        snprintf(line + strlen(line), sizeof line - strlen(line), "%21s%c", sv_part_name(e->parts[p].part), *e->parts[p].fitted ? '*' : ' ');
    sv_progress_line(t->progress, "evaluate", "%-18s%s", "", line);
    for (size_t m = 0; m < e->parts[0].n_metrics; m++) {
        line[0] = '\0';
        for (size_t p = 0; p < e->n_parts; p++) {
            const sv_metric *metric = &e->parts[p].metrics[m];
            char cell[48], interval[32] = "";
            if (!isnan(metric->low))
                snprintf(interval, sizeof interval, " ±%.4f", (metric->high - metric->low) / 2);
            if (metric->value == floor(metric->value) && fabs(metric->value) >= 2) /* a count */
                snprintf(cell, sizeof cell, "%.0f", metric->value);
            else
                snprintf(cell, sizeof cell, "%.4f%s", metric->value, interval);
            int width = interval[0] ? 23 : 22; /* ± is two bytes */
            snprintf(line + strlen(line), sizeof line - strlen(line), "%*s", width, cell);
        }
        sv_progress_line(t->progress, "", "%-18s%s", e->parts[0].metrics[m].name, line);
    }
    for (size_t p = 0; p < e->n_parts; p++)
        if (*e->parts[p].fitted)
            sv_progress_line(t->progress, "", "* in-sample%s: %s chosen on the %s rows, whose figures flatter the model", t->fit.n_rows ? "" : " where the model was made of these rows",
                             e->parts[p].fitted, sv_part_name(e->parts[p].part));
}

json_t *sv_training_in_sample(const sv_training *t)
{
    json_t *object = json_object();
    for (size_t p = 0; p < t->evaluation.n_parts; p++)
        if (*t->evaluation.parts[p].fitted)
            json_object_set_new(object, sv_part_name(t->evaluation.parts[p].part), json_string(t->evaluation.parts[p].fitted));
    return object;
}

int sv_training_evaluate(sv_training *t, sv_error *error)
{
    int64_t began = sv_monotonic_ns();
    int code = sv_evaluate(&t->evaluation, t->pipeline, &t->dataset, t->config, t->team, error);
    t->evaluate_seconds = seconds_since(began);
    if (!code)
        tell_evaluation(t);
    return code ? code : stop_when_asked(error);
}

void sv_training_free(sv_training *t)
{
    if (!t)
        return;
    sv_audit_free(&t->audit);
    sv_evaluation_free(&t->evaluation);
    sv_fit_report_free(&t->fit);
    sv_pipeline_free(t->pipeline);
    sv_features_free(t->features);
    sv_free(t->used);
    sv_free(t->steps);
    sv_dataset_free(&t->dataset);
    if (t->owns_team)
        sv_team_free(t->team);
    *t = (sv_training){0};
}
