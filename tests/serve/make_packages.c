/* make_packages FOLDER: writes four small models with made-up weights, for the tests that compare servers: bank (the bank data's columns, derived
   features), numbers (whole and real numbers alone), odd (names that need quoting, optional columns, booleans left to others, several classes), dates. */
#include "package.h"

#include <stdio.h>
#include <string.h>

typedef struct column {
    const char *name;
    sv_type type;
    const char *levels; /* separated by '|', or NULL */
    int optional;
} column;

typedef struct recipe {
    const char *folder, *target;
    sv_task task;
    size_t n_scores;
    column columns[20];
    const char *derived[10][2];
    const char *classes[4];
} recipe;

static const recipe recipes[] = {
    {"bank", "surplus", SV_TASK_BINARY, 1,
     {{"age", SV_LONG, NULL, 0}, {"balance", SV_DOUBLE, NULL, 0}, {"day", SV_LONG, NULL, 0}, {"duration", SV_DOUBLE, NULL, 0}, {"campaign", SV_LONG, NULL, 0},
      {"pdays", SV_LONG, NULL, 0}, {"previous", SV_LONG, NULL, 0},
      {"job", SV_STRING, "admin.|blue-collar|entrepreneur|housemaid|management|retired|self-employed|services|student|technician|unemployed|unknown", 0},
      {"marital", SV_STRING, "divorced|married|single", 0}, {"education", SV_STRING, "primary|secondary|tertiary|unknown", 0}, {"default", SV_STRING, "no|yes", 0},
      {"housing", SV_STRING, "no|yes", 0}, {"loan", SV_STRING, "no|yes", 0}, {"contact", SV_STRING, "cellular|telephone|unknown", 0},
      {"month", SV_STRING, "apr|aug|dec|feb|jan|jul|jun|mar|may|nov|oct|sep", 0}, {"poutcome", SV_STRING, "failure|other|success|unknown", 0}},
     {{"balance_log", "log(max(balance + 2000, 1))"}, {"stability_score", "balance_log - 0.5 * (housing == \"yes\") - 1.0 * (loan == \"yes\")"},
      {"campaign_intensity", "campaign / (previous + 1)"}, {"recent_contact", "pdays >= 0 and pdays < 30"},
      {"engagement_score", "campaign_intensity + 0.5 * recent_contact"}, {"risk_flag", "balance < 0"}},
     {NULL}},
    {"numbers", "value", SV_TASK_LINEAR, 1,
     {{"a", SV_LONG, NULL, 0}, {"b", SV_DOUBLE, NULL, 0}, {"c", SV_DOUBLE, NULL, 0}, {"d", SV_LONG, NULL, 0}},
     {{"ab", "a + b"}},
     {NULL}},
    {"odd", "class", SV_TASK_MULTINOMIAL, 3,
     {{"education-num", SV_LONG, NULL, 0}, {"two words", SV_STRING, "a b|x,y|say \"so\"|alpha", 0}, {"žluť", SV_DOUBLE, NULL, 1}, {"note", SV_STRING, "alpha|beta|", 1},
      {"input size", SV_DOUBLE, NULL, 0}, {"it's", SV_STRING, "7|Žluť", 0}},
     {{"twice", "`education-num` * 2"}},
     {"low", "middle \"m\"", "high"}},
    {"dates", "surplus", SV_TASK_BINARY, 1,
     {{"opened", SV_DATE, NULL, 0}, {"amount", SV_DOUBLE, NULL, 0}, {"closed", SV_DATE, NULL, 1}, {"count", SV_LONG, NULL, 0}, {"kind", SV_STRING, "a|b", 0}},
     {{"opened_in", "month(opened)"}, {"weekday_closed", "weekday(closed)"}},
     {NULL}},
};

static int add_levels(sv_levels *levels, const char *text)
{
    for (;;) {
        size_t size = strcspn(text, "|");
        if (sv_levels_add(levels, text, size) < 0)
            return -1;
        if (!text[size])
            return 0;
        text += size + 1;
    }
}

static int add_columns(sv_features *features, const recipe *r, sv_levels **levels, sv_error *error)
{
    sv_place place;
    for (size_t c = 0; c < 20 && r->columns[c].name; c++) {
        const column *from = &r->columns[c];
        if (from->levels && (sv_levels_new(&levels[c]) || add_levels(levels[c], from->levels)))
            return sv_error_set(error, SV_E_MEMORY, "out of memory");
        int id = sv_features_add_column(features, from->name, from->type, levels[c], error);
        if (id < 0)
            return id;
        sv_features_set_optional(features, id, from->optional);
    }
    for (size_t d = 0; d < 10 && r->derived[d][0]; d++)
        if (sv_features_define(features, r->derived[d][0], r->derived[d][1], &place, error) < 0)
            return error->code;
    return sv_features_compile(features, NULL, &place, error);
}

/* Any weights will do, as long as answers are neither all alike nor at the ends. */
static void set_weights(sv_term *term, size_t n_scores, int salt)
{
    if (term->encoder == SV_ENCODER_NUMBER) {
        term->fill = 1;
        term->mean[0] = 10 + salt;
        term->scale[0] = 200 + 30 * salt;
    }
    for (size_t j = 0; j < term->width * n_scores; j++)
        term->weights[j] = 0.1 * (double)((salt * 7 + (int)j * 3) % 11) - 0.45;
}

static int add_terms(sv_pipeline *pipeline, sv_features *features, const recipe *r, sv_levels **levels, sv_error *error)
{
    for (int v = 0; v < (int)sv_features_n_values(features); v++) {
        int is_column = v < (int)sv_features_n_columns(features), is_text = is_column && levels[v];
        if (is_column && sv_features_type(features, v) == SV_DATE)
            continue;
        int term = is_text ? sv_pipeline_add_category(pipeline, v, levels[v], NULL, SV_UNKNOWN_ZEROS, -1, error) : sv_pipeline_add_number(pipeline, v, error);
        if (term < 0)
            return term;
        set_weights(sv_pipeline_term(pipeline, (size_t)term), r->n_scores, v);
    }
    if (r->classes[0] && sv_pipeline_set_classes(pipeline, r->classes, r->n_scores, error))
        return error->code;
    return sv_pipeline_set_target(pipeline, r->target, error);
}

static int make(const recipe *r, const char *parent, sv_error *error)
{
    char folder[4096];
    sv_levels *levels[20] = {NULL};
    sv_features *features = NULL;
    sv_pipeline *pipeline = NULL;
    sv_package_options options = SV_PACKAGE_OPTIONS_INIT;
    snprintf(folder, sizeof folder, "%s/%s", parent, r->folder);
    int code = sv_features_new(&features);
    code = code ? code : add_columns(features, r, levels, error);
    code = code ? code : sv_pipeline_new(&pipeline, features, r->task, r->n_scores, error);
    code = code ? code : add_terms(pipeline, features, r, levels, error);
    code = code ? code : sv_pipeline_finish(pipeline, error);
    code = code ? code : sv_package_write(folder, pipeline, &options, error);
    sv_pipeline_free(pipeline);
    for (size_t c = 0; c < 20; c++)
        sv_levels_free(levels[c]);
    return code;
}

int main(int argc, char **argv)
{
    sv_error error = SV_ERROR_INIT;
    for (size_t i = 0; argc == 2 && i < sizeof recipes / sizeof *recipes; i++)
        if (make(&recipes[i], argv[1], &error)) {
            fprintf(stderr, "%s: %s\n", recipes[i].folder, error.message);
            return 1;
        }
    return argc != 2;
}
