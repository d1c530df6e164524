/* shadow.h: the challenger beside the champion: what each answered to the same rows, as far as they differ. The first SV_TAP_ROWS rows of a request are
   compared. Figures begin anew when either version changes. */
#ifndef SV_SHADOW_H
#define SV_SHADOW_H

#include "buffer.h"
#include "served.h"

typedef struct sv_shadow sv_shadow;

int sv_shadow_new(sv_shadow **out); /* 0 or SV_E_MEMORY */
void sv_shadow_free(sv_shadow *shadow); /* accepts NULL */

/* One request's rows (n each); champion and challenger tell which versions answered. From one thread. */
void sv_shadow_compare(sv_shadow *shadow, const sv_served *champion, const sv_tapped *by_champion, const sv_served *challenger, const sv_tapped *by_challenger, size_t n);
void sv_shadow_failed(sv_shadow *shadow); /* the other version did not answer what one answered */

/* A line in the log of what was compared since the last one; nothing when nothing was. From the comparing thread. */
void sv_shadow_log(sv_shadow *shadow);

void sv_shadow_write_metrics(sv_shadow *shadow, sv_buffer *text); /* any thread */

/* {"champion", "challenger", "rows", "disagreements", "mean_difference", "mean_absolute_difference", "largest_difference", "histogram": [{"le", "rows"}],
    "failed", "dropped"} (dropped: requests that found no room in the queue): versions null before the first comparison; differences are the challenger's first output less the champion's. */
int sv_shadow_write(sv_shadow *shadow, unsigned long dropped, sv_buffer *json);

#endif
