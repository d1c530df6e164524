/* sample_pipeline.h: pipelines that tests build: every encoder, every task; and random rows for them. */
#ifndef SAMPLE_PIPELINE_H
#define SAMPLE_PIPELINE_H

#include "alloc.h"
#include "pipeline.h"
#include "prng.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { SAMPLE_COLUMNS = 5 };

static inline sv_levels *sample_levels(const char *const *texts, size_t n)
{
    sv_levels *levels = NULL;
    if (sv_levels_new(&levels))
        return NULL;
    for (size_t i = 0; i < n; i++)
        sv_levels_add(levels, texts[i], strlen(texts[i]));
    return levels;
}

/* age long, balance double (may be missing), job and month string, member boolean; derived: balance_log, risk_flag, has_job, season (a text), same. */
static inline int sample_features(sv_features **out)
{
    int code = sv_features_new(out);
    code = code < 0 ? code : sv_features_add_column(*out, "age", SV_LONG, NULL, NULL);
    code = code < 0 ? code : sv_features_add_column(*out, "balance", SV_DOUBLE, NULL, NULL);
    code = code < 0 ? code : sv_features_add_column(*out, "job", SV_STRING, NULL, NULL);
    code = code < 0 ? code : sv_features_add_column(*out, "month", SV_STRING, NULL, NULL);
    code = code < 0 ? code : sv_features_add_column(*out, "member", SV_BOOLEAN, NULL, NULL);
    code = code < 0 ? code : sv_features_define(*out, "balance_log", "log(max(balance + 2000, 1)) - 0.5 * (job == \"admin.\")", NULL, NULL);
    code = code < 0 ? code : sv_features_define(*out, "risk_flag", "balance < 0 or age in (18, 19)", NULL, NULL);
    code = code < 0 ? code : sv_features_define(*out, "has_job", "job not in (\"\", \"unemployed\", \"student\") and member", NULL, NULL);
    code = code < 0 ? code : sv_features_define(*out, "season", "if(age > 40, coalesce(month, \"none\"), if(member, job, \"young\"))", NULL, NULL);
    code = code < 0 ? code : sv_features_define(*out, "same", "job == month or season == job", NULL, NULL);
    code = code < 0 ? code : sv_features_compile(*out, NULL, NULL, NULL);
    return code < 0 ? code : 0;
}

