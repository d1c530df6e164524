/* frame.h: a request's rows before they have types: what pandas would hold, built from JSON by pandas' rules. The careful path. */
#ifndef SV_FRAME_H
#define SV_FRAME_H

#include "arena.h"
#include "http_reply.h"
#include "json_value.h"
#include "served.h"

/* How cells become typed values: as pandas' astype, as numpy's array(), or as read_csv does. They differ in small ways that clients rely on. */
typedef enum sv_reading { SV_READ_ASTYPE, SV_READ_ARRAY, SV_READ_CSV } sv_reading;

typedef struct sv_frame {
    sv_reading reading;
    size_t n_rows, n_columns;
    const sv_span *names;        /* (n_columns); text NULL: a name that is no text */
    const sv_json *const *cells; /* (n_columns, n_rows); NULL: not given, as null */
} sv_frame;

typedef struct sv_frame_limits {
    size_t max_rows, max_cells;
} sv_frame_limits;

/* {"columns", "data", "index"}; a list of records; the values of `instances` and `inputs`. Return 0, or -1 with the refusal in reply. */
int sv_frame_from_split(sv_frame *frame, sv_arena *arena, const sv_json *value, const sv_frame_limits *limits, sv_reply *reply);
int sv_frame_from_records(sv_frame *frame, sv_arena *arena, const sv_json *value, const sv_frame_limits *limits, sv_reply *reply);
int sv_frame_from_instances(sv_frame *frame, sv_arena *arena, const sv_json *value, const sv_served *served, const sv_frame_limits *limits, sv_reply *reply);
int sv_frame_from_inputs(sv_frame *frame, sv_arena *arena, const sv_json *value, const sv_served *served, const sv_frame_limits *limits, sv_reply *reply);

/* Typed columns of all rows, as a scorer wants them: (n_inputs) arrays of n_rows doubles or codes, in arena. -1 with the refusal in reply. */
int sv_frame_convert(const sv_frame *frame, sv_arena *arena, const sv_served *served, void **columns, sv_reply *reply);

#endif
