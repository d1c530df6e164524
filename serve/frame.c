/* frame.c: see frame.h. Frames from split and records; those of instances and inputs are in frame_array.c, conversion is in frame_convert.c. */
#include "frame_private.h"

#include "array_cells.h"
#include "mlflow_error.h"

int sv_frame_no_memory(sv_reply *reply)
{
    sv_mlflow_refuse(reply, SV_REFUSE_LIMIT, "The request needs more memory than one request may take.");
    return -1;
}

static int allocate(sv_frame *frame, sv_arena *arena, size_t n_rows, size_t n_columns, const sv_frame_limits *limits, sv_reply *reply)
{
    if (n_rows > limits->max_rows || (n_columns && n_rows > limits->max_cells / n_columns) || n_columns > limits->max_cells) {
        sv_mlflow_refuse(reply, SV_REFUSE_LIMIT, "The request holds %zu rows of %zu columns: at most %zu rows and %zu cells are taken at once.", n_rows,
                         n_columns, limits->max_rows, limits->max_cells);
        return -1;
    }
    frame->n_rows = n_rows;
    frame->n_columns = n_columns;
    frame->names = sv_arena_zero(arena, n_columns + 1, sizeof *frame->names);
    frame->cells = sv_arena_zero(arena, n_rows * n_columns + 1, sizeof *frame->cells);
    return frame->names && frame->cells ? 0 : sv_frame_no_memory(reply);
}

const sv_json **sv_frame_cell_of(sv_frame *frame, size_t column, size_t row)
{
    return (const sv_json **)(uintptr_t)frame->cells + column * frame->n_rows + row;
}

static void set_name(sv_frame *frame, size_t column, const sv_json *name)
{
    ((sv_span *)(uintptr_t)frame->names)[column] = name && name->kind == SV_JSON_TEXT ? name->text : (sv_span){NULL, 0};
}

/* ---- names met in records, in order of appearance ---- */

typedef struct name_set {
    sv_arena *arena;
    sv_span *names;
    uint32_t *table; /* position + 1 */
    size_t n, capacity;
} name_set;

static size_t hash_span(sv_span name)
{
    uint64_t hash = 1469598103934665603u;
    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ (unsigned char)name.text[i]) * 1099511628211u;
    return (size_t)(hash ^ hash >> 29);
}

static uint32_t *name_slot(const name_set *set, sv_span name)
{
    size_t mask = set->capacity * 2 - 1, slot = hash_span(name) & mask;
    while (set->table[slot] && !sv_span_equal(set->names[set->table[slot] - 1], name))
        slot = (slot + 1) & mask;
    return &set->table[slot];
}

static int grow_names(name_set *set)
{
    size_t capacity = set->capacity ? set->capacity * 2 : 64;
    sv_span *names = sv_arena_alloc(set->arena, capacity * sizeof *names);
    uint32_t *table = sv_arena_zero(set->arena, capacity * 2, sizeof *table);
    if (!names || !table)
        return -1;
    if (set->n)
        memcpy(names, set->names, set->n * sizeof *names);
    set->names = names;
    set->table = table;
    set->capacity = capacity;
    for (size_t i = 0; i < set->n; i++)
        *name_slot(set, names[i]) = (uint32_t)i + 1;
    return 0;
}

/* The position of name, added when it is new; -1 when memory is out. */
static long name_position(name_set *set, sv_span name)
{
    if (set->n == set->capacity && grow_names(set))
        return -1;
    uint32_t *slot = name_slot(set, name);
    if (!*slot) {
        set->names[set->n++] = name;
        *slot = (uint32_t)set->n;
    }
    return (long)*slot - 1;
}

