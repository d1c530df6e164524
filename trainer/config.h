/* config.h: what a configuration says once it is read, checked and completed with defaults.
   One const table (config_keys.c) describes every key; reading, --set, --help, `solvent check` and configs/REFERENCE.md come from it.
   Leaves out: what needs data (does a column exist, does an expression fit its types). */
#ifndef SV_CONFIG_H
#define SV_CONFIG_H

#include "error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum sv_model_kind { SV_MODEL_LOGISTIC, SV_MODEL_MULTINOMIAL, SV_MODEL_LINEAR, SV_MODEL_POISSON } sv_model_kind;
typedef enum sv_solver {
    SV_SOLVER_AUTO,
    SV_SOLVER_GD,
    SV_SOLVER_NESTEROV,
    SV_SOLVER_SGD,
    SV_SOLVER_ADAM,
    SV_SOLVER_LBFGS,
    SV_SOLVER_NEWTON,
    SV_SOLVER_CD
} sv_solver;
typedef enum sv_penalty { SV_PENALTY_NONE, SV_PENALTY_L2, SV_PENALTY_L1, SV_PENALTY_ELASTIC_NET } sv_penalty;
typedef enum sv_class_weight { SV_CLASS_WEIGHT_NONE, SV_CLASS_WEIGHT_BALANCED } sv_class_weight;
typedef enum sv_step { SV_STEP_BACKTRACKING, SV_STEP_FIXED } sv_step;
typedef enum sv_schedule { SV_SCHEDULE_CONSTANT, SV_SCHEDULE_INVERSE, SV_SCHEDULE_COSINE } sv_schedule;
typedef enum sv_encode_strings { SV_ENCODE_STRINGS_ONE_HOT, SV_ENCODE_STRINGS_ORDINAL, SV_ENCODE_STRINGS_HASH } sv_encode_strings;
typedef enum sv_encode_unknown { SV_ENCODE_UNKNOWN_ZEROS, SV_ENCODE_UNKNOWN_ERROR } sv_encode_unknown;
typedef enum sv_encode_numbers { SV_ENCODE_NUMBERS_STANDARDIZE, SV_ENCODE_NUMBERS_MIN_MAX, SV_ENCODE_NUMBERS_ROBUST, SV_ENCODE_NUMBERS_NONE } sv_encode_numbers;
typedef enum sv_encode_missing {
    SV_ENCODE_MISSING_MEDIAN,
    SV_ENCODE_MISSING_MEAN,
    SV_ENCODE_MISSING_MOST_FREQUENT,
    SV_ENCODE_MISSING_CONSTANT,
    SV_ENCODE_MISSING_ERROR
} sv_encode_missing;
typedef enum sv_split_method { SV_SPLIT_RANDOM, SV_SPLIT_TIME, SV_SPLIT_GROUP, SV_SPLIT_HASH } sv_split_method;
typedef enum sv_bad_row { SV_BAD_ROW_FAIL, SV_BAD_ROW_SKIP } sv_bad_row;
typedef enum sv_audit_mode { SV_AUDIT_OFF, SV_AUDIT_WARN, SV_AUDIT_FAIL } sv_audit_mode;
typedef enum sv_calibration { SV_CALIBRATION_NONE, SV_CALIBRATION_PLATT, SV_CALIBRATION_ISOTONIC } sv_calibration;
typedef enum sv_threshold_rule { SV_THRESHOLD_FIXED, SV_THRESHOLD_COSTS } sv_threshold_rule;
typedef enum sv_period { SV_PERIOD_DAY, SV_PERIOD_WEEK, SV_PERIOD_MONTH, SV_PERIOD_QUARTER, SV_PERIOD_YEAR } sv_period;
typedef enum sv_sweep_method { SV_SWEEP_GRID, SV_SWEEP_RANDOM, SV_SWEEP_HALVING } sv_sweep_method;
typedef enum sv_goal { SV_GOAL_MINIMIZE, SV_GOAL_MAXIMIZE } sv_goal;

