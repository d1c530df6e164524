/* dataset.c: from the configuration to rows with a target and a part. */
#include "dataset.h"
#include "alloc.h"
#include "csv_read.h"
#include "panel.h"
#include "data_source.h"
#include "log.h"
#include "number.h"
#include "ranks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fill_options(sv_csv_options *options, const sv_config *config)
{
    *options = (sv_csv_options)SV_CSV_OPTIONS_INIT;
    options->delimiter = config->data.delimiter ? *config->data.delimiter : 0;
    options->quote = *config->data.quote;
    options->header = config->data.header;
    options->trim = config->data.trim;
    options->date_format = config->data.date_format;
    options->missing = &config->data.missing;
    options->columns = &config->columns;
    options->on_bad_row = config->data.on_bad_row;
    options->bad_row_hint = "data.on_bad_row: skip leaves such rows out; columns: declares types; data.missing: names cells that stand for nothing";
    options->max_rows = config->data.max_rows;
    options->by_ranks = sv_ranks_count() > 1;
}

static int is_declared(const sv_config *config, const char *name)
{
    for (size_t i = 0; i < config->columns.count; i++)
        if (!strcmp(config->columns.items[i].key, name))
            return 1;
    return 0;
}

/* A column whose type was found from its cells is text as soon as one cell is; when nearly all are numbers that one is likely a slip. */
static void warn_of_slips(const sv_table *table, const sv_config *config)
{
    for (size_t c = 0; c < table->n_columns; c++) {
        const sv_column *column = &table->columns[c];
        if (column->type != SV_STRING || is_declared(config, column->name))
            continue;
        size_t n = sv_levels_count(column->levels), numbers = 0, length;
        const char *slip = "";
        for (size_t i = 0; i < n; i++) {
            double number;
            const char *text = sv_levels_text(column->levels, i, &length);
            if (!length || !sv_parse_double(text, length, &number))
                numbers++;
            else
                slip = text;
        }
        if (n >= 10 && numbers < n && numbers * 10 >= n * 9)
            sv_log(SV_LOG_WARN, "column '%s' is read as text because of '%.60s': %zu of its %zu different values are numbers; 'columns: {%s: double}' would name the row",
                   column->name, slip, numbers, n, column->name);
    }
}

static int read_sources(sv_dataset *out, const sv_config *config, sv_team *team, sv_error *error)
{
    size_t n = config->data.source.count;
    sv_source *sources = sv_calloc(n, sizeof *sources);
    sv_csv_options options;
    sv_csv_info info;
    int code = sources ? 0 : sv_error_set(error, SV_E_MEMORY, "data: out of memory");
    for (size_t i = 0; i < n && sources; i++)
        sources[i] = (sv_source)SV_SOURCE_INIT;
    if (config->data.credentials && !code) /* where the stores look for them */
        setenv("GOOGLE_APPLICATION_CREDENTIALS", config->data.credentials, 1);
    for (size_t i = 0; i < n && !code; i++)
        code = sv_source_open(&sources[i], config->data.source.items[i].value, error);
    if (code == SV_E_IO)
        sv_error_hint(error, "`data.source` names it, seen from the folder that the command runs in; scripts/get-data fetches what the examples use");
    fill_options(&options, config);
    if (!code)
        code = sv_csv_read(&out->table, &info, sources, n, &options, team, error);
    if (!code) {
        warn_of_slips(&out->table, config);
        out->digest = info.digest;
        out->bytes_read = info.bytes;
        out->bytes_parsed = info.bytes_parsed;
        out->bad_rows = info.n_bad;
        for (size_t i = 0; i < info.n_bad && i < SV_CSV_BAD_SHOWN; i++)
            snprintf(out->bad[i], sizeof out->bad[i], "%s", info.bad[i]);
        if (!out->table.n_rows)
            code = sv_error_set(error, SV_E_INPUT, "%s: expected rows, got none", sources->name);
    }
    for (size_t i = 0; i < n && sources; i++)
        sv_source_close(&sources[i]);
    sv_free(sources);
    return code;
}

int sv_dataset_read_table(sv_dataset *out, const sv_config *config, sv_team *team, sv_error *error)
{
    *out = (sv_dataset){0};
    if (config->train.cache && sv_alloc_spill(config->train.cache))
        return sv_config_fail(error, config, "train.cache", "expected a folder for files, got %s: %s", config->train.cache, strerror(errno));
    int code = read_sources(out, config, team, error);
    if (!code && config->panel.entity)
        code = sv_panel_build(&out->table, config, team, error);
    if (code)
        sv_dataset_free(out);
    return code;
}

int sv_dataset_read(sv_dataset *out, const sv_config *config, sv_team *team, sv_error *error)
{
    int code = sv_dataset_read_table(out, config, team, error);
    if (!code && !(out->parts = sv_calloc(out->table.n_rows + 1, 1)))
        code = sv_error_set(error, SV_E_MEMORY, "data: out of memory");
    if (!code)
        code = sv_dataset_make_target(&out->target, out->parts, config, &out->table, team, error);
    if (!code)
        code = sv_split(out->parts, out->counts, config, &out->table, &out->target, error);
    if (code)
        sv_dataset_free(out);
    return code;
}

void sv_dataset_free(sv_dataset *dataset)
{
    if (!dataset)
        return;
    sv_table_free(&dataset->table);
    sv_free(dataset->target.name);
    sv_free(dataset->target.data);
    sv_levels_free(dataset->target.levels);
    sv_free(dataset->parts);
    *dataset = (sv_dataset){0};
}
