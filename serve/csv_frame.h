/* csv_frame.h: CSV text -> frame, by the rules of pandas.read_csv with its defaults. The careful path; row_scan.h takes the usual bodies. */
#ifndef SV_CSV_FRAME_H
#define SV_CSV_FRAME_H

#include "frame.h"

/* text: UTF-8. A line longer than the header is refused (pandas would shift its cells). Returns 0, or -1 with the refusal in reply. */
int sv_frame_from_csv(sv_frame *frame, sv_arena *arena, sv_span text, const sv_frame_limits *limits, sv_reply *reply);

#endif
