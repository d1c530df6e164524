/* client_error.h: how the client's own files fill a caller's mlf_error. */
#ifndef MLF_CLIENT_ERROR_H
#define MLF_CLIENT_ERROR_H

#include "error.h"
#include "mlflow_client.h"

#include <stddef.h>

/* Fills *error unless it already holds one (the first wins); error may be NULL. Returns code. */
int mlf_error_set(mlf_error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same, and says that the call may succeed later. */
int mlf_error_set_retriable(mlf_error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts text in front of the message: what only the outer layer knows. Nothing when no error is there. */
void mlf_error_prefix(mlf_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

void mlf_error_clear(mlf_error *error);

int mlf_error_memory(mlf_error *error); /* MLF_E_MEMORY with its message */

/* An sv_error of base/ as the client's: code translated, message and hint kept. Returns the mlf_code. */
int mlf_error_from_base(mlf_error *error, const sv_error *base);

/* Copies text, at most size-1 bytes, never cutting a UTF-8 sequence; control bytes become blanks. */
void mlf_text_copy(char *into, size_t size, const char *text, size_t length);

/* 1 when the call may have done its work although it failed. */
int mlf_error_is_ambiguous(int code, const mlf_error *error);

/* Of a call that looks for what an earlier one made, and so may be repeated whatever of it was done: its failure passes where the answer's status does, also of a single
   request in it that may not be repeated by itself. Returns code. */
int mlf_error_of_repeatable(int code, mlf_error *error);

#endif
