/* panel.c: rows sorted by entity, period and time, and put together. */
#include "panel.h"
#include "alloc.h"
#include "date.h"
#include "date_format.h"
#include "row_key.h"
#include "schema.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AGGREGATES_MAX = 256, PERIODS_MAX = 100000 };

typedef enum figure { SUM, MEAN, COUNT, FIRST, LAST, MIN, MAX } figure;

typedef struct aggregate {
    const sv_entry *entry;
    figure figure;
    int carried;
    double *values;    /* (n_rows) of the raw table; NULL for count() */
    double *condition; /* (n_rows), or NULL: every row */
    double *out;       /* (n_panel) */
} aggregate;

typedef struct raw_row {
    double entity, time;
    int64_t period;
    size_t row;
} raw_row;

typedef struct panel {
    const sv_config *config;
    sv_table *table;
    const sv_column *entity, *time;
    aggregate *aggregates; /* (n_aggregates) */
    size_t n_aggregates;
    raw_row *rows; /* (n_rows) sorted */
    size_t n_rows;
    int64_t last; /* period */
    size_t n_panel;
    size_t *source;   /* (n_panel) a raw row of the entity */
    int64_t *periods; /* (n_panel) */
    sv_error *error;
} panel;

static int out_of_memory(sv_error *error)
{
    return sv_error_set(error, SV_E_MEMORY, "panel: out of memory");
}

/* ---- periods ---- */

static int64_t period_of(sv_period period, int64_t days)
{
    int64_t year;
    int month, day;
    sv_date_civil(days, &year, &month, &day);
    switch (period) {
    case SV_PERIOD_DAY:
        return days;
    case SV_PERIOD_WEEK: /* Monday to Sunday; 1970-01-01 was a Thursday */
        return (days + 3 >= 0 ? days + 3 : days - 3) / 7; /* rounded down, also before 1970 */
    case SV_PERIOD_MONTH:
        return year * 12 + month - 1;
    case SV_PERIOD_QUARTER:
        return year * 4 + (month - 1) / 3;
    default:
        return year;
    }
}

static int64_t first_day(sv_period period, int64_t number)
{
    switch (period) {
    case SV_PERIOD_DAY:
        return number;
    case SV_PERIOD_WEEK:
        return number * 7 - 3;
    case SV_PERIOD_MONTH:
        return sv_date_days((long)(number / 12), (int)(number % 12) + 1, 1);
    case SV_PERIOD_QUARTER:
        return sv_date_days((long)(number / 4), (int)(number % 4) * 3 + 1, 1);
    default:
        return sv_date_days((long)number, 1, 1);
    }
}

static int parse_day(int64_t *day, const sv_config *config, const char *key, const char *text, sv_error *error)
{
    double days;
    if (sv_date_parse(text, strlen(text), &days))
        return sv_config_fail(error, config, key, "expected a date (YYYY-MM-DD), got '%.40s'", text);
    *day = (int64_t)days;
    return 0;
}

/* The last period that is over with panel.to: one that goes on behind it is a part of a period, and its figures are no period's. */
static int last_period(int64_t *period, const sv_config *config, sv_error *error)
{
    int64_t day = 0;
    int code = parse_day(&day, config, "panel.to", config->panel.to, error);
    if (!code)
        *period = period_of(config->panel.period, day + 1) - 1;
    return code;
}

static int first_period(int64_t *period, const sv_config *config, sv_error *error)
{
    int64_t day = 0;
    int code = parse_day(&day, config, "panel.from", config->panel.from, error);
    if (!code)
        *period = period_of(config->panel.period, day);
    return code;
}

/* ---- aggregates: "sum(amount) where type == \"PRIJEM\"" ---- */

static size_t closing(const char *text, size_t open)
{
    int depth = 0;
    char quote = 0;
    for (size_t i = open; text[i]; i++) {
        if (quote)
            quote = text[i] == quote ? 0 : quote;
        else if (text[i] == '"' || text[i] == '\'' || text[i] == '`')
            quote = text[i];
        else if (text[i] == '(')
            depth++;
        else if (text[i] == ')' && !--depth)
            return i;
    }
    return 0;
}

