/* mlmodel.h: the few lines of an MLmodel file that say where it belongs. It is YAML; only its top-level "key: value" lines are looked at. */
#ifndef MLF_MLMODEL_H
#define MLF_MLMODEL_H

#include "buffer.h"

#include <jansson.h>

#define MLF_MLMODEL_MAX_BYTES (4u << 20)

/* Where the model has gone; NULL: the line is taken out (model_id) or left alone (the others). */
typedef struct mlf_mlmodel_place {
    const char *artifact_path, *run_id, *model_id;
} mlf_mlmodel_place;

/* Appends text with those lines replaced or added. 0 or SV_E_MEMORY. */
int mlf_mlmodel_stamp(sv_buffer *out, const char *text, const mlf_mlmodel_place *place);

/* {"python_function": {}, …}: the names below "flavors:". New reference; NULL when memory is out. */
json_t *mlf_mlmodel_flavors(const char *text);

#endif
