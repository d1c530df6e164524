/* prediction_line.h: an answered request as lines of the prediction log, one a row. */
#ifndef SV_PREDICTION_LINE_H
#define SV_PREDICTION_LINE_H

#include "prediction_log.h"
#include "service.h"

/* {"time_ms", "request_id"(, "traceparent"), "row", "model", "version", "inputs": {…}, "outputs": {…}}: the model's own inputs as the request gave them
   (a column it left out, and what a binary tensor holds, is null; a redacted field is "(redacted)"), the first SV_TAP_ROWS rows. call: the record's
   request once more, with an arena and a reply that nobody reads. */
void sv_prediction_lines(sv_prediction_log *log, const sv_record *record, sv_call *call);

#endif
