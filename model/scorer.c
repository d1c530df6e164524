/* scorer.c: block -> features -> scores -> outputs. Plain loops in a fixed order, so that a row's bits do not depend on the block around it. */
#include "alloc.h"
#include "pipeline_private.h"

#include <math.h>
#include <string.h>

struct sv_scorer {
    const sv_pipeline *pipeline;
    sv_evaluator *evaluator;
    double *scores;  // (K, SV_BLOCK_ROWS)
    double *term;    // (K, SV_BLOCK_ROWS): contributions of the term in work
    double *outputs; // (n_outputs, SV_BLOCK_ROWS)
    long bad_row;
};

int sv_scorer_new(sv_scorer **out, const sv_pipeline *pipeline)
{
    size_t K = pipeline->n_scores, n_doubles = (2 * K + pipeline->n_outputs) * SV_BLOCK_ROWS;
    sv_scorer *scorer = sv_calloc(1, sizeof *scorer);
    *out = scorer;
    if (!scorer)
        return SV_E_MEMORY;
    *scorer = (sv_scorer){.pipeline = pipeline, .bad_row = -1};
    scorer->scores = sv_aligned(64, n_doubles * sizeof(double));
    if (!scorer->scores || sv_evaluator_new(&scorer->evaluator, pipeline->features)) {
        sv_scorer_free(scorer);
        *out = NULL;
        return SV_E_MEMORY;
    }
    scorer->term = scorer->scores + K * SV_BLOCK_ROWS;
    scorer->outputs = scorer->term + K * SV_BLOCK_ROWS;
    return 0;
}

void sv_scorer_free(sv_scorer *scorer)
{
    if (!scorer)
        return;
    sv_evaluator_free(scorer->evaluator);
    sv_free(scorer->scores);
    sv_free(scorer);
}

/* out = dense * weight, or out += when more. */
static void apply_dense(double *restrict out, const double *restrict dense, double weight, size_t n, int more)
{
    if (more)
        for (size_t i = 0; i < n; i++)
            out[i] += dense[i] * weight;
    else
        for (size_t i = 0; i < n; i++)
            out[i] = dense[i] * weight;
}

/* out = table[index], times dense where there is one; or out += when more. */
static void apply_index(double *restrict out, const double *restrict dense, const int32_t *restrict index, const double *restrict table, size_t K,
                        size_t n, int more)
{
    for (size_t i = 0; i < n; i++) {
        double weight = table[(size_t)(index[i] + 2) * K], product = dense ? dense[i] * weight : weight;
        out[i] = more ? out[i] + product : product;
    }
}

/* Contributions of a term to every score for rows [first, first + n): out is (K, SV_BLOCK_ROWS). */
static void contribute(const sv_pipeline *pipeline, size_t index, const sv_evaluator *evaluator, size_t first, size_t n, double *out)
{
    const sv_plan *plan = &pipeline->plans[index];
    size_t K = pipeline->n_scores, n_parts = plan->n_dense ? plan->n_dense : 1;
    double dense[SV_BLOCK_ROWS];
    int32_t at[SV_BLOCK_ROWS];
    if (plan->n_index)
        sv_term_index(pipeline, index, evaluator, first, n, at);
    for (size_t j = 0; j < n_parts; j++) {
        const double *table = plan->table + j * (plan->n_index ? plan->n_index + 2 : 1) * K;
        if (plan->n_dense)
            sv_term_dense(pipeline, index, evaluator, j, first, n, dense);
        for (size_t k = 0; k < K; k++)
            if (plan->n_index)
                apply_index(out + k * SV_BLOCK_ROWS, plan->n_dense ? dense : NULL, at, table + k, K, n, j > 0);
            else
                apply_dense(out + k * SV_BLOCK_ROWS, dense, table[k], n, j > 0);
    }
}

