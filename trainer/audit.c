#include "audit.h"
#include "alloc.h"
#include "audit_figures.h"
#include "duplicates.h"
#include "schema.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SAMPLE_BLOCKS = 32, NAMES_SHOWN = 8, CHANCE_ROWS = 50, FEW_ROWS = 10, FEW_FOR_ISOTONIC = 1000 };
static const double LEAK_AUC = 0.98, LEAK_INFORMATION = 0.9, SHIFT_PSI = 0.25;

typedef struct audit_job {
    sv_audit *audit;
    const sv_config *config;
    const sv_dataset *dataset;
    const sv_features *features;
    const char *const *used;
    size_t n_used, n_rows;
    double *target;   /* (n_rows of the sample) number or class */
    uint8_t *parts;   /* (n_rows) */
    double *values;   /* (n_used, n_rows); of texts the code */
    size_t capacity;
    sv_error duplicates_error;
} audit_job;

static void find_something(sv_audit *audit, sv_audit_kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void find_something(sv_audit *audit, sv_audit_kind kind, const char *format, ...)
{
    va_list args;
    audit->n_leaks += kind == SV_AUDIT_LEAK;
    if (audit->n_findings == SV_AUDIT_FINDINGS)
        return;
    sv_audit_finding *finding = &audit->findings[audit->n_findings++];
    finding->kind = kind;
    va_start(args, format);
    vsnprintf(finding->text, sizeof finding->text, format, args);
    va_end(args);
}

/* ---- the target's definition ---- */

static int reads_column(const audit_job *j, int value, const char *column)
{
    int id = sv_features_find(j->features, column, strlen(column));
    return id >= 0 && sv_features_depends(j->features, value, id);
}

/* The used features that are made from a column, as a list for a person; 0 when there are none. */
static size_t list_readers(const audit_job *j, const char *column, char *out, size_t size)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < j->n_used; i++) {
        if (!reads_column(j, sv_features_find(j->features, j->used[i], strlen(j->used[i])), column))
            continue;
        if (n < NAMES_SHOWN)
            snprintf(out + strlen(out), size - strlen(out), "%s%.40s", n ? ", " : "", j->used[i]);
        else if (n == NAMES_SHOWN)
            snprintf(out + strlen(out), size - strlen(out), ", …");
        n++;
    }
    return n;
}

static int check_definition(audit_job *j, sv_error *error)
{
    const sv_config *c = j->config;
    const char *text = c->target.when ? c->target.when : c->target.value;
    sv_features *target = NULL;
    char readers[400] = "", columns[120] = "";
    int all = 1, code = 0;
    size_t n = 0;
    if (text)
        code = sv_schema_build_one(&target, "(target)", c->target.when ? "target.when" : "target.value", text, c, &j->dataset->table, error);
    if (code)
        return code;
    size_t n_columns = text ? sv_features_n_columns(target) : 1;
    for (size_t i = 0; i < n_columns; i++) {
        const char *column = text ? sv_features_name(target, (int)i) : c->target.column;
        char some[400];
        size_t found = list_readers(j, column, some, sizeof some);
        all &= found > 0;
        n += found;
        if (found && !readers[0])
            snprintf(readers, sizeof readers, "%s", some);
        snprintf(columns + strlen(columns), sizeof columns - strlen(columns), "%s%.40s", i ? ", " : "", column);
    }
    if (n && all)
        find_something(j->audit, SV_AUDIT_LEAK, "the target (%.60s) is computed from %s, and so are these features: %s. The model learns the definition of its label, not behaviour",
                       text ? text : c->target.column, columns, readers);
    sv_features_free(target);
    return 0;
}

/* ---- a sample of the rows ---- */

static double target_at(const sv_column *target, size_t row)
{
    double value = 0;
    int32_t code;
    sv_column_widen(target, row, 1, &value);
    if (target->type != SV_STRING)
        return value;
    memcpy(&code, &value, sizeof code);
    return code;
}

