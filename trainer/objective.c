/* objective.c: one pass over the rows. A worker widens a block, computes scores, loss and residuals, and adds up its chunk's gradient and Hessian.
   The Hessian needs no expanded matrix either: numbers meet numbers in dsyrk, categories meet numbers in one row of sums a code,
   categories meet categories in tables of joint sums. */
#include "objective.h"

#include "alloc.h"
#include "kernel.h"

#include <cblas.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

enum {
    MIN_CHUNK_ROWS = 4096,
    MAX_CHUNKS = 64,           /* 16 threads on each of 4 machines */
    MAX_PARTIALS = 1 << 22,    /* doubles in all chunks' sums together, unless one chunk alone needs more */
    MAX_GROUP_CODES = 32,      /* of a Hessian group: a pair's table is 8 kB */
    MAX_COPIED = 4096          /* codes whose sums are kept fourfold: neighbouring rows with the same code need not wait for each other */
};

/* Which weights a code of joined factors adds up: (n_codes, n_members) positions in the weight vector, -1 for none. */
typedef struct code_map {
    size_t n_codes, n_members;
    int32_t *positions;
} code_map;

/* Factors read as one code for the Hessian; smaller than a join, since every pair of groups needs a table. */
typedef struct factor_group {
    size_t n_factors, n_codes, factors[8], strides[8];
    code_map map;
    size_t sums_first; /* this group's rows of sums in scratch.group_sums, in doubles */
} factor_group;

/* One worker's memory. */
typedef struct scratch {
    double *block;
    double *z, *r, *h;         // (n_scores, SV_PASS_ROWS)
    double *y, *weight;        // (SV_PASS_ROWS)
    double *wide;              // (n_numbers, SV_PASS_ROWS)
    double *join_sums;         // (n_scores, n_sums)
    double *scaled;            // (n_numbers, SV_PASS_ROWS): sqrt(h) * standardised
    double *rows;              // (SV_PASS_ROWS, row_width): h * (standardised, 1)
    double *group_sums;        // (sum of group codes, row_width)
    double *pair_sums;         // (sum of products of group codes)
    double *syrk;              // (n_numbers, n_numbers)
    uint32_t *codes;           // (n_groups, SV_PASS_ROWS)
    const double **x;          // (n_numbers)
} scratch;

typedef enum pass_kind { PASS_VALUE, PASS_GRADIENT, PASS_HESSIAN, PASS_DIAGONAL, PASS_SCORES } pass_kind;

struct sv_objective {
    const sv_design *design;
    sv_loss loss;
    double c, l2, total;
    sv_team *team;
    sv_share share;
    size_t n_scores, n_weights, n_passes;
    size_t n_join_codes, n_copies, n_sums; /* n_sums: n_join_codes * n_copies */
    double *tables;            // (n_scores, n_join_codes): the summed weights of each code
    double *u, *centre;        // (n_scores, n_numbers), (n_numbers)
    size_t n_groups, row_width, n_group_sums, n_pair_sums;
    factor_group *groups;             // (n_groups), once a Hessian was asked for
    scratch *scratch;          // (team size)
    int has_hessian_memory;
    double *partials;          // (n_chunks, stride)
    size_t partials_capacity;

    /* of the pass under way */
    pass_kind kind;
    const double *w;
    double *scores;
    size_t n_chunks, chunk_rows, stride, first_chunk;
};

static int out_of_memory(sv_error *error)
{
    return sv_error_set(error, SV_E_MEMORY, "training: out of memory");
}

/* ---- building ---- */

static int build_map(code_map *map, const sv_design *design, const size_t *factors, const size_t *strides, size_t n_members, size_t n_codes)
{
    map->n_codes = n_codes;
    map->n_members = n_members;
    map->positions = sv_array(n_codes * n_members, sizeof *map->positions);
    if (!map->positions) return SV_E_MEMORY;
    for (size_t m = 0; m < n_members; m++) {
        const sv_design_factor *factor = &design->factors[factors[m]];
        for (size_t code = 0; code < n_codes; code++) {
            size_t own = factor->n_codes ? code / strides[m] % factor->n_codes : 0;
            int32_t slot = factor->n_codes ? factor->slots[own] : -1;
            map->positions[code * n_members + m] = slot < 0 ? -1 : (int32_t)factor->first + slot;
        }
    }
    return 0;
}

