/* From a table in memory to a pipeline: the scorer's answers are the optimum's, encoders are fitted on training rows alone, threads change no bit, bad data is named. */
#include "alloc.h"
#include "config.h"
#include "design.h"
#include "fit.h"
#include "figures.h"
#include "evaluate.h"
#include "buffer.h"
#include "file.h"
#include "prng.h"
#include "report.h"
#include "schema.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 3000 };

typedef struct world {
    sv_dataset dataset;
    sv_features *features;
    sv_config *config;
    const char *used[8];
    size_t n_used;
} world;

static sv_column column(const char *name, sv_type type, sv_store store, size_t size)
{
    sv_column c = {.name = sv_strdup(name), .type = type, .store = store, .data = sv_calloc(N, size)};
    if (type == SV_STRING) sv_levels_new(&c.levels);
    return c;
}

/* age, balance (some missing), job; debt is derived; the target follows from them. */
static void build(world *w, const char *yaml)
{
    static const char *const jobs[] = {"worker", "clerk", "artist", "pilot"};
    sv_error error = SV_ERROR_INIT;
    sv_prng prng;
    *w = (world){.used = {"age", "balance", "debt", "job"}, .n_used = 4};
    cr_assert_eq(sv_config_parse(&w->config, "test", yaml, strlen(yaml), NULL, &error), 0, "%s", error.message);
    sv_table *t = &w->dataset.table;
    *t = (sv_table){.n_rows = N, .n_columns = 3, .columns = sv_calloc(3, sizeof(sv_column))};
    t->columns[0] = column("age", SV_LONG, SV_STORE_I8, 1);
    t->columns[1] = column("balance", SV_DOUBLE, SV_STORE_F64, 8);
    t->columns[2] = column("job", SV_STRING, SV_STORE_CODE8, 1);
    w->dataset.target = column("good", SV_BOOLEAN, SV_STORE_I8, 1);
    w->dataset.parts = sv_calloc(N, 1);
    for (int j = 0; j < 4; j++)
        sv_levels_add(t->columns[2].levels, jobs[j], strlen(jobs[j]));
    sv_prng_seed(&prng, 42);
    for (size_t i = 0; i < N; i++) {
        int8_t age = (int8_t)(20 + sv_prng_below(&prng, 60));
        double balance = 1000 * sv_prng_normal(&prng);
        uint8_t job = (uint8_t)sv_prng_below(&prng, 4);
        double score = 0.03 * (age - 50) + balance / 900 + (job == 2 ? -0.7 : 0.1 * job);
        w->dataset.parts[i] = (uint8_t)(i % 10 < 7 ? SV_PART_TRAIN : i % 10 == 7 ? SV_PART_VALIDATION : SV_PART_TEST);
        w->dataset.counts[w->dataset.parts[i]]++;
        ((int8_t *)t->columns[0].data)[i] = age;
        ((double *)t->columns[1].data)[i] = i % 37 == 5 ? NAN : balance;
        ((uint8_t *)t->columns[2].data)[i] = job;
        ((int8_t *)w->dataset.target.data)[i] = sv_prng_uniform(&prng) < 1 / (1 + exp(-score));
    }
    cr_assert_eq(sv_features_new(&w->features), 0);
    for (size_t c = 0; c < 3; c++)
        cr_assert(sv_features_add_column(w->features, t->columns[c].name, t->columns[c].type, t->columns[c].levels, &error) >= 0, "%s", error.message);
}

static void define(world *w, const char *name, const char *text)
{
    sv_error error = SV_ERROR_INIT;
    sv_place place;
    cr_assert(sv_features_define(w->features, name, text, &place, &error) >= 0, "%s", error.message);
    cr_assert_eq(sv_features_compile(w->features, NULL, NULL, &error), 0, "%s", error.message);
}

static void drop(world *w)
{
    for (size_t c = 0; c < 3; c++) {
        sv_free(w->dataset.table.columns[c].name);
        sv_free(w->dataset.table.columns[c].data);
        sv_levels_free(w->dataset.table.columns[c].levels);
    }
    sv_free(w->dataset.table.columns);
    sv_free(w->dataset.target.name);
    sv_free(w->dataset.target.data);
    sv_free(w->dataset.parts);
    sv_features_free(w->features);
    sv_config_free(w->config);
}

#define YAML(more) "name: m\ndata: {source: x.csv}\ntarget: {name: good, when: \"balance > 0\"}\n" more

