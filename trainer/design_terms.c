/* design_terms.c: see the header. A term is one of three: a number of the table, a one-hot code, or columns that the pipeline encodes. */
#include "design_terms.h"

#include "alloc.h"
#include "encoders.h"

#include <math.h>
#include <string.h>

enum { TASK_ROWS = 16 * SV_BLOCK_ROWS };

typedef enum term_shape { SHAPE_NUMBER, SHAPE_CODE, SHAPE_ENCODED_CODE, SHAPE_ENCODED } term_shape;

static term_shape shape_of(const sv_pipeline *pipeline, size_t t)
{
    const sv_term *term = sv_pipeline_term_const(pipeline, t);
    switch (term->encoder) {
    case SV_ENCODER_NUMBER: return SHAPE_NUMBER;
    case SV_ENCODER_CATEGORY:
    case SV_ENCODER_HASH: return SHAPE_CODE;
    case SV_ENCODER_BINS: return SHAPE_ENCODED_CODE;
    case SV_ENCODER_PAIR: {
        term_shape left = shape_of(pipeline, (size_t)term->left), right = shape_of(pipeline, (size_t)term->right);
        return (left == SHAPE_CODE || left == SHAPE_ENCODED_CODE) && (right == SHAPE_CODE || right == SHAPE_ENCODED_CODE) ? SHAPE_ENCODED_CODE : SHAPE_ENCODED;
    }
    case SV_ENCODER_MISSING:
    case SV_ENCODER_ORDINAL:
    case SV_ENCODER_SPLINE: break;
    }
    return SHAPE_ENCODED;
}

static const sv_value_column *find_value(const sv_values *values, int id)
{
    for (size_t k = 0; k < values->n; k++)
        if (values->columns[k].id == id) return &values->columns[k];
    return NULL;
}

/* ---- encoding by the pipeline ---- */

typedef struct encoding {
    const sv_pipeline *pipeline;
    const sv_values *values;
    const sv_binding *binding;
    sv_evaluator **evaluators; /* (team size) */
    char **scratch;            /* (team size) */
    double **encoded;          /* (team size): (widest term, SV_BLOCK_ROWS) */
    double **columns;          /* (n_terms): SHAPE_ENCODED: (width, n_rows) */
    uint32_t **codes;          /* (n_terms): SHAPE_ENCODED_CODE: (n_rows), 0 for no column, else 1 + it */
} encoding;

static void keep_rows(const encoding *e, size_t t, size_t first, size_t n, const double *encoded)
{
    size_t width = sv_pipeline_term_const(e->pipeline, t)->width;
    if (e->columns[t])
        for (size_t j = 0; j < width; j++) memcpy(e->columns[t] + j * e->values->n_rows + first, encoded + j * n, n * sizeof *encoded);
    if (!e->codes[t]) return;
    memset(e->codes[t] + first, 0, n * sizeof(uint32_t));
    for (size_t j = 0; j < width; j++)
        for (size_t i = 0; i < n; i++)
            if (encoded[j * n + i] == 1) e->codes[t][first + i] = (uint32_t)j + 1;
}

static void encode_task(void *context, size_t task, size_t worker)
{
    const encoding *e = context;
    size_t begin = task * TASK_ROWS, end = begin + TASK_ROWS < e->values->n_rows ? begin + TASK_ROWS : e->values->n_rows;
    for (size_t first = begin; first < end; first += SV_BLOCK_ROWS) {
        size_t n = end - first < SV_BLOCK_ROWS ? end - first : SV_BLOCK_ROWS;
        sv_block block;
        sv_binding_block(e->binding, first, n, e->scratch[worker], &block);
        sv_evaluator_run(e->evaluators[worker], &block);
        for (size_t t = 0; t < sv_pipeline_n_terms(e->pipeline); t++) {
            if (!e->columns[t] && !e->codes[t]) continue;
            sv_pipeline_encode(e->pipeline, t, e->evaluators[worker], n, e->encoded[worker]);
            keep_rows(e, t, first, n, e->encoded[worker]);
        }
    }
}