static int compute_raw(double **out, panel *p, const sv_entry *entry, const char *text, sv_team *team)
{
    sv_config bare = *p->config; /* the raw rows know no features */
    sv_features *features;
    sv_error inner = SV_ERROR_INIT;
    bare.features = (sv_entries){0};
    int code = sv_schema_build_one(&features, "(aggregate)", "panel.aggregates", text, &bare, p->table, &inner);
    if (!code) {
        code = sv_schema_compute(out, features, "(aggregate)", p->table, team, &inner);
        sv_features_free(features);
    }
    if (!code)
        return 0;
    const char *reason = strstr(inner.message, "': ");
    return inner.code == SV_E_CONFIG ? sv_config_fail_at(p->error, p->config, "panel.aggregates", entry, "%s", reason ? reason + 3 : inner.message)
                                     : sv_error_set(p->error, inner.code, "%s", inner.message);
}

static int parse_aggregate(panel *p, aggregate *a, const sv_entry *entry, sv_team *team)
{
    static const char *const names[] = {"sum", "mean", "count", "first", "last", "min", "max"};
    const char *text = entry->value;
    size_t word = strspn(text, "abcdefghijklmnopqrstuvwxyz_"), open = word + strspn(text + word, " "), end = text[open] == '(' ? closing(text, open) : 0;
    a->entry = entry;
    a->figure = SUM;
    while (a->figure <= MAX && (strlen(names[a->figure]) != word || strncmp(names[a->figure], text, word) != 0))
        a->figure++;
    if (!end || a->figure > MAX || end - open > 1000)
        return sv_config_fail_at(p->error, p->config, "panel.aggregates", entry, "expected sum, mean, count, first, last, min or max, then (…), got '%.60s'", text);
    const char *rest = text + end + 1 + strspn(text + end + 1, " ");
    if (*rest && (strncmp(rest, "where", 5) != 0 || !isspace((unsigned char)rest[5])))
        return sv_config_fail_at(p->error, p->config, "panel.aggregates", entry, "expected `where` and a condition, got '%.60s'", rest);
    char argument[1001];
    snprintf(argument, sizeof argument, "%.*s", (int)(end - open - 1), text + open + 1);
    int is_empty = !argument[strspn(argument, " ")];
    if (is_empty != (a->figure == COUNT))
        return sv_config_fail_at(p->error, p->config, "panel.aggregates", entry, a->figure == COUNT ? "count() takes nothing: use `where`" : "expected an expression in ()");
    int code = is_empty ? 0 : compute_raw(&a->values, p, entry, argument, team);
    return code || !*rest ? code : compute_raw(&a->condition, p, entry, rest + 5, team);
}

static int make_aggregates(panel *p, sv_team *team)
{
    const sv_entries *entries = &p->config->panel.aggregates, *carry = &p->config->panel.carry_forward;
    int code = 0;
    if (entries->count > AGGREGATES_MAX)
        return sv_config_fail(p->error, p->config, "panel.aggregates", "expected at most %d", AGGREGATES_MAX);
    if (!(p->aggregates = sv_calloc(entries->count, sizeof *p->aggregates)))
        return out_of_memory(p->error);
    p->n_aggregates = entries->count;
    for (size_t i = 0; i < entries->count && !code; i++) {
        code = parse_aggregate(p, &p->aggregates[i], &entries->items[i], team);
        for (size_t k = 0; k < carry->count; k++)
            p->aggregates[i].carried |= !strcmp(carry->items[k].value, entries->items[i].key);
    }
    return code;
}

/* ---- sorting ---- */

static int by_entity(const void *a, const void *b)
{
    const raw_row *x = a, *y = b;
    if (x->entity != y->entity)
        return x->entity < y->entity ? -1 : 1;
    if (x->period != y->period)
        return x->period < y->period ? -1 : 1;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row); /* as in the file */
}

static int find(const sv_column **out, panel *p, const char *key, const char *name)
{
    int at = sv_table_find(p->table, name);
    *out = at < 0 ? NULL : &p->table->columns[at];
    return at < 0 ? sv_config_fail(p->error, p->config, key, "no column '%.100s'", name) : 0;
}

