#include "csv_form.h"
#include "alloc.h"

#include <ctype.h>
#include <string.h>

static int can_be_read(const sv_csv_form *form)
{
    size_t length = strlen(form->date_format);
    int delimiter_fits = !form->delimiter || (form->delimiter != form->quote && !isalnum((unsigned char)form->delimiter) && !strchr("\r\n+-.", form->delimiter));
    return delimiter_fits && form->quote && !strchr("\r\n", form->quote) && length > 0 && length <= SV_DATE_FORMAT_MAX && form->n_missing <= SV_CSV_MISSING_MAX;
}

sv_csv_form *sv_csv_form_copy(const sv_csv_form *form, int *code, sv_error *error)
{
    size_t size = sizeof *form + form->n_missing * sizeof(char *) + strlen(form->date_format) + 1;
    if (!can_be_read(form)) {
        *code = sv_error_set(error, SV_E_CONFIG, "expected a delimiter, a quote and a date format that a file can be read by");
        return NULL;
    }
    for (size_t i = 0; i < form->n_missing; i++)
        size += strlen(form->missing[i]) + 1;
    sv_csv_form *copy = sv_malloc(size);
    *code = copy ? 0 : sv_error_set(error, SV_E_MEMORY, "out of memory");
    if (!copy)
        return NULL;
    const char **missing = (const char **)(copy + 1);
    char *at = (char *)(missing + form->n_missing);
    *copy = *form;
    copy->missing = missing;
    copy->date_format = strcpy(at, form->date_format);
    for (size_t i = 0; i < form->n_missing; i++) {
        at += strlen(at) + 1;
        missing[i] = strcpy(at, form->missing[i]);
    }
    return copy;
}

int sv_csv_form_is_usual(const sv_csv_form *form)
{
    static const sv_csv_form usual = SV_CSV_FORM_INIT;
    return form->delimiter == usual.delimiter && form->quote == usual.quote && form->header == usual.header && form->trim == usual.trim && !form->n_missing &&
           !strcmp(form->date_format, usual.date_format);
}
