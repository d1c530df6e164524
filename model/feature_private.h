/* feature_private.h: what an sv_features is made of. Private to model/. */
#ifndef SV_FEATURE_PRIVATE_H
#define SV_FEATURE_PRIVATE_H

#include "feature.h"
#include "program.h"

typedef struct sv_raw {
    char *name;
    sv_type type;
    sv_levels *levels; /* strings, else NULL */
    int optional;
    int hashed; /* unknown texts get a code that tells their hash */
    int shares; /* levels are the features' texts, not its own */
} sv_raw;

typedef struct sv_derived {
    char *name;
    sv_expr *expr;
    sv_kind kind; /* once compiled */
    int step;     /* its result; once compiled */
} sv_derived;

struct sv_features {
    sv_raw *columns;     /* (n_columns) */
    sv_derived *derived; /* (n_derived) */
    size_t n_columns, columns_capacity, n_derived, derived_capacity;
    sv_levels *names; /* of both, in order of addition */
    sv_levels *texts; /* of text features and of the columns that meet other texts than constants: one set, so that equal texts have equal codes */
    int *owners;      /* by position in names: c for column c, -1 - d for derived d */
    size_t owners_capacity;
    sv_program program;
    int compiled;
};

/* The value's id, or -1; usable before compilation too. */
int sv_features_lookup(const sv_features *features, const char *name, size_t length);

/* A text column's or text feature's levels, to be added to; NULL for a number or date. */
sv_levels *sv_features_own_levels(sv_features *features, int value);

/* Where an error of a derived feature lies. */
typedef struct sv_resolver {
    sv_features *features;
    sv_place *place; /* or NULL */
    sv_error *error;
    int code;
} sv_resolver;

/* Types a derived feature's tree and turns it into steps; the features it refers to are done. The result's step, or an error. */
int sv_resolve(sv_resolver *resolver, sv_derived *derived);

#endif
