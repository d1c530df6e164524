/* Pipelines: encoders against their naive form, one row against a block, contributions against the score, and what has no answer. */
#include "murmur.h"
#include "sample_pipeline.h"

static sv_pipeline *make(sv_task task, uint64_t seed)
{
    sv_pipeline *p;
    cr_assert_eq(sample_pipeline_of(&p, task, seed), 0);
    return p;
}

static sv_scorer *make_scorer(const sv_pipeline *p)
{
    sv_scorer *scorer;
    cr_assert_eq(sv_scorer_new(&scorer, p), 0);
    return scorer;
}

static int same_bits(double a, double b)
{
    return !memcmp(&a, &b, sizeof a);
}

static const sv_task tasks[] = {SV_TASK_BINARY, SV_TASK_MULTINOMIAL, SV_TASK_LINEAR, SV_TASK_POISSON};

Test(pipeline, a_row_has_the_same_bits_alone_and_in_a_block)
{
    static sample_rows rows;
    for (size_t t = 0; t < 4; t++) {
        sv_pipeline *p = make(tasks[t], t + 1);
        sv_scorer *whole = make_scorer(p), *single = make_scorer(p);
        sv_error error = SV_ERROR_INIT;
        sample_fill(&rows, p, 7, SV_BLOCK_ROWS);
        cr_assert_eq(sv_scorer_run(whole, &rows.block, &error), 0, "%s", error.message);
        for (size_t i = 0; i < SV_BLOCK_ROWS; i++) {
            const void *columns[] = {&rows.age[i], &rows.balance[i], &rows.job[i], &rows.month[i], &rows.member[i]};
            cr_assert_eq(sv_scorer_run(single, &(sv_block){1, columns}, NULL), 0);
            for (size_t k = 0; k < sv_pipeline_n_scores(p); k++)
                cr_expect(same_bits(sv_scorer_score(single, k)[0], sv_scorer_score(whole, k)[i]));
            for (size_t o = 0; o < sv_pipeline_n_outputs(p); o++)
                cr_expect(same_bits(sv_scorer_output(single, o)[0], sv_scorer_output(whole, o)[i]));
        }
        sv_scorer_free(whole);
        sv_scorer_free(single);
        sv_pipeline_free(p);
    }
}

/* score = intercept + Σ encoded * weights over every encoded column, by the naive encoder. */
Test(pipeline, scores_agree_with_the_naive_encoding)
{
    static sample_rows rows;
    sv_pipeline *p = make(SV_TASK_MULTINOMIAL, 3);
    sv_scorer *scorer = make_scorer(p);
    sample_fill(&rows, p, 8, SV_BLOCK_ROWS);
    cr_assert_eq(sv_scorer_run(scorer, &rows.block, NULL), 0);
    for (size_t k = 0; k < 3; k++) {
        static double scores[SV_BLOCK_ROWS], encoded[100 * SV_BLOCK_ROWS];
        for (size_t i = 0; i < SV_BLOCK_ROWS; i++)
            scores[i] = sv_pipeline_intercept(p)[k];
        for (size_t t = 0; t < sv_pipeline_n_terms(p); t++) {
            sv_term *term = sv_pipeline_term(p, t);
            cr_assert_leq(term->width, 100u);
            sv_pipeline_encode(p, t, sv_scorer_evaluator(scorer), SV_BLOCK_ROWS, encoded);
            for (size_t j = 0; j < term->width; j++)
                for (size_t i = 0; i < SV_BLOCK_ROWS; i++)
                    scores[i] += encoded[j * SV_BLOCK_ROWS + i] * term->weights[j * 3 + k];
        }
        for (size_t i = 0; i < SV_BLOCK_ROWS; i++)
            cr_expect(fabs(scores[i] - sv_scorer_score(scorer, k)[i]) < 1e-11 * (1 + fabs(scores[i])), "%.17g %.17g", scores[i], sv_scorer_score(scorer, k)[i]);
    }
    sv_scorer_free(scorer);
    sv_pipeline_free(p);
}

Test(pipeline, contributions_add_up_to_the_score_exactly)
{
    static sample_rows rows;
    for (size_t t = 0; t < 4; t++) {
        sv_pipeline *p = make(tasks[t], t + 11);
        sv_scorer *scorer = make_scorer(p);
        double parts[64];
        sample_fill(&rows, p, 9, 100);
        cr_assert_eq(sv_scorer_run(scorer, &rows.block, NULL), 0);
        for (size_t i = 0; i < 100; i++)
            for (size_t k = 0; k < sv_pipeline_n_scores(p); k++) {
                sv_scorer_explain(scorer, i, k, parts);
                double sum = parts[0];
                for (size_t part = 1; part <= sv_pipeline_n_terms(p); part++)
                    sum += parts[part];
                cr_expect(same_bits(sum, sv_scorer_score(scorer, k)[i]));
            }
        sv_scorer_free(scorer);
        sv_pipeline_free(p);
    }
}