/* A list of objects: the columns are the union of their names. */
int sv_frame_from_objects(sv_frame *frame, sv_arena *arena, const sv_json *list, const sv_frame_limits *limits, sv_reply *reply)
{
    name_set set = {.arena = arena};
    if (grow_names(&set))
        return sv_frame_no_memory(reply);
    for (uint32_t i = 0; i < list->n; i++)
        for (uint32_t m = 0; list->items[i].kind == SV_JSON_OBJECT && m < list->items[i].n; m++)
            if (name_position(&set, list->items[i].names[m]) < 0)
                return sv_frame_no_memory(reply);
    if (allocate(frame, arena, list->n, set.n, limits, reply))
        return -1;
    memcpy((sv_span *)(uintptr_t)frame->names, set.names, set.n * sizeof *set.names);
    for (uint32_t i = 0; i < list->n; i++)
        for (uint32_t m = 0; list->items[i].kind == SV_JSON_OBJECT && m < list->items[i].n; m++)
            *sv_frame_cell_of(frame, (size_t)name_position(&set, list->items[i].names[m]), i) = &list->items[i].items[m];
    return 0;
}

static int is_row(const sv_json *item)
{
    return item->kind == SV_JSON_LIST || item->kind == SV_JSON_OBJECT; /* of an object pandas takes the names */
}

static uint32_t longest_list(const sv_json *list)
{
    uint32_t longest = 0;
    for (uint32_t i = 0; i < list->n; i++)
        if (is_row(&list->items[i]) && list->items[i].n > longest)
            longest = list->items[i].n;
    return longest;
}

/* The names of an object as the cells of a row. */
static int lay_names(sv_frame *frame, sv_arena *arena, const sv_json *object, size_t row, sv_reply *reply)
{
    sv_json *texts = sv_arena_zero(arena, object->n + 1, sizeof *texts);
    if (!texts)
        return sv_frame_no_memory(reply);
    for (uint32_t c = 0; c < object->n; c++) {
        texts[c] = (sv_json){.kind = SV_JSON_TEXT, .text = object->names[c]};
        *sv_frame_cell_of(frame, c, row) = &texts[c];
    }
    return 0;
}

/* A list of lists: rows; short ones are padded. Without columns the names are numbers. */
int sv_frame_from_lists(sv_frame *frame, sv_arena *arena, const sv_json *list, const sv_json *columns, const sv_frame_limits *limits, sv_reply *reply)
{
    uint32_t width = longest_list(list);
    if (columns && columns->n != width) {
        sv_mlflow_refuse(reply, SV_REFUSE_INPUT,
                         "Provided dataframe_split field is not a valid dataframe representation in 'split' format. Error: '%u columns passed, passed data had %u columns'",
                         columns->n, width);
        return -1;
    }
    if (allocate(frame, arena, list->n, width, limits, reply))
        return -1;
    for (uint32_t c = 0; c < width; c++)
        set_name(frame, c, columns ? &columns->items[c] : NULL);
    for (uint32_t i = 0; i < list->n; i++) {
        for (uint32_t c = 0; list->items[i].kind == SV_JSON_LIST && c < list->items[i].n; c++)
            *sv_frame_cell_of(frame, c, i) = &list->items[i].items[c];
        if (list->items[i].kind == SV_JSON_OBJECT && lay_names(frame, arena, &list->items[i], i, reply))
            return -1;
    }
    return 0;
}

/* A list of scalars: one column. */
int sv_frame_from_scalars(sv_frame *frame, sv_arena *arena, const sv_json *list, sv_span name, const sv_frame_limits *limits, sv_reply *reply)
{
    if (allocate(frame, arena, list->n, 1, limits, reply))
        return -1;
    ((sv_span *)(uintptr_t)frame->names)[0] = name;
    for (uint32_t i = 0; i < list->n; i++)
        *sv_frame_cell_of(frame, 0, i) = &list->items[i];
    return 0;
}

static int names_only(sv_frame *frame, sv_arena *arena, const sv_json *columns, size_t n_rows, const sv_frame_limits *limits, sv_reply *reply)
{
    size_t n = columns ? columns->n : 0;
    if (allocate(frame, arena, n_rows, n, limits, reply))
        return -1;
    for (size_t c = 0; c < n; c++)
        set_name(frame, c, &columns->items[c]);
    return 0;
}

