#include "config_keys.h"
#include "config.h"

#include <string.h>

#define AT(field) offsetof(sv_config, field)
#define TEXT(name, field, fallback, help) {name, SV_KEY_TEXT, AT(field), 0, 0, 0, NULL, fallback, help}
#define SECRET(name, field, help) {name, SV_KEY_SECRET, AT(field), 0, 0, 0, NULL, NULL, help}
#define FLAG(name, field, fallback, help) {name, SV_KEY_FLAG, AT(field), 0, 0, 0, NULL, fallback, help}
#define WHOLE(name, field, min, max, fallback, help) {name, SV_KEY_WHOLE, AT(field), min, max, 0, NULL, fallback, help}
#define REAL(name, field, min, max, fallback, help) {name, SV_KEY_REAL, AT(field), min, max, 0, NULL, fallback, help}
#define ABOVE(name, field, min, max, fallback, help) {name, SV_KEY_REAL, AT(field), min, max, 1, NULL, fallback, help}
#define CHOICE(name, field, choices, fallback, help) {name, SV_KEY_CHOICE, AT(field), 0, 0, 0, choices, fallback, help}
#define LIST(name, field, help) {name, SV_KEY_LIST, AT(field), 0, 0, 0, NULL, NULL, help}
#define MAP(name, field, help) {name, SV_KEY_MAP, AT(field), 0, 0, 0, NULL, NULL, help}
#define LISTS(name, field, help) {name, SV_KEY_LISTS, AT(field), 0, 0, 0, NULL, NULL, help}

#define MANY 9007199254740992.0 /* 2^53: a double and an int64_t alike */

