#include "model_rows.h"
#include "alloc.h"
#include "csv_header.h"

#include <string.h>

int sv_model_rows_begin(sv_model_rows *rows, const sv_pipeline *pipeline, sv_error *error)
{
    const sv_features *features = sv_pipeline_features(pipeline);
    const sv_csv_form *form = sv_pipeline_csv_form(pipeline);
    size_t n = sv_features_n_columns(features);
    *rows = (sv_model_rows){.options = SV_CSV_OPTIONS_INIT};
    rows->columns = (sv_entries){n, sv_calloc(n + 1, sizeof *rows->columns.items)};
    rows->missing = (sv_entries){form->n_missing, sv_calloc(form->n_missing + 1, sizeof *rows->missing.items)};
    rows->wanted = sv_calloc(n + 1, sizeof *rows->wanted);
    if (!rows->columns.items || !rows->missing.items || !rows->wanted)
        return sv_error_set(error, SV_E_MEMORY, "out of memory");
    for (size_t c = 0; c < n; c++) {
        rows->wanted[c] = sv_features_name(features, (int)c);
        rows->columns.items[c] = (sv_entry){rows->wanted[c], sv_type_name(sv_features_type(features, (int)c)), 0, 0};
    }
    for (size_t i = 0; i < form->n_missing; i++)
        rows->missing.items[i].value = form->missing[i];
    rows->options.quote = form->quote;
    rows->options.header = form->header;
    rows->options.trim = form->trim;
    rows->options.date_format = form->date_format;
    rows->options.missing = &rows->missing;
    rows->options.columns = &rows->columns;
    rows->options.may_lack = 1; /* the pipeline knows what it needs */
    rows->options.wanted = rows->wanted;
    rows->options.n_wanted = n;
    return 0;
}

void sv_model_rows_free(sv_model_rows *rows)
{
    sv_free(rows->columns.items);
    sv_free(rows->missing.items);
    sv_free(rows->wanted);
}

void sv_model_rows_delimiter(sv_model_rows *rows, const sv_pipeline *pipeline, const char *first, size_t length)
{
    char trained = sv_pipeline_csv_form(pipeline)->delimiter;
    const char *line_end = length ? memchr(first, '\n', length) : NULL;
    size_t line = line_end ? (size_t)(line_end - first) : length;
    int is_like_it = trained && line && memchr(first, trained, line);
    rows->options.delimiter = is_like_it ? trained : sv_csv_find_delimiter(first, length, rows->options.quote);
}
