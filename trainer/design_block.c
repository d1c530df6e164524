/* design_block.c: reading a block of rows, all in a row or run by run. */
#include "design_block.h"

#include "alloc.h"
#include "kernel.h"
#include "prng.h"

#include <math.h>
#include <string.h>

enum { CACHE_DOUBLES = 3072, OTHER_COLUMNS = 8, LEAST_ROWS = 128, WIDE_CODES = 65536 };

sv_design_rows sv_design_rows_of(const sv_design *design, size_t stride)
{
    size_t runs = design->n_rows / SV_RUN_ROWS / stride;
    return (sv_design_rows){.design = design, .stride = stride, .n = stride == 1 ? design->n_rows : runs * SV_RUN_ROWS};
}

/* Where the run that holds position `at` begins. */
static size_t run_begin(const sv_design_rows *rows, size_t at)
{
    size_t group = at / SV_RUN_ROWS;
    return (group * rows->stride + (size_t)(sv_mix64(group) % rows->stride)) * SV_RUN_ROWS;
}

double sv_design_rows_weight(const sv_design_rows *rows)
{
    const sv_design *design = rows->design;
    double weights[SV_RUN_ROWS], total = 0;
    if (rows->stride == 1) return sv_design_total_weight(design, NULL);
    if (!design->weights && !design->class_weights && !design->parts) return (double)rows->n;
    for (size_t at = 0; at < rows->n; at += SV_RUN_ROWS) {
        sv_design_row_weights(weights, design, run_begin(rows, at), SV_RUN_ROWS);
        for (size_t i = 0; i < SV_RUN_ROWS; i++)
            total += weights[i];
    }
    return total;
}

void sv_design_shift(const sv_design_number *number, double *shift, double *rest)
{
    int near = fabs(number->centre) <= 8 * number->scale; /* the sums lose three bits at most */
    *shift = near ? 0 : number->centre;
    *rest = near ? number->centre : 0;
}

/* So many rows that the columns and what is computed from them stay in a first-level cache; with many columns, in a second-level cache. */
static size_t block_rows(size_t n_numbers)
{
    size_t rows = CACHE_DOUBLES / (n_numbers + OTHER_COLUMNS) / SV_RUN_ROWS * SV_RUN_ROWS;
    return n_numbers > 16 || rows > SV_PASS_ROWS ? SV_PASS_ROWS : rows < LEAST_ROWS ? LEAST_ROWS : rows;
}

static int codes_memory(sv_block_codes *codes, size_t n_codes, size_t rows)
{
    if (n_codes > WIDE_CODES) codes->wide = sv_aligned(64, rows * sizeof *codes->wide);
    else codes->narrow = sv_aligned(64, rows * sizeof *codes->narrow);
    return codes->wide || codes->narrow ? 0 : SV_E_MEMORY;
}

int sv_design_block_new(sv_design_block *b, const sv_design_rows *rows)
{
    const sv_design *design = rows->design;
    size_t d = design->n_numbers, most = block_rows(d), column = most + SV_LANES; /* columns a power of two apart would share their places in the cache */
    double rest;
    *b = (sv_design_block){.rows = *rows, .most = most, .column = column};
    b->runs = sv_array(SV_PASS_ROWS / SV_RUN_ROWS, sizeof *b->runs);
    b->x = sv_array(d ? d : 1, sizeof *b->x);
    b->y = sv_aligned(64, (2 + (design->offsets != NULL) + d) * column * sizeof(double));
    b->gathered = rows->stride > 1 ? sv_aligned(64, most * sizeof(double)) : NULL;
    b->shift = sv_array(d ? d : 1, sizeof *b->shift);
    b->codes = sv_calloc(design->n_joins ? design->n_joins : 1, sizeof *b->codes);
    int rc = b->runs && b->x && b->y && b->shift && b->codes && (b->gathered || rows->stride == 1) ? 0 : SV_E_MEMORY;
    for (size_t k = 0; !rc && k < design->n_joins; k++)
        rc = codes_memory(&b->codes[k], design->joins[k].n_codes, most);
    if (rc) return rc;
    b->weight = b->y + column;
    b->offset = design->offsets ? b->weight + column : NULL;
    b->wide = b->weight + column * (design->offsets ? 2 : 1);
    for (size_t j = 0; j < d; j++)
        sv_design_shift(&design->numbers[j], &b->shift[j], &rest);
    return 0;
}

