/* fingerprint.c: numbers that are compared as they are, and a hash of each kind of column. A column is hashed by one worker from its first row to its last. */
#include "fingerprint.h"

#include "alloc.h"
#include "prng.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 512 };

typedef enum word { LOSS, SOLVER, C, L2, L1, ROWS, LEARNING, VALIDATION, TARGET, OFFSET, COLUMNS } word;

static const struct {
    const char *name;
    int is_number; /* a double, shown */
} words[SV_FINGERPRINT_WORDS] = {
    [LOSS] = {"train.model", 0},
    [SOLVER] = {"train.solver", 0},
    [C] = {"train.c", 1},
    [L2] = {"the l2 penalty", 1},
    [L1] = {"the l1 penalty", 1},
    [ROWS] = {"the number of rows", 1},
    [LEARNING] = {"the training rows or their weights", 0},
    [VALIDATION] = {"train.patience or the validation rows", 0},
    [TARGET] = {"the target", 0},
    [OFFSET] = {"the offset", 0},
    [COLUMNS] = {"the features", 0},
};

static uint64_t bits_of(double value)
{
    uint64_t bits;
    if (isnan(value)) return 0x7ff8000000000000; /* whatever its sign and payload */
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint64_t add(uint64_t hash, const double *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        hash ^= bits_of(values[i]);
        hash = (hash << 27 | hash >> 37) * 0x9e3779b97f4a7c15;
    }
    return hash;
}

/* Values of a column, whatever it is stored as. */
static uint64_t hash_column(uint64_t hash, const void *data, sv_store store, size_t n_rows)
{
    double block[BLOCK];
    for (size_t first = 0; data && first < n_rows; first += BLOCK) {
        size_t n = n_rows - first < BLOCK ? n_rows - first : BLOCK;
        sv_design_widen(block, data, store, first, n);
        hash = add(hash, block, n);
    }
    return sv_mix64(hash);
}

static uint64_t hash_weights(const sv_design *design)
{
    double block[BLOCK];
    uint64_t hash = 0;
    for (size_t first = 0; first < design->n_rows; first += BLOCK) {
        size_t n = design->n_rows - first < BLOCK ? design->n_rows - first : BLOCK;
        sv_design_row_weights(block, design, first, n);
        hash = add(hash, block, n);
    }
    return sv_mix64(hash);
}

static uint64_t hash_number(const sv_design_number *number, size_t n_rows)
{
    const double constants[] = {number->fill, number->centre, number->scale};
    return hash_column(add(1, constants, 3), number->data, number->store, n_rows);
}

static uint64_t hash_factor(const sv_design_factor *factor, size_t n_rows)
{
    uint64_t hash = 2;
    for (size_t code = 0; code < factor->n_codes; code++)
        hash = add(hash, (const double[]){(double)factor->slots[code]}, 1);
    return hash_column(hash, factor->codes, factor->store, n_rows);
}

typedef struct hashing {
    const sv_design *design, *validation;
    uint64_t *hashes; /* of LEARNING … OFFSET, then of each number and factor */
} hashing;

static void hash_one(void *context, size_t task, size_t worker)
{
    hashing *h = context;
    const sv_design *d = h->design;
    size_t n = d->n_rows, column = task + LEARNING - COLUMNS; /* below COLUMNS it is none */
    (void)worker;
    switch (task + LEARNING) {
    case LEARNING: h->hashes[task] = hash_weights(d); break;
    case VALIDATION: h->hashes[task] = h->validation ? hash_weights(h->validation) : 0; break;
    case TARGET: h->hashes[task] = hash_column(0, d->target, d->target_store, n); break;
    case OFFSET: h->hashes[task] = d->offsets ? hash_column(0, d->offsets, SV_STORE_F64, n) : 0; break;
    default: h->hashes[task] = column < d->n_numbers ? hash_number(&d->numbers[column], n) : hash_factor(&d->factors[column - d->n_numbers], n);
    }
}

int sv_fingerprint_take(uint64_t out[SV_FINGERPRINT_WORDS], const sv_design *design, sv_loss loss, sv_solver solver, const sv_solver_options *options, sv_team *team,
                        sv_error *error)
{
    size_t n_fixed = COLUMNS - LEARNING, n = n_fixed + design->n_numbers + design->n_factors;
    hashing h = {.design = design, .validation = options->patience > 0 ? options->validation : NULL, .hashes = sv_array(n, sizeof *h.hashes)};
    if (!h.hashes) return sv_error_set(error, SV_E_MEMORY, "checkpoint: out of memory");
    sv_team_run(team, n, hash_one, &h);
    out[LOSS] = (uint64_t)loss;
    out[SOLVER] = (uint64_t)solver;
    out[C] = bits_of(options->c);
    out[L2] = bits_of(options->l2);
    out[L1] = bits_of(options->l1);
    out[ROWS] = bits_of((double)design->n_rows);
    memcpy(out + LEARNING, h.hashes, n_fixed * sizeof *out);
    out[COLUMNS] = design->n_numbers;
    for (size_t i = n_fixed; i < n; i++)
        out[COLUMNS] = sv_mix64(out[COLUMNS] ^ h.hashes[i]);
    sv_free(h.hashes);
    return 0;
}

int sv_fingerprint_differences(sv_buffer *text, const uint64_t there[SV_FINGERPRINT_WORDS], const uint64_t here[SV_FINGERPRINT_WORDS])
{
    int rc = 0;
    for (size_t i = 0; !rc && i < SV_FINGERPRINT_WORDS; i++) {
        double then, now;
        if (there[i] == here[i]) continue;
        memcpy(&then, &there[i], sizeof then);
        memcpy(&now, &here[i], sizeof now);
        rc = sv_buffer_format(text, "%s%s", text->size ? ", " : "", words[i].name);
        if (!rc && words[i].is_number) rc = sv_buffer_format(text, " (%.15g, here %.15g)", then, now);
    }
    return rc;
}