/* One item of a list (key NULL) or a mapping, in the order of the file; line and column of the value; line -n: from the n-th --set; 0: a default. */
typedef struct sv_entry {
    const char *key, *value;
    int line, column;
} sv_entry;

typedef struct sv_entries {
    size_t count;
    sv_entry *items; /* (count) */
} sv_entries;

/* Strings live as long as the configuration; NULL where the key is absent and has no default. Flags are 0 or 1. */
typedef struct sv_config {
    const char *path; /* of the file, for messages and tags */
    const char *name, *experiment, *run_name, *description;
    sv_entries tags; /* name: text, set on the run */

    struct {
        sv_entries source;      /* one or several paths or URIs, read one after the other; "-" standard input; "generate:rows=N,seed=S" */
        const char *delimiter;  /* one byte; NULL: found in the header line */
        const char *quote;      /* one byte */
        const char *date_format; /* strptime's, for columns of type date; "%Y-%m-%d" */
        int header, trim;
        sv_entries missing;     /* cells that stand for nothing, beside the empty one */
        sv_bad_row on_bad_row;
        int64_t max_rows;       /* 0: all */
        const char *credentials; /* a file; secret */
    } data;

    sv_entries columns;  /* name: type; what is not named is inferred */
    sv_entries features; /* name: expression */

    struct {
        const char *entity, *time; /* columns */
        sv_period period;
        sv_entries aggregates;     /* name: function(expression) [where condition] */
        sv_entries carry_forward;  /* aggregates that keep their last value in periods without rows; others become 0 */
        const char *from, *to;     /* first and last complete period, YYYY-MM-DD; NULL: as in the data */
        int64_t min_history;           /* periods that an entity must have behind it */
    } panel; /* absent when entity is NULL */

    struct {
        const char *name;     /* outputs are NAME_probability and NAME_prediction */
        const char *when;     /* a condition: 1 where it holds */
        const char *value;    /* or a number to predict */
        const char *column;   /* or a column as it is */
        const char *positive; /* column's text that counts as 1 (logistic) */
    } target;

    sv_entries use, drop; /* raw columns and features that enter the model; none: all but the target's column */

    struct {
        sv_encode_strings strings;
        int drop_first;
        sv_encode_unknown unknown;
        sv_encode_numbers numbers;
        sv_encode_missing missing;
        double missing_value;    /* for missing: constant */
        int missing_indicator;   /* a further 0/1 feature for each that has missing values */
        int64_t rare;            /* levels with fewer training rows are grouped into one; 0: none */
        int64_t hash_buckets;
        sv_entries columns;      /* name: what to do with this one alone, such as bins(10), spline(5), hash(64), ordinal, robust, none */
        sv_entries interactions; /* "a * b" */
    } encode;

    struct {
        sv_split_method method;
        double train, validation, test; /* shares; sum 1 */
        int stratify;
        int64_t seed;
        const char *group;              /* column: rows that agree in it stay together */
        const char *key;                /* column, hashed: a row keeps its side when rows are added */
        const char *time;               /* column: oldest to training, newest to test */
        const char *validation_from, *test_from; /* by time: first moment of that part, instead of shares */
    } split;

    struct {
        sv_model_kind model;
        sv_solver solver;
        sv_penalty penalty;
        double c;            /* minimise penalty + c * sum of losses */
        double l1_ratio;     /* elastic net: share of l1 */
        int64_t max_iter;
        double tolerance;    /* see each solver's stopping rule */
        sv_class_weight class_weight;
        sv_entries class_weights; /* class: weight, instead */
        const char *weight;  /* column of sample weights; NULL: all 1 */
        const char *offset;  /* column or feature added to the score; NULL: none */
        sv_step step;        /* gradient descent */
        double learning_rate, momentum;
        int64_t batch_size;  /* sgd, adam: rows */
        sv_schedule schedule;
        int64_t seed;        /* order of minibatches */
        int64_t patience;    /* early stopping: iterations without a better validation loss; 0: off */
        int64_t checkpoint_every; /* iterations; 0: none; needs output */
        const char *cache;   /* folder for large blocks of memory (alloc.h's spill); NULL: none */
        int64_t threads;     /* 0: one for each processor */
    } train;

    struct {
        sv_audit_mode audit;
        int64_t bootstrap;      /* resamples; 0: no intervals */
        double confidence;      /* of the intervals */
        int64_t seed;
        double threshold;       /* probability from which the prediction is 1 */
        sv_threshold_rule threshold_rule; /* fixed, or the one of least expected cost on validation */
        double cost_false_positive, cost_false_negative;
        sv_calibration calibration;
        sv_entries segments;    /* columns */
        int standard_errors;
        int report;             /* write report.html and plots */
        const char *baseline;   /* column whose value is the last-value baseline; NULL: majority alone */
    } evaluate;

    struct {
        int enabled;
        const char *alias;        /* moved to the new version; NULL: none */
        const char *promote_when; /* a comparison of the challenger's and the alias holder's metrics; NULL: always */
        double promote_confidence; /* paired bootstrap: the condition must hold in this share of resamples */
        const char *description;
        sv_entries tags;
    } registry;

    struct {
        int enabled;
        const char *uri; /* NULL: MLFLOW_TRACKING_URI */
    } tracking;

    struct {
        sv_sweep_method method;
        int64_t trials, folds, seed;
        const char *metric;
        sv_goal goal;
        int won;         /* no setting of the file's: what is trained has the settings that did best on the validation rows */
        sv_entries keys; /* "train.c": value, one entry for each value; random: also "1e-4 .. 1e2 log" */
    } sweep;

    const char *output; /* folder for the package and the report; NULL: none is kept */

    struct sv_config_memory *memory; /* what the strings and arrays live in; places; what to hide */
} sv_config;

