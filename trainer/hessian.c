/* hessian.c: see the header. */
#include "hessian.h"

#include "alloc.h"
#include "blas.h"

#include <string.h>

enum {
    MAX_GROUP_CODES = 32,    /* of a group: a pair's table is 8 kB */
    MAX_LONE_CODES = 65536   /* a lone factor with more codes is read by its slots */
};

/* Factors read as one code; smaller than a design's joins, since every pair of groups needs a table. */
typedef struct group {
    sv_design_join join;
    int by_slot;             /* the code is 1 + the factor's slot */
    size_t n_codes, n_members;
    int32_t *positions;      /* (n_codes, n_members): the weights that a code stands for, -1 for none */
    sv_block_codes codes;    /* of the block */
    double *sums;            // (n_codes, row_width)
} group;

struct sv_hessian {
    const sv_design *design;
    size_t n_groups, row_width;
    group *groups;
    size_t n_memory;         /* doubles from `products` on: what is summed */
    double *block;
    double *scaled, *times;  // (n_numbers, SV_PASS_ROWS), (SV_PASS_ROWS): standardised, by h or its root
    double *rows;            // (SV_PASS_ROWS, row_width): h * (standardised, 1)
    double *products, *last; // (n_numbers, n_numbers) lower, (n_numbers + 1): the intercept's row
    double *pairs;           // the tables of every pair of groups
    const double **x;        // (n_numbers): into scaled
};

/* ---- building ---- */

static int fill_positions(group *g, const sv_design *design)
{
    const sv_design_join *join = &g->join;
    g->positions = sv_array(g->n_codes * g->n_members, sizeof *g->positions);
    if (!g->positions) return SV_E_MEMORY;
    for (size_t m = 0; m < g->n_members; m++) {
        const sv_design_factor *factor = &design->factors[join->factors[m]];
        for (size_t code = 0; code < g->n_codes; code++) {
            size_t own = factor->n_codes ? code / join->strides[m] % factor->n_codes : 0;
            int32_t slot = g->by_slot ? (int32_t)code - 1 : factor->n_codes ? factor->slots[own] : -1;
            g->positions[code * g->n_members + m] = slot < 0 ? -1 : (int32_t)factor->first + slot;
        }
    }
    return 0;
}

static int open_group(group *g, const sv_design *design, const sv_design_join *join)
{
    g->join = *join;
    g->n_codes = join->n_codes;
    g->n_members = join->n_factors;
    if (join->n_codes > MAX_LONE_CODES) {
        g->by_slot = 1;
        g->n_codes = design->factors[join->factors[0]].n_slots + 1;
        g->codes.wide = sv_aligned(64, SV_PASS_ROWS * sizeof *g->codes.wide);
        if (!g->codes.wide || g->n_codes > MAX_LONE_CODES) return SV_E_MEMORY;
    }
    g->codes.narrow = sv_aligned(64, SV_PASS_ROWS * sizeof *g->codes.narrow);
    return g->codes.narrow ? fill_positions(g, design) : SV_E_MEMORY;
}

static int open_groups(sv_hessian *h, const sv_design *design)
{
    sv_design_join *joins = sv_calloc(design->n_factors ? design->n_factors : 1, sizeof *joins);
    int rc = joins ? 0 : SV_E_MEMORY;
    size_t n = rc ? 0 : sv_design_join_factors(joins, design, MAX_GROUP_CODES);
    h->groups = sv_calloc(n ? n : 1, sizeof *h->groups);
    if (!h->groups) rc = SV_E_MEMORY;
    for (; !rc && h->n_groups < n; h->n_groups++)
        if ((rc = open_group(&h->groups[h->n_groups], design, &joins[h->n_groups]))) break;
    if (rc && h->groups && h->n_groups < n) h->n_groups++; /* the one that failed half-way is freed too */
    sv_free(joins);
    return rc;
}

static int open_sums(sv_hessian *h)
{
    size_t d = h->design->n_numbers, width = h->row_width = sv_pad(d + 1), pairs = 0, sums = 0;
    size_t scratch = (d + 1 + (h->n_groups ? width : 0)) * SV_PASS_ROWS;
    for (size_t a = 0; a < h->n_groups; a++) {
        sums += h->groups[a].n_codes * width;
        for (size_t b = 0; b < a; b++)
            pairs += h->groups[a].n_codes * h->groups[b].n_codes;
    }
    h->n_memory = sums + sv_pad(d * d) + sv_pad(d + 1) + pairs;
    h->block = sv_aligned(64, (scratch + h->n_memory) * sizeof(double));
    h->x = sv_array(d ? d : 1, sizeof *h->x);
    if (!h->block || !h->x) return SV_E_MEMORY;
    memset(h->block, 0, scratch * sizeof(double));
    h->scaled = h->block;
    h->times = h->scaled + d * SV_PASS_ROWS;
    h->rows = h->times + SV_PASS_ROWS;
    h->products = h->block + scratch;
    h->last = h->products + sv_pad(d * d);
    double *at = h->last + sv_pad(d + 1);
    for (size_t g = 0; g < h->n_groups; at += h->groups[g++].n_codes * width)
        h->groups[g].sums = at;
    h->pairs = at;
    for (size_t j = 0; j < d; j++)
        h->x[j] = h->scaled + j * SV_PASS_ROWS;
    sv_hessian_clear(h);
    return 0;
}

