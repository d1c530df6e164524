/* fit.c: the steps of a training, in order: values, encoders, design, target and weights, solver, weights back into the pipeline. */
#include "fit.h"

#include "alloc.h"
#include "clock.h"
#include "design_terms.h"
#include "encoders.h"
#include "file.h"
#include "inference.h"
#include "schema.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    sv_task task;
    sv_loss loss;
} kinds[] = {
    [SV_MODEL_LOGISTIC] = {SV_TASK_BINARY, SV_LOSS_LOGISTIC},
    [SV_MODEL_MULTINOMIAL] = {SV_TASK_MULTINOMIAL, SV_LOSS_SOFTMAX},
    [SV_MODEL_LINEAR] = {SV_TASK_LINEAR, SV_LOSS_SQUARED},
    [SV_MODEL_POISSON] = {SV_TASK_POISSON, SV_LOSS_POISSON},
};

/* What lives during one fit. */
typedef struct fitting {
    const sv_config *config;
    const sv_dataset *dataset;
    sv_team *team, *own_team;
    sv_pipeline *pipeline;
    sv_values values;
    sv_design_terms terms;
    size_t n_scores, n_classes;
    double *weights, *class_weights, *offsets;
} fitting;

/* ---- the target ---- */

static int check_target(const fitting *f, sv_error *error)
{
    const sv_column *target = &f->dataset->target;
    double first = NAN, value;
    size_t n = 0;
    int differs = 0;
    for (size_t i = 0; i < f->dataset->table.n_rows; i++) {
        if (f->dataset->parts[i] != SV_PART_TRAIN) continue;
        sv_design_widen(&value, target->data, target->store, i, 1);
        if (!isfinite(value) || (f->config->train.model == SV_MODEL_POISSON && value < 0))
            return sv_error_set(error, SV_E_INPUT, "target %s: row %zu: expected %s number, got %g", target->name ? target->name : f->config->target.name, i + 1,
                                f->config->train.model == SV_MODEL_POISSON ? "a finite, not negative" : "a finite", value);
        differs |= n > 0 && value != first;
        first = n ? first : value;
        n++;
    }
    if (n < 2) return sv_error_set(error, SV_E_INPUT, "training: expected at least 2 training rows, got %zu", n);
    if (!differs) {
        sv_error_set(error, SV_E_INPUT, "target %s: expected different values, got %g in all %zu training rows", target->name ? target->name : f->config->target.name, first, n);
        sv_error_hint(error, "a constant target needs no model; look at target.when and at the split");
        return SV_E_INPUT;
    }
    return 0;
}

static int name_classes(fitting *f, sv_error *error)
{
    const sv_levels *levels = f->dataset->target.levels;
    const char **names = sv_array(f->n_classes, sizeof *names);
    if (!names) return sv_error_set(error, SV_E_MEMORY, "training: out of memory");
    for (size_t k = 0; k < f->n_classes; k++)
        names[k] = sv_levels_text(levels, k, NULL);
    int rc = sv_pipeline_set_classes(f->pipeline, names, f->n_classes, error);
    sv_free(names);
    return rc;
}

/* ---- weights ---- */

static int number_column(double **out, const fitting *f, const char *name, const char *key, sv_error *error)
{
    const sv_table *table = &f->dataset->table;
    int at = sv_table_find(table, name);
    if (at < 0 || table->columns[at].levels) return sv_error_set(error, SV_E_CONFIG, "%s: expected a numeric column, got %s", key, name);
    *out = sv_array(table->n_rows, sizeof **out);
    if (!*out) return sv_error_set(error, SV_E_MEMORY, "training: out of memory");
    sv_design_widen(*out, table->columns[at].data, table->columns[at].store, 0, table->n_rows);
    for (size_t i = 0; i < table->n_rows; i++)
        if (f->dataset->parts[i] != SV_PART_NONE && (!isfinite((*out)[i]) || ((*out)[i] < 0 && !strcmp(key, "train.weight"))))
            return sv_error_set(error, SV_E_INPUT, "%s: column %s, row %zu: expected a finite%s number, got %g", key, name, i + 1, !strcmp(key, "train.weight") ? ", not negative" : "", (*out)[i]);
    return 0;
}