static int bad_split(sv_reply *reply, const char *why)
{
    sv_mlflow_refuse(reply, SV_REFUSE_INPUT, "Provided dataframe_split field is not a valid dataframe representation in 'split' format. Error: '%s'", why);
    return -1;
}

/* The first item that is no null decides what kind of list this is; a kind: SV_JSON_NULL when there is none. */
sv_json_kind sv_frame_list_kind(const sv_json *list)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (list->items[i].kind != SV_JSON_NULL)
            return list->items[i].kind;
    return SV_JSON_NULL;
}

int sv_frame_all_of_kind(const sv_json *list, sv_json_kind kind, int or_null)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (list->items[i].kind != kind && !(or_null && list->items[i].kind == SV_JSON_NULL))
            return 0;
    return 1;
}

/* Of the frame, only the columns asked for, in that order; others are there and empty. */
static int select_columns(sv_frame *frame, sv_arena *arena, const sv_json *columns, const sv_frame_limits *limits, sv_reply *reply)
{
    sv_frame all = *frame;
    if (names_only(frame, arena, columns, all.n_rows, limits, reply))
        return -1;
    for (size_t c = 0; c < frame->n_columns; c++)
        for (size_t from = 0; frame->names[c].text && from < all.n_columns; from++)
            if (all.names[from].text && sv_span_equal(all.names[from], frame->names[c]))
                memcpy(sv_frame_cell_of(frame, c, 0), all.cells + from * all.n_rows, all.n_rows * sizeof *all.cells);
    return 0;
}

/* An object of columns: lists of one length, or scalars beside a list. */
int sv_frame_from_columns(sv_frame *frame, sv_arena *arena, const sv_json *object, const sv_frame_limits *limits, sv_reply *reply, const char **why)
{
    size_t n_rows = 0;
    int lists = 0;
    for (uint32_t c = 0; c < object->n; c++)
        if (object->items[c].kind == SV_JSON_LIST) {
            if (lists && object->items[c].n != n_rows) {
                *why = "All arrays must be of the same length";
                return -1;
            }
            n_rows = object->items[c].n;
            lists = 1;
        }
    if (!lists && object->n) {
        *why = "If using all scalar values, you must pass an index";
        return -1;
    }
    if (allocate(frame, arena, n_rows, object->n, limits, reply))
        return -1;
    for (uint32_t c = 0; c < object->n; c++) {
        ((sv_span *)(uintptr_t)frame->names)[c] = object->names[c];
        for (size_t i = 0; i < n_rows; i++)
            *sv_frame_cell_of(frame, c, i) = object->items[c].kind == SV_JSON_LIST ? &object->items[c].items[i] : &object->items[c];
    }
    return 0;
}

/* The names of an object as a list of texts. */
static int names_as_list(sv_arena *arena, const sv_json *object, const sv_json **list, sv_reply *reply)
{
    sv_json *texts = sv_arena_zero(arena, object->n + 1, sizeof *texts);
    if (!texts)
        return sv_frame_no_memory(reply);
    for (uint32_t i = 0; i < object->n; i++)
        texts[i + 1] = (sv_json){.kind = SV_JSON_TEXT, .text = object->names[i]};
    texts[0] = (sv_json){.kind = SV_JSON_LIST, .n = object->n, .items = texts + 1};
    *list = texts;
    return 0;
}

static int split_columns(sv_arena *arena, const sv_json *value, const sv_json **columns, sv_reply *reply)
{
    const sv_json *given = sv_json_member(value, "columns");
    *columns = NULL;
    if (!given || given->kind == SV_JSON_NULL)
        return 0;
    if (given->kind == SV_JSON_OBJECT)
        return names_as_list(arena, given, columns, reply);
    if (given->kind != SV_JSON_LIST)
        return bad_split(reply, "Index(...) must be called with a collection of some kind");
    if (given->n && sv_frame_all_of_kind(given, SV_JSON_LIST, 0) && sv_array_fits(given, SV_STRING)) { /* several levels: the columns are tuples, no names */
        sv_json *levels = sv_arena_zero(arena, 1, sizeof *levels);
        sv_json *empty = levels ? sv_arena_zero(arena, given->items[0].n + 1, sizeof *empty) : NULL;
        if (!empty)
            return sv_frame_no_memory(reply);
        *levels = (sv_json){.kind = SV_JSON_LIST, .n = given->items[0].n, .items = empty};
        *columns = levels;
        return 0;
    }
    for (uint32_t i = 0; i < given->n; i++)
        if (given->items[i].kind == SV_JSON_OBJECT)
            return bad_split(reply, "unhashable type: 'dict'");
    *columns = given;
    return 0;
}

