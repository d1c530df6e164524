/* design.c: building a design, joining its factors, drawing a sample of it. */
#include "design.h"

#include "alloc.h"
#include "kernel.h"
#include "prng.h"

#include <math.h>
#include <string.h>

enum { MAX_JOIN = 2048 }; /* codes of a join: its table of sums stays in a first-level cache */

void sv_design_widen(double *out, const void *data, sv_store store, size_t first, size_t n)
{
    sv_kernel_widen(out, data, store, first, n);
}

void sv_design_row_weights(double *restrict out, const sv_design *design, size_t first, size_t n)
{
    if (design->weights) memcpy(out, design->weights + first, n * sizeof *out);
    else
        for (size_t i = 0; i < n; i++) out[i] = 1;
    if (design->class_weights) {
        double classes[64];
        for (size_t done = 0; done < n; done += 64) {
            size_t some = n - done < 64 ? n - done : 64;
            sv_design_widen(classes, design->target, design->target_store, first + done, some);
            for (size_t i = 0; i < some; i++)
                out[done + i] *= design->class_weights[(size_t)classes[i]];
        }
    }
    if (design->parts) {
        const uint8_t *restrict parts = design->parts + first;
        uint8_t part = design->part;
        for (size_t i = 0; i < n; i++)
            out[i] = parts[i] == part ? out[i] : 0.0;
    }
}

int sv_design_new(sv_design **out, size_t n_rows, size_t n_numbers, size_t n_factors, sv_error *error)
{
    sv_design *design = sv_calloc(1, sizeof *design);
    *out = design;
    if (!design) return sv_error_set(error, SV_E_MEMORY, "design: out of memory");
    design->n_rows = n_rows;
    design->n_numbers = n_numbers;
    design->n_factors = n_factors;
    design->numbers = sv_calloc(n_numbers, sizeof *design->numbers);
    design->factors = sv_calloc(n_factors, sizeof *design->factors);
    design->joins = sv_calloc(n_factors, sizeof *design->joins);
    if (!design->numbers || !design->factors || !design->joins) {
        sv_design_free(design);
        *out = NULL;
        return sv_error_set(error, SV_E_MEMORY, "design: out of memory");
    }
    for (size_t j = 0; j < n_numbers; j++)
        design->numbers[j].scale = 1;
    return 0;
}

static void release(const void *data, int owned)
{
    if (owned) sv_free((void *)(uintptr_t)data);
}

void sv_design_free(sv_design *design)
{
    if (!design) return;
    for (size_t j = 0; design->numbers && j < design->n_numbers; j++)
        release(design->numbers[j].data, design->numbers[j].owned);
    for (size_t f = 0; design->factors && f < design->n_factors; f++) {
        release(design->factors[f].codes, design->factors[f].owned);
        release(design->factors[f].slots, 1);
    }
    for (size_t k = 0; k < design->n_joins; k++)
        release(design->joins[k].codes, design->joins[k].owned);
    for (size_t k = 0; k < sizeof design->memory / sizeof *design->memory; k++)
        sv_free(design->memory[k]);
    sv_free(design->numbers);
    sv_free(design->factors);
    sv_free(design->joins);
    sv_free(design);
}

int sv_design_set_slots(sv_design *design, size_t f, const int32_t *slots, size_t n_codes, size_t n_slots, sv_error *error)
{
    int32_t *copy = sv_array(n_codes ? n_codes : 1, sizeof *copy);
    if (!copy) return sv_error_set(error, SV_E_MEMORY, "design: out of memory for %zu levels", n_codes);
    if (n_codes) memcpy(copy, slots, n_codes * sizeof *copy);
    release(design->factors[f].slots, 1);
    design->factors[f].slots = copy;
    design->factors[f].n_codes = n_codes;
    design->factors[f].n_slots = n_slots;
    return 0;
}

/* The largest code of a factor, or -1 without rows. */
static int64_t largest_code(const sv_design_factor *factor, size_t n_rows)
{
    int64_t largest = -1;
    double buffer[512];
    if (factor->store == SV_STORE_CODE8 || factor->store == SV_STORE_I8) {
        const uint8_t *codes = factor->codes;
        uint8_t top = 0;
        for (size_t i = 0; i < n_rows; i++)
            top = codes[i] > top ? codes[i] : top;
        return n_rows ? top : -1;
    }
    for (size_t first = 0; first < n_rows; first += 512) {
        size_t n = n_rows - first < 512 ? n_rows - first : 512;
        sv_design_widen(buffer, factor->codes, factor->store, first, n);
        for (size_t i = 0; i < n; i++)
            largest = (int64_t)buffer[i] > largest ? (int64_t)buffer[i] : largest;
    }
    return largest;
}

