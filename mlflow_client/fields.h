/* fields.h: arguments checked against the field language of endpoints.def, because the server turns what it cannot parse into nothing and answers 200
   (PROTOCOL 1.1). */
#ifndef MLF_FIELDS_H
#define MLF_FIELDS_H

#include "mlflow_client.h"

#include <jansson.h>

/* fields: "run_id!:s step:i"; open: further members pass. MLF_E_ARGUMENT names the field, what was expected and what came. */
int mlf_fields_check(const char *fields, const json_t *arguments, int open, mlf_error *error);

/* The next field of *fields: its name (length), whether it is required, its type and whether it is a list; moves *fields. 0 at the end, else 1. */
typedef struct mlf_field {
    const char *name, *type;
    size_t name_length, type_length; /* type: "s", "%Enum", "@Shape" */
    int required, is_list;
} mlf_field;

int mlf_field_next(mlf_field *field, const char **fields);

/* "A|B|C" of an enumeration, the fields of a shape; NULL when there is none of that name. */
const char *mlf_enum_names(const char *name, size_t length);
const char *mlf_shape_fields(const char *name, size_t length);

#endif