static int new_scratch(sv_objective *o, scratch *s)
{
    size_t rows = SV_PASS_ROWS, k = o->n_scores, d = o->design->n_numbers;
    size_t doubles = 3 * k * rows + 2 * rows + d * rows + k * o->n_sums;
    s->block = sv_aligned(64, doubles * sizeof(double));
    s->x = sv_array(d ? d : 1, sizeof *s->x);
    if (!s->block || !s->x) return SV_E_MEMORY;
    s->z = s->block;
    s->r = s->z + k * rows;
    s->h = s->r + k * rows;
    s->y = s->h + k * rows;
    s->weight = s->y + rows;
    s->wide = s->weight + rows;
    s->join_sums = s->wide + d * rows;
    return 0;
}

/* OpenBLAS made threads of its own when it was loaded; they would spin beside ours. */
extern int blas_thread_shutdown_(void) __attribute__((weak));

static void end_blas_threads(void)
{
    openblas_set_num_threads(1);
    if (blas_thread_shutdown_) blas_thread_shutdown_();
}

static void quiet_blas(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, end_blas_threads);
}

static size_t score_count(const sv_design *design, sv_loss loss)
{
    return loss == SV_LOSS_SOFTMAX ? design->n_classes : 1;
}

int sv_objective_new(sv_objective **out, const sv_design *design, sv_loss loss, double c, double l2, sv_team *team, const sv_share *share, sv_error *error)
{
    sv_objective *o = *out = sv_calloc(1, sizeof *o);
    if (!o) return out_of_memory(error);
    *o = (sv_objective){.design = design, .loss = loss, .c = c, .l2 = l2, .team = team, .share = {.n_ranks = 1}};
    if (share) o->share = *share;
    o->n_scores = score_count(design, loss);
    o->n_weights = design->n_weights;
    int rc = 0;
    o->scratch = sv_calloc(sv_team_size(team), sizeof *o->scratch);
    if (!o->scratch) rc = SV_E_MEMORY;
    for (size_t k = 0; k < design->n_joins; k++)
        o->n_join_codes += design->joins[k].n_codes;
    o->n_copies = o->n_join_codes <= MAX_COPIED ? 4 : 1;
    o->n_sums = o->n_join_codes * o->n_copies;
    if (!rc) {
        o->tables = sv_array(o->n_scores * o->n_join_codes + 1, sizeof(double));
        o->u = sv_array(o->n_scores * design->n_numbers, sizeof(double));
        o->centre = sv_array(design->n_numbers, sizeof(double));
        if (!o->tables || !o->u || !o->centre) rc = SV_E_MEMORY;
    }
    for (size_t j = 0; !rc && j < design->n_numbers; j++)
        o->centre[j] = design->numbers[j].centre;
    for (size_t t = 0; !rc && t < sv_team_size(team); t++)
        rc = new_scratch(o, &o->scratch[t]);
    if (rc) {
        sv_objective_free(o);
        *out = NULL;
        return out_of_memory(error);
    }
    quiet_blas();
    o->total = c * sv_design_total_weight(design, NULL);
    return 0;
}

void sv_objective_free(sv_objective *o)
{
    if (!o) return;
    for (size_t t = 0; o->scratch && t < sv_team_size(o->team); t++) {
        sv_free(o->scratch[t].block);
        sv_free(o->scratch[t].x);
        sv_free(o->scratch[t].scaled);
        sv_free(o->scratch[t].codes);
    }
    for (size_t g = 0; g < o->n_groups; g++)
        sv_free(o->groups[g].map.positions);
    sv_free(o->groups);
    sv_free(o->scratch);
    sv_free(o->tables);
    sv_free(o->u);
    sv_free(o->centre);
    sv_free(o->partials);
    sv_free(o);
}

size_t sv_objective_scores(const sv_objective *o) { return o->n_scores; }
size_t sv_objective_size(const sv_objective *o) { return o->n_scores * o->n_weights; }
size_t sv_objective_weights(const sv_objective *o) { return o->n_weights; }
double sv_objective_total(const sv_objective *o) { return o->total; }
size_t sv_objective_passes(const sv_objective *o) { return o->n_passes; }
const sv_design *sv_objective_design(const sv_objective *o) { return o->design; }
sv_loss sv_objective_loss(const sv_objective *o) { return o->loss; }

/* ---- one block ---- */

/* Points x at the numbers of rows [first, first + n): in place where they are doubles, else widened; padded rows repeat the centre. */
static void load_numbers(const sv_objective *o, scratch *s, size_t first, size_t n)
{
    const sv_design *design = o->design;
    size_t padded = sv_pad(n);
    for (size_t j = 0; j < design->n_numbers; j++) {
        const sv_design_number *number = &design->numbers[j];
        if (number->store == SV_STORE_F64 && !number->may_be_nan && padded == n) {
            s->x[j] = (const double *)number->data + first;
            continue;
        }
        double *wide = s->wide + j * SV_PASS_ROWS;
        sv_kernel_widen(wide, number->data, number->store, first, n);
        if (number->may_be_nan)
            for (size_t i = 0; i < n; i++)
                wide[i] = isnan(wide[i]) ? number->fill : wide[i];
        for (size_t i = n; i < padded; i++)
            wide[i] = number->centre;
        s->x[j] = wide;
    }
}