static int encode_terms(encoding *e, sv_team *team, sv_error *error)
{
    size_t n_workers = sv_team_size(team), widest = 0;
    sv_binding *binding = NULL;
    int rc = 0, any = 0;
    for (size_t t = 0; !rc && t < sv_pipeline_n_terms(e->pipeline); t++) {
        term_shape shape = shape_of(e->pipeline, t);
        size_t width = sv_pipeline_term_const(e->pipeline, t)->width;
        if (shape != SHAPE_ENCODED && shape != SHAPE_ENCODED_CODE) continue;
        any = 1;
        widest = width > widest ? width : widest;
        if (shape == SHAPE_ENCODED) e->columns[t] = sv_array(width * e->values->n_rows, sizeof(double));
        else e->codes[t] = sv_array(e->values->n_rows, sizeof(uint32_t));
        if (!e->columns[t] && !e->codes[t]) rc = SV_E_MEMORY;
    }
    if (!any) return 0;
    if (!rc) rc = sv_binding_new(&binding, e->values->features, e->values->table, error);
    e->binding = binding;
    for (size_t w = 0; !rc && w < n_workers; w++) {
        e->scratch[w] = sv_aligned(64, sv_binding_scratch_size(binding));
        e->encoded[w] = sv_array(widest * SV_BLOCK_ROWS, sizeof(double));
        if (!e->scratch[w] || !e->encoded[w] || sv_evaluator_new(&e->evaluators[w], e->values->features)) rc = SV_E_MEMORY;
    }
    if (!rc) sv_team_run(team, (e->values->n_rows + TASK_ROWS - 1) / TASK_ROWS, encode_task, e);
    for (size_t w = 0; w < n_workers; w++) {
        sv_evaluator_free(e->evaluators[w]);
        sv_free(e->scratch[w]);
        sv_free(e->encoded[w]);
    }
    sv_binding_free(binding);
    return rc;
}

/* ---- the design's columns ---- */

/* Encoded columns are standardised like numbers where the term can say so; indicators stay 0 and 1. */
static int standardise(sv_term *term, const double *columns, size_t n_rows, const uint8_t *parts, uint8_t part, sv_error *error)
{
    if (!term->mean || term->encoder == SV_ENCODER_MISSING) return 0;
    for (size_t j = 0; j < term->width; j++) {
        sv_number_statistics s;
        int rc = sv_number_statistics_measure(&s, columns + j * n_rows, SV_STORE_F64, n_rows, parts, part, 0, error);
        if (rc) return rc;
        term->mean[j] = s.n_present ? s.mean : 0;
        term->scale[j] = s.n_present && s.deviation > 1e-12 * fabs(s.mean) ? s.deviation : 1;
        if (term->encoder == SV_ENCODER_ORDINAL && isnan(term->fill)) term->fill = term->mean[j]; /* an unknown text says nothing */
    }
    return 0;
}

static int add_code(sv_design *design, size_t f, const sv_term *term, const sv_value_column *column, const sv_levels *levels, uint32_t *encoded, sv_error *error)
{
    size_t n_codes = encoded ? term->width + 1 : 0;
    int32_t *slots = NULL;
    if (!encoded) n_codes = sv_levels_count(levels);
    slots = sv_array(n_codes ? n_codes : 1, sizeof *slots);
    if (!slots) return sv_error_set(error, SV_E_MEMORY, "design: out of memory for %zu levels", n_codes);
    for (size_t code = 0; code < n_codes; code++) {
        slots[code] = encoded ? (int32_t)code - 1 : term->map[code + 1];
        if (slots[code] < -1) slots[code] = -1; /* refused when served; here it is only outside the training rows */
    }
    design->factors[f].codes = encoded ? (const void *)encoded : column->data;
    design->factors[f].store = encoded ? SV_STORE_CODE32 : column->store;
    design->factors[f].owned = encoded != NULL;
    int rc = sv_design_set_slots(design, f, slots, n_codes, term->width, error);
    sv_free(slots);
    return rc;
}

