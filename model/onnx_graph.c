/* onnx_graph.c: protobuf by hand (encoding: protobuf.dev/programming-guides/encoding; field numbers: onnx.proto, IR version 7). */
#include "onnx_graph.h"

#include "alloc.h"
#include "error.h"

#include <stdio.h>
#include <string.h>

/* ---- protobuf */

static void varint(sv_onnx_graph *graph, sv_buffer *out, uint64_t value)
{
    for (; value >= 0x80 && !graph->code; value >>= 7)
        graph->code = sv_buffer_byte(out, (char)(value | 0x80));
    if (!graph->code)
        graph->code = sv_buffer_byte(out, (char)value);
}

static void integer_field(sv_onnx_graph *graph, sv_buffer *out, uint32_t field, int64_t value)
{
    varint(graph, out, field << 3);
    varint(graph, out, (uint64_t)value);
}

static void bytes_field(sv_onnx_graph *graph, sv_buffer *out, uint32_t field, const void *bytes, size_t length)
{
    varint(graph, out, field << 3 | 2);
    varint(graph, out, length);
    if (!graph->code && length)
        graph->code = sv_buffer_append(out, bytes, length);
}

static void text_field(sv_onnx_graph *graph, sv_buffer *out, uint32_t field, const char *text)
{
    bytes_field(graph, out, field, text, strlen(text));
}

static void message_field(sv_onnx_graph *graph, sv_buffer *out, uint32_t field, const sv_buffer *message)
{
    bytes_field(graph, out, field, message->data, message->size);
}

/* ---- values */

void sv_onnx_begin(sv_onnx_graph *graph, const char *prefix)
{
    *graph = (sv_onnx_graph){.prefix = prefix};
}

void sv_onnx_free(sv_onnx_graph *graph)
{
    sv_buffer_free(&graph->nodes);
    sv_buffer_free(&graph->initializers);
    sv_buffer_free(&graph->inputs);
    sv_buffer_free(&graph->outputs);
    for (int i = 0; i < 3; i++)
        sv_buffer_free(&graph->scratch[i]);
    sv_arena_free(&graph->arena);
    sv_free(graph->names);
}

int sv_onnx_named(sv_onnx_graph *graph, const char *name)
{
    if (graph->code)
        return 0;
    if (graph->n_values == graph->capacity) {
        size_t capacity = graph->capacity ? 2 * graph->capacity : 64;
        const char **names = sv_realloc(graph->names, capacity * sizeof *names);
        if (!names) {
            graph->code = SV_E_MEMORY;
            return 0;
        }
        graph->names = names;
        graph->capacity = capacity;
    }
    graph->names[graph->n_values] = sv_arena_strdup(&graph->arena, name);
    if (!graph->names[graph->n_values]) {
        graph->code = SV_E_MEMORY;
        return 0;
    }
    return (int)graph->n_values++;
}

int sv_onnx_new(sv_onnx_graph *graph)
{
    char name[300];
    snprintf(name, sizeof name, "%s%zu", graph->prefix, graph->n_values);
    return sv_onnx_named(graph, name);
}

/* ValueInfo{1 name, 2 type{1 tensor_type{1 elem_type, 2 shape{1 dim{1 dim_value, 2 dim_param}}}}} */
static void value_info(sv_onnx_graph *graph, sv_buffer *out, uint32_t field, const char *name, sv_onnx_type type, int lone)
{
    static const char n_dim[] = {0x0a, 0x03, 0x12, 0x01, 'N'}, one_dim[] = {0x0a, 0x02, 0x08, 0x01};
    sv_buffer *tensor = &graph->scratch[0], *shape = &graph->scratch[1], *info = &graph->scratch[2];
    for (int i = 0; i < 3; i++)
        sv_buffer_clear(&graph->scratch[i]);
    if (!graph->code)
        graph->code = sv_buffer_append(shape, n_dim, sizeof n_dim);
    if (!graph->code && lone)
        graph->code = sv_buffer_append(shape, one_dim, sizeof one_dim);
    integer_field(graph, tensor, 1, type);
    message_field(graph, tensor, 2, shape);
    sv_buffer_clear(shape);
    message_field(graph, shape, 1, tensor);
    text_field(graph, info, 1, name);
    message_field(graph, info, 2, shape);
    message_field(graph, out, field, info);
}