static void take_block(audit_job *j, const sv_evaluator *evaluator, size_t first, size_t n)
{
    size_t kept = 0, rows[SV_BLOCK_ROWS];
    for (size_t i = 0; i < n; i++) {
        if (j->dataset->parts[first + i] == SV_PART_NONE)
            continue;
        j->parts[j->n_rows + kept] = j->dataset->parts[first + i];
        j->target[j->n_rows + kept] = target_at(&j->dataset->target, first + i);
        rows[kept++] = i;
    }
    for (size_t f = 0; f < j->n_used; f++) {
        int value = sv_features_find(j->features, j->used[f], strlen(j->used[f])), is_text = sv_features_kind(j->features, value) == SV_KIND_TEXT;
        const void *values = sv_evaluator_value(evaluator, value);
        double *out = j->values + f * j->capacity + j->n_rows;
        for (size_t k = 0; k < kept; k++)
            out[k] = is_text ? ((const int32_t *)values)[rows[k]] : ((const double *)values)[rows[k]];
    }
    j->n_rows += kept;
}

static int take_sample(audit_job *j, sv_error *error)
{
    size_t n_rows = j->dataset->table.n_rows, n_blocks = (n_rows + SV_BLOCK_ROWS - 1) / SV_BLOCK_ROWS, n = n_blocks < SAMPLE_BLOCKS ? n_blocks : SAMPLE_BLOCKS;
    sv_binding *binding;
    sv_evaluator *evaluator = NULL;
    int code = sv_binding_new(&binding, j->features, &j->dataset->table, error);
    if (code)
        return code;
    j->capacity = n * SV_BLOCK_ROWS;
    j->target = sv_array(j->capacity, sizeof *j->target);
    j->parts = sv_array(j->capacity, 1);
    j->values = sv_array(j->capacity * j->n_used, sizeof *j->values);
    char *scratch = sv_aligned(64, sv_binding_scratch_size(binding) + 64);
    if (!j->target || !j->parts || !j->values || !scratch || sv_evaluator_new(&evaluator, j->features))
        code = sv_error_set(error, SV_E_MEMORY, "audit: out of memory");
    for (size_t b = 0; b < n && !code; b++) {
        sv_block block;
        size_t first = b * n_blocks / n * SV_BLOCK_ROWS, rows = n_rows - first < SV_BLOCK_ROWS ? n_rows - first : SV_BLOCK_ROWS;
        sv_binding_block(binding, first, rows, scratch, &block);
        sv_evaluator_run(evaluator, &block);
        take_block(j, evaluator, first, rows);
    }
    sv_evaluator_free(evaluator);
    sv_binding_free(binding);
    sv_free(scratch);
    return code;
}

/* ---- each feature ---- */

static void judge_feature(const audit_job *j, size_t f)
{
    sv_audit_feature *feature = &j->audit->features[f];
    int value = sv_features_find(j->features, j->used[f], strlen(j->used[f]));
    sv_audit_input input = {.values = j->values + f * j->capacity, .target = j->target, .parts = j->parts, .n = j->n_rows,
                            .is_text = sv_features_kind(j->features, value) == SV_KIND_TEXT, .target_type = j->dataset->target.type};
    feature->name = j->used[f];
    sv_audit_figures(feature, &input);
}

/* The duplicates, which take longest, are the first task. */
static void judge_task(void *context, size_t task, size_t worker)
{
    audit_job *j = context;
    (void)worker;
    if (task)
        judge_feature(j, task - 1);
    else
        sv_duplicates_count(&j->audit->n_duplicates, j->dataset, j->features, j->used, j->n_used, &j->duplicates_error);
}

static void report_features(audit_job *j)
{
    const char *figure = j->dataset->target.type == SV_DOUBLE ? "correlation" : "AUC";
    int by_chance = j->dataset->counts[SV_PART_TRAIN] < CHANCE_ROWS; /* with a handful of rows some feature separates the classes whatever it is */
    sv_audit_kind kind = by_chance ? SV_AUDIT_NOTE : SV_AUDIT_LEAK;
    const char *doubt = by_chance ? "; with so few rows that may be chance" : "";
    for (size_t f = 0; f < j->n_used; f++) {
        const sv_audit_feature *feature = &j->audit->features[f];
        if (feature->auc >= LEAK_AUC)
            find_something(j->audit, kind, "%.80s alone tells the target: %s %.4f, %.0f%% of its information%s", feature->name, figure, feature->auc, 100 * feature->information, doubt);
        else if (feature->information >= LEAK_INFORMATION)
            find_something(j->audit, kind, "%.80s is nearly a copy of the target: it holds %.0f%% of its information%s", feature->name, 100 * feature->information, doubt);
        else if (feature->is_identifier)
            find_something(j->audit, SV_AUDIT_NOTE, "%.80s has another text in most rows, as an identifier has: what is learnt of it helps with no further row ('drop' leaves it out)",
                           feature->name);
        else if (feature->is_probability)
            find_something(j->audit, SV_AUDIT_LEAK, "%.80s is the probability of the target: between 0 and 1, and as many 1s as it says in every bin. Only a model, or the process that made the rows, writes such a column",
                           feature->name);
    }
    for (size_t f = 0; f < j->n_used; f++)
        if (j->audit->features[f].psi >= SHIFT_PSI)
            find_something(j->audit, SV_AUDIT_NOTE, "%.80s is distributed otherwise in test than in training: PSI %.2f", j->used[f], j->audit->features[f].psi);
}

