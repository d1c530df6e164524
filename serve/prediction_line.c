/* prediction_line.c: see prediction_line.h. */
#include "prediction_line.h"

#include "json_out.h"
#include "number.h"
#include "router.h"
#include "row_scan.h"

/* The cells of one request: cells[input * n_rows + row]; NULL: not known. */
typedef struct sheet {
    size_t n_rows;
    const sv_json **cells; /* (n_inputs, n_rows) */
} sheet;

static int new_sheet(sheet *s, sv_call *call, size_t n_rows)
{
    *s = (sheet){n_rows, sv_arena_zero(call->arena, call->served->n_inputs * n_rows + 1, sizeof *s->cells)};
    return s->cells ? 0 : -1;
}

/* One object, or a list of them. */
static int sheet_of_objects(sheet *s, sv_call *call, const sv_json *root)
{
    size_t n = root->kind == SV_JSON_LIST ? root->n : 1;
    if (new_sheet(s, call, n))
        return -1;
    for (size_t row = 0; row < n; row++) {
        const sv_json *object = root->kind == SV_JSON_LIST ? &root->items[row] : root;
        for (uint32_t m = 0; object->kind == SV_JSON_OBJECT && m < object->n; m++) {
            int input = sv_served_input(call->served, object->names[m].text, object->names[m].size);
            if (input >= 0)
                s->cells[(size_t)input * n + row] = &object->items[m];
        }
    }
    return 0;
}

static int sheet_of_frame(sheet *s, sv_call *call)
{
    sv_frame frame;
    int wrapped;
    if (sv_call_read_frame(call, &frame, &wrapped) || new_sheet(s, call, frame.n_rows))
        return -1;
    for (size_t c = 0; c < frame.n_columns; c++) {
        int input = frame.names[c].text ? sv_served_input(call->served, frame.names[c].text, frame.names[c].size) : -1;
        for (size_t row = 0; input >= 0 && row < frame.n_rows; row++)
            s->cells[(size_t)input * frame.n_rows + row] = frame.cells[c * frame.n_rows + row];
    }
    return 0;
}

/* The tensors that are JSON, flat or as lists of one. */
static int sheet_of_tensors(sheet *s, sv_call *call, const sv_json *root, size_t n_rows)
{
    const sv_json *inputs = sv_json_member(root, "inputs");
    if (new_sheet(s, call, n_rows))
        return -1;
    for (uint32_t t = 0; inputs && inputs->kind == SV_JSON_LIST && t < inputs->n; t++) {
        const sv_json *tensor = &inputs->items[t];
        const sv_json *name = tensor->kind == SV_JSON_OBJECT ? sv_json_member(tensor, "name") : NULL, *data = name ? sv_json_member(tensor, "data") : NULL;
        int input = data && name->kind == SV_JSON_TEXT ? sv_served_input(call->served, name->text.text, name->text.size) : -1;
        for (size_t row = 0; input >= 0 && data->kind == SV_JSON_LIST && row < n_rows && row < data->n; row++) {
            const sv_json *cell = &data->items[row];
            s->cells[(size_t)input * n_rows + row] = cell->kind == SV_JSON_LIST && cell->n == 1 ? &cell->items[0] : cell;
        }
    }
    return 0;
}

static const sv_json *read_json(sv_call *call, sv_span body)
{
    sv_json_fault fault;
    sv_span text;
    return sv_json_as_utf8(call->arena, body, &text, &fault) ? NULL : sv_json_read(call->arena, text, &fault);
}

static int read_sheet(sheet *s, const sv_record *record, sv_call *call)
{
    sv_span body = record->texts[SV_RECORD_BODY], json_size = record->texts[SV_RECORD_JSON_SIZE];
    int64_t size;
    if (record->row->route == SV_ROUTE_INVOCATIONS)
        return sheet_of_frame(s, call);
    if (record->row->route == SV_ROUTE_INFER && json_size.text && sv_parse_int64(json_size.text, json_size.size, &size) == 0 && size >= 0 && (uint64_t)size <= body.size)
        body.size = (size_t)size;
    const sv_json *root = read_json(call, body);
    if (!root)
        return -1;
    return record->row->route == SV_ROUTE_INFER ? sheet_of_tensors(s, call, root, record->n_rows) : sheet_of_objects(s, call, root);
}