int sv_onnx_input(sv_onnx_graph *graph, const char *name, sv_onnx_type type, int lone)
{
    value_info(graph, &graph->inputs, 11, name, type, lone);
    return sv_onnx_named(graph, name);
}

int sv_onnx_output(sv_onnx_graph *graph, const char *name, sv_onnx_type type)
{
    value_info(graph, &graph->outputs, 12, name, type, 0);
    return sv_onnx_named(graph, name);
}

/* ---- constants: TensorProto{1 dims*, 2 data_type, 6 string_data*, 8 name, 9 raw_data} */

static sv_buffer *begin_tensor(sv_onnx_graph *graph, sv_onnx_type type, size_t n, size_t columns, int rank)
{
    sv_buffer *tensor = &graph->scratch[0];
    sv_buffer_clear(tensor);
    if (rank > 0)
        integer_field(graph, tensor, 1, (int64_t)n);
    if (rank > 1)
        integer_field(graph, tensor, 1, (int64_t)columns);
    integer_field(graph, tensor, 2, type);
    return tensor;
}

static int end_tensor(sv_onnx_graph *graph, sv_buffer *tensor)
{
    int value = sv_onnx_new(graph);
    if (!graph->code)
        text_field(graph, tensor, 8, graph->names[value]);
    message_field(graph, &graph->initializers, 5, tensor);
    return value;
}

/* Little-endian words, whatever this machine's order is. */
static void words_field(sv_onnx_graph *graph, sv_buffer *out, uint32_t field, const void *words, size_t n)
{
    varint(graph, out, field << 3 | 2);
    varint(graph, out, n * 8);
    for (size_t i = 0; i < n && !graph->code; i++) {
        uint64_t word;
        char bytes[8];
        memcpy(&word, (const char *)words + 8 * i, 8);
        for (int b = 0; b < 8; b++)
            bytes[b] = (char)(word >> 8 * b);
        graph->code = sv_buffer_append(out, bytes, 8);
    }
}

int sv_onnx_doubles(sv_onnx_graph *graph, const double *values, size_t n, size_t columns, int rank)
{
    sv_buffer *tensor = begin_tensor(graph, SV_ONNX_DOUBLE, n, columns, rank);
    words_field(graph, tensor, 9, values, rank > 1 ? n * columns : n);
    return end_tensor(graph, tensor);
}

int sv_onnx_ints(sv_onnx_graph *graph, const int64_t *values, size_t n, int rank)
{
    sv_buffer *tensor = begin_tensor(graph, SV_ONNX_INT64, n, 0, rank);
    words_field(graph, tensor, 9, values, n);
    return end_tensor(graph, tensor);
}

int sv_onnx_texts(sv_onnx_graph *graph, const sv_onnx_text *values, size_t n)
{
    sv_buffer *tensor = begin_tensor(graph, SV_ONNX_TEXT, n, 0, 1);
    for (size_t i = 0; i < n; i++)
        bytes_field(graph, tensor, 6, values[i].bytes, values[i].length);
    return end_tensor(graph, tensor);
}

int sv_onnx_scalar(sv_onnx_graph *graph, double value)
{
    return sv_onnx_doubles(graph, &value, 1, 0, 0);
}

int sv_onnx_integer(sv_onnx_graph *graph, int64_t value)
{
    return sv_onnx_ints(graph, &value, 1, 0);
}

/* ---- nodes: NodeProto{1 input*, 2 output*, 4 op_type, 5 attribute*, 7 domain} */

/* AttributeProto{1 name, 3 i, 8 ints*, 9 strings*, 20 type: INT 2, INTS 7, STRINGS 8} */
static void attribute_field(sv_onnx_graph *graph, sv_buffer *node, const sv_onnx_attribute *attribute)
{
    sv_buffer *out = &graph->scratch[1];
    sv_buffer_clear(out);
    text_field(graph, out, 1, attribute->name);
    for (size_t i = 0; i < attribute->n; i++)
        if (attribute->texts)
            bytes_field(graph, out, 9, attribute->texts[i].bytes, attribute->texts[i].length);
        else
            integer_field(graph, out, 8, attribute->ints[i]);
    if (!attribute->texts && !attribute->ints)
        integer_field(graph, out, 3, attribute->i);
    integer_field(graph, out, 20, attribute->texts ? 8 : attribute->ints ? 7 : 2);
    message_field(graph, node, 5, out);
}