/* Every encoder once. Constants and weights come from the seed. Returns 0 or an error; *out NULL then. */
static inline int sample_pipeline_of(sv_pipeline **out, sv_task task, uint64_t seed)
{
    static const char *const jobs[] = {"admin.", "blue-collar", "žena v domácnosti", "student", "retired", ""};
    static const char *const months[] = {"jan", "feb", "mar", "apr"};
    static const char *const classes[] = {"low", "mid \"x\"", "high"};
    size_t K = task == SV_TASK_MULTINOMIAL ? 3 : 1;
    sv_features *features;
    *out = NULL;
    int code = sample_features(&features);
    if (code) {
        sv_features_free(features);
        return code;
    }
    sv_levels *job = sample_levels(jobs, 6), *month = sample_levels(months, 4);
    sv_pipeline *p = NULL;
    code = job && month ? sv_pipeline_new(&p, features, task, K, NULL) : (sv_features_free(features), SV_E_MEMORY);
    code = code < 0 ? code : sv_pipeline_add_number(p, 0, NULL);
    code = code < 0 ? code : sv_pipeline_add_number(p, 1, NULL);
    code = code < 0 ? code : sv_pipeline_add_missing(p, 1, NULL);
    code = code < 0 ? code : sv_pipeline_add_number(p, 5, NULL);
    code = code < 0 ? code : sv_pipeline_add_number(p, 6, NULL);
    code = code < 0 ? code : sv_pipeline_add_number(p, 7, NULL);
    code = code < 0 ? code : sv_pipeline_add_category(p, 2, job, (const int32_t[]){-1, 0, 1, 2, 2, 3}, SV_UNKNOWN_COLUMN, 2, NULL); /* 6 */
    code = code < 0 ? code : sv_pipeline_add_category(p, 3, month, NULL, SV_UNKNOWN_ZEROS, -1, NULL);                              /* 7 */
    code = code < 0 ? code : sv_pipeline_add_ordinal(p, 3, month, SV_UNKNOWN_ZEROS, NULL);                                         /* 8 */
    code = code < 0 ? code : sv_pipeline_add_hash(p, 2, 7, NULL);                                                                  /* 9 */
    code = code < 0 ? code : sv_pipeline_add_bins(p, 0, (const double[]){25, 30, 45.5}, 3, 1, NULL);                               /* 10 */
    code = code < 0 ? code : sv_pipeline_add_spline(p, 0, (const double[]){20, 30, 45, 60, 80}, 5, NULL);                          /* 11 */
    code = code < 0 ? code : sv_pipeline_add_pair(p, 6, 7, NULL);                                                                  /* index x index */
    code = code < 0 ? code : sv_pipeline_add_pair(p, 0, 7, NULL);                                                                  /* dense x index */
    code = code < 0 ? code : sv_pipeline_add_pair(p, 7, 11, NULL);                                                                 /* index x dense */
    code = code < 0 ? code : sv_pipeline_add_pair(p, 1, 11, NULL);                                                                 /* dense x dense */
    code = code < 0 ? code : sv_pipeline_add_category(p, 8, month, NULL, SV_UNKNOWN_ZEROS, -1, NULL); /* of a text feature */
    code = code < 0 ? code : sv_pipeline_add_ordinal(p, 8, job, SV_UNKNOWN_ZEROS, NULL);
    code = code < 0 ? code : sv_pipeline_add_hash(p, 8, 5, NULL);
    code = code < 0 ? code : sv_pipeline_add_number(p, 9, NULL);
    code = code < 0 ? code : sv_pipeline_set_target(p, "surplus", NULL);
    if (code >= 0 && K > 1)
        code = sv_pipeline_set_classes(p, classes, K, NULL);
    sv_levels_free(job);
    sv_levels_free(month);
    sv_prng prng;
    sv_prng_seed(&prng, seed);
    for (size_t t = 0; code >= 0 && t < sv_pipeline_n_terms(p); t++) {
        sv_term *term = sv_pipeline_term(p, t);
        double size = t == 0 ? 0.02 : t == 1 ? 1e-4 : 0.3;
        term->fill = term->encoder == SV_ENCODER_ORDINAL ? 1.5 : 40;
        for (size_t j = 0; term->mean && j < term->width; j++) {
            term->mean[j] = t == 0 ? 40.9 : t == 1 ? 1400 : 0.1 * (double)j;
            term->scale[j] = t == 0 ? 10.6 : t == 1 ? 3000 : 0.5 + 0.1 * (double)j;
        }
        for (size_t w = 0; w < term->width * K; w++)
            term->weights[w] = size * sv_prng_normal(&prng);
    }
    for (size_t k = 0; code >= 0 && k < K; k++)
        sv_pipeline_intercept(p)[k] = 0.1 * (double)k - 0.2;
    code = code < 0 ? code : sv_pipeline_finish(p, NULL);
    if (code < 0) {
        sv_pipeline_free(p);
        return code;
    }
    *out = p;
    return 0;
}

typedef struct sample_rows {
    double age[SV_BLOCK_ROWS], balance[SV_BLOCK_ROWS], member[SV_BLOCK_ROWS];
    int32_t job[SV_BLOCK_ROWS], month[SV_BLOCK_ROWS];
    const void *columns[SAMPLE_COLUMNS];
    sv_block block;
} sample_rows;

static inline void sample_fill(sample_rows *rows, const sv_pipeline *p, uint64_t seed, size_t n)
{
    static const char *const jobs[] = {"admin.", "blue-collar", "žena v domácnosti", "student", "retired", "", "unemployed", "something new", "ö"};
    static const char *const months[] = {"jan", "feb", "mar", "apr", "may", "", "something new"};
    sv_prng prng;
    sv_prng_seed(&prng, seed);
    for (size_t i = 0; i < n; i++) {
        const char *job = jobs[sv_prng_below(&prng, 9)], *month = months[sv_prng_below(&prng, 7)];
        rows->age[i] = (double)(15 + sv_prng_below(&prng, 70));
        rows->balance[i] = sv_prng_below(&prng, 10) ? 3000 * sv_prng_normal(&prng) : NAN;
        rows->member[i] = (double)sv_prng_below(&prng, 2);
        rows->job[i] = sv_features_code(sv_pipeline_features(p), 2, job, strlen(job));
        rows->month[i] = sv_features_code(sv_pipeline_features(p), 3, month, strlen(month));
    }
    const void *columns[] = {rows->age, rows->balance, rows->job, rows->month, rows->member};
    memcpy(rows->columns, columns, sizeof columns);
    rows->block = (sv_block){n, rows->columns};
}

#endif