/* ---- writing ---- */

/* A cell of a CSV body is a text; where the column holds numbers and it is a plain one, it is written as one. */
static int is_plain_number(const sv_input *input, const sv_json *cell)
{
    const char *p = cell->text.text;
    double value;
    return cell->kind == SV_JSON_TEXT && (input->type == SV_LONG || input->type == SV_DOUBLE) && cell->text.size && sv_scan_number(&p, p + cell->text.size, 0, &value) == 0 &&
           p == cell->text.text + cell->text.size;
}

static void write_inputs(const sv_prediction_log *log, sv_buffer *line, const sv_served *served, const sheet *s, size_t row)
{
    for (size_t i = 0; i < served->n_inputs; i++) {
        const sv_json *cell = row < s->n_rows ? s->cells[i * s->n_rows + row] : NULL;
        sv_buffer_text(line, i ? "," : "");
        sv_buffer_append(line, served->inputs[i].key.text, served->inputs[i].key.size);
        sv_buffer_text(line, ":");
        if (sv_prediction_log_hides(log, served->inputs[i].name))
            sv_buffer_text(line, "\"(redacted)\"");
        else if (cell && is_plain_number(&served->inputs[i], cell))
            sv_buffer_append(line, cell->text.text, cell->text.size);
        else if (cell)
            sv_json_echo(line, cell);
        else
            sv_buffer_text(line, "null");
    }
}

static void write_name(sv_buffer *line, const sv_served *served, size_t output)
{
    if (output)
        sv_buffer_text(line, ",");
    sv_json_write_text(line, served->outputs[output].name);
    sv_buffer_text(line, ":");
}

/* The two outputs that were kept. Several classes: the class and its probability; the class is null when another version, which may number its classes
   otherwise, has come since. */
static void write_outputs(sv_buffer *line, const sv_served *served, const sv_record *record, const sv_tapped *tapped)
{
    write_name(line, served, 0);
    if (!served->classes) {
        sv_json_write_double(line, tapped->value);
        if (served->n_outputs < 2)
            return;
        write_name(line, served, 1);
        sv_json_write_long(line, (int64_t)tapped->label);
        return;
    }
    if (served->stats == record->stats)
        sv_buffer_append(line, served->classes[(size_t)tapped->label].text, served->classes[(size_t)tapped->label].size);
    else
        sv_buffer_text(line, "null");
    sv_buffer_text(line, ",\"probability\":");
    sv_json_write_double(line, tapped->value);
}

void sv_prediction_lines(sv_prediction_log *log, const sv_record *record, sv_call *call)
{
    sheet s = {0};
    sv_buffer *line = sv_prediction_log_buffer(log);
    if (read_sheet(&s, record, call))
        s = (sheet){0};
    for (size_t row = 0; row < record->n_tapped; row++) {
        size_t before = line->size;
        sv_buffer_format(line, "{\"time_ms\":%lld,\"request_id\":", (long long)record->time_ms);
        sv_json_write_text(line, record->texts[SV_RECORD_ID]);
        if (record->texts[SV_RECORD_TRACE].text) {
            sv_buffer_text(line, ",\"traceparent\":");
            sv_json_write_text(line, record->texts[SV_RECORD_TRACE]);
        }
        sv_buffer_format(line, ",\"row\":%zu,\"model\":", row);
        sv_json_write_text(line, sv_span_of(call->service->slots[record->answered_by].key));
        sv_buffer_text(line, ",\"version\":");
        sv_json_write_text(line, sv_span_of(record->stats ? sv_version_text(record->stats) : ""));
        sv_buffer_text(line, ",\"inputs\":{");
        write_inputs(log, line, call->served, &s, row);
        sv_buffer_text(line, "},\"outputs\":{");
        write_outputs(line, call->served, record, &record->tapped[row]);
        if (sv_buffer_text(line, "}}\n"))
            line->size = before; /* memory is out: no half lines */
        else
            sv_prediction_log_lines(log, 1);
    }
}