/* Puts factors together, in order, while the product of their codes stays small: 4096 rows of bank data become two joins instead of nine factors. */
static void plan_joins(sv_design *design)
{
    size_t limit = design->n_rows / 8 < MAX_JOIN ? design->n_rows / 8 : MAX_JOIN;
    design->n_joins = 0;
    for (size_t f = 0; f < design->n_factors; f++) {
        const sv_design_factor *factor = &design->factors[f];
        size_t codes = factor->n_codes ? factor->n_codes : 1, best = design->n_joins;
        for (size_t k = 0; k < design->n_joins; k++)
            if (design->joins[k].n_factors < 8 && design->joins[k].n_codes * codes <= limit && (best == design->n_joins || design->joins[k].n_codes > design->joins[best].n_codes))
                best = k;
        if (best == design->n_joins) design->joins[design->n_joins++] = (sv_design_join){.n_codes = 1};
        sv_design_join *join = &design->joins[best];
        join->factors[join->n_factors] = f;
        join->strides[join->n_factors++] = join->n_codes;
        join->n_codes *= codes;
    }
}

static void add_codes(uint16_t *restrict sum, const void *codes, sv_store store, size_t first, size_t n, uint16_t stride)
{
    if (store == SV_STORE_CODE8 || store == SV_STORE_I8) {
        const uint8_t *restrict in = (const uint8_t *)codes + first;
        for (size_t i = 0; i < n; i++) sum[i] = (uint16_t)(sum[i] + in[i] * stride);
    } else if (store == SV_STORE_CODE16) {
        const uint16_t *restrict in = (const uint16_t *)codes + first;
        for (size_t i = 0; i < n; i++) sum[i] = (uint16_t)(sum[i] + in[i] * stride);
    } else {
        const uint32_t *restrict in = (const uint32_t *)codes + first;
        for (size_t i = 0; i < n; i++) sum[i] = (uint16_t)(sum[i] + in[i] * stride);
    }
}

static int fill_join(sv_design *design, sv_design_join *join, sv_error *error)
{
    uint16_t block[512];
    if (join->n_factors == 1) {
        const sv_design_factor *only = &design->factors[join->factors[0]];
        join->codes = (void *)(uintptr_t)only->codes;
        join->store = only->store == SV_STORE_I8 ? SV_STORE_CODE8 : only->store;
        return 0;
    }
    join->store = join->n_codes <= 256 ? SV_STORE_CODE8 : SV_STORE_CODE16;
    join->codes = sv_array(design->n_rows ? design->n_rows : 1, sv_store_size(join->store));
    join->owned = 1;
    if (!join->codes) return sv_error_set(error, SV_E_MEMORY, "design: out of memory for the codes of %zu rows", design->n_rows);
    for (size_t first = 0; first < design->n_rows; first += 512) {
        size_t n = design->n_rows - first < 512 ? design->n_rows - first : 512;
        memset(block, 0, sizeof block);
        for (size_t m = 0; m < join->n_factors; m++) {
            const sv_design_factor *factor = &design->factors[join->factors[m]];
            add_codes(block, factor->codes, factor->store, first, n, (uint16_t)join->strides[m]);
        }
        if (join->store == SV_STORE_CODE16) memcpy((uint16_t *)join->codes + first, block, n * sizeof *block);
        else
            for (size_t i = 0; i < n; i++) ((uint8_t *)join->codes)[first + i] = (uint8_t)block[i];
    }
    return 0;
}

int sv_design_finish(sv_design *design, sv_error *error)
{
    size_t next = design->n_numbers;
    for (size_t f = 0; f < design->n_factors; f++) {
        sv_design_factor *factor = &design->factors[f];
        factor->first = next;
        next += factor->n_slots;
        int64_t largest = largest_code(factor, design->n_rows);
        if (largest >= (int64_t)factor->n_codes)
            return sv_error_set(error, SV_E_INPUT, "design: factor %zu: expected codes below %zu, got %lld", f, factor->n_codes, (long long)largest);
    }
    design->n_weights = next + 1;
    plan_joins(design);
    for (size_t k = 0; k < design->n_joins; k++) {
        int rc = fill_join(design, &design->joins[k], error);
        if (rc) return rc;
    }
    return 0;
}

