/* validate.h: what MLflow would refuse, cut or silently turn to zero, found before anything is sent (PROTOCOL 1.1 and 2).
   Lengths are counted in characters, as the server counts them. Each check returns 0 or MLF_E_ARGUMENT and fills *error (may be NULL). */
#ifndef MLF_VALIDATE_H
#define MLF_VALIDATE_H

#include "mlflow_client.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* Limits in characters; the smaller one where server versions differ is said beside. */
enum {
    MLF_MAX_KEY = 250,
    MLF_MAX_PARAM_VALUE = 6000,        /* 2.x before 2.14: 500 or 6000 by store */
    MLF_MAX_TAG_VALUE = 8000,          /* before 2.22: 5000 */
    MLF_MAX_EXPERIMENT_NAME = 500,
    MLF_MAX_EXPERIMENT_TAG_VALUE = 20000, /* before 3.0: 5000 */
    MLF_MAX_REGISTRY_TAG_VALUE = 100000,  /* before 3.4: 5000 */
    MLF_MAX_ALIAS = 255,
    MLF_MAX_DATASET_NAME = 500,
    MLF_MAX_DATASET_DIGEST = 36,
    MLF_MAX_DATASET_SOURCE = 65535,
    MLF_MAX_DATASET_SCHEMA = 1048575,
    MLF_MAX_DATASET_PROFILE = 16777215,
    MLF_MAX_INPUT_TAG_KEY = 255,
    MLF_MAX_INPUT_TAG_VALUE = 500,
    MLF_MAX_ARTIFACT_LOCATION = 2048,
    MLF_MAX_BATCH_METRICS = 1000,
    MLF_MAX_BATCH_PARAMS = 100,
    MLF_MAX_BATCH_TAGS = 100,
    MLF_MAX_BATCH_ITEMS = 1000, /* metrics, params and tags together */
};

/* A key of a metric, param or tag: [/\w.\- :]*, at most 250, a path that stays as written. what: "metric", "param", "tag". No system call, no allocation. */
int mlf_check_key(const char *what, const char *key, mlf_error *error);

/* Valid UTF-8 without NUL of at most max_characters. value must not be NULL. */
int mlf_check_text(const char *what, const char *value, size_t max_characters, mlf_error *error);

int mlf_check_run_id(const char *run_id, mlf_error *error);        /* [A-Za-z0-9][\w-]{0,255} */
int mlf_check_experiment_id(const char *id, mlf_error *error);     /* [A-Za-z0-9][\w-]{0,63} */
int mlf_check_model_id(const char *model_id, mlf_error *error);    /* m- and letters, digits, '-', '_' */
int mlf_check_version(const char *version, mlf_error *error);      /* decimal digits */
int mlf_check_alias(const char *alias, mlf_error *error);          /* [\w-]+, not latest, not v<digits> */
int mlf_check_registered_name(const char *name, mlf_error *error); /* no '/' or ':', not blank, no '.' or '..' */
int mlf_check_logged_model_name(const char *name, mlf_error *error); /* none of / : . % " ' */
int mlf_check_workspace(const char *name, mlf_error *error);       /* [a-z0-9]([-a-z0-9]*[a-z0-9])? */

/* Characters of a UTF-8 text, SIZE_MAX when it is not valid UTF-8. */
size_t mlf_text_length(const char *text);

/* Bytes of the longest beginning of text that holds at most max_characters. For cutting as the server would. */
size_t mlf_text_cut(const char *text, size_t max_characters);

/* A double as the server wants it: a JSON real, or the strings "NaN", "Infinity", "-Infinity". New reference, NULL when memory is out. */
json_t *mlf_json_double(double value);

/* The reverse, lenient as servers differ: a number, or one of those strings; +-1.7976931348623157e+308 comes back as the infinity that SQL stores
   cut to it. 0, or -1 when it is something else. */
int mlf_json_to_double(const json_t *value, double *out);

#endif