const sv_key sv_keys[] = {
    TEXT("name", name, NULL, "registered model; without `/` and `:`"),
    TEXT("experiment", experiment, NULL, "MLflow experiment, made when missing; absent: MLFLOW_EXPERIMENT_NAME, else the default one"),
    TEXT("run_name", run_name, NULL, "absent: the server invents one"),
    TEXT("description", description, NULL, "of the run, and of the registered model when it is made; Markdown"),
    MAP("tags", tags, "set on the run"),
    TEXT("output", output, NULL, "folder for package and report; absent: they are kept only where they are tracked. --output overrides it"),

    LIST("data.source", data.source,
         "one or several CSV files, read one after the other: a path, `-`, `file://`, `http(s)://`, `gs://`, `s3://`, or `generate:rows=50000,seed=42`; `.gz` too"),
    TEXT("data.delimiter", data.delimiter, NULL, "one character; absent: the one of comma, semicolon, tab and bar that is most frequent in the first line"),
    TEXT("data.quote", data.quote, "\"", "one character"),
    FLAG("data.header", data.header, "true", "the first line names the columns; without one they are c1, c2, …"),
    FLAG("data.trim", data.trim, "true", "blanks around unquoted cells and header names are dropped"),
    TEXT("data.date_format", data.date_format, "%Y-%m-%d", "of `date` columns, as strptime writes it; `%y%m%d` for 930101"),
    LIST("data.missing", data.missing, "cells that stand for nothing, beside the empty one, such as [NA, \"?\"]"),
    CHOICE("data.on_bad_row", data.on_bad_row, "fail|skip", "fail", "a row with a wrong number of cells, or a cell that is not of its column's type"),
    WHOLE("data.max_rows", data.max_rows, 0, MANY, "0", "read no more than that many; 0: all"),
    SECRET("data.credentials", data.credentials, "file with the credentials of the store that the source is in"),

    MAP("columns", columns, "name: type (`long`, `double`, `string`, `boolean`, `date`); what is not named is inferred from the whole file"),
    MAP("features", features, "name: expression over columns and other features"),

    TEXT("panel.entity", panel.entity, NULL, "column that says whose row it is; its presence turns transactions into one row for each entity and period"),
    TEXT("panel.time", panel.time, NULL, "column of type `date`"),
    CHOICE("panel.period", panel.period, "day|week|month|quarter|year", "month", "length of a period"),
    MAP("panel.aggregates", panel.aggregates, "name: `sum(x)`, `mean(x)`, `min(x)`, `max(x)`, `first(x)`, `last(x)` or `count()`, with `where CONDITION` if wanted"),
    LIST("panel.carry_forward", panel.carry_forward, "aggregates that keep their last value in a period without rows (a balance); sums and counts become 0, others missing"),
    TEXT("panel.from", panel.from, NULL, "a day (YYYY-MM-DD) of the first period to keep"),
    TEXT("panel.to", panel.to, NULL, "the last period is the last one that is over with this day, so 2024-03-15 ends months with February; later rows are not used, not even for the target; absent: the last row's period, complete or not"),
    WHOLE("panel.min_history", panel.min_history, 0, 10000, "0", "periods that an entity must have behind it"),

    TEXT("target.name", target.name, "target", "outputs are NAME_probability and NAME_prediction"),
    TEXT("target.when", target.when, NULL, "a condition: the target is 1 where it holds"),
    TEXT("target.value", target.value, NULL, "or a number to predict: an expression"),
    TEXT("target.column", target.column, NULL, "or a column as it is"),
    TEXT("target.positive", target.positive, NULL, "with column, for two classes: the text that counts as 1"),

    LIST("use", use, "raw columns and features that enter the model, at least one; absent: all but the target's columns"),
    LIST("drop", drop, "instead of use: all but these"),

    CHOICE("encode.strings", encode.strings, "one_hot|ordinal|hash", "one_hot", "text columns"),
    FLAG("encode.drop_first", encode.drop_first, "true", "one-hot: the first level (in byte order) gets no column"),
    CHOICE("encode.unknown", encode.unknown, "zeros|error", "zeros", "a text that training did not see"),
    CHOICE("encode.numbers", encode.numbers, "standardize|min_max|robust|none", "standardize", "scaling: (x-mean)/deviation, (x-min)/(max-min), (x-median)/IQR"),
    CHOICE("encode.missing", encode.missing, "median|mean|most_frequent|constant|error", "median", "a missing number is replaced by the training rows'"),
    REAL("encode.missing_value", encode.missing_value, -1e300, 1e300, "0", "for missing: constant"),
    FLAG("encode.missing_indicator", encode.missing_indicator, "false", "a further 0/1 column for each number that is ever missing"),
    WHOLE("encode.rare", encode.rare, 0, MANY, "0", "levels with fewer training rows are grouped into one, and texts never seen with them unless unknown: error; 0: none"),
    WHOLE("encode.hash_buckets", encode.hash_buckets, 1, 1048576, "64", "for strings: hash"),
    MAP("encode.columns", encode.columns, "name: how to treat this one alone: bins(10), spline(5), hash(64), one_hot, ordinal, standardize, min_max, robust, none"),
    LIST("encode.interactions", encode.interactions, "products of two encoded features: `job * marital`"),

    CHOICE("split.by", split.method, "random|time|group|hash", "random", "absent: follows from time, group or key, else random"),
    ABOVE("split.train", split.train, 0, 1, "0.7", "share"),
    REAL("split.validation", split.validation, 0, 1, "0.1", "share"),
    REAL("split.test", split.test, 0, 1, "0.2", "share; the three add up to 1"),
    FLAG("split.stratify", split.stratify, "true", "random: each class is split alike"),
    WHOLE("split.seed", split.seed, 0, MANY, "42", "same seed, same split, on every machine"),
    TEXT("split.group", split.group, NULL, "column: rows that agree in it stay together"),
    TEXT("split.key", split.key, NULL, "column, hashed: a row keeps its part when rows are added"),
    TEXT("split.time", split.time, NULL, "column of dates or numbers: the oldest rows train, the newest test; rows of one moment stay together"),
    TEXT("split.validation_from", split.validation_from, NULL, "by time, instead of shares: the first moment of validation"),
    TEXT("split.test_from", split.test_from, NULL, "and of test"),

    CHOICE("train.model", train.model, "logistic|multinomial|linear|poisson", "logistic", "family"),
    CHOICE("train.solver", train.solver, "auto|gd|nesterov|sgd|adam|lbfgs|newton|cd", "auto", "auto chooses by shape and says why"),
    CHOICE("train.penalty", train.penalty, "none|l2|l1|elastic_net", "l2", "on the weights, not on the intercept"),
    ABOVE("train.c", train.c, 0, 1e300, "1.0", "minimise penalty + c * sum of weighted losses: what C means in scikit-learn"),
    REAL("train.l1_ratio", train.l1_ratio, 0, 1, "0.5", "elastic_net: share of l1"),
    WHOLE("train.max_iter", train.max_iter, 1, 1e9, "1000", "iterations, at most"),
    ABOVE("train.tolerance", train.tolerance, 0, 1, "1e-8", "where to stop; each solver says on what"),
    CHOICE("train.class_weight", train.class_weight, "none|balanced", "none", "balanced: n / (classes * rows of the class)"),
    MAP("train.class_weights", train.class_weights, "class: weight, instead; of two classes also 0 and 1"),
    TEXT("train.weight", train.weight, NULL, "column of sample weights"),
    TEXT("train.offset", train.offset, NULL, "a column or feature added to the score as it is, when predicting too, such as the log of an exposure"),
    CHOICE("train.step", train.step, "backtracking|fixed", "backtracking", "gd: how far to go"),
    ABOVE("train.learning_rate", train.learning_rate, 0, 1e6, "0.1", "gd with a fixed step, sgd, adam"),
    REAL("train.momentum", train.momentum, 0, 0.9999, "0.9", "gd, sgd"),
    WHOLE("train.batch_size", train.batch_size, 1, 1e9, "1024", "sgd, adam: rows"),
    CHOICE("train.schedule", train.schedule, "constant|inverse|cosine", "cosine", "sgd, adam: how the learning rate falls"),
    WHOLE("train.seed", train.seed, 0, MANY, "42", "order of the minibatches"),
    WHOLE("train.patience", train.patience, 0, 1e9, "0", "stop after that many iterations without a better validation loss; 0: off"),
    WHOLE("train.checkpoint_every", train.checkpoint_every, 0, 1e9, "0", "iterations after which OUTPUT/checkpoint is written anew, for --resume; an interrupted run keeps it as an artifact; 0: none"),
    TEXT("train.cache", train.cache, NULL, "folder for data larger than memory: blocks of a megabyte and more live in files there, which have no names and are gone with the process; the same bits"),
    WHOLE("train.threads", train.threads, 0, 1024, "0", "0: one for each processor; the answer's bits do not depend on it"),

    CHOICE("evaluate.audit", evaluate.audit, "off|warn|fail", "warn", "leakage audit before training"),
    WHOLE("evaluate.bootstrap", evaluate.bootstrap, 0, 100000, "1000", "resamples for the intervals; 0: none"),
    REAL("evaluate.confidence", evaluate.confidence, 0.5, 0.9999, "0.95", "of the intervals, those of the coefficients too"),
    WHOLE("evaluate.seed", evaluate.seed, 0, MANY, "42", "of the resamples"),
    REAL("evaluate.threshold", evaluate.threshold, 0, 1, "0.5", "probability from which the prediction is 1"),
    CHOICE("evaluate.threshold_rule", evaluate.threshold_rule, "fixed|costs", "fixed", "costs: the threshold of least expected cost on validation, instead"),
    REAL("evaluate.costs.false_positive", evaluate.cost_false_positive, 0, 1e300, "1", "cost of a 1 that is none"),
    REAL("evaluate.costs.false_negative", evaluate.cost_false_negative, 0, 1e300, "1", "cost of a 1 that is missed"),
    CHOICE("evaluate.calibration", evaluate.calibration, "none|platt|isotonic", "none", "fitted on validation, kept in the package"),
    LIST("evaluate.segments", evaluate.segments, "columns by which the figures are broken down"),
    FLAG("evaluate.standard_errors", evaluate.standard_errors, "false", "of the coefficients; for penalty: none"),
    FLAG("evaluate.report", evaluate.report, "true", "report.html and its plots"),
    TEXT("evaluate.baseline", evaluate.baseline, NULL, "numeric column or used feature that a naive forecast would go by (binary: 1 where it is above 0); beside the majority class"),

    FLAG("register.enabled", registry.enabled, "true", "make a version of the registered model"),
    TEXT("register.alias", registry.alias, NULL, "moved to the new version"),
    TEXT("register.promote_when", registry.promote_when, NULL, "move the alias only then: `test.roc_auc >= champion.test.roc_auc`, on the same rows"),
    REAL("register.promote_confidence", registry.promote_confidence, 0, 0.9999, "0.5", "share of paired bootstrap resamples in which it must hold"),
    TEXT("register.description", registry.description, NULL, "of the version, Markdown; absent: a card is written"),
    MAP("register.tags", registry.tags, "of the version"),

    FLAG("tracking.enabled", tracking.enabled, "true", "--no-tracking turns it off"),
    TEXT("tracking.uri", tracking.uri, NULL, "absent: MLFLOW_TRACKING_URI"),

    CHOICE("sweep.method", sweep.method, "grid|random|halving", "grid", "halving: all trials on few rows, the better half on twice as many, and so on"),
    WHOLE("sweep.trials", sweep.trials, 1, 10000, "20", "random, halving: how many are drawn"),
    WHOLE("sweep.folds", sweep.folds, 0, 200, "0", "judge by k-fold over train and validation (by time: each block by those before it); 0: by the validation part"),
    WHOLE("sweep.seed", sweep.seed, 0, MANY, "42", "of the draws"),
    TEXT("sweep.metric", sweep.metric, "validation.log_loss", "what is compared"),
    CHOICE("sweep.goal", sweep.goal, "minimize|maximize", "minimize", "which way"),
    LISTS("sweep.keys", sweep.keys, "key: values to try, such as `train.c: [0.01, 0.1, 1]`; random and halving also take `1e-4 .. 1e2 log`"),
};
const size_t sv_keys_count = sizeof sv_keys / sizeof *sv_keys;

