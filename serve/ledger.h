/* ledger.h: what was answered lately, kept until the truth is told: the last predictions by request id and row. Bounded: 40 bytes a prediction. */
#ifndef SV_LEDGER_H
#define SV_LEDGER_H

#include "served.h"

#include <stdint.h>

typedef struct sv_ledger sv_ledger;

/* n: predictions kept, rounded up to a power of two. 0 or SV_E_MEMORY. */
int sv_ledger_new(sv_ledger **out, size_t n);
void sv_ledger_free(sv_ledger *ledger); /* accepts NULL */
size_t sv_ledger_size(const sv_ledger *ledger);

/* A request's first rows, in place of what the same id was answered before in the same place (what was told of that stays told). version: of
   sv_version_serial. Any thread. */
void sv_ledger_add(sv_ledger *ledger, size_t slot, sv_span id, uint32_t version, const sv_tapped *rows, size_t n);

typedef enum sv_ledger_found { SV_LEDGER_UNKNOWN, SV_LEDGER_FOUND, SV_LEDGER_TOLD } sv_ledger_found; /* TOLD: the truth of it was taken before */

/* The prediction of that row, which then counts as told. Any thread. */
sv_ledger_found sv_ledger_take(sv_ledger *ledger, size_t slot, sv_span id, size_t row, sv_tapped *prediction, uint32_t *version);

#endif
