/* onnx_graph.h: building an ONNX graph, node by node, and writing it as protobuf. Opsets ai.onnx 13 (19 where texts are compared: Equal of
   texts came with it), ai.onnx.ml 2, IR version 7 (9). Private to model/.

   A value of the graph is a number: an index into its names. Every call passes an error on: once graph->code is set, nothing happens any more. */
#ifndef SV_ONNX_GRAPH_H
#define SV_ONNX_GRAPH_H

#include "arena.h"
#include "buffer.h"

#include <stddef.h>
#include <stdint.h>

typedef enum sv_onnx_type { SV_ONNX_INT64 = 7, SV_ONNX_TEXT = 8, SV_ONNX_BOOL = 9, SV_ONNX_DOUBLE = 11 } sv_onnx_type;

typedef struct sv_onnx_text {
    const char *bytes;
    size_t length;
} sv_onnx_text;

/* One attribute of a node: exactly one of texts, ints (n of them) or, with neither, the number i. */
typedef struct sv_onnx_attribute {
    const char *name;
    int64_t i;
    const int64_t *ints;
    const sv_onnx_text *texts;
    size_t n;
} sv_onnx_attribute;

typedef struct sv_onnx_graph {
    sv_buffer nodes, initializers, inputs, outputs; /* protobuf fields of GraphProto */
    sv_buffer scratch[3];                           /* nested messages being made */
    sv_arena arena;                                 /* names */
    const char **names;                             /* (n_values) */
    size_t n_values, capacity;
    const char *prefix; /* of made-up names; no input or output begins with it */
    int uses_microsoft; /* an operator of com.microsoft is there */
    int compares_texts; /* an Equal of texts is there */
    int code;
} sv_onnx_graph;

void sv_onnx_begin(sv_onnx_graph *graph, const char *prefix);
void sv_onnx_free(sv_onnx_graph *graph);

int sv_onnx_new(sv_onnx_graph *graph);                      /* a value with a made-up name */
int sv_onnx_named(sv_onnx_graph *graph, const char *name);

/* Inputs and outputs: [N], or [N, 1] when lone. */
int sv_onnx_input(sv_onnx_graph *graph, const char *name, sv_onnx_type type, int lone);
int sv_onnx_output(sv_onnx_graph *graph, const char *name, sv_onnx_type type);

/* Constants. rank 0: a scalar; 1: (n); 2: (n, columns). */
int sv_onnx_doubles(sv_onnx_graph *graph, const double *values, size_t n, size_t columns, int rank);
int sv_onnx_ints(sv_onnx_graph *graph, const int64_t *values, size_t n, int rank);
int sv_onnx_texts(sv_onnx_graph *graph, const sv_onnx_text *values, size_t n);
int sv_onnx_scalar(sv_onnx_graph *graph, double value);
int sv_onnx_integer(sv_onnx_graph *graph, int64_t value); /* rank 0 */

/* A node from inputs[0..n) to the value `out` (-1: a new one). Returns the output. Operators: "Add"; "ml:LabelEncoder"; "ms:MurmurHash3". */
int sv_onnx_node(sv_onnx_graph *graph, const char *op, int out, const int *inputs, size_t n, const sv_onnx_attribute *attributes, size_t n_attributes);
int sv_onnx_one(sv_onnx_graph *graph, const char *op, int a);
int sv_onnx_two(sv_onnx_graph *graph, const char *op, int a, int b);
int sv_onnx_three(sv_onnx_graph *graph, const char *op, int a, int b, int c);
int sv_onnx_cast(sv_onnx_graph *graph, int a, sv_onnx_type to);
int sv_onnx_reshape(sv_onnx_graph *graph, int a, int64_t columns); /* [-1, columns]; columns 0: [-1] */
int sv_onnx_join(sv_onnx_graph *graph, const char *op, const int *inputs, size_t n, int axis); /* Concat with axis; Sum with axis -1 */

/* The whole ModelProto, appended. keys[i] -> values[i] are its metadata. 0 or an error. */
int sv_onnx_finish(sv_onnx_graph *graph, sv_buffer *model, const char *const *keys, const char *const *values, size_t n);

#endif