/* A class by the text that the data has for it; one of two is also 0 or false, 1 or true. Of a column with target.positive, a text that is not it is the other class. */
static int class_named(const fitting *f, const char *name)
{
    const sv_table *table = &f->dataset->table;
    const sv_levels *levels = f->dataset->target.levels;
    const char *positive = f->config->target.positive;
    int at = f->config->target.column ? sv_table_find(table, f->config->target.column) : -1;
    if (levels) return sv_levels_find(levels, name, strlen(name));
    if (positive && !strcmp(name, positive)) return 1;
    if (positive && at >= 0 && table->columns[at].levels && sv_levels_find(table->columns[at].levels, name, strlen(name)) >= 0) return 0;
    if (!strcmp(name, "0") || !strcmp(name, "false")) return 0;
    return !strcmp(name, "1") || !strcmp(name, "true") ? 1 : -1;
}

/* "balanced": n / (classes * rows of the class), as scikit-learn's. */
static int weigh_classes(fitting *f, sv_error *error)
{
    const sv_entries *given = &f->config->train.class_weights;
    int balanced = f->config->train.class_weight == SV_CLASS_WEIGHT_BALANCED;
    if (!f->n_classes || (!balanced && !given->count)) return 0;
    f->class_weights = sv_calloc(f->n_classes, sizeof *f->class_weights);
    if (!f->class_weights) return sv_error_set(error, SV_E_MEMORY, "training: out of memory");
    double n = 0, k;
    for (size_t i = 0; balanced && i < f->dataset->table.n_rows; i++) {
        if (f->dataset->parts[i] != SV_PART_TRAIN) continue;
        sv_design_widen(&k, f->dataset->target.data, f->dataset->target.store, i, 1);
        f->class_weights[(size_t)k]++;
        n++;
    }
    for (size_t c = 0; c < f->n_classes; c++)
        f->class_weights[c] = balanced && f->class_weights[c] > 0 ? n / ((double)f->n_classes * f->class_weights[c]) : 1;
    for (size_t i = 0; i < given->count; i++) {
        const sv_entry *entry = &given->items[i];
        char *end;
        double weight = strtod(entry->value, &end);
        int c = class_named(f, entry->key);
        if (c < 0 || (size_t)c >= f->n_classes || *end || !(weight >= 0) || !isfinite(weight))
            return sv_config_fail_at(error, f->config, "train.class_weights", entry, "expected a class and a weight, got %s: %s", entry->key, entry->value);
        f->class_weights[c] = weight;
    }
    return 0;
}

static int attach(fitting *f, sv_error *error)
{
    sv_design *design = f->terms.design;
    const sv_config *config = f->config;
    int rc = weigh_classes(f, error);
    if (!rc && config->train.weight) rc = number_column(&f->weights, f, config->train.weight, "train.weight", error);
    design->target = f->dataset->target.data;
    design->target_store = f->dataset->target.store;
    design->n_classes = f->n_classes;
    design->parts = f->dataset->parts;
    design->part = SV_PART_TRAIN;
    design->weights = f->weights;
    design->class_weights = f->class_weights;
    return rc;
}

/* ---- the offset ---- */

/* Every row's offset, for the design; and in the pipeline, behind all terms that are learnt, a number whose weight is 1: so every form of the package adds it. */
static int add_offset(fitting *f, sv_error *error)
{
    const char *name = f->config->train.offset;
    const sv_features *features = sv_pipeline_features(f->pipeline);
    if (!name) return 0;
    int rc = sv_schema_compute(&f->offsets, features, name, &f->dataset->table, f->team, error);
    for (size_t i = 0; !rc && i < f->dataset->table.n_rows; i++)
        if (f->dataset->parts[i] != SV_PART_NONE && !isfinite(f->offsets[i])) {
            rc = sv_error_set(error, SV_E_INPUT, "train.offset: %s, row %zu: expected a finite number, got %g", name, i + 1, f->offsets[i]);
            sv_error_hint(error, "a log is finite where its number is above 0; coalesce(x, 0) answers for a missing one");
        }
    int term = rc ? -1 : sv_pipeline_add_number(f->pipeline, sv_features_find(features, name, strlen(name)), error);
    if (term < 0) return rc ? rc : term;
    sv_pipeline_term(f->pipeline, (size_t)term)->weights[0] = 1;
    f->terms.design->offsets = f->offsets;
    return 0;
}