static void load_targets(const sv_objective *o, scratch *s, size_t first, size_t n)
{
    sv_kernel_widen(s->y, o->design->target, o->design->target_store, first, n);
    sv_design_row_weights(s->weight, o->design, first, n);
    for (size_t i = n; i < sv_pad(n); i++)
        s->y[i] = s->weight[i] = 0;
    if (!o->design->parts) return;
    for (size_t i = 0; i < n; i++) /* a row that does not count may have any target, NaN too */
        s->y[i] = s->weight[i] > 0 ? s->y[i] : 0;
}

#define ADD_TABLE(type)                                                                                                                      \
    {                                                                                                                                        \
        const type *restrict code = (const type *)codes + first;                                                                            \
        for (size_t i = 0; i < n; i++)                                                                                                       \
            z[i] += table[code[i]];                                                                                                          \
    }                                                                                                                                        \
    break

static void add_table(double *restrict z, const double *restrict table, const void *codes, sv_store store, size_t first, size_t n)
{
    switch (store) {
    case SV_STORE_CODE8: ADD_TABLE(uint8_t);
    case SV_STORE_CODE16: ADD_TABLE(uint16_t);
    default: ADD_TABLE(uint32_t);
    }
}

#define ADD_TO_SUMS(type)                                                                                                                    \
    {                                                                                                                                        \
        const type *restrict code = (const type *)codes + first;                                                                            \
        size_t i = 0;                                                                                                                        \
        if (n_copies == 4)                                                                                                                   \
            for (double *a = sums, *b = a + n_codes, *c = b + n_codes, *d = c + n_codes; i + 4 <= n; i += 4) {                               \
                a[code[i]] += r[i];                                                                                                          \
                b[code[i + 1]] += r[i + 1];                                                                                                  \
                c[code[i + 2]] += r[i + 2];                                                                                                  \
                d[code[i + 3]] += r[i + 3];                                                                                                  \
            }                                                                                                                                \
        for (; i < n; i++)                                                                                                                   \
            sums[code[i]] += r[i];                                                                                                           \
    }                                                                                                                                        \
    break

/* sums: (n_copies, n_codes). */
static void add_to_sums(double *sums, size_t n_codes, size_t n_copies, const double *restrict r, const void *codes, sv_store store, size_t first, size_t n)
{
    switch (store) {
    case SV_STORE_CODE8: ADD_TO_SUMS(uint8_t);
    case SV_STORE_CODE16: ADD_TO_SUMS(uint16_t);
    default: ADD_TO_SUMS(uint32_t);
    }
}

static void block_scores(const sv_objective *o, scratch *s, size_t first, size_t n)
{
    const sv_design *design = o->design;
    size_t padded = sv_pad(n);
    for (size_t k = 0; k < o->n_scores; k++) {
        double *z = s->z + k * SV_PASS_ROWS, intercept = o->w[(k + 1) * o->n_weights - 1];
        const double *table = o->tables + k * o->n_join_codes;
        for (size_t i = 0; i < padded; i++)
            z[i] = intercept;
        if (design->offsets)
            for (size_t i = 0; i < n; i++) z[i] += design->offsets[first + i];
        for (size_t t = 0; t < design->n_joins; t++) {
            add_table(z, table, design->joins[t].codes, design->joins[t].store, first, n);
            table += design->joins[t].n_codes;
        }
        sv_kernel_margin(z, s->x, o->centre, o->u + k * design->n_numbers, design->n_numbers, padded);
    }
}

static double block_loss(const sv_objective *o, scratch *s, size_t n, int with_h)
{
    double *h = with_h ? s->h : NULL;
    int unit = !o->design->weights && !o->design->class_weights;
    switch (o->loss) {
    case SV_LOSS_LOGISTIC: return sv_kernel_logistic(s->z, s->y, s->weight, unit, s->r, h, n);
    case SV_LOSS_SOFTMAX: return sv_kernel_softmax(s->z, s->y, s->weight, s->r, h, o->n_scores, SV_PASS_ROWS, n);
    case SV_LOSS_SQUARED: return sv_kernel_squared(s->z, s->y, s->weight, s->r, h, n);
    case SV_LOSS_POISSON: return sv_kernel_poisson(s->z, s->y, s->weight, s->r, h, n);
    }
    return NAN;
}

