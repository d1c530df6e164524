/* background.h: the thread behind the workers: what is learnt from answers without keeping anybody waiting. Workers hand it answered requests through a
   queue each; it scores them with the other version (shadow.h), and looks once a second whether drift is noticed. */
#ifndef SV_BACKGROUND_H
#define SV_BACKGROUND_H

#include "service.h"

/* Begins the thread; the last of the service's workers is its own. shadow_slot: the challenger's place, SIZE_MAX: none. Sets service->background. */
int sv_background_start(sv_background **out, sv_service *service, size_t shadow_slot, sv_error *error);
void sv_background_stop(sv_background *background); /* first what is still queued; frees. Accepts NULL */

/* From worker's thread, after an answer with status 200. Does nothing when nobody wants it. */
void sv_background_offer(sv_background *background, const sv_call *call, size_t answered_by, const struct sv_row *row);

#endif