void sv_design_block_free(sv_design_block *b)
{
    for (size_t k = 0; b->codes && k < b->rows.design->n_joins; k++) {
        sv_free(b->codes[k].narrow);
        sv_free(b->codes[k].wide);
    }
    sv_free(b->runs);
    sv_free(b->x);
    sv_free(b->y);
    sv_free(b->shift);
    sv_free(b->codes);
    sv_free(b->gathered);
}

static int has_next(const sv_design_block *b)
{
    return b->rows.stride == 1 && b->runs[0] + 2 * b->most <= b->rows.design->n_rows;
}

/* The block's part of a column: in place, or its runs put together. Where rows follow each other the next block's part is asked for, which has the time of
   a block's arithmetic to arrive. */
static const void *column_part(const sv_design_block *b, const void *data, sv_store store)
{
    size_t size = sv_store_size(store);
    if (b->rows.stride > 1) {
        sv_kernel_gather(b->gathered, data, size, b->runs, b->n_runs);
        return b->gathered;
    }
    const char *part = (const char *)data + b->runs[0] * size;
    if (has_next(b))
        for (size_t at = 0; at < b->most * size; at += 64)
            __builtin_prefetch(part + b->most * size + at);
    return part;
}

static void read_number(sv_design_block *b, size_t j)
{
    const sv_design_number *number = &b->rows.design->numbers[j];
    double shift = b->shift[j], *wide = b->wide + j * b->column;
    if (number->store == SV_STORE_F64 && !number->may_be_nan && shift == 0 && b->n_runs == 1 && b->padded == b->n) {
        b->x[j] = (const double *)number->data + b->runs[0];
        b->ahead = has_next(b) ? b->most : 0;
        return;
    }
    sv_kernel_widen(wide, column_part(b, number->data, number->store), number->store, 0, b->n);
    if (number->may_be_nan)
        for (size_t i = 0; i < b->n; i++)
            wide[i] = isnan(wide[i]) ? number->fill : wide[i];
    if (shift != 0)
        for (size_t i = 0; i < b->n; i++) wide[i] -= shift;
    for (size_t i = b->n; i < b->padded; i++)
        wide[i] = 0;
    b->x[j] = wide;
}

static void read_targets(sv_design_block *b)
{
    const sv_design *design = b->rows.design;
    if (design->target) sv_kernel_widen(b->y, column_part(b, design->target, design->target_store), design->target_store, 0, b->n);
    for (size_t r = 0; r < b->n_runs; r++) {
        size_t to = r * b->run_rows, at = b->runs[r];
        sv_design_row_weights(b->weight + to, design, at, b->run_rows);
        if (b->offset) memcpy(b->offset + to, design->offsets + at, b->run_rows * sizeof *b->offset);
    }
    for (size_t i = b->n; i < b->padded; i++) {
        b->y[i] = b->weight[i] = 0;
        if (b->offset) b->offset[i] = 0;
    }
    if (!design->parts) return;
    for (size_t i = 0; i < b->n; i++) { /* a row that does not count may have any target and offset, NaN too */
        b->y[i] = b->weight[i] > 0 ? b->y[i] : 0;
        if (b->offset) b->offset[i] = b->weight[i] > 0 ? b->offset[i] : 0;
    }
}

void sv_design_block_codes(const sv_design_block *b, const sv_design_join *join, sv_block_codes *out)
{
    if (out->wide) {
        const sv_design_factor *lone = &b->rows.design->factors[join->factors[0]];
        memcpy(out->wide, column_part(b, lone->codes, SV_STORE_CODE32), b->n * sizeof *out->wide);
        return;
    }
    memset(out->narrow, 0, b->n * sizeof *out->narrow);
    for (size_t m = 0; m < join->n_factors; m++) {
        const sv_design_factor *factor = &b->rows.design->factors[join->factors[m]];
        sv_kernel_add_codes(out->narrow, column_part(b, factor->codes, factor->store), factor->store, (uint16_t)join->strides[m], b->n);
    }
}

void sv_design_block_read(sv_design_block *b, size_t first, size_t n)
{
    const sv_design *design = b->rows.design;
    b->n = n;
    b->padded = sv_pad(n);
    b->run_rows = b->rows.stride == 1 ? n : SV_RUN_ROWS;
    b->n_runs = n / b->run_rows;
    b->ahead = 0;
    for (size_t r = 0; r < b->n_runs; r++)
        b->runs[r] = b->rows.stride == 1 ? first : run_begin(&b->rows, first + r * SV_RUN_ROWS);
    for (size_t j = 0; j < design->n_numbers; j++)
        read_number(b, j);
    for (size_t k = 0; k < design->n_joins; k++)
        sv_design_block_codes(b, &design->joins[k], &b->codes[k]);
    read_targets(b);
}