/* ---- the fit ---- */

static sv_solver_options solver_options(const sv_config *config, const sv_fit_options *options)
{
    double l1 = config->train.penalty == SV_PENALTY_L1 ? 1 : config->train.penalty == SV_PENALTY_ELASTIC_NET ? config->train.l1_ratio : 0;
    return (sv_solver_options){
        .solver = config->train.solver, .c = config->train.c, .l1 = l1, .l2 = config->train.penalty == SV_PENALTY_NONE ? 0 : 1 - l1,
        .tolerance = config->train.tolerance, .max_iter = config->train.max_iter, .step = config->train.step, .learning_rate = config->train.learning_rate,
        .momentum = config->train.momentum, .batch_size = config->train.batch_size, .schedule = config->train.schedule, .seed = config->train.seed,
        .patience = config->train.patience, .checkpoint = options->checkpoint, .checkpoint_every = config->train.checkpoint_every, .resume = options->resume,
        .watch = options->watch, .watch_context = options->watch_context};
}

static void write_weights(const fitting *f, const double *w)
{
    size_t p = f->terms.design->n_weights;
    for (size_t t = 0; t < f->terms.n_terms; t++) {
        sv_term *term = sv_pipeline_term(f->pipeline, t);
        for (size_t j = 0; j < term->width; j++)
            for (size_t k = 0; k < f->n_scores; k++)
                term->weights[j * f->n_scores + k] = w[k * p + f->terms.first[t] + j];
    }
    for (size_t k = 0; k < f->n_scores; k++)
        sv_pipeline_intercept(f->pipeline)[k] = w[k * p + p - 1];
}

static void name_coefficient(sv_coefficient *c, const fitting *f, size_t k, const char *name)
{
    const char *class = f->n_scores > 1 ? sv_pipeline_class(f->pipeline, k) : NULL;
    if (class) snprintf(c->name, sizeof c->name, "%.60s: %.60s", class, name);
    else snprintf(c->name, sizeof c->name, "%s", name);
}

static int list_coefficients(sv_fit_report *report, const fitting *f, sv_error *error)
{
    size_t p = f->terms.design->n_weights;
    const double *w = report->solution.weights;
    sv_coefficient *c = report->coefficients = sv_calloc(f->n_scores * p, sizeof *c);
    if (!c) return sv_error_set(error, SV_E_MEMORY, "training: out of memory");
    report->n_coefficients = f->n_scores * p;
    for (size_t k = 0; k < f->n_scores; k++) {
        for (size_t t = 0; t < f->terms.n_terms; t++)
            for (size_t j = 0; j < sv_pipeline_term_const(f->pipeline, t)->width; j++, c++) {
                char name[sizeof c->name - 2];
                sv_pipeline_column_name(f->pipeline, t, j, name, sizeof name);
                *c = (sv_coefficient){.weight = w[k * p + f->terms.first[t] + j], .standard_error = NAN, .z = NAN, .p = NAN, .low = NAN, .high = NAN};
                name_coefficient(c, f, k, name);
            }
        *c = (sv_coefficient){.weight = w[k * p + p - 1], .standard_error = NAN, .z = NAN, .p = NAN, .low = NAN, .high = NAN};
        name_coefficient(c++, f, k, "(intercept)");
    }
    return 0;
}

