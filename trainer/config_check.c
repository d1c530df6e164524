/* config_check.c: what must hold between keys, as far as it can be told without data. */
#include "config_memory.h"
#include "config_tree.h"
#include "table.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int check_names(sv_config *config, sv_error *error)
{
    const char *alias = config->registry.alias;
    if (config->name && (strpbrk(config->name, "/:") || !config->name[strspn(config->name, " ")]))
        return sv_config_fail(error, config, "name", "expected a name without / and :, got '%.100s'", config->name);
    if (!config->name && config->registry.enabled && (alias || config->registry.promote_when))
        return sv_config_fail(error, config, "register.alias", "a registered model needs a `name:`");
    if (!alias)
        return config->registry.promote_when ? sv_config_fail(error, config, "register.promote_when", "needs register.alias") : 0;
    size_t length = 0;
    while (isalnum((unsigned char)alias[length]) || alias[length] == '_' || alias[length] == '-')
        length++;
    int is_version = (alias[0] | 32) == 'v' && alias[1] && strspn(alias + 1, "0123456789") == length - 1;
    if (alias[length] || !length || !strcasecmp(alias, "latest") || is_version)
        return sv_config_fail(error, config, "register.alias", "expected letters, digits, _ and -, and neither latest nor v1; got '%.100s'", alias);
    return 0;
}

static int check_one_byte(sv_config *config, const char *key, const char *value, sv_error *error)
{
    if (value && (strlen(value) != 1 || (unsigned char)*value >= 0x80 || strchr("\r\n", *value)))
        return sv_config_fail(error, config, key, "expected one ASCII character, got '%.20s'", value);
    return 0;
}

static int check_data(sv_config *config, sv_error *error)
{
    int code;
    if (!config->data.source.count)
        return sv_config_fail(error, config, "data.source", "expected a file, got nothing");
    for (size_t i = 0; i < config->data.source.count; i++)
        if (!*config->data.source.items[i].value)
            return sv_config_fail_at(error, config, "data.source", &config->data.source.items[i], "expected a file, got an empty text");
    if ((code = check_one_byte(config, "data.delimiter", config->data.delimiter, error)) || (code = check_one_byte(config, "data.quote", config->data.quote, error)))
        return code;
    if (config->data.delimiter && (isalnum((unsigned char)*config->data.delimiter) || strchr("+-.", *config->data.delimiter)))
        return sv_config_fail(error, config, "data.delimiter", "expected a character that no number holds, got '%s'", config->data.delimiter);
    if (config->data.delimiter && *config->data.delimiter == *config->data.quote)
        return sv_config_fail(error, config, "data.quote", "must differ from data.delimiter");
    for (size_t i = 0; i < config->columns.count; i++) {
        sv_type type;
        const sv_entry *column = &config->columns.items[i];
        if (sv_type_from_name(&type, column->value))
            return sv_config_fail_at(error, config, "columns", column, "expected long, double, string, boolean or date, got %.60s", column->value);
    }
    for (size_t i = 0; i < config->features.count; i++)
        for (size_t j = 0; j < config->columns.count; j++)
            if (!strcmp(config->features.items[i].key, config->columns.items[j].key))
                return sv_config_fail_at(error, config, "features", &config->features.items[i], "a column has that name already");
    return 0;
}

static int check_panel(sv_config *config, sv_error *error)
{
    int code = 0;
    if (!config->panel.entity)
        return sv_config_given(config, "panel.aggregates") || config->panel.time ? sv_config_fail(error, config, "panel.entity", "expected a column, got nothing") : 0;
    if (!config->panel.time)
        return sv_config_fail(error, config, "panel.time", "expected a column of type date, got nothing");
    if (!config->panel.aggregates.count)
        return sv_config_fail(error, config, "panel.aggregates", "expected at least one, got none");
    for (size_t i = 0; i < config->panel.carry_forward.count && !code; i++) {
        const sv_entry *carried = &config->panel.carry_forward.items[i];
        size_t found = 0;
        while (found < config->panel.aggregates.count && strcmp(config->panel.aggregates.items[found].key, carried->value) != 0)
            found++;
        if (found == config->panel.aggregates.count)
            code = sv_config_fail_at(error, config, "panel.carry_forward", carried, "'%.100s' is not one of panel.aggregates", carried->value);
    }
    return code;
}

static int check_target(sv_config *config, sv_error *error)
{
    int given = !!config->target.when + !!config->target.value + !!config->target.column;
    sv_model_kind model = config->train.model;
    if (given != 1)
        return sv_config_fail(error, config, "target.when", "expected one of target.when, target.value and target.column, got %s", given ? "several" : "none");
    if (config->target.positive && !config->target.column)
        return sv_config_fail(error, config, "target.positive", "needs target.column");
    if (config->target.when && model != SV_MODEL_LOGISTIC)
        return sv_config_fail(error, config, "target.when", "a condition is for train.model logistic, got %s", sv_config_word("train.model", (int)model));
    if (config->target.value && model != SV_MODEL_LINEAR && model != SV_MODEL_POISSON)
        return sv_config_fail(error, config, "target.value", "a number is for train.model linear or poisson, got %s", sv_config_word("train.model", (int)model));
    if (config->target.positive && model != SV_MODEL_LOGISTIC)
        return sv_config_fail(error, config, "target.positive", "is for train.model logistic, got %s", sv_config_word("train.model", (int)model));
    return 0;
}

