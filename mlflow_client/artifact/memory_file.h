/* memory_file.h: bytes of memory as a file descriptor, for what wants to read a file. */
#ifndef MLF_MEMORY_FILE_H
#define MLF_MEMORY_FILE_H

#include "mlflow_client.h"

/* *fd is the caller's; it has no name anywhere. */
int mlf_memory_file(int *fd, const void *bytes, size_t length, mlf_error *error);

#endif