static sv_pipeline *fit(world *w, sv_fit_report *report, size_t threads)
{
    sv_pipeline *pipeline = NULL;
    sv_error error = SV_ERROR_INIT;
    sv_team *team = NULL;
    cr_assert_eq(sv_team_new(&team, threads, &error), 0);
    sv_fit_options options = {.team = team};
    cr_assert_eq(sv_fit(&pipeline, report, w->config, w->features, w->used, w->n_used, &w->dataset, &options, &error), 0, "%s", error.message);
    sv_team_free(team);
    return pipeline;
}

Test(fit, gradient_of_the_scorers_own_answers_is_flat)
{
    world w;
    sv_fit_report report;
    sv_error error = SV_ERROR_INIT;
    sv_team *team = NULL;
    double *p = NULL, intercept = 0, age = 0, age_sum = 0, age_squares = 0, n = 0;
    build(&w, YAML("train: {tolerance: 1e-10}\n"));
    define(&w, "debt", "balance < 0");
    sv_pipeline *pipeline = fit(&w, &report, 2);
    cr_assert(report.solution.converged);
    cr_assert_eq(report.n_coefficients, 3 + 3 + 1);
    cr_assert_str_eq(report.coefficients[3].name, "job=clerk"); /* in order of bytes, "artist" dropped */
    cr_assert_eq(sv_team_new(&team, 2, &error), 0);
    cr_assert_eq(sv_predict_table(&p, pipeline, &w.dataset.table, team, &error), 0, "%s", error.message);
    for (size_t i = 0; i < N; i++) {
        if (w.dataset.parts[i] != SV_PART_TRAIN) continue;
        double x = ((int8_t *)w.dataset.table.columns[0].data)[i], r = p[i] - ((int8_t *)w.dataset.target.data)[i];
        intercept += r;
        age += r * x;
        age_sum += x;
        age_squares += x * x;
        n++;
    }
    double mean = age_sum / n, scale = sqrt(age_squares / n - mean * mean);
    cr_assert(fabs(intercept) < 1e-6, "intercept's gradient: %g", intercept);
    cr_assert(fabs((age - mean * intercept) / scale + report.coefficients[0].weight) < 1e-6, "age's gradient: %g", age);
    sv_free(p);
    sv_team_free(team);
    sv_pipeline_free(pipeline);
    sv_fit_report_free(&report);
    drop(&w);
}

Test(fit, threads_change_no_bit)
{
    world w;
    sv_fit_report first, other;
    build(&w, YAML("encode: {columns: {age: spline(5), balance: bins(6)}, interactions: [\"job * debt\", \"age * job\"], missing_indicator: true}\n"));
    define(&w, "debt", "balance < 0");
    sv_pipeline *one = fit(&w, &first, 1), *four = fit(&w, &other, 4);
    cr_assert_eq(first.n_weights, other.n_weights);
    cr_assert(!memcmp(first.solution.weights, other.solution.weights, first.n_weights * sizeof(double)));
    sv_pipeline_free(one);
    sv_pipeline_free(four);
    sv_fit_report_free(&first);
    sv_fit_report_free(&other);
    drop(&w);
}

Test(fit, evaluation_has_all_parts_and_figures)
{
    world w;
    sv_fit_report report;
    sv_error error = SV_ERROR_INIT;
    sv_team *team = NULL;
    sv_evaluation evaluation;
    build(&w, YAML("evaluate: {bootstrap: 200, segments: [job], calibration: isotonic, threshold_rule: costs, costs: {false_positive: 1, false_negative: 5}}\n"));
    define(&w, "debt", "balance < 0");
    sv_pipeline *pipeline = fit(&w, &report, 2);
    cr_assert_eq(sv_team_new(&team, 2, &error), 0);
    cr_assert_eq(sv_calibrate(pipeline, &w.dataset, w.config, team, &error), 0, "%s", error.message);
    cr_assert(sv_pipeline_threshold(pipeline) < 0.5, "a false negative costs more: got threshold %g", sv_pipeline_threshold(pipeline));
    cr_assert_eq(sv_evaluate(&evaluation, pipeline, &w.dataset, w.config, team, &error), 0, "%s", error.message);
    cr_assert_eq(evaluation.n_parts, 3);
    cr_assert_eq(evaluation.n_segments, 4);
    cr_assert_eq(evaluation.n_baselines, 3);
    double auc = sv_evaluation_metric(&evaluation, SV_PART_TEST, "roc_auc");
    cr_assert(auc > 0.7 && auc < 0.95, "auc: %g", auc);
    for (size_t m = 1; m < evaluation.parts[2].n_metrics; m++) {
        const sv_metric *metric = &evaluation.parts[2].metrics[m];
        cr_assert(metric->low <= metric->high, "%s: %g … %g", metric->name, metric->low, metric->high);
    }
    sv_evaluation_free(&evaluation);
    sv_team_free(team);
    sv_pipeline_free(pipeline);
    sv_fit_report_free(&report);
    drop(&w);
}