/* One `a.b=v` of --set; v is YAML, so that lists and mappings can be given. */
typedef struct sv_config_options {
    const char *const *set; /* (n_set) */
    size_t n_set;
} sv_config_options;

/* Reads and checks a file; every error names file:line:column and is SV_E_CONFIG. *out: sv_config_free(). options may be NULL. */
int sv_config_read(sv_config **out, const char *path, const sv_config_options *options, sv_error *error);

/* The same from bytes; name stands in messages. */
int sv_config_parse(sv_config **out, const char *name, const char *text, size_t length, const sv_config_options *options, sv_error *error);

void sv_config_free(sv_config *config); /* accepts NULL */

/* Sets error (SV_E_CONFIG) to "configs/x.yaml:12:9: in 'train.c': …", with the place where the key's value stands; returns SV_E_CONFIG. */
int sv_config_fail(sv_error *error, const sv_config *config, const char *key, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same for one item of a list or mapping: "configs/x.yaml:14:7: in 'features.balance_log': …". */
int sv_config_fail_at(sv_error *error, const sv_config *config, const char *key, const sv_entry *entry, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* 1 when the file or --set gave the key a value. */
int sv_config_given(const sv_config *config, const char *key);

/* A value as it may be shown: without passwords in URIs, without what came from an environment variable that sounds like a secret. */
const char *sv_config_shown(const sv_config *config, const char *value);

/* 1 when that is what the file says, with its ${…}, because what it stands for is a secret of the environment. */
int sv_config_is_hidden(const sv_config *config, const char *value);

/* Called for every setting that has a value, in the order of the table: "train.c" and "1", "features.risk_flag" and "balance < 0"; a list is one line of JSON.
   Secrets come as "***". Stops at the first non-zero answer and returns it. */
typedef int (*sv_config_visit)(void *context, const char *key, const char *value);
int sv_config_each(const sv_config *config, sv_config_visit visit, void *context);

/* The whole resolved configuration as YAML that reads back to the same; secrets are left out. */
int sv_config_print(const sv_config *config, FILE *file);

/* configs/REFERENCE.md, and the list that `solvent --help config` shows. */
void sv_config_reference(FILE *file);

/* The word a choice has in the file, e.g. sv_config_word("train.solver", SV_SOLVER_LBFGS) is "lbfgs"; NULL for an unknown key or value. */
const char *sv_config_word(const char *key, int value);

#endif
