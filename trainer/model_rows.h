/* model_rows.h: how a file of rows for a model is read: the model's columns with their types, the cells written as its training files wrote them. */
#ifndef SV_MODEL_ROWS_H
#define SV_MODEL_ROWS_H

#include "csv_read.h"
#include "pipeline.h"

typedef struct sv_model_rows {
    sv_csv_options options; /* borrows the rest, and the pipeline's texts */
    sv_entries columns, missing;
    const char **wanted;    /* (columns.count) */
} sv_model_rows;

/* SV_E_MEMORY. */
int sv_model_rows_begin(sv_model_rows *rows, const sv_pipeline *pipeline, sv_error *error);
void sv_model_rows_free(sv_model_rows *rows); /* the contents */

/* Sets options.delimiter by a file's first bytes: the training files', where the first line holds it; else the file is of another kind and its own is found. */
void sv_model_rows_delimiter(sv_model_rows *rows, const sv_pipeline *pipeline, const char *first, size_t length);

#endif