Test(pipeline, scoring_allocates_nothing)
{
    static sample_rows rows;
    sv_pipeline *p = make(SV_TASK_BINARY, 5);
    sv_scorer *scorer = make_scorer(p);
    sample_fill(&rows, p, 10, SV_BLOCK_ROWS);
    unsigned long before = sv_alloc_count();
    for (int i = 0; i < 10; i++)
        cr_assert_eq(sv_scorer_run(scorer, &rows.block, NULL), 0);
    sv_features_code(sv_pipeline_features(p), 2, "never seen", 10);
    cr_assert_eq(sv_alloc_count(), before);
    sv_scorer_free(scorer);
    sv_pipeline_free(p);
}

Test(pipeline, answers_of_each_task)
{
    static sample_rows rows;
    for (size_t t = 0; t < 4; t++) {
        sv_pipeline *p = make(tasks[t], t + 21);
        sv_scorer *scorer = make_scorer(p);
        sample_fill(&rows, p, 11, 200);
        cr_assert_eq(sv_scorer_run(scorer, &rows.block, NULL), 0);
        for (size_t i = 0; i < 200; i++) {
            double s = sv_scorer_score(scorer, 0)[i], first = sv_scorer_output(scorer, 0)[i], sum = 0;
            if (tasks[t] == SV_TASK_BINARY) {
                cr_expect_float_eq(first, 1 / (1 + exp(-s)), 1e-15);
                cr_expect_eq(sv_scorer_output(scorer, 1)[i], first >= 0.5);
            } else if (tasks[t] == SV_TASK_MULTINOMIAL) {
                for (size_t k = 0; k < 3; k++) {
                    sum += sv_scorer_output(scorer, 1 + k)[i];
                    cr_expect_leq(sv_scorer_output(scorer, 1 + k)[i], sv_scorer_output(scorer, 1 + (size_t)first)[i]);
                }
                cr_expect_float_eq(sum, 1, 1e-14);
            } else
                cr_expect(same_bits(first, tasks[t] == SV_TASK_LINEAR ? s : exp(s)));
        }
        sv_scorer_free(scorer);
        sv_pipeline_free(p);
    }
    sv_pipeline *p = make(SV_TASK_MULTINOMIAL, 1);
    cr_assert_str_eq(sv_pipeline_output_name(p, 0), "prediction");
    cr_assert_str_eq(sv_pipeline_output_name(p, 3), "probability_high");
    cr_assert_eq(sv_pipeline_output_type(p, 0), SV_STRING);
    sv_pipeline_free(p);
    p = make(SV_TASK_BINARY, 1);
    cr_assert_str_eq(sv_pipeline_output_name(p, 0), "surplus_probability");
    cr_assert_str_eq(sv_pipeline_output_name(p, 1), "surplus_prediction");
    cr_assert_eq(sv_pipeline_output_type(p, 1), SV_LONG);
    sv_pipeline_free(p);
}

Test(pipeline, calibration)
{
    static sample_rows rows;
    sv_pipeline *p = make(SV_TASK_BINARY, 5);
    static const double x[] = {-1, 0, 0.5}, y[] = {0.1, 0.1, 0.8};
    cr_assert_eq(sv_pipeline_set_isotonic(p, x, y, 3, NULL), 0);
    sv_scorer *scorer = make_scorer(p);
    sample_fill(&rows, p, 12, SV_BLOCK_ROWS);
    cr_assert_eq(sv_scorer_run(scorer, &rows.block, NULL), 0);
    for (size_t i = 0; i < SV_BLOCK_ROWS; i++) {
        double s = sv_scorer_score(scorer, 0)[i], wanted = s <= 0 ? 0.1 : s >= 0.5 ? 0.8 : 0.1 + s * 1.4;
        cr_expect_float_eq(sv_scorer_output(scorer, 0)[i], wanted, 1e-15);
    }
    cr_assert_eq(sv_pipeline_set_platt(p, 2, -0.5, NULL), 0);
    cr_assert_eq(sv_scorer_run(scorer, &rows.block, NULL), 0);
    cr_expect_float_eq(sv_scorer_output(scorer, 0)[3], 1 / (1 + exp(-(2 * sv_scorer_score(scorer, 0)[3] - 0.5))), 1e-15);
    cr_expect_eq(sv_pipeline_set_isotonic(p, y, x, 3, NULL), SV_E_CONFIG);
    cr_expect_eq(sv_pipeline_set_isotonic(p, x, (const double[]){0.2, 0.1, 0.8}, 3, NULL), SV_E_CONFIG);
    cr_expect_eq(sv_pipeline_set_isotonic(p, x, y, 0, NULL), SV_E_CONFIG);
    cr_expect_eq(sv_pipeline_set_platt(p, NAN, 0, NULL), SV_E_CONFIG);
    sv_scorer_free(scorer);
    sv_pipeline_free(p);
}