static int keep_step(void *context, const sv_fit_step *step)
{
    sv_report *report = context;
    if (report->n_steps < 50) ((sv_fit_step *)(uintptr_t)report->steps)[report->n_steps++] = *step;
    return 0;
}

Test(fit, report_is_one_safe_page_with_its_plots)
{
    world w;
    sv_fit_step steps[50];
    sv_fit_report fitted;
    sv_evaluation evaluation;
    sv_pipeline *pipeline = NULL;
    sv_team *team = NULL;
    sv_error error = SV_ERROR_INIT;
    char folder[] = "/tmp/report.XXXXXX";
    build(&w, YAML("description: \"<script>alert(1)</script>\"\nevaluate: {bootstrap: 100, segments: [job], costs: {false_positive: 1, false_negative: 5}}\ntrain: {solver: lbfgs}\n"));
    define(&w, "debt", "balance < 0");
    sv_report report = {.config = w.config, .dataset = &w.dataset, .fit = &fitted, .evaluation = &evaluation, .steps = steps, .warnings = "column balance alone predicts <the target>"};
    sv_fit_options options = {.watch = keep_step, .watch_context = &report};
    cr_assert_eq(sv_team_new(&team, 2, &error), 0);
    cr_assert_eq(sv_fit(&pipeline, &fitted, w.config, w.features, w.used, w.n_used, &w.dataset, &options, &error), 0, "%s", error.message);
    cr_assert_eq(sv_evaluate(&evaluation, pipeline, &w.dataset, w.config, team, &error), 0, "%s", error.message);
    report.pipeline = pipeline;
    cr_assert_not_null(mkdtemp(folder));
    const char *to = getenv("REPORT_FOLDER") ? getenv("REPORT_FOLDER") : folder; /* to look at it */
    cr_assert_eq(sv_report_write(to, &report, &error), 0, "%s", error.message);
    sv_buffer page = SV_BUFFER_INIT(0);
    char *path = sv_path_join(to, "report.html");
    cr_assert_eq(sv_file_read(&page, path, 0, &error), 0);
    cr_assert(strstr(page.data, "&lt;script&gt;") && !strstr(page.data, "<script") && !strstr(page.data, "http://127"));
    cr_assert(strstr(page.data, "</style><title>m</title>"));
    cr_assert(!strstr(page.data, "nan") && strstr(page.data, "Reliability") && strstr(page.data, "job = artist"));
    sv_buffer card = SV_BUFFER_INIT(0);
    cr_assert_eq(sv_report_card(&card, &report, &error), 0);
    cr_assert(strstr(card.data, "| roc_auc |"));
    sv_buffer_free(&card);
    sv_buffer_free(&page);
    sv_free(path);
    cr_assert_eq(sv_folder_remove(folder, &error), 0);
    sv_evaluation_free(&evaluation);
    sv_team_free(team);
    sv_pipeline_free(pipeline);
    sv_fit_report_free(&fitted);
    drop(&w);
}

static void refuse(world *w, int code, const char *words)
{
    sv_pipeline *pipeline = NULL;
    sv_fit_report report;
    sv_error error = SV_ERROR_INIT;
    int rc = sv_fit(&pipeline, &report, w->config, w->features, w->used, w->n_used, &w->dataset, NULL, &error);
    cr_assert_eq(rc, code, "expected %d, got %d: %s", code, rc, error.message);
    cr_assert(strstr(error.message, words), "expected \"%s\" in: %s", words, error.message);
    drop(w);
}