static int check_split(sv_config *config, sv_error *error)
{
    double sum = config->split.train + config->split.validation + config->split.test;
    const char *ways[] = {config->split.time, config->split.group, config->split.key};
    static const sv_split_method methods[] = {SV_SPLIT_TIME, SV_SPLIT_GROUP, SV_SPLIT_HASH};
    static const char *const keys[] = {"split.time", "split.group", "split.key"};
    int named = 0;
    if (!sv_config_given(config, "split.by"))
        config->split.method = SV_SPLIT_RANDOM;
    for (int i = 0; i < 3; i++) {
        if (!ways[i])
            continue;
        if (named++ && !sv_config_given(config, "split.by"))
            return sv_config_fail(error, config, keys[i], "expected one of split.time, split.group and split.key, or split.by to say which");
        if (!sv_config_given(config, "split.by"))
            config->split.method = methods[i];
    }
    for (int i = 0; i < 3; i++)
        if (config->split.method == methods[i] && !ways[i])
            return sv_config_fail(error, config, keys[i], "expected a column, got nothing");
    if (config->split.method != SV_SPLIT_TIME && (config->split.validation_from || config->split.test_from))
        return sv_config_fail(error, config, config->split.test_from ? "split.test_from" : "split.validation_from", "is for a split by time");
    if (fabs(sum - 1) > 1e-9)
        return sv_config_fail(error, config, "split.train", "train, validation and test must add up to 1, got %.6g", sum);
    return 0;
}

static int check_train(sv_config *config, sv_error *error)
{
    sv_penalty penalty = config->train.penalty;
    sv_solver solver = config->train.solver;
    int has_l1 = penalty == SV_PENALTY_L1 || penalty == SV_PENALTY_ELASTIC_NET;
    if (has_l1 && solver != SV_SOLVER_AUTO && solver != SV_SOLVER_CD)
        return sv_config_fail(error, config, "train.solver", "penalty %s has corners: expected auto or cd, got %s", sv_config_word("train.penalty", (int)penalty),
                              sv_config_word("train.solver", (int)solver));
    if (config->evaluate.standard_errors && penalty != SV_PENALTY_NONE)
        return sv_config_fail(error, config, "evaluate.standard_errors", "need train.penalty: none, got %s", sv_config_word("train.penalty", (int)penalty));
    if (config->train.class_weights.count && sv_config_given(config, "train.class_weight") && config->train.class_weight != SV_CLASS_WEIGHT_NONE)
        return sv_config_fail(error, config, "train.class_weights", "train.class_weight says %s already", sv_config_word("train.class_weight", (int)config->train.class_weight));
    if (config->train.patience && !(config->split.validation > 0) && !config->split.validation_from)
        return sv_config_fail(error, config, "train.patience", "early stopping needs split.validation > 0");
    if ((config->evaluate.calibration || config->evaluate.threshold_rule == SV_THRESHOLD_COSTS) && !(config->split.validation > 0) && !config->split.validation_from)
        return sv_config_fail(error, config, config->evaluate.calibration ? "evaluate.calibration" : "evaluate.threshold_rule", "needs split.validation > 0");
    if (config->train.offset && config->target.column && !strcmp(config->train.offset, config->target.column))
        return sv_config_fail(error, config, "train.offset", "is the target: what is predicted cannot be added to the score");
    if (config->train.offset && config->train.model == SV_MODEL_MULTINOMIAL)
        return sv_config_fail(error, config, "train.offset", "is for models with one score: added to every class's it would change nothing");
    if (sv_config_given(config, "use") && !config->use.count)
        return sv_config_fail(error, config, "use", "expected at least one column or feature, got an empty list; without `use:` all but the target's enter");
    if (config->use.count && config->drop.count)
        return sv_config_fail(error, config, "drop", "expected either use or drop, got both");
    return 0;
}

static int check_sweep(sv_config *config, sv_error *error)
{
    for (size_t i = 0; i < config->sweep.keys.count; i++) {
        const sv_entry *entry = &config->sweep.keys.items[i];
        int key = sv_key_find(entry->key);
        if (key < 0 || !strncmp(entry->key, "sweep.", 6))
            return sv_config_fail_at(error, config, "sweep.keys", entry, "is not a key that can be swept");
    }
    return 0;
}

int sv_config_check(sv_config *config, sv_error *error)
{
    static int (*const rules[])(sv_config *, sv_error *) = {check_names, check_data, check_panel, check_target, check_split, check_train, check_sweep};
    int code = 0;
    for (size_t i = 0; i < sizeof rules / sizeof *rules && !code; i++)
        code = rules[i](config, error);
    return code;
}
