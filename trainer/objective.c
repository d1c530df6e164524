/* objective.c: one pass over the rows. A worker reads a block, computes scores, loss and residuals, and adds up its chunk's gradient and Hessian. */
#include "objective.h"

#include "alloc.h"
#include "blas.h"
#include "cholesky.h"
#include "design_block.h"
#include "hessian.h"
#include "kernel.h"

#include <math.h>
#include <string.h>

enum {
    MIN_CHUNK_ROWS = 2048,
    MAX_CHUNKS = 64,           /* 16 threads on each of 4 machines */
    MAX_PARTIALS = 1 << 22,    /* doubles in all chunks' sums together, unless one chunk alone needs more */
    MAX_COPIED = 256           /* codes whose sums are kept fourfold: neighbouring rows with the same code need not wait for each other */
};

/* One worker's memory. */
typedef struct scratch {
    sv_design_block block;
    double *z, *r, *h;         // (n_scores, SV_PASS_ROWS)
    double *cross;             // (SV_PASS_ROWS): second derivatives between two scores
    double *join_sums;         // (n_scores, n_sums)
    sv_hessian *hessian;       /* once one was asked for */
} scratch;

typedef enum pass_kind { PASS_VALUE, PASS_GRADIENT, PASS_HESSIAN, PASS_DIAGONAL, PASS_SCORES } pass_kind;

struct sv_objective {
    const sv_design *design;
    sv_design_rows rows;
    sv_loss loss;
    double c, l2, total;
    sv_team *team;
    sv_share share;
    size_t n_scores, n_weights, n_passes, n_products;
    size_t n_pairs;            /* of scores, whose products a Hessian takes: n_scores, or n_scores (n_scores + 1) / 2 once they are joined */
    size_t n_join_codes, n_copies, n_sums; /* n_sums: n_join_codes * n_copies */
    double *tables;            // (n_scores, n_join_codes): the summed weights of each code
    double *u, *base, *rest;   // (n_scores, n_numbers), (n_scores), (n_numbers): weights by value, the score of an empty row; design_block.h's rest
    scratch *scratch;          // (team size)
    double *partials;          // (n_chunks, stride)
    size_t partials_capacity;

    /* of the pass under way */
    pass_kind kind;
    double *scores;
    size_t n_chunks, chunk_rows, stride, first_chunk;
};

static int out_of_memory(sv_error *error)
{
    return sv_error_set(error, SV_E_MEMORY, "training: out of memory");
}

/* ---- building ---- */

static int new_scratch(const sv_objective *o, scratch *s)
{
    size_t k = o->n_scores;
    int rc = sv_design_block_new(&s->block, &o->rows);
    s->z = sv_aligned(64, ((3 * k + 1) * SV_PASS_ROWS + k * o->n_sums) * sizeof(double));
    if (rc || !s->z) return SV_E_MEMORY;
    s->r = s->z + k * SV_PASS_ROWS;
    s->h = s->r + k * SV_PASS_ROWS;
    s->cross = s->h + k * SV_PASS_ROWS;
    s->join_sums = s->cross + SV_PASS_ROWS;
    return 0;
}

static size_t score_count(const sv_design *design, sv_loss loss)
{
    return loss == SV_LOSS_SOFTMAX ? design->n_classes : 1;
}

/* Everything but c and the total. */
static int open_objective(sv_objective **out, const sv_design_rows *rows, sv_loss loss, double l2, sv_team *team, sv_error *error)
{
    const sv_design *design = rows->design;
    sv_objective *o = *out = sv_calloc(1, sizeof *o);
    if (!o) return out_of_memory(error);
    *o = (sv_objective){.design = design, .rows = *rows, .loss = loss, .l2 = l2, .team = team, .share = {.n_ranks = 1}};
    o->n_scores = o->n_pairs = score_count(design, loss);
    o->n_weights = design->n_weights;
    for (size_t k = 0; k < design->n_joins; k++)
        o->n_join_codes += design->joins[k].n_codes;
    o->n_copies = o->n_join_codes <= MAX_COPIED ? 4 : 1;
    o->n_sums = o->n_join_codes * o->n_copies;
    o->scratch = sv_calloc(sv_team_size(team), sizeof *o->scratch);
    o->tables = sv_array(o->n_scores * o->n_join_codes + 1, sizeof(double));
    o->u = sv_array((o->n_scores + 1) * design->n_numbers + o->n_scores, sizeof(double));
    int rc = o->scratch && o->tables && o->u ? 0 : SV_E_MEMORY;
    for (size_t t = 0; !rc && t < sv_team_size(team); t++)
        rc = new_scratch(o, &o->scratch[t]);
    if (rc) {
        sv_objective_free(o);
        *out = NULL;
        return out_of_memory(error);
    }
    o->base = o->u + o->n_scores * design->n_numbers;
    o->rest = o->base + o->n_scores;
    for (size_t j = 0; j < design->n_numbers; j++) {
        double shift;
        sv_design_shift(&design->numbers[j], &shift, &o->rest[j]);
    }
    if (design->n_numbers > SV_HESSIAN_LANED || design->n_weights > SV_CHOLESKY_SMALL) rc = sv_blas_reserve(sv_team_size(team), error);
    if (rc) {
        sv_objective_free(o);
        *out = NULL;
    }
    return rc;
}

