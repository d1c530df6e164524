/* frame_private.h: the builders that frame.c and frame_array.c share. */
#ifndef SV_FRAME_PRIVATE_H
#define SV_FRAME_PRIVATE_H

#include "frame.h"

int sv_frame_no_memory(sv_reply *reply);
/* A list of objects: the columns are the union of their names. */
int sv_frame_from_objects(sv_frame *frame, sv_arena *arena, const sv_json *list, const sv_frame_limits *limits, sv_reply *reply);
/* A list of lists: rows; short ones are padded. Without columns the names are numbers. */
int sv_frame_from_lists(sv_frame *frame, sv_arena *arena, const sv_json *list, const sv_json *columns, const sv_frame_limits *limits, sv_reply *reply);
/* A list of scalars: one column. */
int sv_frame_from_scalars(sv_frame *frame, sv_arena *arena, const sv_json *list, sv_span name, const sv_frame_limits *limits, sv_reply *reply);
/* An object of columns: lists of one length, or scalars beside a list. */
int sv_frame_from_columns(sv_frame *frame, sv_arena *arena, const sv_json *object, const sv_frame_limits *limits, sv_reply *reply, const char **why);
int sv_frame_all_of_kind(const sv_json *list, sv_json_kind kind, int or_null);
/* The first item that is no null decides what kind of list this is; a kind: SV_JSON_NULL when there is none. */
sv_json_kind sv_frame_list_kind(const sv_json *list);
int sv_frame_refuse_surrogates(const sv_frame *frame, const char *orient, sv_reply *reply);
const sv_json **sv_frame_cell_of(sv_frame *frame, size_t column, size_t row);

#endif