/* The gradient with regard to each score's numbers and intercept goes to g, the factors' to join_sums. squares: of h times squares instead. */
static void block_gradient(const sv_objective *o, scratch *s, double *g, size_t first, size_t n, int squares)
{
    const sv_design *design = o->design;
    size_t padded = sv_pad(n), d = design->n_numbers;
    for (size_t k = 0; k < o->n_scores; k++, g += o->n_weights) {
        const double *r = (squares ? s->h : s->r) + k * SV_PASS_ROWS;
        double *sums = s->join_sums + k * o->n_sums;
        for (size_t t = 0; t < design->n_joins; t++) {
            const sv_design_join *join = &design->joins[t];
            add_to_sums(sums, join->n_codes, o->n_copies, r, join->codes, join->store, first, n);
            sums += o->n_copies * join->n_codes;
        }
        if (squares) sv_kernel_squares(g, s->x, o->centre, r, d, padded);
        else sv_kernel_gradient(g, s->x, o->centre, r, d, padded);
        g[o->n_weights - 1] += sv_kernel_sum(r, padded);
    }
}

/* ---- the Hessian of one block ---- */

static void group_codes(const sv_objective *o, scratch *s, size_t first, size_t n)
{
    for (size_t g = 0; g < o->n_groups; g++) {
        const factor_group *group = &o->groups[g];
        uint32_t *restrict codes = s->codes + g * SV_PASS_ROWS;
        memset(codes, 0, n * sizeof *codes);
        for (size_t m = 0; m < group->n_factors; m++) {
            const sv_design_factor *factor = &o->design->factors[group->factors[m]];
            uint32_t stride = (uint32_t)group->strides[m];
            if (factor->store == SV_STORE_CODE8 || factor->store == SV_STORE_I8)
                for (size_t i = 0; i < n; i++) codes[i] += ((const uint8_t *)factor->codes)[first + i] * stride;
            else if (factor->store == SV_STORE_CODE16)
                for (size_t i = 0; i < n; i++) codes[i] += ((const uint16_t *)factor->codes)[first + i] * stride;
            else
                for (size_t i = 0; i < n; i++) codes[i] += ((const uint32_t *)factor->codes)[first + i] * stride;
        }
    }
}

/* scaled = sqrt(h) * standardised, column by column, for dsyrk; rows = h * (standardised, 1), row by row, for the groups. */
static void scale_numbers(const sv_objective *o, scratch *s, const double *h, size_t n)
{
    size_t d = o->design->n_numbers, width = o->row_width;
    double root[SV_PASS_ROWS];
    for (size_t i = 0; i < n; i++)
        root[i] = sqrt(h[i]);
    for (size_t j = 0; j < d; j++) {
        const double *restrict x = s->x[j];
        double *restrict scaled = s->scaled + j * SV_PASS_ROWS;
        double centre = o->centre[j], inverse = 1 / o->design->numbers[j].scale;
        for (size_t i = 0; i < n; i++)
            scaled[i] = root[i] * ((x[i] - centre) * inverse);
        if (o->n_groups)
            for (size_t i = 0; i < n; i++) s->rows[i * width + j] = root[i] * scaled[i];
    }
    if (o->n_groups)
        for (size_t i = 0; i < n; i++) s->rows[i * width + d] = h[i];
}

static void block_hessian(const sv_objective *o, scratch *s, size_t k, size_t n, double *hessian)
{
    const double *h = s->h + k * SV_PASS_ROWS;
    size_t d = o->design->n_numbers, p = o->n_weights;
    scale_numbers(o, s, h, n);
    if (d) cblas_dsyrk(CblasColMajor, CblasUpper, CblasTrans, (int)d, (int)n, 1, s->scaled, SV_PASS_ROWS, 1, s->syrk, (int)d);
    double *last = hessian + (p - 1) * p; /* the intercept's row */
    double numbers[1] = {0};
    sv_kernel_gradient(d ? last : numbers, s->x, o->centre, h, d, sv_pad(n)); /* not yet divided by the scale */
    last[p - 1] += sv_kernel_sum(h, sv_pad(n));
    double *pair = s->pair_sums;
    for (size_t a = 0; a < o->n_groups; a++) {
        const uint32_t *code_a = s->codes + a * SV_PASS_ROWS;
        sv_kernel_add_rows(s->group_sums + o->groups[a].sums_first, s->rows, code_a, o->row_width, n);
        for (size_t b = a + 1; b < o->n_groups; b++) {
            const uint32_t *code_b = s->codes + b * SV_PASS_ROWS;
            size_t n_b = o->groups[b].n_codes;
            for (size_t i = 0; i < n; i++)
                pair[code_a[i] * (uint32_t)n_b + code_b[i]] += h[i];
            pair += o->groups[a].n_codes * n_b;
        }
    }
}

