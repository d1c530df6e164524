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
    int lock;       /* a descriptor that holds OUTPUT against other trainings; -1: none yet */
} sv_packaging;

#define SV_PACKAGING_INIT {.lock = -1}

/* Takes OUTPUT for this training until sv_packaging_free: two that write there at once would leave a mixture. Nothing to do without one, or as long as the folder
   is not there: sv_packaging_write, which makes it, takes it too. SV_E_IO: another training has it. Where the file system knows no locks nobody is refused. */
int sv_packaging_lock(sv_packaging *packaging, const sv_config *config, sv_error *error);


int sv_packaging_write(sv_packaging *packaging, const sv_training *training, sv_error *error);
void sv_packaging_free(sv_packaging *packaging); /* the contents; accepts an empty one */

#endif
