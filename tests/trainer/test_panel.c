#include "csv_read.h"
#include "dataset.h"
#include "panel.h"
#include "table_text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char rows[] = "id,day,kind,amount,balance\n"
                           "b,2024-01-20,in,5,5\n"
                           "a,2024-01-31,out,30,70\n"
                           "a,2024-01-02,in,100,100\n"
                           "a,2024-03-05,in,10,80\n"
                           "a,2024-04-01,in,1,81\n";

/* The panel of the rows above, as text, or "error: …". */
static char *panel(const char *more)
{
    static sv_buffer out;
    char path[] = "/tmp/sv_panel_XXXXXX", text[1500];
    int descriptor = mkstemp(path);
    sv_config *config;
    sv_dataset dataset;
    sv_error error = SV_ERROR_INIT;
    sv_buffer_clear(&out);
    cr_assert(write(descriptor, rows, sizeof rows - 1) == sizeof rows - 1);
    close(descriptor);
    snprintf(text, sizeof text, "data: {source: %s}\ncolumns: {day: date}\ntarget: {when: 'lead(balance) > balance'}\npanel:\n  entity: id\n  time: day\n%s", path, more);
    int code = sv_config_parse(&config, "c.yaml", text, strlen(text), NULL, &error);
    if (!code)
        code = sv_panel_check(config, &error);
    if (!code && !(code = sv_dataset_read_table(&dataset, config, NULL, &error))) {
        table_text(&out, &dataset.table);
        sv_dataset_free(&dataset);
    }
    if (code)
        sv_buffer_format(&out, "error: %s", error.message);
    sv_config_free(config);
    unlink(path);
    return out.data;
}

Test(panel, aggregates_periods_and_shifts)
{
    cr_expect_str_eq(panel("  aggregates: {balance: last(balance), income: sum(amount) where kind == \"in\", n: count()}\n  carry_forward: [balance]\n"
                           "  to: 2024-03-31\nfeatures: {change: 'balance - lag(balance, 1)', before: lag(change)}\n"),
                     "id:string/c8=<a>,<a>,<a>,<b>,<b>,<b> levels b|a\n"
                     "day:date/i32=19723,19754,19783,19723,19754,19783\n"
                     "balance:double/f64=70,70,80,5,5,5\n"
                     "income:double/f64=100,0,10,5,0,0\n"
                     "n:double/f64=2,0,1,1,0,0\n"
                     "balance_lag_1:double/f64=NaN,70,70,NaN,5,5\n"
                     "change_lag_1:double/f64=NaN,NaN,0,NaN,NaN,0\n"
                     "balance_lead_1:double/f64=70,80,NaN,5,5,NaN\n");
}

Test(panel, rolling_figures_and_history)
{
    cr_expect_str_eq(panel("  period: month\n  min_history: 2\n  aggregates: {balance: mean(balance)}\n  carry_forward: [balance]\n"
                           "features: {r: 'rolling_mean(balance, 2) + rolling_sum(balance * 2, 2)'}\n"),
                     "id:string/c8=<a>,<a>,<b>,<b> levels b|a\n"
                     "day:date/i32=19783,19814,19783,19814\n"
                     "balance:double/f64=80,81,5,5\n"
                     "balance_rolling_mean_2:double/f64=82.5,80.5,5,5\n"
                     "rolling_sum(balance * 2, 2):double/f64=330,322,20,20\n"
                     "balance_lead_1:double/f64=81,NaN,5,NaN\n");
}

/* A day in the middle of March: the rows of March are a part of a month, and not used, those before the day neither. */
Test(panel, the_last_period_is_over_with_the_last_day)
{
    static const char *const days[] = {"2024-02-29", "2024-03-15", "2024-03-30"};
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        char more[200];
        snprintf(more, sizeof more, "  aggregates: {balance: last(balance), n: count()}\n  carry_forward: [balance]\n  to: %s\n", days[i]);
        cr_expect_str_eq(panel(more), "id:string/c8=<a>,<b> levels b|a\n"
                                      "day:date/i32=19723,19723\n"
                                      "balance:double/f64=70,5\n"
                                      "n:double/f64=2,1\n"
                                      "balance_lead_1:double/f64=NaN,NaN\n", "%s", days[i]);
    }
}

Test(panel, what_is_wrong_is_said)
{
    static const struct {
        const char *more, *message;
    } cases[] = {
        {"  aggregates: {balance: last(balance)}\nfeatures: {x: 'lead(balance, 1) - balance'}\n",
         "error: c.yaml:8:15: in 'features.x': looks ahead: lead() tells what a later period will bring, which nobody knows when predicting"},
        {"  aggregates: {balance: last(balance)}\nfeatures: {x: 'y + 1', y: 'lead(balance, 1)'}\nuse: [x]\n",
         "error: c.yaml:8:15: in 'features.x': looks ahead: lead() tells what a later period will bring, which nobody knows when predicting"},
        {"  aggregates: {balance: last(balance)}\nfeatures: {x: 'y + 1', y: 'lead(balance, 1)'}\nuse: [balance]\ntrain: {offset: x}\n",
         "error: c.yaml:10:17: in 'train.offset': 'x' is of a later period than the row's: a look ahead"},
        {"  aggregates: {balance: last(balance)}\ntrain: {offset: balance_lead_1}\n",
         "error: c.yaml:8:17: in 'train.offset': 'balance_lead_1' is of a later period than the row's: a look ahead"},
        {"  aggregates: {balance: last(balance)}\nevaluate: {baseline: balance_lead_1}\n",
         "error: c.yaml:8:22: in 'evaluate.baseline': 'balance_lead_1' is of a later period than the row's: a look ahead"},
        {"  aggregates: {balance: last(balance)}\nfeatures: {x: 'lag(balance, 1.5)'}\n",
         "error: c.yaml:8:15: in 'features.x': lag: expected 1 to 10000 whole periods, got 1.5\n    lag(balance, 1.5)\n    ^"},
        {"  aggregates: {balance: final(balance)}\n",
         "error: c.yaml:7:25: in 'panel.aggregates.balance': expected sum, mean, count, first, last, min or max, then (…), got 'final(balance)'"},
        {"  aggregates: {balance: last(balance) if x}\n", "error: c.yaml:7:25: in 'panel.aggregates.balance': expected `where` and a condition, got 'if x'"},
        {"  aggregates: {balance: last()}\n", "error: c.yaml:7:25: in 'panel.aggregates.balance': expected an expression in ()"},
        {"  aggregates: {balance: last(balanc)}\n", NULL}, /* the name is model's to complain about */
        {"  aggregates: {balance: last(balance)}\n  to: 2020-01-31\n", "error: panel: expected rows up to panel.to, got none"},
        {"  aggregates: {balance: last(balance)}\n  to: soon\n", "error: c.yaml:8:7: in 'panel.to': expected a date (YYYY-MM-DD), got 'soon'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *got = panel(cases[i].more);
        if (cases[i].message)
            cr_expect_str_eq(got, cases[i].message);
        else
            cr_expect(!strncmp(got, "error: c.yaml:7:25: in 'panel.aggregates.balance': ", 50) && strstr(got, "balance"), "%s", got);
    }
}