int sv_onnx_node(sv_onnx_graph *graph, const char *op, int out, const int *inputs, size_t n, const sv_onnx_attribute *attributes, size_t n_attributes)
{
    sv_buffer *node = &graph->scratch[0];
    out = out < 0 ? sv_onnx_new(graph) : out;
    if (graph->code)
        return out;
    sv_buffer_clear(node);
    for (size_t i = 0; i < n; i++)
        text_field(graph, node, 1, graph->names[inputs[i]]);
    text_field(graph, node, 2, graph->names[out]);
    int is_ml = !strncmp(op, "ml:", 3), is_microsoft = !strncmp(op, "ms:", 3);
    text_field(graph, node, 4, is_ml || is_microsoft ? op + 3 : op);
    for (size_t i = 0; i < n_attributes; i++)
        attribute_field(graph, node, &attributes[i]);
    if (is_ml || is_microsoft)
        text_field(graph, node, 7, is_ml ? "ai.onnx.ml" : "com.microsoft");
    graph->uses_microsoft |= is_microsoft;
    message_field(graph, &graph->nodes, 1, node);
    return out;
}

int sv_onnx_one(sv_onnx_graph *graph, const char *op, int a)
{
    return sv_onnx_node(graph, op, -1, &a, 1, NULL, 0);
}

int sv_onnx_two(sv_onnx_graph *graph, const char *op, int a, int b)
{
    return sv_onnx_node(graph, op, -1, (const int[]){a, b}, 2, NULL, 0);
}

int sv_onnx_three(sv_onnx_graph *graph, const char *op, int a, int b, int c)
{
    return sv_onnx_node(graph, op, -1, (const int[]){a, b, c}, 3, NULL, 0);
}

int sv_onnx_cast(sv_onnx_graph *graph, int a, sv_onnx_type to)
{
    return sv_onnx_node(graph, "Cast", -1, &a, 1, &(sv_onnx_attribute){.name = "to", .i = to}, 1);
}

int sv_onnx_reshape(sv_onnx_graph *graph, int a, int64_t columns)
{
    int shape = sv_onnx_ints(graph, (const int64_t[]){-1, columns}, columns ? 2 : 1, 1);
    return sv_onnx_two(graph, "Reshape", a, shape);
}

int sv_onnx_join(sv_onnx_graph *graph, const char *op, const int *inputs, size_t n, int axis)
{
    if (n == 1)
        return inputs[0];
    return sv_onnx_node(graph, op, -1, inputs, n, &(sv_onnx_attribute){.name = "axis", .i = axis}, axis >= 0);
}

/* ---- the model: ModelProto{1 ir_version, 2 producer_name, 7 graph, 8 opset_import{1 domain, 2 version}, 14 metadata_props{1 key, 2 value}} */

static void opset(sv_onnx_graph *graph, sv_buffer *model, const char *domain, int64_t version)
{
    sv_buffer *out = &graph->scratch[0];
    sv_buffer_clear(out);
    text_field(graph, out, 1, domain);
    integer_field(graph, out, 2, version);
    message_field(graph, model, 8, out);
}

int sv_onnx_finish(sv_onnx_graph *graph, sv_buffer *model, const char *const *keys, const char *const *values, size_t n)
{
    sv_buffer *body = &graph->nodes; // GraphProto's fields in any order
    text_field(graph, body, 2, "pipeline");
    const sv_buffer *parts[] = {&graph->initializers, &graph->inputs, &graph->outputs};
    for (int i = 0; i < 3 && !graph->code; i++)
        if (parts[i]->size)
            graph->code = sv_buffer_append(body, parts[i]->data, parts[i]->size);
    integer_field(graph, model, 1, graph->compares_texts ? 9 : 7);
    text_field(graph, model, 2, "solvent");
    message_field(graph, model, 7, body);
    opset(graph, model, "", graph->compares_texts ? 19 : 13);
    opset(graph, model, "ai.onnx.ml", 2);
    if (graph->uses_microsoft)
        opset(graph, model, "com.microsoft", 1);
    for (size_t i = 0; i < n; i++) {
        sv_buffer *entry = &graph->scratch[0];
        sv_buffer_clear(entry);
        text_field(graph, entry, 1, keys[i]);
        text_field(graph, entry, 2, values[i]);
        message_field(graph, model, 14, entry);
    }
    return graph->code;
}