/* The two commonest terms of a model with one score, added in one pass; the same operations in the same order as contribute's, so the same bits. */
static int add_common_term(const sv_scorer *scorer, size_t t, size_t n)
{
    const sv_term *term = &scorer->pipeline->terms[t];
    const double *restrict table = scorer->pipeline->plans[t].table;
    double *restrict score = scorer->scores;
    if (scorer->pipeline->n_scores != 1)
        return 0;
    if (term->encoder == SV_ENCODER_NUMBER) {
        const double *restrict x = sv_evaluator_value(scorer->evaluator, term->value);
        double fill = term->fill, mean = term->mean[0], scale = term->scale[0], weight = table[0];
        for (size_t i = 0; i < n; i++)
            score[i] += (((x[i] != x[i] ? fill : x[i]) - mean) / scale) * weight;
        return 1;
    }
    if (term->encoder == SV_ENCODER_CATEGORY) {
        const int32_t *restrict codes = sv_evaluator_value(scorer->evaluator, term->value), *restrict map = term->map;
        for (size_t i = 0; i < n; i++)
            score[i] += table[map[codes[i] < 0 ? 0 : codes[i] + 1] + 2];
        return 1;
    }
    return 0;
}

static void sum_scores(sv_scorer *scorer, size_t n)
{
    const sv_pipeline *pipeline = scorer->pipeline;
    size_t K = pipeline->n_scores;
    for (size_t k = 0; k < K; k++)
        for (size_t i = 0; i < n; i++)
            scorer->scores[k * SV_BLOCK_ROWS + i] = pipeline->intercept[k];
    for (size_t t = 0; t < pipeline->n_terms; t++) {
        if (pipeline->terms[t].shadow || add_common_term(scorer, t, n))
            continue;
        contribute(pipeline, t, scorer->evaluator, 0, n, scorer->term);
        for (size_t k = 0; k < K; k++) {
            double *restrict score = scorer->scores + k * SV_BLOCK_ROWS;
            const double *restrict term = scorer->term + k * SV_BLOCK_ROWS;
            for (size_t i = 0; i < n; i++)
                score[i] += term[i];
        }
    }
}

/* ---- outputs */

static double isotonic(const sv_calibration *c, double score)
{
    double low = c->x[0], high = c->x[c->n - 1];
    score = score < low ? low : score;
    score = high < score ? high : score;
    size_t first = 0, last = c->n; // pieces are found by halving: first is the count of x <= score
    while (first < last) {
        size_t middle = (first + last) / 2;
        if (c->x[middle] <= score)
            first = middle + 1;
        else
            last = middle;
    }
    return c->piece_y[first] + (score - c->piece_x[first]) * c->piece_slope[first];
}

static void answer_binary(sv_scorer *scorer, size_t n)
{
    const sv_calibration *c = &scorer->pipeline->calibration;
    double *restrict p = scorer->outputs, *restrict label = p + SV_BLOCK_ROWS, threshold = scorer->pipeline->threshold;
    const double *restrict score = scorer->scores;
    for (size_t i = 0; i < n; i++)
        p[i] = c->kind == SV_CALIBRATION_ISOTONIC ? isotonic(c, score[i])
                                                  : 1 / (1 + exp(-(c->kind == SV_CALIBRATION_PLATT ? c->slope * score[i] + c->offset : score[i])));
    for (size_t i = 0; i < n; i++)
        label[i] = p[i] >= threshold ? 1 : 0;
}

static void answer_multinomial(sv_scorer *scorer, size_t n)
{
    size_t K = scorer->pipeline->n_scores;
    for (size_t i = 0; i < n; i++) {
        const double *score = scorer->scores + i;
        double *p = scorer->outputs + SV_BLOCK_ROWS + i, sum = 0;
        size_t best = 0;
        for (size_t k = 1; k < K; k++)
            best = score[best * SV_BLOCK_ROWS] < score[k * SV_BLOCK_ROWS] ? k : best;
        for (size_t k = 0; k < K; k++)
            sum += p[k * SV_BLOCK_ROWS] = exp(score[k * SV_BLOCK_ROWS] - score[best * SV_BLOCK_ROWS]);
        for (size_t k = 0; k < K; k++)
            p[k * SV_BLOCK_ROWS] /= sum;
        scorer->outputs[i] = (double)best;
    }
}

static void answer(sv_scorer *scorer, size_t n)
{
    switch (scorer->pipeline->task) {
    case SV_TASK_BINARY:
        answer_binary(scorer, n);
        break;
    case SV_TASK_MULTINOMIAL:
        answer_multinomial(scorer, n);
        break;
    case SV_TASK_LINEAR:
        memcpy(scorer->outputs, scorer->scores, n * sizeof(double));
        break;
    case SV_TASK_POISSON:
        for (size_t i = 0; i < n; i++)
            scorer->outputs[i] = exp(scorer->scores[i]);
        break;
    }
}