double sv_design_total_weight(const sv_design *design, size_t *n_counted)
{
    double weights[512], total = 0;
    size_t counted = 0;
    for (size_t first = 0; first < design->n_rows; first += 512) {
        size_t n = design->n_rows - first < 512 ? design->n_rows - first : 512;
        double sum = 0;
        sv_design_row_weights(weights, design, first, n);
        for (size_t i = 0; i < n; i++) {
            sum += weights[i];
            counted += weights[i] > 0;
        }
        total += sum;
    }
    if (n_counted) *n_counted = counted;
    return total;
}

#define PICK(type)                                                                                                                           \
    for (size_t i = 0; i < n; i++)                                                                                                           \
        ((type *)out)[i] = ((const type *)data)[rows[i]];                                                                                    \
    break

/* The rows of a sample, taken one after the other into new memory. */
static void *pick(const void *data, size_t size, const size_t *rows, size_t n)
{
    void *out = sv_array(n ? n : 1, size);
    if (!out) return NULL;
    switch (size) {
    case 1: PICK(uint8_t);
    case 2: PICK(uint16_t);
    case 4: PICK(uint32_t);
    default: PICK(uint64_t);
    }
    return out;
}

/* One row of every `stride`, anywhere among them: a fixed stride would meet the same month of every customer. */
static size_t choose_rows(size_t *rows, const sv_design *design, size_t stride)
{
    size_t n = 0;
    for (size_t first = 0; first < design->n_rows; first += stride) {
        size_t i = first + (size_t)(sv_mix64(first) % stride);
        if (i < design->n_rows && (!design->parts || design->parts[i] == design->part)) rows[n++] = i;
    }
    return n;
}

static int sample_columns(sv_design *out, const sv_design *design, const size_t *rows, sv_error *error)
{
    size_t n = out->n_rows;
    int failed = 0;
    for (size_t j = 0; j < design->n_numbers; j++) {
        out->numbers[j] = design->numbers[j];
        out->numbers[j].data = pick(design->numbers[j].data, sv_store_size(design->numbers[j].store), rows, n);
        out->numbers[j].owned = 1;
        failed |= !out->numbers[j].data;
    }
    for (size_t f = 0; f < design->n_factors; f++) {
        const sv_design_factor *from = &design->factors[f];
        out->factors[f].store = from->store;
        out->factors[f].codes = pick(from->codes, sv_store_size(from->store), rows, n);
        out->factors[f].owned = 1;
        failed |= !out->factors[f].codes || sv_design_set_slots(out, f, from->slots, from->n_codes, from->n_slots, NULL);
    }
    out->target = out->memory[0] = pick(design->target, sv_store_size(design->target_store), rows, n);
    if (design->weights) out->weights = out->memory[1] = pick(design->weights, sizeof(double), rows, n);
    if (design->offsets) out->offsets = out->memory[2] = pick(design->offsets, sizeof(double), rows, n);
    if (failed || !out->target || (design->weights && !out->weights) || (design->offsets && !out->offsets))
        return sv_error_set(error, SV_E_MEMORY, "design: out of memory for a sample of %zu rows", n);
    return 0;
}

int sv_design_sample(sv_design **out, const sv_design *design, size_t stride, sv_error *error)
{
    sv_design *sample = NULL;
    size_t *rows = sv_array(design->n_rows / stride + 1, sizeof *rows);
    int rc = rows ? 0 : sv_error_set(error, SV_E_MEMORY, "design: out of memory for a sample");
    *out = NULL;
    if (!rc) rc = sv_design_new(&sample, choose_rows(rows, design, stride), design->n_numbers, design->n_factors, error);
    if (!rc) {
        sample->target_store = design->target_store;
        sample->n_classes = design->n_classes;
        sample->class_weights = design->class_weights;
        rc = sample_columns(sample, design, rows, error);
    }
    if (!rc) rc = sv_design_finish(sample, error);
    sv_free(rows);
    if (rc) sv_design_free(sample);
    else *out = sample;
    return rc;
}