/* The package adds the offset by itself: only with it are the answers right on average, and without it the fit is another. */
Test(fit, an_offset_is_added_when_fitting_and_when_answering)
{
    world w;
    sv_fit_report report;
    sv_error error = SV_ERROR_INIT;
    sv_team *team = NULL;
    double *p = NULL, miss = 0;
    build(&w, YAML("train: {tolerance: 1e-10, offset: head_start}\n"));
    define(&w, "head_start", "0.1 * (age - 40)");
    w.n_used = 2; /* age, balance */
    sv_pipeline *pipeline = fit(&w, &report, 2);
    const sv_term *last = sv_pipeline_term_const(pipeline, sv_pipeline_n_terms(pipeline) - 1);
    cr_assert(report.solution.converged);
    cr_assert_str_eq(sv_features_name(sv_pipeline_features(pipeline), last->value), "head_start");
    cr_assert_eq(last->weights[0], 1);
    cr_assert_eq(report.n_coefficients, 3, "an offset is no coefficient: got %zu", report.n_coefficients);
    cr_assert_eq(sv_team_new(&team, 2, &error), 0);
    cr_assert_eq(sv_predict_table(&p, pipeline, &w.dataset.table, team, &error), 0, "%s", error.message);
    for (size_t i = 0; i < N; i++)
        if (w.dataset.parts[i] == SV_PART_TRAIN) miss += p[i] - ((int8_t *)w.dataset.target.data)[i];
    cr_assert(fabs(miss) < 1e-6 * N, "the mean answer is off by %g", miss / N);
    double age_beside = report.coefficients[0].weight;
    sv_free(p);
    sv_team_free(team);
    sv_pipeline_free(pipeline);
    sv_fit_report_free(&report);
    drop(&w);

    build(&w, YAML("train: {tolerance: 1e-10}\n")); /* age learns what the offset said: 0.1 a year */
    w.n_used = 2;
    pipeline = fit(&w, &report, 2);
    const sv_term *age = sv_pipeline_term_const(pipeline, 0);
    cr_assert(fabs(report.coefficients[0].weight - age_beside - 0.1 * age->scale[0]) < 0.02, "age beside the offset %g, alone %g", age_beside, report.coefficients[0].weight);
    sv_pipeline_free(pipeline);
    sv_fit_report_free(&report);
    drop(&w);
}

Test(fit, an_offset_that_is_not_there_or_not_finite_is_refused)
{
    static const struct { const char *yaml, *expected; } cases[] = {
        {YAML("train: {offset: exposure}\n"), "train.offset: no such column or feature: exposure"},
        {YAML("train: {offset: balance}\n"), "train.offset: balance, row"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world w;
        sv_fit_report report;
        sv_pipeline *pipeline = NULL;
        sv_error error = SV_ERROR_INIT;
        build(&w, cases[i].yaml);
        define(&w, "debt", "balance < 0");
        cr_assert(sv_fit(&pipeline, &report, w.config, w.features, w.used, w.n_used, &w.dataset, NULL, &error) < 0);
        cr_assert(strstr(error.message, cases[i].expected), "expected %s, got %s", cases[i].expected, error.message);
        drop(&w);
    }
}

/* Rows that nobody learns from or is judged by, such as a panel's last period, may have no offset either. */
Test(fit, an_offset_may_be_missing_where_a_row_does_not_count)
{
    world w;
    sv_fit_report report;
    double *balance = NULL;
    build(&w, YAML("train: {tolerance: 1e-10, offset: head_start}\n"));
    define(&w, "head_start", "balance / 900");
    w.n_used = 1; /* age */
    cr_assert_eq(sv_schema_compute(&balance, w.features, "balance", &w.dataset.table, NULL, NULL), 0);
    size_t n_left_out = 0;
    for (size_t i = 0; i < N; i++)
        if (!isfinite(balance[i])) {
            w.dataset.counts[w.dataset.parts[i]]--;
            w.dataset.counts[w.dataset.parts[i] = SV_PART_NONE]++;
            n_left_out++;
        }
    cr_assert_gt(n_left_out, 0);
    sv_pipeline *pipeline = fit(&w, &report, 2);
    cr_assert(isfinite(report.solution.loss) && report.solution.converged, "loss %g", report.solution.loss);
    sv_free(balance);
    sv_pipeline_free(pipeline);
    sv_fit_report_free(&report);
    drop(&w);
}

Test(fit, a_constant_target_is_refused)
{
    world w;
    build(&w, YAML(""));
    define(&w, "debt", "balance < 0");
    memset(w.dataset.target.data, 1, N);
    refuse(&w, SV_E_INPUT, "expected different values");
}

Test(fit, a_nan_of_an_expression_names_feature_and_row)
{
    world w;
    build(&w, YAML(""));
    define(&w, "debt", "log(balance)");
    refuse(&w, SV_E_INPUT, "features.debt: row ");
}

Test(fit, infinity_names_feature_and_row)
{
    world w;
    build(&w, YAML(""));
    define(&w, "debt", "1 / (age - 20)");
    refuse(&w, SV_E_INPUT, "got infinity");
}

Test(fit, an_encoder_must_fit_its_column)
{
    world w;
    build(&w, YAML("encode: {columns: {job: spline(4)}}\n"));
    define(&w, "debt", "balance < 0");
    refuse(&w, SV_E_CONFIG, "spline(4) is for numbers");
}
