/* csv_form.h: how the files were written that a model was made from, where that differs from the usual: what reads further files of the kind (`solvent predict`)
   must know to find the same cells in them. Requests to a server are not read by it: there MLflow's own rules hold. */
#ifndef SV_CSV_FORM_H
#define SV_CSV_FORM_H

#include "error.h"

#include <stddef.h>

typedef struct sv_csv_form {
    char delimiter;             /* 0: found in the first line */
    char quote;
    int header, trim;           /* 1: the first line has the names; blanks around unquoted cells are dropped */
    const char *date_format;    /* as strptime writes it */
    const char *const *missing; /* (n_missing) cells that stand for nothing, beside the empty one */
    size_t n_missing;
} sv_csv_form;

#define SV_CSV_FORM_INIT {.quote = '"', .header = 1, .trim = 1, .date_format = "%Y-%m-%d"}

enum { SV_CSV_MISSING_MAX = 4096, SV_DATE_FORMAT_MAX = 255 };

/* A copy in one block, or NULL: *code is SV_E_CONFIG for a form that nothing can be read by, SV_E_MEMORY. The caller's (sv_free). */
sv_csv_form *sv_csv_form_copy(const sv_csv_form *form, int *code, sv_error *error);

int sv_csv_form_is_usual(const sv_csv_form *form); /* 1: what SV_CSV_FORM_INIT says */

#endif