static int sort_rows(panel *p)
{
    double *entities = NULL, *times = NULL;
    int64_t to = INT64_MAX;
    int code = p->config->panel.to ? last_period(&to, p->config, p->error) : 0;
    if (code)
        return code;
    p->rows = sv_array(p->table->n_rows + 1, sizeof *p->rows);
    if (!p->rows || sv_row_moments(&entities, p->entity, p->table->n_rows) || sv_row_moments(&times, p->time, p->table->n_rows))
        code = out_of_memory(p->error);
    p->last = INT64_MIN;
    for (size_t row = 0; row < p->table->n_rows && !code; row++) {
        if (isnan(times[row]) || isnan(entities[row])) {
            code = sv_error_set(p->error, SV_E_INPUT, "panel: row %zu: expected a value in column '%s', got nothing", row + 1, (isnan(times[row]) ? p->time : p->entity)->name);
            break;
        }
        int64_t period = period_of(p->config->panel.period, (int64_t)times[row]);
        if (period > to)
            continue;
        p->last = period > p->last ? period : p->last;
        p->rows[p->n_rows++] = (raw_row){entities[row], times[row], period, row};
    }
    sv_free(entities);
    sv_free(times);
    if (!code && !p->n_rows)
        code = sv_error_set(p->error, SV_E_INPUT, "panel: expected rows up to panel.to, got none");
    if (!code)
        qsort(p->rows, p->n_rows, sizeof *p->rows, by_entity);
    return code;
}

/* ---- putting together ---- */

static int count_panel(panel *p)
{
    for (size_t i = 0; i < p->n_rows; i++) {
        if (i && p->rows[i].entity == p->rows[i - 1].entity)
            continue;
        int64_t n = p->last - p->rows[i].period + 1;
        if (n > PERIODS_MAX || p->n_panel + (size_t)n > UINT32_MAX)
            return sv_error_set(p->error, SV_E_LIMIT, "panel: expected at most %d periods for an entity, got %lld", PERIODS_MAX, (long long)n);
        p->n_panel += (size_t)n;
    }
    p->source = sv_array(p->n_panel, sizeof *p->source);
    p->periods = sv_array(p->n_panel, sizeof *p->periods);
    int failed = !p->source || !p->periods;
    for (size_t a = 0; a < p->n_aggregates; a++)
        failed |= !(p->aggregates[a].out = sv_array(p->n_panel, sizeof(double)));
    return failed ? out_of_memory(p->error) : 0;
}

/* One aggregate over the sorted rows [first, end) of one period; before: its figure in the period before, NaN at an entity's first. */
static double put_together(const aggregate *a, const raw_row *rows, size_t first, size_t end, double before)
{
    double sum = 0, result = NAN;
    size_t n = 0;
    for (size_t i = first; i < end; i++) {
        double value = a->values ? a->values[rows[i].row] : 1;
        if (isnan(value) || (a->condition && !(a->condition[rows[i].row] != 0)))
            continue;
        if (a->condition && isnan(a->condition[rows[i].row]))
            continue;
        sum += value;
        if (!n || a->figure == LAST || (a->figure == MIN && value < result) || (a->figure == MAX && value > result))
            result = value;
        n++;
    }
    if (a->figure == SUM || a->figure == COUNT)
        return !n && a->carried ? before : sum;
    if (!n)
        return a->carried ? before : NAN;
    return a->figure == MEAN ? sum / (double)n : result;
}

static void fill_panel(panel *p)
{
    size_t at = 0;
    for (size_t first = 0, end; first < p->n_rows; first = end) {
        for (end = first; end < p->n_rows && p->rows[end].entity == p->rows[first].entity;)
            end++;
        size_t row = first;
        for (int64_t period = p->rows[first].period; period <= p->last; period++, at++) {
            size_t next = row;
            while (next < end && p->rows[next].period == period)
                next++;
            p->source[at] = p->rows[first].row;
            p->periods[at] = period;
            for (size_t a = 0; a < p->n_aggregates; a++)
                p->aggregates[a].out[at] = put_together(&p->aggregates[a], p->rows, row, next, period == p->rows[first].period ? NAN : p->aggregates[a].out[at - 1]);
            row = next;
        }
    }
}