/* ---- one chunk ---- */

/* Hands each code's sum to the weights that it stands for: adds up along the fastest axis, then goes on with the sums of what is left. Spoils sums. */
static void fold_join(const sv_design *design, const sv_design_join *join, double *sums, double *g)
{
    size_t n = join->n_codes;
    for (size_t m = 0; m < join->n_factors; m++) {
        const sv_design_factor *factor = &design->factors[join->factors[m]];
        size_t codes = factor->n_codes ? factor->n_codes : 1, rest = n / codes;
        for (size_t q = 0; q < rest; q++) {
            double total = 0;
            for (size_t code = 0; code < factor->n_codes; code++) {
                double sum = sums[q * codes + code];
                int32_t slot = factor->slots[code];
                total += sum;
                if (slot >= 0) g[factor->first + (size_t)slot] += sum;
            }
            sums[q] = total;
        }
        n = rest;
    }
}

static void spread_sums(const sv_objective *o, scratch *s, double *g)
{
    for (size_t k = 0; k < o->n_scores; k++, g += o->n_weights) {
        double *sums = s->join_sums + k * o->n_sums;
        for (size_t t = 0; t < o->design->n_joins; t++) {
            size_t n = o->design->joins[t].n_codes;
            for (size_t copy = 1; copy < o->n_copies; copy++)
                for (size_t code = 0; code < n; code++) sums[code] += sums[copy * n + code];
            fold_join(o->design, &o->design->joins[t], sums, g);
            sums += o->n_copies * n;
        }
    }
}

static void spread_pair(double *hessian, size_t p, const code_map *a, const code_map *b, const double *sums)
{
    for (size_t i = 0; i < a->n_codes; i++)
        for (size_t j = 0; j < b->n_codes; j++) {
            double sum = sums[i * b->n_codes + j];
            if (sum == 0) continue;
            for (size_t m = 0; m < a->n_members; m++) {
                int32_t row = a->positions[i * a->n_members + m];
                for (size_t q = 0; row >= 0 && q < b->n_members; q++) {
                    int32_t column = b->positions[j * b->n_members + q];
                    if (column >= 0) hessian[(size_t)(row > column ? row : column) * p + (size_t)(row > column ? column : row)] += sum;
                }
            }
        }
}

static void spread_group(double *hessian, size_t p, size_t d, const code_map *map, const double *sums, size_t width)
{
    for (size_t code = 0; code < map->n_codes; code++, sums += width)
        for (size_t m = 0; m < map->n_members; m++) {
            int32_t row = map->positions[code * map->n_members + m];
            if (row < 0) continue;
            double *line = hessian + (size_t)row * p;
            for (size_t j = 0; j < d; j++)
                line[j] += sums[j];
            hessian[(p - 1) * p + (size_t)row] += sums[d];
            for (size_t q = 0; q < map->n_members; q++) {
                int32_t column = map->positions[code * map->n_members + q];
                if (column >= 0 && column <= row) line[column] += sums[d];
            }
        }
}

/* Writes the lower triangle of the chunk's Hessian. */
static void spread_hessian(const sv_objective *o, const scratch *s, double *hessian)
{
    size_t p = o->n_weights, d = o->design->n_numbers;
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j <= i; j++)
            hessian[i * p + j] = s->syrk[i * d + j]; /* dsyrk's upper triangle by columns is the lower by rows */
    for (size_t j = 0; j < d; j++)
        hessian[(p - 1) * p + j] /= o->design->numbers[j].scale;
    const double *pair = s->pair_sums;
    for (size_t a = 0; a < o->n_groups; a++) {
        spread_group(hessian, p, d, &o->groups[a].map, s->group_sums + o->groups[a].sums_first, o->row_width);
        for (size_t b = a + 1; b < o->n_groups; b++) {
            spread_pair(hessian, p, &o->groups[a].map, &o->groups[b].map, pair);
            pair += o->groups[a].n_codes * o->groups[b].n_codes;
        }
    }
}

static void clear_hessian(const sv_objective *o, scratch *s)
{
    memset(s->syrk, 0, o->design->n_numbers * o->design->n_numbers * sizeof(double));
    memset(s->group_sums, 0, o->n_group_sums * sizeof(double));
    memset(s->pair_sums, 0, o->n_pair_sums * sizeof(double));
}