/* ---- rows without an answer */

/* The first term that makes no number of the row; says why. */
static int explain_bad_row(const sv_scorer *scorer, size_t row, sv_error *error)
{
    const sv_pipeline *pipeline = scorer->pipeline;
    double parts[SV_BLOCK_ROWS];
    for (size_t t = 0; t < pipeline->n_terms; t++) {
        const sv_term *term = &pipeline->terms[t];
        if (term->value < 0)
            continue;
        const char *name = sv_features_name(pipeline->features, term->value);
        int is_text = sv_features_kind(pipeline->features, term->value) == SV_KIND_TEXT;
        const void *values = sv_evaluator_value(scorer->evaluator, term->value);
        int32_t index = 0;
        if (pipeline->plans[t].n_index)
            sv_term_index(pipeline, t, scorer->evaluator, row, 1, &index);
        else
            sv_term_dense(pipeline, t, scorer->evaluator, 0, row, 1, parts);
        if (is_text && (index == -2 || (!pipeline->plans[t].n_index && parts[0] != parts[0]))) {
            int32_t code = ((const int32_t *)values)[row];
            return sv_error_set(error, SV_E_INPUT, "row %zu: %s: a text that training did not see%s%.100s", row, name, code >= 0 ? ": " : "",
                                code >= 0 ? sv_levels_text(sv_features_levels(pipeline->features, term->value), (size_t)code, NULL) : "");
        }
        double value = is_text ? 0 : ((const double *)values)[row];
        if (value - value != 0)
            return sv_error_set(error, SV_E_INPUT, "row %zu: %s is %s", row, name, value != value ? "missing" : "infinite");
    }
    return sv_error_set(error, SV_E_INPUT, "row %zu: the score is too large for a number", row);
}

static long find_bad_row(const sv_scorer *scorer, size_t n)
{
    size_t K = scorer->pipeline->task == SV_TASK_BINARY ? 1 : scorer->pipeline->n_outputs, skip = scorer->pipeline->task == SV_TASK_MULTINOMIAL;
    double sum = 0;
    for (size_t o = skip; o < K; o++)
        for (size_t i = 0; i < n; i++)
            sum += scorer->outputs[o * SV_BLOCK_ROWS + i] * 0;
    if (sum == 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        for (size_t o = skip; o < K; o++)
            if (!isfinite(scorer->outputs[o * SV_BLOCK_ROWS + i]))
                return (long)i;
    return -1;
}

int sv_scorer_run(sv_scorer *scorer, const sv_block *block, sv_error *error)
{
    sv_evaluator_run(scorer->evaluator, block);
    sum_scores(scorer, block->n_rows);
    answer(scorer, block->n_rows);
    scorer->bad_row = find_bad_row(scorer, block->n_rows);
    return scorer->bad_row < 0 ? 0 : explain_bad_row(scorer, (size_t)scorer->bad_row, error);
}

long sv_scorer_bad_row(const sv_scorer *scorer)
{
    return scorer->bad_row;
}

const double *sv_scorer_score(const sv_scorer *scorer, size_t k)
{
    return scorer->scores + k * SV_BLOCK_ROWS;
}

const double *sv_scorer_output(const sv_scorer *scorer, size_t output)
{
    return scorer->outputs + output * SV_BLOCK_ROWS;
}

const sv_evaluator *sv_scorer_evaluator(const sv_scorer *scorer)
{
    return scorer->evaluator;
}

void sv_scorer_explain(const sv_scorer *scorer, size_t row, size_t k, double *out)
{
    const sv_pipeline *pipeline = scorer->pipeline;
    out[0] = pipeline->intercept[k];
    for (size_t t = 0; t < pipeline->n_terms; t++) {
        out[1 + t] = 0;
        if (pipeline->terms[t].shadow)
            continue;
        contribute(pipeline, t, scorer->evaluator, row, 1, scorer->term);
        out[1 + t] = scorer->term[k * SV_BLOCK_ROWS];
    }
}