int sv_objective_new(sv_objective **out, const sv_design *design, sv_loss loss, double c, double l2, sv_team *team, const sv_share *share, sv_error *error)
{
    sv_design_rows all = sv_design_rows_of(design, 1);
    int rc = open_objective(out, &all, loss, l2, team, error);
    if (rc) return rc;
    if (share) (*out)->share = *share;
    (*out)->c = c;
    (*out)->total = c * sv_design_total_weight(design, NULL);
    return 0;
}

int sv_objective_sample(sv_objective **out, const sv_objective *whole, size_t stride, sv_error *error)
{
    sv_design_rows rows = sv_design_rows_of(whole->design, stride);
    int rc = open_objective(out, &rows, whole->loss, whole->l2, whole->team, error);
    if (rc) return rc;
    (*out)->n_pairs = whole->n_pairs;
    double weight = sv_design_rows_weight(&rows);
    (*out)->total = weight > 0 ? whole->total : 0;
    (*out)->c = weight > 0 ? whole->total / weight : 0;
    return 0;
}

void sv_objective_free(sv_objective *o)
{
    if (!o) return;
    for (size_t t = 0; o->scratch && t < sv_team_size(o->team); t++) {
        if (o->scratch[t].block.rows.design) sv_design_block_free(&o->scratch[t].block);
        sv_hessian_free(o->scratch[t].hessian);
        sv_free(o->scratch[t].z);
    }
    sv_free(o->scratch);
    sv_free(o->tables);
    sv_free(o->u);
    sv_free(o->partials);
    sv_free(o);
}

size_t sv_objective_scores(const sv_objective *o) { return o->n_scores; }
size_t sv_objective_blocks(const sv_objective *o) { return o->n_pairs > o->n_scores ? 1 : o->n_scores; }
size_t sv_objective_size(const sv_objective *o) { return o->n_scores * o->n_weights; }
size_t sv_objective_weights(const sv_objective *o) { return o->n_weights; }
double sv_objective_total(const sv_objective *o) { return o->total; }
size_t sv_objective_passes(const sv_objective *o) { return o->n_passes; }
size_t sv_objective_products(const sv_objective *o) { return o->n_products; }
const sv_design *sv_objective_design(const sv_objective *o) { return o->design; }
sv_loss sv_objective_loss(const sv_objective *o) { return o->loss; }

int sv_objective_join_scores(sv_objective *o, sv_error *error)
{
    o->n_pairs = o->n_scores * (o->n_scores + 1) / 2;
    return o->n_scores * o->n_weights > SV_CHOLESKY_SMALL ? sv_blas_reserve(sv_team_size(o->team), error) : 0;
}

/* ---- one block ---- */

#define ADD_TABLE(codes)                                                                                                                     \
    for (size_t i = 0; i < n; i++)                                                                                                           \
        z[i] += table[(codes)[i]]

static void add_table(double *restrict z, const double *restrict table, const sv_block_codes *codes, size_t n)
{
    if (codes->narrow) ADD_TABLE(codes->narrow);
    else ADD_TABLE(codes->wide);
}

#define ADD_TO_SUMS(type, codes)                                                                                                             \
    {                                                                                                                                        \
        const type *restrict code = (codes);                                                                                                 \
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
    }

/* sums: (n_copies, n_codes). */
static void add_to_sums(double *sums, size_t n_codes, size_t n_copies, const double *restrict r, const sv_block_codes *codes, size_t n)
{
    if (codes->narrow) ADD_TO_SUMS(uint16_t, codes->narrow)
    else ADD_TO_SUMS(uint32_t, codes->wide)
}

static void block_scores(const sv_objective *o, scratch *s)
{
    const sv_design_block *block = &s->block;
    for (size_t k = 0; k < o->n_scores; k++) {
        double *z = s->z + k * SV_PASS_ROWS, base = o->base[k];
        const double *table = o->tables + k * o->n_join_codes;
        for (size_t i = 0; i < block->padded; i++)
            z[i] = block->offset ? base + block->offset[i] : base;
        for (size_t t = 0; t < o->design->n_joins; t++) {
            add_table(z, table, &block->codes[t], block->n);
            table += o->design->joins[t].n_codes;
        }
        sv_kernel_margin(z, block->x, o->u + k * o->design->n_numbers, o->design->n_numbers, block->padded, k ? 0 : block->ahead);
    }
}