int sv_hessian_new(sv_hessian **out, const sv_design *design)
{
    sv_hessian *h = sv_calloc(1, sizeof *h);
    *out = NULL;
    if (!h) return SV_E_MEMORY;
    h->design = design;
    int rc = open_groups(h, design);
    if (!rc) rc = open_sums(h);
    if (rc) sv_hessian_free(h);
    else *out = h;
    return rc;
}

void sv_hessian_free(sv_hessian *h)
{
    if (!h) return;
    for (size_t g = 0; g < h->n_groups; g++) {
        sv_free(h->groups[g].positions);
        sv_free(h->groups[g].codes.narrow);
        sv_free(h->groups[g].codes.wide);
    }
    sv_free(h->groups);
    sv_free(h->block);
    sv_free(h->x);
    sv_free(h);
}

void sv_hessian_clear(sv_hessian *h)
{
    memset(h->products, 0, h->n_memory * sizeof(double));
}

/* ---- a block ---- */

static void read_codes(group *g, const sv_design *design, const sv_design_block *block)
{
    sv_block_codes wide = {.wide = g->codes.wide}, narrow = {.narrow = g->codes.narrow};
    sv_design_block_codes(block, &g->join, g->by_slot ? &wide : &narrow);
    const int32_t *slots = design->factors[g->join.factors[0]].slots;
    for (size_t i = 0; g->by_slot && i < block->n; i++)
        narrow.narrow[i] = (uint16_t)(slots[wide.wide[i]] + 1);
}

static void standardise(sv_hessian *h, const sv_design_block *block)
{
    for (size_t j = 0; j < h->design->n_numbers; j++) {
        double shift, rest;
        sv_design_shift(&h->design->numbers[j], &shift, &rest);
        sv_kernel_standardise(h->scaled + j * SV_PASS_ROWS, block->x[j], rest, h->design->numbers[j].scale, block->padded);
    }
}

/* Numbers meet numbers and the intercept. Spoils the standardised numbers where there are many. */
static void add_products(sv_hessian *h, const double *weights, size_t n)
{
    size_t d = h->design->n_numbers;
    sv_kernel_gradient(h->last, h->x, weights, d, n, 0);
    h->last[d] += sv_kernel_sum(weights, n);
    for (size_t j = 0; j < d && d <= SV_HESSIAN_LANED; j++) {
        sv_kernel_multiply(h->times, weights, h->x[j], n);
        sv_kernel_gradient(h->products + j * d, h->x, h->times, j + 1, n, 0);
    }
    if (d <= SV_HESSIAN_LANED) return;
    sv_kernel_root(h->times, weights, n);
    for (size_t j = 0; j < d; j++)
        sv_kernel_multiply(h->scaled + j * SV_PASS_ROWS, h->times, h->x[j], n);
    /* the upper triangle by columns is the lower by rows */
    sv_blas.dsyrk(CblasColMajor, CblasUpper, CblasTrans, (int)d, (int)n, 1, h->scaled, SV_PASS_ROWS, 1, h->products, (int)d);
}

void sv_hessian_add(sv_hessian *h, const sv_design_block *block, const double *weights)
{
    standardise(h, block);
    if (h->n_groups) sv_kernel_rows(h->rows, h->row_width, h->x, weights, h->design->n_numbers, block->padded);
    add_products(h, weights, block->padded);
    for (size_t g = 0; g < h->n_groups; g++)
        read_codes(&h->groups[g], h->design, block);
    double *pair = h->pairs;
    for (size_t a = 0; a < h->n_groups; a++) {
        const uint16_t *restrict code_a = h->groups[a].codes.narrow;
        sv_kernel_add_rows(h->groups[a].sums, h->rows, code_a, h->row_width, block->n);
        for (size_t b = a + 1; b < h->n_groups; b++) {
            const uint16_t *restrict code_b = h->groups[b].codes.narrow;
            size_t n_b = h->groups[b].n_codes;
            for (size_t i = 0; i < block->n; i++)
                pair[code_a[i] * n_b + code_b[i]] += weights[i];
            pair += h->groups[a].n_codes * n_b;
        }
    }
}

/* ---- the matrix ---- */

static void write_pair(double *hessian, size_t p, const group *a, const group *b, const double *sums)
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

static void write_group(double *hessian, size_t p, size_t d, const group *g, size_t width)
{
    const double *sums = g->sums;
    for (size_t code = 0; code < g->n_codes; code++, sums += width)
        for (size_t m = 0; m < g->n_members; m++) {
            int32_t row = g->positions[code * g->n_members + m];
            if (row < 0) continue;
            double *line = hessian + (size_t)row * p;
            for (size_t j = 0; j < d; j++)
                line[j] += sums[j];
            hessian[(p - 1) * p + (size_t)row] += sums[d];
            for (size_t q = 0; q < g->n_members; q++) {
                int32_t column = g->positions[code * g->n_members + q];
                if (column >= 0 && column <= row) line[column] += sums[d];
            }
        }
}

void sv_hessian_write(const sv_hessian *h, double *out)
{
    size_t p = h->design->n_weights, d = h->design->n_numbers;
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j <= i; j++)
            out[i * p + j] = h->products[i * d + j];
    for (size_t j = 0; j < d; j++)
        out[(p - 1) * p + j] = h->last[j];
    out[p * p - 1] = h->last[d];
    const double *pair = h->pairs;
    for (size_t a = 0; a < h->n_groups; a++) {
        write_group(out, p, d, &h->groups[a], h->row_width);
        for (size_t b = a + 1; b < h->n_groups; b++) {
            write_pair(out, p, &h->groups[a], &h->groups[b], pair);
            pair += h->groups[a].n_codes * h->groups[b].n_codes;
        }
    }
}
