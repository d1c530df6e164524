/* frame_array.c: frames from `instances` and `inputs`, by the rules of numpy's array() that MLflow applies to them. See frame.h. */
#include "array_cells.h"
#include "frame_private.h"
#include "mlflow_error.h"

static int of_different_length(sv_reply *reply)
{
    sv_mlflow_refuse(reply, SV_REFUSE_INPUT, "The length of values for each input/column name are not the same");
    return -1;
}

static int cannot_be_frame(sv_reply *reply, const char *why)
{
    sv_mlflow_refuse(reply, SV_REFUSE_SCHEMA,
                     "Failed to enforce schema of data with the model's schema. Error: This model contains a column-based signature, which suggests a DataFrame input. "
                     "There was an error casting the input data to a DataFrame: %s",
                     why);
    return -1;
}

static int columns_or_refusal(sv_frame *frame, sv_arena *arena, const sv_json *object, const sv_frame_limits *limits, sv_reply *reply)
{
    const char *why = NULL;
    int all_scalar = object->n > 0;
    for (uint32_t c = 0; c < object->n; c++)
        all_scalar &= object->items[c].kind != SV_JSON_LIST;
    if (!all_scalar) {
        int code = sv_frame_from_columns(frame, arena, object, limits, reply, &why);
        return code && why ? cannot_be_frame(reply, why) : code;
    }
    sv_json *list = sv_arena_zero(arena, 1, sizeof *list); /* one row of scalars */
    if (!list)
        return sv_frame_no_memory(reply);
    *list = (sv_json){.kind = SV_JSON_LIST, .n = 1, .items = object};
    return sv_frame_from_objects(frame, arena, list, limits, reply);
}

/* What is no object and no list of objects is one array of the first input's type. */
static int refuse_array(sv_reply *reply, const sv_served *served)
{
    sv_mlflow_refuse(reply, SV_REFUSE_INPUT, "Failed to convert data to an array of %s, the type of the model's first input '%s'.", sv_type_name(served->inputs[0].type),
                     served->inputs[0].name.text);
    return -1;
}

static int from_array(sv_frame *frame, sv_arena *arena, const sv_json *value, const sv_served *served, const sv_frame_limits *limits, sv_reply *reply)
{
    if (!sv_array_fits(value, served->inputs[0].type))
        return refuse_array(reply, served);
    if (value->kind == SV_JSON_LIST)
        return sv_frame_list_kind(value) == SV_JSON_LIST ? sv_frame_from_lists(frame, arena, value, NULL, limits, reply)
                                                : sv_frame_from_scalars(frame, arena, value, (sv_span){NULL, 0}, limits, reply);
    sv_json *list = sv_arena_zero(arena, 1, sizeof *list);
    if (!list)
        return sv_frame_no_memory(reply);
    *list = (sv_json){.kind = SV_JSON_LIST, .n = 1, .items = value};
    return sv_frame_from_scalars(frame, arena, list, (sv_span){NULL, 0}, limits, reply);
}

/* The cells of each column must convert before anything else is looked at. */
static int check_arrays(const sv_frame *frame, const sv_served *served, sv_reply *reply)
{
    for (size_t c = 0; c < frame->n_columns; c++) {
        const sv_json *const *cells = frame->cells + c * frame->n_rows;
        int input = frame->names[c].text ? sv_served_input(served, frame->names[c].text, frame->names[c].size) : -1;
        int bad = sv_array_cells_form(cells, frame->n_rows) == SV_ARRAY_RAGGED;
        for (size_t i = 0; i < frame->n_rows && input >= 0 && !bad; i++)
            bad = cells[i] && !sv_array_fits(cells[i], served->inputs[input].type);
        if (bad) {
            sv_mlflow_refuse(reply, SV_REFUSE_INPUT, "the values of a column cannot be converted to one array");
            return -1;
        }
    }
    return sv_frame_refuse_surrogates(frame, "inputs", reply);
}

static int is_list_of_objects(const sv_json *value)
{
    return value->kind == SV_JSON_LIST && value->n && sv_frame_all_of_kind(value, SV_JSON_OBJECT, 0);
}

