/* finish.c: from what the trainer set to what the scorer reads: checks, weight tables, names of outputs and of encoded columns. */
#include "alloc.h"
#include "buffer.h"
#include "number.h"
#include "pipeline_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *term_name(const sv_pipeline *pipeline, const sv_term *term)
{
    return term->value >= 0 ? sv_features_name(pipeline->features, term->value) : "a pair";
}

static int check_finite(const sv_pipeline *pipeline, const sv_term *term, const char *what, const double *values, size_t n, sv_error *error)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return sv_error_set(error, SV_E_NUMERIC, "%s: a %s is not finite", term_name(pipeline, term), what);
    return 0;
}

static int check_term(const sv_pipeline *pipeline, const sv_term *term, sv_error *error)
{
    int code = check_finite(pipeline, term, "weight", term->weights, term->width * pipeline->n_scores, error);
    if (!code && term->mean)
        code = check_finite(pipeline, term, "mean", term->mean, term->width, error);
    if (!code && term->scale)
        code = check_finite(pipeline, term, "scale", term->scale, term->width, error);
    for (size_t j = 0; !code && term->scale && j < term->width; j++)
        if (!(term->scale[j] > 0))
            code = sv_error_set(error, SV_E_NUMERIC, "%s: a scale is not above zero", term_name(pipeline, term));
    if (!code && isinf(term->fill))
        code = sv_error_set(error, SV_E_NUMERIC, "%s: the value for missing ones is infinite", term_name(pipeline, term));
    return code;
}

/* The weights in the order in which scoring reads them. */
static int make_table(const sv_pipeline *pipeline, const sv_term *term, sv_plan *plan, sv_error *error)
{
    size_t K = pipeline->n_scores, n_dense = plan->n_dense ? plan->n_dense : 1, n_index = plan->n_index ? plan->n_index : 1;
    size_t extra = plan->n_index ? 2 : 0, n_rows;
    if (__builtin_mul_overflow(n_dense * (n_index + extra), K, &n_rows))
        return sv_error_set(error, SV_E_LIMIT, "%s: too many weights", term_name(pipeline, term));
    double *table = sv_array(n_rows, sizeof *table);
    if (!table)
        return sv_error_set(error, SV_E_MEMORY, "out of memory");
    sv_free(plan->table);
    plan->table = table;
    for (size_t j = 0; j < n_dense; j++) {
        for (size_t k = 0; k < extra * K; k++)
            *table++ = k < K ? NAN : 0;
        for (size_t i = 0; i < n_index; i++)
            for (size_t k = 0; k < K; k++)
                *table++ = term->weights[(j * plan->dense_stride + i * plan->index_stride) * K + k];
    }
    return 0;
}

static int set_output(sv_pipeline *pipeline, size_t output, const char *prefix, const char *name, const char *suffix, sv_error *error)
{
    sv_buffer text = SV_BUFFER_INIT(0);
    int code = sv_buffer_format(&text, "%s%s%s", prefix, name, suffix);
    pipeline->outputs[output] = code ? NULL : sv_buffer_take(&text);
    if (!pipeline->outputs[output])
        return sv_error_set(error, SV_E_MEMORY, "out of memory");
    if (sv_features_find(pipeline->features, pipeline->outputs[output], strlen(pipeline->outputs[output])) >= 0)
        return sv_error_set(error, SV_E_CONFIG, "%s is the name of a column or feature and of what the model answers", pipeline->outputs[output]);
    return 0;
}

static int name_outputs(sv_pipeline *pipeline, sv_error *error)
{
    int code = 0;
    for (size_t i = 0; pipeline->outputs && i < pipeline->n_outputs; i++)
        sv_free(pipeline->outputs[i]);
    sv_free(pipeline->outputs);
    pipeline->n_outputs = pipeline->task == SV_TASK_BINARY ? 2 : pipeline->task == SV_TASK_MULTINOMIAL ? 1 + pipeline->n_scores : 1;
    pipeline->outputs = sv_calloc(pipeline->n_outputs, sizeof *pipeline->outputs);
    if (!pipeline->outputs) {
        pipeline->n_outputs = 0;
        return sv_error_set(error, SV_E_MEMORY, "out of memory");
    }
    if (pipeline->task == SV_TASK_BINARY) {
        code = set_output(pipeline, 0, "", pipeline->target, "_probability", error);
        code = code ? code : set_output(pipeline, 1, "", pipeline->target, "_prediction", error);
    } else
        code = set_output(pipeline, 0, "prediction", "", "", error);
    for (size_t k = 1; !code && k < pipeline->n_outputs && pipeline->task == SV_TASK_MULTINOMIAL; k++)
        code = set_output(pipeline, k, "probability_", pipeline->classes[k - 1], "", error);
    return code;
}