/* Parts in which a class, or anything, is so rare that their figures say nothing whatever they are. */
static void report_sizes(audit_job *j)
{
    const sv_dataset *d = j->dataset;
    size_t ones[SV_PARTS] = {0};
    int is_binary = d->target.type == SV_BOOLEAN;
    for (size_t i = 0; is_binary && i < d->table.n_rows; i++)
        ones[d->parts[i]] += d->parts[i] < SV_PART_NONE && target_at(&d->target, i) != 0;
    for (sv_part part = SV_PART_TRAIN; part < SV_PART_NONE; part++) {
        size_t n = d->counts[part], rarer = !is_binary ? n : ones[part] < n - ones[part] ? ones[part] : n - ones[part];
        if (n && rarer < FEW_ROWS)
            find_something(j->audit, SV_AUDIT_NOTE, "%s has only %zu rows%s: too few for its figures to mean anything", sv_part_name(part), rarer,
                           is_binary ? " of the rarer class" : "");
    }
    size_t n = d->counts[SV_PART_VALIDATION] ? d->counts[SV_PART_VALIDATION] : d->counts[SV_PART_TRAIN];
    if (j->config->evaluate.calibration == SV_CALIBRATION_ISOTONIC && is_binary && n < FEW_FOR_ISOTONIC)
        find_something(j->audit, SV_AUDIT_NOTE, "isotonic calibration is fitted on %zu rows: with fewer than %d it fits their noise, and answers 0 and 1; platt asks for less", n, FEW_FOR_ISOTONIC);
}

int sv_audit_run(sv_audit *out, const sv_config *config, const sv_dataset *dataset, const sv_features *features, const char *const *used, size_t n_used, sv_team *team,
                 sv_error *error)
{
    audit_job j = {.audit = out, .config = config, .dataset = dataset, .features = features, .used = used, .n_used = n_used};
    *out = (sv_audit){.n_features = n_used};
    if (config->evaluate.audit == SV_AUDIT_OFF) {
        out->n_features = 0;
        return 0;
    }
    int code = (out->features = sv_calloc(n_used + 1, sizeof *out->features)) ? 0 : sv_error_set(error, SV_E_MEMORY, "audit: out of memory");
    if (!code)
        code = check_definition(&j, error);
    if (!code)
        code = take_sample(&j, error);
    if (!code) {
        sv_team_run(team, n_used + 1, judge_task, &j);
        report_features(&j);
        report_sizes(&j);
        code = j.duplicates_error.code ? sv_error_set(error, j.duplicates_error.code, "%s", j.duplicates_error.message) : 0;
    }
    if (!code && out->n_duplicates)
        find_something(out, SV_AUDIT_NOTE, "%zu of %zu test rows stand in training too, with the same values and target", out->n_duplicates, dataset->counts[SV_PART_TEST]);
    sv_free(j.target);
    sv_free(j.parts);
    sv_free(j.values);
    if (!code && out->n_leaks && config->evaluate.audit == SV_AUDIT_FAIL) {
        code = sv_error_set(error, SV_E_INPUT, "leakage: %s", out->findings[0].text);
        sv_error_hint(error, "leave such features out with drop:, or say evaluate.audit: warn");
    }
    return code;
}

void sv_audit_free(sv_audit *audit)
{
    if (!audit)
        return;
    sv_free(audit->features);
    *audit = (sv_audit){0};
}