Test(pipeline, rows_without_an_answer_are_named)
{
    sv_features *features;
    sv_pipeline *p;
    sv_error error = SV_ERROR_INIT;
    sv_levels *jobs = sample_levels((const char *const[]){"a", "b"}, 2);
    cr_assert_eq(sample_features(&features), 0);
    cr_assert_eq(sv_pipeline_new(&p, features, SV_TASK_BINARY, 1, NULL), 0);
    cr_assert_eq(sv_pipeline_add_number(p, 1, NULL), 0);
    cr_assert_eq(sv_pipeline_add_category(p, 2, jobs, NULL, SV_UNKNOWN_ERROR, -1, NULL), 1);
    sv_pipeline_term(p, 0)->weights[0] = 1;
    cr_assert_eq(sv_pipeline_finish(p, NULL), 0);
    sv_scorer *scorer = make_scorer(p);
    int32_t a = sv_features_code(features, 2, "a", 1);
    double age[3] = {1, 1, 1}, balance[3] = {1, 2, NAN}, member[3] = {0, 0, 0};
    int32_t job[3] = {a, -1, a}, month[3] = {-1, -1, -1};
    const void *columns[] = {age, balance, job, month, member};
    cr_assert_eq(sv_scorer_run(scorer, &(sv_block){3, columns}, &error), SV_E_INPUT);
    cr_expect_str_eq(error.message, "row 1: job: a text that training did not see");
    cr_expect_eq(sv_scorer_bad_row(scorer), 1);
    cr_expect_gt(sv_scorer_output(scorer, 0)[0], 0.7);
    job[1] = a;
    sv_error_clear(&error);
    cr_assert_eq(sv_scorer_run(scorer, &(sv_block){3, columns}, &error), SV_E_INPUT);
    cr_expect_str_eq(error.message, "row 2: balance is missing");
    balance[2] = 3;
    cr_assert_eq(sv_scorer_run(scorer, &(sv_block){3, columns}, NULL), 0);
    sv_scorer_free(scorer);
    sv_pipeline_free(p);
    sv_levels_free(jobs);
}

Test(pipeline, what_cannot_be_built)
{
    sv_features *features;
    sv_pipeline *p;
    sv_error error = SV_ERROR_INIT;
    cr_assert_eq(sample_features(&features), 0);
    cr_assert_eq(sv_pipeline_new(&p, features, SV_TASK_BINARY, 2, NULL), SV_E_CONFIG);
    cr_assert_eq(sample_features(&features), 0);
    cr_assert_eq(sv_pipeline_new(&p, features, SV_TASK_BINARY, 1, NULL), 0);
    cr_expect_eq(sv_pipeline_add_number(p, 2, &error), SV_E_CONFIG);
    cr_expect_str_eq(error.message, "job: expected a number, got a text");
    cr_expect_eq(sv_pipeline_add_hash(p, 0, 8, NULL), SV_E_CONFIG);
    cr_expect_eq(sv_pipeline_add_hash(p, 2, 0, NULL), SV_E_LIMIT);
    cr_expect_eq(sv_pipeline_add_bins(p, 0, (const double[]){2, 2}, 2, 0, NULL), SV_E_CONFIG);
    cr_expect_eq(sv_pipeline_add_spline(p, 0, (const double[]){1, 2}, 2, NULL), SV_E_LIMIT);
    cr_expect_eq(sv_pipeline_add_pair(p, 0, 1, NULL), SV_E_CONFIG);
    static const char *const latin[] = {"Berlin", "K\xf6ln"};
    sv_levels *cities = sample_levels(latin, 2);
    sv_error_clear(&error);
    cr_expect_eq(sv_pipeline_add_category(p, 2, cities, NULL, SV_UNKNOWN_ZEROS, -1, &error), SV_E_INPUT);
    cr_expect(strstr(error.message, "job: the text 'K") && strstr(error.hint, "iconv"), "%s", error.message);
    sv_levels_free(cities);
    cr_assert_eq(sv_pipeline_add_number(p, 0, NULL), 0);
    sv_pipeline_term(p, 0)->weights[0] = INFINITY;
    sv_error_clear(&error);
    cr_expect_eq(sv_pipeline_finish(p, &error), SV_E_NUMERIC);
    cr_expect_str_eq(error.message, "age: a weight is not finite");
    sv_pipeline_term(p, 0)->weights[0] = 1;
    sv_pipeline_term(p, 0)->scale[0] = 0;
    cr_expect_eq(sv_pipeline_finish(p, NULL), SV_E_NUMERIC);
    sv_pipeline_free(p);
}