static int check_index(const sv_json *value, size_t n_rows, sv_reply *reply)
{
    const sv_json *index = sv_json_member(value, "index");
    if (!index || index->kind == SV_JSON_NULL)
        return 0;
    if (index->kind != SV_JSON_LIST)
        return bad_split(reply, "Index(...) must be called with a collection of some kind");
    int has_levels = index->n && sv_frame_all_of_kind(index, SV_JSON_LIST, 0) && sv_array_fits(index, SV_STRING);
    if ((has_levels ? index->items[0].n : index->n) != n_rows)
        return bad_split(reply, "Shape of passed values does not fit the index");
    return 0;
}

static int check_split_keys(const sv_json *value, sv_reply *reply)
{
    int good = sv_json_member(value, "data") != NULL;
    for (uint32_t m = 0; m < value->n; m++)
        good &= sv_span_is(value->names[m], "columns") || sv_span_is(value->names[m], "data") || sv_span_is(value->names[m], "index");
    if (good)
        return 0;
    sv_mlflow_refuse(reply, SV_REFUSE_INPUT, "Dataframe split format must have 'data' field and optionally 'columns' and 'index' fields.");
    return -1;
}

/* Of the object only the members that columns name. */
static int keep_members(sv_arena *arena, sv_json *object, const sv_json *columns)
{
    sv_json *items = sv_arena_alloc(arena, object->n * sizeof *items + 1);
    sv_span *names = sv_arena_alloc(arena, object->n * sizeof *names + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; items && names && i < object->n; i++)
        for (uint32_t c = 0; c < columns->n; c++)
            if (columns->items[c].kind == SV_JSON_TEXT && sv_span_equal(columns->items[c].text, object->names[i])) {
                items[n] = object->items[i];
                names[n++] = object->names[i];
                break;
            }
    object->n = n;
    object->items = items;
    object->names = names;
    return items && names ? 0 : -1;
}

/* The rows of `data`, whatever its form. */
static int split_rows(sv_frame *frame, sv_arena *arena, const sv_json *data, const sv_json *columns, const sv_frame_limits *limits, sv_reply *reply)
{
    if (data->kind == SV_JSON_NULL)
        return names_only(frame, arena, columns, 0, limits, reply);
    if (data->kind == SV_JSON_OBJECT) {
        const char *why = NULL;
        sv_json known = *data;
        if (columns && keep_members(arena, &known, columns))
            return sv_frame_no_memory(reply);
        if (sv_frame_from_columns(frame, arena, &known, limits, reply, &why))
            return why ? bad_split(reply, why) : -1;
        return columns ? select_columns(frame, arena, columns, limits, reply) : 0;
    }
    if (data->kind != SV_JSON_LIST)
        return bad_split(reply, "DataFrame constructor not properly called!");
    switch (sv_frame_list_kind(data)) {
    case SV_JSON_LIST:
        for (uint32_t i = 0; i < data->n; i++)
            if (!is_row(&data->items[i]))
                return bad_split(reply, "object has no len()");
        return sv_frame_from_lists(frame, arena, data, columns, limits, reply);
    case SV_JSON_OBJECT:
        if (!sv_frame_all_of_kind(data, SV_JSON_OBJECT, 0))
            return bad_split(reply, "object has no attribute 'keys'");
        if (sv_frame_from_objects(frame, arena, data, limits, reply))
            return -1;
        return columns ? select_columns(frame, arena, columns, limits, reply) : 0;
    default:
        if (data->n == 0)
            return names_only(frame, arena, columns, 0, limits, reply);
        if (columns && columns->n != 1)
            return bad_split(reply, "Shape of passed values does not fit the columns");
        return sv_frame_from_scalars(frame, arena, data, columns && columns->items[0].kind == SV_JSON_TEXT ? columns->items[0].text : (sv_span){NULL, 0}, limits, reply);
    }
}

