/* clock.h: the time of day for the wire, a monotonic one for durations. */
#ifndef SV_CLOCK_H
#define SV_CLOCK_H

#include <stdint.h>

int64_t sv_epoch_ms(void);    /* milliseconds since 1970, wall clock */
int64_t sv_monotonic_ns(void); /* nanoseconds since some fixed moment; never goes back */

#endif
