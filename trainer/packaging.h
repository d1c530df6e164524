/* packaging.h: what a training leaves on disk: the model's package and the report; in the output folder, or in a temporary one on the way to the server. */
#ifndef SV_PACKAGING_H
#define SV_PACKAGING_H

#include "training.h"

typedef struct sv_packaging {
    char *folder;   /* OUTPUT, or a temporary one that sv_packaging_free removes */
    char *package;  /* FOLDER/model */
    char *report;   /* FOLDER/report: report.html, plots, config.yaml */
    char *card;     /* Markdown for the version's description */
    int is_temporary;
} sv_packaging;

int sv_packaging_write(sv_packaging *packaging, const sv_training *training, sv_error *error);
void sv_packaging_free(sv_packaging *packaging); /* the contents; accepts an empty one */

#endif