/* Standard errors in the order of the coefficients. Collinear columns are no reason to fail a fit: the figures stay NaN. */
static int judge_coefficients(sv_fit_report *report, const fitting *f, sv_error *error)
{
    size_t p = f->terms.design->n_weights;
    double *errors = sv_array(p, sizeof *errors), degrees;
    sv_error collinear = SV_ERROR_INIT;
    sv_coefficient *c = report->coefficients;
    if (!errors) return sv_error_set(error, SV_E_MEMORY, "training: out of memory");
    int rc = sv_standard_errors(errors, &degrees, f->terms.design, kinds[f->config->train.model].loss, report->solution.weights, f->team, &collinear);
    double reach = sv_two_sided_quantile((1 - f->config->evaluate.confidence) / 2, degrees);
    for (size_t t = 0; !rc && t <= f->terms.n_terms; t++)
        for (size_t j = 0; j < (t < f->terms.n_terms ? sv_pipeline_term_const(f->pipeline, t)->width : 1); j++, c++) {
            c->standard_error = errors[t < f->terms.n_terms ? f->terms.first[t] + j : p - 1];
            c->z = c->weight / c->standard_error;
            c->p = sv_two_sided_p(c->z, degrees);
            c->low = c->weight - reach * c->standard_error;
            c->high = c->weight + reach * c->standard_error;
        }
    sv_free(errors);
    return rc == SV_E_NUMERIC ? 0 : rc ? sv_error_set(error, rc, "%s", collinear.message) : 0;
}

static int find_ids(int **ids, const sv_features *features, const char *const *used, size_t n_used, sv_error *error)
{
    *ids = sv_array(n_used ? n_used : 1, sizeof **ids);
    if (!*ids) return sv_error_set(error, SV_E_MEMORY, "training: out of memory");
    for (size_t k = 0; k < n_used; k++) {
        (*ids)[k] = sv_features_find(features, used[k], strlen(used[k]));
        if ((*ids)[k] < 0) return sv_error_set(error, SV_E_CONFIG, "use: no such column or feature: %s", used[k]);
    }
    return 0;
}

/* What predicting on further files needs. The rows of a panel are none of a file's. */
static int remember_csv_form(fitting *f, sv_error *error)
{
    const sv_config *c = f->config;
    size_t n = c->data.missing.count;
    if (c->panel.entity || !c->data.quote) return 0;
    const char **missing = sv_array(n + 1, sizeof *missing);
    if (!missing) return sv_error_set(error, SV_E_MEMORY, "training: out of memory");
    for (size_t i = 0; i < n; i++)
        missing[i] = c->data.missing.items[i].value;
    const sv_csv_form form = {.delimiter = c->data.delimiter ? *c->data.delimiter : 0, .quote = *c->data.quote, .header = c->data.header, .trim = c->data.trim,
                              .date_format = c->data.date_format, .missing = missing, .n_missing = n};
    int rc = sv_pipeline_set_csv_form(f->pipeline, &form, error);
    sv_free(missing);
    return rc;
}

static int open_pipeline(fitting *f, const sv_features *all, const char *const *used, size_t n_used, sv_error *error)
{
    sv_features *features = NULL;
    const char *offset = f->config->train.offset, **names = sv_array(n_used + 1, sizeof *names);
    if (!names) return sv_error_set(error, SV_E_MEMORY, "training: out of memory");
    memcpy(names, used, n_used * sizeof *names);
    if (offset) names[n_used] = offset;
    int rc = offset && sv_features_find(all, offset, strlen(offset)) < 0 ? sv_error_set(error, SV_E_CONFIG, "train.offset: no such column or feature: %s", offset)
                                                                          : sv_features_select(&features, all, names, n_used + (offset != NULL), error);
    sv_free(names);
    if (rc) return rc;
    rc = sv_pipeline_new(&f->pipeline, features, kinds[f->config->train.model].task, f->n_scores, error); /* takes features */
    if (!rc) rc = sv_pipeline_set_target(f->pipeline, f->config->target.name, error);
    if (!rc) rc = remember_csv_form(f, error);
    if (!rc && f->config->train.model == SV_MODEL_MULTINOMIAL) rc = name_classes(f, error);
    return rc;
}