/* The sums of rows [begin, end) for one pass: loss, gradient, and each score's Hessian block. */
static void range_pass(const sv_objective *o, scratch *s, size_t begin, size_t end, double *out)
{
    size_t size = o->n_scores * o->n_weights, p = o->n_weights, hessian_scores = o->kind == PASS_HESSIAN ? o->n_scores : 1;
    memset(out, 0, o->stride * sizeof *out);
    for (size_t k = 0; k < hessian_scores; k++) {
        if (k == 0) memset(s->join_sums, 0, o->n_scores * o->n_sums * sizeof(double));
        if (o->kind == PASS_HESSIAN) clear_hessian(o, s);
        for (size_t first = begin; first < end; first += SV_PASS_ROWS) {
            size_t n = end - first < SV_PASS_ROWS ? end - first : SV_PASS_ROWS;
            load_numbers(o, s, first, n);
            load_targets(o, s, first, n);
            block_scores(o, s, first, n);
            double loss = block_loss(o, s, sv_pad(n), o->kind >= PASS_HESSIAN);
            if (k == 0) out[0] += loss;
            if (k == 0 && o->kind != PASS_VALUE) block_gradient(o, s, out + 1, first, n, o->kind == PASS_DIAGONAL);
            if (o->kind != PASS_HESSIAN) continue;
            group_codes(o, s, first, n);
            block_hessian(o, s, k, n, out + 1 + size + k * p * p);
        }
        if (k == 0 && o->kind != PASS_VALUE) spread_sums(o, s, out + 1);
        if (o->kind == PASS_HESSIAN) spread_hessian(o, s, out + 1 + size + k * p * p);
    }
}

static void range_scores(const sv_objective *o, scratch *s, size_t begin, size_t end)
{
    size_t n_rows = o->design->n_rows;
    for (size_t first = begin; first < end; first += SV_PASS_ROWS) {
        size_t n = end - first < SV_PASS_ROWS ? end - first : SV_PASS_ROWS;
        load_numbers(o, s, first, n);
        block_scores(o, s, first, n);
        for (size_t k = 0; k < o->n_scores; k++)
            memcpy(o->scores + k * n_rows + first, s->z + k * SV_PASS_ROWS, n * sizeof(double));
    }
}

static void chunk_task(void *context, size_t task, size_t worker)
{
    sv_objective *o = context;
    size_t chunk = o->first_chunk + task, n_rows = o->design->n_rows;
    size_t begin = chunk * o->chunk_rows, end = begin + o->chunk_rows < n_rows ? begin + o->chunk_rows : n_rows;
    if (o->kind == PASS_SCORES) range_scores(o, &o->scratch[worker], begin, end);
    else range_pass(o, &o->scratch[worker], begin, end, o->partials + chunk * o->stride);
}

/* ---- passes ---- */

/* The grid depends on the rows and the size of the sums, never on threads or ranks. */
static void set_grid(sv_objective *o, size_t stride)
{
    size_t most = MAX_PARTIALS / stride, n = o->design->n_rows;
    if (most > MAX_CHUNKS) most = MAX_CHUNKS;
    if (most < 1) most = 1;
    size_t rows = (n + most - 1) / most;
    if (rows < MIN_CHUNK_ROWS) rows = MIN_CHUNK_ROWS;
    o->chunk_rows = (rows + SV_PASS_ROWS - 1) / SV_PASS_ROWS * SV_PASS_ROWS;
    o->n_chunks = n ? (n + o->chunk_rows - 1) / o->chunk_rows : 1;
    o->stride = stride;
}

/* The sums of weights of every code: from the slowest axis to the fastest each entry becomes a row of the next. */
static void fill_table(const sv_design *design, const sv_design_join *join, const double *w, double *table)
{
    size_t n = 1;
    table[0] = 0;
    for (size_t m = join->n_factors; m-- > 0;) {
        const sv_design_factor *factor = &design->factors[join->factors[m]];
        size_t codes = factor->n_codes ? factor->n_codes : 1;
        for (size_t q = n; q-- > 0;) {
            double outer = table[q];
            for (size_t code = codes; code-- > 0;) {
                int32_t slot = factor->n_codes ? factor->slots[code] : -1;
                table[q * codes + code] = outer + (slot >= 0 ? w[factor->first + (size_t)slot] : 0);
            }
        }
        n *= codes;
    }
}

static void set_weights(sv_objective *o, const double *w)
{
    const sv_design *design = o->design;
    o->w = w;
    for (size_t k = 0; k < o->n_scores; k++, w += o->n_weights) {
        double *table = o->tables + k * o->n_join_codes;
        for (size_t j = 0; j < design->n_numbers; j++)
            o->u[k * design->n_numbers + j] = w[j] / design->numbers[j].scale;
        for (size_t t = 0; t < design->n_joins; t++) {
            fill_table(design, &design->joins[t], w, table);
            table += design->joins[t].n_codes;
        }
    }
}