static int take_entity(sv_column *out, const panel *p)
{
    size_t size = sv_store_size(p->entity->store);
    *out = (sv_column){.name = sv_strdup(p->entity->name), .type = p->entity->type, .store = p->entity->store, .data = sv_array(p->n_panel, size)};
    if (!out->name || !out->data || (p->entity->levels && sv_levels_copy(&out->levels, p->entity->levels)))
        return out_of_memory(p->error);
    for (size_t i = 0; i < p->n_panel; i++)
        memcpy((char *)out->data + i * size, (const char *)p->entity->data + p->source[i] * size, size);
    return 0;
}

static int take_period(sv_column *out, const panel *p)
{
    int32_t *days = sv_array(p->n_panel, sizeof *days);
    *out = (sv_column){.name = sv_strdup(p->time->name), .type = SV_DATE, .store = SV_STORE_I32, .data = days};
    if (!out->name || !days)
        return out_of_memory(p->error);
    for (size_t i = 0; i < p->n_panel; i++)
        days[i] = (int32_t)first_day(p->config->panel.period, p->periods[i]);
    return 0;
}

static int make_table(sv_table *out, panel *p)
{
    out->n_rows = p->n_panel;
    out->columns = sv_calloc(p->n_aggregates + 3, sizeof *out->columns);
    int code = out->columns ? 0 : out_of_memory(p->error);
    if (!code)
        code = take_entity(&out->columns[out->n_columns++], p);
    if (!code)
        code = take_period(&out->columns[out->n_columns++], p);
    for (size_t a = 0; a < p->n_aggregates && !code; a++) {
        out->columns[out->n_columns++] = (sv_column){.name = sv_strdup(p->aggregates[a].entry->key), .type = SV_DOUBLE, .store = SV_STORE_F64, .data = p->aggregates[a].out};
        p->aggregates[a].out = NULL;
        code = out->columns[out->n_columns - 1].name ? 0 : out_of_memory(p->error);
    }
    return code;
}

/* Rows before panel.from, or with too little behind them, go once lags have seen them. Columns are shortened in place. */
static int keep_rows(sv_table *table, const panel *p)
{
    int64_t from = INT64_MIN, first = 0;
    size_t kept = 0;
    int code = p->config->panel.from ? first_period(&from, p->config, p->error) : 0;
    for (size_t i = 0; i < table->n_rows && !code; i++) {
        if (!i || p->source[i] != p->source[i - 1])
            first = p->periods[i];
        if (p->periods[i] < from || p->periods[i] - first < p->config->panel.min_history)
            continue;
        for (size_t c = 0; c < table->n_columns && kept != i; c++) {
            size_t size = sv_store_size(table->columns[c].store);
            memcpy((char *)table->columns[c].data + kept * size, (char *)table->columns[c].data + i * size, size);
        }
        kept++;
    }
    table->n_rows = kept;
    return code || kept ? code : sv_error_set(p->error, SV_E_INPUT, "panel: expected rows, got none: panel.from and panel.min_history leave nothing");
}

static void free_panel(panel *p)
{
    for (size_t a = 0; a < p->n_aggregates; a++) {
        sv_free(p->aggregates[a].values);
        sv_free(p->aggregates[a].condition);
        sv_free(p->aggregates[a].out);
    }
    sv_free(p->aggregates);
    sv_free(p->rows);
    sv_free(p->source);
    sv_free(p->periods);
}

int sv_panel_build(sv_table *table, const sv_config *config, sv_team *team, sv_error *error)
{
    panel p = {.config = config, .table = table, .error = error};
    sv_table made = {0};
    int code = find(&p.entity, &p, "panel.entity", config->panel.entity);
    if (!code)
        code = find(&p.time, &p, "panel.time", config->panel.time);
    if (!code && p.time->type != SV_DATE)
        code = sv_config_fail(error, config, "panel.time", "expected column '%s' to be a date, got %s: declare it in columns:", p.time->name, sv_type_name(p.time->type));
    if (!code)
        code = make_aggregates(&p, team);
    if (!code)
        code = sort_rows(&p);
    if (!code)
        code = count_panel(&p);
    if (!code) {
        fill_panel(&p);
        code = make_table(&made, &p);
    }
    if (!code)
        code = sv_panel_shift(&made, config, team, error);
    if (!code)
        code = keep_rows(&made, &p);
    free_panel(&p);
    if (code) {
        sv_table_free(&made);
        return code;
    }
    sv_table_free(table);
    *table = made;
    return 0;
}
