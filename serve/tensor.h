/* tensor.h: tensors of the Open Inference Protocol V2 <-> typed columns: the JSON form and the binary one. Every length is checked. */
#ifndef SV_TENSOR_H
#define SV_TENSOR_H

#include "arena.h"
#include "json_value.h"
#include "served.h"

/* The datatype V2 gives to a column or an output of this type: "INT64", "FP64", "BYTES", "BOOL". */
const char *sv_tensor_datatype(sv_type type);

/* Elements that shape ([n] or [n, 1]) holds, or -1. */
long sv_tensor_rows(const sv_json *shape, size_t max_rows);

/* data (a list of n values, or of n lists of one) of the datatype into column: doubles, or codes for a text input. SV_E_INPUT says what is wrong. */
int sv_tensor_from_json(const sv_served *served, size_t input, const char *datatype, const sv_json *data, size_t n, void *column, sv_error *error);

/* Little-endian bytes; texts are a length of 4 bytes and so many bytes each. All of bytes must be used. */
int sv_tensor_from_bytes(const sv_served *served, size_t input, const char *datatype, sv_span bytes, size_t n, void *column, sv_error *error);

/* Outputs' values appended in either form. */
int sv_tensor_to_json(sv_buffer *json, const sv_served *served, size_t output, const double *values, size_t n);
int sv_tensor_to_bytes(sv_buffer *bytes, const sv_served *served, size_t output, const double *values, size_t n);

#endif