static int prepare(fitting *f, const sv_features *all, const char *const *used, size_t n_used, sv_error *error)
{
    int *ids = NULL;
    int rc = check_target(f, error);
    if (!rc) rc = open_pipeline(f, all, used, n_used, error);
    if (!rc) rc = find_ids(&ids, sv_pipeline_features(f->pipeline), used, n_used, error);
    if (!rc) rc = sv_values_new(&f->values, sv_pipeline_features(f->pipeline), &f->dataset->table, ids, n_used, f->team, error);
    if (!rc) rc = sv_values_check(&f->values, f->dataset->parts, SV_PART_NONE, f->team, error);
    if (!rc) rc = sv_encoders_fit(f->pipeline, &f->values, f->config, f->dataset, f->team, error);
    if (!rc) rc = sv_design_terms_new(&f->terms, f->pipeline, &f->values, f->dataset->parts, SV_PART_TRAIN, f->team, error);
    if (!rc) rc = attach(f, error);
    if (!rc) rc = add_offset(f, error);
    sv_free(ids);
    return rc;
}

static int solve(fitting *f, sv_fit_report *report, const sv_fit_options *options, sv_error *error)
{
    sv_solver_options how = solver_options(f->config, options);
    sv_design validation = *f->terms.design; /* the same columns, other rows; owns nothing */
    validation.part = SV_PART_VALIDATION;
    if (f->dataset->counts[SV_PART_VALIDATION] > 0) how.validation = &validation;
    int rc = sv_solve(&report->solution, f->terms.design, kinds[f->config->train.model].loss, &how, f->team, options->share, error);
    if (rc) return rc;
    write_weights(f, report->solution.weights);
    rc = list_coefficients(report, f, error);
    if (!rc && f->config->evaluate.standard_errors && f->config->train.penalty == SV_PENALTY_NONE && f->n_scores == 1) rc = judge_coefficients(report, f, error);
    if (!rc) sv_pipeline_set_threshold(f->pipeline, f->config->evaluate.threshold);
    return rc ? rc : sv_pipeline_finish(f->pipeline, error);
}

static void close_fitting(fitting *f)
{
    sv_design_terms_free(&f->terms);
    sv_values_free(&f->values);
    sv_free(f->weights);
    sv_free(f->class_weights);
    sv_free(f->offsets);
    sv_team_free(f->own_team);
}

int sv_fit(sv_pipeline **out, sv_fit_report *report, const sv_config *config, const sv_features *features, const char *const *used, size_t n_used, const sv_dataset *dataset,
           const sv_fit_options *options, sv_error *error)
{
    static const sv_fit_options defaults = SV_FIT_OPTIONS_INIT;
    int64_t start = sv_monotonic_ns(), solving;
    fitting f = {.config = config, .dataset = dataset, .n_scores = 1};
    options = options ? options : &defaults;
    *out = NULL;
    *report = (sv_fit_report){0};
    f.team = options->team;
    int rc = 0;
    if (!f.team) rc = sv_team_new(&f.own_team, (size_t)config->train.threads, error);
    if (!f.team) f.team = f.own_team;
    if (config->train.model == SV_MODEL_LOGISTIC) f.n_classes = 2;
    if (config->train.model == SV_MODEL_MULTINOMIAL) {
        f.n_scores = f.n_classes = dataset->target.levels ? sv_levels_count(dataset->target.levels) : 0;
        if (f.n_classes < 2) rc = sv_error_set(error, SV_E_INPUT, "target: expected at least 2 classes, got %zu", f.n_classes);
    }
    if (!rc) rc = prepare(&f, features, used, n_used, error);
    solving = sv_monotonic_ns();
    report->encode_seconds = (double)(solving - start) / 1e9;
    if (!rc) rc = solve(&f, report, options, error);
    report->solve_seconds = (double)(sv_monotonic_ns() - solving) / 1e9;
    if (!rc) {
        report->n_rows = dataset->counts[SV_PART_TRAIN];
        report->n_weights = f.terms.design->n_weights;
        report->n_scores = f.n_scores;
        *out = f.pipeline;
        f.pipeline = NULL;
    }
    sv_pipeline_free(f.pipeline);
    close_fitting(&f);
    if (rc) {
        sv_fit_report_free(report);
        *report = (sv_fit_report){0};
    }
    return rc;
}

void sv_fit_report_free(sv_fit_report *report)
{
    if (!report) return;
    sv_solution_free(&report->solution);
    sv_free(report->coefficients);
}