static int lay_out(sv_design_terms *out, sv_pipeline *pipeline, const sv_values *values, encoding *e, const uint8_t *parts, uint8_t part, sv_error *error)
{
    size_t j = 0, f = 0;
    int rc = 0;
    for (size_t t = 0; !rc && t < out->n_terms; t++) {
        sv_term *term = sv_pipeline_term(pipeline, t);
        term_shape shape = shape_of(pipeline, t);
        const sv_value_column *column = term->value >= 0 ? find_value(values, term->value) : NULL;
        if (shape == SHAPE_CODE || shape == SHAPE_ENCODED_CODE) {
            out->first[t] = f;
            rc = add_code(out->design, f++, term, column, term->value >= 0 ? sv_features_levels(values->features, term->value) : NULL, e->codes[t], error);
            e->codes[t] = NULL;
            continue;
        }
        out->first[t] = j;
        if (shape == SHAPE_NUMBER) {
            int whole = column->store != SV_STORE_F64;
            out->design->numbers[j++] = (sv_design_number){.data = column->data, .store = column->store, .fill = term->fill, .centre = term->mean[0], .scale = term->scale[0], .may_be_nan = !whole};
            continue;
        }
        rc = standardise(term, e->columns[t], values->n_rows, parts, part, error);
        for (size_t w = 0; !rc && w < term->width; w++, j++)
            out->design->numbers[j] = (sv_design_number){.data = e->columns[t] + w * values->n_rows, .store = SV_STORE_F64, .centre = term->mean ? term->mean[w] : 0,
                                                         .scale = term->scale ? term->scale[w] : 1, .owned = w == 0};
        e->columns[t] = rc ? e->columns[t] : NULL;
    }
    return rc;
}

static int has_gap(const sv_design_number *number, size_t n_rows)
{
    for (size_t i = 0; i < n_rows; i++)
        if (isnan(((const double *)number->data)[i])) return 1;
    return 0;
}

int sv_design_terms_new(sv_design_terms *out, sv_pipeline *pipeline, const sv_values *values, const uint8_t *parts, uint8_t part, sv_team *team, sv_error *error)
{
    size_t n_terms = sv_pipeline_n_terms(pipeline), n_numbers = 0, n_factors = 0, n_workers = sv_team_size(team);
    encoding e = {.pipeline = pipeline, .values = values, .evaluators = sv_calloc(n_workers, sizeof(void *)), .scratch = sv_calloc(n_workers, sizeof(void *)),
                  .encoded = sv_calloc(n_workers, sizeof(void *)), .columns = sv_calloc(n_terms, sizeof(void *)), .codes = sv_calloc(n_terms, sizeof(void *))};
    *out = (sv_design_terms){.n_terms = n_terms, .first = sv_calloc(n_terms, sizeof(size_t))};
    int rc = out->first && e.evaluators && e.scratch && e.encoded && e.columns && e.codes ? 0 : SV_E_MEMORY;
    for (size_t t = 0; t < n_terms; t++) {
        term_shape shape = shape_of(pipeline, t);
        if (shape == SHAPE_CODE || shape == SHAPE_ENCODED_CODE) n_factors++;
        else n_numbers += sv_pipeline_term_const(pipeline, t)->width;
    }
    if (!rc) rc = encode_terms(&e, team, error);
    if (!rc) rc = sv_design_new(&out->design, values->n_rows, n_numbers, n_factors, error);
    if (!rc) rc = lay_out(out, pipeline, values, &e, parts, part, error);
    for (size_t j = 0; !rc && j < n_numbers; j++)
        if (out->design->numbers[j].may_be_nan) out->design->numbers[j].may_be_nan = has_gap(&out->design->numbers[j], values->n_rows);
    if (!rc) rc = sv_design_finish(out->design, team, error);
    for (size_t t = 0; !rc && t < n_terms; t++) {
        term_shape shape = shape_of(pipeline, t);
        if (shape == SHAPE_CODE || shape == SHAPE_ENCODED_CODE) out->first[t] = out->design->factors[out->first[t]].first;
    }
    for (size_t t = 0; e.columns && e.codes && t < n_terms; t++) {
        sv_free(e.columns[t]);
        sv_free(e.codes[t]);
    }
    sv_free(e.evaluators);
    sv_free(e.scratch);
    sv_free(e.encoded);
    sv_free(e.columns);
    sv_free(e.codes);
    if (rc) sv_design_terms_free(out);
    return rc == SV_E_MEMORY ? sv_error_set(error, rc, "design: out of memory") : rc;
}

void sv_design_terms_free(sv_design_terms *terms)
{
    if (!terms) return;
    sv_design_free(terms->design);
    sv_free(terms->first);
    *terms = (sv_design_terms){0};
}