static int inputs_frame(sv_frame *frame, sv_arena *arena, const sv_json *value, const sv_served *served, const sv_frame_limits *limits, sv_reply *reply)
{
    if (value->kind == SV_JSON_OBJECT)
        return columns_or_refusal(frame, arena, value, limits, reply);
    if (is_list_of_objects(value))
        return sv_frame_from_objects(frame, arena, value, limits, reply);
    if (served->n_inputs == 1 && value->kind == SV_JSON_LIST && sv_frame_list_kind(value) != SV_JSON_OBJECT)
        return sv_frame_from_scalars(frame, arena, value, served->inputs[0].name, limits, reply);
    return from_array(frame, arena, value, served, limits, reply);
}

int sv_frame_from_inputs(sv_frame *frame, sv_arena *arena, const sv_json *value, const sv_served *served, const sv_frame_limits *limits, sv_reply *reply)
{
    frame->reading = SV_READ_ARRAY;
    return inputs_frame(frame, arena, value, served, limits, reply) || check_arrays(frame, served, reply) ? -1 : 0;
}

/* Records' values are gathered column by column: what one record lacks makes that column shorter, and the columns must be of one length. */
static int close_gaps(sv_frame *frame, const sv_served *served, sv_reply *reply)
{
    size_t n_all = SIZE_MAX, n_required = SIZE_MAX;
    int uneven = 0;
    for (size_t c = 0; c < frame->n_columns; c++) {
        size_t n = 0;
        for (size_t i = 0; i < frame->n_rows; i++)
            if (frame->cells[c * frame->n_rows + i])
                *sv_frame_cell_of(frame, c, n++) = frame->cells[c * frame->n_rows + i];
        int input = sv_served_input(served, frame->names[c].text, frame->names[c].size);
        if (input >= 0 && !served->inputs[input].optional) {
            if (n_required != SIZE_MAX && n != n_required)
                return of_different_length(reply);
            n_required = n;
        }
        uneven |= n_all != SIZE_MAX && n != n_all;
        n_all = n;
    }
    if (uneven)
        return cannot_be_frame(reply, "All arrays must be of the same length");
    for (size_t c = 0; c < frame->n_columns; c++) /* columns move together */
        memmove(sv_frame_cell_of(frame, 0, 0) + c * n_all, sv_frame_cell_of(frame, c, 0), n_all * sizeof *frame->cells);
    frame->n_rows = frame->n_columns ? n_all : 0;
    return 0;
}

/* Columns given as lists: those that are required must be of one length. */
static int check_lengths(const sv_json *object, const sv_served *served, sv_reply *reply)
{
    long length = -1;
    for (uint32_t c = 0; c < object->n; c++) {
        int input = sv_served_input(served, object->names[c].text, object->names[c].size);
        if (input < 0 || served->inputs[input].optional || object->items[c].kind != SV_JSON_LIST)
            continue;
        if (length >= 0 && (long)object->items[c].n != length)
            return of_different_length(reply);
        length = (long)object->items[c].n;
    }
    return 0;
}

int sv_frame_from_instances(sv_frame *frame, sv_arena *arena, const sv_json *value, const sv_served *served, const sv_frame_limits *limits, sv_reply *reply)
{
    frame->reading = SV_READ_ARRAY;
    if (value->kind == SV_JSON_OBJECT && check_lengths(value, served, reply))
        return -1;
    if (value->kind != SV_JSON_LIST || value->n == 0 || value->items[0].kind != SV_JSON_OBJECT)
        return sv_frame_from_inputs(frame, arena, value, served, limits, reply);
    if (!sv_frame_all_of_kind(value, SV_JSON_OBJECT, 0)) {
        sv_mlflow_refuse(reply, SV_REFUSE_INPUT, "Ensure that the input is a valid JSON-formatted string.\nError: an item of instances is no object");
        return -1;
    }
    return sv_frame_from_objects(frame, arena, value, limits, reply) || close_gaps(frame, served, reply) || check_arrays(frame, served, reply) ? -1 : 0;
}