/* Pairs, then pairs of pairs: the same tree whoever computed the leaves. The sum is left in the first chunk's place. */
static void add_up(double *partials, size_t n_chunks, size_t stride)
{
    for (size_t step = 1; step < n_chunks; step *= 2)
        for (size_t i = 0; i + step < n_chunks; i += 2 * step) {
            double *restrict to = partials + i * stride;
            const double *restrict from = partials + (i + step) * stride;
            for (size_t j = 0; j < stride; j++)
                to[j] += from[j];
        }
}

static int reserve_partials(sv_objective *o, size_t count, sv_error *error)
{
    if (o->partials_capacity >= count) return 0;
    sv_free(o->partials);
    o->partials = sv_array(count, sizeof(double));
    o->partials_capacity = o->partials ? count : 0;
    return o->partials ? 0 : out_of_memory(error);
}

static int run_pass(sv_objective *o, const double *w, pass_kind kind, size_t stride, sv_error *error)
{
    set_grid(o, stride);
    if (reserve_partials(o, o->n_chunks * stride, error)) return SV_E_MEMORY;
    set_weights(o, w);
    o->kind = kind;
    o->n_passes++;
    o->first_chunk = o->share.rank * o->n_chunks / o->share.n_ranks;
    size_t end = (o->share.rank + 1) * o->n_chunks / o->share.n_ranks;
    sv_team_run(o->team, end - o->first_chunk, chunk_task, o);
    if (o->share.n_ranks > 1) {
        int rc = o->share.exchange(o->share.context, o->partials, o->n_chunks, stride, error);
        if (rc) return rc;
    }
    add_up(o->partials, o->n_chunks, stride);
    return 0;
}

/* ---- the Hessian's memory ---- */

static void plan_groups(sv_objective *o)
{
    o->n_groups = 0;
    for (size_t f = 0; f < o->design->n_factors; f++) {
        size_t codes = o->design->factors[f].n_codes ? o->design->factors[f].n_codes : 1, best = o->n_groups;
        for (size_t g = 0; g < o->n_groups; g++)
            if (o->groups[g].n_factors < 8 && o->groups[g].n_codes * codes <= MAX_GROUP_CODES && (best == o->n_groups || o->groups[g].n_codes > o->groups[best].n_codes))
                best = g;
        if (best == o->n_groups) o->groups[o->n_groups++] = (factor_group){.n_codes = 1};
        factor_group *group = &o->groups[best];
        group->factors[group->n_factors] = f;
        group->strides[group->n_factors++] = group->n_codes;
        group->n_codes *= codes;
    }
}

static int hessian_memory(sv_objective *o)
{
    size_t d = o->design->n_numbers, rows = SV_PASS_ROWS;
    if (o->has_hessian_memory) return 0;
    o->groups = sv_calloc(o->design->n_factors, sizeof *o->groups);
    if (!o->groups) return SV_E_MEMORY;
    plan_groups(o);
    o->row_width = sv_pad(d + 1);
    for (size_t g = 0; g < o->n_groups; g++) {
        factor_group *group = &o->groups[g];
        if (build_map(&group->map, o->design, group->factors, group->strides, group->n_factors, group->n_codes)) return SV_E_MEMORY;
        group->sums_first = o->n_group_sums;
        o->n_group_sums += group->n_codes * o->row_width;
        for (size_t b = 0; b < g; b++)
            o->n_pair_sums += group->n_codes * o->groups[b].n_codes;
    }
    for (size_t t = 0; t < sv_team_size(o->team); t++) {
        scratch *s = &o->scratch[t];
        size_t n_rows = o->n_groups ? rows * o->row_width : 0, doubles = d * rows + n_rows + o->n_group_sums + o->n_pair_sums + d * d;
        s->scaled = sv_aligned(64, (doubles + 8) * sizeof(double));
        s->codes = sv_array(o->n_groups * rows + 1, sizeof *s->codes);
        if (!s->scaled || !s->codes) return SV_E_MEMORY;
        memset(s->scaled, 0, (doubles + 8) * sizeof(double));
        s->rows = s->scaled + d * rows;
        s->group_sums = s->rows + n_rows;
        s->pair_sums = s->group_sums + o->n_group_sums;
        s->syrk = s->pair_sums + o->n_pair_sums;
    }
    o->has_hessian_memory = 1;
    return 0;
}

/* ---- what is asked ---- */

