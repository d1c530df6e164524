/* design.h: the encoded features as the solvers see them. Numbers stay as narrow as the table has them, categories stay integer codes; nothing is expanded.
   A weight vector has, for each score, the numbers' weights, then each factor's slots, then the intercept: (n_scores, n_weights) with n_weights = n_numbers + n_slots + 1.
   Leaves out: where the columns come from (fit.c), what is minimised over them (objective.h). */
#ifndef SV_DESIGN_H
#define SV_DESIGN_H

#include "error.h"
#include "table.h"
#include "team.h"

#include <stddef.h>
#include <stdint.h>

/* One number a row: (value - centre) / scale, a NaN being `fill` first. */
typedef struct sv_design_number {
    const void *data; /* (n_rows) of store, borrowed unless owned */
    sv_store store;   /* not a CODE */
    double fill, centre, scale;
    int may_be_nan;
    int owned;
} sv_design_number;

/* One category a row: the weight slots[code], or none where that is -1 (a dropped level, an unknown one). */
typedef struct sv_design_factor {
    const void *codes;    /* (n_rows) of store, borrowed unless owned */
    sv_store store;       /* a CODE, or I8 whose values are 0 … n_codes-1 */
    size_t n_codes;
    const int32_t *slots; /* (n_codes): 0 … n_slots-1 or -1; owned by the design */
    size_t n_slots;
    size_t first;         /* position of slot 0 in the weight vector */
    size_t n_used;        /* one more than the largest code met; set by sv_design_finish */
    int owned;
} sv_design_factor;

/* Several factors read as one code, so that a row is a few look-ups: code = sum of code_f * stride_f. Nothing is stored: a block adds its codes up. */
typedef struct sv_design_join {
    size_t n_codes;
    size_t n_factors, factors[8], strides[8];
} sv_design_join;

typedef struct sv_design {
    size_t n_rows, n_numbers, n_factors, n_joins;
    sv_design_number *numbers; /* (n_numbers) */
    sv_design_factor *factors; /* (n_factors) */
    sv_design_join *joins;     /* (n_joins), made by sv_design_finish */
    size_t n_weights;          /* of one score, the intercept included; set by sv_design_finish */

    const void *target;        /* (n_rows) of target_store: 0/1, class number or value; borrowed */
    sv_store target_store;
    size_t n_classes;          /* logistic 2, multinomial 3 or more, otherwise 0 */
    const uint8_t *parts;      /* (n_rows), or NULL: every row counts; borrowed */
    uint8_t part;              /* rows with another part have weight 0 */
    const double *weights;     /* (n_rows) or NULL: all 1; borrowed */
    const double *class_weights; /* (n_classes) or NULL: all 1; borrowed */
    const double *offsets;     /* (n_rows) or NULL: 0; added to the score; borrowed */
} sv_design;

/* An empty design with room for so many columns; fill the rows in, then finish. */
int sv_design_new(sv_design **out, size_t n_rows, size_t n_numbers, size_t n_factors, sv_error *error);
void sv_design_free(sv_design *design); /* accepts NULL */

/* Gives factor f its slots: n_codes entries of 0 … n_slots-1 or -1, copied. */
int sv_design_set_slots(sv_design *design, size_t f, const int32_t *slots, size_t n_codes, size_t n_slots, sv_error *error);

/* Numbers the weights and joins the factors. Every code of every row must be below its n_codes: checked, SV_E_INPUT. team: NULL for the calling thread alone. */
int sv_design_finish(sv_design *design, sv_team *team, sv_error *error);

/* Puts the factors into as few joins of at most `most` codes as it finds; a factor with more has a join of its own. joins: room for n_factors. Returns how many. */
size_t sv_design_join_factors(sv_design_join *joins, const sv_design *design, size_t most);

/* Sum of the weights of the rows that count, and how many have a weight above 0. */
double sv_design_total_weight(const sv_design *design, size_t *n_counted);

/* Widens n rows from `first` into out as doubles. Any store. */
void sv_design_widen(double *out, const void *data, sv_store store, size_t first, size_t n);

/* The same for n rows by their numbers. */
void sv_design_gather(double *out, const void *data, sv_store store, const uint32_t *rows, size_t n);

/* weight of rows [first, first + n), 0 for those that do not count. */
void sv_design_row_weights(double *out, const sv_design *design, size_t first, size_t n);

#endif
