#include "promote.h"
#include "alloc.h"
#include "figures.h"
#include "model_source.h"
#include "number.h"
#include "paired_figures.h"
#include "prng.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { COMPARISONS_MAX = 8, WORD_BYTES = 64 };

typedef struct operand {
    int figure;      /* -1: the number alone */
    int of_champion;
    sv_part part;
    double added;
} operand;

typedef enum relation { AT_LEAST, ABOVE, AT_MOST, BELOW } relation;

typedef struct condition {
    size_t n;
    struct {
        operand left, right;
        relation relation;
        const char *text; /* as it stands in the configuration */
        int length;
    } comparisons[COMPARISONS_MAX];
} condition;

/* ---- the condition ---- */

static const char *skip(const char *at)
{
    return at + strspn(at, " \t\n");
}

static int fail(const sv_config *config, const char *at, const char *expected, sv_error *error)
{
    return sv_config_fail(error, config, "register.promote_when", "expected %s, got '%.60s'", expected, at);
}

/* champion.test.roc_auc */
static int parse_name(operand *out, const char **at, const sv_config *config, sv_error *error)
{
    char word[WORD_BYTES];
    size_t length = strspn(*at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"), alias = strlen(config->registry.alias);
    if (!length || length >= sizeof word)
        return fail(config, *at, "a figure such as test.roc_auc", error);
    snprintf(word, sizeof word, "%.*s", (int)length, *at);
    char *name = word;
    if (!strncmp(name, config->registry.alias, alias) && name[alias] == '.') {
        out->of_champion = 1;
        name += alias + 1;
    }
    for (out->part = SV_PART_TRAIN; out->part < SV_PART_NONE; out->part++) {
        size_t n = strlen(sv_part_name(out->part));
        if (!strncmp(name, sv_part_name(out->part), n) && name[n] == '.') {
            name += n + 1;
            break;
        }
    }
    if (out->part == SV_PART_NONE)
        return fail(config, *at, "train., validation. or test. and a figure", error);
    out->figure = sv_paired_figure_find(name, config->train.model == SV_MODEL_LOGISTIC);
    if (out->figure < 0)
        return fail(config, name, config->train.model == SV_MODEL_LOGISTIC ? "one of roc_auc accuracy balanced_accuracy f1 precision recall mcc log_loss brier" : "one of rmse mae r2",
                    error);
    *at += length;
    return 0;
}

static int parse_number(double *out, const char **at, const sv_config *config, sv_error *error)
{
    size_t length = strspn(*at, "0123456789.eE");
    if (sv_parse_double(*at, length, out))
        return fail(config, *at, "a number", error);
    *at += length;
    return 0;
}

static int parse_operand(operand *out, const char **at, const sv_config *config, sv_error *error)
{
    *out = (operand){.figure = -1};
    *at = skip(*at);
    if (isdigit((unsigned char)**at))
        return parse_number(&out->added, at, config, error);
    int code = parse_name(out, at, config, error);
    *at = skip(*at);
    if (code || (**at != '+' && **at != '-'))
        return code;
    double sign = **at == '-' ? -1 : 1;
    *at = skip(*at + 1);
    code = parse_number(&out->added, at, config, error);
    out->added *= sign;
    return code;
}

static int parse(condition *out, const sv_config *config, sv_error *error)
{
    static const char *const signs[] = {">=", ">", "<=", "<"};
    const char *at = config->registry.promote_when;
    *out = (condition){0};
    for (;;) {
        if (out->n == COMPARISONS_MAX)
            return fail(config, at, "at most 8 comparisons", error);
        const char *begin = at = skip(at);
        int code = parse_operand(&out->comparisons[out->n].left, &at, config, error), sign = 0;
        if (code)
            return code;
        at = skip(at);
        while (sign < 4 && strncmp(at, signs[sign], strlen(signs[sign])) != 0)
            sign++;
        if (sign == 4)
            return fail(config, at, ">=, >, <= or <", error);
        out->comparisons[out->n].relation = (relation)sign;
        at += strlen(signs[sign]);
        if ((code = parse_operand(&out->comparisons[out->n].right, &at, config, error)))
            return code;
        out->comparisons[out->n].text = begin;
        for (out->comparisons[out->n].length = (int)(at - begin); isspace((unsigned char)begin[out->comparisons[out->n].length - 1]);)
            out->comparisons[out->n].length--;
        out->n++;
        at = skip(at);
        if (!*at)
            return 0;
        if (strncmp(at, "and", 3) != 0 || !isspace((unsigned char)at[3]))
            return fail(config, at, "`and` or the end", error);
        at += 3;
    }
}

int sv_promotion_check(const sv_config *config, sv_error *error)
{
    condition c;
    if (!config->registry.promote_when)
        return 0;
    if (config->train.model == SV_MODEL_MULTINOMIAL)
        return sv_config_fail(error, config, "register.promote_when", "is not for train.model multinomial");
    return parse(&c, config, error);
}

/* ---- comparing ---- */

/* One part's rows for both models, challenger first. */
typedef struct contest {
    size_t n;
    double *target, *predictions[2];
    uint32_t *order[2];
    uint16_t *counts;
    sv_paired_rows rows[2];
} contest;

static void free_contest(contest *c)
{
    sv_free(c->target);
    sv_free(c->counts);
    for (int m = 0; m < 2; m++) {
        sv_free(c->predictions[m]);
        sv_free(c->order[m]);
    }
}

static int make_contest(contest *c, const sv_training *t, sv_part part, const double *predictions[2], const double thresholds[2])
{
    const sv_dataset *d = &t->dataset;
    size_t n = d->counts[part];
    *c = (contest){.n = n, .target = sv_array(n + 1, sizeof(double)), .counts = sv_array(n + 1, sizeof(uint16_t))};
    int failed = !c->target || !c->counts;
    for (int m = 0; m < 2; m++) {
        c->predictions[m] = sv_array(n + 1, sizeof(double));
        c->order[m] = sv_array(n + 1, sizeof(uint32_t));
        failed |= !c->predictions[m] || !c->order[m];
    }
    size_t at = 0;
    for (size_t row = 0; row < d->table.n_rows && !failed; row++) {
        if (d->parts[row] != part)
            continue;
        sv_column_widen(&d->target, row, 1, &c->target[at]);
        for (int m = 0; m < 2; m++)
            c->predictions[m][at] = predictions[m][row];
        at++;
    }
    for (int m = 0; m < 2 && !failed; m++) {
        failed |= sv_rank(c->order[m], c->predictions[m], n) != 0;
        c->rows[m] = (sv_paired_rows){c->predictions[m], c->target, c->order[m], n, t->config->train.model == SV_MODEL_LOGISTIC, thresholds[m]};
    }
    return failed ? SV_E_MEMORY : 0;
}

static double value_of(const operand *o, const contest contests[3])
{
    if (o->figure < 0)
        return o->added;
    const contest *c = &contests[o->part];
    return sv_paired_figure(o->figure, &c->rows[o->of_champion], c->counts) + o->added;
}

/* A NaN never holds. values: of each comparison's sides, for the reason; NULL: not asked. */
static int holds(const condition *c, const contest contests[3], double (*values)[2])
{
    int all = 1;
    for (size_t i = 0; i < c->n; i++) {
        double left = value_of(&c->comparisons[i].left, contests), right = value_of(&c->comparisons[i].right, contests);
        relation r = c->comparisons[i].relation;
        if (values) {
            values[i][0] = left;
            values[i][1] = right;
        }
        all &= r == AT_LEAST ? left >= right : r == ABOVE ? left > right : r == AT_MOST ? left <= right : left < right;
    }
    return all;
}

static void resample(contest *c, sv_prng *prng)
{
    memset(c->counts, 0, c->n * sizeof *c->counts);
    for (size_t i = 0; i < c->n; i++) {
        size_t row = (size_t)sv_prng_below(prng, c->n);
        c->counts[row] += c->counts[row] < UINT16_MAX;
    }
}

__attribute__((format(printf, 2, 3)))
static void say(sv_promotion *out, const char *format, ...)
{
    size_t length = strlen(out->reason);
    va_list args;
    va_start(args, format);
    vsnprintf(out->reason + length, sizeof out->reason - length, format, args);
    va_end(args);
}

static void compare(sv_promotion *out, const condition *c, contest contests[3], const sv_training *t)
{
    const sv_config *config = t->config;
    size_t n = contests[0].n + contests[1].n + contests[2].n, wanted = (size_t)config->evaluate.bootstrap, most = 100000000 / (n + 1) + 20, held = 0;
    double values[COMPARISONS_MAX][2];
    sv_prng prng;
    for (int part = 0; part < 3; part++)
        for (size_t i = 0; i < contests[part].n; i++)
            contests[part].counts[i] = 1;
    int now = holds(c, contests, values);
    out->resamples = wanted < most ? wanted : most;
    out->resamples = out->resamples > 200 ? 200 : out->resamples;
    sv_prng_seed(&prng, (uint64_t)config->evaluate.seed);
    for (size_t b = 0; b < out->resamples; b++) {
        for (int part = 0; part < 3; part++)
            if (contests[part].n)
                resample(&contests[part], &prng);
        held += (size_t)holds(c, contests, NULL);
    }
    out->share = out->resamples ? (double)held / (double)out->resamples : NAN;
    out->promote = now && (isnan(out->share) || out->share >= config->registry.promote_confidence);
    say(out, "%s: ", out->promote ? "promoted" : "kept");
    for (size_t i = 0; i < c->n; i++)
        say(out, "%.*s: %.6f against %.6f, ", c->comparisons[i].length, c->comparisons[i].text, values[i][0], values[i][1]);
    say(out, "held in %.0f%% of %zu paired resamples", 100 * (isnan(out->share) ? now : out->share), out->resamples);
}

static void find_wanted(int wanted[SV_PARTS], const condition *c)
{
    for (size_t i = 0; i < c->n; i++) {
        wanted[c->comparisons[i].left.part] |= c->comparisons[i].left.figure >= 0;
        wanted[c->comparisons[i].right.part] |= c->comparisons[i].right.figure >= 0;
    }
}

/* A part that the condition reads and that has no rows; SV_PART_NONE: all have some. */
static sv_part empty_part(const condition *c, const sv_dataset *dataset)
{
    int wanted[SV_PARTS] = {0};
    sv_part part = SV_PART_TRAIN;
    find_wanted(wanted, c);
    while (part < SV_PART_NONE && !(wanted[part] && !dataset->counts[part]))
        part++;
    return part;
}

/* The parts that the condition reads, for both models. */
static int contest_parts(contest contests[3], const condition *c, const sv_training *t, const double *predictions[2], const double thresholds[2])
{
    int wanted[SV_PARTS] = {0}, code = 0;
    find_wanted(wanted, c);
    for (int part = 0; part < 3 && !code; part++)
        if (wanted[part])
            code = make_contest(&contests[part], t, (sv_part)part, predictions, thresholds);
    return code;
}

static int judge(sv_promotion *out, const condition *c, const sv_training *t, const sv_pipeline *champion, sv_error *error)
{
    double *champions = NULL;
    contest contests[3] = {{0}};
    sv_error inner = SV_ERROR_INIT;
    sv_part empty = empty_part(c, &t->dataset);
    if (empty < SV_PART_NONE) {
        say(out, "kept: %.300s cannot be judged: the %s part has no rows", t->config->registry.promote_when, sv_part_name(empty));
        return 0;
    }
    if (sv_predict_table(&champions, champion, &t->dataset.table, t->team, &inner)) {
        snprintf(out->reason, sizeof out->reason, "kept: @%.60s cannot be applied to these rows: %.250s", t->config->registry.alias, inner.message);
        return 0;
    }
    const double *predictions[2] = {t->evaluation.predictions, champions}, thresholds[2] = {sv_pipeline_threshold(t->pipeline), sv_pipeline_threshold(champion)};
    int code = contest_parts(contests, c, t, predictions, thresholds);
    if (!code) {
        out->had_champion = 1;
        compare(out, c, contests, t);
    }
    for (int part = 0; part < 3; part++)
        free_contest(&contests[part]);
    sv_free(champions);
    return code ? sv_error_set(error, code, "promotion: out of memory") : 0;
}

int sv_promotion_decide(sv_promotion *out, const sv_training *t, mlf_client *client, sv_error *error)
{
    const sv_config *config = t->config;
    condition c;
    mlf_error refusal = MLF_ERROR_INIT;
    sv_error inner = SV_ERROR_INIT;
    sv_package package = {0};
    char uri[600];
    *out = (sv_promotion){.share = NAN};
    if (!config->registry.promote_when || !config->registry.alias) {
        out->promote = config->registry.alias != NULL;
        return 0;
    }
    int code = parse(&c, config, error);
    if (code)
        return code;
    mlf_object *version = NULL;
    int answer = client ? mlf_aliases_get(&version, client, config->name, config->registry.alias, &refusal) : MLF_E_CONNECT;
    mlf_object_free(version);
    if (answer == MLF_E_NOT_FOUND) {
        out->promote = 1;
        snprintf(out->reason, sizeof out->reason, "promoted: nobody held @%.60s", config->registry.alias);
        return 0;
    }
    snprintf(uri, sizeof uri, "models:/%.400s@%.100s", config->name, config->registry.alias);
    if (answer || sv_model_load(&package, uri, client, &inner)) {
        if (client)
            snprintf(out->reason, sizeof out->reason, "kept: @%.60s could not be compared: %.250s", config->registry.alias, answer ? refusal.message : inner.message);
        else
            snprintf(out->reason, sizeof out->reason, "kept: whom @%.60s names is not known offline, so nothing was compared; move it by `mlflowc registry alias`", config->registry.alias);
        return 0;
    }
    if (sv_pipeline_task(package.pipeline) != sv_pipeline_task(t->pipeline))
        snprintf(out->reason, sizeof out->reason, "kept: @%.60s is a %s model, this one %s", config->registry.alias, sv_task_name(sv_pipeline_task(package.pipeline)),
                 sv_task_name(sv_pipeline_task(t->pipeline)));
    else
        code = judge(out, &c, t, package.pipeline, error);
    sv_package_free(&package);
    return code;
}