static double block_loss(const sv_objective *o, scratch *s, int with_h)
{
    double *h = with_h ? s->h : NULL;
    const sv_design_block *block = &s->block;
    int unit = !o->design->weights && !o->design->class_weights;
    switch (o->loss) {
    case SV_LOSS_LOGISTIC: return sv_kernel_logistic(s->z, block->y, block->weight, unit, s->r, h, block->padded);
    case SV_LOSS_SOFTMAX: return sv_kernel_softmax(s->z, block->y, block->weight, s->r, h, o->n_scores, SV_PASS_ROWS, block->padded);
    case SV_LOSS_SQUARED: return sv_kernel_squared(s->z, block->y, block->weight, s->r, h, block->padded);
    case SV_LOSS_POISSON: return sv_kernel_poisson(s->z, block->y, block->weight, s->r, h, block->padded);
    }
    return NAN;
}

/* The gradient with regard to each score's numbers and intercept goes to g, the factors' to join_sums. squares: of h times squares instead. */
static void block_gradient(const sv_objective *o, scratch *s, double *g, int squares)
{
    const sv_design *design = o->design;
    const sv_design_block *block = &s->block;
    size_t d = design->n_numbers;
    for (size_t k = 0; k < o->n_scores; k++, g += o->n_weights) {
        const double *r = (squares ? s->h : s->r) + k * SV_PASS_ROWS;
        double *sums = s->join_sums + k * o->n_sums;
        for (size_t t = 0; t < design->n_joins; t++) {
            add_to_sums(sums, design->joins[t].n_codes, o->n_copies, r, &block->codes[t], block->n);
            sums += o->n_copies * design->joins[t].n_codes;
        }
        if (squares) sv_kernel_squares(g, block->x, o->rest, r, d, block->padded);
        else sv_kernel_gradient(g, block->x, r, d, block->padded, k ? 0 : block->ahead);
        g[o->n_weights - 1] += sv_kernel_sum(r, block->padded);
    }
}

/* The loss's second derivative between scores a and b, a row each, without its sign (hessian.c takes roots): of two scores weight p_a p_b, taken out of the residuals
   weight (p - [y is the class]). */
static const double *between(const scratch *s, size_t a, size_t b)
{
    const double *r_a = s->r + a * SV_PASS_ROWS, *r_b = s->r + b * SV_PASS_ROWS, *y = s->block.y, *weight = s->block.weight;
    if (a == b) return s->h + a * SV_PASS_ROWS;
    for (size_t i = 0; i < s->block.padded; i++) {
        double p_a = r_a[i] + (y[i] == (double)a ? weight[i] : 0), p_b = r_b[i] + (y[i] == (double)b ? weight[i] : 0);
        s->cross[i] = weight[i] > 0 ? fabs(p_a * p_b) / weight[i] : 0;
    }
    return s->cross;
}