static void finish_gradient(const sv_objective *o, const double *w, double *gradient)
{
    size_t p = o->n_weights, d = o->design->n_numbers;
    for (size_t k = 0; k < o->n_scores; k++)
        for (size_t j = 0; j < p; j++) {
            double sum = o->partials[1 + k * p + j];
            if (j < d) sum /= o->design->numbers[j].scale;
            gradient[k * p + j] = o->c * sum + (j + 1 < p ? o->l2 * w[k * p + j] : 0);
        }
}

static void finish_hessian(const sv_objective *o, double *hessian)
{
    size_t p = o->n_weights;
    const double *sums = o->partials + 1 + o->n_scores * p;
    for (size_t k = 0; k < o->n_scores; k++, sums += p * p, hessian += p * p)
        for (size_t i = 0; i < p; i++)
            for (size_t j = 0; j <= i; j++)
                hessian[i * p + j] = hessian[j * p + i] = o->c * sums[i * p + j] + (i == j && i + 1 < p ? o->l2 : 0);
}

static double penalty(const sv_objective *o, const double *w)
{
    double sum = 0;
    for (size_t k = 0; k < o->n_scores; k++)
        for (size_t j = 0; j + 1 < o->n_weights; j++)
            sum += w[k * o->n_weights + j] * w[k * o->n_weights + j];
    return 0.5 * o->l2 * sum;
}

int sv_objective_value(sv_objective *o, const double *w, double *value, double *gradient, double *hessian, sv_error *error)
{
    size_t size = o->n_scores * o->n_weights;
    if (hessian && hessian_memory(o)) return out_of_memory(error);
    pass_kind kind = hessian ? PASS_HESSIAN : gradient ? PASS_GRADIENT : PASS_VALUE;
    size_t stride = 1 + (gradient || hessian ? size : 0) + (hessian ? size * o->n_weights : 0);
    int rc = run_pass(o, w, kind, stride, error);
    if (rc) return rc;
    *value = o->c * o->partials[0] + penalty(o, w);
    if (gradient) finish_gradient(o, w, gradient);
    if (hessian) finish_hessian(o, hessian);
    return isfinite(*value) ? 0 : sv_error_set(error, SV_E_NUMERIC, "training: the objective is %g: a feature or the target is not finite, or the step was too long", *value);
}

int sv_objective_diagonal(sv_objective *o, const double *w, double *diagonal, sv_error *error)
{
    size_t p = o->n_weights, d = o->design->n_numbers;
    int rc = run_pass(o, w, PASS_DIAGONAL, 1 + o->n_scores * p, error);
    if (rc) return rc;
    for (size_t k = 0; k < o->n_scores; k++)
        for (size_t j = 0; j < p; j++) {
            double sum = o->partials[1 + k * p + j];
            if (j < d) sum /= o->design->numbers[j].scale * o->design->numbers[j].scale;
            diagonal[k * p + j] = o->c * sum + (j + 1 < p ? o->l2 : 0);
        }
    return 0;
}

int sv_objective_batch(sv_objective *o, const double *w, size_t first, size_t n, double *gradient, sv_error *error)
{
    size_t n_rows = o->design->n_rows, end = n < n_rows - first ? first + n : n_rows, p = o->n_weights;
    double weight = 0, weights[SV_PASS_ROWS];
    for (size_t at = first; at < end; at += SV_PASS_ROWS) {
        size_t some = end - at < SV_PASS_ROWS ? end - at : SV_PASS_ROWS;
        sv_design_row_weights(weights, o->design, at, some);
        for (size_t i = 0; i < some; i++)
            weight += weights[i];
    }
    if (!(weight > 0)) return 1;
    o->stride = 1 + o->n_scores * p;
    if (reserve_partials(o, o->stride, error)) return SV_E_MEMORY;
    set_weights(o, w);
    o->kind = PASS_GRADIENT;
    range_pass(o, &o->scratch[0], first, end, o->partials);
    for (size_t i = 0; i < o->n_scores * p; i++) {
        double sum = o->partials[1 + i] / (i % p < o->design->n_numbers ? o->design->numbers[i % p].scale : 1);
        gradient[i] = sum / weight + (i % p + 1 < p ? o->l2 * w[i] / o->total : 0);
    }
    return 0;
}

int sv_objective_predict(sv_objective *o, const double *w, double *scores, sv_error *error)
{
    (void)error;
    set_grid(o, 1);
    set_weights(o, w);
    o->scores = scores;
    o->kind = PASS_SCORES;
    o->first_chunk = 0;
    sv_team_run(o->team, o->n_chunks, chunk_task, o);
    return 0;
}