Test(pipeline, encoded_columns_have_names)
{
    static const struct { size_t term, column; const char *name; } names[] = {
        {0, 0, "age"}, {2, 0, "balance is missing"}, {6, 0, "job=blue-collar"}, {6, 2, "job=(rare)"}, {7, 1, "month=feb"}, {9, 3, "job#3"},
        {10, 0, "age in [25, 30)"}, {10, 2, "age >= 45.5"}, {11, 1, "age spline 1"}, {12, 5, "job=žena v domácnosti:month=feb"}, {13, 2, "age:month=mar"}};
    sv_pipeline *p = make(SV_TASK_BINARY, 1);
    char name[256];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        sv_pipeline_column_name(p, names[i].term, names[i].column, name, sizeof name);
        cr_expect_str_eq(name, names[i].name);
    }
    sv_pipeline_free(p);
}

Test(pipeline, a_table_becomes_blocks)
{
    int8_t age[] = {30, 40, 50};
    double balance[] = {1, NAN, -5};
    uint8_t job[] = {2, 0, 1}, month[] = {0, 0, 0};
    static char names[][8] = {"age", "job", "month", "balance", "unused", "member"};
    sv_column columns[] = {{names[0], SV_LONG, SV_STORE_I8, age, NULL},
                           {names[1], SV_STRING, SV_STORE_CODE8, job, sample_levels((const char *const[]){"student", "astronaut", "admin."}, 3)},
                           {names[2], SV_STRING, SV_STORE_CODE8, month, sample_levels((const char *const[]){"jan"}, 1)},
                           {names[3], SV_DOUBLE, SV_STORE_F64, balance, NULL},
                           {names[4], SV_LONG, SV_STORE_I8, age, NULL},
                           {names[5], SV_BOOLEAN, SV_STORE_I8, age, NULL}};
    sv_table table = {3, 6, columns};
    sv_pipeline *p = make(SV_TASK_BINARY, 1);
    const sv_features *features = sv_pipeline_features(p);
    sv_binding *binding;
    sv_error error = SV_ERROR_INIT;
    cr_assert_eq(sv_binding_new(&binding, features, &table, &error), 0, "%s", error.message);
    void *scratch = sv_aligned(64, sv_binding_scratch_size(binding));
    sv_block block;
    sv_binding_block(binding, 1, 2, scratch, &block);
    cr_assert_eq(block.n_rows, 2u);
    cr_expect_eq(((const double *)block.columns[0])[1], 50);
    cr_expect(isnan(((const double *)block.columns[1])[0]));
    cr_expect_eq(((const int32_t *)block.columns[2])[0], sv_features_code(features, 2, "student", 7));
    cr_expect_eq(((const int32_t *)block.columns[2])[1], -2 - (int32_t)(sv_murmur3("astronaut", 9) & 0x3fffffff));
    sv_free(scratch);
    sv_binding_free(binding);
    table.n_columns = 5;
    cr_expect_eq(sv_binding_new(&binding, features, &table, &error), SV_E_INPUT);
    cr_expect_str_eq(error.message, "the table lacks the column member");
    columns[1].type = SV_LONG;
    sv_error_clear(&error);
    cr_expect_eq(sv_binding_new(&binding, features, &table, &error), SV_E_INPUT);
    cr_expect_str_eq(error.message, "column job: expected string, got long");
    sv_pipeline_free(p);
    sv_levels_free(columns[1].levels);
    sv_levels_free(columns[2].levels);
}

/* Appleby's published test values for seed 0. */
Test(pipeline, murmur3)
{
    cr_expect_eq(sv_murmur3("", 0), 0u);
    cr_expect_eq(sv_murmur3("test", 4), 0xba6bd213u);
    cr_expect_eq(sv_murmur3("Hello, world!", 13), 0xc0363e43u);
    cr_expect_eq(sv_murmur3("The quick brown fox jumps over the lazy dog", 43), 0x2e4ff723u);
}

Test(pipeline, every_failed_allocation_is_reported)
{
    int done = 0;
    for (long k = 0; !done && k < 2000; k++) {
        sv_pipeline *p;
        sv_scorer *scorer = NULL;
        sv_alloc_fail_after(k, 1);
        int code = sample_pipeline_of(&p, SV_TASK_MULTINOMIAL, 1);
        code = code ? code : sv_scorer_new(&scorer, p);
        sv_alloc_fail_after(-1, 0);
        done = !code && sv_levels_count(sv_pipeline_term(p, 6)->categories) == 6;
        sv_scorer_free(scorer);
        sv_pipeline_free(p);
    }
    cr_assert(done);
}