/* Pairs in order: (0, 0), and once scores are joined (1, 0), (1, 1), (2, 0) … */
static void next_pair(const sv_objective *o, size_t *a, size_t *b)
{
    if (*b < *a && o->n_pairs > o->n_scores) ++*b;
    else {
        ++*a;
        *b = o->n_pairs > o->n_scores ? 0 : *a;
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

/* The numbers' sums were taken of values less their shift: takes off the rest of the centre, once a chunk. */
static void centre_gradient(const sv_objective *o, double *g)
{
    for (size_t k = 0; k < o->n_scores; k++, g += o->n_weights)
        for (size_t j = 0; j < o->design->n_numbers; j++)
            g[j] -= o->rest[j] * g[o->n_weights - 1];
}

/* The sums of positions [begin, end) for one pass: loss, gradient, and the Hessian's block of each pair of scores. */
static void range_pass(const sv_objective *o, scratch *s, size_t begin, size_t end, double *out)
{
    size_t size = o->n_scores * o->n_weights, p = o->n_weights, n_pairs = o->kind == PASS_HESSIAN ? o->n_pairs : 1;
    memset(out, 0, o->stride * sizeof *out);
    memset(s->join_sums, 0, o->n_scores * o->n_sums * sizeof(double));
    for (size_t k = 0, a = 0, b = 0; k < n_pairs; k++, next_pair(o, &a, &b)) {
        if (o->kind == PASS_HESSIAN) sv_hessian_clear(s->hessian);
        for (size_t first = begin; first < end; first += s->block.most) {
            sv_design_block_read(&s->block, first, end - first < s->block.most ? end - first : s->block.most);
            block_scores(o, s);
            double loss = block_loss(o, s, o->kind >= PASS_HESSIAN);
            if (k == 0) out[0] += loss;
            if (k == 0 && o->kind != PASS_VALUE) block_gradient(o, s, out + 1, o->kind == PASS_DIAGONAL);
            if (o->kind == PASS_HESSIAN) sv_hessian_add(s->hessian, &s->block, between(s, a, b));
        }
        if (k == 0 && o->kind != PASS_VALUE) spread_sums(o, s, out + 1);
        if (k == 0 && (o->kind == PASS_GRADIENT || o->kind == PASS_HESSIAN)) centre_gradient(o, out + 1);
        if (o->kind == PASS_HESSIAN) sv_hessian_write(s->hessian, out + 1 + size + k * p * p);
    }
}

static void range_scores(const sv_objective *o, scratch *s, size_t begin, size_t end)
{
    for (size_t first = begin; first < end; first += s->block.most) {
        sv_design_block_read(&s->block, first, end - first < s->block.most ? end - first : s->block.most);
        block_scores(o, s);
        for (size_t k = 0; k < o->n_scores; k++)
            memcpy(o->scores + k * o->rows.n + first, s->z + k * SV_PASS_ROWS, s->block.n * sizeof(double));
    }
}

static void chunk_task(void *context, size_t task, size_t worker)
{
    sv_objective *o = context;
    size_t chunk = o->first_chunk + task, begin = chunk * o->chunk_rows, end = begin + o->chunk_rows < o->rows.n ? begin + o->chunk_rows : o->rows.n;
    if (o->kind == PASS_SCORES) range_scores(o, &o->scratch[worker], begin, end);
    else range_pass(o, &o->scratch[worker], begin, end, o->partials + chunk * o->stride);
}

/* ---- passes ---- */

/* The grid depends on the rows and the size of the sums, never on threads or ranks. */
static void set_grid(sv_objective *o, size_t stride)
{
    size_t most = MAX_PARTIALS / stride, n = o->rows.n;
    if (most > MAX_CHUNKS) most = MAX_CHUNKS;
    if (most < 1) most = 1;
    size_t rows = (n + most - 1) / most;
    if (rows < MIN_CHUNK_ROWS) rows = MIN_CHUNK_ROWS;
    size_t block = o->scratch[0].block.most;
    o->chunk_rows = (rows + block - 1) / block * block;
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
    for (size_t k = 0; k < o->n_scores; k++, w += o->n_weights) {
        double *table = o->tables + k * o->n_join_codes, *u = o->u + k * design->n_numbers;
        o->base[k] = w[o->n_weights - 1];
        for (size_t j = 0; j < design->n_numbers; j++) {
            u[j] = w[j] / design->numbers[j].scale;
            o->base[k] -= u[j] * o->rest[j];
        }
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
    if (kind == PASS_HESSIAN) o->n_products += o->rows.n * o->n_pairs;
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

/* ---- what is asked ---- */

static int hessian_memory(sv_objective *o)
{
    int rc = 0;
    for (size_t t = 0; !rc && t < sv_team_size(o->team); t++)
        if (!o->scratch[t].hessian) rc = sv_hessian_new(&o->scratch[t].hessian, o->design);
    return rc;
}

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

/* sums: a pair's lower triangle, without the sign of what is between two scores. Its block goes where they meet, and to the other side of the diagonal. */
static void place_block(const sv_objective *o, double *hessian, size_t side, const double *sums, size_t a, size_t b)
{
    size_t p = o->n_weights;
    for (size_t i = 0; i < p; i++)
        for (size_t j = 0; j < p; j++) {
            double sum = (a == b ? o->c : -o->c) * (i >= j ? sums[i * p + j] : sums[j * p + i]) + (a == b && i == j && i + 1 < p ? o->l2 : 0);
            hessian[(a * p + i) * side + b * p + j] = hessian[(b * p + j) * side + a * p + i] = sum;
        }
}

static void finish_hessian(const sv_objective *o, double *hessian)
{
    size_t p = o->n_weights, joined = sv_objective_blocks(o) < o->n_scores, side = joined ? o->n_scores * p : p;
    const double *sums = o->partials + 1 + o->n_scores * p;
    for (size_t k = 0, a = 0, b = 0; k < o->n_pairs; k++, next_pair(o, &a, &b), sums += p * p)
        if (joined) place_block(o, hessian, side, sums, a, b);
        else place_block(o, hessian + k * p * p, side, sums, 0, 0);
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
    size_t stride = 1 + (gradient || hessian ? size : 0) + (hessian ? o->n_pairs * o->n_weights * o->n_weights : 0);
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
