/* design.c: building a design, joining its factors. */
#include "design.h"

#include "alloc.h"
#include "kernel.h"

#include <math.h>
#include <string.h>

enum { MAX_JOIN = 512 }; /* codes of a join: its table of sums stays in a first-level cache */

void sv_design_widen(double *out, const void *data, sv_store store, size_t first, size_t n)
{
    sv_kernel_widen(out, data, store, first, n);
}

#define GATHER(type)                                                                                                                         \
    for (size_t i = 0; i < n; i++)                                                                                                           \
        out[i] = (double)((const type *)data)[rows[i]];                                                                                      \
    break

void sv_design_gather(double *restrict out, const void *data, sv_store store, const uint32_t *restrict rows, size_t n)
{
    switch (store) {
    case SV_STORE_I8: GATHER(int8_t);
    case SV_STORE_I16: GATHER(int16_t);
    case SV_STORE_I32: GATHER(int32_t);
    case SV_STORE_I64: GATHER(int64_t);
    case SV_STORE_F64: GATHER(double);
    case SV_STORE_CODE8: GATHER(uint8_t);
    case SV_STORE_CODE16: GATHER(uint16_t);
    case SV_STORE_CODE32: GATHER(uint32_t);
    }
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

/* One more than the largest code of a factor; 0 without rows. */
static size_t codes_used(const sv_design_factor *factor, size_t n_rows)
{
    size_t used = 0;
    double buffer[512];
    if (factor->store == SV_STORE_CODE8 || factor->store == SV_STORE_I8) return n_rows ? (size_t)sv_kernel_largest_byte(factor->codes, n_rows) + 1 : 0;
    for (size_t first = 0; first < n_rows; first += 512) {
        size_t n = n_rows - first < 512 ? n_rows - first : 512;
        sv_design_widen(buffer, factor->codes, factor->store, first, n);
        for (size_t i = 0; i < n; i++)
            used = (size_t)buffer[i] >= used ? (size_t)buffer[i] + 1 : used;
    }
    return used;
}

static size_t n_codes_of(const sv_design *design, size_t f)
{
    return design->factors[f].n_codes ? design->factors[f].n_codes : 1;
}

/* Whether factor a is placed before factor b: the larger, the earlier of equals. */
static int goes_before(const sv_design *design, size_t a, size_t b)
{
    size_t codes_a = n_codes_of(design, a), codes_b = n_codes_of(design, b);
    return codes_a > codes_b || (codes_a == codes_b && a < b);
}

/* The factor that is placed after `last`, the first of all after n_factors; n_factors when none is left. */
static size_t next_factor(const sv_design *design, size_t last)
{
    size_t n = design->n_factors, best = n;
    for (size_t f = 0; f < n; f++)
        if ((last == n || goes_before(design, last, f)) && (best == n || goes_before(design, f, best))) best = f;
    return best;
}

size_t sv_design_join_factors(sv_design_join *joins, const sv_design *design, size_t most)
{
    size_t n_joins = 0;
    for (size_t f = next_factor(design, design->n_factors); f < design->n_factors; f = next_factor(design, f)) {
        size_t codes = n_codes_of(design, f), best = n_joins;
        for (size_t k = 0; k < n_joins; k++)
            if (joins[k].n_factors < 8 && joins[k].n_codes * codes <= most && (best == n_joins || joins[k].n_codes > joins[best].n_codes))
                best = k;
        if (best == n_joins) joins[n_joins++] = (sv_design_join){.n_codes = 1};
        sv_design_join *join = &joins[best];
        join->factors[join->n_factors] = f;
        join->strides[join->n_factors++] = join->n_codes;
        join->n_codes *= codes;
    }
    return n_joins;
}

static void check_codes(void *context, size_t f, size_t worker)
{
    sv_design *design = context;
    (void)worker;
    design->factors[f].n_used = codes_used(&design->factors[f], design->n_rows);
}

int sv_design_finish(sv_design *design, sv_team *team, sv_error *error)
{
    size_t next = design->n_numbers;
    /* every code once, before any is used as an index */
    if (team) sv_team_run(team, design->n_factors, check_codes, design);
    else
        for (size_t f = 0; f < design->n_factors; f++) check_codes(design, f, 0);
    for (size_t f = 0; f < design->n_factors; f++) {
        sv_design_factor *factor = &design->factors[f];
        factor->first = next;
        next += factor->n_slots;
        if (factor->n_used > factor->n_codes)
            return sv_error_set(error, SV_E_INPUT, "design: factor %zu: expected codes below %zu, got %zu", f, factor->n_codes, factor->n_used - 1);
    }
    design->n_weights = next + 1;
    design->n_joins = sv_design_join_factors(design->joins, design, design->n_rows / 8 < MAX_JOIN ? design->n_rows / 8 : MAX_JOIN);
    return 0;
}

double sv_design_total_weight(const sv_design *design, size_t *n_counted)
{
    double weights[512], total = 0;
    size_t counted = 0;
    if (!design->weights && !design->class_weights) {
        counted = design->parts ? sv_kernel_count_byte(design->parts, design->part, design->n_rows) : design->n_rows;
        if (n_counted) *n_counted = counted;
        return (double)counted;
    }
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