/* Half a surrogate pair has no UTF-8, which pandas stores texts in. */
static int has_surrogate(sv_span text)
{
    for (const char *p = text.text; p && (p = memchr(p, 0xed, text.size - (size_t)(p - text.text))); p++)
        if (p + 1 < text.text + text.size && (unsigned char)p[1] >= 0xa0)
            return 1;
    return 0;
}

int sv_frame_refuse_surrogates(const sv_frame *frame, const char *orient, sv_reply *reply)
{
    int found = 0;
    for (size_t c = 0; c < frame->n_columns && !found; c++)
        found = has_surrogate(frame->names[c]);
    for (size_t i = 0; i < frame->n_rows * frame->n_columns && !found; i++)
        found = frame->cells[i] && frame->cells[i]->kind == SV_JSON_TEXT && has_surrogate(frame->cells[i]->text);
    if (!found)
        return 0;
    sv_mlflow_refuse(reply, frame->reading == SV_READ_ARRAY ? SV_REFUSE_SCHEMA : SV_REFUSE_INPUT,
                     "Provided %s field is not a valid dataframe representation: a text holds half a surrogate pair, which UTF-8 cannot encode", orient);
    return -1;
}

int sv_frame_from_split(sv_frame *frame, sv_arena *arena, const sv_json *value, const sv_frame_limits *limits, sv_reply *reply)
{
    frame->reading = SV_READ_ASTYPE;
    if (value->kind != SV_JSON_OBJECT) {
        sv_mlflow_refuse(reply, SV_REFUSE_INPUT, "Dataframe split format must be a dictionary. Got %s%s.", value->kind == SV_JSON_LIST ? "" : "type ",
                         sv_json_python_type(value));
        return -1;
    }
    const sv_json *columns;
    if (check_split_keys(value, reply) || split_columns(arena, value, &columns, reply) ||
        split_rows(frame, arena, sv_json_member(value, "data"), columns, limits, reply))
        return -1;
    return check_index(value, frame->n_rows, reply) || sv_frame_refuse_surrogates(frame, "dataframe_split", reply) ? -1 : 0;
}

int sv_frame_from_records(sv_frame *frame, sv_arena *arena, const sv_json *value, const sv_frame_limits *limits, sv_reply *reply)
{
    frame->reading = SV_READ_ASTYPE;
    if (value->kind != SV_JSON_LIST) {
        sv_mlflow_refuse(reply, SV_REFUSE_INPUT, "Dataframe records format must be a list of records. Got %s.",
                         value->kind == SV_JSON_OBJECT ? "dictionary" : sv_json_python_type(value));
        return -1;
    }
    sv_json_kind kind = sv_frame_list_kind(value);
    if (kind == SV_JSON_OBJECT && sv_frame_all_of_kind(value, SV_JSON_OBJECT, 0))
        return sv_frame_from_objects(frame, arena, value, limits, reply) || sv_frame_refuse_surrogates(frame, "dataframe_records", reply) ? -1 : 0;
    if (kind == SV_JSON_LIST && sv_frame_all_of_kind(value, SV_JSON_LIST, 0))
        return sv_frame_from_lists(frame, arena, value, NULL, limits, reply);
    if (kind == SV_JSON_OBJECT || kind == SV_JSON_LIST) {
        sv_mlflow_refuse(reply, SV_REFUSE_INPUT, "Provided dataframe_records field is not a valid dataframe representation in 'records' format.");
        return -1;
    }
    return sv_frame_from_scalars(frame, arena, value, (sv_span){NULL, 0}, limits, reply);
}