int sv_pipeline_finish(sv_pipeline *pipeline, sv_error *error)
{
    int code = 0;
    if (pipeline->task == SV_TASK_MULTINOMIAL && !pipeline->classes)
        return sv_error_set(error, SV_E_CONFIG, "a multinomial model needs its classes' names");
    for (size_t k = 0; k < pipeline->n_scores && !code; k++)
        if (!isfinite(pipeline->intercept[k]))
            code = sv_error_set(error, SV_E_NUMERIC, "the intercept is not finite");
    if (!code && !(pipeline->threshold >= 0 && pipeline->threshold <= 1))
        code = sv_error_set(error, SV_E_NUMERIC, "the threshold is not within [0, 1]");
    for (size_t i = 0; i < pipeline->n_terms && !code; i++) {
        code = check_term(pipeline, &pipeline->terms[i], error);
        code = code ? code : make_table(pipeline, &pipeline->terms[i], &pipeline->plans[i], error);
    }
    code = code ? code : name_outputs(pipeline, error);
    pipeline->finished = !code;
    return code;
}

/* ---- names of encoded columns */

/* The first category that sets the column, and how many do. */
static const char *category_text(const sv_term *term, size_t column, size_t *count)
{
    const char *first = NULL;
    *count = 0;
    for (size_t i = 0; i < sv_levels_count(term->categories); i++)
        if (term->columns[i] == (int32_t)column && !(*count)++)
            first = sv_levels_text(term->categories, i, NULL);
    return first;
}

static int category_name(const sv_term *term, const char *name, size_t column, char *out, size_t size)
{
    size_t count;
    const char *text = category_text(term, column, &count);
    if (count > 1 || !text)
        return snprintf(out, size, "%s=(rare)", name);
    return snprintf(out, size, "%s=%s", name, text);
}

static int bin_name(const sv_term *term, const char *name, size_t column, char *out, size_t size)
{
    char low[SV_NUMBER_SIZE], high[SV_NUMBER_SIZE];
    size_t bin = column + (size_t)term->drop_first;
    if (bin)
        sv_format_double(low, term->points[bin - 1]);
    if (bin < term->n_points)
        sv_format_double(high, term->points[bin]);
    if (!bin)
        return snprintf(out, size, "%s < %s", name, high);
    if (bin == term->n_points)
        return snprintf(out, size, "%s >= %s", name, low);
    return snprintf(out, size, "%s in [%s, %s)", name, low, high);
}

int sv_pipeline_column_name(const sv_pipeline *pipeline, size_t index, size_t column, char *out, size_t size)
{
    const sv_term *term = &pipeline->terms[index];
    const char *name = term_name(pipeline, term);
    switch (term->encoder) {
    case SV_ENCODER_NUMBER:
    case SV_ENCODER_ORDINAL:
        return snprintf(out, size, "%s", name);
    case SV_ENCODER_MISSING:
        return snprintf(out, size, "%s is missing", name);
    case SV_ENCODER_CATEGORY:
        return category_name(term, name, column, out, size);
    case SV_ENCODER_HASH:
        return snprintf(out, size, "%s#%zu", name, column);
    case SV_ENCODER_BINS:
        return bin_name(term, name, column, out, size);
    case SV_ENCODER_SPLINE:
        return snprintf(out, size, "%s spline %zu", name, column);
    case SV_ENCODER_PAIR:
        break;
    }
    char left[2 * SV_NAME_MAX], right[2 * SV_NAME_MAX];
    size_t width = pipeline->terms[term->right].width;
    sv_pipeline_column_name(pipeline, (size_t)term->left, column / width, left, sizeof left);
    sv_pipeline_column_name(pipeline, (size_t)term->right, column % width, right, sizeof right);
    return snprintf(out, size, "%s:%s", left, right);
}