const sv_key_group sv_key_groups[] = {
    {"", "The model as a whole"},
    {"data", "Where the rows come from"},
    {"columns", "Types of the raw columns"},
    {"features", "Derived features"},
    {"panel", "Transactions to periods"},
    {"target", "What is predicted: one of when, value, column"},
    {"use", "What enters the model"},
    {"drop", "What does not"},
    {"encode", "From columns to numbers, fitted on the training rows alone"},
    {"split", "Which rows train, which choose, which judge"},
    {"train", "Family and solver"},
    {"evaluate", "Judgement"},
    {"register", "The registry"},
    {"tracking", "The tracking server"},
    {"sweep", "Trying several values (`solvent sweep`)"},
};
const size_t sv_key_groups_count = sizeof sv_key_groups / sizeof *sv_key_groups;

int sv_key_find(const char *name)
{
    for (size_t i = 0; i < sv_keys_count; i++)
        if (!strcmp(sv_keys[i].name, name))
            return (int)i;
    return -1;
}

const char *sv_key_choice(const sv_key *key, int i, size_t *length)
{
    const char *word = key->choices;
    while (word && i-- > 0)
        word = strchr(word, '|') ? strchr(word, '|') + 1 : NULL;
    if (word)
        *length = strcspn(word, "|");
    return word;
}
